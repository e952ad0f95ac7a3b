//! What is named as the cause, for each thing that can be wrong alone and for several at once.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod hypervisor;

use std::collections::BTreeMap;

use maquette_core::blueprint::Bmc;
use maquette_core::doctor::firewall::Ruleset;
use maquette_core::doctor::{
    Finding, Frames, HostSigns, Inside, Load, LoginTried, Neighbour, NetworkSigns, NodeSigns,
    Power, Space, Subject, diagnose,
};
use maquette_core::node_state::{ConsoleEnd, Evidence, SshAnswer};
use maquette_core::observed::{Domain, Observed};
use maquette_core::topology::{BmcProtocol, VirtType};
use maquette_core::units::MacAddr;
use maquette_testkit::{apply, input, plan_of};

/// A node that runs, on a hypervisor and a network that are well.
struct Scene {
    host: HostSigns,
    observed: Observed,
    signs: NodeSigns,
}

const NODE: &str = "controller-0";

/// What makes a scene another.
type Change = fn(&mut Scene);

impl Scene {
    fn well() -> Self {
        let asked =
            ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
        let mut observed = Observed::default();
        let plan = plan_of(&input(&[("controller", 1)], "3_nets", &asked), &observed);
        apply(&mut observed, &plan.steps);
        let domain = &observed.domains[NODE];
        let nics = &domain.recorded.interfaces;
        let frames = nics.iter().map(|nic| (nic.mac, Frames { sent: 9, received: 9 })).collect();
        let leases: BTreeMap<MacAddr, _> =
            nics.iter().filter_map(|n| Some((n.mac, n.ipv4.address()?.addr().into()))).collect();
        let network = NetworkSigns { dnsmasq: Some(true), leases };
        let networks = observed.networks.keys().map(|name| (name.to_string(), network.clone()));
        let host = HostSigns {
            pool: Some(Space { path: "/pool".into(), free: 1 << 40, size: 1 << 41 }),
            memory_mib: Some((8000, 7000)),
            forwards: Some(true),
            uplink: Some("eth0".into()),
            networks: networks.collect(),
            ..HostSigns::default()
        };
        let evidence = Evidence {
            ssh: Some(SshAnswer::Greeted),
            console_read: true,
            uptime_s: Some(5000),
            ..Evidence::default()
        };
        let inside = Inside { errors: Some(Vec::new()), ..Inside::default() };
        let signs = NodeSigns {
            evidence,
            power: Some(Power::Running),
            reads: Some(500),
            frames,
            login: Some(LoginTried::In(inside)),
            ..NodeSigns::default()
        };
        Self { host, observed, signs }
    }

    fn domain(&mut self) -> &mut Domain {
        self.observed.domains.get_mut(NODE).unwrap()
    }

    /// AppArmor's profile of its QEMU.
    fn profile(&mut self) -> String {
        format!("libvirt-{}", self.domain().recorded.uuid)
    }

    /// The NIC through which the node is reached.
    fn nic(&self) -> (MacAddr, String) {
        let node = &self.observed.domains[NODE].recorded;
        let address = node.access.address.unwrap();
        let nic = node.interfaces.iter().find(|i| i.has_address(address)).unwrap();
        (nic.mac, nic.network.to_string())
    }

    fn all(&self) -> Vec<Finding> {
        let signs = BTreeMap::from([(NODE.to_string(), self.signs.clone())]);
        diagnose(&self.host, &self.observed, &signs)
    }

    /// Codes of what is wrong with the node.
    fn codes(&self) -> Vec<&'static str> {
        let of_node = |f: &Finding| f.subject == Subject::Node(NODE.into());
        self.all().into_iter().filter(of_node).map(|f| f.code).collect()
    }

    fn says(&mut self, console: &str, age_s: u64) {
        self.signs.evidence.console = Some(ConsoleEnd { text: console.into(), age_s });
    }

    fn answers(&mut self, answer: SshAnswer) {
        self.signs.evidence.ssh = Some(answer);
        self.signs.login = None;
    }

    fn mute(&mut self) {
        self.signs.frames.values_mut().for_each(|frames| frames.sent = 0);
    }

    fn without_lease(&mut self) {
        self.host.networks.values_mut().for_each(|n| n.leases.clear());
    }
}

/// AppArmor's line for a file.
fn denial(profile: &str, file: &str) -> String {
    format!("[ 900.5] audit: apparmor=\"DENIED\" profile=\"{profile}\" name=\"{file}\"")
}

