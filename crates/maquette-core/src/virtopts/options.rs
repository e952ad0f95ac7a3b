//! Every option of virt-install, and what becomes of it.
//!
//! Source: virt-install(1) of virt-manager 5, with the older names that it still takes.

use super::Edit;
use Takes::{Nothing, Value};

/// Whether an option has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// It needs one.
    Value,
    /// It may have one.
    Perhaps,
    /// It has none.
    Nothing,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionUse {
    /// `virt-xml` does it, unless its value is among those that Maquette understands.
    Done(Edit),
    /// It is another option with this before its value.
    Stands(&'static str, &'static str),
    /// The operating system that is in the guest.
    System,
    /// It is about how virt-install itself runs, which nobody runs here.
    Run,
    /// It is refused, since something else decides it.
    Decided(&'static str),
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Its name, with dashes.
    pub(super) name: &'static str,
    /// Other names.
    aliases: &'static [&'static str],
    /// Whether it has a value.
    pub(super) takes: Takes,
    /// What becomes of it.
    pub(super) purpose: OptionUse,
}

impl Row {
    const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn perhaps(self) -> Self {
        Self { takes: Takes::Perhaps, ..self }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

const fn row(name: &'static str, takes: Takes, purpose: OptionUse) -> Row {
    Row { name, aliases: &[], takes, purpose }
}

const fn changed(name: &'static str) -> Row {
    row(name, Value, OptionUse::Done(Edit::Change))
}

const fn added(name: &'static str) -> Row {
    row(name, Value, OptionUse::Done(Edit::Add))
}

const fn decided(name: &'static str, why: &'static str) -> Row {
    row(name, Value, OptionUse::Decided(why))
}

const fn never(name: &'static str, why: &'static str) -> Row {
    row(name, Nothing, OptionUse::Decided(why))
}

const fn stands(name: &'static str, takes: Takes, of: &'static str, value: &'static str) -> Row {
    row(name, takes, OptionUse::Stands(of, value))
}

const fn run(name: &'static str, takes: Takes) -> Row {
    row(name, takes, OptionUse::Run)
}

const DISKS: &str = "`disks` of a node type says which there are";
const NETWORKS: &str = "`networks` of a node type says which there are";
const IMAGE: &str = "`--image-url` says what nodes are made from";
const MEMORY: &str = "`memory` of a node type says how much";
const CONTAINERS: &str = "it is for containers, and nodes are virtual machines";
const HVM: &str = "nodes are fully virtualised";
const PLAN: &str = "`maquette plan` shows what would be built";
const LASTING: &str = "nodes last until they are removed";

/// All of them.
pub(super) const OPTIONS: &[Row] = &[
    // Those that have a part of a definition.
    changed("--blkiotune"),
    changed("--boot"),
    changed("--clock"),
    changed("--cpu"),
    changed("--cputune"),
    changed("--events"),
    changed("--features"),
    changed("--graphics"),
    changed("--iothreads"),
    changed("--keywrap"),
    changed("--launchSecurity").also(&["--launchsecurity"]),
    changed("--machine"),
    changed("--memorybacking"),
    changed("--memtune"),
    changed("--metadata"),
    changed("--numatune"),
    changed("--pm"),
    changed("--qemu-commandline"),
    changed("--resource"),
    changed("--rng"),
    changed("--sysinfo"),
    changed("--vcpus"),
    changed("--video"),
    changed("--xml"),
    // Those that are devices.
    added("--audio"),
    added("--channel"),
    added("--console"),
    added("--controller"),
    added("--filesystem"),
    added("--hostdev").also(&["--host-device"]),
    added("--input"),
    added("--iommu"),
    added("--memballoon"),
    added("--memdev"),
    added("--panic"),
    added("--parallel"),
    added("--pstore"),
    added("--redirdev"),
    added("--seclabel").also(&["--security"]),
    added("--serial"),
    added("--shmem"),
    added("--smartcard"),
    added("--sound").also(&["--soundhw"]).perhaps(),
    added("--tpm"),
    added("--vsock"),
    added("--watchdog"),
    row("--osinfo", Value, OptionUse::System).also(&["--os-variant"]),
    // Those that stand for others.
    stands("--cpuset", Value, "--vcpus", "cpuset="),
    stands("--description", Value, "--metadata", "description="),
    stands("--keymap", Value, "--graphics", "vnc,keymap=").also(&["-k"]),
    stands("--noacpi", Nothing, "--features", "acpi=off"),
    stands("--noapic", Nothing, "--features", "apic=off"),
    stands("--nographics", Nothing, "--graphics", "none"),
    stands("--sdl", Nothing, "--graphics", "sdl"),
    stands("--vnc", Nothing, "--graphics", "vnc"),
    stands("--vnclisten", Value, "--graphics", "vnc,listen="),
    stands("--vncport", Value, "--graphics", "vnc,port="),
    // What virt-install does besides a definition. Nodes start with the hypervisor, run with KVM where it has it and are
    // made of images, so some of these are so anyway.
    run("--accelerate", Nothing),
    run("--autostart", Nothing),
    run("--check", Value),
    run("--check-cpu", Nothing),
    run("--debug", Nothing).also(&["-d"]),
    run("--force", Nothing),
    run("--hvm", Nothing).also(&["-v"]),
    run("--import", Nothing),
    run("--noautoconsole", Nothing),
    run("--noreboot", Nothing),
    run("--os-type", Value),
    run("--prompt", Nothing),
    run("--quiet", Nothing).also(&["-q"]),
    run("--wait", Value).perhaps(),
    // What keys and settings decide.
    decided("--arch", "nodes are x86_64"),
    decided("--autoconsole", "`maquette console` opens a node's console"),
    decided("--bridge", NETWORKS).also(&["-b"]),
    decided("--cdrom", IMAGE).also(&["-c"]),
    decided("--cloud-init", "`user_data` of a node type does that").perhaps(),
    decided("--connect", "`--host-address` says where nodes are"),
    never("--container", CONTAINERS),
    never("--destroy-on-exit", LASTING),
    decided("--disk", DISKS),
    never("--dry-run", PLAN),
    decided("--extra-args", IMAGE).also(&["-x"]),
    decided("--file", DISKS).also(&["-f"]),
    decided("--file-size", DISKS).also(&["-s"]),
    never("--help", "virt-install(1) describes its options").also(&["-h"]),
    decided("--idmap", CONTAINERS),
    decided("--init", CONTAINERS),
    decided("--initrd-inject", IMAGE),
    decided("--install", IMAGE),
    never("--livecd", IMAGE),
    decided("--location", IMAGE).also(&["-l"]),
    decided("--mac", NETWORKS).also(&["-m"]),
    decided("--memory", MEMORY),
    decided("--name", "`name` of a node type says what nodes are called").also(&["-n"]),
    decided("--network", NETWORKS).also(&["-w"]),
    never("--nodisks", DISKS),
    never("--nonetworks", NETWORKS),
    never("--nonsparse", DISKS),
    never("--paravirt", HVM).also(&["-p"]),
    decided("--print-step", PLAN),
    decided("--print-xml", PLAN).perhaps(),
    never("--pxe", "`boot: [network, hd]` of a node type does that"),
    decided("--ram", MEMORY).also(&["-r"]),
    decided("--reinstall", IMAGE),
    decided("--test-media-detection", IMAGE),
    never("--test-stub-command", PLAN),
    never("--transient", LASTING),
    decided("--unattended", IMAGE).perhaps(),
    decided("--uuid", "a node's UUID follows from its name").also(&["-u"]),
    never("--version", "`maquette --version` shows Maquette's own"),
    decided("--virt-type", "`--virt-type` of Maquette's own does that"),
];

/// The option of a name, which may be cut short as long as only one begins so.
pub(super) fn find(name: &str) -> Result<&'static Row, String> {
    if let Some(row) = OPTIONS.iter().find(|row| row.names().any(|n| n == name)) {
        return Ok(row);
    }
    let begun = |row: &&Row| name.len() > 2 && row.names().any(|n| n.starts_with(name));
    let found: Vec<&'static Row> = OPTIONS.iter().filter(begun).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let meant = nearest(name).map(|near| format!("; did you mean `{near}`?"));
            Err(format!("virt-install has no option `{name}`{}", meant.unwrap_or_default()))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|row| row.name).collect();
            Err(format!("`{name}` may be any of virt-install's options {}", names.join(", ")))
        }
    }
}

