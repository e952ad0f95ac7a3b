use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use proptest::prelude::*;
use tar::EntryType;

use super::*;

mod packed;

/// A member as a hostile hand would write it.
#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    link: Vec<u8>,
    content: Vec<u8>,
}

fn member(name: &str, kind: EntryType, more: &str) -> Member {
    let (link, content) = match kind {
        EntryType::Regular => ("", more),
        _ => (more, ""),
    };
    Member { name: name.into(), kind, link: link.into(), content: content.into() }
}

fn archive(members: &[Member]) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for member in members {
        for (long, kind) in
            [(&member.link, EntryType::GNULongLink), (&member.name, EntryType::GNULongName)]
        {
            if long.len() >= 100 {
                let mut header = Header::new_gnu();
                header.as_old_mut().name[..4].copy_from_slice(b"long");
                header.set_entry_type(kind);
                header.set_size(long.len() as u64 + 1);
                header.set_cksum();
                tar.append(&header, [long.as_slice(), b"\0"].concat().as_slice()).unwrap();
            }
        }
        let mut header = Header::new_gnu();
        let short = |bytes: &[u8]| bytes[..bytes.len().min(99)].to_vec();
        let (name, link) = (short(&member.name), short(&member.link));
        header.as_old_mut().name[..name.len()].copy_from_slice(&name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(&link);
        header.set_entry_type(member.kind);
        header.set_mode(0o6777);
        header.set_size(member.content.len() as u64);
        header.set_cksum();
        tar.append(&header, member.content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// It was taken up to where it broke off, or with the wrong bytes in it.
#[test]
fn an_archive_that_is_damaged_or_cut_off_is_refused() {
    use std::io::Write;
    let whole = archive(&[
        member("id_rsa", EntryType::Regular, "a key\n"),
        member("id_dsa", EntryType::Regular, "another\n"),
    ]);
    assert_eq!(contents::read(whole.as_slice()).unwrap().iter().count(), 2);
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(whole.as_slice()).read_to_end(&mut tar).unwrap();
    for end in [0, 1024, 2048] {
        let mut cut = GzEncoder::new(Vec::new(), Compression::fast());
        cut.write_all(&tar[..end]).unwrap();
        let error = contents::read(cut.finish().unwrap().as_slice()).unwrap_err();
        assert_eq!(error, "its end is missing", "{end}");
    }
    // The checksum comes behind all that is unpacked.
    let mut damaged = whole.clone();
    let at = whole.len() - 8;
    damaged[at] ^= 1;
    assert!(contents::read(damaged.as_slice()).is_err());
}

#[test]
fn names_that_pass_for_others_and_what_is_of_another_environment_are_left_out() {
    let names = ["ho\u{17f}ts", "known_ho\u{17f}ts", "group_var\u{17f}", "ho\u{200c}sts"];
    let mut names: Vec<&str> = names.into_iter().chain(LEFT_OUT).collect();
    let mut members: Vec<Member> =
        names.iter().map(|name| member(name, EntryType::Regular, "x")).collect();
    members.push(member("notes/gr\u{f6}\u{df}e", EntryType::Regular, "x"));
    let tree = contents::read(archive(&members).as_slice()).unwrap();
    let (taken, mut left_out) = checked::check(tree, "/w");
    assert_eq!(taken.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["notes"]);
    names.sort_unstable();
    left_out.sort_unstable();
    assert_eq!(left_out, names);
}

/// A home with a workspace's place, and things that a stranger would like to change.
struct Canary {
    home: tempfile::TempDir,
}

impl Canary {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at(".ssh")).unwrap();
        fs::create_dir_all(at(".infrared/.workspaces/other/d1")).unwrap();
        for file in [".ssh/authorized_keys", ".bashrc", ".infrared/.workspaces/other/hosts"] {
            fs::write(at(file), "as before").unwrap();
        }
        std::os::unix::fs::symlink("other", at(".infrared/.workspaces/active")).unwrap();
        Self { home }
    }

    fn target(&self) -> PathBuf {
        self.home.path().join(".infrared/.workspaces/evil")
    }

    /// All there is besides the new workspace, with what a change of it would show in.
    fn seen(&self) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
        let mut seen = BTreeMap::new();
        look(self.home.path(), &self.target(), &mut seen);
        seen
    }
}