/// Each cause, lowest first: what makes it, and what it is called.
const CAUSES: [(&str, Change); 26] = [
    ("pool-full", |s| {
        s.signs.power = Some(Power::IoError);
        s.host.pool.as_mut().unwrap().free = 0;
    }),
    ("io-error", |s| s.signs.power = Some(Power::IoError)),
    ("out-of-memory", |s| {
        s.signs.power = Some(Power::EmulatorDied);
        let line = r"oom-kill:x,task_memcg=/machine.slice/machine-qemu\x2d1\x2dcontroller\x2d0.scope,task=qemu";
        s.host.kernel_log.push(line.into());
    }),
    ("apparmor-denied", |s| {
        s.signs.power = Some(Power::StartFailed);
        let file = s.domain().defined.disks[0].file.clone();
        let profile = s.profile();
        s.host.kernel_log.push(denial(&profile, &file));
    }),
    ("selinux-denied", |s| {
        s.signs.power = Some(Power::StartFailed);
        let file = s.domain().defined.disks[0].file.rsplit('/').next().unwrap().to_string();
        s.host
            .kernel_log
            .push(format!("avc:  denied  {{ read }} name=\"{file}\" scontext=svirt_t"));
    }),
    ("emulator-died", |s| s.signs.power = Some(Power::EmulatorDied)),
    ("start-failed", |s| s.signs.power = Some(Power::StartFailed)),
    ("paused", |s| s.signs.power = Some(Power::Paused)),
    ("shut-off", |s| s.signs.power = Some(Power::Off("shut off".into()))),
    ("kernel-panic", |s| s.signs.power = Some(Power::GuestCrashed)),
    ("cable-pulled", |s| {
        let (mac, _) = s.nic();
        s.domain().pulled = vec![mac];
        s.answers(SshAnswer::NoRoute);
    }),
    ("no-boot-sector", |s| {
        s.answers(SshAnswer::NoRoute);
        s.mute();
        s.signs.boot_sector = Some(false);
    }),
    ("nothing-boots", |s| {
        s.answers(SshAnswer::NoRoute);
        s.mute();
        (s.signs.boot_sector, s.signs.reads) = (Some(true), Some(2));
    }),
    ("boot-loader", |s| {
        s.answers(SshAnswer::NoRoute);
        s.says("error: no such partition.\ngrub rescue> ", 900);
    }),
    ("boot-refused", |s| {
        s.answers(SshAnswer::NoRoute);
        s.says("BdsDxe: failed to load Boot0001 x: Access Denied\nBdsDxe: No bootable option", 900);
    }),
    ("nothing-to-boot", |s| {
        s.answers(SshAnswer::NoRoute);
        s.mute();
        s.says("BdsDxe: No bootable option or device was found.\n", 900);
    }),
    ("kernel-panic", |s| {
        s.answers(SshAnswer::NoRoute);
        s.says("[ 1.0] Kernel panic - not syncing: no init", 900);
    }),
    ("emergency-mode", |s| {
        s.answers(SshAnswer::NoRoute);
        s.says("You are in emergency mode. After logging in", 900);
    }),
    ("nic-silent", |s| {
        s.answers(SshAnswer::NoRoute);
        s.says("Starting network", 900);
        s.mute();
    }),
    ("dhcp-server-stopped", |s| {
        s.answers(SshAnswer::NoRoute);
        s.without_lease();
        s.host.networks.values_mut().for_each(|n| n.dnsmasq = Some(false));
    }),
    ("dhcp-unanswered", |s| {
        s.answers(SshAnswer::NoRoute);
        s.without_lease();
        s.signs.dhcp_log.push("DHCPDISCOVER(x) no address available".into());
    }),
    ("dhcp-no-lease", |s| {
        s.answers(SshAnswer::NoRoute);
        s.without_lease();
    }),
    ("address-taken", |s| {
        s.answers(SshAnswer::Refused);
        s.signs.neighbour = Some(Neighbour::Has(MacAddr([2, 0, 0, 0, 0, 1])));
    }),
    ("address-silent", |s| s.answers(SshAnswer::NoRoute)),
    ("port-closed", |s| s.answers(SshAnswer::Refused)),
    ("port-filtered", |s| s.answers(SshAnswer::Silent)),
];

