//! What a node does now, and why it is not ready: decided from what libvirt has, what the guest said before, and what
//! it answers now.

use std::net::IpAddr;

use crate::observed::Domain;

/// How a guest's SSH port answered a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshAnswer {
    /// With an SSH server's greeting.
    Greeted,
    /// The connection was refused: nothing listens there.
    Refused,
    /// There is no way to it: nobody has that address.
    NoRoute,
    /// Nothing came within the limit.
    Silent,
    /// Something listens that is not an SSH server, or closes the connection at once.
    Other,
    /// Nobody could ask.
    Unknown,
}

impl SshAnswer {
    /// Why a guest that answered so cannot be logged in to.
    fn reason(self, address: IpAddr) -> String {
        match self {
            Self::Greeted => format!("SSH answers at {address}"),
            Self::Refused => format!("port 22 of {address} is closed: no SSH server runs there"),
            Self::NoRoute => format!("nothing answers at {address}"),
            Self::Silent => format!("SSH at {address} says nothing"),
            Self::Other => format!("what listens on port 22 of {address} does not speak SSH"),
            Self::Unknown => format!(
                "whether SSH answers at {address} could not be asked: the hypervisor has no `bash` or no `timeout`"
            ),
        }
    }
}

/// The end of a node's serial console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleEnd {
    /// Its last lines, as people may see them.
    pub text: String,
    /// How long ago something was written, in seconds.
    pub age_s: u64,
}

/// What was found out about a node besides what libvirt has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How its SSH port answered; none if it was not asked.
    pub ssh: Option<SshAnswer>,
    /// The end of its console; none if it was not read, or nothing was ever written.
    pub console: Option<ConsoleEnd>,
    /// Whether its console was looked for.
    pub console_read: bool,
    /// How long its domain has run, in seconds; none if it does not run, or that was not found out.
    pub uptime_s: Option<u64>,
}

impl Evidence {
    /// The end of its console, if something was written since it was started: what is older says nothing about now.
    pub(crate) fn recent_console(&self) -> Option<&ConsoleEnd> {
        let recent =
            |c: &&ConsoleEnd| self.uptime_s.is_none_or(|up| c.age_s <= up.saturating_add(1));
        self.console.as_ref().filter(recent)
    }
}

/// What a node does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Its first boot has ended, and it answers.
    Ready,
    /// It runs, and whether it answers cannot be told or was not asked.
    Running,
    /// It was started a moment ago, and does not answer yet.
    Starting,
    /// Its first boot has not ended yet.
    Booting,
    /// It ought to answer, and does not.
    Unreachable,
    /// Its first boot failed, or its guest crashed.
    Failed,
    /// Its vCPUs are stopped.
    Paused,
    /// It does not run.
    ShutOff,
}

impl NodeState {
    /// For tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Booting => "booting",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::ShutOff => "shut off",
        }
    }
}

/// What a node does, and why it is not ready where there is more to say than the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it does now.
    pub state: NodeState,
    /// Why; none if the state says it all.
    pub reason: Option<String>,
}

/// For how long a node that was started may keep silent before that is called unreachable, in seconds.
pub(crate) const START_S: u64 = 180;
/// The same for a first boot, which may take long under emulation.
pub(crate) const FIRST_BOOT_S: u64 = 600;
/// After how many seconds a console that stays silent tells that nothing boots.
pub(crate) const SILENT_CONSOLE_S: u64 = 120;

/// Where a guest came to a halt, as its console tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Its kernel panicked.
    Panic,
    /// The firmware found nothing to boot.
    NothingToBoot,
    /// Secure Boot refused what it was to boot.
    NotSigned,
    /// GRUB did not find its files.
    Grub,
    /// systemd is in emergency mode.
    Emergency,
    /// The kernel did not find its root file system.
    NoRoot,
    /// cloud-init did not find the seed.
    NoSeed,
}

impl Halt {
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Panic => "the guest's kernel panicked",
            Self::NothingToBoot => "the firmware found nothing to boot",
            Self::NotSigned => "Secure Boot does not trust who signed what its disk boots",
            Self::Grub => "GRUB did not find its files",
            Self::Emergency => "the guest is in emergency mode",
            Self::NoRoot => "the guest's kernel did not find its root file system",
            Self::NoSeed => "cloud-init did not find the seed",
        }
    }
}

