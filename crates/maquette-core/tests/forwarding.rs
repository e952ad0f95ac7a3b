//! The workspace's key that leads to nodes through the hypervisor: when it is opened, changed and closed.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use maquette_core::blueprint::{Blueprint, Forwarding};
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Op, Plan};
use maquette_core::values::Secret;
use maquette_testkit::small::{asked, built};
use maquette_testkit::{apply, blueprint_of, titles};

fn wanted(user: &str, key: &str) -> Forwarding {
    Forwarding { user: user.parse().unwrap(), key: key.parse().unwrap() }
}

fn planned(seen: &Observed, forwarding: Option<Forwarding>) -> (Blueprint, Plan) {
    let mut blueprint = blueprint_of(&asked(&[("controller", 1)], &[]), seen);
    blueprint.forwarding = forwarding;
    let plan = plan::create(&blueprint, seen, &|_| Secret::new(""));
    (blueprint, plan)
}

/// What a plan says of the login: what is done, and why.
fn said(plan: &Plan) -> Vec<(Op, String)> {
    let of_host = plan.changes.iter().filter(|c| c.kind == ObjectKind::Host);
    of_host.map(|c| (c.op, c.reason.to_string())).collect()
}

#[test]
fn a_key_opens_once_and_again_for_another_user_or_key_or_where_it_is_gone() {
    let mut seen = built(&[("controller", 1)], &[]);
    let key = wanted("stack", "ssh-ed25519 AAAA lab");
    let (_, plan) = planned(&seen, Some(key.clone()));
    assert_eq!(said(&plan)[0].0, Op::Create);
    assert_eq!(titles(&plan), ["open stack's login for forwarding"]);
    apply(&mut seen, &plan.steps);
    // Whatever its comment is.
    let (_, plan) = planned(&seen, Some(wanted("stack", "ssh-ed25519 AAAA other")));
    assert!(plan.is_empty() && said(&plan)[0].0 == Op::Keep, "{plan:?}");
    for (forwarding, why) in [
        (wanted("root", "ssh-ed25519 AAAA"), "another user"),
        (wanted("stack", "ssh-ed25519 BBBB"), "another key"),
    ] {
        let (_, plan) = planned(&seen, Some(forwarding));
        assert!(said(&plan)[0].1.contains(why), "{plan:?}");
        assert_eq!(plan.steps.len(), 1);
    }
    seen.forwarding.as_mut().unwrap().authorized = false;
    let (_, plan) = planned(&seen, Some(key));
    assert_eq!((said(&plan)[0].0, plan.steps.len()), (Op::Update, 1));
}

/// Whoever has only our own commands needs no such key, and has not to lose one that InfraRed's plug-ins use.
#[test]
fn who_asks_for_no_key_leaves_it_as_it_is() {
    let mut seen = built(&[("controller", 1)], &[]);
    let (_, plan) = planned(&seen, None);
    assert!(plan.is_empty() && said(&plan).is_empty(), "{plan:?}");
    let (_, plan) = planned(&seen, Some(wanted("root", "ssh-ed25519 AAAA")));
    apply(&mut seen, &plan.steps);
    let (_, plan) = planned(&seen, None);
    assert!(plan.is_empty() && said(&plan).is_empty(), "{plan:?}");
}

#[test]
fn a_key_goes_with_its_environment_and_with_what_is_restored() {
    let mut seen = built(&[("controller", 1)], &[]);
    let (blueprint, plan) = planned(&seen, Some(wanted("root", "ssh-ed25519 AAAA")));
    apply(&mut seen, &plan.steps);
    let plan = plan::destroy(&seen, &blueprint.environment);
    assert_eq!(said(&plan)[0].0, Op::Delete);
    assert!(titles(&plan).contains(&"close the login for forwarding".to_string()));
    // A removal that was killed may have left that alone.
    let alone = Observed { forwarding: seen.forwarding.clone(), ..Observed::default() };
    assert!(alone.exists());
    let plan = plan::destroy(&alone, &blueprint.environment);
    assert_eq!(titles(&plan), ["close the login for forwarding"]);
    let plan = plan::destroy(&seen, &blueprint.environment);
    apply(&mut seen, &plan.steps);
    assert!(!seen.exists());
    let open = BTreeMap::from([(EnvName::default(), alone.forwarding.unwrap())]);
    let plan = plan::restore(Vec::new(), &open);
    assert_eq!(titles(&plan), ["close the login for forwarding"]);
    assert!(said(&plan)[0].1.contains("nothing else is left"), "{plan:?}");
}