#[test]
fn nothing_is_said_of_a_node_that_is_well() {
    let scene = Scene::well();
    assert_eq!(scene.all(), []);
    let (mac, _) = scene.nic();
    let node = &scene.observed.domains[NODE].recorded;
    assert!(
        node.interfaces.iter().any(|i| i.mac == mac && i.ipv4.asks_dhcp()),
        "the node asks DHCP"
    );
}

#[test]
fn each_cause_is_named() {
    for (code, change) in CAUSES {
        let mut scene = Scene::well();
        change(&mut scene);
        let found = scene.codes();
        assert_eq!(found.first(), Some(&code), "{found:?}");
        for finding in scene.all() {
            assert!(!finding.advice.is_empty(), "{code}: nothing can be done about it");
        }
    }
}

/// What is below makes what is above: only the state of the domain, or a guest that came no further, is worth a word.
#[test]
fn of_two_causes_the_lower_one_is_named() {
    let all: [(&str, Change); 6] = [
        ("kernel-panic", |s| s.says("Kernel panic - not syncing", 900)),
        ("nic-silent", |s| {
            s.says("Starting network", 900);
            s.mute();
        }),
        ("dhcp-server-stopped", |s| {
            s.without_lease();
            s.host.networks.values_mut().for_each(|n| n.dnsmasq = Some(false));
        }),
        ("address-taken", |s| {
            s.signs.neighbour = Some(Neighbour::Has(MacAddr([2, 0, 0, 0, 0, 1])));
        }),
        ("cable-pulled", |s| {
            let (mac, _) = s.nic();
            s.domain().pulled = vec![mac];
        }),
        ("pool-full", |s| {
            s.signs.power = Some(Power::IoError);
            s.host.pool.as_mut().unwrap().free = 0;
        }),
    ];
    let order = [
        "pool-full",
        "cable-pulled",
        "kernel-panic",
        "nic-silent",
        "dhcp-server-stopped",
        "address-taken",
    ];
    for (first, change) in all {
        for (second, other) in all.into_iter().filter(|(second, _)| *second != first) {
            let mut scene = Scene::well();
            scene.answers(SshAnswer::NoRoute);
            // One console only.
            let (a, b) = if first == "kernel-panic" { (other, change) } else { (change, other) };
            a(&mut scene);
            b(&mut scene);
            let place = |code| order.iter().position(|o| *o == code).unwrap();
            let expected = if place(first) < place(second) { first } else { second };
            assert_eq!(scene.codes().first(), Some(&expected), "{first} and {second}");
        }
    }
}

/// A guest whose port is closed has an address: whatever DHCP does now is not why.
#[test]
fn a_node_that_has_its_address_does_not_lack_dhcp() {
    let mut scene = Scene::well();
    scene.answers(SshAnswer::Refused);
    scene.without_lease();
    scene.host.networks.values_mut().for_each(|n| n.dnsmasq = Some(false));
    assert_eq!(scene.codes(), ["port-closed"]);
    let (mac, _) = scene.nic();
    scene.answers(SshAnswer::Silent);
    assert_eq!(scene.codes(), ["dhcp-server-stopped"]);
    scene.signs.neighbour = Some(Neighbour::Has(mac));
    assert_eq!(scene.codes(), ["port-filtered"]);
    // A lease of an earlier boot does not help a guest that asks again.
    let mut scene = Scene::well();
    scene.answers(SshAnswer::NoRoute);
    scene.host.networks.values_mut().for_each(|n| n.dnsmasq = Some(false));
    assert_eq!(scene.codes(), ["dhcp-server-stopped"]);
}

#[test]
fn a_guest_that_found_no_seed_is_told_where_else_it_can_be() {
    let mut scene = Scene::well();
    scene.answers(SshAnswer::Refused);
    scene.says(
        "Cloud-init v. 22.4.2 finished at noon. Datasource DataSourceNone.  Up 34.50 seconds",
        20,
    );
    let found = scene.all();
    assert_eq!(found[0].code, "no-seed");
    assert!(found[0].advice.iter().any(|line| line.contains("`seed: disk`")), "{found:?}");
}

