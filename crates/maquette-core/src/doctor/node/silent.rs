//! Guests of which nothing was heard: whether they do not boot, or are only slow. Another image is advised only where nothing
//! tells that this one boots: a node that is replaced loses its disks.

use super::{Finding, Layer, LoginTried, Look, host};
use crate::blueprint::Image;
use crate::node_state::{SILENT_CONSOLE_S, START_S, failed_units};
use crate::observed::Domain;
use crate::topology::VirtType;

/// After how long a guest that has sent no frame is not likely to send any, in seconds, if its console is quiet.
const FRAMES_S: u64 = 60;

/// How long a console is quiet of a guest that does nothing more, in seconds.
const QUIET_S: u64 = 20;

/// As many reads as firmware needs to find out that there is nothing to boot.
const FEW_READS: u64 = 16;

/// How much longer a guest may say nothing under emulation, or on a hypervisor that is busy.
const SLOWER: u64 = 3;

/// What lines of cloud-init's have in them, on a console.
const CLOUD_INIT: &str = "cloud-init";

/// What to do about an image that does not boot.
const OTHER_IMAGE: &str = "take another image; `maquette plan` says whether that replaces the node";

impl Look<'_> {
    /// Whether its image is known to boot: it was ready once, or another node of the image was.
    fn has_booted(&self) -> bool {
        let image =
            |domain: &Domain| -> Option<Image> { domain.recorded.disks.first()?.backing.clone() };
        let own = image(self.domain);
        let mut all = self.observed.domains.values();
        self.domain.ready || (own.is_some() && all.any(|d| d.ready && image(d) == own))
    }

    /// Its guest runs, and nobody has set it up. cloud-init says something on the console when it begins and when it ends.
    pub(super) fn unprepared(&self) -> Option<Finding> {
        if self.domain.failed.is_some() || self.has_booted() {
            return None;
        }
        let console = self.console().filter(|c| c.text.contains(" login: "));
        let console = console.filter(|c| !c.text.to_lowercase().contains(CLOUD_INIT));
        let old = self.signs.evidence.uptime_s.is_none_or(|up| up >= START_S);
        let refused = match &self.signs.login {
            Some(LoginTried::Refused(said)) => Some(format!("ssh says: {said}")),
            _ => None,
        };
        if refused.is_none() && (console.is_none() || !old || host::busy(self.host).is_some()) {
            return None;
        }
        let asks = console
            .map(|_| "its console asks for a login, and cloud-init says nothing there".to_string());
        let finding = self.finding(
            Layer::FirstBoot,
            "no-cloud-init",
            "its guest has started, and nothing set it up: its image has no cloud-init, or that does not run",
        );
        let finding = finding.seen(asks).seen(refused);
        let clouds = "take an image that is made for clouds: `maquette image list` names some";
        let first = "or have virt-customize make this one ready: `customize: yes` in the node type builds the node again";
        Some(finding.advise(clouds).advise(first))
    }

    /// Nothing was heard of it since it started.
    pub(super) fn silent(&self) -> Option<Finding> {
        let evidence = &self.signs.evidence;
        if !evidence.console_read || self.console().is_some() || self.sent().is_some_and(|n| n > 0)
        {
            return None;
        }
        let up = evidence.uptime_s;
        let mute = up.map_or("nothing on its serial console".to_string(), |up| {
            format!("nothing on its serial console in the {up} s since it was started")
        });
        let reads =
            self.signs.reads.map(|reads| format!("QEMU has read {reads} times from its disks"));
        let seen = [mute].into_iter().chain(reads);
        let screen = format!(
            "`maquette screenshot {} -o screen.png` shows what its firmware says",
            self.domain.name
        );
        let other = (!self.has_booted()).then_some(OTHER_IMAGE);
        if self.signs.boot_sector == Some(false) {
            let cause = "its disk cannot be booted: the first sector is not a boot sector";
            let sector = "the first sector of its first disk does not end with 55 aa";
            let seen = [sector.to_string()].into_iter().chain(seen);
            let finding = self.finding(Layer::Firmware, "no-boot-sector", cause).seen(seen);
            return Some(finding.advise_all(other).advise(screen));
        }
        if up.is_some_and(|up| up < SILENT_CONSOLE_S) {
            return None;
        }
        if self.signs.reads.is_some_and(|reads| reads < FEW_READS) {
            let cause = "nothing boots from its disk";
            let finding = self.finding(Layer::Firmware, "nothing-boots", cause).seen(seen);
            return Some(finding.advise(screen).advise_all(other));
        }
        let busy = host::busy(self.host);
        let slow = busy.is_some() || self.domain.recorded.virt == VirtType::Qemu;
        if slow && up.is_some_and(|up| up < SILENT_CONSOLE_S * SLOWER) {
            return None;
        }
        let cause = match (&busy, other) {
            (Some(_), _) | (_, None) => {
                "its disk is read, and its guest has said nothing yet: it may only need longer"
            }
            (None, Some(_)) => {
                "its disk is read, and its guest has said nothing yet: it boots slowly, or not at all, or does not \
                 write to its serial console"
            }
        };
        let other = other.filter(|_| busy.is_none()).map(|_| {
            "if that shows that it does not boot, take another image; `maquette plan` says whether that replaces \
             the node"
        });
        let finding = self.finding(Layer::Firmware, "boot-silent", cause);
        Some(finding.seen(busy).seen(seen).advise(screen).advise_all(other))
    }

    /// It runs, and its NIC does nothing.
    pub(super) fn no_frames(&self) -> Option<Finding> {
        let nic = self.nic()?;
        let frames = self.signs.frames.get(&nic.mac)?;
        let console = self.console();
        let moves = console.is_some_and(|c| c.age_s < QUIET_S);
        let up = self.signs.evidence.uptime_s;
        let due = up.is_none_or(|up| up >= START_S || (up >= FRAMES_S && !moves));
        if frames.sent > 0 || !due {
            return None;
        }
        let (name, model) = (&nic.name, &nic.model);
        let failed = console.is_some_and(|c| !failed_units(&c.text).is_empty());
        let driver = !(failed || moves || self.has_booted());
        let why = match (failed, driver) {
            (true, _) => "the guest could not start all that it starts".to_string(),
            (_, true) => {
                format!("the guest has no driver for the NIC ({model}), or does not set it up")
            }
            (_, false) => "the guest has not come as far as its network".to_string(),
        };
        let seen = format!("0 frames from {} since it was started", nic.mac);
        let other = driver.then_some(
            "take another image, or another `model` in the network file: kernels for clouds have few drivers",
        );
        let finding =
            self.finding(Layer::Nic, "nic-silent", format!("its {name} has sent nothing: {why}"));
        let finding = finding.seen(host::busy(self.host)).seen(self.quote()).seen([seen]);
        // A unit that failed has failed.
        let finding = if failed { finding } else { self.passing(finding) };
        Some(
            finding
                .advise_all(other)
                .advise(format!("`maquette logs {}` shows how far it came", self.domain.name)),
        )
    }
}