fn look(at: &Path, without: &Path, seen: &mut BTreeMap<PathBuf, (u32, i64, Vec<u8>)>) {
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap).filter(|e| e.path() != without) {
        let (path, data) = (entry.path(), entry.metadata().unwrap());
        let content = if data.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else if data.is_dir() {
            look(&path, without, seen);
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        // A directory's time changes when its content does; that of the workspaces must.
        let time = if data.is_dir() { 0 } else { data.mtime_nsec() };
        seen.insert(path, (data.mode(), time, content));
    }
}

/// What came out is plain: no other kinds of files, no rights for others, no link that leads elsewhere.
fn is_harmless(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let data = entry.metadata().unwrap();
        if data.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            assert_eq!(target.components().count(), 1, "{}", target.display());
            assert!(target.file_name().is_some(), "{}", target.display());
        } else if data.is_dir() {
            assert_eq!(data.permissions().mode() & 0o7777, 0o700);
            is_harmless(&entry.path());
        } else {
            assert!(data.is_file());
            assert_eq!(data.permissions().mode() & 0o7777, 0o600);
            assert_eq!(data.nlink(), 1);
        }
    }
}

/// Whether it was taken; either way nothing else has changed.
fn tried(members: &[Member]) -> Result<(), String> {
    let canary = Canary::new();
    let before = canary.seen();
    let result = unpack(archive(members).as_slice(), &canary.target());
    assert_eq!(canary.seen(), before, "{members:?}");
    match result {
        Ok(_) => is_harmless(&canary.target()),
        Err(_) => assert!(!canary.target().exists(), "{members:?}"),
    }
    result.map(|_| ())
}

/// Links that by their text stay inside, and lead out by way of each other, are not taken.
#[test]
fn a_chain_of_links_leads_nowhere() {
    use EntryType::{Regular, Symlink};
    let chain = [
        member("payload", Regular, "touch /tmp/x\n"),
        member("d1/d2/keep", Regular, ""),
        member("d1/d2/l1", Symlink, "../.."),
        member("out", Symlink, "d1/d2/l1/../../../"),
        member("out/.ssh/rc", Symlink, "../.infrared/.workspaces/evil/payload"),
        member("id_ed25519.pub", Symlink, "d1/d2/l1/../../../.ssh/authorized_keys"),
    ];
    let error = tried(&chain).unwrap_err();
    assert!(error.contains("d1/d2/l1"), "{error}");
}