#[test]
fn a_guest_that_was_just_started_is_not_called_dead() {
    let mut scene = Scene::well();
    scene.answers(SshAnswer::NoRoute);
    scene.mute();
    scene.signs.evidence.uptime_s = Some(10);
    let found = scene.all();
    assert_eq!(found[0].code, "address-silent");
    let said = "it was started 10 s ago, and may still be starting";
    assert!(found[0].evidence.iter().any(|line| line == said), "{found:?}");
    let (cause, told) = (found[0].cause.clone(), found[0].clone().told());
    assert_eq!(told.cause, "it is still booting: it was started 10 s ago");
    assert_eq!(told.evidence[0], format!("so far: {cause}"));
    assert!(!told.evidence.iter().any(|line| line == said), "{told:?}");
    // Whoever waits is told what changes only, and a fault once a boot has had its time.
    assert!(found[0].clone().briefly().starts_with(&cause));
    scene.signs.evidence.uptime_s = Some(200);
    let late = scene.all().remove(0);
    assert_eq!(late.clone().told(), late);
    scene.signs.evidence.uptime_s = Some(10);
    // What was written before that says nothing about now.
    scene.says("Kernel panic - not syncing", 900);
    assert_eq!(scene.codes(), ["address-silent"]);
}

/// A node that is replaced loses its disks, and a slow one boots in the end.
#[test]
fn another_image_is_advised_only_where_nothing_tells_that_this_one_boots() {
    let advised =
        |s: &Scene| s.all().iter().flat_map(|f| &f.advice).any(|a| a.contains("another image"));
    let silent: [(&str, Change); 4] = [
        ("no-boot-sector", |s| s.signs.boot_sector = Some(false)),
        ("nothing-boots", |s| s.signs.reads = Some(2)),
        ("boot-silent", |_| {}),
        ("nic-silent", |s| s.says("Starting network", 900)),
    ];
    for (code, change) in silent {
        let mut scene = Scene::well();
        scene.answers(SshAnswer::NoRoute);
        scene.mute();
        change(&mut scene);
        assert_eq!((scene.codes(), advised(&scene)), (vec![code], false), "it was ready once");
        scene.domain().ready = false;
        assert_eq!((scene.codes(), advised(&scene)), (vec![code], true));
        let mut other = scene.domain().clone();
        (other.name, other.ready) = ("controller-1".parse().unwrap(), true);
        scene.observed.domains.insert(other.name.clone(), other);
        assert_eq!((scene.codes(), advised(&scene)), (vec![code], false), "another of it is");
    }
}

/// Rules of IPv4 say nothing of a network that has none.
#[test]
fn a_network_with_ipv6_alone_is_not_judged_by_ipv4() {
    let mut scene = Scene::well();
    scene.host.forwards = Some(false);
    let found = |scene: &Scene| scene.all().iter().any(|f| f.code == "forwarding-off");
    assert!(found(&scene));
    for network in scene.observed.networks.values_mut() {
        network.recorded.ipv4 = None;
        network.recorded.ipv6 = Some("fd00:9::1/64".parse().unwrap());
    }
    assert!(!found(&scene));
}

#[test]
fn a_guest_whose_console_moves_or_whose_hypervisor_is_busy_is_only_slow() {
    let mut scene = Scene::well();
    scene.answers(SshAnswer::NoRoute);
    scene.mute();
    scene.domain().ready = false;
    scene.says("[  OK  ] Started Something.", 3);
    let found = scene.all();
    assert_eq!(found[0].code, "nic-silent");
    assert!(found[0].cause.ends_with("has not come as far as its network"), "{found:?}");
    scene.says("[ TIME ] Timed out waiting for sda.\n[DEPEND] x\n[ *** ] A job runs", 900);
    let found = scene.all();
    assert!(found[0].evidence[0].ends_with("[ TIME ] Timed out waiting for sda."), "{found:?}");
    assert!(!found[0].advice.iter().any(|line| line.contains("image")), "{found:?}");
    // It says nothing at all: that is much later to be called silent.
    scene.signs.evidence.console = None;
    scene.host.load = Some(Load { average: 28, cpus: 2 });
    let found = scene.all();
    assert_eq!((found[0].code, found[0].may_pass()), ("boot-silent", true));
    assert!(found[0].cause.ends_with("it may only need longer"), "{found:?}");
    assert!(found[0].evidence[0].starts_with("the hypervisor's load is 28 on 2 CPUs"), "{found:?}");
    scene.signs.evidence.uptime_s = Some(200);
    assert!(!scene.codes().contains(&"boot-silent"));
    scene.host.load = Some(Load { average: 6, cpus: 2 });
    scene.domain().recorded.virt = VirtType::Kvm;
    assert_eq!(scene.codes(), ["boot-silent"]);
    scene.domain().recorded.virt = VirtType::Qemu;
    assert!(!scene.codes().contains(&"boot-silent"));
}

