//! `--virtopts`: virt-install's options that change a domain's definition in ways that no key of a node file does.
//! The commonest are understood; those that say what is so anyway ask for nothing; all others are for virtinst's own
//! `virt-xml`, which the hypervisor is given. What keys and settings decide is refused with their names.
//!
//! Source: virt-install(1). Each option takes `key=value` pairs between commas; the first may be a bare
//! value, which stands for the option's main key.

mod firmware;
mod models;
mod options;
mod secrets;

use std::fmt;
use std::str::FromStr;

use crate::hardware::OsVariant;
use crate::values::MachineName;
use options::{OptionUse, Row, Takes};

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

    /// CPU mode or model, if one is among them; the last, as with virt-install.
    pub fn cpu(&self) -> Option<&MachineName> {
        self.iter().rev().find_map(|o| if let VirtOpt::Cpu(model) = o { Some(model) } else { None })
    }

    /// Machine type, if one is among them; the last, as with virt-install.
    pub fn machine(&self) -> Option<&MachineName> {
        self.iter().rev().find_map(|o| match o {
            VirtOpt::Machine(name) => Some(name),
            _ => None,
        })
    }

    /// The operating system in guests, if it is among them, which has the models of their NICs follow it.
    pub fn system(&self) -> Option<&OsVariant> {
        self.iter().rev().find_map(|o| match o {
            VirtOpt::System(system) => Some(system),
            _ => None,
        })
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
    /// `--osinfo`, or `--os-variant`: the operating system in the guest.
    System(OsVariant),
    /// `--cpu`: mode or model.
    Cpu(MachineName),
    /// `--machine`: machine type.
    Machine(MachineName),
    /// `--boot`: devices in order, and whether there is a menu.
    Boot {
        /// `hd`, `network`, `cdrom`; empty leaves the order as it is.
        order: Vec<String>,
        /// Whether the firmware offers a menu; none leaves that as it is.
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
        /// Its value, as virt-install takes it.
        value: String,
    },
}

impl VirtOpt {
    /// Whether it is one for the device of an option.
    fn is_for(&self, option: &str) -> bool {
        match self {
            Self::Edit { name, .. } => name == option,
            Self::Video(_) => option == "--video",
            _ => false,
        }
    }
}

/// What `virt-xml` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It changes what is there, or what there is one of.
    Change,
    /// It adds a device.
    Add,
    /// It takes devices away.
    Remove,
}

/// Takes the text apart.
fn parse(text: &str) -> Result<Vec<VirtOpt>, String> {
    let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
    let mut words = words.into_iter().peekable();
    let mut all = Vec::new();
    while let Some(word) = words.next() {
        let (name, value) = named(&word);
        let row = options::find(name)?;
        // As with virt-install, what begins with a dash is the next option, unless it is a number.
        let next = words.next_if(|next| {
            let takes = value.is_none() && row.takes != Takes::Nothing;
            takes && (!next.starts_with('-') || next.parse::<i64>().is_ok())
        });
        let value = match (value.map(String::from).or(next), row.takes) {
            (Some(value), Takes::Value | Takes::Perhaps) => Some(value),
            (None, Takes::Perhaps | Takes::Nothing) => None,
            (None, Takes::Value) => return Err(format!("`{name}` lacks a value")),
            (Some(_), Takes::Nothing) => return Err(format!("`{name}` takes no value")),
        };
        if let Some(option) = taken(row, value, &all)? {
            models::join(&mut all, option);
        }
    }
    Ok(all)
}

/// An option's name, and its value where that is part of the same word.
fn named(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    }
    match word.strip_prefix('-').and_then(|rest| rest.chars().next()) {
        Some(letter) if word.len() > 1 + letter.len_utf8() => {
            let (name, value) = word.split_at(1 + letter.len_utf8());
            (name, Some(value.strip_prefix('=').unwrap_or(value)))
        }
        _ => (word, None),
    }
}