/// Last words of a guest that has come no further, all in one line, and what they mean; `BdsDxe` is UEFI's boot device selection.
const LAST_WORDS: [(&[&str], Halt); 14] = [
    (&["Kernel panic - not syncing"], Halt::Panic),
    (&["No bootable device"], Halt::NothingToBoot),
    (&["Boot failed: not a bootable disk"], Halt::NothingToBoot),
    (&["BdsDxe: failed to", "Access Denied"], Halt::NotSigned),
    (&["No bootable option or device was found"], Halt::NothingToBoot),
    (&["BdsDxe: Press any key to enter the Boot Manager"], Halt::NothingToBoot),
    (&["UEFI Interactive Shell"], Halt::NothingToBoot),
    (&["Shell>"], Halt::NothingToBoot),
    (&["grub rescue>"], Halt::Grub),
    (&["Entering emergency mode"], Halt::Emergency),
    (&["You are in emergency mode"], Halt::Emergency),
    (&["(initramfs)"], Halt::NoRoot),
    (&["dracut:/#"], Halt::NoRoot),
    (&["Datasource DataSourceNone"], Halt::NoSeed),
];

/// Whether a line has all of some words.
fn says(line: &str, words: &[&str]) -> bool {
    words.iter().all(|word| line.contains(word))
}

/// What UEFI says before it loads something.
const LOADS: &str = "BdsDxe: loading Boot";

/// What a console says since the last start: the log goes on over starts.
fn since_start(text: &str) -> &str {
    let marks = ["Linux version ", "SeaBIOS (version", "BdsDxe: starting Boot"];
    let begun = marks.iter().filter_map(|mark| text.rfind(mark)).max();
    let rest = &text[begun.unwrap_or(0)..];
    // Firmware that speaks after what it has started begins again.
    rest.find(LOADS).map_or(rest, |at| &rest[at..])
}

/// What the end of a console says of a guest that came no further, and the line that says it, from where it matters.
pub(crate) fn last_words(text: &str) -> Option<(Halt, String)> {
    let text = since_start(text);
    LAST_WORDS.iter().find_map(|(words, halt)| {
        let line = text.lines().rfind(|line| says(line, words))?;
        let from = words.first().and_then(|first| line.find(first)).unwrap_or(0);
        Some((*halt, short(&line[from..])))
    })
}

/// What a console says of a guest of which nothing came after that: it ends with it.
pub(crate) fn last_halt(text: &str) -> Option<Halt> {
    let last = since_start(text).lines().rfind(|line| !line.trim().is_empty())?;
    LAST_WORDS.iter().find(|(words, _)| says(last, words)).map(|(_, halt)| *halt)
}

/// As many of systemd's complaints are quoted.
const FAILED_UNITS: usize = 3;

/// For how long a guest that boots says nothing on its console, in seconds, even under emulation.
const BOOT_PAUSE_S: u64 = 60;

/// Whether a guest is on its way to a login: something was written a moment ago, and since the last start no login was asked for.
fn is_booting(console: &ConsoleEnd) -> bool {
    console.age_s <= BOOT_PAUSE_S && !since_start(&console.text).contains(" login: ")
}

/// What systemd says on a console that it could not start, since the last start of the guest: what failed and what took too
/// long first, since that is why others were not even tried.
pub(crate) fn failed_units(text: &str) -> Vec<String> {
    let text = since_start(text);
    let with = |marks: &'static [&'static str]| {
        text.lines().filter_map(move |line| {
            let at = marks.iter().filter_map(|mark| line.find(mark)).min()?;
            Some(short(&line[at..]))
        })
    };
    with(&["[FAILED]", "[ TIME ]"]).chain(with(&["[DEPEND]"])).take(FAILED_UNITS).collect()
}

/// A line of a console, not too long to be quoted.
pub(crate) fn short(line: &str) -> String {
    line.trim().chars().take(120).collect()
}

impl Condition {
    fn new(state: NodeState, reason: Option<String>) -> Self {
        Self { state, reason }
    }