#[test]
fn nothing_comes_out_beside_the_workspace() {
    use EntryType::{Block, Char, Directory, Fifo, GNUSparse, Link, Regular, Symlink};
    let refused: Vec<Vec<Member>> = vec![
        vec![member("../evil", Regular, "x")],
        vec![member("/etc/evil", Regular, "x")],
        vec![member("a/../../evil", Regular, "x")],
        vec![member("..", Directory, "")],
        vec![member("link", Symlink, "../other/hosts")],
        vec![member("link", Symlink, "..")],
        vec![member("link", Symlink, ".")],
        vec![member("link", Symlink, "")],
        vec![member("link", Symlink, "a/b")],
        vec![member("hard", Link, "/etc/passwd")],
        vec![member("hard", Link, "hosts")],
        vec![member("device", Char, "")],
        vec![member("device", Block, "")],
        vec![member("pipe", Fifo, "")],
        vec![member("hole", GNUSparse, "")],
        vec![member(".", Regular, "x")],
        vec![member("a\nb", Regular, "x")],
        vec![member(&"x".repeat(300), Regular, "x")],
        vec![member(&"x/".repeat(40), Directory, "")],
        // A parent that is a link, or a file; names that are there already, whatever their case.
        vec![member("l", Symlink, "d"), member("l/x", Regular, "x")],
        vec![member("d", Directory, ""), member("l", Symlink, "d"), member("l/x", Regular, "x")],
        vec![member("f", Regular, "x"), member("f/x", Regular, "x")],
        vec![member("d/x", Regular, "x"), member("d", Regular, "x")],
        vec![member("d/x", Regular, "x"), member("d", Symlink, "e")],
        vec![member("f", Regular, "x"), member("f", Directory, "")],
        vec![member("f", Regular, "x"), member("f", Regular, "y")],
        vec![member("L", Symlink, "d"), member("l", Regular, "x")],
        vec![member("D/x", Regular, "x"), member("d/y", Regular, "x")],
    ];
    for members in refused {
        assert!(tried(&members).is_err(), "{members:?}");
    }
    // InfraRed's links are absolute, into the workspace that was exported.
    let hosts = [member("./", Directory, ""), member("./hosts", Symlink, "/old/ws/hosts-prov")];
    tried(&hosts).unwrap();
}

#[test]
fn what_is_there_already_is_neither_followed_nor_replaced() {
    let plain = archive(&[member("hosts-prov", EntryType::Regular, "a\n")]);
    for link in ["nowhere", "other"] {
        let canary = Canary::new();
        std::os::unix::fs::symlink(link, canary.target()).unwrap();
        let before = canary.seen();
        unpack(plain.as_slice(), &canary.target()).unwrap_err();
        assert_eq!(canary.seen(), before);
        assert_eq!(fs::read_link(canary.target()).unwrap(), Path::new(link));
    }
}

/// What a killed import leaves has another name, and goes with the next import; one that is still
/// at it keeps its own.
#[test]
fn a_killed_import_leaves_nothing_for_long() {
    let canary = Canary::new();
    let left = canary.target().with_file_name(".import-dead");
    let busy = canary.target().with_file_name(".import-busy");
    fs::create_dir_all(left.join("d")).unwrap();
    fs::create_dir_all(&busy).unwrap();
    let held = File::open(&busy).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    unpack(archive(&[]).as_slice(), &canary.target()).unwrap();
    assert!(!left.exists() && busy.exists() && canary.target().exists());
}

