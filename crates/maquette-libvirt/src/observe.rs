//! What is there: libvirt's lists and XML to an [`Observed`].

mod clones;
mod listed;
mod owner;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use maquette_core::blueprint::Template;
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{self, Claims, Hardware, HostNetwork, Observed};
use maquette_core::plan::PoolState;
use maquette_engine::host::HostError;
use maquette_engine::ssh_keys::RecordKey;
use thiserror::Error;

use crate::client::{self, Client, LibvirtError};
use crate::xml::metadata::MetadataError;
use crate::xml::read::{self, Parsed, Record};

use listed::Described;
use owner::{Asides, Judge, Object, Owner};

pub(crate) use listed::{Found, NetworkFound, domain_xmls, network_xmls, undescribed};
pub(crate) use owner::Written;

/// Why the hypervisor's state cannot be read.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// libvirt refused a call.
    #[error("cannot ask libvirt for its objects")]
    Call(#[from] LibvirtError),
    /// The hypervisor does not say what files are over.
    #[error("cannot tell what disks of others' domains are over")]
    Below(#[from] HostError),
    /// What libvirt says of a running domain of this environment cannot be used.
    #[error("cannot read what libvirt runs of domain `{name}`")]
    Read {
        /// The domain's libvirt name.
        name: String,
        /// Why it cannot be used.
        #[source]
        source: read::ReadError,
    },
    /// libvirt does not describe an object that is this environment's by its name.
    #[error("libvirt does not describe {kind} `{name}`")]
    Undescribed {
        /// Kind of object.
        kind: ObjectKind,
        /// The object's libvirt name.
        name: String,
        /// libvirt's error.
        #[source]
        source: LibvirtError,
    },
    /// An object of this environment has a record of a later version.
    #[error("cannot tell what belongs to {kind} `{name}`")]
    Record {
        /// Kind of object.
        kind: ObjectKind,
        /// The object's libvirt name.
        name: String,
        /// Why its record cannot be used.
        #[source]
        source: MetadataError,
    },
}

impl ObserveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let (kind, name) = match self {
            Self::Record { kind, name, source: _ } => (kind, name),
            Self::Read { name, .. } => {
                return Some(format!(
                    "`virsh dumpxml {name}` shows what libvirt says of it, and \
                     `virsh destroy {name}` stops it, so that it can be started again"
                ));
            }
            Self::Undescribed { .. } => {
                return Some("restarting libvirt's daemon may help".into());
            }
            Self::Call(_) | Self::Below(_) => return None,
        };
        let (dump, undefine) = match *kind {
            ObjectKind::Domain => ("dumpxml --inactive", "undefine"),
            _ => ("net-dumpxml --inactive", "net-undefine"),
        };
        Some(format!(
            "if no newer Maquette made it, see `virsh {dump} {name}`, and remove it \
             with `virsh {undefine} {name}`"
        ))
    }
}

/// What libvirt knows of one environment, before the host's own claims are added.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The environment's objects, and what other objects of libvirt claim.
    pub observed: Observed,
    /// State of the pool that the environment is built in.
    pub pool: PoolState,
    /// What could not be read of others' objects, such as `libvirt's description of domain x`: passed
    /// over, but for their names.
    pub unreadable: Vec<String>,
    /// Domains of this environment, `domain x`, whose records were sealed with another key than ours.
    pub sealed_by_others: Vec<String>,
    /// Objects that have a record of this environment and are not called as it says, in words: others'.
    pub copies: Vec<String>,
    /// Files of disks of others' domains that are off, with these domains: libvirt does not say what they are over.
    pub off: BTreeMap<String, BTreeSet<String>>,
    /// Disks of others of which it cannot be told what they are over, each with what to do.
    pub unsure: Vec<String>,
    own_bridges: BTreeSet<String>,
}

impl Seen {
    /// What there is where libvirt does not answer yet.
    pub fn nothing() -> Self {
        let (observed, own_bridges) = (Observed::default(), BTreeSet::new());
        Self {
            observed,
            pool: PoolState::Unknown,
            unreadable: Vec::new(),
            sealed_by_others: Vec::new(),
            copies: Vec::new(),
            off: BTreeMap::new(),
            unsure: Vec::new(),
            own_bridges,
        }
    }

