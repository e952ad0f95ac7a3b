//! The order of each crate's rooms, and that nothing goes against it.

use super::rooms::Modules;
use super::{CRATES, crates};

/// The rooms of each crate, lowest first: a room uses those before it, and none after it. A new one gets its place here.
const ROOMS: [(&str, &[&str]); 6] = [
    (
        "maquette-core",
        &[
            "defaults",
            "examples",
            "hardware",
            "hex",
            "names",
            "selection",
            "object",
            "span",
            "units",
            "diagnostic",
            "values",
            "lifetime",
            "virtopts",
            "image",
            "scrub",
            "syntax",
            "file_keys",
            "secret_keys",
            "decode",
            "expr",
            "layers",
            "settings",
            "topology",
            "layout",
            "schema",
            "explain",
            "blueprint",
            "bare_metal",
            "start_times",
            "observed",
            "abilities",
            "convert",
            "node_state",
            "doctor",
            "seed",
            "capacity",
            "expand",
            "plan",
        ],
    ),
    (
        "maquette-engine",
        &[
            "backend",
            "small_download",
            "event",
            "executor",
            "guest_agent",
            "host",
            "start_times",
            "deployment_facts",
            "lifetimes",
            "private_file",
            "ssh_keys",
            "bmc",
            "public_keys",
            "seed_volume",
            "net",
            "forwarding",
            "probe",
            "ready",
            "guest_script",
            "login_keys",
            "guest_timezone",
            "guests",
            "doctor",
            "prepare",
            "image",
        ],
    ),
    (
        "maquette-libvirt",
        &[
            "client",
            "clock",
            "xml",
            "bmc",
            "nic",
            "console",
            "virt_xml",
            "domain",
            "template",
            "network",
            "observe",
            "doctor",
            "guest_port",
            "cached",
            "prune",
            "survey",
            "volume",
            "perform",
            "driver",
        ],
    ),
    (
        "maquette-view",
        &[
            "feed", "sources", "guard", "door", "rfb", "assets", "sockets", "events", "console",
            "screen", "server",
        ],
    ),
    (
        "maquette-bmc",
        &[
            "clock", "enemy", "secret", "store", "machine", "model", "accounts", "guesses",
            "reach", "stir", "bmc", "service", "redfish", "ipmi", "serve",
        ],
    ),
    (
        "maquette",
        &[
            "file_limit",
            "render",
            "failure",
            "world",
            "signals",
            "progress",
            "reading",
            "userfile",
            "consent",
            "cli",
            "host_args",
            "workspace",
            "playbooks",
            "load",
            "session",
            "pipeline",
            "lifecycle",
            "infrared",
            "commands",
            "fuzzing",
        ],
    ),
];

fn modules(name: &str) -> Modules {
    Modules::read(&crates().join(name).join("src"))
}

#[test]
fn no_room_uses_one_above_it() {
    for (name, order) in ROOMS {
        let modules = modules(name);
        let place = |module: &str| {
            let room = module.split("::").next().unwrap();
            order.iter().position(|known| known.split(' ').any(|known| known == room))
        };
        for (from, all) in modules.arrows().into_iter().filter(|(from, _)| !from.is_empty()) {
            let here = place(from).unwrap_or_else(|| panic!("{name}: {from} has no place"));
            for to in all.into_iter().filter(|to| !to.is_empty()) {
                let there = place(to).unwrap_or_else(|| panic!("{name}: {to} has no place"));
                assert!(there <= here, "{name}: {from} uses {to}, which is above it");
            }
        }
    }
}

/// What uses each other cannot be read, tried or moved alone. A folder's head and its parts are one thing.
#[test]
fn no_modules_use_each_other_in_a_circle() {
    for name in CRATES {
        let circles = modules(name).circles();
        assert!(circles.is_empty(), "{name}: {circles:#?}");
    }
}
