//! Colleagues' keys, on a model of a hypervisor.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Away, Extent, Op};
use maquette_core::values::PublicKey;
use maquette_testkit::{Input, apply, changes, edit, input, plan_of, titles, up};

fn bob() -> PublicKey {
    "ssh-ed25519 BBBB bob@desk".parse().unwrap()
}

fn asked(controllers: u32, more: &[&str]) -> Input {
    let small = ["override.controller.deploy_os=yes", "override.controller.disks.disk1.size=12G"];
    let extra: Vec<&str> = small.iter().chain(more).copied().collect();
    input(&[("controller", controllers)], "3_nets", &extra)
}

fn built(controllers: u32) -> Observed {
    let mut seen = Observed::default();
    up(&mut seen, &asked(controllers, &[]));
    seen
}

/// Shares all nodes but the last, which is off then.
fn shared_but_the_last(controllers: u32) -> (Observed, String) {
    let mut seen = built(controllers);
    let last = format!("controller-{}", controllers - 1);
    seen.domains.get_mut(last.as_str()).unwrap().active = false;
    let plan = plan::share(&seen, &EnvName::default(), &[bob()]);
    apply(&mut seen, &plan.steps);
    (seen, last)
}

/// A colleague's key is on nodes that run, comes to others when these run, and is in the seed of those that are made.
#[test]
fn a_shared_key_comes_to_every_node_and_replaces_none() {
    let bob = bob();
    let mut seen = built(2);
    seen.domains.get_mut("controller-1").unwrap().active = false;
    assert_eq!(plan::out_of_reach(&seen), [("controller-1", Away::Off)]);
    let environment = EnvName::default();
    let share = plan::share(&seen, &environment, std::slice::from_ref(&bob));
    assert_eq!(titles(&share), ["set SSH keys of domain controller-0"]);
    apply(&mut seen, &share.steps);
    seen.domains.get_mut("controller-1").unwrap().active = true;
    let plan = up(&mut seen, &asked(3, &[]));
    let text = changes(&plan);
    assert!(
        text.contains("update domain controller-1: bob@desk may log in (while it runs)"),
        "{text}"
    );
    assert!(!text.contains("replace"), "{text}");
    // The seed of the new one has it for the user and for root.
    let seeds = plan.steps.iter().filter_map(|step| match &step.action {
        Action::CreateSeed { files, .. } => Some(files),
        _ => None,
    });
    let seeds: Vec<_> = seeds.flatten().collect();
    for (file, line) in [
        ("identity", "-user ssh-ed25519 BBBB bob@desk\n"),
        ("user-data", ", \"ssh-ed25519 BBBB bob@desk\"]\n"),
    ] {
        let file = seeds.iter().find(|f| f.name == file).unwrap();
        assert!(file.content.reveal().contains(line), "{}", file.content.reveal());
    }
    let keys = |seen: &Observed, name: &str| {
        seen.domains[name].recorded.guest.as_ref().unwrap().shared.clone()
    };
    for name in ["controller-0", "controller-1", "controller-2"] {
        assert_eq!(keys(&seen, name), std::slice::from_ref(&bob), "{name}");
    }
    let replaced = up(&mut seen, &asked(3, &["override.controller.swap=512"]));
    assert_eq!(replaced.count(Op::Replace), 3);
    assert_eq!(keys(&seen, "controller-0"), std::slice::from_ref(&bob));
    let gone = plan::unshare(&seen, &environment, &[bob], Extent::All);
    apply(&mut seen, &gone.steps);
    assert!(seen.shared_keys().is_empty());
}

