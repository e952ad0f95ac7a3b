//! Many environments side by side, many changes one after the other, many nodes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

mod lab;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

use lab::{Lab, program, repository, virsh};

/// Whether an address answers a ping from a node, and with `None` from the hypervisor.
fn pings(from: Option<(&Lab, &str)>, address: &str) -> bool {
    match from {
        Some((lab, node)) => {
            let command = format!("ping -c 2 -W 2 {address} >/dev/null && echo yes || echo no");
            lab.as_root(node, &command) == "yes"
        }
        None => Command::new("busybox")
            .args(["ping", "-c", "2", "-W", "1", "-q", address])
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|s| s.success()),
    }
}

#[test]
fn three_environments_live_side_by_side() {
    // One is the beginning of the other, and one is long.
    let labs = [Lab::new("eins"), Lab::new("eins2"), Lab::new("the-third-environment")];
    // All at once: they have to agree on subnets.
    let runs: Vec<_> = labs
        .iter()
        .map(|lab| {
            let args = lab.up("tiny.yml:1,bare.yml:1", &[]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            lab.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let addresses: Vec<String> = labs
        .iter()
        .map(|lab| lab.status()["nodes"][1]["address"].as_str().unwrap().to_string())
        .collect();
    let subnets: BTreeSet<&str> = addresses.iter().map(|a| a.rsplit_once('.').unwrap().0).collect();
    assert_eq!(subnets.len(), 3, "{addresses:?}");
    // The isolated network has no DHCP, and the nodes set their address there themselves.
    let isolated: Vec<String> = labs
        .iter()
        .map(|lab| {
            let network = format!("{}-data", lab.prefix);
            let xml = virsh(&["net-dumpxml", &network]);
            let start = xml.find("<ip address='").unwrap() + "<ip address='".len();
            let host: String = xml[start..].chars().take_while(|c| *c != '\'').collect();
            let own = format!("{}.10", host.rsplit_once('.').unwrap().0);
            lab.as_root("tiny-0", &format!("ip address add {own}/24 dev eth0"));
            own
        })
        .collect();
    for (i, lab) in labs.iter().enumerate() {
        // The hypervisor is on it, so the address is there and answers.
        assert!(pings(None, &isolated[i]), "{} does not answer at all", isolated[i]);
        for (j, address) in isolated.iter().enumerate() {
            let own = i == j;
            assert_eq!(pings(Some((lab, "tiny-0")), address), own, "{i} to {j}, {address}");
        }
    }
    let boot = |lab: &Lab| lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id");
    let before: Vec<String> = labs.iter().map(boot).collect();
    labs[0].says(&["down"], 0);
    labs[0].nothing_left();
    for (lab, before) in labs[1..].iter().zip(&before[1..]) {
        assert_eq!(boot(lab), *before);
        assert!(lab.up_says("tiny.yml:1,bare.yml:1", &[], 0).contains("nothing to do"));
    }
    for lab in &labs[1..] {
        lab.says(&["down"], 0);
        lab.nothing_left();
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        let step = 1_442_695_040_888_963_407;
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
        (self.0 >> 33) % limit.max(1)
    }
}

/// Nodes with their devices, volumes and networks, without addresses: nodes that went may have freed
/// theirs in another order.
fn shape(lab: &Lab) -> Vec<String> {
    let mut all = Vec::new();
    let own = |text: &str| -> Vec<String> {
        let begin = format!("{}-", lab.prefix);
        let names = text.lines().filter_map(|l| l.split_whitespace().next());
        let mut names: Vec<String> =
            names.filter(|n| n.starts_with(&begin)).map(String::from).collect();
        names.sort();
        names
    };
    for name in own(&virsh(&["list", "--all", "--name"])) {
        let xml = virsh(&["dumpxml", "--inactive", &name]);
        let keep = |l: &&str| {
            let l = l.trim();
            [
                "<name>",
                "<uuid>",
                "<memory ",
                "<currentMemory",
                "<vcpu",
                "<source ",
                "<target ",
                "<driver ",
            ]
            .iter()
            .any(|start| l.starts_with(start))
        };
        all.extend(xml.lines().filter(keep).map(|l| l.trim().to_string()));
        all.push(virsh(&["domstate", &name]).trim().to_string());
    }
    for name in own(&virsh(&["net-list", "--all", "--name"])) {
        let xml = virsh(&["net-dumpxml", "--inactive", &name]);
        let hosts = xml.lines().filter(|l| l.contains("<host ")).count();
        all.push(format!("{name}: {hosts} reservations"));
    }
    all.extend(own(&virsh(&["vol-list", "images"])));
    all
}

#[test]
fn ten_rounds_of_changes_end_where_a_fresh_build_ends() {
    let lab = Lab::new("wild");
    let mut dice = Dice(4);
    let (mut count, mut memory, mut second) = (2, 48, false);
    let up = |nodes: &str, memory: u64, second: bool, more: &[&str]| {
        let memory = format!("override.bare.memory={memory}");
        // Nothing on these nodes could shut down by itself.
        let mut args = vec!["--yes", "--shutdown-timeout", "1", "-e", &memory];
        if second {
            args.extend(["-e", "override.bare.disks.disk2.size=1G"]);
        }
        args.extend(more);
        lab.up_says(nodes, &args, 0)
    };
    let nodes = |lab: &Lab| -> Vec<String> {
        let status = lab.status();
        let list = status["nodes"].as_array().unwrap().clone();
        list.iter().map(|n| n["name"].as_str().unwrap().to_string()).collect()
    };
    up("bare.yml:2", memory, second, &[]);
    for round in 0..10 {
        let deed = dice.below(6);
        match deed {
            0 => count = 2 + dice.below(4),
            1 => {
                let more = 1 + dice.below(2);
                let args = ["--topology-extend", "yes"];
                up(&format!("bare.yml:{more}"), memory, second, &args);
                count = nodes(&lab).len() as u64;
            }
            2 | 3 => {
                let names = nodes(&lab);
                if names.len() > 1 {
                    let pick = dice.below(names.len() as u64);
                    lab.says(&["down", &names[pick as usize]], 0);
                    count = names.len() as u64 - 1;
                }
            }
            4 => memory = [40, 48, 64][dice.below(3) as usize],
            _ => second = !second,
        }
        up(&format!("bare.yml:{count}"), memory, second, &[]);
        let again = up(&format!("bare.yml:{count}"), memory, second, &[]);
        assert!(again.contains("nothing to do"), "round {round}, {deed}: {again}");
        println!("round {round}: {count} nodes, {memory} MiB, second disk {second}");
    }
    let names = nodes(&lab);
    let worn = shape(&lab);
    lab.says(&["down"], 0);
    lab.nothing_left();
    // The same nodes from nothing: as many as the highest number says, less the gaps.
    let number = |n: &String| n.rsplit_once('-').unwrap().1.parse::<u64>().unwrap();
    let all = names.iter().map(number).max().unwrap() + 1;
    up(&format!("bare.yml:{all}"), memory, second, &[]);
    let gaps: Vec<String> =
        (0..all).map(|n| format!("wild-bare-{n}")).filter(|n| !names.contains(n)).collect();
    if !gaps.is_empty() {
        let mut args = vec!["down"];
        args.extend(gaps.iter().map(String::as_str));
        lab.says(&args, 0);
    }
    assert_eq!(worn, shape(&lab));
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn a_hundred_nodes_without_a_change() {
    const URI: &str = "test+unix:///default?socket=/var/run/libvirt/libvirt-sock";
    // The test driver forgets everything with its last connection.
    let mut holder = Command::new("virsh")
        .args(["-c", URI])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let maquette = |verb: &str, log: Option<&str>| {
        let mut command = Command::new(program());
        command.args([verb, "--prefix", "cent", "--pool-name", "default-pool"]);
        command.args(["--disk-pool", "/default-pool"]);
        if verb == "down" {
            command.arg("--yes");
        }
        if verb == "up" {
            command.args(["--topology-nodes", "bare.yml:100", "--virt-type", "test"]);
            command.args(["-e", "override.networks.net2.dhcp.range.end=172.16.{{ net }}.250"]);
            command.args(["-e", "override.networks.net3.dhcp.range.end=10.0.{{ net }}.250"]);
        }
        if let Some(log) = log {
            command.env("LIBVIRT_LOG_OUTPUTS", format!("1:file:{log}"));
            command.env("LIBVIRT_LOG_FILTERS", "1:libvirt 4:*");
        }
        command
            .current_dir(repository().join("tests/e2e"))
            .env("XDG_DATA_HOME", home.path())
            .env("MAQUETTE_LIBVIRT_URI", URI);
        let begun = Instant::now();
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (said, begun.elapsed())
    };
    maquette("up", None);
    // Others may have the machine for a moment: what it takes shows where they have not.
    let runs = (0..5).map(|_| {
        let (said, took) = maquette("up", None);
        assert!(said.contains("nothing to do (103 unchanged)"), "{said}");
        took
    });
    let took = runs.min().unwrap_or_default();
    println!("a run without a change on 100 nodes: {took:.0?}");
    let log = home.path().join("calls");
    maquette("up", Some(log.to_str().unwrap()));
    let text = std::fs::read_to_string(log).unwrap();
    // `… debug : virDomainGetXMLDesc:2641 : dom=…`
    let calls: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split(" : ").nth(1)?.split(':').next())
        .filter(|name| name.starts_with("vir"))
        .collect();
    assert!(calls.contains("virDomainGetXMLDesc"), "{calls:?}");
    let writes = [
        "Define",
        "Undefine",
        "Create",
        "Destroy",
        "Update",
        "Attach",
        "Detach",
        "Delete",
        "Resize",
        "Upload",
        "Build",
        "Suspend",
        "Resume",
        "Reset",
        "Shutdown",
        "SetAutostart",
        "SetMemory",
        "SetMetadata",
    ];
    let writing: Vec<&&str> =
        calls.iter().filter(|name| writes.iter().any(|w| name.contains(w))).collect();
    assert!(writing.is_empty(), "{writing:?}");
    println!("calls: {calls:?}");
    maquette("down", None);
    holder.kill().unwrap();
    holder.wait().unwrap();
}
