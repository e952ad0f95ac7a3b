//! `--virtopts`: virt-install's options that change a domain's definition in ways that no key of a node file does.
//! The commonest are understood; those that say what is so anyway ask for nothing; all others are for virtinst's own
//! `virt-xml`, which the hypervisor is given. What keys and settings decide is refused with their names.
//!
//! Source: virt-install(1). Each option takes `key=value` pairs between commas; the first may be a bare
//! value, which stands for the option's main key.

use std::fmt;
use std::str::FromStr;

use crate::values::MachineName;

/// Options as they were given, taken apart once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtOpts {
    text: String,
    options: Vec<VirtOpt>,
}

impl VirtOpts {
    /// Each of them, in the order that they were given in.
    pub fn iter(&self) -> std::slice::Iter<'_, VirtOpt> {
        self.options.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.options.is_empty()
    }

    /// CPU mode or model, if one is among them.
    pub fn cpu(&self) -> Option<&MachineName> {
        self.iter().find_map(|o| if let VirtOpt::Cpu(model) = o { Some(model) } else { None })
    }

    /// Machine type, if one is among them.
    pub fn machine(&self) -> Option<&MachineName> {
        self.iter().find_map(|o| if let VirtOpt::Machine(name) = o { Some(name) } else { None })
    }
}

impl FromStr for VirtOpts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let options = parse(text)?;
        // Spaces alone say nothing.
        let text = if options.is_empty() { String::new() } else { text.into() };
        Ok(Self { text, options })
    }
}

impl fmt::Display for VirtOpts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One option, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VirtOpt {
    /// `--cpu`: mode or model.
    Cpu(MachineName),
    /// `--machine`: machine type.
    Machine(MachineName),
    /// `--boot`: devices in order, and whether there is a menu.
    Boot {
        /// `hd`, `network`, `cdrom`; empty leaves the order as it is.
        order: Vec<String>,
        /// Whether the firmware offers a menu.
        menu: Option<bool>,
    },
    /// `--watchdog`: model and action.
    Watchdog(String, String),
    /// `--tpm`: model and version of an emulated TPM.
    Tpm(String, String),
    /// `--memballoon`: model, or `none`.
    Balloon(String),
    /// `--memorybacking`: elements below `memoryBacking`.
    Memory(Vec<String>),
    /// `--sound`: model.
    Sound(String),
    /// `--video`: model.
    Video(String),
    /// `--features`: name and state.
    Feature(String, bool),
    /// `--qemu-commandline`: arguments for QEMU itself.
    Qemu(Vec<String>),
    /// `--iothreads`: how many threads for disks, which older versions of `virt-xml` cannot add.
    IoThreads(u32),
    /// What `virt-xml` makes of an option.
    Edit {
        /// What it does with the option's part of a definition: changes it, or adds one.
        how: Edit,
        /// The option, with its dashes.
        name: String,
        /// Its value.
        value: String,
    },
}

/// What `virt-xml` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It changes what is there, or what there is one of.
    Change,
    /// It adds a device.
    Add,
}

/// Options that a definition has one part of; `virt-xml` changes it.
const CHANGED: &[&str] = &[
    "--blkiotune",
    "--boot",
    "--clock",
    "--cpu",
    "--cputune",
    "--events",
    "--features",
    "--idmap",
    "--iothreads",
    "--keywrap",
    "--launchSecurity",
    "--memorybacking",
    "--memtune",
    "--numatune",
    "--pm",
    "--resource",
    "--rng",
    "--sysinfo",
    "--vcpus",
    "--video",
    "--xml",
];

/// Options that are devices besides those that a node has.
const ADDED: &[&str] = &[
    "--channel",
    "--controller",
    "--filesystem",
    "--hostdev",
    "--input",
    "--iommu",
    "--memballoon",
    "--memdev",
    "--panic",
    "--parallel",
    "--redirdev",
    "--seclabel",
    "--serial",
    "--shmem",
    "--smartcard",
    "--sound",
    "--tpm",
    "--vsock",
    "--watchdog",
];

/// Options that keys and settings decide, and which.
const DECIDED: &[(&str, &str)] = &[
    ("--arch", "nodes are x86_64"),
    ("--cdrom", "`--image-url` says what nodes are made from"),
    ("--cloud-init", "`user_data` of a node type does that"),
    ("--connect", "`--host-address` says where nodes are"),
    ("--disk", "`disks` of a node type says which there are"),
    ("--graphics", "nodes have VNC; `--vnc-external` has it listen on all addresses"),
    ("--install", "`--image-url` says what nodes are made from"),
    ("--location", "`--image-url` says what nodes are made from"),
    ("--memory", "`memory` of a node type says how much"),
    ("--metadata", "it has Maquette's records"),
    ("--name", "`name` of a node type says what nodes are called"),
    ("--network", "`networks` of a node type says which there are"),
    ("--nodisks", "`disks` of a node type says which there are"),
    ("--nonetworks", "`networks` of a node type says which there are"),
    ("--pxe", "`boot: [network, hd]` of a node type does that"),
    ("--ram", "`memory` of a node type says how much"),
    ("--uuid", "a node's UUID follows from its name"),
    ("--virt-type", "`--virt-type` of Maquette's own does that"),
];