/// An `unshare` that ended between two nodes was undone by the next `up`, which gives all nodes what one is recorded to
/// have.
#[test]
fn keys_are_recorded_to_be_gone_only_when_every_guest_was_changed() {
    let mut seen = built(3);
    let plan = plan::share(&seen, &EnvName::default(), &[bob()]);
    apply(&mut seen, &plan.steps);
    let plan = plan::unshare(&seen, &EnvName::default(), &[bob()], Extent::All);
    let (records, guests): (Vec<_>, Vec<_>) =
        plan.steps.iter().partition(|s| matches!(s.action, Action::RecordDomain { .. }));
    assert_eq!((records.len(), guests.len()), (3, 3));
    for record in records {
        assert!(guests.iter().all(|guest| record.after.contains(&guest.id)), "{record:?}");
    }
    // Wherever it ends before the records, nothing is recorded, and `up` brings nothing back.
    apply(&mut seen, &plan.steps[..2]);
    assert_eq!(seen.shared_keys(), [bob()]);
    assert!(plan_of(&asked(3, &[]), &seen).is_empty());
    apply(&mut seen, &plan.steps[2..]);
    assert!(seen.shared_keys().is_empty());
}

#[test]
fn a_node_that_cannot_be_reached_keeps_no_key_from_going_for_good() {
    let (mut seen, last) = shared_but_the_last(3);
    seen.domains.get_mut("controller-0").unwrap().active = false;
    edit(&mut seen, ObjectKind::Domain, &last);
    let away = [("controller-0", Away::Off), (last.as_str(), Away::Edited)];
    assert_eq!(plan::out_of_reach(&seen), away);
    let plan = plan::unshare(&seen, &EnvName::default(), &[bob()], Extent::Reachable);
    assert_eq!(
        titles(&plan),
        [
            "record domain controller-0",
            "record domain controller-1",
            "set SSH keys of domain controller-1"
        ]
    );
    apply(&mut seen, &plan.steps);
    assert!(seen.shared_keys().is_empty());
    let plan = up(&mut seen, &asked(3, &[]));
    assert!(!changes(&plan).contains("bob"), "{}", changes(&plan));
}

/// The one run that mends, changes, restarts or starts a node gives it the keys, too.
#[test]
fn one_run_gives_late_keys_whatever_else_it_does() {
    let memory = ["override.controller.memory=16384"];
    type Happens = fn(&mut Observed, &str);
    let cases: [(&str, Happens, &[&str]); 5] = [
        ("starts", |_, _| {}, &[]),
        (
            "resumes",
            |seen, name| {
                let domain = seen.domains.get_mut(name).unwrap();
                (domain.active, domain.paused) = (true, true);
                domain.live = Some(domain.defined.clone());
            },
            &[],
        ),
        (
            "restarts",
            |seen, name| {
                let domain = seen.domains.get_mut(name).unwrap();
                domain.active = true;
                domain.live = Some(domain.defined.clone());
            },
            &memory,
        ),
        (
            "defines",
            |seen, name| {
                let domain = seen.domains.get_mut(name).unwrap();
                (domain.active, domain.persistent) = (true, false);
                domain.live = Some(domain.defined.clone());
            },
            &[],
        ),
        ("mends", |seen, name| edit(seen, ObjectKind::Domain, name), &[]),
    ];
    for (what, happens, more) in cases {
        let (mut seen, last) = shared_but_the_last(2);
        happens(&mut seen, &last);
        let plan = up(&mut seen, &asked(2, more));
        let title = format!("set SSH keys of domain {last}");
        assert!(titles(&plan).contains(&title), "{what}: {:?}", titles(&plan));
        let guest = seen.domains[last.as_str()].recorded.guest.as_ref().unwrap();
        assert_eq!(guest.shared, [bob()], "{what}");
    }
}

/// libvirt records nothing of a domain that is not defined.
#[test]
fn a_domain_without_a_definition_is_not_recorded() {
    let mut seen = built(1);
    seen.domains.get_mut("controller-0").unwrap().persistent = false;
    assert_eq!(plan::out_of_reach(&seen), [("controller-0", Away::Undefined)]);
    assert!(plan::share(&seen, &EnvName::default(), &[bob()]).is_empty());
}
