//! What is found of the hypervisor itself: its logs, room and memory.

use maquette_core::blueprint::{DiskPool, Pool};
use maquette_core::doctor::{Power, Space, Started};

use super::{Scene, denial};

/// QEMU is denied some of what it tries at starts that succeed.
#[test]
fn what_qemu_goes_on_without_is_not_the_cause() {
    let mut scene = Scene::well();
    let profile = scene.profile();
    scene.host.kernel_log = vec![denial(&profile, "/sys/devices/system/node/")];
    scene.signs.power = Some(Power::Off("shut off".into()));
    assert_eq!(scene.codes(), ["shut-off"]);
    scene.signs.power = Some(Power::EmulatorDied);
    assert_eq!(scene.codes(), ["emulator-died"]);
    // Of one that could not be started it may be what matters, and is shown.
    scene.signs.power = Some(Power::StartFailed);
    assert_eq!(scene.codes(), ["start-failed"]);
    let seen = scene.all().into_iter().flat_map(|f| f.evidence).collect::<Vec<_>>();
    assert!(seen.iter().any(|line| line.contains("/sys/devices/system/node/")), "{seen:?}");
    // A node that somebody has stopped is that, whatever it was denied.
    let file = scene.domain().defined.disks[0].file.clone();
    scene.host.kernel_log = vec![denial(&profile, &file)];
    scene.signs.power = Some(Power::Off("destroyed".into()));
    assert_eq!(scene.codes(), ["shut-off"]);
    // What it has besides disks are its files as well, if the line is about this domain.
    scene.signs.power = Some(Power::StartFailed);
    let vars = "/var/lib/libvirt/qemu/nvram/controller-0_VARS.fd";
    scene.host.kernel_log = vec![denial(&profile, vars)];
    assert_eq!(scene.codes(), ["apparmor-denied"]);
    scene.host.kernel_log = vec![denial("libvirt-other", vars)];
    assert_eq!(scene.codes(), ["start-failed"]);
}

#[test]
fn what_the_kernel_said_before_the_last_start_is_not_the_cause() {
    let mut scene = Scene::well();
    scene.signs.started = Some(Started { uptime_s: 1000, epoch_s: 1_700_001_000 });
    let line = |at: &str| {
        format!(
            r"{at}oom-kill:x,task_memcg=/machine.slice/machine-qemu\x2d1\x2dcontroller\x2d0.scope"
        )
    };
    scene.signs.power = Some(Power::EmulatorDied);
    for (at, code) in
        [("[  900.5] ", "emulator-died"), ("[ 1000.2] ", "out-of-memory"), ("", "out-of-memory")]
    {
        scene.host.kernel_log = vec![line(at)];
        assert_eq!(scene.codes(), [code], "{at}");
    }
    scene.signs.power = Some(Power::StartFailed);
    let file = scene.domain().defined.disks[0].file.clone();
    let audit = |at: u64| {
        format!(
            "type=AVC msg=audit({at}.1:3): avc:  denied  {{ read }} name=\"{file}\" scontext=svirt_t"
        )
    };
    let audit = |at| audit(at).replace(&file, file.rsplit('/').next().unwrap());
    for (at, code) in [(1_700_000_900, "start-failed"), (1_700_001_001, "selinux-denied")] {
        scene.host.kernel_log = vec![audit(at)];
        assert_eq!(scene.codes(), [code], "{at}");
    }
}

/// virtlogd writes consoles, in QEMU's place.
#[test]
fn a_console_that_may_not_be_logged_is_told_from_a_disk_that_may_not_be_read() {
    let mut scene = Scene::well();
    scene.signs.power = Some(Power::StartFailed);
    let line = |name: &str| {
        format!(
            "avc:  denied  {{ write }} for comm=\"virtlogd\" name=\"{name}\" scontext=system_u:system_r:virtlogd_t:s0"
        )
    };
    let denied = |scene: &mut Scene, name: &str| {
        scene.host.kernel_log = vec![line(name)];
        scene.codes() == ["selinux-denied"]
    };
    assert!(denied(&mut scene, "controller-0-serial.log"));
    // The directory is denied to those whose console is to be in it.
    assert!(!denied(&mut scene, "qemu"));
    scene.domain().recorded.serial_file = true;
    assert!(denied(&mut scene, "qemu") && !denied(&mut scene, "controller-1-serial.log"));
}

/// A disk may be in a directory of its own, on another file system than the pool.
#[test]
fn the_directory_of_a_disk_that_is_full_is_named() {
    let mut scene = Scene::well();
    let pool = scene.domain().pool.clone();
    let own = Pool { path: "/srv/disks".parse().unwrap(), ..pool };
    scene.domain().recorded.disks[0].pool = Some(DiskPool { pool: own, made: true });
    scene.signs.power = Some(Power::IoError);
    let full = Space { path: "/srv".into(), free: 0, size: 1 << 40 };
    scene.host.disk_pools.insert("/srv/disks".into(), full.clone());
    assert_eq!(scene.codes(), ["pool-full"]);
    let said = "0 B of 1 TiB are free in /srv/disks".to_string();
    let found = scene.all();
    assert!(found.iter().all(|finding| finding.evidence.contains(&said)), "{found:?}");
    assert_eq!(found.len(), 2, "the hypervisor's, and the node's: {found:?}");
    scene.host.disk_pools.insert("/srv/disks".into(), Space { free: 1 << 39, ..full });
    assert_eq!(scene.codes(), ["io-error"]);
}

#[test]
fn what_the_kernel_says_of_others_is_not_said_of_a_node() {
    let mut scene = Scene::well();
    scene.signs.power = Some(Power::EmulatorDied);
    let other =
        r"oom-kill:x,task_memcg=/machine.slice/machine-qemu\x2d1\x2dlab\x2dcontroller\x2d00.scope";
    scene.host.kernel_log = vec![other.into(), "Killed process 7 (qemu-system-x86)".into()];
    assert_eq!(scene.codes(), ["emulator-died"]);
    // Where it says of no QEMU which it was, it most likely was this one.
    scene.host.kernel_log = vec!["Out of memory: Killed process 7 (qemu-system-x86)".into()];
    assert_eq!(scene.codes(), ["out-of-memory"]);
    scene.host.kernel_log = vec!["apparmor=\"DENIED\" profile=\"libvirt-y\" name=\"/else\"".into()];
    assert_eq!(scene.codes(), ["emulator-died"]);
}

#[test]
fn the_hypervisors_own_room_and_memory_are_looked_at() {
    let mut scene = Scene::well();
    scene.host.memory_mib = Some((8000, 100));
    scene.host.logs = Some(Space { path: "/var/log".into(), free: 0, size: 1 << 30 });
    let codes: Vec<&str> = scene.all().iter().map(|f| f.code).collect();
    assert_eq!(codes, ["log-full", "memory-low"]);
    // A small file system is not full only because it is small.
    let mut scene = Scene::well();
    scene.host.pool = Some(Space { path: "/pool".into(), free: 30 << 20, size: 64 << 20 });
    assert!(scene.all().is_empty());
}