/// The name that one is most like.
fn nearest(name: &str) -> Option<&'static str> {
    let long = OPTIONS.iter().flat_map(Row::names).filter(|known| known.len() > 2);
    long.map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(far, _)| *far <= 2)
        .min()
        .map(|(_, known)| known)
}

/// A value of an option that says what nodes are like anyway: each group has a part of the value, and nothing is left but
/// what is optional.
struct Usual {
    option: &'static str,
    needed: &'static [&'static [&'static str]],
    optional: &'static [&'static str],
}

const AGENT: &[&str] = &["name=org.qemu.guest_agent.0", "target.name=org.qemu.guest_agent.0"];

const USUAL: &[Usual] = &[
    Usual { option: "--arch", needed: &[&["x86_64"]], optional: &[] },
    Usual { option: "--autoconsole", needed: &[&["none"]], optional: &[] },
    Usual {
        option: "--channel",
        needed: &[
            &["unix", "char_type=unix", "type=unix"],
            &["target_type=virtio", "target.type=virtio"],
            AGENT,
        ],
        optional: &["mode=bind", "source.mode=bind"],
    },
    Usual { option: "--connect", needed: &[&["qemu:///system"]], optional: &[] },
    Usual {
        option: "--console",
        needed: &[&["pty", "char_type=pty", "type=pty"]],
        optional: &["target_type=serial", "target.type=serial"],
    },
    Usual { option: "--graphics", needed: &[&["vnc", "type=vnc"]], optional: &[] },
    Usual { option: "--install", needed: &[&["no_install=yes"]], optional: &[] },
    Usual {
        option: "--rng",
        needed: &[&["/dev/urandom", "device=/dev/urandom", "backend=/dev/urandom"]],
        optional: &["type=random", "backend.model=random", "model=virtio"],
    },
    Usual {
        option: "--serial",
        needed: &[&["pty", "char_type=pty", "type=pty"]],
        optional: &["target_type=isa-serial", "target.type=isa-serial"],
    },
];

