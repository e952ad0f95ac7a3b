//! What goes wrong on a real hypervisor: each ends in the right error, nothing foreign is touched, `up`
//! goes on and `down` empties.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

mod lab;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Lab, image, virsh};
use rustix::event::{self, PollFd, PollFlags};
use rustix::process::{self, PidfdFlags};

/// Runs a program that must succeed.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Undoes something at the end of a test, whatever happens.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn args(lab: &Lab, nodes: &str, more: &[&str]) -> Vec<String> {
    lab.up(nodes, more)
}

/// Starts an `up` and returns once it says that a step began.
fn up_until(lab: &Lab, nodes: &str, begun: &str) -> (Child, impl Iterator<Item = String>) {
    let mut args = args(lab, nodes, &["--json"]);
    let args: Vec<&str> = args.iter_mut().map(|a| a.as_str()).collect();
    let mut child =
        lab.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let reached =
        lines.any(|line| line.contains("step-started") && line.contains(&format!("\"{begun}\"")));
    assert!(reached, "{begun} never began");
    (child, lines)
}

fn libvirtd() -> Option<u32> {
    std::fs::read_to_string("/run/libvirtd.pid").ok()?.trim().parse().ok()
}

/// Kills the daemon as a crash would. Afterwards none of its threads is left, so that its lock on the PID
/// file is gone too: its program and memory go earlier than its files.
fn kill_libvirtd() {
    let pid = i32::try_from(libvirtd().expect("libvirtd runs")).unwrap();
    let daemon =
        process::pidfd_open(process::Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    process::pidfd_send_signal(&daemon, process::Signal::KILL).unwrap();
    event::poll(&mut [PollFd::new(&daemon, PollFlags::IN)], None).unwrap();
}

fn restart_libvirtd() {
    kill_libvirtd();
    run("libvirtd", &["--daemon"]);
}

#[test]
fn libvirtd_is_killed_while_it_is_needed() {
    let lab = Lab::new("crsh");
    let (child, lines) = up_until(&lab, "tiny.yml:1,bare.yml:3", "boot domain crsh-tiny-0");
    let begun = Instant::now();
    restart_libvirtd();
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let said = format!("{}{}", rest.join("\n"), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("libvirt ended the connection to qemu:///system"), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    // The guest has noticed nothing, and the next run waits for it.
    lab.up_says("tiny.yml:1,bare.yml:3", &[], 0);
    assert_eq!(lab.on("tiny-0", "hostname"), "crsh-tiny-0");
    assert!(lab.up_says("tiny.yml:1,bare.yml:3", &[], 0).contains("nothing to do"));
    // Once more in the middle of many small steps.
    let (mut child, _) = up_until(&lab, "tiny.yml:1,bare.yml:9", "define domain crsh-bare-5");
    restart_libvirtd();
    child.wait().unwrap();
    lab.up_says("tiny.yml:1,bare.yml:9", &[], 0);
    assert!(lab.up_says("tiny.yml:1,bare.yml:9", &[], 0).contains("nothing to do"));
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn a_full_disk_is_said_and_gone_on_from() {
    let lab = Lab::new("full");
    let pool = lab.home.path().join("pool");
    std::fs::create_dir(&pool).unwrap();
    // QEMU's user has to get there.
    run("chmod", &["755", lab.home.path().to_str().unwrap(), pool.to_str().unwrap()]);
    let path = pool.to_str().unwrap().to_string();
    run("mount", &["-t", "tmpfs", "-o", "size=64M,mode=755", "tmpfs", &path]);
    let _undo = Finally(|| {
        virsh(&["pool-destroy", "full-pool"]);
        virsh(&["pool-undefine", "full-pool"]);
        let _ = Command::new("umount").args(["-l", &path]).status();
    });
    let at = ["--pool-name", "full-pool", "--disk-pool", &path];
    let filler = pool.join("filler");
    run("fallocate", &["-l", "58M", filler.to_str().unwrap()]);
    // Not even the image fits.
    let said = lab.up_says("tiny.yml:1,bare.yml:2", &at, 1);
    assert!(said.contains("MiB, and the pool has room for"), "{said}");
    std::fs::remove_file(&filler).unwrap();
    // The image fits, and one disk that wants all of its room at once does not.
    let mut more = at.to_vec();
    more.extend(["-e", "override.bare.disks.disk1.size=9G"]);
    more.extend(["-e", "override.bare.disks.disk1.preallocation=full"]);
    let said = lab.up_says("tiny.yml:1,bare.yml:3", &more, 1);
    assert!(said.contains("cannot create volume `full-bare-2-"), "{said}");
    assert!(said.contains("run the same command again"), "{said}");
    lab.up_says("tiny.yml:1,bare.yml:3", &at, 0);
    assert_eq!(lab.on("tiny-0", "hostname"), "full-tiny-0");
    let mut down = vec!["down"];
    down.extend(at);
    lab.says(&down, 0);
    lab.nothing_left();
    let left: Vec<_> = std::fs::read_dir(&pool).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|n| n.to_string_lossy().starts_with("maquette-")), "{left:?}");
}

#[test]
fn what_others_have_is_in_the_way_and_stays_as_it_is() {
    let lab = Lab::new("busy");
    let file = lab.home.path().join("x.xml");
    let file = file.to_str().unwrap();
    let refused = |says: &str| {
        let said = lab.up_says("bare.yml:1", &[], 2);
        assert!(said.contains(says), "{said}");
        assert!(said.contains("nothing was touched"), "{said}");
        // Removing our environment touches nothing of it, either.
        assert!(lab.says(&["down"], 0).contains("nothing to do"));
    };
    let domain = "<domain type='qemu'><name>busy-bare-0</name><memory unit='MiB'>16</memory>\
                  <os><type arch='x86_64'>hvm</type></os></domain>";
    std::fs::write(file, domain).unwrap();
    virsh(&["define", file]);
    let before = virsh(&["dumpxml", "busy-bare-0"]);
    refused("the domain `busy-bare-0` exists and does not belong to this environment");
    assert_eq!(virsh(&["dumpxml", "busy-bare-0"]), before);
    virsh(&["undefine", "busy-bare-0"]);

    let network = "<network><name>busy-management</name><bridge name='busyx0'/>\
                   <ip address='10.99.0.1' netmask='255.255.255.0'/></network>";
    std::fs::write(file, network).unwrap();
    virsh(&["net-define", file]);
    refused("the network `busy-management` exists and does not belong to this environment");
    virsh(&["net-undefine", "busy-management"]);

    virsh(&["vol-create-as", "images", "busy-bare-0-disk1.qcow2", "1M"]);
    refused("the volume `busy-bare-0-disk1.qcow2` exists and does not belong");
    assert!(virsh(&["vol-list", "images"]).contains("busy-bare-0-disk1.qcow2"));
    virsh(&["vol-delete", "busy-bare-0-disk1.qcow2", "images"]);

    run("ip", &["link", "add", "busy-data", "type", "bridge"]);
    refused("the network interface `busy-data` exists and does not belong");
    run("ip", &["link", "del", "busy-data"]);
    lab.nothing_left();
}

#[test]
fn subnets_of_the_hypervisor_are_left_alone() {
    let lab = Lab::new("rout");
    run("ip", &["link", "add", "rout0", "type", "bridge"]);
    let _undo = Finally(|| {
        let _ = Command::new("ip").args(["link", "del", "rout0"]).status();
    });
    run("ip", &["link", "set", "rout0", "up"]);
    run("ip", &["route", "add", "172.16.10.0/24", "dev", "rout0"]);
    // An address without a route.
    run("ip", &["address", "add", "10.0.20.5/32", "dev", "rout0"]);
    let said = lab.up_says("bare.yml:1", &["--net_subnet", "10"], 2);
    let other = "172.16.10.0/24 is already in use on the hypervisor, by interface rout0";
    assert!(said.contains(other), "{said}");
    // Our own side: the place in the network file.
    assert!(said.contains("172.16.{{ net }}"), "{said}");
    let said = lab.up_says("bare.yml:1", &["--net_subnet", "20"], 2);
    assert!(said.contains("10.0.20.0/24 is already in use"), "{said}");
    // Left to choose, it takes neither.
    lab.up_says("bare.yml:1", &[], 0);
    let address = lab.status()["nodes"][0]["address"].as_str().unwrap().to_string();
    assert!(address.starts_with("172.16.30."), "{address}");
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn images_that_are_none() {
    let lab = Lab::new("bild");
    let whole = std::fs::read(image()).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = lab.home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    // Where the second cluster of the image's tables is.
    let mut corrupt = whole.clone();
    corrupt[0x10000..0x20000].fill(0x55);
    // What a run of before was ended in the middle of goes on another time.
    let parts = || -> Vec<String> {
        let names = run("ls", &["-A", "/var/lib/libvirt/images"]);
        names.lines().filter(|name| name.contains(".part")).map(String::from).collect()
    };
    let before = parts();
    for (path, says) in [
        (file("cut.qcow2", &whole[..whole.len() / 3]), "is damaged"),
        (file("corrupt.qcow2", &corrupt), "is damaged"),
        (file("page.qcow2", b"<html>404 Not Found</html>"), "is not a disk image"),
        (file("empty.qcow2", b""), "is not a disk image"),
    ] {
        let mut args = vec!["up", "--topology-nodes", "tiny.yml:1", "--image-url"];
        args.push(&path);
        let output = lab.run(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{path}: {said}");
        assert!(said.contains(says) && said.contains(&path), "{path}: {said}");
        let left = parts();
        assert!(left.iter().all(|name| before.contains(name)), "{left:?}");
        lab.says(&["down"], 0);
    }
    lab.nothing_left();
}

#[test]
fn a_guest_that_never_boots() {
    let lab = Lab::new("tote");
    let blank = lab.home.path().join("blank.qcow2");
    run("qemu-img", &["create", "-q", "-f", "qcow2", blank.to_str().unwrap(), "1G"]);
    let args = [
        "up",
        "--topology-nodes",
        "tiny.yml:1",
        "--timeout",
        "8",
        "--image-url",
        blank.to_str().unwrap(),
    ];
    let said = lab.says(&args, 1);
    assert!(said.contains("`tote-tiny-0` was not ready after 8 s"), "{said}");
    assert!(said.contains("it came as far as: booting"), "{said}");
    assert!(said.contains("maquette console --prefix tote tote-tiny-0"), "{said}");
    assert_eq!(lab.status()["nodes"][0]["state"], "booting");
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn records_that_cannot_be_trusted() {
    let lab = Lab::new("mark");
    lab.up_says("bare.yml:1", &[], 0);
    virsh(&["vol-create-as", "images", "precious.qcow2", "1M"]);
    let _undo = Finally(|| {
        virsh(&["vol-delete", "precious.qcow2", "images"]);
    });
    let file = lab.home.path().join("d.xml");
    let file = file.to_str().unwrap();
    let good = virsh(&["dumpxml", "--inactive", "mark-bare-0"]);
    let edit = |from: &str, to: &str| {
        assert!(good.contains(from), "{good}");
        std::fs::write(file, good.replace(from, to)).unwrap();
        virsh(&["define", file]);
    };
    // What a later version made is not touched.
    edit("schema=\"1\"", "schema=\"7\"");
    for args in [&["status"][..], &["down"]] {
        let said = lab.says(args, 1);
        assert!(said.contains("cannot tell what belongs to domain `mark-bare-0`"), "{said}");
        assert!(said.contains("it was made by a newer Maquette (schema 7)"), "{said}");
    }
    assert!(lab.up_says("bare.yml:1", &[], 1).contains("newer Maquette"));
    // What somebody edited is named, and made again.
    let disk = "volume=\"mark-bare-0-disk1.qcow2\"";
    for (from, to) in [(disk, "volume=\"precious.qcow2\""), ("index=\"0\"", "index=\"zero\"")] {
        edit(from, to);
        let said = String::from_utf8(lab.run(&["status"]).stdout).unwrap();
        assert!(said.contains("domain mark-bare-0: its metadata was changed by hand"), "{said}");
        let said = lab.up_says("bare.yml:1", &[], 0);
        assert!(said.contains("its metadata was changed by hand"), "{said}");
        assert!(virsh(&["dumpxml", "--inactive", "mark-bare-0"]).contains(disk));
        assert!(lab.up_says("bare.yml:1", &[], 0).contains("nothing to do"));
    }
    edit(disk, "volume=\"precious.qcow2\"");
    // Nobody else is held up by it.
    let other = Lab::new("mrk2");
    other.up_says("bare.yml:1", &[], 0);
    other.says(&["down"], 0);
    // It goes with its environment, and what it was pointed at stays.
    lab.says(&["down"], 0);
    lab.nothing_left();
    assert!(virsh(&["vol-list", "images"]).contains("precious.qcow2"));
}

#[test]
fn two_at_once() {
    let lab = Lab::new("zwei");
    let (child, lines) = up_until(&lab, "tiny.yml:1", "boot domain zwei-tiny-0");
    // The run is not over before its guest may run on.
    let suspend = || Command::new("virsh").args(["-q", "suspend", "zwei-tiny-0"]).output().unwrap();
    while !suspend().status.success() {
        std::thread::yield_now();
    }
    let said = lab.up_says("tiny.yml:1", &[], 1);
    assert!(said.contains("environment `zwei` is being changed by"), "{said}");
    assert!(said.contains("maquette up, for "), "{said}");
    assert!(said.contains("--lock-wait") && said.contains("--take-over"), "{said}");
    assert!(lab.says(&["down"], 1).contains("is being changed by"));
    // Others are free to look, and other environments to do as they like.
    assert_eq!(lab.status()["nodes"][0]["state"], "paused");
    let waiting = lab.up("tiny.yml:1", &["--lock-wait", "300"]);
    let waiting: Vec<&str> = waiting.iter().map(String::as_str).collect();
    let mut waiting = lab.command(&waiting).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(waiting.stderr.take().unwrap());
    let mut said = said.lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("waiting for")), "it does not wait");
    virsh(&["resume", "zwei-tiny-0"]);
    let said: Vec<String> = said.collect();
    assert!(waiting.wait().unwrap().success(), "{said:?}");
    assert!(said.iter().any(|line| line.contains("nothing to do")), "{said:?}");
    drop(lines);
    assert!(child.wait_with_output().unwrap().status.success());

    let (child, lines) = up_until(&lab, "tiny.yml:2", "boot domain zwei-tiny-1");
    lab.up_says("tiny.yml:2", &["--take-over"], 0);
    let rest: Vec<String> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", rest.join("\n"), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another run has taken the environment over"), "{said}");
    assert_eq!(lab.on("tiny-1", "hostname"), "zwei-tiny-1");
    lab.says(&["down"], 0);
    lab.nothing_left();
}

