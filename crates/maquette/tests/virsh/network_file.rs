//! `--topology-net-url URL`: a network file from elsewhere.

use std::fs;

use super::Home;

#[test]
fn a_network_file_comes_from_an_address() {
    let home = Home::new();
    fs::write(home.path("net.yml"), "networks: {net1: {name: x, forward: magic}}\n").unwrap();
    let url = format!("file://{}", home.path("net.yml").display());
    let text = home.fails(
        2,
        &["virsh", "--host-address", "hv.invalid", "--host-key", "key", "--topology-net-url", &url],
    );
    assert!(text.contains("topology_net.yml:1:"), "{text}");
    let good = "networks: {net1: {name: x, forward: nat, ip_address: 10.1.0.1}}\n";
    fs::write(home.path("good.yml"), good).unwrap();
    let good = format!("file://{}", home.path("good.yml").display());
    // What playbooks include was the built-in file that is not used.
    let shown = home.settings(&["--topology-net-url", &good]);
    assert!(shown.contains("/topology_good.yml") && !shown.contains("3_nets"), "{shown}");
    let output = home.settings(&["--topology-net-url", "file:///nowhere.yml"]);
    assert!(output.contains("3_nets"), "{output}");
    let url = format!("file://{}", home.path("nowhere.yml").display());
    let text = home.fails(
        1,
        &["virsh", "--host-address", "hv.invalid", "--host-key", "key", "--topology-net-url", &url],
    );
    assert!(text.contains("cannot download network file"), "{text}");
}
