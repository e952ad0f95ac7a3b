//! Whatever is in a workspace: `workspace import` takes what `workspace export` packs of it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

/// Something that may be in a workspace, by its bytes: nothing keeps other programs from putting it there.
#[derive(Debug, Clone)]
enum Thing {
    File,
    Directory(u8),
    Link(Vec<u8>),
    Pipe,
}

fn put(at: &Path, name: &[u8], thing: &Thing) {
    let path = at.join(OsStr::from_bytes(name));
    if path.symlink_metadata().is_ok() {
        return;
    }
    match thing {
        Thing::File => fs::write(path, "text").unwrap(),
        Thing::Link(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Thing::Pipe => {
            let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        }
        Thing::Directory(deep) => {
            let inner = (0..*deep).fold(path, |path, _| path.join("d"));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join("text"), "text").unwrap();
            let _ = symlink("..", inner.join("up"));
        }
    }
}

/// What an archive of a workspace with these things holds, as it is taken in again.
fn taken_in(things: &[(Vec<u8>, Thing)]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let old = Workspace::at(&directory.path().join("old"));
    old.create().unwrap();
    for (name, thing) in things {
        put(&old.path, name, thing);
    }
    let archive = directory.path().join("a.tgz");
    export(&Terminal::deaf(), &old, &archive, false).unwrap();
    let new = Workspace::at(&directory.path().join("new"));
    import(&archive, &new).unwrap_or_else(|failure| panic!("{things:?}: {failure:?}"));
    is_harmless(&new.path);
    let names = fs::read_dir(&new.path).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Each of them was packed, and had the whole archive refused where it was unpacked.
#[test]
fn what_import_refuses_is_left_out_and_the_rest_is_packed() {
    let long = vec![b'x'; 255];
    for (name, thing) in [
        (b"up".to_vec(), Thing::Link(b"..".to_vec())),
        (b"here".to_vec(), Thing::Link(b".".to_vec())),
        (b"root".to_vec(), Thing::Link(b"/".to_vec())),
        (b"slash".to_vec(), Thing::Link(b"keep/".to_vec())),
        (b"odd".to_vec(), Thing::Link(b"a\nb".to_vec())),
        (b"bytes".to_vec(), Thing::Link(b"\xff".to_vec())),
        (b"a\tb".to_vec(), Thing::File),
        (b"\xffa".to_vec(), Thing::File),
        (b"KEEP".to_vec(), Thing::File),
        (b"Keep".to_vec(), Thing::Directory(1)),
        (b"pipe".to_vec(), Thing::Pipe),
    ] {
        let names = taken_in(&[(b"keep".to_vec(), Thing::File), (name.clone(), thing)]);
        let kept = names.iter().filter(|name| name.eq_ignore_ascii_case("keep")).count();
        assert_eq!(kept, 1, "{names:?}");
        let name = String::from_utf8_lossy(&name).into_owned();
        assert!(name.eq_ignore_ascii_case("keep") || !names.contains(&name), "{name}");
    }
    let deep = taken_in(&[(b"deep".to_vec(), Thing::Directory(20)), (long.clone(), Thing::File)]);
    assert!(deep.contains(&String::from_utf8(long).unwrap()), "{deep:?}");
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd =
        ["hosts", "Hosts", "HOSTS", "a\nb", "ansible.ssh.config", "..a", "\u{202e}", "id_rsa"];
    prop_oneof![
        prop::sample::select(odd.map(|n| n.as_bytes().to_vec()).to_vec()),
        prop::collection::vec(any::<u8>().prop_filter("of a name", |b| !b"\0/".contains(b)), 1..9)
            .prop_filter("a name", |n| n != b"." && n != b".."),
    ]
}

fn thing() -> impl Strategy<Value = Thing> {
    let targets =
        ["..", ".", "/", "hosts", "a/..", "/etc/passwd", "../x", "Hosts/", "./hosts", "//"];
    prop_oneof![
        Just(Thing::File),
        Just(Thing::Pipe),
        (0u8..20).prop_map(Thing::Directory),
        prop::sample::select(targets.map(|t| t.as_bytes().to_vec()).to_vec()).prop_map(Thing::Link),
        name().prop_map(Thing::Link),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn whatever_export_packs_import_takes(things in prop::collection::vec((name(), thing()), 0..8)) {
        taken_in(&things);
    }
}