#[test]
fn bombs_are_not_unpacked() {
    let zeros = |out: &mut dyn io::Write, count: usize| {
        let block = vec![0u8; 1 << 20];
        (0..count).for_each(|_| out.write_all(&block).unwrap());
    };
    // A file, and the name of one, of more than is taken; both are a few hundred kilobytes.
    for kind in [EntryType::Regular, EntryType::GNULongName] {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..1].copy_from_slice(b"x");
        header.set_entry_type(kind);
        header.set_size(300 << 20);
        header.set_cksum();
        io::Write::write_all(&mut gz, header.as_bytes()).unwrap();
        zeros(&mut gz, 300);
        let bomb = gz.finish().unwrap();
        let canary = Canary::new();
        let error = unpack(bomb.as_slice(), &canary.target()).unwrap_err();
        assert!(error.contains("more than 256 MiB"), "{error}");
        assert!(!canary.target().exists());
    }
    let many: Vec<Member> =
        (0..20_001).map(|n| member(&format!("f{n}"), EntryType::Regular, "")).collect();
    assert!(tried(&many).unwrap_err().contains("members"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever is in an archive: nothing outside the new workspace changes.
    #[test]
    fn no_archive_changes_anything_outside(members in prop::collection::vec(nasty(), 0..10)) {
        // Whether it is taken is of no matter here.
        let _ = tried(&members);
    }

    /// Bytes that are not an archive end in an error, not in a panic.
    #[test]
    fn nonsense_is_refused(cut in 0usize..600, at in 0usize..600, bit in 0u8..8) {
        let members = [member("hosts", EntryType::Regular, "a\n"), member("l", EntryType::Symlink, "x")];
        let mut bytes = archive(&members);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        bytes.truncate(cut.max(1));
        let canary = Canary::new();
        let before = canary.seen();
        let _ = unpack(bytes.as_slice(), &canary.target());
        prop_assert_eq!(canary.seen(), before);
    }
}

fn nasty() -> impl Strategy<Value = Member> {
    let part = prop::sample::select(vec![
        "a",
        "A",
        "b",
        "..",
        ".",
        "",
        "hosts",
        "out",
        ".ssh",
        "rc",
        "id_ed25519.pub",
        "active",
        "other",
        "evil",
        "\u{1b}",
        "c:\\x",
    ]);
    let path = || prop::collection::vec(part.clone(), 1..5).prop_map(|parts| parts.join("/"));
    let kind = prop::sample::select(vec![
        EntryType::Regular,
        EntryType::Directory,
        EntryType::Symlink,
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Continuous,
    ]);
    (path(), kind, path(), prop::bool::weighted(0.05)).prop_map(|(name, kind, more, long)| {
        let name = if long { format!("{}{name}", "a/".repeat(60)) } else { name };
        member(&name, kind, &more)
    })
}

/// What is interpreted is rewritten; what would be run or evaluated is left out, and named.
#[test]
fn ssh_and_ansible_read_nothing_that_a_stranger_wrote() {
    use EntryType::{Regular, Symlink};
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    let proxy = " -o StrictHostKeyChecking=yes -o UserKnownHostsFile=\"%%workspace_dir%%/known_hosts\" \
                 -o ProxyCommand=\"ssh -i %%workspace_dir%%/id_rsa-1 -W %h:%p root@192.0.2.1\"";
    let inventory = format!(
        "localhost ansible_connection=local\nn-0  ansible_host=192.0.2.7 ansible_user=stack \
         ansible_ssh_private_key_file=%%workspace_dir%%/id_rsa ansible_ssh_common_args='{proxy}'\n\
         evil ansible_host='{{{{ lookup(\"pipe\", \"id\") }}}}'\n\n[local]\nlocalhost\n"
    );
    let members = [
        member("hosts-prov", Regular, &inventory),
        member("hosts", Symlink, "hosts-prov"),
        member("ansible.ssh.config", Regular, "Match exec \"touch /tmp/x\"\n"),
        member("known_hosts", Regular, &format!("n-0 {key}\n@cert-authority * {key}\n")),
        member("id_ed25519.pub", Regular, &format!("command=\"x\" {key}\n")),
        member("id_rsa.pub", Regular, &format!("{key} me\n")),
        member(
            "maquette.json",
            Regular,
            r#"{"prefix": "a", "hypervisor": {"address": "-oProxyCommand=x"}}"#,
        ),
        member("group_vars/all.yml", Regular, "ansible_connection: local\n"),
        member("ansible.cfg", Regular, "[defaults]\n"),
        member("x/filter_plugins/x.py", Regular, "x"),
        member(".git/config", Regular, "x"),
        member("notes/log.txt", Regular, "kept"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("ws");
    let left_out = unpack(archive(&members).as_slice(), &target).unwrap();
    let shown = target.display().to_string();
    let read = |name: &str| fs::read_to_string(target.join(name)).unwrap().replace(&shown, "WS");
    let files = ["hosts", "ansible.ssh.config", "known_hosts", "id_rsa.pub", "notes/log.txt"]
        .map(|name| format!("--- {name}\n{}", read(name)));
    insta::assert_snapshot!(format!("{}\n--- left out\n{}", files.join("\n"), left_out.join("\n")));
    for gone in ["group_vars", "ansible.cfg", "maquette.json", "id_ed25519.pub", ".git"] {
        assert!(!target.join(gone).exists(), "{gone}");
    }
}

/// Whatever chain of links leads to it, a file that ssh, Ansible or Maquette reads has been checked.
#[test]
fn what_links_lead_to_is_checked_as_what_it_is_read_as() {
    use EntryType::{Directory, Regular, Symlink};
    const RUNS: &str =
        "web ansible_host=127.0.0.1 ansible_ssh_common_args='-o ProxyCommand=\"touch x\"'\n";
    let cases: [(&[Member], &str, &str); 9] = [
        (
            &[member("hosts", Symlink, "a"), member("a", Symlink, "b"), member("b", Regular, RUNS)],
            "hosts",
            "ProxyCommand",
        ),
        (
            &[
                member("local_hosts", Symlink, "A"),
                member("a", Regular, "x ansible_connection=local\n"),
            ],
            "a",
            "ansible_connection=local",
        ),
        (
            &[
                member("hosts", Symlink, "inv"),
                member("inv", Directory, ""),
                member("inv/x", Regular, RUNS),
            ],
            "hosts/x",
            "ProxyCommand",
        ),
        (
            &[member("hosts", Symlink, "known_hosts"), member("known_hosts", Regular, RUNS)],
            "hosts",
            "ProxyCommand",
        ),
        (
            &[
                member("known_hosts", Symlink, "kh"),
                member("kh", Regular, "@cert-authority * ssh-ed25519 AAAA\n"),
            ],
            "known_hosts",
            "cert-authority",
        ),
        (
            &[
                member("maquette.json", Symlink, "mj"),
                member("mj", Regular, r#"{"pool_name": "../x"}"#),
            ],
            "maquette.json",
            "../x",
        ),
        (
            &[
                member("id_ed25519.pub", Symlink, "p"),
                member("p", Symlink, "q"),
                member("q", Regular, "command=\"x\" ssh-ed25519 AAAA\n"),
            ],
            "id_ed25519.pub",
            "command",
        ),
        // A name is that of one kind of file, whether it is a link's or a file's.
        (
            &[
                member("hosts.pub", Symlink, "hosts-prov"),
                member("hosts-prov", Regular, "a-0 ansible_host=192.0.2.7\n"),
            ],
            "hosts.pub",
            "ansible_host",
        ),
        (&[member("hosts", Symlink, "a"), member("a", Symlink, "hosts")], "hosts", "hosts"),
    ];
    for (members, read, hostile) in cases {
        let canary = Canary::new();
        let workspace = canary.home.path().join("w");
        unpack(archive(members).as_slice(), &workspace).unwrap();
        let text = fs::read_to_string(workspace.join(read)).unwrap_or_default();
        assert!(!text.contains(hostile), "{read}: {text}");
    }
}

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n";

/// Whatever file an inventory named as a key was packed.
#[test]
fn what_is_not_a_key_is_not_packed_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = Workspace::at(&directory.path().join("old"));
    workspace.create().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("key"), KEY).unwrap();
    fs::write(at("shadow"), "root:$6$secret:1::::::\n").unwrap();
    fs::write(at("large"), format!("{KEY}{}", "x".repeat(64 << 10))).unwrap();
    fs::create_dir(at("directory")).unwrap();
    std::os::unix::fs::symlink("shadow", at("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let named = |names: &[&str]| {
        let lines = names.iter().enumerate().map(|(index, name)| {
            format!("n-{index} ansible_ssh_private_key_file={}\n", at(name).display())
        });
        fs::write(workspace.file("hosts"), lines.collect::<String>()).unwrap();
        let said = export(&Terminal::deaf(), &workspace, &at("a.tgz"), true);
        said.err().map(|failure| format!("{failure:?}"))
    };
    let not =
        |name: &str| format!("{} is not a private key, and is not packed", at(name).display());
    for (name, said) in [
        ("shadow", not("shadow")),
        ("link", not("link")),
        ("large", not("large")),
        ("pipe", "it is not a regular file".into()),
        ("directory", "cannot read key".into()),
        ("none", "cannot read key".into()),
    ] {
        let refused = named(&["key", name]).unwrap_or_default();
        assert!(refused.contains(&said) && !refused.contains("secret"), "{name}: {refused}");
        assert!(!at("a.tgz").exists(), "{name}");
        // It is asked for: without the flag nothing of that is looked at.
        export(&Terminal::deaf(), &workspace, &at("b.tgz"), false).unwrap();
    }
    assert_eq!(named(&["key"]), None);
}

/// What a link led to was packed, whatever that was: of a workspace that another tool had unpacked, files of whoever
/// exported it.
#[test]
fn links_that_lead_out_of_a_workspace_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = Workspace::at(&directory.path().join("old"));
    workspace.create().unwrap();
    fs::create_dir(workspace.file("sub")).unwrap();
    fs::write(workspace.file("sub/text"), "inside").unwrap();
    fs::write(directory.path().join("shadow"), "root:secret:1::::::\n").unwrap();
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, workspace.file(name)).unwrap();
    };
    link(&directory.path().join("shadow"), "absolute");
    link(Path::new("../shadow"), "relative");
    link(Path::new("sub/../../shadow"), "round");
    link(Path::new("absolute"), "chain");
    link(Path::new("sub/text"), "inner");
    link(Path::new("nowhere/at-all"), "dead");
    let archive = directory.path().join("a.tgz");
    export(&Terminal::deaf(), &workspace, &archive, true).unwrap();
    let unpacked = flate2::read::GzDecoder::new(File::open(&archive).unwrap());
    let mut all = String::new();
    for entry in tar::Archive::new(unpacked).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        all.push_str(&format!("{name}={text}\n"));
    }
    assert!(!all.contains("secret"), "{all}");
    assert!(!all.contains("absolute=") && !all.contains("relative=") && !all.contains("round="));
    assert!(all.contains("inner=inside\n") && all.contains("sub/text=inside\n"), "{all}");
}