    /// What there is, by what is known of it already.
    pub fn of(observed: Observed, pool: PoolState) -> Self {
        let own_bridges =
            observed.networks.values().map(|n| n.recorded.bridge.to_string()).collect();
        Self { observed, pool, own_bridges, ..Self::nothing() }
    }

    /// Adds the host's own side: what its addresses and routes claim, and what its interfaces are.
    pub fn on_host(mut self, addresses: &[(IpNet, String)], host: HostNetwork) -> Observed {
        claims_of_host(&mut self.observed.claims, addresses, &host, &self.own_bridges);
        self.observed.host = host;
        self.observed.forget_others_addresses();
        self.observed
    }
}

/// Reads all that concerns an environment. `pool` is the one it is built in; pools that its domains
/// name are read too. `key` is that of its records, where it is known: what was sealed with it and does
/// not fit any more was edited by somebody.
pub fn observe(
    client: &Client,
    environment: &EnvName,
    pool: &str,
    key: Option<&RecordKey>,
) -> Result<Seen, ObserveError> {
    let judge = Judge { environment, key };
    let (objects, first) = client::join(
        || -> Result<_, ObserveError> {
            let mut seen = Observed::default();
            let mut own_bridges = BTreeSet::new();
            let mut asides = Asides::default();
            let (found, listed) = client::join(|| domain_xmls(client), || network_xmls(client));
            domains(found?, judge, &mut seen, &mut asides)?;
            networks(listed?, judge, &mut seen, &mut own_bridges, &mut asides)?;
            Ok((seen, own_bridges, asides))
        },
        || pool_content(client, pool),
    );
    let (mut seen, own_bridges, mut asides) = objects?;
    let first = first?;
    let tenants = seen.networks.values().flat_map(|n| &n.recorded.tenants);
    let pools = seen.domains.values().map(|d| &d.pool).chain(tenants.map(|t| &t.pool));
    let pools = pools.chain(seen.disk_pools().map(|own| &own.pool));
    let mut others: BTreeSet<String> = pools.map(|pool| pool.name.to_string()).collect();
    others.remove(pool);
    for name in others {
        let content = pool_content(client, &name)?;
        note_volumes(&name, &content, &mut seen, &mut asides);
    }
    seen.pool_free = first.free;
    note_volumes(pool, &first, &mut seen, &mut asides);
    let Asides { unreadable, sealed_by_others, copies, off } = asides;
    Ok(Seen {
        observed: seen,
        pool: first.state,
        unreadable,
        sealed_by_others,
        copies,
        off,
        own_bridges,
        ..Seen::nothing()
    })
}

