//! What guests show of themselves at this moment, seen from the hypervisor: whether SSH answers, and the end of the
//! console where it does not. All guests are asked at once, in one round trip.

use std::collections::BTreeMap;
use std::net::IpAddr;

use maquette_core::node_state::{ConsoleEnd, Evidence, SshAnswer};
use maquette_core::values::console_text;

use crate::host::{Command, Host, HostError, check};

/// What [`look`] runs on the hypervisor.
pub const SCRIPT: &str = include_str!("../assets/host/guests.sh");

/// How long an answer may take, in seconds: on its own network a guest that lives answers in milliseconds, and one
/// that nobody has the address of is known to be gone after a little more than three seconds (ARP).
const LIMIT_S: u64 = 5;

/// A guest to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Name of its domain.
    pub name: String,
    /// Where SSH should answer, if that is known and it can be asked from there.
    pub address: Option<IpAddr>,
    /// Its serial log on the hypervisor, where it is to be read.
    pub log: Option<String>,
}

/// Looks at guests; each with what was found out.
///
/// # Errors
/// If the hypervisor cannot be asked. A guest that it cannot ask is [`SshAnswer::Unknown`], not an error.
pub fn look(host: &dyn Host, guests: &[Guest]) -> Result<BTreeMap<String, Evidence>, HostError> {
    if guests.is_empty() {
        return Ok(BTreeMap::new());
    }
    let dash = || "-".to_string();
    let pairs = guests.iter().flat_map(|g| {
        [g.address.map_or_else(dash, |a| a.to_string()), g.log.clone().unwrap_or_else(dash)]
    });
    let args = std::iter::once(LIMIT_S.to_string()).chain(pairs);
    let said = check(host, &Command::script(SCRIPT, args))?;
    Ok(read(&said, guests))
}

/// What [`SCRIPT`] has printed of these guests. What does not belong there is passed over: consoles have anything.
pub fn read(said: &str, guests: &[Guest]) -> BTreeMap<String, Evidence> {
    let found = |g: &Guest| Evidence {
        ssh: g.address.map(|_| SshAnswer::Unknown),
        console_read: g.log.is_some(),
        ..Evidence::default()
    };
    let mut answers: Vec<Evidence> = guests.iter().map(found).collect();
    let mut at = None;
    for line in said.lines() {
        if let Some(text) = line.strip_prefix('|') {
            let console = at.and_then(|i: usize| answers.get_mut(i)?.console.as_mut());
            if let Some(console) = console {
                console.text.push_str(text);
                console.text.push('\n');
            }
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, index, what] = words[..] else { continue };
        let Ok(index) = index.parse::<usize>() else { continue };
        let Some(evidence) = answers.get_mut(index) else { continue };
        match kind {
            "ssh" => evidence.ssh = Some(answer(what)),
            "up" => evidence.uptime_s = what.parse().ok(),
            "log" => {
                let age_s = what.parse().unwrap_or(0);
                evidence.console = Some(ConsoleEnd { text: String::new(), age_s });
                at = Some(index);
            }
            _ => {}
        }
    }
    for console in answers.iter_mut().filter_map(|e| e.console.as_mut()) {
        console.text = console_text(console.text.as_bytes());
    }
    guests.iter().map(|g| g.name.clone()).zip(answers).collect()
}

