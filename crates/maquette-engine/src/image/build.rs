//! Building an image from distribution packages, for those who cannot download one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use maquette_core::blueprint::Image;
use maquette_core::image::AgentRecord;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::checksum;
use crate::guest_agent;
use crate::host::{Command, Host, HostError, read_text};
use crate::prepare::packages;
use crate::private_file;
use crate::probe::family::{Manager, OsRelease};

/// The whole recipe; everything that varies is a positional argument.
const SCRIPT: &str = include_str!("../../assets/build-debian.sh");

/// Images that can be built, with their suites.
pub const BUILDABLE: [(&str, &str); 2] = [("debian-12", "bookworm"), ("debian-13", "trixie")];

/// Files that the recipe needs, with the packages that bring them.
const TOOLS: [(&str, &str); 7] = [
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
    ("/usr/sbin/mke2fs", "e2fsprogs"),
    ("/usr/sbin/sfdisk", "fdisk"),
    ("/usr/bin/grub-mkimage", "grub-common"),
    ("/usr/lib/grub/i386-pc/boot.img", "grub-pc-bin"),
    ("/usr/bin/qemu-img", "qemu-utils"),
    ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
];

/// Why no image was built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// There is no recipe of that name.
    #[error("there is no recipe for `{0}`")]
    Unknown(String),
    /// The recipe needs tools that this system does not package.
    #[error("images are built with Debian's tools, and this is {0}")]
    System(String),
    /// A directory could not be made.
    #[error("cannot create {path}")]
    Directory {
        /// The directory that was to be made.
        path: PathBuf,
        /// Why it was not made.
        #[source]
        source: std::io::Error,
    },
    /// The new image cannot be what the old one was to others.
    #[error("cannot keep mode and owner of the image that is there")]
    Rights(#[source] std::io::Error),
    /// A command failed.
    #[error("cannot build the image")]
    Command(#[source] HostError),
}

/// The file beside a built image that tells which recipe made it, and the digest of what it made.
fn recipe_of(image: &Path) -> PathBuf {
    let mut name = image.as_os_str().to_owned();
    name.push(".recipe");
    name.into()
}

/// What is known of the recipe that made an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Whether it was that of this version.
    pub is_current: bool,
    /// Whether the system finds a CD-ROM before its agent or cloud-init looks for the seed.
    pub finds_cdrom: bool,
    /// SHA-256 of the image that it made, in hexadecimal; earlier versions did not tell.
    content: Option<String>,
}

impl Recipe {
    /// Whether it made what a volume holds, which is named after that: an image may be changed afterwards.
    pub fn made(&self, image: &Image) -> bool {
        let name = |digest: &String| digest.get(..12).map(|key| format!("-{key}.qcow2"));
        let end = self.content.as_ref().and_then(name);
        end.is_some_and(|end| image.volume.ends_with(&end))
    }

    /// What is recorded of an image that it made, beside which it is: another's who asks for that image has no recipe.
    pub(super) fn record(&self, image: &Image) -> Option<AgentRecord> {
        let is_it = self.is_current && self.made(image);
        recorded_as(self.content.as_deref()?).filter(|_| is_it)
    }
}

/// What is recorded of an image of this SHA-256, in hexadecimal, that this version's recipe has built.
pub fn recorded_as(content: &str) -> Option<AgentRecord> {
    AgentRecord::new(&digest(), content)
}

/// Whether an image was built by this version's recipe, by what is recorded of it.
pub fn is_recorded_current(record: &AgentRecord) -> bool {
    record.is_by(&digest())
}

/// The recipe that made an image, if it was built by Maquette.
pub fn recipe_beside(image: &Path) -> Option<Recipe> {
    let text = private_file::read_text(&recipe_of(image)).ok()?;
    let mut lines = text.lines();
    let made_by = lines.next()?;
    Some(Recipe {
        is_current: made_by == recipe(),
        finds_cdrom: made_by.contains(FINDS_CDROM),
        content: lines.next().map(String::from),
    })
}

/// The word after the digest of a recipe whose images find a CD-ROM.
const FINDS_CDROM: &str = " cdrom";

/// The recipe, as it is noted beside an image.
fn recipe() -> String {
    format!("{}{FINDS_CDROM}", digest())
}

/// The recipe, as a digest: another one makes other images.
fn digest() -> String {
    let mut digest = Sha256::new();
    for part in std::iter::once(SCRIPT).chain(agent()) {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    format!("{:x}", digest.finalize())
}

/// The agent's files, each as where it goes and its text.
fn agent() -> impl Iterator<Item = &'static str> {
    guest_agent::FILES.into_iter().flat_map(|(place, text)| [place, text])
}

/// Whether the image in a place was built by this version's recipe, whatever came of it later.
pub fn is_current(image: &Path) -> bool {
    recipe_beside(image).is_some_and(|recipe| recipe.is_current)
}