fn domains(
    all: Vec<Found>,
    judge: Judge<'_>,
    seen: &mut Observed,
    asides: &mut Asides,
) -> Result<(), ObserveError> {
    for Found { name, listed, defined, live } in all {
        let (kind, claimed) = (ObjectKind::Domain, &mut seen.claims.domains);
        let xml = judge.definition((kind, &name), defined, claimed, asides)?;
        let Some(xml) = xml else {
            // One that has gone since it was listed is not noted there.
            if claimed.contains(&name) {
                seen.claims.unread.insert(name);
            }
            continue;
        };
        let readable = Parsed::of(&xml).and_then(|xml| Ok((read::domain_in(&xml)?, xml)));
        let Ok((parsed, xml)) = readable else {
            asides.unreadable.push(undescribed(ObjectKind::Domain, &name));
            seen.claims.unread.insert(name.clone());
            seen.claims.domains.insert(name);
            continue;
        };
        let (object, known) = (Object { kind, name: &name, xml: &xml }, over_images(&parsed));
        match judge.owner(parsed.record, &object, asides)? {
            Owner::Own(mut record) => {
                let access = &mut record.node.access;
                access.address = access.address.or(parsed.mark.address);
                let bad = |source| ObserveError::Read { name: name.clone(), source };
                let live = live?.map(|xml| read::domain(&xml)).transpose().map_err(bad)?;
                let domain = observed::Domain {
                    name: record.node.name.clone(),
                    recorded: record.node,
                    pool: record.pool,
                    active: listed.active,
                    paused: listed.paused,
                    persistent: listed.persistent,
                    ready: parsed.mark.ready,
                    failed: parsed.mark.failed,
                    pulled: live.as_ref().map(|l| l.pulled.clone()).unwrap_or_default(),
                    defined: parsed.hardware,
                    vnc_port: live.as_ref().and_then(|l| l.vnc_port),
                    live: live.map(|l| l.hardware),
                };
                seen.domains.insert(domain.name.clone(), domain);
            }
            Owner::Edited(why) => {
                let files = parsed.hardware.disks.into_iter().map(|d| d.file).collect();
                let (active, paused) = (listed.active, listed.paused);
                seen.edited.push(edited((kind, name), (active, paused), files, None, why));
            }
            Owner::Other => {
                let defined = (&parsed.hardware, parsed.files.as_slice());
                let claims = &mut seen.claims;
                claim(&name, defined, (listed.active, live), &known, claims, asides);
            }
        }
    }
    Ok(())
}

/// What carries the environment's mark and a record that is not believed; whether it runs, and whether it is paused then.
fn edited(
    (kind, name): (ObjectKind, String),
    (active, paused): (bool, bool),
    files: Vec<String>,
    bridge: Option<String>,
    why: String,
) -> observed::Edited {
    observed::Edited { kind, name, active, paused, files, bridge, why }
}

/// Disks that are over images of Maquette's, or over nothing: of a node that is as its record says, and what is raw.
fn over_images(parsed: &read::DomainXml) -> BTreeSet<String> {
    let raw = parsed.raw.iter().cloned();
    let Record::Good(record) = &parsed.record else { return raw.collect() };
    let disks = Hardware::of(&record.node, &record.pool).disks;
    if record.of_another().is_some() || disks != parsed.hardware.disks {
        return raw.collect();
    }
    disks.into_iter().map(|disk| disk.file).chain(raw).collect()
}

/// Notes what a domain of somebody else has.
fn claim(
    name: &str,
    (hardware, files): (&Hardware, &[String]),
    (active, live): (bool, Described),
    over_images: &BTreeSet<String>,
    claims: &mut Claims,
    asides: &mut Asides,
) {
    let live = live.ok().flatten().and_then(|xml| read::domain(&xml).ok());
    claims.domain(name, hardware, live.as_ref().map(|live| &live.hardware), active);
    if !active && Template::is_called_so(name) {
        return;
    }
    // Of what runs libvirt says what its disks are over, too.
    let all = live.iter().flat_map(|live| &live.files).chain(files);
    for file in all {
        if !claims.files.get(file).is_some_and(|whose| whose.contains(name)) {
            claims.hold_below(file, name);
        }
    }
    // Of a disk that it has now libvirt says what that is over; not of one that it will have when it starts next.
    let has_now = |file: &String| active && live.iter().any(|live| live.files.contains(file));
    let unknown = files.iter().filter(|file| !has_now(file) && file.starts_with('/'));
    for file in unknown.filter(|file| !over_images.contains(*file)) {
        asides.off.entry(file.clone()).or_default().insert(name.into());
    }
}