/// What nodes are like anyway: options, and how their values begin. Those without a value take none.
const SO_ANYWAY: &[(&str, &[&str])] = &[
    ("--autostart", &[]),
    (
        "--channel",
        &[
            "unix,target_type=virtio,name=org.qemu.guest_agent.0",
            "unix,target.type=virtio,target.name=org.qemu.guest_agent.0",
            "unix,target.type=virtio,name=org.qemu.guest_agent.0",
            "unix,mode=bind,target_type=virtio,name=org.qemu.guest_agent.0",
        ],
    ),
    ("--check", &[""]),
    ("--console", &["pty"]),
    ("--graphics", &["vnc"]),
    ("--hvm", &[]),
    ("--import", &[]),
    ("--noautoconsole", &[]),
    ("--noreboot", &[]),
    ("--os-type", &[""]),
    ("--os-variant", &[""]),
    ("--osinfo", &[""]),
    ("--quiet", &[]),
    ("--rng", &["/dev/urandom"]),
    ("--serial", &["pty"]),
    ("--wait", &[""]),
];

/// Options of virt-install without a value.
const FLAGS: &[&str] = &["--nodisks", "--nonetworks", "--pxe"];

/// Whether a node is like that without being told so.
fn is_so_anyway(name: &str, value: &str) -> bool {
    let begins = |begin: &&str| {
        begin.is_empty() || value == *begin || value.starts_with(&format!("{begin},"))
    };
    // A screen that somebody else can see is another matter.
    let plain = name != "--graphics"
        || !value
            .split(',')
            .any(|part| part.starts_with("listen=") || part.starts_with("password"));
    SO_ANYWAY.iter().any(|(known, values)| {
        *known == name && plain && (values.is_empty() || values.iter().any(begins))
    })
}

fn is_flag(name: &str) -> bool {
    FLAGS.contains(&name)
        || SO_ANYWAY.iter().any(|(known, values)| *known == name && values.is_empty())
}

/// Takes the text apart.
fn parse(text: &str) -> Result<Vec<VirtOpt>, String> {
    let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
    let mut words = words.into_iter();
    let mut all = Vec::new();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_string(), value.to_string()),
            _ if is_flag(&word) => (word, String::new()),
            _ => {
                let value = words.next().ok_or_else(|| format!("`{word}` lacks a value"))?;
                (word, value)
            }
        };
        if !is_so_anyway(&name, &value) {
            all.push(option(&name, &value)?);
        }
    }
    Ok(all)
}

/// An option that is for `virt-xml`.
fn edit(name: &str, value: &str) -> Result<VirtOpt, String> {
    if let Some((_, who)) = DECIDED.iter().find(|(known, _)| *known == name) {
        return Err(format!("virt-install's option `{name}` is not for --virtopts: {who}"));
    }
    // A number would contradict the node type's; its parts, such as sockets, are another matter.
    if name == "--vcpus" && value.split(',').next().is_some_and(|first| !first.contains('=')) {
        return Err("`--vcpus` with a number is not for --virtopts: `cpu` of a node type says how many; `--vcpus sockets=…,cores=…` is".into());
    }
    let how = match (CHANGED.contains(&name), ADDED.contains(&name)) {
        (true, _) => Edit::Change,
        (false, true) => Edit::Add,
        (false, false) => {
            let known = CHANGED.iter().chain(ADDED).copied();
            let meant = nearest(name, known).map(|near| format!("; did you mean `{near}`?"));
            return Err(format!(
                "virt-install has no option `{name}`{}",
                meant.unwrap_or_default()
            ));
        }
    };
    if value.chars().any(char::is_control) {
        return Err(format!("the value of `{name}` is not one line of text"));
    }
    Ok(VirtOpt::Edit { how, name: name.into(), value: value.into() })
}

/// The name that one is most like.
fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    all.map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(far, _)| *far <= 2)
        .min()
        .map(|(_, known)| known)
}

/// `main` is the key that a bare first value stands for.
fn pairs<'a>(value: &'a str, main: &'a str) -> Vec<(&'a str, &'a str)> {
    let parts = value.split(',').filter(|p| !p.is_empty()).enumerate();
    parts
        .map(|(i, part)| match part.split_once('=') {
            Some(pair) => pair,
            None if i == 0 => (main, part),
            None => (part, "yes"),
        })
        .collect()
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "1" | "true" => Some(true),
        "off" | "no" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// Words that end up as names in XML or as libvirt's models.
