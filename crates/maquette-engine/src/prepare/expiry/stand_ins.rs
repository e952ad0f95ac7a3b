//! A hypervisor whose objects are files, with a `virsh` that knows them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::TEXT;

pub(super) const NOW: u64 = 4_000_000_000;

/// Digests of records, by element and text: each takes some processes, and scenes are made of the same ones many times.
static DIGESTS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// A `virsh` whose objects are files, beside it or beside `STAND_IN`, and which notes what is taken away. As virsh does, it takes
/// digits for an ID first, and the form of a UUID for one.
const VIRSH: &str = r#"#!/bin/sh
here=${STAND_IN:-$0}
cd "${here%/*}"
shift
if [ -e "fails-$1" ]; then echo "error: the connection is lost" >&2; exit 1; fi
uuids() { stat -c 00000000-0000-4000-8000-%012i -- "$@" 2>/dev/null || :; }
running() {
    of=$1
    set --
    for file in "$of"/*; do [ ! -e "$file" ] || [ -e "off/$file" ] || set -- "$@" "$file"; done
    [ $# = 0 ] || uuids "$@"
}
stop() {
    if [ -e "off/$1" ]; then echo 'error: Requested operation is not valid: it is not running' >&2; exit 1; fi
    mkdir -p off/domains off/networks
    : >"off/$1"
}
found() {
    case $2 in *[!0-9]*) ;; *) [ ! -e "ids/$2" ] || { cat "ids/$2"; return; } ;; esac
    case $2 in 00000000-0000-4000-8000-*)
        called=$(stat -c '%012i %n' -- "$1"/* 2>/dev/null | while read -r inode file; do
            if [ "$inode" = "${2##*-}" ]; then echo "${file##*/}"; fi
        done)
        if [ -n "$called" ]; then echo "$called"; return; fi ;;
    esac
    [ -e "$1/$2" ] && echo "$2"
}
case $1 in
net-dumpxml) kind=networks what=$3 ;;
net-list | list | vol-* | pool-*) kind= ;;
net-*) kind=networks what=$2 ;;
*) kind=domains what=$2 ;;
esac
if [ -n "$kind" ] && ! name=$(found $kind "$what"); then echo "error: failed to get '$what'" >&2; exit 1; fi
case "$1 $2" in
'list --all') case $3 in --uuid) uuids domains/* ;; *) ls domains ;; esac ;;
'net-list --all') uuids networks/* ;;
'net-list --uuid') running networks ;;
'domname '* | 'net-name '*) printf '%s\n' "$name" ;;
'metadata '*)
    if grep -q unreadable "domains/$name"; then echo 'error: internal error' >&2; exit 1; fi
    cat "domains/$name"
    ;;
'dumpxml '*) [ ! -e "definitions/$name" ] || cat "definitions/$name" ;;
'domstate '*) if [ -e "off/domains/$name" ]; then echo 'shut off'; else echo running; fi ;;
'domiflist '*) [ ! -e "plugged/$name" ] || cat "plugged/$name" ;;
'domblklist '*)
    # Versions before 7.3 fill the last column up.
    if [ -e "disks/$name" ]; then sed 's/$/  /' "disks/$name"; else
        sed -n 's|.* volume="\([^"]*\)".*| vda   /x/\1|p' "domains/$name"
    fi
    ;;
'pool-refresh '*)
    # One on a server that is gone never answers.
    if [ -e "hangs-$2" ]; then echo x >>refreshed; exec sleep 60; fi
    ;;
'vol-list --pool')
    sed -n "s|^$3/||p" volumes 2>/dev/null | while IFS= read -r volume; do
        # Those that are there as files have their places.
        if [ -e "$volume" ]; then echo " $volume   $PWD/$volume"; else echo " $volume   /x/$volume"; fi
    done
    ;;
'vol-path --pool') echo "/x/$4" ;;
'pool-list --name' | 'pool-list --all')
    {
        [ ! -e volumes ] || sed 's|/.*||' volumes
        for pool in pools/*; do [ ! -e "$pool" ] || echo "${pool#pools/}"; done
    } | sort -u | while read -r pool; do
        if [ "$2" = --all ] || [ ! -e "off/pools/$pool" ]; then echo "$pool"; fi
    done
    ;;
'pool-start '*) rm "off/pools/$2"; echo "pool-start $2" >>done ;;
'pool-dumpxml '*) cat "pools/$2" ;;
'pool-destroy '*) echo "pool-destroy $2" >>done; : >"off/pools/$2" ;;
'pool-undefine '*) echo "pool-undefine $2" >>done; rm "pools/$2" "off/pools/$2" ;;
'net-dumpxml --inactive')
    if grep -q unreadable "networks/$name"; then echo 'error: internal error' >&2; exit 1; fi
    cat "networks/$name"
    ;;
'vol-info --pool') grep -qx "$3/$4" volumes || { echo 'error: Storage volume not found: x' >&2; exit 1; } ;;
'vol-delete --pool')
    grep -qxF "$3/$4" volumes || { echo 'error: Storage volume not found: x' >&2; exit 1; }
    grep -vxF "$3/$4" volumes >volumes.new || :
    mv volumes.new volumes
    echo "delete $3/$4" >>done
    ;;
'destroy '*) stop "domains/$name"; echo "destroy $name" >>done; rm -f ids/* ;;
'undefine '*)
    case " $* " in *' --checkpoints-metadata '*)
        if [ -e old ]; then echo "error: command 'undefine' doesn't support option --checkpoints-metadata" >&2; exit 1; fi ;;
    *) if [ -e checkpoints ]; then echo 'error: cannot delete inactive domain with 1 checkpoints' >&2; exit 1; fi ;;
    esac
    echo "undefine $name" >>done; rm -f "domains/$name" "off/domains/$name"
    ;;
'net-destroy '*) stop "networks/$name"; echo "net-destroy $name" >>done ;;
'net-undefine '*) echo "net-undefine $name" >>done; rm -f "networks/$name" "off/networks/$name" ;;
*) echo "unknown: $*" >>done ;;
esac
"#;

pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for directory in [
            "domains",
            "networks",
            "notes",
            "locks",
            "ids",
            "plugged",
            "disks",
            "definitions",
            "pools",
            "off/pools",
        ] {
            fs::create_dir_all(place.at(directory)).unwrap();
        }
        place.write("virsh", VIRSH);
        place.now(NOW);
        place.write("expire.sh", TEXT);
        place.executable("virsh");
        place
    }

    /// A qcow2 image that is over another file.
    pub(super) fn overlay(&self, name: &str, over: &str) -> String {
        let mut image = vec![0; 512];
        image[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        image[8..16].copy_from_slice(&512_u64.to_be_bytes());
        image[16..20].copy_from_slice(&u32::try_from(over.len()).unwrap().to_be_bytes());
        image.extend(over.bytes());
        fs::write(self.at(name), image).unwrap();
        self.at(name).display().to_string()
    }

    /// What time it is there.
    pub(super) fn now(&self, now_s: u64) {
        self.write("date", &format!("#!/bin/sh\necho {now_s}\n"));
        self.executable("date");
    }

    pub(super) fn executable(&self, name: &str) {
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// A domain with the record of a node of type `web`, or of another.
    pub(super) fn node(&self, name: &str, environment: &str, disk: &str) {
        self.recorded(name, (environment, "0"), disk);
    }

    pub(super) fn recorded(&self, name: &str, (environment, index): (&str, &str), disk: &str) {
        let text = format!(
            "<node schema=\"1\" digest=\"\" environment=\"{environment}\" role=\"web\" index=\"{index}\" pool=\"images\" pool-path=\"/x\">\n  \
             <disk volume=\"{disk}\" device=\"vda\"/>\n  \
             <guest seed=\"{name}-seed.img\" user=\"x\"/>\n</node>\n"
        );
        self.write(&format!("domains/{name}"), &self.with_digest("node", &text));
    }

    /// Text with the digest of the record in it.
    pub(super) fn with_digest(&self, element: &str, text: &str) -> String {
        let key = format!("{element}\n{text}");
        let known = DIGESTS.lock().unwrap().get(&key).cloned();
        let digest = known.unwrap_or_else(|| self.digest(element, text));
        DIGESTS.lock().unwrap().insert(key, digest.clone());
        text.replace("digest=\"\"", &format!("digest=\"{digest}\""))
    }

    /// The digest of a record, as the script tells it.
    fn digest(&self, element: &str, text: &str) -> String {
        let mut sh = Command::new("sh");
        sh.arg(self.at("expire.sh")).args(["digest", element]);
        let mut sh = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut sh.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let digest = String::from_utf8(sh.wait_with_output().unwrap().stdout).unwrap();
        digest.trim().to_string()
    }

    pub(super) fn network(&self, name: &str, environment: &str, more: &str) {
        let text = format!(
            "<network>\n<metadata>\n<maquette:network xmlns:maquette=\"x\" digest=\"\" forward=\"nat\" \
             environment=\"{environment}\">\n{more}</maquette:network></metadata></network>"
        );
        self.write(&format!("networks/{name}"), &self.with_digest("maquette:network", &text));
    }

    pub(super) fn note(&self, environment: &str, expires_s: u64) {
        let text = format!("environment {environment}\nexpires {expires_s}\nowner ann\n");
        self.write(&format!("notes/environment.{environment}"), &text);
    }

    /// What is recorded of disks that stayed.
    pub(super) fn kept(&self) -> Vec<String> {
        let records = fs::read_dir(self.at("images")).into_iter().flatten().flatten();
        let mut all: Vec<String> =
            records.map(|record| fs::read_to_string(record.path()).unwrap()).collect();
        all.sort();
        all
    }

    /// Has it look twice, and returns what was taken away.
    pub(super) fn once(&self) -> String {
        let (done, said) = self.tried();
        assert_eq!(said, "");
        done
    }

    /// The same, and what it complains of.
    pub(super) fn tried(&self) -> (String, String) {
        let (done, _, complaints) = self.told();
        (done, complaints)
    }

    /// The same, and what it says besides.
    pub(super) fn told(&self) -> (String, String, String) {
        self.look(0);
        self.look(0)
    }

    /// Has it look once, no sooner after an earlier look than a time in seconds.
    pub(super) fn look(&self, apart_s: u32) -> (String, String, String) {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut sh = Command::new("sh");
        sh.arg(self.at("expire.sh")).arg("once").env("PATH", path);
        sh.env("MAQUETTE_NOTES", self.at("notes")).env("MAQUETTE_LOCKS", self.at("locks"));
        sh.env("MAQUETTE_MOTD", self.at("motd")).env("MAQUETTE_APART", apart_s.to_string());
        sh.env("MAQUETTE_IMAGES", self.at("images")).env("MAQUETTE_PATIENCE", "30");
        sh.env("MAQUETTE_FORWARDING", self.at("forwarding"));
        let output = sh.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let [said, complaints] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (fs::read_to_string(self.at("done")).unwrap_or_default(), said, complaints)
    }
}