/// What an option asks for; nothing if that is so anyway. `before` is what others have asked for.
fn taken(row: &Row, value: Option<String>, before: &[VirtOpt]) -> Result<Option<VirtOpt>, String> {
    let given = value.unwrap_or_default();
    let (name, value, how) = match row.purpose {
        OptionUse::Stands(of, begin) => {
            return taken(options::find(of)?, Some(format!("{begin}{given}")), before);
        }
        OptionUse::Run => return Ok(None),
        OptionUse::System => return system(&given),
        // All guests have one of virtinst's own choice then.
        OptionUse::Done(how) if given.is_empty() && row.takes == Takes::Perhaps => {
            (row.name, "default".to_string(), Some(how))
        }
        OptionUse::Done(how) => (row.name, given, Some(how)),
        OptionUse::Decided(_) => (row.name, given, None),
    };
    if options::is_so_anyway(name, &value) {
        return Ok(None);
    }
    match (row.purpose, how) {
        (OptionUse::Decided(why), _) => Err(not_for(name, why)),
        (_, Some(how)) => option(name, &value, how, before).map(Some),
        _ => Ok(None),
    }
}

fn not_for(name: &str, why: &str) -> String {
    format!("virt-install's option `{name}` is not for --virtopts: {why}")
}

/// The operating system in the guest: libosinfo's name, among words about how virt-install finds it out.
fn system(value: &str) -> Result<Option<VirtOpt>, String> {
    let (mut named, words) = (None, value.split(','));
    for word in words.filter(|word| !word.is_empty() && *word != "none") {
        match word.split_once('=') {
            None => named = Some(word),
            Some(("name" | "short-id", name)) => named = Some(name),
            Some(("detect" | "require", _)) => {}
            Some(_) => return Err(format!("`{word}` of --osinfo is not understood")),
        }
    }
    let known = |name: &str| -> Result<VirtOpt, String> {
        let system: OsVariant = name.parse()?;
        match system.is_of_family() {
            true => Ok(VirtOpt::System(system)),
            false => Err(system.unknown()),
        }
    };
    named.map(known).transpose()
}

/// An option that is for `virt-xml`.
fn edit(name: &str, value: &str, how: Edit, before: &[VirtOpt]) -> Result<VirtOpt, String> {
    if value.chars().any(char::is_control) {
        return Err(format!("the value of `{name}` is not one line of text"));
    }
    let mut parts = value.split(',');
    let is_count = |part: &str| part.starts_with("vcpus=");
    let (mut how, mut value) = (how, value.to_string());
    match name {
        // A number would contradict the node type's; its parts, such as sockets, are another matter.
        "--vcpus" if value.starts_with(|c: char| c.is_ascii_digit()) || parts.any(is_count) => {
            return Err("`--vcpus` with a number is not for --virtopts: `cpu` of a node type says how many; `--vcpus sockets=…,cores=…` is".into());
        }
        "--metadata" if !["title=", "description="].iter().any(|key| value.starts_with(key)) => {
            return Err(not_for(
                name,
                "it has Maquette's records; `title=` and `description=` are",
            ));
        }
        "--graphics" => (how, value) = graphics(&value)?,
        _ if value == "none" && options::REMOVABLE.contains(&name) => {
            (how, value) = (Edit::Remove, "all".into());
        }
        _ => {}
    }
    if let Some((_, why)) = options::KEPT.iter().find(|(kept, _)| *kept == name && value == "none")
    {
        return Err(not_for(&format!("{name} none"), why));
    }
    // The first is instead of the node's own, and others are besides it.
    let again = matches!(name, "--rng" | "--video") && before.iter().any(|o| o.is_for(name));
    let how = if again && how == Edit::Change { Edit::Add } else { how };
    Ok(VirtOpt::Edit { how, name: name.into(), value })
}

