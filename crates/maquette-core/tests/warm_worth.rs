//! When templates are made for nodes, before them, beside them or not at all.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use crate::templates::{DB, WEB, counts, plan, warm};
use maquette_core::observed::Observed;
use maquette_core::plan::{self, Action, Plan};
use maquette_core::settings::StartChoice;
use maquette_testkit::apply;

/// Notes that everything took a minute.
fn learn(seen: &mut Observed, done: &Plan) {
    let took = done.steps.iter().map(|step| (step.id, 60)).collect();
    seen.starts.learn(&plan::measured(&done.steps, &took, &BTreeMap::new()));
}

/// Whoever builds one node after the other waits for no template, and has them warm, too, where a CPU is idle meanwhile.
#[test]
fn a_single_node_boots_at_once_and_its_template_is_made_beside_it_where_a_cpu_is_idle() {
    let cold = "cold: it boots sooner than its template would be made";
    for (cpus, beside) in [(0, 0), (1, 0), (2, 1), (4, 1)] {
        let mut seen = Observed { cpus, ..Observed::default() };
        let one = warm(&[(WEB, 1)], &seen, StartChoice::Auto);
        let first = plan(&one, &seen);
        // Nobody knows yet whether there will be another.
        assert_eq!(counts(&first), [0, 0, 1], "{cpus}");
        learn(&mut seen, &first);
        // The same after `down`, and no other.
        assert_eq!(counts(&plan(&one, &seen)), [beside, 0, 1], "{cpus}");
        assert_eq!(counts(&plan(&warm(&[(DB, 1)], &seen, StartChoice::Auto), &seen)), [0, 0, 1]);
        // One more beside one that is there.
        apply(&mut seen, &first.steps);
        let second = plan(&warm(&[(WEB, 2)], &seen, StartChoice::Auto), &seen);
        assert_eq!(counts(&second), [beside, 0, 1], "{cpus}");
        let told = second.changes.iter().find(|change| change.name == "web-1").unwrap();
        assert!(told.detail.contains(cold), "{}", told.detail);
        let made = second.steps.iter().find(|s| matches!(s.action, Action::MakeTemplate { .. }));
        assert!(made.is_none_or(|m| second.steps.iter().all(|s| !s.after.contains(&m.id))));
        apply(&mut seen, &second.steps);
        let third = plan(&warm(&[(WEB, 3)], &seen, StartChoice::Auto), &seen);
        assert_eq!(counts(&third), [0, beside, 1 - beside], "{cpus}");
    }
}

/// Nor do two that are not alike, and no template takes a CPU from what boots: a node that restarts counts.
#[test]
fn one_node_of_each_of_two_types_boots_at_once() {
    for (cpus, beside) in [(2, 0), (3, 0), (4, 2)] {
        let mut seen = Observed { cpus, ..Observed::default() };
        let both = [(WEB, 1), (DB, 1)];
        let first = plan(&warm(&both, &seen, StartChoice::Auto), &seen);
        learn(&mut seen, &first);
        let again = plan(&warm(&both, &seen, StartChoice::Auto), &seen);
        assert_eq!(counts(&again), [beside, 0, 2], "{cpus}");
        apply(&mut seen, &first.steps);
        let larger = DB.replace("768", "1024");
        let changed = warm(&[(WEB, 2), (&larger, 1)], &seen, StartChoice::Auto);
        let made = counts(&plan(&changed, &seen))[0];
        assert_eq!(made, usize::from(cpus > 2), "{cpus}");
    }
}

/// Of many that are alike the template is made at first, whether such have booted here or not.
#[test]
fn many_new_nodes_wait_for_their_template() {
    let mut seen = Observed { cpus: 2, ..Observed::default() };
    let first = plan(&warm(&[(WEB, 1)], &seen, StartChoice::Auto), &seen);
    learn(&mut seen, &first);
    for seen in [&seen, &Observed { cpus: 2, ..Observed::default() }] {
        let many = plan(&warm(&[(WEB, 9)], seen, StartChoice::Auto), seen);
        assert_eq!(counts(&many), [1, 9, 0]);
    }
}

/// Where all boot at once, a template would have the first `up` take nearly twice as long; the second makes it.
#[test]
fn nodes_that_boot_side_by_side_get_a_template_the_second_time() {
    for (cpus, count, made) in [(2, 3, 1), (3, 3, 0), (16, 16, 0), (16, 17, 1)] {
        let mut seen = Observed { cpus, ..Observed::default() };
        let blueprint = warm(&[(WEB, count)], &seen, StartChoice::Auto);
        let first = plan(&blueprint, &seen);
        assert_eq!(counts(&first)[0], made, "{cpus} {count}");
        let cold = "cold: nodes like it boot at once, in the time that a template takes";
        let told = first.changes.iter().filter(|change| change.detail.ends_with(cold)).count();
        assert_eq!(told, if made == 0 { count as usize } else { 0 }, "{cpus} {count}");
        learn(&mut seen, &first);
        if made == 0 {
            assert_eq!(counts(&plan(&blueprint, &seen))[0], 1, "{cpus} {count}");
        }
        // Whoever asks for it has it at once.
        let asked =
            warm(&[(WEB, count)], &Observed { cpus, ..Observed::default() }, StartChoice::Warm);
        assert_eq!(counts(&plan(&asked, &Observed { cpus, ..Observed::default() }))[0], 1);
    }
}
