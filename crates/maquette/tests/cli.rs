//! The program as a user runs it, as far as no hypervisor is needed: help, bad input, exit codes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

use std::path::Path;
use std::process::{Command, Output};

fn maquette(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maquette"))
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .output()
        .unwrap()
}

/// Standard error of a command that must fail with code 2, with the directory's name left out.
fn refused(directory: &Path, args: &[&str]) -> String {
    let output = maquette(directory, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    text.replace(&directory.display().to_string(), "HOME")
}

/// CI systems hand on what nobody has filled in as an empty text.
#[test]
fn an_empty_variable_is_not_set() {
    let here = tempfile::tempdir().unwrap();
    let settings = maquette_core::settings::SETTINGS.iter().filter_map(|row| row.variable());
    let others =
        ["PROJECT", "WORKSPACE", "STRICT", "LOCK_WAIT", "ACCEPT", "TIMEOUT", "POWER_TIMEOUT"];
    let more = ["YES", "HOME", "ACTIVE_WORKSPACE"];
    let others = others.iter().chain(&more).map(|name| format!("MAQUETTE_{name}"));
    let variables: Vec<String> = settings.chain(others).collect();
    assert!(variables.len() > 50, "{}", variables.len());
    let runs: [&[&str]; 4] = [
        &["validate"],
        &["init", "--help"],
        &["virsh", "--dry-run"],
        &["down", "--lock-wait", "x"],
    ];
    for args in runs {
        let said = |variables: &[String]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
            command.args(args).current_dir(here.path()).env_clear().env("HOME", here.path());
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            let output = command.envs(variables.iter().map(|name| (name, ""))).output().unwrap();
            let texts = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&texts).into_owned())
        };
        let without = said(&[]);
        for some in apart(&variables) {
            assert_eq!(said(&some), without, "{args:?} {some:?}");
        }
        assert_eq!(said(&variables), without, "{args:?}");
    }
}