fn answer(word: &str) -> SshAnswer {
    match word {
        "greeted" => SshAnswer::Greeted,
        "refused" => SshAnswer::Refused,
        "no-route" => SshAnswer::NoRoute,
        "silent" => SshAnswer::Silent,
        "other" => SshAnswer::Other,
        _ => SshAnswer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::host::Local;

    fn guest(name: &str, address: Option<&str>, log: Option<&str>) -> Guest {
        let address = address.map(|a| a.parse().unwrap());
        Guest { name: name.into(), address, log: log.map(String::from) }
    }

    #[test]
    fn a_console_that_looks_like_an_answer_is_none() {
        let guests = [guest("a", Some("10.0.0.1"), Some("/a")), guest("b", None, Some("/b"))];
        let said =
            "ssh 0 refused\nlog 0 7\n|ssh 0 greeted\n|\u{1b}[31mlog 1 3\r\n\nssh 9 greeted\nx\n";
        let found = read(said, &guests);
        let console = ConsoleEnd { text: "ssh 0 greeted\nlog 1 3\n".into(), age_s: 7 };
        assert_eq!(found["a"].ssh, Some(SshAnswer::Refused));
        assert_eq!(found["a"].console, Some(console));
        assert_eq!(found["b"], Evidence { console_read: true, ..Evidence::default() });
    }

    #[test]
    fn what_does_not_answer_is_told_apart_from_what_does() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("a.log");
        std::fs::write(&log, "\0one\nlogin: ").unwrap();
        let log = log.to_str().unwrap();
        let guests = [guest("none", None, Some(log)), guest("gone", None, Some("/nowhere/x.log"))];
        let found = look(&Local, &guests).unwrap();
        assert_eq!(found["none"].console.as_ref().unwrap().text, "one\nlogin: \n");
        assert_eq!(found["gone"].console, None);
        assert!(found["gone"].console_read);
    }

    /// What was written before a domain was started last was quoted as what it says now.
    #[test]
    fn how_long_a_domain_has_run_is_told_beside_its_console() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("a-serial.log"), "Kernel panic\n").unwrap();
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
        std::fs::File::options()
            .append(true)
            .open(at("a-serial.log"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        std::fs::write(at("a.pid"), "1").unwrap();
        std::fs::write(at("b-serial.log"), "login: ").unwrap();
        let guests =
            ["a", "b"].map(|name| guest(name, None, Some(&at(&format!("{name}-serial.log")))));
        let mut sh = std::process::Command::new("sh");
        sh.args(["-euc", SCRIPT, "sh", "5"]).env("MAQUETTE_PIDS", at(""));
        let output =
            sh.args(guests.iter().flat_map(|g| ["-", g.log.as_deref().unwrap()])).output().unwrap();
        let found = read(&String::from_utf8(output.stdout).unwrap(), &guests);
        let a = &found["a"];
        assert!(a.uptime_s.is_some_and(|up| up < 50), "{a:?}");
        assert!(
            a.console.as_ref().is_some_and(|console| console.age_s > a.uptime_s.unwrap()),
            "{a:?}"
        );
        assert_eq!((found["b"].uptime_s, found["b"].console.is_some()), (None, true));
    }

    /// A hypervisor has a limit of processes, and `fork` fails at it: nobody was known to answer then.
    #[test]
    fn so_many_guests_are_asked_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("asking")).unwrap();
        // Notes how many are asked together with it; it is not done before most of them can have begun.
        let timeout = "#!/bin/sh\ncd \"${0%/*}\"\n: >\"asking/$$\"\nsleep 1\n\
             set -- asking/*\necho $# >>together\nrm \"asking/$$\"\n";
        std::fs::write(at("timeout"), timeout).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at("timeout"), executable).unwrap();
        let pairs = (0..130).flat_map(|_| ["10.0.0.1", "-"]);
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", SCRIPT, "sh", "5"]).args(pairs);
        sh.env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()));
        let output = sh.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 130, "{output:?}");
        let together = std::fs::read_to_string(at("together")).unwrap();
        let most = together.lines().filter_map(|line| line.trim().parse::<u32>().ok()).max();
        assert!(most.is_some_and(|most| most <= 64), "{most:?}");
    }

    /// The script on port 22 of this machine's own loopback, where the test may have that.
    #[test]
    fn a_guest_that_greets_is_ready_and_its_console_is_not_read() {
        let Ok(server) = TcpListener::bind("127.44.0.1:22") else { return };
        let serving = std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            client.write_all(b"SSH-2.0-test\r\n").unwrap();
            let _ = client.read(&mut [0; 16]);
        });
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("a.log");
        std::fs::write(&log, "login: ").unwrap();
        let log = log.to_str();
        let guests = [guest("a", Some("127.44.0.1"), log), guest("b", Some("127.44.0.2"), log)];
        let found = look(&Local, &guests).unwrap();
        assert_eq!((found["a"].ssh, &found["a"].console), (Some(SshAnswer::Greeted), &None));
        assert_eq!(found["b"].ssh, Some(SshAnswer::Refused));
        assert!(found["b"].console.is_some());
        serving.join().unwrap();
    }
}
