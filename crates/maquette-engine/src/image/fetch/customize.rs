//! Making an image ready that has no cloud-init: virt-customize puts into it what sets guests up from their seed.

use super::super::fetch_shell::Answer;
use super::super::source::Source;
use super::{Job, no_room};
use crate::StepError;

/// What sets guests up from their seed where the image has no cloud-init.
const SETUP: &str = include_str!("../../../assets/image/setup.sh");

/// How long virt-customize may take, in seconds: it starts a system of its own, which may be emulated.
const CUSTOMIZING: u32 = 1800;

impl Job<'_> {
    /// Brings an image, and has virt-customize make it ready. Where the image is in the pool as it comes, that is taken.
    pub(super) fn bring_customized(
        &mut self,
        source: &Source,
        smallest: Option<u64>,
    ) -> Result<(), StepError> {
        let volume = self.volume.clone();
        if !self.transfer.force && self.order(&format!("copy {volume}"))?.is_done() {
            self.judge(smallest)?;
        } else {
            self.bring(source, smallest)?;
        }
        self.progress("virt-customize makes it ready, unless it has cloud-init");
        let answer = self.order(&format!("customize {CUSTOMIZING}\n{}\n", setup()))?;
        if answer.is_done() {
            // A QEMU in which programs of the image ran had it open to write.
            return self.judge(None);
        }
        if answer.status() == "large" {
            let what = format!("virt-customize works on a copy of image {}", self.name);
            return Err(no_room(what, &answer));
        }
        Err(not_customized(&self.name, &answer))
    }
}

/// What sets guests up, as lines of which none is empty.
pub(super) fn setup() -> String {
    let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    SETUP.lines().filter(says).collect::<Vec<_>>().join("\n")
}

/// Why virt-customize did not do it.
fn not_customized(name: &str, answer: &Answer) -> StepError {
    let said =
        answer.said.iter().rev().find_map(|line| line.trim().strip_prefix("virt-customize: "));
    let lacks = said.and_then(|said| said.split_once("/setup has ")).and_then(|(_, rest)| {
        let word = rest.split([':', '\'', ' ']).next()?;
        LACKS.iter().find(|(known, _)| *known == word).map(|(_, what)| *what)
    });
    if let Some(what) = lacks {
        let message =
            format!("image {name} cannot be set up: it has neither cloud-init nor {what}");
        return StepError::new(message)
            .hint("take another image, or put that into this one")
            .hint(AS_IT_IS);
    }
    let mut error = StepError::new(format!("virt-customize cannot make image {name} ready"));
    error.causes.extend(said.map(String::from).or_else(|| answer.said.last().cloned()));
    let error = match answer.status() {
        "127" => error.hint("the hypervisor has no `virt-customize`; `maquette up` installs it where it knows the package manager"),
        NO_PLACE => error.hint("the hypervisor runs no program from the pool, /var/lib/maquette or /root: mount the file system of one of them without `noexec`"),
        "124" => error.hint(format!("it was ended after {CUSTOMIZING} s; `libguestfs-test-tool` on the hypervisor says why")),
        _ => error.hint("`LIBGUESTFS_BACKEND=direct libguestfs-test-tool` on the hypervisor tells whether libguestfs works there; it needs a kernel in /boot with its modules"),
    };
    error.hint(AS_IT_IS)
}

/// What helps where an image is to be used all the same.
const AS_IT_IS: &str = "`customize: no` in the node type uses the image as it is";

/// Status of the order where no directory is found from which the program can be run that confines libguestfs' QEMU.
const NO_PLACE: &str = "190";

/// What an image has to have, by the words of `setup.sh`.
const LACKS: [(&str, &str); 5] = [
    ("systemd", "systemd"),
    ("sshd", "an SSH server"),
    ("network", "NetworkManager, systemd-networkd or ifupdown"),
    ("accounts", "`useradd`"),
    ("vfat", "a kernel with the file system of the seed (vfat)"),
];
