//! The agent, killed before each change that it makes: a node that loses its power does not come up as something
//! between what it was and what it is to be.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::first_boot_tests::{ready_with, with_more};
use super::template_tests::{Template, line};
use super::tests::{IDENTITY, System};
use crate::dying_host::{sparser, stride};

/// Ends before the call that has a number, and counts them. What is called changes files or starts programs.
const START: &str = r#"
import os, sys
sys.path.insert(0, sys.argv.pop(1))
home, at = sys.argv.pop(1), int(sys.argv.pop(1))
calls = 0
def dying(name):
    real = getattr(os, name)
    def call(*given, **named):
        global calls
        if os.path.exists(home + "/begun"):
            calls += 1
            if calls == at:
                os._exit(9)
        return real(*given, **named)
    setattr(os, name, call)
for name in ("open", "rename", "symlink", "link", "unlink", "mkdir", "rmdir", "chmod", "chown", "fchmod", "fchown",
             "posix_fallocate", "posix_spawnp", "setxattr"):
    dying(name)
import maquette_agent
maquette_agent.main()
with open(home + "/count", "w") as file:
    file.write(str(calls))
"#;

/// Where a run of the agent ends.
struct Killer {
    home: tempfile::TempDir,
    at: usize,
}

impl Killer {
    fn new(at: usize) -> Self {
        Self { home: tempfile::tempdir().unwrap(), at }
    }

    /// From now on calls count.
    fn begin(&self) {
        fs::write(self.home.path().join("begun"), "").unwrap();
    }

    fn command(&self, system: &System, verb: &str) -> Command {
        let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/guest-agent");
        let mut command = Command::new("python3");
        command.args(["-ISEBc", START]).arg(place).arg(self.home.path());
        command.arg(self.at.to_string()).arg(verb).arg(system.path(""));
        command.env("PATH", path(system));
        command
    }

    /// How many calls there were, if it came to its end.
    fn calls(&self) -> Option<usize> {
        fs::read_to_string(self.home.path().join("count")).ok()?.parse().ok()
    }
}

/// The node's own programs first.
fn path(system: &System) -> String {
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", system.path("usr/bin").display())
}

/// What is in memory only is gone, and it boots.
fn boot(system: &System) {
    // There may be none yet.
    let _ = fs::remove_dir_all(system.path("run"));
    assert!(system.run("setup").status.success());
    ready_with(system);
}

fn commands_run(system: &System) -> usize {
    system.text("var/log/cloud-init-output.log").lines().filter(|line| *line == "one").count()
}

/// What a node is by now, and after its next boot, which has nothing more to do.
fn settled(system: &System) -> BTreeMap<String, String> {
    let ran = commands_run(system);
    boot(system);
    assert_eq!(commands_run(system), ran, "its first boot has no end");
    let mut tree = system.tree();
    // Everything that programs ever said; and what only systems have that are started by systemd, and half of it.
    for name in ["var/log/cloud-init-output.log", "etc/machine-id", "etc/machine-id.maquette"] {
        tree.remove(name);
    }
    tree
}

/// A node whose first boot has commands.
fn prepared() -> System {
    let system = with_more(&["echo one"]);
    system.nic("eth0", "52:54:00:00:00:01");
    system
}

/// Ends an agent, and hands its system over to whoever judges it.
type Run<'a> = &'a dyn Fn(&Killer, &dyn Fn(&System));

/// Tries every point of one story, or every `stride`th: `run` ends at one, and how often commands may have run is in `ran` after the next
/// boot. How many points there were.
fn every_point(
    name: &str,
    stride: usize,
    ran: std::ops::RangeInclusive<usize>,
    run: Run<'_>,
) -> usize {
    let whole = prepared();
    boot(&whole);
    assert_eq!(commands_run(&whole), 1);
    let wanted = settled(&whole);
    let points = Cell::new(0);
    for at in (1..).step_by(stride) {
        let killer = Killer::new(at);
        let judge = |system: &System| {
            boot(system);
            let (found, said) = (settled(system), format!("{name}, killed before call {at}"));
            let names = wanted.keys().chain(found.keys());
            let differ: Vec<_> = names.filter(|n| wanted.get(*n) != found.get(*n)).collect();
            assert!(differ.is_empty(), "{said}: {differ:?}");
            let times = commands_run(system);
            assert!(ran.contains(&times), "{said}: commands ran {times} times");
        };
        run(&killer, &judge);
        if killer.calls().is_some() {
            break;
        }
        points.set(points.get() + 1);
    }
    println!("{name}: {} points", points.get());
    points.get()
}

/// Nothing has run yet that must not run twice.
#[test]
fn killed_before_every_change_of_a_first_boot_it_is_begun_anew() {
    let points = every_point("setting a node up", stride(5), 1..=1, &|killer, judge| {
        let system = prepared();
        killer.begin();
        killer.command(&system, "setup").output().unwrap();
        judge(&system);
    });
    assert!(points >= 25 / sparser(), "only {points} points");
}

/// What commands of a first boot have to bear is that they run again.
#[test]
fn killed_while_commands_of_a_first_boot_run_they_run_again() {
    let points =
        every_point("what a first boot has besides", stride(2), 1..=2, &|killer, judge| {
            let system = prepared();
            assert!(system.run("setup").status.success());
            killer.begin();
            killer.command(&system, "ready").output().unwrap();
            judge(&system);
        });
    assert!(points >= 15 / sparser(), "only {points} points");
}

/// A node that loses its power while it is made of a template boots, as a first boot.
#[test]
fn killed_while_a_template_becomes_a_node_it_boots_as_that_node() {
    let points =
        every_point("a template that becomes a node", stride(9), 1..=2, &|killer, judge| {
            let system = prepared();
            let more = system.text("seed/first-boot");
            let mut template =
                Template::started(system, |_| (), |system| killer.command(system, "template"));
            template.system.put("seed/first-boot", &more);
            template.seed(&IDENTITY.replace("maquette 1", "maquette 2"));
            killer.begin();
            template.connect().write_all(line().as_bytes()).unwrap();
            template.gone();
            judge(&template.system);
        });
    assert!(points >= 15 / sparser(), "only {points} points");
}

/// Shut down before it has heard who it is: what is kept of its random numbers, no other node gets.
#[test]
fn a_template_that_ends_as_nobody_draws_random_numbers_of_its_own() {
    let system = prepared();
    system.put("sys/class/dmi/id/product_uuid", "d8e9\n");
    let mut template = Template::new(system);
    let number = template.agent.id().to_string();
    assert!(Command::new("kill").arg(number).status().unwrap().success());
    assert_eq!(template.gone().signal(), Some(15));
    assert_eq!(template.system.text("reseeded"), "d8e9\n");
}