/// Builds `name` into the file `output`, which is absent or a file, and no link; `on_stage` hears what is being done. An error
/// leaves what was there.
pub fn build(
    host: &dyn Host,
    name: &str,
    output: &Path,
    on_stage: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let suite = BUILDABLE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, suite)| *suite)
        .ok_or_else(|| BuildError::Unknown(name.into()))?;
    let os = OsRelease::parse(&read_text(host, "/etc/os-release").map_err(BuildError::Command)?);
    let missing: Vec<String> = TOOLS
        .iter()
        .filter(|(path, _)| !host.exists(path))
        .map(|(_, package)| (*package).to_string())
        .collect();
    if !missing.is_empty() {
        let family = os
            .family()
            .filter(|f| f.manager == Manager::Apt)
            .ok_or_else(|| BuildError::System(os.name.clone()))?;
        on_stage(&format!("installing {}", missing.join(", ")));
        packages::install(host, family, &missing, &mut |_| {}, &mut |_| Ok(()))
            .map_err(BuildError::Command)?;
    }
    let parent = output.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .map_err(|source| BuildError::Directory { path: parent.into(), source })?;
    let work = format!("{}.work-{}", output.display(), std::process::id());
    // It goes into an expression of sed's.
    let is_word = !os.codename.is_empty() && os.codename.chars().all(|c| c.is_ascii_alphanumeric());
    let sources = if os.id == "debian" && is_word { own_sources(host) } else { String::new() };
    let whole = output.display().to_string();
    let new = format!("{whole}.new");
    let arguments = [suite.to_string(), work, new.clone(), sources, os.codename];
    let command = Command::script(SCRIPT, arguments.into_iter().chain(agent().map(String::from)));
    host.run(&command, &mut |line| {
        if let Some(stage) = line.strip_prefix(":: ") {
            on_stage(stage);
        }
    })
    .and_then(|result| result.success(&command).map(|_| ()))
    .map_err(BuildError::Command)?;
    keep_rights(output, Path::new(&new)).map_err(BuildError::Rights)?;
    // After a power cut there is the whole image or none.
    host.rename(&new, &whole).map_err(BuildError::Command)?;
    record(output);
    Ok(())
}

/// Gives a new file mode and owner of the one whose place it takes, if there is one.
fn keep_rights(old: &Path, new: &Path) -> std::io::Result<()> {
    let Ok(was) = std::fs::metadata(old) else { return Ok(()) };
    std::fs::set_permissions(new, was.permissions())?;
    let is = std::fs::metadata(new)?;
    match (is.uid(), is.gid()) == (was.uid(), was.gid()) {
        true => Ok(()),
        false => std::os::unix::fs::chown(new, Some(was.uid()), Some(was.gid())),
    }
}

/// Notes that this version has built an image. Where that cannot be noted, the image is only taken for an older one.
pub fn record(image: &Path) {
    if let Ok(content) = checksum::sha256(image) {
        let _ = std::fs::write(recipe_of(image), format!("{}\n{content}\n", recipe()));
    }
}