/// Devices that nodes do not have: `none` of them asks for nothing.
const WITHOUT: &[&str] = &[
    "--audio",
    "--filesystem",
    "--hostdev",
    "--iommu",
    "--memdev",
    "--panic",
    "--parallel",
    "--pstore",
    "--redirdev",
    "--shmem",
    "--smartcard",
    "--sound",
    "--tpm",
    "--vsock",
    "--watchdog",
];

/// Whether a node is like that without being told so.
pub(super) fn is_so_anyway(name: &str, value: &str) -> bool {
    if value == "none" && WITHOUT.contains(&name) {
        return true;
    }
    let parts: Vec<&str> = value.split(',').collect();
    USUAL.iter().filter(|usual| usual.option == name).any(|usual| {
        let is_needed = |part: &str| usual.needed.iter().any(|group| group.contains(&part));
        usual.needed.iter().all(|group| parts.iter().any(|part| group.contains(part)))
            && parts.iter().all(|part| is_needed(part) || usual.optional.contains(part))
    })
}

/// Devices of a node that `none` takes away.
pub(super) const REMOVABLE: &[&str] = &["--input", "--rng"];

/// Devices that a node cannot do without, and why.
pub(super) const KEPT: &[(&str, &str)] = &[
    ("--channel", "the guest says by one that it is ready"),
    ("--console", "`maquette console` reads it"),
    ("--controller", "disks have theirs; `--controller usb,model=none` leaves USB out"),
    ("--graphics", "the live view shows its screen"),
    ("--serial", "`maquette console` reads it"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once_and_stands_for_one_that_is_there() {
        let mut names: Vec<&str> = OPTIONS.iter().flat_map(Row::names).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for row in OPTIONS {
            if let OptionUse::Stands(of, _) = row.purpose {
                assert!(matches!(find(of).unwrap().purpose, OptionUse::Done(_)), "{}", row.name);
            }
        }
        let others = USUAL.iter().map(|usual| usual.option).chain(WITHOUT.iter().copied());
        for name in others.chain(REMOVABLE.iter().copied()).chain(KEPT.iter().map(|(n, _)| *n)) {
            assert_eq!(find(name).unwrap().name, name);
        }
    }
}