fn networks(
    listed: Vec<NetworkFound>,
    judge: Judge<'_>,
    seen: &mut Observed,
    own_bridges: &mut BTreeSet<String>,
    asides: &mut Asides,
) -> Result<(), ObserveError> {
    for (name, active, xml) in listed {
        let (kind, claimed) = (ObjectKind::Network, &mut seen.claims.networks);
        let xml = judge.definition((kind, &name), xml, claimed, asides)?;
        let Some(xml) = xml else { continue };
        let readable = Parsed::of(&xml).and_then(|xml| Ok((read::network_in(&xml)?, xml)));
        let Ok((parsed, xml)) = readable else {
            asides.unreadable.push(undescribed(ObjectKind::Network, &name));
            seen.claims.networks.insert(name);
            continue;
        };
        let bridge = Some(parsed.wiring.bridge.clone()).filter(|b| !b.is_empty());
        let object = Object { kind: ObjectKind::Network, name: &name, xml: &xml };
        match judge.owner(parsed.record, &object, asides)? {
            Owner::Own(record) => {
                own_bridges.extend(bridge);
                let vswitch = record.network.carrier.vswitch();
                own_bridges
                    .extend(vswitch.into_iter().flat_map(|v| &v.ports).map(|p| p.name.to_string()));
                let network = observed::Network {
                    name: record.network.name.clone(),
                    recorded: record.network,
                    allocation: record.allocation,
                    active,
                    defined: parsed.wiring,
                    added: parsed.added,
                };
                seen.networks.insert(network.name.clone(), network);
            }
            Owner::Edited(why) => {
                own_bridges.extend(bridge.clone());
                let object = (ObjectKind::Network, name);
                seen.edited.push(edited(object, (active, false), Vec::new(), bridge, why));
            }
            Owner::Other => {
                seen.claims.bridges.extend(bridge);
                let owner = format!("network `{name}`");
                let subnets = parsed.wiring.addresses.into_iter();
                seen.claims.subnets.extend(subnets.map(|n| (n, owner.clone())));
                let (nics, whole) = read::direct_nics(&xml);
                seen.claims.note_nics(&name, nics, whole);
                seen.claims.networks.insert(name);
            }
        }
    }
    Ok(())
}

/// Bridges of our own networks are interfaces of the host with addresses and routes, too.
fn claims_of_host(
    claims: &mut Claims,
    addresses: &[(IpNet, String)],
    host: &HostNetwork,
    own_bridges: &BTreeSet<String>,
) {
    let own = |name: &str| own_bridges.contains(name);
    claims.bridges.extend(host.links.keys().filter(|i| !own(i)).cloned());
    let foreign = |(_, owner): &&(IpNet, String)| {
        let name = owner.strip_prefix("interface ").unwrap_or(owner);
        !own(name)
    };
    claims.routes.extend(host.routes.iter().filter(foreign).cloned());
    for (net, owner) in addresses.iter().filter(foreign) {
        // A libvirt network that is known by name need not be reported as a bridge again.
        if !claims.subnets.iter().any(|(known, _)| known.trunc() == net.trunc()) {
            claims.subnets.push((*net, owner.clone()));
        }
    }
}

/// A pool's state, and what is in it if it runs.
struct PoolContent {
    state: PoolState,
    volumes: Option<BTreeSet<String>>,
    free: Option<u64>,
}

fn pool_content(client: &Client, name: &str) -> Result<PoolContent, LibvirtError> {
    let Some(pool) = client.pool(name)? else {
        return Ok(PoolContent { state: PoolState::Missing, volumes: None, free: None });
    };
    let ((xml, info), refreshed) = client::join(
        || client::join(|| client::pool_xml(&pool), || client::pool_info(&pool)),
        || client::refresh_pool(&pool),
    );
    Ok(content(xml, info, refreshed, || client::volume_names(&pool)))
}

/// What is in a pool, by libvirt's answers. A pool that is not a directory, or has a file that libvirt
/// cannot read, does not end every command.
fn content(
    xml: Result<String, LibvirtError>,
    info: Result<(bool, u64), LibvirtError>,
    refreshed: Result<(), LibvirtError>,
    names: impl FnOnce() -> Result<Vec<String>, LibvirtError>,
) -> PoolContent {
    let as_it_is = |state| PoolContent { state, volumes: None, free: None };
    let unreadable = |why: &dyn std::error::Error| as_it_is(PoolState::Unreadable(why.to_string()));
    let (xml, (active, free)) = match (xml, info) {
        (Ok(xml), Ok(info)) => (xml, info),
        (Err(error), _) | (_, Err(error)) => return unreadable(&error),
    };
    let path = match read::pool_path(&xml) {
        Ok(path) => path,
        Err(error) => return unreadable(&error),
    };
    // A pool that does not run cannot be refreshed. One that cannot be read is stopped by that, and libvirt
    // says which file it is only here.
    let refused = refreshed.err().filter(|error| !error.is_out_of_state());
    if !active {
        return match refused {
            Some(error) => unreadable(&error),
            None => as_it_is(PoolState::Inactive(path)),
        };
    }
    match names() {
        Ok(names) => PoolContent {
            state: PoolState::Active(path),
            volumes: Some(names.into_iter().collect()),
            free: Some(free),
        },
        Err(error) => unreadable(&refused.unwrap_or(error)),
    }
}

