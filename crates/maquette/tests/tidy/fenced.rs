//! What a command changes on the hypervisor is refused once its lock is not its own any more: commands there go behind the
//! fence, and calls to libvirt through a gate.

use std::collections::BTreeMap;

use super::{crates, program_text, sources};

/// Who has commands run there without a fence: file, how many places, and why that changes nothing that a lock keeps.
const UNFENCED: &[(&str, usize, &str)] = &[
    ("commands/bmc/orders.rs", 1, "a button of the machine, as anybody presses it by Redfish"),
    ("commands/capture.rs", 1, "listens to frames"),
    ("commands/doctor.rs", 1, "looks"),
    ("commands/image.rs", 1, "looks at records of images"),
    ("commands/link.rs", 1, "looks at delays"),
    ("commands/list.rs", 1, "looks at notes"),
    ("commands/logs.rs", 1, "reads a log"),
    ("commands/report.rs", 1, "reads logs"),
    ("commands/view/page_actions.rs", 1, "reads a log"),
    ("lifecycle/build.rs", 1, "looks for what a plan needs"),
    ("lifecycle/show.rs", 1, "looks for what a plan needs"),
    ("pipeline/servers.rs", 1, "asks servers of images from there"),
    (
        "session.rs",
        5,
        "probes, looks at directories that disks name and at libosinfo's database, and asks whether the line is there",
    ),
    ("session/found.rs", 1, "looks at overlays"),
    ("session/guests.rs", 1, "asks guests whether they answer"),
    ("session/locking.rs", 8, "makes locks and fences, and looks who is at work"),
    ("session/run.rs", 1, "is what is put behind the fence"),
];

/// What changes something by libvirt: outside a plan it stands in a `change(…)`.
const CHANGES: &[&str] = &[".prune(", ".set_link(", ".set_bandwidth("];

#[test]
fn whoever_writes_on_the_hypervisor_does_so_behind_a_fence() {
    let source = crates().join("maquette/src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let (mut found, mut ungated) = (BTreeMap::new(), Vec::new());
    for file in files {
        let text = program_text(&file);
        let name = file.strip_prefix(&source).unwrap().display().to_string();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            *found.entry(name.clone()).or_insert(0) += line.matches("onnection.host").count();
            let changes = CHANGES.iter().any(|change| line.contains(change));
            if changes && !line.contains("change(|server|") && !line.contains("session.prune(") {
                ungated.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    found.retain(|_, count| *count > 0);
    let known = UNFENCED.iter().map(|(name, count, _)| ((*name).to_string(), *count)).collect();
    assert_eq!(
        found, known,
        "`Session::behind_lock` is for whoever writes; `UNFENCED` says why not"
    );
    assert!(ungated.is_empty(), "`Session::change` is for whoever writes: {ungated:#?}");
}

/// Each call that the driver's interface has, by whether it changes something: a new one has to be classed.
#[test]
fn every_call_of_a_driver_is_known_to_look_or_to_change() {
    let text = program_text(&crates().join("maquette-libvirt/src/driver.rs"));
    let server = text.split("pub trait Server").nth(1).unwrap().split("\n}").next().unwrap();
    let declared = server.lines().filter_map(|line| line.trim().strip_prefix("fn "));
    let names: Vec<&str> = declared.filter_map(|line| line.split(['(', '<']).next()).collect();
    let looks = [
        "observe",
        "with_clones",
        "pools",
        "survey",
        "cached",
        "emulator",
        "abilities",
        "running_nics",
        "definition",
        "signs",
        "screenshot",
        "console",
    ];
    // Plans have a gate of their own.
    let changes = ["backend", "prune", "set_link", "set_bandwidth"];
    for name in &names {
        let classed = looks.contains(name) || changes.contains(name);
        assert!(classed, "does `{name}` change something? then it belongs to `CHANGES`");
    }
    assert_eq!(names.len(), looks.len() + changes.len(), "{names:?}");
}
