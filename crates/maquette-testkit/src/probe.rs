//! What the model's own side says of itself: the text of the engine's probe.

use std::fmt::Write;
use std::net::SocketAddr;

use maquette_core::blueprint::Bmc;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{LinkKind, Listening};
use maquette_engine::prepare;
use sha2::{Digest, Sha256};

use crate::Machine;

/// libvirt's hook for networks, as preparation installs it.
const HOOK: &str = include_str!("../../maquette-engine/assets/network-hook.sh");

/// Its clock, which stands still.
pub const NOW_S: u64 = 1_700_000_000;

/// What the probe prints of BMCs.
fn bmcs(machine: &Machine) -> String {
    let owner = machine.owners.get(&(ObjectKind::Bmc, String::new()));
    let Some((environment, bmcs)) = owner.zip(machine.seen.bmcs.as_ref()) else {
        return String::new();
    };
    let run = match (bmcs.run, bmcs.holds) {
        (true, _) => "yes",
        (false, true) => "part",
        (false, false) => "no",
    };
    let unreached = bmcs.unreached.iter().map(|node| format!("\nunreached {node}"));
    let lines = bmcs.digests.iter().map(|(node, digest)| format!("\nbmc {node} {digest}"));
    format!("environment {environment} {run}{}", unreached.chain(lines).collect::<String>())
}

/// Addresses that BMCs have of their own, on bridges of their networks.
fn addresses(machine: &Machine) -> String {
    let seen = &machine.seen;
    let bmcs = seen.domains.values().filter_map(|domain| domain.recorded.bmc.as_ref());
    let there = bmcs.filter(|bmc| bmc.own_address && seen.host.addresses.contains(&bmc.address));
    let line = |bmc: &Bmc| {
        let network = seen.networks.get(&bmc.network)?;
        Some(format!("9: {} inet {}/32 scope global\n", network.defined.bridge, bmc.address))
    };
    there.filter_map(line).collect()
}

/// What the probe prints of keys that open it for connections to nodes. One environment has any.
fn forwarding(machine: &Machine) -> String {
    let owner = machine.owners.get(&(ObjectKind::Host, String::new()));
    owner.zip(machine.seen.forwarding.as_ref()).map_or(String::new(), |(environment, known)| {
        let there = if known.authorized { "yes" } else { "no" };
        let recorded = &known.recorded;
        format!("{environment} {} {there} {}", recorded.user, recorded.key.without_comment())
    })
}

/// A port that some program has, as `ss` has it.
fn listening(at: &Listening) -> String {
    let protocol = if at.udp { "udp" } else { "tcp" };
    match at.address {
        None => format!("{protocol} *:{}\n", at.port),
        Some(address) => format!("{protocol} {}\n", SocketAddr::new(address, at.port)),
    }
}

/// What the probe prints there; `paths` are those that it looks for, `record` is preparation's,
/// `starts` says how long nodes took to start, `leases` is what is noted of environments.
pub fn text(
    machine: &Machine,
    paths: &[String],
    record: &str,
    starts: &str,
    leases: &str,
) -> String {
    let host = &machine.seen.host;
    let routes = host.default_nic.as_ref().map_or(String::new(), |nic| {
        format!("\n{nic}\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0")
    });
    let devices = host.links.keys().map(|name| format!("\n{name}: 1 1")).collect::<String>();
    let mut links = String::new();
    for (name, link) in &host.links {
        // Writing to a String cannot fail.
        let _ = match (&link.kind, &link.master) {
            (LinkKind::Bridge, _) => writeln!(links, "bridge {name}"),
            (LinkKind::Wireless, _) => writeln!(links, "wireless {name}"),
            (LinkKind::Foreign, _) => writeln!(links, "foreign {name}"),
            (LinkKind::Other, Some(master)) => writeln!(links, "port {name} {master}"),
            (LinkKind::Other, None) => Ok(()),
        };
    }
    // Nothing of a preparation that was killed is left.
    let there = |path: &&String| match path.rsplit_once('/') {
        Some((_, name)) if name.ends_with(".new") => false,
        Some((_, name)) => machine.installed || name == "curl" || name == "ssh",
        None => false,
    };
    let paths: Vec<&str> = paths.iter().filter(there).map(String::as_str).collect();
    let running = machine.seen.domains.values();
    let running = running.filter(|d| d.active || machine.forgotten.contains(d.name.as_str()));
    let uptime = |name: &str| machine.uptime_s.get(name).copied().unwrap_or(300);
    let guests: String =
        running.map(|d| format!("{} {} {}\n", 65_536, d.name, uptime(&d.name))).collect();
    let kvm = if machine.kvm_open { "660 kvm" } else { "600 root" };
    let flags = if machine.kvm { "flags : fpu vmx" } else { "flags : fpu" };
    let vswitch = if machine.vswitch { "kernel\nruns" } else { "kernel" };
    let digest = |there: bool, text: &str| match there {
        true => format!("{:x}", Sha256::digest(text)),
        false => String::new(),
    };
    let (hook, expiry) = (digest(machine.hook, HOOK), digest(machine.expiry, prepare::EXPIRE));
    let limits: String =
        machine.sysctls.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
    let sections = [
        ("name", "hv.example.com".to_string()),
        (
            "os",
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"".into(),
        ),
        ("cpus", machine.cpus.to_string()),
        ("flags", flags.into()),
        ("kvm", kvm.into()),
        ("ipv6", u8::from(host.lacks_ipv6).to_string()),
        ("selinux", if machine.seen.refuses_serial_files { "enforces" } else { "" }.into()),
        ("routes", format!("Iface\tDestination{routes}")),
        ("devices", format!("Inter-|\n face |{devices}")),
        ("memory", format!("MemTotal: {0} kB\nMemAvailable: {0} kB", machine.memory_mib * 1024)),
        ("links", links),
        ("addresses", addresses(machine)),
        ("guards", host.guarded.iter().map(|g| format!("{g}\n")).collect()),
        ("vswitch", vswitch.into()),
        ("hook", hook),
        ("expiry", expiry),
        ("access", machine.looks.get("access").map_or_else(String::new, |said| said.join("\n"))),
        ("time", NOW_S.to_string()),
        ("leases", leases.into()),
        ("images", machine.image_records.clone()),
        ("bmcs", bmcs(machine)),
        ("login", "root".into()),
        ("forwarding", forwarding(machine)),
        ("listening", host.listening.iter().map(listening).collect()),
        ("paths", paths.join("\n")),
        ("systemd", "yes".into()),
        ("monolithic", "yes".into()),
        ("nested", "kvm_intel Y".into()),
        ("guests", guests),
        ("limits", limits),
        ("zone", machine.timezone.clone()),
        ("forward", "-P FORWARD ACCEPT".into()),
        ("record", record.into()),
        ("starts", starts.into()),
        ("sshd", "maxsessions 100\nmaxstartups 100:30:100".into()),
        ("include", "Include /etc/ssh/sshd_config.d/*.conf".into()),
    ];
    sections.iter().map(|(name, text)| format!("\n@@ {name}\n{text}\n")).collect()
}
