//! What a template has to get rid of before it is a node, and what it says if it cannot.

use std::fs;
use std::io::Write;
use std::time::Instant;

use maquette_core::seed::report;

use super::template_tests::{Template, complete, line, until};
use super::tests::{IDENTITY, System};

const ADDRESS: &str = "sys/class/net/eth0/address";
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
const FAST_OPEN: &str = "proc/sys/net/ipv4/tcp_fastopen_key";
const UUID: &str = "sys/class/dmi/id/product_uuid";
const TABLES: &str = "sys/firmware/dmi/tables/DMI";

/// The UUID of the template, that of a node, and how that is as a machine-id.
const TEMPLATES: &str = "0f1e2d3c-4b5a-5678-8796-a5b4c3d2e1f0";
const NODES: &str = "6f5e4d3c-2b1a-5908-9716-05f4e3d2c1b0";
const NODES_ID: &str = "6f5e4d3c2b1a5908971605f4e3d2c1b0";

/// The first error that a template has told last.
fn told(template: &Template) -> String {
    until("a result", || template.said().ends_with("}\n"));
    let said = template.said();
    let last = said.lines().last().unwrap();
    crate::ready::errors_of(&report::Report::of(last)).unwrap().remove(0)
}

/// Whether that is said to have left it a template.
pub(super) fn is_untouched(template: &Template) -> bool {
    let said = template.said();
    said.lines().rev().nth(1).map(report::Report::of) == Some(report::Report::Untouched)
}

fn becomes_a_node(template: Template) -> System {
    template.connect().write_all(line().as_bytes()).unwrap();
    is_a_node(template)
}

fn is_a_node(mut template: Template) -> System {
    template.end();
    let said = template.said();
    assert!(said.ends_with("\"errors\": []}}\ndone\n"), "{said}");
    std::mem::replace(&mut template.system, System::new(IDENTITY))
}

/// What the first line says was written before the guest ran; an answer is as old as half the time that it took.
#[test]
fn a_node_asks_what_time_it_is() {
    let time = 1_795_000_000_000_000_000u128;
    let template = Template::new(complete());
    template.seed(IDENTITY);
    let mut port = template.connect();
    let begun = Instant::now();
    port.write_all(line().as_bytes()).unwrap();
    until("a question", || template.said().contains("clock\n"));
    // Half a line, and one that is no answer, are none.
    port.write_all(b"clock 17\nclock 1795clock 1795000000000000000\n").unwrap();
    until("the clock", || template.system.path("clock").exists());
    let took = begun.elapsed().as_nanos();
    let set: u128 = template.system.text("clock").trim().parse().unwrap();
    assert!((time..=time + took).contains(&set), "{set} after {took}");
    is_a_node(template);
    // Where nobody answers it goes on.
    let template = Template::new(complete());
    template.seed(IDENTITY);
    assert!(!becomes_a_node(template).path("clock").exists());
}

/// Two nodes of one template had the same, which systemd-resolved has the kernel draw as it starts.
#[test]
fn a_node_has_a_key_of_its_own_for_tcp_fast_open() {
    let none = "00000000-00000000-00000000-00000000\n";
    for (templates, anew) in [("edcdc902-aa1dd70b-adaba4c2-20fa415d\n", true), (none, false)] {
        let key = |_| {
            let system = complete();
            system.put(FAST_OPEN, templates);
            let template = Template::new(system);
            template.seed(IDENTITY);
            becomes_a_node(template).text(FAST_OPEN)
        };
        let keys = [1, 2].map(key);
        assert_eq!(keys.iter().all(|key| key != templates), anew, "{keys:?}");
        assert_eq!(keys[0] != keys[1], anew, "{keys:?}");
        for key in keys {
            let parts: Vec<&str> = key.trim().split('-').collect();
            let is_word = |part: &&str| part.len() == 8 && u32::from_str_radix(part, 16).is_ok();
            assert!(parts.len() == 4 && parts.iter().all(is_word), "{key}");
        }
    }
}