/// The system's own list of Debian mirrors, if it has the modern form: who changed it had a reason.
fn own_sources(host: &dyn Host) -> String {
    let path = "/etc/apt/sources.list.d/debian.sources";
    if host.exists(path) { path.into() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use super::*;
    use crate::host::{Local, Output};

    /// Notes which files are renamed, and makes what the recipe would make.
    struct Builder(Mutex<Vec<String>>);

    impl Host for Builder {
        fn run(&self, command: &Command, _: &mut dyn FnMut(&str)) -> Result<Output, HostError> {
            // `sh -euc SCRIPT sh SUITE WORK OUTPUT …`
            fs::write(&command.args[5], "image").unwrap();
            Ok(Output { status: Some(0), ..Output::default() })
        }

        fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
            self.0.lock().unwrap().push(format!("{from} {to}"));
            Local.rename(from, to)
        }

        fn spawn(&self, command: &Command) -> Result<std::process::Child, HostError> {
            Local.spawn(command)
        }

        fn read_tail(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, HostError> {
            Local.read_tail(path, limit)
        }

        fn exists(&self, _: &str) -> bool {
            true
        }

        fn answers(&self, _: std::net::SocketAddr) -> bool {
            false
        }
    }

    /// After a power cut an image was there that was not on the disk.
    #[test]
    fn an_image_has_its_name_once_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join("images/debian-12.qcow2");
        let builder = Builder(Mutex::default());
        build(&builder, "debian-12", &image, &mut |_| {}).unwrap();
        let (new, whole) = (format!("{}.new", image.display()), image.display().to_string());
        // Renaming is what syncs a file before and its directory after.
        assert_eq!(*builder.0.lock().unwrap(), [format!("{new} {whole}")]);
        assert_eq!(fs::read(&image).unwrap(), b"image");
        assert!(is_current(&image) && !Path::new(&new).exists());
    }

    #[test]
    fn an_image_that_is_built_again_keeps_its_mode() {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join("debian-12.qcow2");
        fs::write(&image, "old").unwrap();
        for mode in [0o640, 0o604] {
            fs::set_permissions(&image, Permissions::from_mode(mode)).unwrap();
            build(&Builder(Mutex::default()), "debian-12", &image, &mut |_| {}).unwrap();
            assert_eq!(fs::read(&image).unwrap(), b"image");
            assert_eq!(fs::metadata(&image).unwrap().mode() & 0o777, mode);
        }
    }

    /// Whatever is no longer that of this version is known by what stands beside it.
    #[test]
    fn images_of_earlier_versions_find_no_cd_rom() {
        let home = tempfile::tempdir().unwrap();
        let image = home.path().join("debian-12.qcow2");
        assert_eq!(recipe_beside(&image), None);
        build(&Builder(Mutex::default()), "debian-12", &image, &mut |_| {}).unwrap();
        let now = recipe_beside(&image);
        let kept = |found: &Option<Recipe>| found.as_ref().map(|r| (r.is_current, r.finds_cdrom));
        assert_eq!(kept(&now), Some((true, true)));
        // What it made, and what somebody has changed since.
        let volume = || {
            let key = checksum::sha256(&image).unwrap()[..12].to_string();
            Image { source: "x".into(), volume: format!("maquette-x-{key}.qcow2").parse().unwrap() }
        };
        assert!(now.as_ref().unwrap().made(&volume()));
        // Who asks for it elsewhere knows it by its record in the pool.
        let recorded = now.as_ref().unwrap().record(&volume()).unwrap();
        let read = AgentRecord::parse(&recorded.line()).unwrap();
        assert!(is_recorded_current(&read) && read.is_of(&volume().volume));
        fs::write(&image, "changed").unwrap();
        assert!(!now.as_ref().unwrap().made(&volume()));
        assert_eq!(now.as_ref().unwrap().record(&volume()), None);
        let beside = |text: &str| fs::write(recipe_of(&image), text).unwrap();
        beside(&format!("{:064x} cdrom\n", 7));
        let later = recipe_beside(&image);
        assert_eq!(kept(&later), Some((false, true)));
        beside(&format!("{:064x}\n", 7));
        let before = recipe_beside(&image);
        assert_eq!(kept(&before), Some((false, false)));
    }

    /// Says how it was called, by whom and with which limits, and does it.
    const QEMU_IMG: &str = r#"#!/bin/sh
bound=$(grep -c -e 'NoNewPrivs:.1' -e 'CapEff:.0000000000000000' /proc/self/status)
echo "$* by $(id -u) with $(id -G), bound by $bound of 2" >&2
echo "$(ulimit -n) files, $(ulimit -t) s, $(ulimit -v) KiB, $(ulimit -f) blocks of a file, $(ulimit -c) of a core" >&2
PATH=/usr/bin exec qemu-img "$@"
"#;

    /// Other calls of qemu-img were by nobody and with limits, and this one was root's.
    #[test]
    fn the_image_is_written_by_nobody_where_nobody_may_enter() {
        let (home, shims) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| home.path().join(name).display().to_string();
        fs::write(at("disk"), vec![7; 1 << 20]).unwrap();
        fs::set_permissions(at("disk"), Permissions::from_mode(0o600)).unwrap();
        let shim = shims.path().join("qemu-img");
        fs::write(&shim, QEMU_IMG).unwrap();
        fs::set_permissions(&shim, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(shims.path(), Permissions::from_mode(0o755)).unwrap();
        let (_, end) = SCRIPT.split_once("say \"writing the image\"").unwrap();
        let output = std::process::Command::new("sh")
            .args(["-euc", &format!("size=1 disk=$1 output=$2\n{end}"), "sh"])
            .args([at("disk"), at("image")])
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", shims.path().display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let (call, limits) = said.trim().split_once('\n').unwrap();
        let own = fs::metadata(home.path()).unwrap().uid();
        if own == 0 {
            let nobody = "by 65534 with 65534, bound by 2 of 2";
            assert_eq!(call, format!("convert -f raw -O qcow2 /dev/fd/3 /dev/fd/4 {nobody}"));
        }
        let most = "64 files, 3600 s, 4194304 KiB, 266240 blocks of a file, 0 of a core";
        assert_eq!(limits, most);
        assert_eq!(fs::metadata(at("image")).unwrap().uid(), own);
        assert!(fs::read(at("image")).unwrap().starts_with(b"QFI\xfb"));
    }
}