#[test]
fn an_environment_comes_back_after_the_hypervisor_did() {
    let lab = Lab::new("wied");
    lab.up_says("tiny.yml:1,bare.yml:1", &[], 0);
    let boot = lab.on("tiny-0", "cat /proc/sys/kernel/random/boot_id");
    let bridges = ["data", "management", "external"].map(|n| (n, lab.bridge(n)));
    // As a power cut would: no process, no bridge, nothing in /run is left.
    kill_libvirtd();
    let guests = std::fs::read_dir("/run/libvirt/qemu").unwrap().flatten();
    for guest in guests {
        let path = guest.path();
        if path.extension().is_some_and(|e| e == "pid")
            && path.file_name().unwrap().to_string_lossy().starts_with("wied-")
        {
            run("kill", &["-KILL", std::fs::read_to_string(&path).unwrap().trim()]);
        }
    }
    for (network, bridge) in &bridges {
        let pid = format!("/run/libvirt/network/wied-{network}.pid");
        if let Ok(pid) = std::fs::read_to_string(pid) {
            run("kill", &["-KILL", pid.trim()]);
        }
        run("ip", &["link", "del", bridge]);
    }
    for kind in ["qemu", "network", "storage"] {
        let _ = std::fs::remove_dir_all(format!("/run/libvirt/{kind}"));
    }
    run("libvirtd", &["--daemon"]);
    // It is up again without anybody's doing; `up` finds nothing to do.
    lab.up_says("tiny.yml:1,bare.yml:1", &[], 0);
    assert_ne!(lab.on_when_up("tiny-0", "cat /proc/sys/kernel/random/boot_id"), boot);
    let states: Vec<String> = lab.status()["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["state"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(states, ["running", "ready"]);
    lab.says(&["down"], 0);
    lab.nothing_left();
}