fn word(name: &str, text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_string()),
        false => Err(format!("`{text}` is not a valid value of {name}")),
    }
}

/// An option: its name, and its value taken apart.
struct Given<'a> {
    name: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl Given<'_> {
    fn unknown(&self, what: &str) -> String {
        format!("`{what}` of {} is not understood", self.name)
    }

    /// A model and what belongs to it: an action or a version, empty if there is none.
    fn model(&self, default: &str) -> Result<(String, String), String> {
        let (mut model, mut extra) = (default.to_string(), String::new());
        for (key, value) in &self.pairs {
            match *key {
                "model" | "mode" | "type" => model = word(self.name, value)?,
                "action" | "backend.version" | "version" => extra = word(self.name, value)?,
                "backend.type" if *value == "emulator" => {}
                other => return Err(self.unknown(other)),
            }
        }
        Ok((model, extra))
    }

    /// A model, and nothing else.
    fn alone(&self) -> Result<String, String> {
        let (model, extra) = self.model("")?;
        match model.is_empty() || !extra.is_empty() {
            true => Err(format!("{} takes a single word", self.name)),
            false => Ok(model),
        }
    }

    /// A name of libvirt's or QEMU's.
    fn machine_name(&self, text: &str) -> Result<MachineName, String> {
        text.parse().map_err(|e| format!("{}: {e}", self.name))
    }

    fn cpu(&self) -> Result<VirtOpt, String> {
        match self.alone()?.as_str() {
            "host" => Ok(VirtOpt::Cpu(MachineName::known("host-passthrough"))),
            other => Ok(VirtOpt::Cpu(self.machine_name(other)?)),
        }
    }

    fn watchdog(&self) -> Result<VirtOpt, String> {
        let (model, action) = self.model("i6300esb")?;
        let model = if model == "default" { "i6300esb".into() } else { model };
        let action = if action.is_empty() { "reset".into() } else { action };
        Ok(VirtOpt::Watchdog(model, action))
    }

    fn tpm(&self) -> Result<VirtOpt, String> {
        let (model, version) = self.model("tpm-crb")?;
        let usual = matches!(model.as_str(), "default" | "emulator");
        let model = if usual { "tpm-crb".into() } else { model };
        Ok(VirtOpt::Tpm(model, if version.is_empty() { "2.0".into() } else { version }))
    }

    fn boot(&self) -> Result<VirtOpt, String> {
        let (mut order, mut menu) = (Vec::new(), None);
        for (key, value) in &self.pairs {
            match *key {
                "order" => order.push((*value).to_string()),
                "menu" => menu = truth(value),
                device @ ("hd" | "network" | "cdrom") => order.push(device.into()),
                other => return Err(self.unknown(other)),
            }
        }
        match order.iter().find(|d| !matches!(d.as_str(), "hd" | "network" | "cdrom")) {
            Some(other) => Err(self.unknown(other)),
            None => Ok(VirtOpt::Boot { order, menu }),
        }
    }

    fn memory(&self) -> Result<VirtOpt, String> {
        let on = self.pairs.iter().filter(|(_, value)| truth(value) == Some(true));
        let names = on.map(|(key, _)| match *key {
            "hugepages" | "locked" | "nosharepages" => Ok((*key).to_string()),
            other => Err(self.unknown(other)),
        });
        Ok(VirtOpt::Memory(names.collect::<Result<_, _>>()?))
    }

    fn feature(&self, value: &str) -> Result<VirtOpt, String> {
        const KNOWN: [&str; 6] = ["smm", "pmu", "vmport", "pae", "apic", "acpi"];
        if let [(key, state)] = self.pairs.as_slice()
            && let (key, Some(on)) = (key.strip_suffix(".state").unwrap_or(key), truth(state))
            && KNOWN.contains(&key)
        {
            return Ok(VirtOpt::Feature(key.into(), on));
        }
        Err(self.unknown(value))
    }
}

