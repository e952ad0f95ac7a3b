//! End to end, on real libvirt and QEMU, with a guest that boots in seconds under emulation.
//!
//! `tests/e2e/run` makes the guest's image and runs these one after the other.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

#[path = "e2e/everyday.rs"]
mod everyday;
mod lab;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use lab::{Lab, image, taps, virsh};
use serde_json::Value;

#[test]
fn an_environment_lives_grows_changes_and_goes() {
    let lab = Lab::new("life");
    let before = taps();
    lab.up_says("tiny.yml:2,blank.yml:1", &[], 0);

    // Every node is what and where the plan said.
    let status = lab.status();
    let nodes = status["nodes"].as_array().unwrap();
    let states: Vec<_> = nodes.iter().map(|n| (n["name"].as_str(), n["state"].as_str())).collect();
    assert_eq!(
        states,
        [
            (Some("life-blank-0"), Some("running")),
            (Some("life-tiny-0"), Some("ready")),
            (Some("life-tiny-1"), Some("ready")),
        ]
    );
    let address = nodes[1]["address"].as_str().unwrap();
    assert_eq!(lab.on("tiny-0", "hostname"), "life-tiny-0");
    assert_eq!(lab.on("life-tiny-1", "whoami"), "cloud-user");
    assert!(lab.on("tiny-0", "ip -4 -o addr show eth1").contains(address));

    // The outputs work by themselves, and the host key is really checked.
    let config = lab.file("ansible.ssh.config");
    let ssh = |config: &Path| {
        Command::new("ssh").arg("-F").arg(config).args(["life-tiny-0", "true"]).output().unwrap()
    };
    assert!(ssh(&config).status.success());
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("StrictHostKeyChecking yes"));
    let other = lab.file("other_hosts");
    let known = std::fs::read_to_string(lab.file("known_hosts")).unwrap();
    let key_of_1 = known.lines().find(|l| l.starts_with("life-tiny-1")).unwrap();
    std::fs::write(&other, key_of_1.replace("life-tiny-1", "life-tiny-0")).unwrap();
    let wrong = lab.file("wrong.config");
    let pinned = lab.file("known_hosts").display().to_string();
    std::fs::write(&wrong, text.replace(&pinned, &other.display().to_string())).unwrap();
    let refused = ssh(&wrong);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("HOST IDENTIFICATION HAS CHANGED"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(lab.file("id_ed25519")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let inventory = std::fs::read_to_string(lab.file("hosts")).unwrap();
    assert!(inventory.contains(&format!("life-tiny-0  ansible_host={address}")));
    assert!(inventory.contains("[openstack_nodes]\nlife-tiny-0\nlife-tiny-1\n"));

    // A disk is an overlay of the size that was asked for, readable by nobody else.
    let volume = virsh(&["vol-dumpxml", "life-tiny-0-disk1.qcow2", "images"]);
    assert!(volume.contains("<capacity unit='bytes'>8589934592</capacity>"));
    assert!(volume.contains("<backingStore>") && volume.contains("<mode>0600</mode>"), "{volume}");

    // Again: nothing to do.
    assert!(lab.up_says("tiny.yml:2,blank.yml:1", &[], 0).contains("nothing to do (7 unchanged)"));

    // Grow and shrink at once; what stays is not touched.
    let boot = lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id");
    let said = lab.up_says("tiny.yml:3", &[], 2);
    assert!(said.contains("this would remove the disks of life-blank-0"), "{said}");
    lab.up_says("tiny.yml:3", &["--yes"], 0);
    assert_eq!(lab.on("tiny-2", "hostname"), "life-tiny-2");
    assert_eq!(lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id"), boot);
    assert!(lab.up_says("tiny.yml:3", &[], 0).contains("nothing to do"));

    // More memory: the node restarts with the disks it has.
    let more = ["-e", "override.tiny.memory=160", "--topology-nodes"];
    let disk = virsh(&["vol-dumpxml", "life-tiny-0-disk1.qcow2", "images"]);
    let inode = |xml: &str| xml.lines().find(|l| l.contains("<key>")).map(String::from);
    let said =
        lab.says(&["up", more[0], more[1], more[2], "tiny.yml:3", "--image-url", &image()], 0);
    assert!(said.contains("memory: 128 MiB → 160 MiB (restarts)"), "{said}");
    assert_eq!(inode(&virsh(&["vol-dumpxml", "life-tiny-0-disk1.qcow2", "images"])), inode(&disk));
    assert_ne!(lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id"), boot);

    lab.says(&["down"], 0);
    lab.nothing_left();
    assert_eq!(taps(), before);
    assert!(!lab.file("id_ed25519").exists());
    assert!(lab.says(&["down"], 0).contains("nothing to do"));
}

#[test]
fn a_run_that_is_killed_is_continued() {
    let lab = Lab::new("kill");
    for after in ["define domain kill-tiny-1", "boot domain kill-tiny-0"] {
        let mut child = lab
            .command(
                &lab.up("tiny.yml:2", &["--json", "--lock-wait", "60"])
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        let reached = events.lines().any(|line| {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            event["event"] == "step-started" && event["title"] == after
        });
        assert!(reached, "{after} never began");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The lock of the run that was killed is there for a moment more.
    lab.up_says("tiny.yml:2", &["--lock-wait", "60"], 0);
    assert_eq!(lab.on("tiny-1", "hostname"), "kill-tiny-1");
    assert!(lab.up_says("tiny.yml:2", &[], 0).contains("nothing to do"));
    lab.says(&["down"], 0);
    lab.nothing_left();
}

/// With the workspace the key is lost, and what host keys follow from: the way into nodes that were made again was pinned to
/// what they had before.
#[test]
fn after_the_workspace_is_lost_nodes_are_made_again_and_answer() {
    let lab = Lab::new("weg");
    lab.up_says("tiny.yml:1", &[], 0);
    let pinned = || std::fs::read_to_string(lab.file("known_hosts")).unwrap();
    let before = pinned();
    std::fs::remove_dir_all(lab.home.path().join("maquette")).unwrap();
    let said = lab.up_says("tiny.yml:1", &[], 2);
    let loses =
        "this would remove the disks of weg-tiny-0, since this workspace has no key to them";
    assert!(said.contains(loses), "{said}");
    let said = lab.up_says("tiny.yml:1", &["--yes"], 0);
    assert!(said.contains("1 to replace"), "{said}");
    assert_eq!(lab.on("tiny-0", "hostname"), "weg-tiny-0");
    assert_ne!(pinned(), before, "it has the host key that its predecessor had");
    assert!(lab.up_says("tiny.yml:1", &[], 0).contains("nothing to do"));
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn a_node_that_never_gets_ready_is_reported_and_left_for_a_look() {
    let lab = Lab::new("dead");
    let said = lab.up_says(
        "tiny.yml:1",
        &["--topology-timezone", "Antarctica/Troll", "--timeout", "90"],
        1,
    );
    assert!(said.contains("`dead-tiny-0` was not ready after 90 s"), "{said}");
    assert!(said.contains("it came as far as: cloud-init runs"), "{said}");
    assert!(said.contains("| tiny guest: told never to be ready"), "{said}");
    assert!(said.contains("run the same command again to go on waiting"), "{said}");
    assert_eq!(lab.status()["nodes"][0]["state"], "booting");
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn what_stands_in_the_way_is_found_before_anything_is_touched() {
    let lab = Lab::new("busy");
    let xml = lab.home.path().join("net.xml");
    std::fs::write(
        &xml,
        "<network><name>busy-management</name><bridge name='busyx0'/>\
         <ip address='10.99.0.1' netmask='255.255.255.0'/></network>",
    )
    .unwrap();
    virsh(&["net-define", xml.to_str().unwrap()]);
    let said = lab.up_says("tiny.yml:1", &[], 2);
    virsh(&["net-undefine", "busy-management"]);
    assert!(
        said.contains(
            "the network `busy-management` exists and does not belong to this environment"
        ),
        "{said}"
    );
    lab.nothing_left();
}

#[test]
fn nodes_are_switched_watched_and_listened_to() {
    let lab = Lab::new("sicht");
    let nodes = "tiny.yml:1,bare.yml:1";
    lab.up_says(
        nodes,
        &["--vnc-external", "--serial-files", "--virtopts", "--watchdog default"],
        0,
    );
    let state = |node: usize| lab.status()["nodes"][node]["state"].as_str().unwrap().to_string();

    // A password of its own, told to nobody but its owner.
    let password = std::fs::read_to_string(lab.file("vnc-password")).unwrap().trim().to_string();
    assert_eq!(password.len(), 8);
    let secure = virsh(&["dumpxml", "--security-info", "sicht-tiny-0"]);
    assert!(secure.contains(&format!("listen='0.0.0.0' passwd='{password}'")), "{secure}");
    let open = virsh(&["dumpxml", "sicht-tiny-0"]);
    assert!(!open.contains(&password) && open.contains("<watchdog model='i6300esb'"), "{open}");
    assert!(lab.status()["nodes"][1]["vnc_port"].as_u64().unwrap() >= 5900);

    // Events drive the watch: each state is a line.
    let mut watch = lab
        .command(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut until = |state: &str| {
        lines.any(|line| {
            let now: Value = serde_json::from_str(&line).unwrap();
            now["nodes"][1]["state"] == state
        })
    };
    assert!(until("ready"));
    lab.says(&["pause", "tiny-0"], 0);
    assert!(until("paused"));
    // Exit code 1: it is not as `up` leaves it.
    assert_eq!(lab.run(&["status"]).status.code(), Some(1));
    lab.says(&["resume", "tiny-0"], 0);
    assert!(until("ready"));
    // The guest shuts down when asked; nobody switches it off.
    let said = lab.says(&["stop", "tiny-0"], 0);
    assert!(!said.contains("powered off"), "{said}");
    assert!(until("shut off"));
    lab.says(&["start", "--all"], 0);
    assert!(until("ready"));
    watch.kill().unwrap();
    watch.wait().unwrap();

    let boot = || lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id");
    let before = boot();
    lab.says(&["restart", "sicht-tiny-0"], 0);
    let between = boot();
    assert_ne!(before, between);
    lab.says(&["reset", "tiny-0"], 0);
    assert_ne!(lab.on_when_up("tiny-0", "cat /proc/sys/kernel/random/boot_id"), between);
    lab.says(&["stop", "--force", "bare-0"], 0);
    assert_eq!(state(0), "shut off");
    let said = lab.up_says(
        nodes,
        &["--vnc-external", "--serial-files", "--virtopts", "--watchdog default"],
        0,
    );
    assert!(said.contains("it is not running"), "{said}");
    assert_eq!(state(0), "running");
    assert!(lab.says(&["stop", "tony-0"], 2).contains("did you mean `sicht-tiny-0`?"));

    // The serial log holds all boots, and is followed.
    let log = lab.run(&["logs", "tiny-0"]);
    let text = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(text.matches("tiny guest: ready as sicht-tiny-0").count() >= 3, "{text}");
    assert!(Path::new("/var/lib/libvirt/qemu/sicht-tiny-0-serial.log").exists());
    let last = lab.run(&["logs", "-n", "1", "tiny-0"]);
    assert_eq!(String::from_utf8_lossy(&last.stdout).lines().count(), 1);
    let mut follow =
        lab.command(&["logs", "-f", "-n", "1", "tiny-0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut followed = BufReader::new(follow.stdout.take().unwrap()).lines().map_while(Result::ok);
    // It is at the end of the log before anything is typed, or it would wait for what has been.
    assert!(followed.next().is_some());

    // What is typed on the console is echoed by the guest's terminal, and in the log.
    let mut console = lab
        .command(&["console", "tiny-0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(console.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|l| l.contains("Ctrl-] leaves it")));
    let mut keys = console.stdin.take().unwrap();
    std::io::Write::write_all(&mut keys, b"anybody there\r").unwrap();
    let mut shown = BufReader::new(console.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("anybody there") {
        line.clear();
        assert!(shown.read_line(&mut line).unwrap() > 0, "the console ended");
    }
    assert!(followed.any(|l| l.contains("anybody there")));
    std::io::Write::write_all(&mut keys, &[0x1d]).unwrap();
    assert!(console.wait().unwrap().success());
    follow.kill().unwrap();
    follow.wait().unwrap();

    lab.says(&["down"], 0);
    lab.nothing_left();
    assert!(!lab.file("vnc-password").exists());
}

#[test]
fn a_disk_that_names_a_directory_is_in_a_pool_which_goes_with_it() {
    let lab = Lab::new("ort");
    let directory = "/srv/maquette-ort/disks";
    let path = format!("override.tiny.disks.disk2.path={directory}");
    let more = ["-e", "override.tiny.disks.disk2.size=1G", "-e", path.as_str()];
    lab.up_says("tiny.yml:1", &[], 0);
    let said = lab.up_says("tiny.yml:1", &more, 0);
    assert!(said.contains("(while it runs)") && said.contains(directory), "{said}");
    assert!(Path::new(directory).join("ort-tiny-0-disk2.qcow2").exists());
    let pools = || virsh(&["pool-list", "--name", "--autostart"]);
    let own = |pools: &str| pools.lines().any(|name| name.trim().starts_with("ort-pool-"));
    assert!(own(&pools()), "{}", pools());
    let written =
        lab.as_root("tiny-0", "echo kept | dd of=/dev/vdb 2>/dev/null; sync; head -c 4 /dev/vdb");
    assert_eq!(written, "kept");
    // Somebody stops it, and the node runs on; it is larger once the pool runs again.
    let pool = pools().lines().find(|n| own(n)).unwrap().trim().to_string();
    virsh(&["pool-destroy", &pool]);
    let larger = ["-e", "override.tiny.disks.disk2.size=2G", "-e", path.as_str()];
    let said = lab.up_says("tiny.yml:1", &larger, 0);
    assert!(said.contains(&pool) && !said.contains("is lost"), "{said}");
    assert_eq!(lab.as_root("tiny-0", "head -c 4 /dev/vdb"), "kept");
    assert!(lab.up_says("tiny.yml:1", &larger, 0).contains("nothing to do"));
    // With the disk goes the pool; its directory stays.
    lab.up_says("tiny.yml:1", &["--yes"], 0);
    assert!(!own(&virsh(&["pool-list", "--name", "--all"])) && Path::new(directory).exists());
    lab.up_says("tiny.yml:1", &more, 0);
    lab.says(&["down"], 0);
    assert!(!own(&virsh(&["pool-list", "--name", "--all"])));
    lab.nothing_left();
    std::fs::remove_dir_all("/srv/maquette-ort").unwrap();
}

#[test]
fn what_libvirt_can_change_while_it_runs_is_changed_so() {
    let lab = Lab::new("heiss");
    lab.up_says("tiny.yml:1", &[], 0);
    let boot = lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id");
    let more = [
        "-e",
        "override.tiny.memory=96",
        "-e",
        "override.tiny.disks.disk1.size=9G",
        "-e",
        "override.tiny.disks.disk2.size=1G",
    ];
    let said = lab.up_says("tiny.yml:1", &more, 0);
    assert!(said.contains("(while it runs)") && !said.contains("(restarts)"), "{said}");
    let sees = |what: &str| {
        let begun = std::time::Instant::now();
        while lab.on("tiny-0", &format!("{what} && echo yes || echo no")) != "yes" {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the guest: {what}");
        }
    };
    sees("[ $(cat /sys/block/vda/size) = 18874368 ]");
    sees("grep -q 1048576 /proc/partitions");
    sees("[ $(sed -n 's/MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo) -lt 70000 ]");
    assert!(lab.up_says("tiny.yml:1", &more, 0).contains("nothing to do"));
    // What holds data asks before it goes.
    let less = &more[..4];
    let said = lab.up_says("tiny.yml:1", less, 2);
    assert!(said.contains("this would remove volume heiss-tiny-0-disk2.qcow2"), "{said}");
    let mut args = less.to_vec();
    args.push("--yes");
    lab.up_says("tiny.yml:1", &args, 0);
    sees("! grep -q 1048576 /proc/partitions");
    // An interface, too.
    let file = lab.home.path().join("nets.yml");
    let text = std::fs::read_to_string(
        lab::repository().join("crates/maquette-core/defaults/network/3_nets.yml"),
    );
    let text = text.unwrap().replace(
        "      - network: external\n",
        "      - network: external\n      - network: data\n",
    );
    std::fs::write(&file, text).unwrap();
    args.extend(["--topology-network", file.to_str().unwrap()]);
    let said = lab.up_says("tiny.yml:1", &args, 0);
    assert!(said.contains("plug in eth3 (heiss-data) (while it runs)"), "{said}");
    sees("[ -e /sys/class/net/eth3 ]");
    assert!(lab.up_says("tiny.yml:1", &args, 0).contains("nothing to do"));
    lab.up_says("tiny.yml:1", less, 0);
    sees("[ ! -e /sys/class/net/eth3 ]");
    assert_eq!(lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id"), boot);
    // A CPU more needs a restart; the disks stay.
    let mut args = less.to_vec();
    args.extend(["-e", "override.tiny.cpu=2"]);
    assert!(lab.up_says("tiny.yml:1", &args, 0).contains("vCPUs: 1 → 2 (restarts)"));
    assert_ne!(lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id"), boot);
    lab.says(&["down"], 0);
    lab.nothing_left();
}
