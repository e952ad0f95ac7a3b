//! The socket in an environment's directory, by which whoever has root on the hypervisor tells BMCs what to do: `maquette bmc
//! power` and `boot` are for people, and need no client of Redfish's or IPMI's.
//!
//! A question is a line of words between tabs, which begins with a node: `show`, `power` and an action, or `boot`, a device,
//! `once` or `always`, and a firmware or `-`. An answer is a line that begins with `ok` or `error`.

use std::io::{BufRead, BufReader, Error, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maquette_bmc::bmc::{Bmc, Boot, Override, Press};
use maquette_bmc::machine::{Device, Firmware};

/// The socket's name in the directory.
const SOCKET: &str = "control";
/// The longest question.
const LONGEST: u64 = 1024;
/// Longest answer, in bytes.
const ANSWER: u64 = 65536;
/// How long somebody may take to ask, and a BMC to do what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Actions of `power`.
const ACTIONS: [(&str, Press); 6] = [
    ("on", Press::On),
    ("off", Press::ForceOff),
    ("soft", Press::GracefulShutdown),
    ("cycle", Press::PowerCycle),
    ("reset", Press::ForceRestart),
    ("diag", Press::Nmi),
];

/// Devices of `boot`; none takes an earlier one back.
const DEVICES: [(&str, Option<Device>); 6] = [
    ("none", None),
    ("pxe", Some(Device::Pxe)),
    ("http", Some(Device::Http)),
    ("disk", Some(Device::Hdd)),
    ("cdrom", Some(Device::Cd)),
    ("setup", Some(Device::Setup)),
];

/// Firmware of `boot`.
const FIRMWARE: [(&str, Option<Firmware>); 3] =
    [("-", None), ("bios", Some(Firmware::Bios)), ("uefi", Some(Firmware::Uefi))];

/// Answers whoever asks by the socket, for ever, on a thread of its own.
pub(super) fn listen(directory: &Path, bmcs: &[Arc<Bmc>]) -> std::io::Result<()> {
    let path = directory.join(SOCKET);
    // One that is left of a process that was killed.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let bmcs: Arc<[Arc<Bmc>]> = bmcs.into();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bmcs = bmcs.clone();
            // Nobody waits for a node that does not answer another one. Whoever has gone wants no answer.
            let _ = std::thread::Builder::new().spawn(move || serve(stream, &bmcs));
        }
    });
    Ok(())
}

fn serve(mut stream: UnixStream, bmcs: &[Arc<Bmc>]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?.take(LONGEST)).read_line(&mut line)?;
    let said = match answer(line.trim_end(), bmcs) {
        Ok(text) => format!("ok\t{text}\n"),
        Err(text) => format!("error\t{}\n", text.replace(['\t', '\n'], " ")),
    };
    stream.write_all(said.as_bytes())
}

fn named<T: Copy>(table: &[(&str, T)], word: &str) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    found.ok_or_else(|| format!("`{word}` is not known"))
}

fn answer(question: &str, bmcs: &[Arc<Bmc>]) -> Result<String, String> {
    let words: Vec<&str> = question.split('\t').collect();
    let [node, words @ ..] = words.as_slice() else { return Err("nothing is asked".into()) };
    let bmc = bmcs.iter().find(|bmc| bmc.name == *node);
    let bmc = bmc.ok_or_else(|| format!("`{node}` has no BMC here"))?;
    match words {
        ["show"] => {}
        ["power", action] => {
            bmc.press(named(&ACTIONS, action)?).map_err(|fault| fault.to_string())?;
        }
        ["boot", device, how, firmware] => {
            let target = named(&DEVICES, device)?;
            let enabled = match (target, *how) {
                (None, _) => Override::Disabled,
                (_, "once") => Override::Once,
                (_, "always") => Override::Continuous,
                _ => return Err(format!("`{how}` is not known")),
            };
            choose(bmc, target, enabled, named(&FIRMWARE, firmware)?)?;
        }
        _ => return Err("the question is not known".into()),
    }
    let power = bmc.power().map_err(|fault| fault.to_string())?;
    let power = if power.is_on() { "on" } else { "off" };
    Ok(format!("{power}\t{}", boot(&bmc.state().boot)))
}