fn option(name: &str, value: &str) -> Result<VirtOpt, String> {
    // Its value is a line of arguments, commas included.
    if name == "--qemu-commandline" {
        let words = shlex::split(value).ok_or("a quotation mark is not closed")?;
        return Ok(VirtOpt::Qemu(words));
    }
    let main = match name {
        "--boot" => "order",
        "--memorybacking" | "--features" => "",
        _ => "model",
    };
    let given = Given { name, pairs: pairs(value, main) };
    let understood = match name {
        "--cpu" => given.cpu(),
        "--machine" => return Ok(VirtOpt::Machine(given.machine_name(&given.alone()?)?)),
        "--sound" => given.alone().map(VirtOpt::Sound),
        "--video" => given.alone().map(VirtOpt::Video),
        "--memballoon" => given.alone().map(VirtOpt::Balloon),
        "--watchdog" => given.watchdog(),
        "--tpm" => given.tpm(),
        "--boot" => given.boot(),
        "--memorybacking" => given.memory(),
        "--features" => given.feature(value),
        "--iothreads" => value.parse().map(VirtOpt::IoThreads).map_err(|_| given.unknown(value)),
        _ => return edit(name, value),
    };
    // What of them is not understood here is for virt-xml, which knows them all.
    understood.or_else(|_| edit(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_in_both_spellings() {
        let text = "--cpu host --machine=q35 --watchdog i6300esb,action=poweroff --tpm emulator \
                    --boot hd,network,menu=on --memorybacking hugepages=on,locked=off \
                    --features smm.state=on --memballoon model=none --sound ich9 --video virtio \
                    --qemu-commandline='-device edu' --iothreads 2";
        let expected = vec![
            VirtOpt::Cpu(MachineName::known("host-passthrough")),
            VirtOpt::Machine(MachineName::known("q35")),
            VirtOpt::Watchdog("i6300esb".into(), "poweroff".into()),
            VirtOpt::Tpm("tpm-crb".into(), "2.0".into()),
            VirtOpt::Boot { order: vec!["hd".into(), "network".into()], menu: Some(true) },
            VirtOpt::Memory(vec!["hugepages".into()]),
            VirtOpt::Feature("smm".into(), true),
            VirtOpt::Balloon("none".into()),
            VirtOpt::Sound("ich9".into()),
            VirtOpt::Video("virtio".into()),
            VirtOpt::Qemu(vec!["-device".into(), "edu".into()]),
            VirtOpt::IoThreads(2),
        ];
        assert_eq!(parse(text).unwrap(), expected);
        let given: VirtOpts = text.parse().unwrap();
        assert_eq!(given.to_string(), text);
        assert_eq!(given.cpu(), Some(&MachineName::known("host-passthrough")));
        assert_eq!(given.machine(), Some(&MachineName::known("q35")));
        for nothing in ["", "  "] {
            assert_eq!(nothing.parse(), Ok(VirtOpts::default()));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (text, said) in [
            ("--cpu", "`--cpu` lacks a value"),
            ("--cpu 'a", "not closed"),
            ("--machine 'a b'", "not a valid value of --machine"),
            ("--disk size=4", "`disks` of a node type says which there are"),
            ("--network bridge=br0", "`networks` of a node type"),
            ("--memory 4096", "`memory` of a node type"),
            ("--vcpus 4,sockets=2", "`cpu` of a node type"),
            ("--graphics vnc,listen=0.0.0.0", "`--vnc-external`"),
            ("--pxe", "`boot: [network, hd]`"),
            (
                "--hostdevs 1:2",
                "virt-install has no option `--hostdevs`; did you mean `--hostdev`?",
            ),
            ("--frobnicate x", "virt-install has no option `--frobnicate`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_so_anyway_asks_for_nothing() {
        for text in [
            "--console pty",
            "--console pty,target_type=serial",
            "--graphics vnc",
            "--rng /dev/urandom",
            "--noautoconsole --hvm --import --autostart",
            "--channel unix,target_type=virtio,name=org.qemu.guest_agent.0",
            "--os-variant rhel7.0 --serial pty",
            "--check all=off --wait=-1",
        ] {
            assert_eq!(parse(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_here_is_for_virt_xml() {
        for (text, how, name, value) in [
            ("--hostdev 1:2", Edit::Add, "--hostdev", "1:2"),
            ("--cpu host,-svm", Edit::Change, "--cpu", "host,-svm"),
            ("--cpu Haswell,+vmx", Edit::Change, "--cpu", "Haswell,+vmx"),
            ("--boot uefi", Edit::Change, "--boot", "uefi"),
            ("--rng /dev/random", Edit::Change, "--rng", "/dev/random"),
            ("--vcpus sockets=2,cores=2", Edit::Change, "--vcpus", "sockets=2,cores=2"),
            ("--controller=usb,model=qemu-xhci", Edit::Add, "--controller", "usb,model=qemu-xhci"),
            ("--iothreads iothreads=2", Edit::Change, "--iothreads", "iothreads=2"),
            ("--numatune 0", Edit::Change, "--numatune", "0"),
            ("--features kvm_hidden=on", Edit::Change, "--features", "kvm_hidden=on"),
            (
                "--watchdog model=ib700,alias.name=x",
                Edit::Add,
                "--watchdog",
                "model=ib700,alias.name=x",
            ),
        ] {
            let expected = VirtOpt::Edit { how, name: name.into(), value: value.into() };
            assert_eq!(parse(text), Ok(vec![expected]), "{text}");
        }
    }
}
