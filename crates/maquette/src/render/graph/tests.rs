//! Pictures under snapshot.

use super::*;

fn scene() -> Scene {
    let net = |name: &str, detail: &str, outside: Option<&str>, state| Net {
        name: name.into(),
        detail: detail.into(),
        outside: outside.map(String::from),
        state,
        mark: PlannedChange::Stays,
    };
    let port = |name: &str, net, to: &str, detail: &str| Port {
        name: name.into(),
        net,
        to: to.into(),
        detail: detail.into(),
    };
    let item = |name: &str, state, ports| Item {
        name: name.into(),
        detail: "1 vCPU, 1 GiB".into(),
        state,
        mark: if name == "switch-0" { PlannedChange::Goes } else { PlannedChange::Stays },
        ports,
    };
    Scene {
        title: "environment lab".into(),
        nets: vec![
            net("management", "172.16.0.0/24, nat", Some("outside, by NAT"), State::Active),
            net("data <&> \"lan\"", "bridged to eno2", Some("LAN on eno2"), State::Off),
            net("nobody", "isolated", None, State::Planned),
        ],
        items: vec![
            item(
                "controller-0",
                State::Active,
                vec![
                    port("eth0", Some(0), "management", "172.16.0.2"),
                    port("eth1", Some(1), "data", "portgroup trunk"),
                    port("eth2", None, "switch-0 eth1", ""),
                ],
            ),
            item(
                "switch-0",
                State::Off,
                vec![
                    port("eth0", Some(0), "management", "172.16.0.3"),
                    port("eth1", None, "controller-0 eth2", ""),
                ],
            ),
            item("alone-0", State::Planned, Vec::new()),
        ],
        cables: vec![[(0, 2), (1, 1)]],
    }
}

#[test]
fn a_picture_in_the_terminal() {
    insta::assert_snapshot!(text(&scene()));
}

#[test]
fn a_picture_in_mermaid() {
    insta::assert_snapshot!(mermaid(&scene()));
}

#[test]
fn a_picture_in_dot() {
    insta::assert_snapshot!(dot(&scene()));
}

#[test]
fn a_drawing_has_every_name_once_and_is_as_wide_as_its_nodes() {
    let drawing = svg(&scene());
    for name in
        ["controller-0", "switch-0", "alone-0", "nobody", "data &lt;&amp;&gt; &quot;lan&quot;"]
    {
        assert_eq!(drawing.matches(&format!(">{name}<")).count(), 1, "{name}: {drawing}");
    }
    assert!(drawing.contains("⇄ switch-0 eth1") && drawing.contains("→ LAN on eno2"));
    assert!(drawing.contains("<title>environment lab</title>"));
    let mut many = scene();
    many.items =
        (0..40).map(|n| Item { name: format!("node-{n}"), ..scene().items[0].clone() }).collect();
    many.cables.clear();
    let wide = svg(&many);
    let width = |text: &str| -> usize {
        let start = text.split_once("width=\"").expect("it has a width").1;
        start.split('"').next().expect("a number").parse().expect("a number")
    };
    // Five rows of eight, not a line of forty.
    assert!(width(&wide) < 2400 && width(&wide) > width(&drawing), "{}", width(&wide));
    assert_eq!(wide.matches(">management<").count(), 5);
}
