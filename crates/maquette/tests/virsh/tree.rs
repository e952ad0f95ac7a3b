//! Extra variables that change InfraRed's tree of settings: each has its effect, or is named.

use std::fs;

use super::Home;

/// Settings of InfraRed's tree that nobody has an effect of, and a value that asks for one.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("image.ssh_user", "me"),
    ("image.ansible_connection", "local"),
    ("virsh.snapshot.create", "yes"),
    ("virsh.snapshot.restore", "true"),
    ("virsh.snapshot.name", "first"),
    ("virsh.snapshot.servers", "controller.*"),
    ("virsh.snapshot.export", "on"),
    ("virsh.snapshot.import", "yes"),
    ("virsh.snapshot.path", "/srv/x"),
    ("virsh.snapshot.container", "s3://b"),
    ("virsh.snapshot.upload", "yes"),
    ("virsh.snapshot.download", "yes"),
    ("virsh.snapshot.cleanup", "yes"),
    ("virsh.snapshot.quiesce", "yes"),
];

/// Settings that may be any text: addresses of images and a part of them, files with certificates, a password.
const ANY_TEXT: &[&str] = &["image.mirror.url", "image.url", "tls.ca", "vnc.password"];

/// What an extra variable says of a setting counts as if its option had said it.
#[test]
fn each_setting_of_the_tree_has_its_effect_or_is_named() {
    let home = Home::new();
    let plan = |more: &[&str]| {
        let mut all = vec!["virsh", "plan", "--host-address", "192.0.2.1", "--host-key", "none"];
        all.extend(["--topology-nodes", "controller:1"]);
        all.extend(more);
        let output = home.run(&all);
        (output.status.code(), home.clean(&output.stderr))
    };
    for (path, value) in WITHOUT_EFFECT {
        let (code, said) = plan(&["-e", &format!("provision.{path}={value}")]);
        let named = format!("`provision.{path}`");
        assert!(said.contains(&named), "{path}: {said}");
        // What is refused is refused before anything is looked for.
        let refused = path.starts_with("virsh.");
        assert_eq!(
            code == Some(2) && said.contains("not supported yet"),
            refused,
            "{path}: {said}"
        );
        assert_eq!(said.contains("has no effect"), !refused, "{path}: {said}");
    }
    // All others: what no such setting can be is refused, so somebody reads it.
    let settings = home.settings(&["--prefix", "x", "--vnc-password", "y"]);
    let mut tree = vec![];
    let mut above: Vec<(usize, &str)> = vec![];
    for line in settings.lines() {
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        let depth = line.len() - line.trim_start().len();
        above.retain(|(other, _)| *other < depth);
        above.push((depth, key));
        if !value.is_empty() {
            tree.push(above.iter().skip(1).map(|(_, key)| *key).collect::<Vec<_>>().join("."));
        }
    }
    assert!(tree.len() > 30 && tree.contains(&"host.network.mtu.size".into()), "{tree:#?}");
    let (_, usual) = plan(&[]);
    let mut silent = Vec::new();
    for path in tree.iter().filter(|path| WITHOUT_EFFECT.iter().all(|(other, _)| other != path)) {
        let (_, said) = plan(&["-e", &format!("provision.{path}=no such thing/{{")]);
        if said == usual {
            silent.push(path.as_str());
        }
    }
    assert_eq!(silent, ANY_TEXT);
}

#[test]
fn settings_that_nobody_reads_are_told() {
    let home = Home::new();
    fs::write(home.path("hosts.yml"), "provision: {host: {address: [192.0.2.1, 192.0.2.2]}}")
        .unwrap();
    fs::write(home.path("more.yml"), "provision: {disk: {buss: scsi}, mine: {a: 1, b: [2]}}")
        .unwrap();
    fs::write(home.path("answers"), "[virsh]\nfoo-bar = 1\ntopology-password = x\n").unwrap();
    fs::write(home.path("post.yml"), "[]\n").unwrap();
    let key = ["--host-key", "key", "--host-address", "192.0.2.1"];
    let plan = |more: &[&str], code: i32| {
        let all: Vec<&str> = ["virsh", "plan", "--strict"]
            .into_iter()
            .chain(key)
            .chain(more.iter().copied())
            .collect();
        home.fails(code, &all)
    };
    for (more, said) in [
        (&["-e", "provision.disk.buss=scsi"][..], "did you mean `provision.disk.bus`?"),
        (&["-e", "@more.yml"], "`provision.mine` is not a setting, and has no effect"),
        (&["-e", "provision.mine.b=1"], "`provision.mine.b` is not a setting, and has no effect"),
        (&["-e", "provision.disk.bus.x=1"], "disk"),
        (&["-e", "provision=1"], "`provision` holds settings, and cannot be `1`"),
        (&["--from-file", "answers"], "which nobody reads"),
        (&["-e", "@hosts.yml"], "several hypervisors"),
        (&["-e", "provision.host.address=192.0.2.1,192.0.2.2"], "several hypervisors"),
    ] {
        let is_form = said == "disk" || said.contains("holds settings");
        let text = plan(more, if is_form { 1 } else { 2 });
        assert!(text.contains(said), "{more:?}: {text}");
        assert!(!text.contains("topology.password"), "{text}");
    }
    // A playbook may read whatever it likes.
    let text = plan(&["-e", "@more.yml", "-e", "provision_post=post.yml"], 1);
    assert!(!text.contains("has no effect"), "{text}");
    // So it is with Maquette's own verbs.
    let native = ["plan", "--topology-nodes", "controller:1", "--strict"];
    for (more, said) in [
        ("provision.disk.buss=scsi", "did you mean `provision.disk.bus`?"),
        ("@more.yml", "`provision.mine` is not a setting, and has no effect"),
        ("@hosts.yml", "several hypervisors (`provision.host.address`)"),
    ] {
        let all: Vec<&str> = native.into_iter().chain(["-e", more]).collect();
        let text = home.fails(2, &all);
        assert!(text.contains(said), "{more}: {text}");
    }
}

/// They were masked in mappings only.
#[test]
fn secrets_in_lists_of_extra_variables_are_shown_nowhere() {
    let home = Home::new();
    let vars = "users: [{name: a, password: cAnArY}]\ntokens: {a: cAnArY}\n\
                mirrors: ['https://me:cAnArY@h.invalid/x?sig=cAnArY']\nrun: ['join --token cAnArY']\n";
    fs::write(home.path("v.yml"), vars).unwrap();
    let shown = home.settings(&["-e", "@v.yml"]);
    assert!(shown.contains("https://***@h.invalid/x?***") && !shown.contains("cAnArY"), "{shown}");
}