/// Chooses what is booted next. Without a firmware it stays the one that was asked for before.
fn choose(
    bmc: &Bmc,
    target: Option<Device>,
    enabled: Override,
    firmware: Option<Firmware>,
) -> Result<(), String> {
    let hardware = bmc.hardware().map_err(|fault| fault.to_string())?;
    if target.is_some_and(|device| !hardware.boots_from(device)) {
        return Err(format!("`{}` has no such device", bmc.name));
    }
    let next = firmware.or(bmc.state().next_firmware()).unwrap_or(hardware.firmware);
    if (target, next) == (Some(Device::Http), Firmware::Bios) {
        let name = &bmc.name;
        return Err(format!("a BIOS boots nothing by HTTP; `--firmware uefi` gives `{name}` UEFI"));
    }
    {
        let mut state = bmc.state();
        (state.boot.target, state.boot.enabled) = (target, enabled);
        if let Some(firmware) = firmware {
            state.choose_mode(firmware, hardware.firmware);
        }
    }
    bmc.keep();
    Ok(())
}

/// What is booted next, as words: a device and for how long.
fn boot(boot: &Boot) -> String {
    let device = DEVICES.iter().find(|(_, device)| *device == boot.target);
    let device = device.map_or("none", |(name, _)| name);
    match boot.enabled {
        Override::Disabled => "none\t-".into(),
        Override::Once => format!("{device}\tonce"),
        Override::Continuous => format!("{device}\talways"),
    }
}

/// Asks by the socket in a directory; the words of the answer.
pub fn ask(directory: &Path, words: &[String]) -> std::io::Result<Vec<String>> {
    let mut stream = UnixStream::connect(directory.join(SOCKET))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", words.join("\t")).as_bytes())?;
    let mut said = String::new();
    BufReader::new(stream.take(ANSWER)).read_line(&mut said)?;
    let words: Vec<String> = said.trim_end().split('\t').map(String::from).collect();
    match words.split_first() {
        Some((first, rest)) if first == "ok" => Ok(rest.to_vec()),
        Some((first, rest)) if first == "error" => Err(Error::other(rest.join(" "))),
        _ => Err(Error::other("there is no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maquette_bmc::clock::Clock;
    use maquette_bmc::model::Model;
    use uuid::Uuid;

    #[test]
    fn who_has_the_directory_presses_buttons_and_chooses_what_is_booted() {
        let directory = tempfile::tempdir().unwrap();
        let bmc = |number: u16| {
            let (name, machine) = (format!("lab-{number}"), Arc::new(Model::numbered(number)));
            let uuid = Uuid::from_u128(u128::from(number));
            Arc::new(Bmc::new(&name, uuid, machine, Clock::from(|| 1)))
        };
        let bmcs = [bmc(0), bmc(1)];
        listen(directory.path(), &bmcs).unwrap();
        let say = |words: &str| {
            let words: Vec<String> = words.split(' ').map(String::from).collect();
            ask(directory.path(), &words).map(|a| a.join(" ")).map_err(|e| e.to_string())
        };
        assert_eq!(say("lab-0 power off"), Ok("off none -".into()));
        assert_eq!(say("lab-0 boot pxe once -"), Ok("off pxe once".into()));
        assert_eq!(say("lab-0 power on"), Ok("on none -".into()));
        assert_eq!(say("lab-1 boot cdrom always uefi"), say("lab-1 show"));
        assert!(say("lab-1 show").unwrap().ends_with("cdrom always"));
        assert_eq!(say("lab-1 boot none once -").map(|a| a.ends_with("none -")), Ok(true));
        // The firmware that somebody has asked for is not taken back by who asks for a device.
        say("lab-1 boot pxe once bios").unwrap();
        say("lab-1 boot disk always -").unwrap();
        assert_eq!(bmcs[1].state().boot.mode, Some(Firmware::Bios));
        // UEFI it has.
        say("lab-1 boot none once uefi").unwrap();
        assert_eq!(bmcs[1].state().boot.mode, None);
        // A BIOS would go on with PXE.
        assert!(say("lab-1 boot http once bios").unwrap_err().contains("--firmware uefi"));
        assert_eq!(say("lab-1 boot http once -"), Ok("off http once".into()));
        assert_eq!(say("lab-2 show"), Err("`lab-2` has no BMC here".into()));
        assert_eq!(say("lab-0 power up"), Err("`up` is not known".into()));
        assert!(say("lab-0").is_err() && say("").is_err());
        // Somebody who is there and asks nothing.
        let _silent = UnixStream::connect(directory.path().join(SOCKET)).unwrap();
        assert!(say("lab-0 show").is_ok());
    }
}