/// Notes what is in a pool. Of one that cannot be read it is not known that a node's volumes are missing, and
/// nothing is to be made again because of that.
fn note_volumes(pool: &str, content: &PoolContent, seen: &mut Observed, asides: &mut Asides) {
    if let PoolState::Unreadable(why) = &content.state {
        asides.unreadable.push(format!("what is in storage pool `{pool}` ({why})"));
        let placed = seen.domains.values().flat_map(|d| d.recorded.placed(&d.pool));
        let in_it = placed.filter(|(place, _)| place.name == pool);
        let recorded = in_it.map(|(_, volume)| volume.to_string()).collect();
        seen.volumes.insert(pool.to_string(), recorded);
    }
    if let Some(volumes) = &content.volumes {
        seen.volumes.insert(pool.to_string(), volumes.clone());
    }
}

#[cfg(test)]
mod tests {
    use maquette_core::observed::NicClaim;

    use super::*;
    use crate::survey;
    use crate::xml::metadata::NAMESPACE;

    /// Whoever wrote our namespace into a network that cannot be read stopped every command of
    /// every environment.
    #[test]
    fn what_cannot_be_read_is_named_and_passed_over_whosever_it_claims_to_be() {
        let environment = EnvName::default();
        let judge = Judge { environment: &environment, key: None };
        let (mut seen, mut asides) = (Observed::default(), Asides::default());
        let listed =
            [String::new(), format!("<metadata><m:network xmlns:m='{NAMESPACE}'")].map(|more| {
                ("x".to_string(), true, Ok(Some(format!("<network><name>x</name>{more}"))))
            });
        networks(listed.into(), judge, &mut seen, &mut BTreeSet::new(), &mut asides).unwrap();
        assert_eq!(asides.unreadable, ["libvirt's description of network `x`"; 2]);
        assert!(seen.claims.networks.contains("x") && seen.edited.is_empty());
    }

    /// `up` failed on the way: the NIC was in use.
    #[test]
    fn nics_that_networks_of_others_are_on_are_claimed() {
        let environment = EnvName::default();
        let judge = Judge { environment: &environment, key: None };
        let (mut seen, mut asides) = (Observed::default(), Asides::default());
        let xml = "<network><name>x</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid>\
                   <forward dev='eno2' mode='passthrough'><interface dev='eno2'/></forward></network>";
        let listed = vec![("x".to_string(), true, Ok(Some(xml.to_string())))];
        networks(listed, judge, &mut seen, &mut BTreeSet::new(), &mut asides).unwrap();
        let claim = NicClaim { nic: "eno2".into(), network: "x".into(), whole: true };
        assert_eq!(seen.claims.nics, [claim]);
    }

    /// Its guest wrote a header into its disk: others' disks were taken for what that was over.
    #[test]
    fn nobody_asks_a_raw_disk_of_others_what_it_is_over() {
        let disk = |kind: &str| {
            format!(
                "<disk type='file'><driver type='{kind}'/><source file='/p/{kind}'/><target dev='vda'/></disk>"
            )
        };
        let xml = format!(
            "<domain><name>a</name><uuid>5f0c8b9e-63f6-4a1c-8a54-8a2f2f5b0c11</uuid><memory>1024</memory>\
             <vcpu>1</vcpu><devices>{}{}</devices></domain>",
            disk("raw"),
            disk("qcow2")
        );
        let parsed = read::domain(&xml).unwrap();
        let (mut claims, mut asides) = (Claims::default(), Asides::default());
        let over = over_images(&parsed);
        let defined = (&parsed.hardware, parsed.files.as_slice());
        claim("a", defined, (false, Ok(None)), &over, &mut claims, &mut asides);
        assert_eq!(asides.off.keys().collect::<Vec<_>>(), ["/p/qcow2"]);
    }