#[test]
fn a_workspace_survives_the_journey_with_its_keys() {
    let directory = tempfile::tempdir().unwrap();
    let old = Workspace::at(&directory.path().join("old"));
    old.create().unwrap();
    let key = directory.path().join("elsewhere");
    fs::write(&key, KEY).unwrap();
    let own = old.file("id_rsa");
    fs::write(&own, "OWN").unwrap();
    let line = format!(
        "a ansible_ssh_private_key_file={} ansible_ssh_common_args='-i {} -q'\n\
         b ansible_ssh_private_key_file={}\n",
        own.display(),
        key.display(),
        key.display()
    );
    fs::write(old.file("hosts-prov"), &line).unwrap();
    std::os::unix::fs::symlink("hosts-prov", old.file("hosts")).unwrap();
    let archive = directory.path().join("a.tgz");
    export(&Terminal::deaf(), &old, &archive, true).unwrap();
    let new = Workspace::at(&directory.path().join("new"));
    import(&archive, &new).unwrap();
    let read = Inventory::read(&new.file("hosts")).unwrap();
    let moved = read.find("b").unwrap().var("ansible_ssh_private_key_file").unwrap();
    assert!(moved.starts_with(new.path.to_str().unwrap()), "{moved}");
    assert_eq!(fs::read_to_string(moved).unwrap(), KEY);
    let a = read.find("a").unwrap();
    assert_eq!(a.var("ansible_ssh_private_key_file"), new.file("id_rsa").to_str());
    assert!(a.var("ansible_ssh_common_args").unwrap().contains(moved));
    use std::os::unix::fs::PermissionsExt;
    for file in [archive.as_path(), Path::new(moved)] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o077, 0);
    }
    // The original is as it was.
    assert_eq!(fs::read_to_string(old.file("hosts-prov")).unwrap(), line);
}
