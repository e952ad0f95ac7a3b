//! `--virtopts`: the part of virt-install's options that changes a domain's definition in ways that no
//! key of a node file does. They are understood rather than passed on: what is not understood is refused.
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
}

const KNOWN: &str = "--boot, --cpu, --features, --machine, --memballoon, --memorybacking, \
                     --qemu-commandline, --sound, --tpm, --video, --watchdog";

/// Takes the text apart.
fn parse(text: &str) -> Result<Vec<VirtOpt>, String> {
    let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
    let mut words = words.into_iter();
    let mut all = Vec::new();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_string(), value.to_string()),
            _ => {
                let value = words.next().ok_or_else(|| format!("`{word}` lacks a value"))?;
                (word, value)
            }
        };
        all.push(option(&name, &value)?);
    }
    Ok(all)
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
    match name {
        "--cpu" => given.cpu(),
        "--machine" => Ok(VirtOpt::Machine(given.machine_name(&given.alone()?)?)),
        "--sound" => Ok(VirtOpt::Sound(given.alone()?)),
        "--video" => Ok(VirtOpt::Video(given.alone()?)),
        "--memballoon" => Ok(VirtOpt::Balloon(given.alone()?)),
        "--watchdog" => given.watchdog(),
        "--tpm" => given.tpm(),
        "--boot" => given.boot(),
        "--memorybacking" => given.memory(),
        "--features" => given.feature(value),
        other => {
            Err(format!("virt-install's option `{other}` is not understood; these are: {KNOWN}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_in_both_spellings() {
        let text = "--cpu host --machine=q35 --watchdog i6300esb,action=poweroff --tpm emulator \
                    --boot hd,network,menu=on --memorybacking hugepages=on,locked=off \
                    --features smm.state=on --memballoon model=none --sound ich9 --video virtio \
                    --qemu-commandline='-device edu'";
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
            ("--hostdev 1:2", "`--hostdev` is not understood; these are"),
            ("--cpu", "`--cpu` lacks a value"),
            ("--watchdog model=x,colour=red", "`colour` of --watchdog"),
            ("--boot tape", "`tape` of --boot"),
            ("--cpu 'a", "not closed"),
            ("--video '<x/>'", "not a valid value of --video"),
            ("--features magic=on", "of --features"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