    fn failed<T>(why: &str) -> Result<T, LibvirtError> {
        Err(LibvirtError::refused(why))
    }

    /// What libvirt lists and refuses to describe ended every command of everybody.
    #[test]
    fn what_libvirt_refuses_to_describe_is_named_and_passed_over_unless_it_is_ours() {
        let client = Client::open_for_tests("test:///default").unwrap();
        let refused = || {
            let mut found = domain_xmls(&client).unwrap();
            found[0].defined = failed("internal error");
            found
        };
        let look = |environment: &EnvName| {
            let judge = Judge { environment, key: None };
            let (mut seen, mut asides) = (Observed::default(), Asides::default());
            domains(refused(), judge, &mut seen, &mut asides)?;
            let listed = vec![("test".to_string(), true, failed("internal error"))];
            networks(listed, judge, &mut seen, &mut BTreeSet::new(), &mut asides)?;
            let claims = seen.claims;
            assert!(claims.domains.contains("test") && claims.networks.contains("test"));
            assert!(claims.unread.contains("test"));
            Ok::<_, ObserveError>(asides.unreadable)
        };
        let passed = ["domain", "network"].map(|kind| undescribed(kind, "test"));
        assert_eq!(look(&EnvName::default()).unwrap(), passed);
        assert_eq!(look(&EnvName::from_prefix("lab").unwrap()).unwrap(), passed);
        let all = survey::of(refused(), Vec::new());
        assert_eq!((all.unreadable, all.domains.len()), (vec![passed[0].clone()], 0));
        let (mut seen, mut asides) = (Observed::default(), Asides::default());
        let environment = EnvName::from_prefix("te").unwrap();
        let judge = Judge { environment: &environment, key: None };
        let listed = vec![("te-lan".to_string(), true, failed("internal error"))];
        let ours = networks(listed, judge, &mut seen, &mut BTreeSet::new(), &mut asides);
        assert_eq!(ours.unwrap_err().to_string(), "libvirt does not describe network `te-lan`");
    }

    /// A pool with one file that libvirt cannot read, and one that is not a directory, ended every command.
    #[test]
    fn a_pool_that_cannot_be_read_is_named_and_its_volumes_are_not_missing() {
        let directory = || Ok("<pool><target><path>/x</path></target></pool>".to_string());
        let unreadable = |content: &PoolContent| match &content.state {
            PoolState::Unreadable(why) => why.clone(),
            other => panic!("{other:?}"),
        };
        let file = "cannot open volume '/x/y': Permission denied";
        let stopped = || failed("storage pool 'images' is not active");
        // Looked at before and after the refresh has stopped it.
        for (active, names) in [(true, stopped as fn() -> _), (false, || panic!())] {
            let content = content(directory(), Ok((active, 1)), failed(file), names);
            assert_eq!(unreadable(&content), file);
        }
        let network = content(Ok("<pool type='rbd'/>".into()), Ok((true, 1)), Ok(()), stopped);
        assert!(unreadable(&network).contains("target"));
        // Somebody else at work in it refuses a refresh, and all is known.
        let busy = content(directory(), Ok((true, 1)), failed("busy"), || Ok(vec!["v".into()]));
        assert_eq!((&busy.state, busy.free), (&PoolState::Active("/x".into()), Some(1)));

        let (mut seen, mut asides) = (Observed::default(), Asides::default());
        note_volumes("images", &network, &mut seen, &mut asides);
        assert!(asides.unreadable[0].starts_with("what is in storage pool `images` ("));
        assert!(seen.volumes.contains_key("images"), "volumes of nodes would be made anew");
    }
}
