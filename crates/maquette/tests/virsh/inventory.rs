//! `--inventory FILE`: an inventory of the user's own.

use std::fs;

use super::{Home, INVENTORY};

/// An inventory called `local_hosts` took the place of the workspace's own file of that name, and `hosts-prov` made a workspace
/// of something that was built.
#[test]
fn an_inventory_of_the_users_own_takes_the_place_of_no_other_file() {
    let home = Home::new();
    for name in ["local_hosts", "hosts-prov", "hosts-nodes", "lifetime", "id_rsa", "ansible.cfg"] {
        let file = format!("mine/{name}");
        fs::create_dir_all(home.path("mine")).unwrap();
        fs::write(home.path(&file), INVENTORY).unwrap();
        home.settings(&["--inventory", &file]);
        let active = home.path("ir/.workspaces/active");
        assert_eq!(fs::read_to_string(active.join("hosts")).unwrap(), INVENTORY, "{name}");
        let own = active.join(name);
        assert!(fs::read_to_string(&own).map_or(true, |text| text != INVENTORY), "{name}");
    }
    fs::write(home.path("bad"), "[web\nweb-0\n").unwrap();
    // What is built was written behind it, and Ansible could read neither.
    let yaml = "all:\n  hosts:\n    mon0: {ansible_host: 10.0.0.7}\n";
    fs::write(home.path("hosts.yml"), yaml).unwrap();
    fs::write(home.path("unnamed"), yaml).unwrap();
    fs::write(home.path("hosts.json"), "{\"all\": {}}\n").unwrap();
    let args = ["virsh", "--host-address", "hv.invalid", "--host-key", "key", "--inventory"];
    for (file, why) in [
        ("bad", "line 1 begins a section"),
        ("/bin/sh", "cannot use inventory"),
        ("no", "No such file"),
        ("hosts.yml", "it is YAML, and the workspace's inventory is INI"),
        ("unnamed", "`ansible-inventory -i unnamed --list`"),
        ("hosts.json", "it is JSON"),
    ] {
        let said = home.fails(2, &[&args[..], &[file, "--dry-run"]].concat());
        assert!(said.contains(why) && said.contains("nothing was touched"), "{said}");
    }
}

/// It was said that there is nothing to do, and the build that follows ended at names that are taken.
#[test]
fn nodes_of_infrareds_are_not_passed_over_by_a_removal() {
    let home = Home::new();
    home.says(&["workspace", "checkout", "--create", "old"]);
    let workspace = home.path("ir/.workspaces/old");
    fs::write(workspace.join("hosts-prov"), INVENTORY).unwrap();
    let _ = fs::remove_file(workspace.join("hosts"));
    std::os::unix::fs::symlink("hosts-prov", workspace.join("hosts")).unwrap();
    let args = ["virsh", "--host-address", "hv.invalid", "--host-key", "key", "--kill", "yes"];
    for more in [&[][..], &["--dry-run"]] {
        let args = [&args[..], more].concat();
        let code = if more.is_empty() { 1 } else { 0 };
        let output = home.run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("InfraRed built the nodes of workspace"), "{said}");
    }
}