#[test]
fn logins_and_first_boots_are_told_apart() {
    let said = || "x".to_string();
    let errors = |list: &[&str]| Some(list.iter().map(|e| (*e).to_string()).collect());
    for (tried, code) in [
        (LoginTried::OtherHostKey(said()), "host-key"),
        (LoginTried::Refused(said()), "login-refused"),
        (LoginTried::Failed(said()), "login-failed"),
        (LoginTried::NoKey, "no-key"),
        (
            LoginTried::In(Inside { errors: errors(&["Invalid timezone"]), ..Inside::default() }),
            "cloud-init-failed",
        ),
        (
            LoginTried::In(Inside { full: vec![("/".into(), 100)], ..Inside::default() }),
            "guest-disk-full",
        ),
    ] {
        let mut scene = Scene::well();
        scene.signs.login = Some(tried);
        assert_eq!(scene.codes(), [code]);
    }
    let mut scene = Scene::well();
    (scene.domain().ready, scene.domain().failed) = (false, Some("cloud-init failed: x".into()));
    scene.answers(SshAnswer::Refused);
    assert_eq!(scene.codes(), ["port-closed", "cloud-init-failed"]);
    let mut scene = Scene::well();
    scene.domain().ready = false;
    assert_eq!(scene.codes(), ["first-boot-unseen"]);
    scene.signs.login = Some(LoginTried::In(Inside::default()));
    assert_eq!(scene.codes(), ["first-boot-runs"]);
}

#[test]
fn what_is_wrong_with_a_network_is_said_of_it() {
    let codes = |change: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::well();
        change(&mut scene);
        let found = scene.all().into_iter();
        let of_network =
            |f: &Finding| matches!(&f.subject, Subject::Network(name) if *name == scene.nic().1);
        found.filter(of_network).map(|f| f.code).collect::<Vec<_>>()
    };
    let drop_all = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\nCOMMIT\n";
    assert!(codes(&|_| {}).is_empty());
    assert_eq!(codes(&|s| s.host.forwards = Some(false)), ["forwarding-off"]);
    assert_eq!(
        codes(&|s| s.host.firewall = Ruleset::read(drop_all, "")),
        ["dhcp-filtered", "forward-filtered"]
    );
    let bridged = |s: &mut Scene| {
        s.host.firewall = Ruleset::read(&drop_all.replace(":INPUT DROP", ":INPUT ACCEPT"), "");
        s.host.bridge_filtered = true;
    };
    assert_eq!(codes(&bridged), ["forward-filtered", "bridge-filtered"]);
    let stopped = |s: &mut Scene| s.observed.networks.values_mut().for_each(|n| n.active = false);
    assert_eq!(codes(&stopped), ["network-stopped"]);
}

#[test]
fn a_firewall_that_keeps_nodes_from_bmcs_is_named() {
    let found = |rules: &Ruleset| {
        let mut scene = Scene::well();
        let (_, name) = scene.nic();
        let network = scene.observed.networks.values().find(|n| n.name.as_str() == name).unwrap();
        let (network, address) = (network.name.clone(), network.recorded.ipv4.unwrap().addr());
        scene.domain().recorded.bmc = Some(Bmc {
            protocol: BmcProtocol::Both,
            network,
            address: address.into(),
            own_address: false,
            redfish_port: 8443.try_into().unwrap(),
            ipmi_port: 6230.try_into().unwrap(),
            provisioning: None,
        });
        scene.host.firewall = rules.clone();
        let all = scene.all().into_iter().filter(|finding| finding.code == "bmc-filtered");
        all.flat_map(|finding| finding.advice).collect::<Vec<_>>().join("; ")
    };
    let iptables =
        |rules: &str| Ruleset::read(&format!("*filter\n:INPUT DROP [0:0]\n{rules}\nCOMMIT\n"), "");
    let closed = found(&iptables("-A INPUT -p udp -m udp --dport 67 -j ACCEPT"));
    assert!(closed.contains(" to 8443/tcp and 6230/udp pass"), "{closed}");
    let one = found(&iptables("-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT"));
    assert!(one.contains(" to 6230/udp pass"), "{one}");
    let both = "-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT\n\
                -A INPUT -p udp -m udp --dport 6230 -j ACCEPT";
    assert_eq!(found(&iptables(both)), "");
    // As firewalld has it, with libvirt's zone.
    let own = "\"family\": \"inet\", \"table\": \"firewalld\"";
    let chain = format!(
        "{{\"chain\": {{{own}, \"name\": \"in\", \"type\": \"filter\", \"hook\": \"input\", \"policy\": \"drop\"}}}}"
    );
    let firewalld = found(&Ruleset::read("", &format!("{{\"nftables\": [{chain}]}}")));
    assert!(firewalld.contains("--add-port=8443/tcp --add-port=6230/udp"), "{firewalld}");
}

