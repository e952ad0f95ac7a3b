//! Keys of a network file that expressions name: InfraRed's `include_vars` makes variables of them.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::diagnostic::Diagnostics;
use maquette_core::observed::Observed;
use maquette_core::topology::{Allocation, compile};
use maquette_testkit::{Input, blueprint_of, input, mistakes};

/// A run of one node of a type with these keys, on a network file with these keys of its own and this address.
fn run(own: &str, address: &str, node: &str, extra: &[&str]) -> Input {
    let node =
        format!("web={{name: web, cpu: 1, memory: 512, disks: {{disk1: {{size: 20G}}}}{node}}}");
    let network = format!(
        "{own}\nnetworks:\n  net1: {{name: lan, forward: nat, ip_address: \"{address}\", \
         dhcp: {{range: {{start: \"{{{{ networks.net1.ip_address | ipmath(1) }}}}\", end: \"{{{{ networks.net1.ip_address | ipmath(90) }}}}\"}}}}}}\n\
         nodes:\n  default:\n    interfaces: [lan]\n    external_network: lan\n"
    );
    let mut wanted = input(&[(&node, 1)], &network, extra);
    wanted.diags = Diagnostics::lenient();
    wanted
}

#[test]
fn expressions_of_a_network_file_see_its_keys_and_extra_variables_win() {
    for (own, address, extra, expected) in [
        ("base: 17", "172.{{ base }}.0.1", &[][..], "172.17.0.1/24"),
        ("base: 17", "172.{{ base + 1 }}.0.1", &[], "172.18.0.1/24"),
        ("base: 17", "172.{{ base }}.0.1", &["base=20"], "172.20.0.1/24"),
        // One may name another, and variables of the run; an extra one is not merged into one of the file.
        (
            "first: '{{ net }}.1'\nsite: {a: '172.16.{{ first }}'}",
            "{{ site.a }}",
            &[],
            "172.16.0.1/24",
        ),
        (
            "site: {a: 1, b: 2}",
            "172.16.{{ site.b | default(9) }}.1",
            &["site.a=7"],
            "172.16.9.1/24",
        ),
        ("all: [172.30.0.1, x]", "{{ all | first }}", &[], "172.30.0.1/24"),
        ("net6: 12", "172.16.{{ net6 }}.1", &[], "172.16.12.1/24"),
    ] {
        let wanted = run(own, address, "", extra);
        let blueprint = blueprint_of(&wanted, &Observed::default());
        let network = &blueprint.networks[0];
        assert_eq!(network.ipv4.unwrap().to_string(), expected, "{own} {address} {extra:?}");
    }
}

#[test]
fn node_files_and_overrides_see_them_too() {
    for (own, node, extra) in [
        ("site: lab", ", groups: ['{{ site }}']", &[][..]),
        ("site: lab", ", groups: ['{{ network_info.site }}']", &[]),
        ("roles: [lab]", ", groups: '{{ roles }}'", &[]),
        ("site: lab", "", &["override.web.groups=['{{ site }}']"]),
        ("site: x", ", groups: ['{{ site }}']", &["site=lab"]),
        ("", ", groups: ['{{ networks.net1.name | replace(\"n\", \"b\") }}']", &[]),
    ] {
        let mut wanted = run(own, "10.9.0.1", node, extra);
        if let [over] = extra
            && over.starts_with("override")
        {
            // As a list, as `-e @FILE` has it.
            wanted = run(own, "10.9.0.1", ", groups: ['{{ site }}']", &[]);
        }
        assert_eq!(mistakes(&mut wanted), Vec::<String>::new(), "{own} {node} {extra:?}");
        let blueprint = blueprint_of(&wanted, &Observed::default());
        let groups: Vec<String> =
            blueprint.nodes[0].groups.iter().map(ToString::to_string).collect();
        assert_eq!(groups, ["lab"], "{own} {node} {extra:?}");
    }
}

/// A node file may be somebody else's.
#[test]
fn what_is_named_like_a_secret_is_seen_in_its_own_file_alone() {
    let own = "root_password: '7'\nlogin: '{{ root_password }}'";
    let mut wanted = run(own, "172.16.{{ root_password }}.{{ login }}", "", &[]);
    assert_eq!(mistakes(&mut wanted), Vec::<String>::new());
    for (node, said) in [
        ("{{ root_password }}", "`root_password` of the network file is named like a secret"),
        ("{{ login }}", "`login` of the network file has an expression in it"),
        ("{{ network_info.root_password }}", "undefined value"),
        ("{{ nodes.default }}", "undefined value"),
        ("{{ mirror }}", "https://***@h.example"),
    ] {
        let node = format!(", commands: [], groups: ['{node}']");
        let own = format!("{own}\nmirror: 'https://me:s3cret@h.example'");
        let found = mistakes(&mut run(&own, "10.9.0.1", &node, &[]));
        let found: Vec<_> = found.iter().filter(|said| !said.contains("unknown-key")).collect();
        assert!(found.len() == 1 && found[0].contains(said), "{node}: {found:#?}");
        assert!(!found[0].contains("s3cret"), "{found:#?}");
    }
    let extra = &["root_password=lab"][..];
    let mut given = run(own, "10.9.0.1", ", groups: ['{{ root_password }}', '{{ login }}']", extra);
    assert_eq!(mistakes(&mut given), Vec::<String>::new());
}

/// They were unknown keys, and are where nothing names them.
#[test]
fn a_key_that_no_expression_names_is_unknown_and_one_without_end_is_refused() {
    let found = mistakes(&mut run("bsae: 17", "10.9.0.1", "", &[]));
    assert!(found.len() == 1 && found[0].contains("has no key `bsae`"), "{found:#?}");
    let found = mistakes(&mut run("bsae: 17", "172.{{ base }}.0.1", "", &[]));
    assert!(found.iter().any(|said| said.contains("expression::failed")), "{found:#?}");
    for own in
        ["base: '{{ base }}'", "base: '{{ other }}'\nother: '{{ base }}'", "base: '{{ no }}'"]
    {
        let found = mistakes(&mut run(own, "172.{{ base }}.0.1", "", &[]));
        assert!(found.iter().all(|said| said.starts_with("expression::failed")), "{found:#?}");
        assert!(found[0].contains("`base` of the network file has an expression"), "{found:#?}");
    }
}

/// InfraRed sets them after it has read the file.
#[test]
fn what_the_run_says_no_file_says_otherwise() {
    for own in [
        "net: 9",
        "data_net: 9",
        "vswitch_type: veos",
        "provision: {x: 9}",
        "override: {web: {cpu: 9}}",
    ] {
        let key = own.split(':').next().unwrap();
        let address = "172.16.{{ net }}.{{ data_net }}";
        let node = ", groups: [\"{{ vswitch_type ~ (provision.x | default('')) }}\"]";
        let mut wanted = run(own, address, node, &[]);
        let found = mistakes(&mut wanted);
        assert!(
            found.len() == 1 && found[0].contains(&format!("has no key `{key}`")),
            "{found:#?}"
        );
        let topology =
            compile(&wanted.request, Allocation::UNPREFIXED, &mut Diagnostics::lenient()).unwrap();
        let found = topology.networks[0].ipv4.as_ref().unwrap();
        assert!(format!("{found:?}").contains("172.16.0.24"), "{own}: {found:?}");
        assert!(format!("{:?}", topology.roles[0]).contains("\"None\""), "{own}");
    }
}