    /// What a node does.
    pub fn of(domain: &Domain, evidence: &Evidence) -> Self {
        if !domain.active {
            return Self::new(NodeState::ShutOff, domain.failed.clone());
        }
        if domain.paused {
            return Self::new(NodeState::Paused, None);
        }
        if domain.recorded.guest.is_none() {
            return Self::new(NodeState::Running, None);
        }
        if let Some(why) = &domain.failed {
            return Self::new(NodeState::Failed, Some(why.clone()));
        }
        match evidence.ssh {
            Some(SshAnswer::Greeted) if domain.ready => Self::new(NodeState::Ready, None),
            Some(SshAnswer::Greeted) => {
                let reason = "SSH answers, and its first boot was not seen to end; `maquette up` waits for that";
                Self::new(NodeState::Booting, Some(reason.into()))
            }
            None if domain.ready => Self::new(NodeState::Running, None),
            None if domain.recorded.access.address.is_none() => Self::unknown(domain, evidence),
            None => Self::new(NodeState::Booting, None),
            Some(SshAnswer::Unknown) => {
                let state = if domain.ready { NodeState::Running } else { NodeState::Booting };
                let address = domain.recorded.access.address;
                Self::new(state, address.map(|a| SshAnswer::Unknown.reason(a)))
            }
            Some(answer) => Self::unanswered(domain, answer, evidence),
        }
    }

    /// Whether a node can be waited for: it runs and ought to answer, and nobody has pulled its cable.
    pub fn is_awaited(domain: &Domain, evidence: &Evidence) -> bool {
        let state = Self::of(domain, evidence).state;
        let may =
            matches!(state, NodeState::Starting | NodeState::Booting | NodeState::Unreachable);
        may && evidence.ssh != Some(SshAnswer::Unknown)
            && Self::pulled(domain).is_none()
            && !Self::may_have_moved(domain, evidence)
    }

    /// Whether a node that was up may answer elsewhere by now: its address is from its LAN, and nobody answers there. It
    /// says where it answers once, at its first boot, so that no waiting helps.
    pub fn may_have_moved(domain: &Domain, evidence: &Evidence) -> bool {
        let state = Self::of(domain, evidence).state;
        let unreachable = state == NodeState::Unreachable && Self::pulled(domain).is_none();
        unreachable && domain.ready && domain.recorded.is_leased()
    }

    /// What a node does that nobody can ask: it has not said yet which address it has from its LAN.
    fn unknown(domain: &Domain, evidence: &Evidence) -> Self {
        let why = Self::pulled(domain).unwrap_or_else(|| {
            let nic = domain.recorded.way_in().map(|nic| format!(" on {}", nic.network));
            format!("it has not said yet which address it has{}", nic.unwrap_or_default())
        });
        let is_late = evidence.uptime_s.is_some_and(|up| up >= FIRST_BOOT_S);
        let state = if is_late { NodeState::Unreachable } else { NodeState::Booting };
        Self::new(state, Some(why))
    }

    /// What a node does that does not answer.
    fn unanswered(domain: &Domain, answer: SshAnswer, evidence: &Evidence) -> Self {
        let uptime = evidence.uptime_s;
        let console = evidence.recent_console();
        if let Some((halt, said)) = console.and_then(|c| last_words(&c.text)) {
            let why = format!("{}; its console says: {said}", halt.meaning());
            return Self::new(NodeState::Failed, Some(why));
        }
        if let Some(why) = Self::pulled(domain) {
            return Self::new(NodeState::Unreachable, Some(why));
        }
        let address = domain.recorded.access.address;
        let why = address.map(|a| answer.reason(a));
        let limit = if domain.ready { START_S } else { FIRST_BOOT_S };
        let state = if domain.ready { NodeState::Starting } else { NodeState::Booting };
        let mute = evidence.console_read && console.is_none() && !domain.ready;
        match uptime {
            // Without how long that is: whoever watches is told of changes only.
            Some(up) if mute && up >= SILENT_CONSOLE_S => {
                let said = "nothing on its serial console since it started, and no answer: it boots slowly, or not at all";
                Self::new(NodeState::Unreachable, Some(said.into()))
            }
            Some(up) if up < limit => Self::new(state, why),
            // It was reset, or its guest started again, of which libvirt does not count the time.
            _ if domain.ready && console.is_some_and(is_booting) => {
                let again = "its console shows that it starts again";
                let why = why.map_or(again.into(), |why| format!("{why}; {again}"));
                Self::new(NodeState::Starting, Some(why))
            }
            _ if domain.ready && domain.recorded.is_leased() => {
                let moved = "it has that address from its LAN, and may have got another one since";
                Self::new(NodeState::Unreachable, why.map(|why| format!("{why}; {moved}")))
            }
            _ => Self::new(NodeState::Unreachable, why),
        }
    }