/// Changes of a node's VNC server, or a screen besides it.
fn graphics(value: &str) -> Result<(Edit, String), String> {
    let parts: Vec<&str> = value.split(',').collect();
    let has = |keys: &[&str]| {
        parts.iter().any(|part| {
            keys.iter().any(|key| part.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
        })
    };
    let kind = parts.first().map_or("", |first| first.strip_prefix("type=").unwrap_or(first));
    if kind != "vnc" && !kind.contains('=') {
        return Ok((if kind == "none" { Edit::Change } else { Edit::Add }, value.into()));
    }
    if parts.iter().any(|part| part.starts_with("listen")) {
        let why = "nodes have VNC, and `--vnc-external` has it listen on all addresses";
        return Err(not_for("--graphics", why));
    }
    let mut kept: Vec<&str> = parts.iter().skip(usize::from(kind == "vnc")).copied().collect();
    // libvirt would choose one all the same.
    if has(&["port"]) && !has(&["autoport"]) {
        kept.push("autoport=no");
    }
    Ok((Edit::Change, kept.join(",")))
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
struct GivenOption<'a> {
    name: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl GivenOption<'_> {
    fn unknown(&self, what: &str) -> String {
        format!("`{what}` of {} is not understood", self.name)
    }

    /// A model and its action, empty if there is none.
    fn model(&self, default: &str) -> Result<(String, String), String> {
        let (mut model, mut extra) = (default.to_string(), String::new());
        for (key, value) in &self.pairs {
            match *key {
                "model" | "mode" | "type" => model = word(self.name, value)?,
                "action" => extra = word(self.name, value)?,
                other => return Err(self.unknown(other)),
            }
        }
        Ok((model, extra))
    }

    /// A model, and nothing else.
    fn alone(&self) -> Result<String, String> {
        let (model, extra) = self.model("")?;
        // virtinst knows what the default of something is.
        match model.is_empty() || !extra.is_empty() || model == "default" {
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
            // Words of virtinst's, which are no models.
            word @ ("host-model-only" | "hv-default" | "host-copy") => Err(self.unknown(word)),
            other => Ok(VirtOpt::Cpu(self.machine_name(other)?)),
        }
    }

    fn watchdog(&self) -> Result<VirtOpt, String> {
        let (model, action) = self.model("i6300esb")?;
        let model = if model == "default" { "i6300esb".into() } else { model };
        let action = if action.is_empty() { "reset".into() } else { action };
        Ok(VirtOpt::Watchdog(model, action))
    }

    /// An emulated TPM; the bare word is the backend's type. A passed through one is for virt-xml.
    fn tpm(&self) -> Result<VirtOpt, String> {
        let (mut model, mut version) = (None, "2.0".to_string());
        for (key, value) in &self.pairs {
            match *key {
                "type" | "backend.type" if matches!(*value, "emulator" | "default") => {}
                "model" if *value == "default" => {}
                "model" => model = Some(word(self.name, value)?),
                "backend.version" | "version" => version = word(self.name, value)?,
                other => return Err(self.unknown(other)),
            }
        }
        // There is no CRB interface of a TPM 1.2.
        let usual = if version == "1.2" { "tpm-tis" } else { "tpm-crb" };
        Ok(VirtOpt::Tpm(model.unwrap_or_else(|| usual.into()), version))
    }

    fn boot(&self) -> Result<VirtOpt, String> {
        let (mut order, mut menu) = (Vec::new(), None);
        for (key, value) in &self.pairs {
            match *key {
                "order" => order.push((*value).to_string()),
                "menu" => menu = Some(truth(value).ok_or_else(|| self.unknown(value))?),
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
        let mut names = Vec::new();
        for (key, value) in &self.pairs {
            match (*key, truth(value)) {
                ("hugepages" | "locked" | "nosharepages", Some(true)) => names.push((*key).into()),
                ("hugepages" | "locked" | "nosharepages", Some(false)) => {}
                (other, _) => return Err(self.unknown(other)),
            }
        }
        Ok(VirtOpt::Memory(names))
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

fn option(name: &str, value: &str, how: Edit, before: &[VirtOpt]) -> Result<VirtOpt, String> {
    if let Some(secret) = secrets::named(name, value) {
        return Err(secrets::refused(name, secret));
    }
    // Its value is a line of arguments, commas included.
    if name == "--qemu-commandline" && !["env=", "clearxml="].iter().any(|k| value.starts_with(k)) {
        let line = value.strip_prefix("args=").unwrap_or(value);
        let words = shlex::split(line).ok_or("a quotation mark is not closed")?;
        return Ok(VirtOpt::Qemu(words));
    }
    let main = match name {
        "--boot" => "order",
        "--tpm" => "type",
        "--memorybacking" | "--features" => "",
        _ => "model",
    };
    let given = GivenOption { name, pairs: pairs(value, main) };
    let understood = match name {
        "--cpu" => given.cpu(),
        "--machine" => return Ok(VirtOpt::Machine(given.machine_name(&given.alone()?)?)),
        "--sound" => given.alone().map(VirtOpt::Sound),
        "--video" if !before.iter().any(|o| o.is_for(name)) => given.alone().map(VirtOpt::Video),
        "--memballoon" => given.alone().map(VirtOpt::Balloon),
        "--watchdog" => given.watchdog(),
        "--tpm" => given.tpm(),
        "--boot" => given.boot(),
        "--memorybacking" => given.memory(),
        "--features" => given.feature(value),
        "--iothreads" => value.parse().map(VirtOpt::IoThreads).map_err(|_| given.unknown(value)),
        _ => return edit(name, value, how, before),
    };
    // What of them is not understood here is for virt-xml, which knows them all.
    understood.map_or_else(|_| edit(name, value, how, before), models::known)
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

    /// All of these were an emulated TPM 2.0 with CRB, whatever they asked for.
    #[test]
    fn the_bare_word_of_a_tpm_is_the_type_of_its_backend() {
        for (value, model, version) in [
            ("emulator", "tpm-crb", "2.0"),
            ("default", "tpm-crb", "2.0"),
            ("emulator,version=1.2", "tpm-tis", "1.2"),
            ("model=tpm-tis,type=emulator", "tpm-tis", "2.0"),
            ("backend.type=emulator,backend.version=2.0,model=tpm-crb", "tpm-crb", "2.0"),
        ] {
            let expected = VirtOpt::Tpm(model.into(), version.into());
            assert_eq!(parse(&format!("--tpm {value}")), Ok(vec![expected]), "{value}");
        }
        for value in
            ["passthrough,model=tpm-tis", "passthrough", "/dev/tpm0", "type=passthrough", "tpm-crb"]
        {
            let (how, name, value) = (Edit::Add, "--tpm".into(), value.to_string());
            let expected = VirtOpt::Edit { how, name, value: value.clone() };
            assert_eq!(parse(&format!("--tpm {value}")), Ok(vec![expected]), "{value}");
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
            ("--vcpus vcpus=4", "`cpu` of a node type"),
            ("--graphics vnc,listen=0.0.0.0", "`--vnc-external`"),
            ("--pxe", "`boot: [network, hd]`"),
            ("--pxe=yes", "takes no value"),
            ("--me 1", "may be any of virt-install's options"),
            ("--os-variant rehl7", "libosinfo"),
            (
                "--hostdevs 1:2",
                "virt-install has no option `--hostdevs`; did you mean `--hostdev`?",
            ),
            ("--watchdog foo", "--watchdog has no model `foo`; there are `i6300esb`"),
            ("--watchdog i6300esb,action=rest", "--watchdog has no action `rest`"),
            ("--sound foo", "--sound has no model `foo`; there are `ac97`"),
            ("--tpm model=foo", "--tpm has no model `foo`; there are `tpm-crb`, `tpm-tis`"),
            ("--tpm emulator,version=3", "--tpm has no version `3`"),
            ("--memballoon foo", "--memballoon has no model `foo`"),
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
            "--serial pty",
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