/// A few groups of these, among which of any two there is one with the first and without the second: what one of them changes,
/// no other hides everywhere.
fn apart(variables: &[String]) -> Vec<Vec<String>> {
    let bits = usize::BITS - variables.len().leading_zeros();
    let group = |bit: u32, wanted: usize| {
        let numbered = variables.iter().enumerate();
        let chosen = numbered.filter(|(number, _)| number >> bit & 1 == wanted);
        chosen.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    (0..bits).flat_map(|bit| [group(bit, 0), group(bit, 1)]).collect()
}

#[test]
fn of_any_two_variables_one_is_set_without_the_other() {
    let names: Vec<String> = (0..77).map(|number| format!("MAQUETTE_{number}")).collect();
    let groups = apart(&names);
    assert!(groups.len() < 20, "{}", groups.len());
    for (one, other) in names.iter().flat_map(|one| names.iter().map(move |other| (one, other))) {
        let tells = |group: &Vec<String>| group.contains(one) && !group.contains(other);
        assert!(one == other || groups.iter().any(tells), "{one} {other}");
    }
}

#[test]
fn help_of_every_command() {
    let here = tempfile::tempdir().unwrap();
    for command in [
        "",
        "plan",
        "up",
        "status",
        "list",
        "link",
        "capture",
        "graph",
        "ssh",
        "cp",
        "exec",
        "forward",
        "screenshot",
        "doctor",
        "report",
        "open",
        "share",
        "unshare",
        "extend",
        "down",
        "image",
        "topology",
        "host",
        "workspace",
        "inventory",
        "init",
        "explain",
        "validate",
        "view",
        "bmc",
        "console",
        "logs",
        "start",
        "stop",
        "restart",
        "reset",
        "pause",
        "resume",
        "schema",
        "completions",
    ] {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let output = maquette(here.path(), &args);
        assert_eq!(output.status.code(), Some(0));
        let name = if command.is_empty() { "maquette" } else { command };
        insta::assert_snapshot!(format!("help-{name}"), String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn mistakes_of_flags_and_files_come_in_one_report() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(here.path().join("topology/nodes")).unwrap();
    std::fs::write(
        here.path().join("topology/nodes/web.yml"),
        "name: web\ncpu: 2\nmemroy: 1024\ndisks: {disk1: {size: 20G}}\ngroups: [web]\n",
    )
    .unwrap();
    let args = ["plan", "--topology-nodes", "web:1,controler:2", "-e", "override.web.cpu=none"];
    insta::assert_snapshot!(refused(here.path(), &args));
}

#[test]
fn mistakes_of_the_project_file() {
    let here = tempfile::tempdir().unwrap();
    std::fs::write(
        here.path().join("maquette.yaml"),
        "nodes: {undercloud: many}\nnetwrok: 3_nets\nimage: debain-12\nhypervisor: {virt_type: xen}\n",
    )
    .unwrap();
    insta::assert_snapshot!(refused(here.path(), &["up"]));
}

#[test]
fn images_that_cannot_be_are_refused_before_anything_is_touched() {
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("page.qcow2"), "<html>404</html>").unwrap();
    let plan = |image: &str| {
        refused(here.path(), &["plan", "--topology-nodes", "undercloud:1", "--image-url", image])
    };
    // Whatever else the downloading program can do is not for images.
    for scheme in ["scp", "ftp", "dict", "gopher"] {
        let said = plan(&format!("{scheme}://user:secret@example.invalid/x.qcow2"));
        assert!(said.contains(&format!("`{scheme}:` is not supported")), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let said = plan("https://example.invalid/x.qcow2#sha256=0000");
    assert!(said.contains("64 hexadecimal digits; `0000`"), "{said}");
    assert!(plan("./debian.qcow2#md5:00").contains("`md5`"));
    let project = |text: &str| {
        std::fs::write(here.path().join("maquette.yaml"), text).unwrap();
        refused(here.path(), &["plan"])
    };
    let nodes = "nodes: {undercloud: 1}\n";
    let said = project(&format!("{nodes}image: debian-12\nchecksum: sha256:12\n"));
    assert!(said.contains("maquette.yaml:3") && said.contains("64 hexadecimal digits"), "{said}");
    let said = project(&format!("{nodes}checksum: sha256:{}\n", "a".repeat(64)));
    assert!(said.contains("`checksum` needs an `image`"), "{said}");
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let said = project(&format!(
        "{nodes}image: https://example.invalid/x.qcow2#sha256:{a}\nchecksum: sha256:{b}\n"
    ));
    assert!(said.contains("`checksum` is another"), "{said}");
    let mut disk = vec![0u8; 1 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(here.path().join("disk.img"), disk).unwrap();
    for of_image in [format!("#sha256:{a}\n"), format!("\nchecksum: sha256:{a}\n")] {
        let said = project(&format!("{nodes}image: ./disk.img{of_image}"));
        assert!(said.contains(&format!("wanted sha256:{a}")), "{said}");
    }
}

#[test]
fn images_that_do_not_exist_are_refused() {
    let here = tempfile::tempdir().unwrap();
    let plan = |image: &str| {
        refused(here.path(), &["plan", "--topology-nodes", "undercloud:1", "--image-url", image])
    };
    assert!(plan("debain-12").contains("did you mean `debian-12`?"));
    assert!(plan("./nothing.qcow2").contains("there is no image ./nothing.qcow2"));
}

#[test]
fn other_bad_input_is_refused_too() {
    let here = tempfile::tempdir().unwrap();
    let h = here.path();
    for (args, says) in [
        (
            vec!["plan", "--prefix", "a-prefix-that-is-longer-than-any-host-name"],
            "longer than 40 characters",
        ),
        (vec!["plan", "--prefix", "default"], "means the environment without a prefix"),
        (
            vec!["plan", "--topology-nodes", "undercloud"],
            "the number of nodes of type `undercloud` is missing",
        ),
        (vec!["plan", "--topology-nodes", "undercloud:-1"], "a whole number belongs here"),
        (vec!["plan", "--topology-nodes", "odl:1,odl:2"], "asked for twice"),
        (vec!["plan", "--topology-network", "3_net"], "did you mean"),
        (
            vec!["plan", "--topology-nodes", "odl:1", "--topology-network", "2_nets_1_bridge"],
            "says nothing about `odl` and has no `default`",
        ),
        (vec!["plan", "--topology-nodes", "leaf:1"], "--bgp-topology-mode basic"),
        (vec!["plan", "-e", "nonsense"], "has no `=`"),
        (vec!["plan", "-e", "@/no/such/file"], "cannot read /no/such/file"),
        (vec!["plan", "--net_subnet", "300"], "300"),
        (vec!["plan", "--project", "/no/such/file"], "cannot read project file"),
        (vec!["plan", "--topology-username", "a b"], "not a valid login name"),
        (vec!["plan", "--bogus"], "unexpected argument"),
        (vec!["fly"], "unrecognized subcommand"),
        (vec!["suspend", "web-0"], "`maquette pause NODE`"),
        // A node is not the value of a flag of `up`: all would go.
        (vec!["down", "--yes", "--topology-extend", "web-0"], "expected yes or no"),
        (vec!["down", "--yes", "--host-memory-overcommit", "web-0"], "expected yes or no"),
        (vec!["down", "--yes", "--virt-type", "web-0"], "invalid value 'web-0'"),
        (vec!["down", "--yes", "--timeout", "web-0"], "expected a number of seconds"),
        (vec!["down", "--yes", "--accept", "web-0"], "invalid value 'web-0'"),
        (vec!["status", "--topology-extend", "web-0"], "expected yes or no"),
        (vec!["plan", "--topology-extend", "web-0"], "expected yes or no"),
    ] {
        let said = refused(h, &args);
        assert!(said.contains(says), "{args:?} said:\n{said}");
    }
}

#[test]
fn built_in_files_are_listed_and_shown() {
    let here = tempfile::tempdir().unwrap();
    let list = maquette(here.path(), &["topology", "list"]);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(text.contains("undercloud") && text.contains("3_nets_ipv4"));
    let show = maquette(here.path(), &["topology", "show", "undercloud"]);
    assert!(String::from_utf8_lossy(&show.stdout).starts_with("name: undercloud"));
    let wrong = maquette(here.path(), &["topology", "show", "undercluod"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean `undercloud`?"));
}

#[test]
fn every_example_has_a_transcript() {
    let planned = include_str!("transcripts/init_examples.txt");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folders = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name());
    let mut all: Vec<String> = folders.map(|name| name.into_string().unwrap()).collect();
    all.sort();
    assert!(all.len() >= 8, "{all:?}");
    for name in &all {
        assert!(planned.contains(&format!("% maquette init {name}\n$ maquette plan\n")), "{name}");
    }
    let mut known: Vec<&str> =
        maquette_core::examples::examples().iter().map(|example| example.name).collect();
    known.sort_unstable();
    assert_eq!(known, all);
}

#[test]
fn an_unknown_workspace_says_what_makes_one() {
    let here = tempfile::tempdir().unwrap();
    let output = maquette(here.path(), &["ssh", "--prefix", "nobodyhasthis", "controller-0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("`maquette up --prefix nobodyhasthis` writes it")
    );
}

/// Ctrl-C lets the running steps of a plan end; for a daemon that lets nobody in one would wait two minutes.
#[test]
fn ctrl_c_ends_the_wait_for_a_silent_libvirt() {
    let here = tempfile::tempdir().unwrap();
    let socket = here.path().join("socket");
    let daemon = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut down = Command::new(env!("CARGO_BIN_EXE_maquette"));
    down.args(["down", "--prefix", "lab"]).current_dir(here.path()).env_clear();
    down.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", here.path());
    let uri = format!("test+unix:///default?socket={}", socket.display());
    let down = down.env("MAQUETTE_LIBVIRT_URI", uri).stdin(std::process::Stdio::null());
    let down = down.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut connection = daemon.accept().unwrap().0;
    std::io::Read::read_exact(&mut connection, &mut [0; 1]).unwrap();
    let kill = Command::new("kill").args(["-INT", &down.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = down.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("nothing more was done"), "{said}");
}

/// The verbs that `maquette --help` lists.
fn verbs() -> Vec<String> {
    let here = tempfile::tempdir().unwrap();
    let help = String::from_utf8(maquette(here.path(), &["--help"]).stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let verb = |line: &str| line.strip_prefix("  ")?.split(' ').next().map(String::from);
    lines.filter_map(verb).filter(|verb| !["", "help"].contains(&verb.as_str())).collect()
}

/// Verbs that have no `--json`, and why.
const WITHOUT_JSON: [(&str, &str); 15] = [
    ("ssh", "it becomes ssh"),
    ("console", "it is a terminal on the guest"),
    ("logs", "it prints what the guest wrote"),
    ("capture", "it prints frames"),
    ("graph", "it has formats of its own"),
    ("inventory", "it prints JSON anyway"),
    ("schema", "it prints JSON anyway"),
    ("completions", "it prints a script"),
    ("virsh", "InfraRed's has none"),
    ("workspace", "InfraRed's has none"),
    ("link", "its own verbs have, where there is something to tell"),
    ("host", "its own verbs have, where there is something to tell"),
    ("bmc", "its own verbs have, where there is something to tell"),
    ("image", "its own verbs have, where there is something to tell"),
    ("topology", "it prints files"),
];

/// The pages of the site that people have written.
fn guide(site: &Path) -> String {
    let folders = ["", "how-to", "migrate", "explanation"];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(site.join(folder)).unwrap());
    let pages = entries.map(|entry| entry.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|e| e == "md"));
    pages.map(|page| std::fs::read_to_string(page).unwrap()).collect()
}

/// Whoever adds a verb shows what it prints, and tells of it.
#[test]
fn every_verb_has_its_help_under_snapshot_a_transcript_json_and_a_page_that_tells_of_it() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let texts = std::fs::read_dir(tests.join("transcripts")).unwrap();
    let texts = texts.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let transcripts: String = texts.collect();
    let guide = guide(&tests.join("../../../docs/src"));
    let verbs = verbs();
    assert!(verbs.len() > 35, "{verbs:?}");
    for verb in &verbs {
        // That of `virsh` is in tests of its own.
        let snapshot = tests.join(format!("snapshots/cli__help-{verb}.snap"));
        assert!(snapshot.is_file() || verb == "virsh", "{verb}: no help under snapshot");
        assert!(transcripts.contains(&format!("$ maquette {verb} ")), "{verb}: no transcript");
        let help = std::fs::read_to_string(&snapshot).unwrap_or_default();
        let has_json = help.lines().any(|line| line.trim_start().starts_with("--json"));
        let without = WITHOUT_JSON.iter().any(|(known, _)| known == verb);
        assert_ne!(has_json, without, "{verb}: `--json`, or a reason for none");
        assert!(
            guide.contains(&format!("maquette {verb}")),
            "{verb}: no page but the reference tells of it"
        );
    }
}

/// `image build -o /dev/null` as root made a file of the device.
#[test]
fn an_image_is_built_in_the_place_of_a_file_and_of_nothing_else() {
    let here = tempfile::tempdir().unwrap();
    let at = |name: &str| here.path().join(name);
    let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("nowhere", at("astray")).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
    for name in ["pipe", "astray", "null", "/dev/null", "."] {
        for force in [&[][..], &["--force"]] {
            let args = [&["image", "build", "debian-12", "-o", name][..], force].concat();
            let said = refused(here.path(), &args);
            assert!(
                said.contains("take the place of") && said.contains("nothing was touched"),
                "{said}"
            );
        }
    }
    let mut left: Vec<_> =
        std::fs::read_dir(here.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["astray", "null", "pipe"]);
}

/// libvirt was another machine's, and locks and files this one's.
#[test]
fn the_variable_that_names_libvirt_names_this_machines() {
    let here = tempfile::tempdir().unwrap();
    for uri in [
        "qemu+ssh://hv.invalid/system",
        "qemu+tls://me:pAsS@hv.invalid/system",
        "qemu:/system",
        "xen:///",
        "x",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maquette"));
        command
            .args(["down", "--yes"])
            .current_dir(here.path())
            .env_clear()
            .env("HOME", here.path());
        let output = command.env("MAQUETTE_LIBVIRT_URI", uri).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--host-address") && !said.contains("pAsS"), "{said}");
    }
}

/// A time that no clock can count ended a step in a panic, after a node was asked to shut down.
#[test]
fn a_time_that_no_clock_can_count_is_refused() {
    let here = tempfile::tempdir().unwrap();
    for (flag, value) in [
        ("--shutdown-timeout", "18446744073709551615"),
        ("--shutdown-timeout", "31622401"),
        ("--host-memory-reserve", "18446744073709551615"),
    ] {
        let said = refused(here.path(), &["plan", "--topology-nodes", "controller:1", flag, value]);
        assert!(said.contains("expected a number from 0 to"), "{said}");
    }
}

/// What the process that serves BMCs starts, asked as that asks it. It has nothing of root's left, and ends with its input.
#[test]
fn names_are_looked_up_for_bmcs_until_nobody_asks() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let mut program = Command::new(env!("CARGO_BIN_EXE_maquette"));
    let program = program.args(["bmc", "names"]).env_clear().current_dir("/");
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut asked = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || said.next().unwrap().unwrap();
    assert_eq!(next(), "ready");
    asked.write_all(b"7 localhost 80\n").unwrap();
    let answer = next();
    assert!(answer.starts_with("7 found ") && answer.contains("127.0.0.1:80"), "{answer}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    drop(asked);
    assert!(child.wait().unwrap().success());
}