/// Its memory is saved then, and nodes go on with it.
#[test]
fn a_template_holds_everything_up_until_it_is_a_node() {
    let template = Template::new(complete());
    let mut port = template.connect();
    port.write_all(b"still\n").unwrap();
    until("a word", || template.said() == "template\nstill\n");
    assert!(template.system.path("held").exists());
    drop(port);
    // Whoever is there then is somebody else, and may write it in two parts.
    template.seed(IDENTITY);
    let mut port = template.connect();
    let line = line();
    let (begin, rest) = line.split_at(40);
    port.write_all(begin.as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    port.write_all(rest.as_bytes()).unwrap();
    until("a node", || template.said().contains("setting up\n"));
    let node = is_a_node(template);
    assert!(!node.path("held").exists());
}

/// Somebody had it go on by hand, and told it nothing: it kept its processors busy for ever. It is itself by what it can be.
#[test]
fn a_node_that_nobody_tells_anything_lets_others_run() {
    let system = complete();
    system.put(UUID, &format!("{TEMPLATES}\n"));
    let template = Template::new(system);
    template.seed(IDENTITY);
    template.connect().write_all(b"still\n").unwrap();
    until("a word", || template.said() == "template\nstill\n");
    template.system.put(UUID, &format!("{NODES}\n"));
    until("an end", || !template.system.path("held").exists());
    assert_eq!(template.system.text("reseeded"), format!("{NODES}\n"));
    // It hears of it later, too.
    let node = becomes_a_node(template);
    assert!(!node.path("held").exists());
}

/// What a part of the agent says, which is given no root: nothing of it may be the machine's.
fn agent_says(script: &str) -> String {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/guest-agent");
    let script = format!("import sys; sys.path.insert(0, sys.argv.pop(1))\n{script}");
    let mut python = std::process::Command::new("python3");
    let said = python.args(["-ISEBc", &script]).arg(place).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn a_kernel_that_does_not_tell_its_limit_has_templates() {
    let said = agent_says(
        "import maquette_hold\n\
         maquette_hold.Hold.LIMIT = '/nonexistent'\n\
         maquette_hold.Hold().end()\n\
         print('ended')",
    );
    assert_eq!(said, "ended\n");
}

/// Otherwise it might be where one of the others keeps it from running.
#[test]
fn the_agent_is_on_its_processor_before_others_are_kept_busy() {
    let said = agent_says(
        "import os, maquette_hold\n\
         os.sched_getaffinity = lambda _: {0, 1}\n\
         os.sched_setaffinity = lambda _, wanted: print('on', *wanted)\n\
         os.sched_setscheduler = lambda *_: print('first')\n\
         class Hold(maquette_hold.Hold):\n    \
             def set_limit(self, text): print('limit', text)\n    \
             def keep_busy(self, number, processor):\n        \
                 self.over[number] = 1\n        \
                 print('busy', processor)\n\
         Hold()",
    );
    assert_eq!(said, "limit -1\non 0\nbusy 1\nfirst\n");
}

/// udev writes a line into the journal of each node for each of them.
#[test]
fn rules_have_no_value_that_udev_complains_of() {
    let rules = include_str!("../../assets/guest-agent/nic.rules");
    let rules = rules.lines().filter(|line| !line.starts_with('#'));
    assert!(rules.clone().any(|line| line.contains("RUN")));
    rules.for_each(|line| assert!(!line.contains("\"\""), "{line}"));
}

/// DHCP servers know a node by what is made of it, also when it was taken down and built again.
#[test]
fn a_machine_id_is_what_a_first_boot_makes_of_the_firmwares_uuid() {
    for (made, same) in [(TEMPLATES.replace('-', ""), true), ("1".repeat(32), false)] {
        let system = complete();
        system.put(UUID, &format!("{}\n", TEMPLATES.to_uppercase()));
        // What systemd has made when the template booted, and where.
        system.put("etc/machine-id", &format!("{made}\n"));
        let template = Template::new(system);
        assert_eq!(template.system.text("etc/machine-id"), "");
        template.system.put(UUID, &format!("{NODES}\n"));
        template.seed(IDENTITY);
        let node = becomes_a_node(template);
        let id = node.text("etc/machine-id");
        assert_eq!(id == format!("{NODES_ID}\n"), same, "{id}");
        assert!(id.len() == 33 && id.trim() != made, "{id}");
    }
}

/// Whoever copies its memory puts others in place; should that fail, two nodes would be one machine.
#[test]
fn a_node_does_not_go_on_with_what_is_its_templates() {
    // In the tables the first three fields are little-endian.
    let table = b"\x01\x1b\x3c\x2d\x1e\x0f\x5a\x4b\x78\x56\x87\x96\xa5\xb4\xc3\xd2\xe1\xf0\x06";
    for (name, templates, nodes, what) in [
        (BOOT_ID, &b"0d9a7ab1-4c7e-4f0e-9f1e-63a1a5d3c1b2\n"[..], &b"another\n"[..], "boot ID"),
        (UUID, TEMPLATES.as_bytes(), NODES.as_bytes(), "UUID"),
        (TABLES, table, b"another", "UUID"),
        (ADDRESS, b"62:01:02:03:04:01\n", b"52:54:00:00:00:01\n", "address of a NIC"),
    ] {
        let system = complete();
        system.put(UUID, TEMPLATES);
        system.put(name, "");
        fs::write(system.path(name), templates).unwrap();
        let template = Template::new(system);
        if name != UUID {
            template.system.put(UUID, NODES);
        }
        fs::write(template.system.path(name), templates).unwrap();
        template.seed(IDENTITY);
        template.connect().write_all(line().as_bytes()).unwrap();
        let error = told(&template);
        assert_eq!(error, format!("wake: it has the {what} of its template"));
        assert!(is_untouched(&template));
        assert!(!template.said().contains("setting up"));
        fs::write(template.system.path(name), nodes).unwrap();
        becomes_a_node(template);
    }
}

/// It was renamed between two looks at it, or is gone again.
#[test]
fn a_nic_that_changes_while_it_is_looked_at_is_waited_for() {
    let system = complete();
    system.put("run/udev/control", "");
    let mut template = Template::new(system);
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    until("keys", || template.system.path("home/cloud-user/.ssh/authorized_keys").exists());
    template.system.put("sys/class/net/eth0/ifindex", "2\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(!template.said().contains("result"), "{}", template.said());
    template.system.put("run/udev/data/n2", "");
    template.end();
    assert!(template.said().ends_with("done\n"), "{}", template.said());
}

/// Whoever waits would do so until its time is up, and would not know why.
#[test]
fn an_agent_that_cannot_go_on_says_so_at_once() {
    let template = Template::new(complete());
    template.system.put("var/lib/cloud", "");
    template.seed(IDENTITY);
    template.connect().write_all(line().as_bytes()).unwrap();
    let error = told(&template);
    assert!(error.starts_with("wake: ") && error.contains("Error: "), "{error}");
    assert!(is_untouched(&template));
    // Another run may have more luck.
    fs::remove_file(template.system.path("var/lib/cloud")).unwrap();
    let node = becomes_a_node(template);
    assert_eq!(node.text("var/lib/cloud/data/instance-id"), "5f0-1\n");
}

/// What its user asked for has run: a boot would do that again.
#[test]
fn a_node_whose_agent_fails_after_its_commands_is_not_booted_again() {
    let system = complete();
    let left = system.path("run/maquette/first-boot.json");
    let first_boot = serde_json::json!({
        "packages": [], "files": [], "commands": [format!("rm {}", left.display())],
    });
    system.put("seed/first-boot", &first_boot.to_string());
    let mut template = Template::new(system);
    template.seed(&IDENTITY.replace("maquette 1", "maquette 2"));
    template.connect().write_all(line().as_bytes()).unwrap();
    let error = told(&template);
    assert!(error.starts_with("agent: FileNotFoundError: "), "{error}");
    assert!(!is_untouched(&template));
    template.end();
}