    /// That the NIC through which a node is reached has no carrier.
    fn pulled(domain: &Domain) -> Option<String> {
        let nic = domain.recorded.way_in().filter(|i| domain.pulled.contains(&i.mac))?;
        Some(format!("the cable of {} (network {}) is pulled", nic.name, nic.network))
    }
}

#[cfg(test)]
mod tests {
    use super::{Halt, failed_units, last_halt, last_words};

    #[test]
    fn only_what_a_guest_said_since_its_last_start_counts() {
        let panic = "[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
        let said = "Kernel panic - not syncing: VFS: Unable to mount root fs".to_string();
        assert_eq!(last_words(panic), Some((Halt::Panic, said)));
        assert_eq!(last_words(&format!("{panic}[ 0.0] Linux version 6.1\nlogin:")), None);
        assert_eq!(last_words("login: "), None);
        // What goes on after it is another boot, though its beginning says nothing.
        assert_eq!(last_halt(panic), Some(Halt::Panic));
        assert_eq!(last_halt(&format!("{panic}\nStarting systemd\n")), None);
        assert_eq!(last_halt("(initramfs) \n\n"), Some(Halt::NoRoot));
        assert_eq!(last_halt(""), None);
    }

    #[test]
    fn what_uefi_says_is_understood() {
        let failed = "BdsDxe: loading Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x3,0x0)\n\
            BdsDxe: failed to load Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x3,0x0): ";
        let nothing = "BdsDxe: No bootable option or device was found.\n\
            BdsDxe: Press any key to enter the Boot Manager Menu.\n";
        let halt = |text: &str| last_words(text).map(|(halt, _)| halt);
        let (lost, refused) =
            (format!("{failed}Not Found\n{nothing}"), format!("{failed}Access Denied\n{nothing}"));
        assert_eq!(halt(&lost), Some(Halt::NothingToBoot));
        assert_eq!(last_halt(&lost), Some(Halt::NothingToBoot));
        assert_eq!(halt(&refused), Some(Halt::NotSigned));
        assert_eq!(
            last_halt("UEFI Interactive Shell v2.2\nPress ESC\nShell> "),
            Some(Halt::NothingToBoot)
        );
        // What comes after a start is of that start, though a kernel may say nothing.
        let starts = "BdsDxe: loading Boot0002 \"debian\" from HD(1)\nBdsDxe: starting Boot0002 \"debian\" from HD(1)\n";
        let panic = "[ 1.2] Kernel panic - not syncing: x\n";
        assert_eq!(halt(&format!("{refused}{starts}")), None);
        assert_eq!(halt(&format!("{starts}{panic}{starts}")), None);
        assert_eq!(halt(&format!("{starts}{panic}")), Some(Halt::Panic));
        assert_eq!(halt(&format!("{starts}{panic}{lost}")), Some(Halt::NothingToBoot));
        // One that the firmware does not trust, and then another.
        let both = format!(
            "{failed}Access Denied\nBdsDxe: loading Boot0002 x\nBdsDxe: failed to load Boot0002 x: Not Found\n{nothing}"
        );
        assert_eq!(halt(&both), Some(Halt::NotSigned));
    }

    #[test]
    fn what_systemd_could_not_start_is_found_causes_first() {
        let text = "[FAILED] Failed to start old.\n[ 0.0] Linux version 6.1\n\
            [DEPEND] Dependency failed for Network.\n x [ TIME ] Timed out waiting for device sda.\n\
            [FAILED] Failed to start network.\n[  OK  ] Started a.\n[FAILED] c\n";
        let said = failed_units(text);
        assert_eq!(said.len(), 3);
        assert_eq!(said[0], "[ TIME ] Timed out waiting for device sda.");
        assert_eq!(said[1], "[FAILED] Failed to start network.");
        assert!(failed_units("[  OK  ] Started a.").is_empty());
        assert_eq!(failed_units("[DEPEND] a")[0], "[DEPEND] a");
    }
}
