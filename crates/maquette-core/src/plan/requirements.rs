//! What a topology requires of a hypervisor's own settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::lifetime::Ttl;
use crate::topology::virtopts::VirtOpt;
use crate::topology::{BmcProtocol, BootMode, Interface, OsVariant, Role, Topology};
use crate::values::{Directory, TimeZone};

/// What an environment requires of the hypervisor's own settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// Whether any of its networks has IPv6.
    pub ipv6: bool,
    /// Time zone for the hypervisor, if any. Not of the topology alone: the machine that somebody sits at keeps its own.
    pub timezone: Option<TimeZone>,
    /// Whether any of its nodes has UEFI firmware.
    pub uefi: bool,
    /// Whether its nodes have an emulated TPM.
    pub tpm: bool,
    /// Whether any of its nodes has a drive for virtual media, which QEMU reads over HTTP.
    pub media: bool,
    /// Whether `virt-xml` has to change its nodes' definitions.
    pub virt_xml: bool,
    /// Whether virt-customize has to work on an image.
    pub customize: bool,
    /// Whether any network is bridged with a guard against rogue DHCP.
    pub guard: bool,
    /// Whether any network is on Open vSwitch.
    pub vswitch: bool,
    /// Whether libvirt's hook has something to do.
    pub hook: bool,
    /// Directories that disks of its nodes name.
    pub directories: BTreeSet<Directory>,
    /// Operating systems that node types name and that not every libosinfo knows, by the node types' files.
    pub systems: BTreeMap<String, OsVariant>,
    /// How long it lasts, if anybody says so now.
    pub ttl: Option<Ttl>,
    /// How many networks have a dnsmasq.
    pub networks: usize,
    /// How many interfaces its nodes have.
    pub interfaces: usize,
}

impl Requirements {
    /// What `topology` requires; no time zone.
    pub fn of(topology: &Topology) -> Self {
        let networks = &topology.networks;
        let guard = networks.iter().any(|n| n.uplink.as_ref().is_some_and(|u| u.dhcp_guard));
        let vswitch = networks.iter().any(|n| n.vswitch.is_some());
        // Links and networks of bridges that nobody declared are made by the hook.
        let undeclared = |i: &Interface| {
            i.connect_to.is_some() || (i.bridged && topology.network(&i.network.value).is_none())
        };
        let used = topology.roles.iter().filter(|r| r.count > 0);
        let hook = guard
            || vswitch
            || topology.settings.querier
            || !topology.cidrs.is_empty()
            || used.clone().any(|r| r.every_interface().any(undeclared));
        // Of all nodes of a type, and of single ones.
        let each = used.clone().map(|r| {
            let count = usize::try_from(r.count).unwrap_or(usize::MAX);
            let of_all = r.interfaces.all.len().saturating_mul(count);
            of_all.saturating_add(r.interfaces.rows.iter().flatten().flatten().count())
        });
        let interfaces = each.fold(0, usize::saturating_add);
        let options = &topology.settings.virtopts;
        let customize = used.clone().any(|r| r.customize == Some(true));
        let drive =
            |r: &Role| !r.deploy_os && topology.bmc_of(r).is_some_and(BmcProtocol::has_redfish);
        let media = used.clone().any(drive);
        let blank = used.clone().any(|r| !r.deploy_os);
        Self {
            ipv6: networks.iter().any(|n| n.ipv6.is_some()),
            timezone: None,
            uefi: (blank && topology.settings.boot_mode == BootMode::Uefi)
                || options.iter().any(VirtOpt::asks_for_uefi),
            virt_xml: options.iter().any(|o| matches!(o, VirtOpt::Edit { .. })),
            customize,
            tpm: options.iter().any(VirtOpt::asks_for_emulated_tpm),
            media,
            guard,
            vswitch,
            hook,
            directories: used
                .clone()
                .flat_map(|r| &r.disks)
                .filter_map(|disk| Some(disk.path.as_ref()?.value.clone()))
                .collect(),
            systems: systems(topology),
            ttl: topology.settings.ttl,
            // libvirt starts one where it has an address to give or a name to answer for.
            networks: networks.iter().filter(|n| n.has_dnsmasq()).count(),
            interfaces,
        }
    }
}

/// Operating systems about which a hypervisor has to be asked.
fn systems(topology: &Topology) -> BTreeMap<String, OsVariant> {
    let named =
        topology.roles.iter().filter_map(|role| Some((role, &role.variant.as_ref()?.value)));
    let open = named.filter(|(_, system)| !system.is_in_all());
    open.map(|(role, system)| (role.file.clone(), system.clone())).collect()
}