/// What a firewall says of what leaves the hypervisor, in the words of iptables and of nft.
fn leaving(iptables: &str, nft: &str) -> (Ruleset, Ruleset) {
    let all = format!("*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{iptables}\nCOMMIT\n");
    let own = "\"family\": \"inet\", \"table\": \"mine\"";
    let chain = format!(
        "{{\"chain\": {{{own}, \"name\": \"out\", \"type\": \"filter\", \"hook\": \"output\"}}}}"
    );
    let rule = format!(
        "{{\"rule\": {{{own}, \"chain\": \"out\", \"expr\": [{nft}, {{\"drop\": null}}]}}}}"
    );
    (Ruleset::read(&all, ""), Ruleset::read("", &format!("{{\"nftables\": [{chain}, {rule}]}}")))
}

fn payload(protocol: &str, field: &str, right: &str) -> String {
    format!(
        "{{\"match\": {{\"op\": \"==\", \"left\": {{\"payload\": {{\"protocol\": \"{protocol}\", \"field\": \"{field}\"}}}}, \"right\": {right}}}}}"
    )
}

#[test]
fn answers_to_requests_for_addresses_that_are_dropped_are_named() {
    let codes = |rules: &Ruleset| {
        let mut scene = Scene::well();
        scene.host.firewall = rules.clone();
        let found = scene.all().into_iter().filter(|f| matches!(f.subject, Subject::Network(_)));
        found.map(|f| (f.code, f.cause.clone())).collect::<Vec<_>>()
    };
    let (iptables, nft) =
        leaving("-A OUTPUT -p udp -m udp --sport 67 -j DROP", &payload("udp", "sport", "67"));
    for rules in [&iptables, &nft] {
        let found = codes(rules);
        let (code, cause) = found.first().expect("it is seen");
        assert_eq!(*code, "dhcp-filtered");
        assert!(cause.contains("drops answers"), "{cause}");
    }
    for (iptables, nft) in [
        ("-A OUTPUT -p udp -m udp --sport 53 -j DROP", payload("udp", "sport", "53")),
        ("-A OUTPUT -p tcp -m tcp --sport 67 -j DROP", payload("tcp", "sport", "67")),
        (
            "-A OUTPUT -p udp -m udp --sport 60:70 -j DROP",
            payload("udp", "sport", "{\"range\": [60, 70]}"),
        ),
        ("-A OUTPUT -i lan -j DROP", payload("udp", "dport", "67")),
    ] {
        let (first, second) = leaving(iptables, &nft);
        assert_eq!((codes(&first), codes(&second)), (vec![], vec![]), "{iptables} {nft}");
    }
}

#[test]
fn what_the_hypervisor_itself_keeps_from_a_node_is_not_the_nodes_fault() {
    let code = |rules: &Ruleset, answer| {
        let mut scene = Scene::well();
        scene.host.firewall = rules.clone();
        scene.signs.evidence.ssh = Some(answer);
        scene.codes().first().map(|code| code.to_string()).unwrap_or_default()
    };
    let scene = Scene::well();
    let address = scene.observed.domains.values().next().unwrap().recorded.access.address.unwrap();
    let iptables = format!("-A OUTPUT -d {address}/32 -p tcp -m tcp --dport 22 -j REJECT");
    let (first, second) = leaving(&iptables, &payload("ip", "daddr", &format!("\"{address}\"")));
    for rules in [first, second] {
        for answer in [SshAnswer::Silent, SshAnswer::Refused, SshAnswer::NoRoute] {
            assert_eq!(code(&rules, answer), "ssh-filtered", "{answer:?}");
        }
    }
    let (first, second) =
        leaving("-A OUTPUT -d 203.0.113.7/32 -j DROP", &payload("ip", "daddr", "\"203.0.113.7\""));
    for rules in [first, second] {
        assert_eq!(code(&rules, SshAnswer::Refused), "port-closed");
    }
}
