//! What is asked for, as files of our own.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;

use maquette_core::convert::{self, NOT_KEPT};
use maquette_core::diagnostic::Diagnostics;
use maquette_core::settings::SETTINGS;
use maquette_core::syntax::Plain;
use maquette_testkit::input;

fn said(diags: &Diagnostics) -> Vec<String> {
    diags.iter().map(|d| d.message.clone()).collect()
}

/// Five were kept, and of the others nothing was said.
#[test]
fn each_setting_is_kept_or_told_as_left_out() {
    let wanted = input(&[("controller", 1)], "3_nets", &[]);
    for row in SETTINGS.iter().filter(|row| !NOT_KEPT.contains(&row.name)) {
        let given = BTreeMap::from([(row.name, Plain::text("something"))]);
        let mut diags = Diagnostics::default();
        let files = convert::of_request(&wanted.request, &given, &mut diags);
        let project = Plain::of(&files.project);
        match row.key {
            Some(key) => {
                let path: Vec<&str> = key.split('.').collect();
                assert!(project.at(&path).is_some(), "{key}: {project:?}");
                assert_eq!(said(&diags), Vec::<String>::new(), "{key}");
            }
            None => assert!(said(&diags)[0].contains(&format!("`--{}`", row.name)), "{diags:?}"),
        }
    }
    // A secret is in no file; it was written as six stars, which nothing takes.
    let given = BTreeMap::from([("bmc-credentials", Plain::text(convert::HIDDEN))]);
    let mut diags = Diagnostics::default();
    let files = convert::of_request(&wanted.request, &given, &mut diags);
    assert_eq!(Plain::of(&files.project).at(&["bmc_credentials"]), None);
    assert!(said(&diags)[0].contains("is a secret"), "{diags:?}");
    // What holds anyway is in no file.
    let given = BTreeMap::from([("disk-bus", Plain::text("virtio"))]);
    let files = convert::of_request(&wanted.request, &given, &mut Diagnostics::default());
    assert_eq!(Plain::of(&files.project).at(&["disk_bus"]), None);
}

/// The files failed with an undefined value.
#[test]
fn what_expressions_name_is_kept_beside_the_networks() {
    let network = "networks: {net1: {name: a, forward: nat, ip_address: \"10.{{ x }}.0.1\"}}\n";
    let extra = ["x={{ y }}", "y=20", "token=s", "provision_post=a.yml"];
    let wanted = input(&[("controller", 1)], network, &extra);
    let mut diags = Diagnostics::default();
    let files = convert::of_request(&wanted.request, &BTreeMap::new(), &mut diags);
    let (_, file) = files.network.unwrap();
    let file = Plain::of(&file);
    assert_eq!(file.at(&["x"]), Some(&Plain::text("{{ y }}")));
    assert_eq!(file.at(&["y"]), Some(&Plain::text("20")));
    assert!(file.at(&["token"]).is_none() && file.at(&["provision_post"]).is_none());
    let said = said(&diags);
    assert!(said.len() == 1 && said[0].contains("`provision_post`"), "{said:?}");
}
