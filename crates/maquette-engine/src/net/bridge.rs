//! NICs of the hypervisor in bridges: commit or revert.
//!
//! The work is done by a process on the hypervisor (`assets/bridge`), which puts everything back unless
//! we come back over a connection of its own and confirm. What was there before is kept beside it until
//! the bridge is removed.

use maquette_core::blueprint::Uplink;
use maquette_core::values::printable;

use crate::host::{Command, Host, HostError, check};
use crate::{StepContext, StepError};

const SCRIPT: &str = concat!(
    include_str!("../../assets/bridge/base.sh"),
    include_str!("../../assets/bridge/kernel.sh"),
    include_str!("../../assets/bridge/networkd.sh"),
    include_str!("../../assets/bridge/ifupdown.sh"),
    include_str!("../../assets/bridge/networkmanager.sh"),
    include_str!("../../assets/bridge/undo.sh"),
    include_str!("../../assets/bridge/main.sh"),
);
/// The script, on the hypervisor.
const PATH: &str = "/var/lib/maquette/bridge.sh";
/// What is known of each bridge, on the hypervisor.
const STATES: &str = "/var/lib/maquette/bridges";
/// Seconds until an unconfirmed change is put back.
const LIMIT: u32 = 20;

/// With the last bridge the script goes as well: there is nothing to be asked, then.
const CALL: &str = include_str!("../../assets/net/call-bridge.sh");

fn command(verb: &str, bridge: &str) -> Command {
    Command::script(CALL, [PATH, verb, &format!("{STATES}/{bridge}")])
}

/// Puts a NIC into a bridge that takes over its addresses and routes.
pub fn join(
    host: &dyn Host,
    bridge: &str,
    uplink: &Uplink,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let nic = &uplink.nic;
    let message = format!("cannot put {nic} into bridge {bridge}");
    let failed = |e: HostError| StepError::new(message.clone()).because(e);
    host.write(PATH, SCRIPT.as_bytes(), 0o700).map_err(failed)?;
    check(host, &joining(bridge, uplink, here(host))).map_err(failed)?;
    confirm(host, bridge, JOINED, context).map_err(|failure| {
        let failure = StepError { message: message.clone(), ..failure };
        failure.hint(format!(
            "is {nic} the right NIC, and does its switch port take more than one MAC address?"
        ))
    })
}

/// What is the matter with a NIC that is to be put into a bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objections {
    /// Why it cannot be; none if nothing refuses it.
    pub refused: Option<String>,
    /// A rule of the firewall that names it, and that what comes in by the bridge is not judged by, if there is one.
    pub rule: Option<String>,
}

/// Finds out what would refuse a NIC that joins a bridge, or would not hold for it any more.
///
/// # Errors
/// If the hypervisor cannot be asked.
pub fn objections(host: &dyn Host, bridge: &str, nic: &str) -> Result<Objections, HostError> {
    let state = format!("{STATES}/{bridge}");
    let text = check(host, &Command::script(SCRIPT, ["look", &state, bridge, nic]))?;
    let line = |word: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(word));
        line.map(|line| printable(line).into_owned())
    };
    Ok(Objections { refused: line("refused "), rule: line("rule ") })
}

/// What puts a NIC into a bridge; `here` says whether the hypervisor is this machine.
fn joining(bridge: &str, uplink: &Uplink, here: &str) -> Command {
    command("join", bridge).args([
        bridge.to_string(),
        uplink.nic.to_string(),
        u8::from(uplink.stp).to_string(),
        uplink.address.map(|a| a.to_string()).unwrap_or_default(),
        uplink.mtu.map(|m| m.to_string()).unwrap_or_default(),
        LIMIT.to_string(),
        here.into(),
    ])
}

/// What is confirmed: that the NIC is in the bridge, or out of it. One that was put back is not taken for done.
const JOINED: &str = "joined";
const GONE: &str = "gone";

/// Comes back to the hypervisor over a connection of its own, and keeps the change.
fn confirm(
    host: &dyn Host,
    bridge: &str,
    wanted: &str,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let (verb, doing, why) = if host.is_here() {
        let why = "after it was done, this machine could not reach its gateway";
        ("confirm-here", "reaching the gateway", why)
    } else {
        let why = "after it was done, the hypervisor could not be reached with a new connection";
        ("confirm", "reaching the hypervisor with a new connection", why)
    };
    let confirm = command(verb, bridge).arg(wanted);
    (context.progress)(doing.into());
    // Nothing to confirm where all was as it should be already.
    let confirmed = host.run_anew(&confirm).and_then(|output| output.success(&confirm));
    let Err(error) = confirmed else { return Ok(()) };
    (context.progress)("waiting until everything is put back".into());
    let outcome = check(host, &command("outcome", bridge).arg(wanted)).unwrap_or_default();
    let mut failure = StepError::new(String::new()).because(error);
    // It may be that only a file of the host's could not be given back: that is said by the script.
    match outcome.trim() {
        "reverted" => {
            failure.causes.insert(0, why.into());
            Err(failure.hint("everything is as it was before"))
        }
        "left" => Err(failure),
        _ => {
            failure.causes.insert(0, why.into());
            Err(failure.hint(format!(
                "the hypervisor puts everything back by itself within {LIMIT} s, and tries again \
                 until that works; {}",
                saved(bridge)
            )))
        }
    }
}

fn here(host: &dyn Host) -> &'static str {
    if host.is_here() { "here" } else { "" }
}

/// Where what was before is kept, and what to run by hand.
fn saved(bridge: &str) -> String {
    format!(
        "what was before is noted in {STATES}/{bridge} there, and `sh {PATH} undo {STATES}/{bridge}` \
         tries at once"
    )
}

/// Gives the NIC back what it had, and removes the bridge; with the same way back as joining it.
pub fn put_back(
    host: &dyn Host,
    bridge: &str,
    nic: &str,
    context: &StepContext<'_>,
) -> Result<(), StepError> {
    let message = format!("cannot take {nic} out of bridge {bridge}");
    let noted = format!("what was before is noted in {STATES}/{bridge} on the hypervisor");
    let failed = |e: HostError| StepError::new(message.clone()).because(e).hint(noted.clone());
    if !host.exists(&format!("{STATES}/{bridge}")) {
        return Ok(());
    }
    host.write(PATH, SCRIPT.as_bytes(), 0o700).map_err(failed)?;
    let leave = command("leave", bridge).args([LIMIT.to_string(), here(host).into()]);
    check(host, &leave).map_err(failed)?;
    confirm(host, bridge, GONE, context)
        .map_err(|failure| StepError { message: message.clone(), ..failure })
}

#[cfg(test)]
#[cfg(feature = "e2e")]
mod kill_points;

#[cfg(test)]
mod tests {
    use super::*;

    /// What functions of the script say, with programs of a directory before others.
    fn said(programs: &std::path::Path, call: &str) -> (bool, String) {
        let script =
            concat!(include_str!("../../assets/bridge/base.sh"), "\nPATH=$STAND_INS:$PATH\n");
        let mut sh = std::process::Command::new("sh");
        sh.args([
            "-c",
            &format!("{script}networkd_file() {{ return 1; }}\nifupdown_file() {{ :; }}\n{call}"),
        ]);
        let output =
            sh.args(["sh", "x", "/nonexistent"]).env("STAND_INS", programs).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text.trim().to_string())
    }

    /// Another process writes it: a file that this one has open for that may be so in a child that another test starts in this
    /// moment, and cannot be run then.
    fn program(directory: &std::path::Path, name: &str, text: &str) {
        let mut sh = std::process::Command::new("sh");
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let written = sh.args(["-c", write, "sh"]).arg(directory.join(name)).arg(text).status();
        assert!(written.unwrap().success());
    }

    /// It would have had its address back at the next renewal, long after the change was confirmed.
    #[test]
    fn a_dhcp_client_that_does_not_go_along_is_named() {
        use std::io::{BufRead, BufReader};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        program(path, "udhcpc", "echo ready; read -r line");
        let begin = |words: &[&str]| {
            let mut client = std::process::Command::new(path.join("udhcpc"));
            client.args(words).stdin(std::process::Stdio::piped());
            let mut client = client.stdout(std::process::Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
            client
        };
        for words in [["-i", "lo"], ["-f", "-ilo"], ["-q", "--interface=lo"]] {
            let mut client = begin(&words);
            let known = format!("udhcpc (process {})", client.id());
            assert_eq!(said(path, "foreign_client lo"), (true, known), "{words:?}");
            assert_eq!(said(path, "foreign_client eth0"), (false, String::new()), "{words:?}");
            drop(client.stdin.take());
            client.wait().unwrap();
        }
        assert_eq!(said(path, "foreign_client lo"), (false, String::new()));
    }

    /// A NIC in `drop` became a bridge in the default zone: the hypervisor was open.
    #[test]
    fn a_zone_of_firewalld_that_the_bridge_would_not_have_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(said(path, "lost_zone lo br0").1, "");
        let zones = "case $1 in --state) ;; --get-default-zone) echo public ;; *) cat \"$0.${1#*=}\" 2>/dev/null || { echo 'no zone' >&2; exit 2; } ;; esac";
        program(path, "firewall-cmd", zones);
        program(path, "nmcli", "exit 1");
        assert_eq!(said(path, "lost_zone lo br0"), (false, String::new()));
        std::fs::write(path.join("firewall-cmd.lo"), "drop\n").unwrap();
        assert_eq!(said(path, "lost_zone lo br0"), (true, "drop".into()));
        std::fs::write(path.join("firewall-cmd.br0"), "drop\n").unwrap();
        assert_eq!(said(path, "lost_zone lo br0"), (false, String::new()));
        // NetworkManager's profile has the zone, which the profile of the bridge takes over.
        std::fs::remove_file(path.join("firewall-cmd.br0")).unwrap();
        program(
            path,
            "nmcli",
            "case $* in *RUNNING*) echo running ;; *NM-MANAGED*) echo yes ;; *CON-UUID*) echo u ;; *zone*) echo drop ;; esac",
        );
        assert_eq!(said(path, "lost_zone lo br0"), (false, String::new()));
    }

    /// What it was judged by before does not judge what comes in by the bridge.
    #[test]
    fn a_rule_that_names_the_nic_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let rules = |text: &str| {
            std::fs::write(path.join("rules"), text).unwrap();
            said(path, "named_in_rules eno1")
        };
        program(path, "nft", &format!("cat '{}/rules'", path.display()));
        program(path, "iptables-save", "echo '-A INPUT -i eno10 -j DROP'");
        assert!(!rules("").0);
        let others = "table inet firewalld {\n\tiifname \"eno1\" drop\n}\ntable bridge maquette-br0 {\n\tiif \"eno1\" drop\n}\n";
        assert!(!rules(others).0);
        let own = format!(
            "{others}table inet filter {{\n\tiifname \"eno10\" accept\n\tiifname \"eno1\" drop\n}}\n"
        );
        assert_eq!(rules(&own), (true, "iifname \"eno1\" drop".into()));
        program(path, "iptables-save", "echo '-A INPUT -i eno1 -j DROP'");
        assert_eq!(rules(""), (true, "-A INPUT -i eno1 -j DROP".into()));
    }

    #[test]
    fn a_nic_that_cannot_join_is_told_before_it_is_planned() {
        let found = objections(&crate::host::Local, "mqnone", "mqnone").unwrap();
        assert_eq!(found, Objections::default());
        let directory = tempfile::tempdir().unwrap();
        let zones = "case $1 in --state) ;; --get-default-zone) echo public ;; *=lo) echo drop ;; *) exit 2 ;; esac";
        program(directory.path(), "firewall-cmd", zones);
        program(directory.path(), "nmcli", "exit 1");
        let (is_refused, why) = said(directory.path(), "objection lo br0");
        assert!(is_refused && why.contains("zone drop, and bridge br0"), "{why}");
    }

    /// A login may take longer than the hypervisor waits: by then all is as it was, and `up` went on without the bridge.
    #[test]
    fn what_was_put_back_meanwhile_is_not_confirmed() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("bridge.sh");
        let state = directory.path().join("br0");
        let asked = |verb: &str, wanted: &str| {
            let state = state.display().to_string();
            let args = [script.display().to_string(), verb.into(), state, wanted.into()];
            let command = Command::script(CALL, args);
            crate::host::Local.run(&command, &mut |_| {}).unwrap()
        };
        let confirmed = |wanted| asked("confirm", wanted).status == Some(0);
        // With the last bridge the script went as well: then there is none.
        assert!(confirmed(GONE) && !confirmed(JOINED));
        std::fs::write(&script, SCRIPT).unwrap();
        assert!(confirmed(GONE) && !confirmed(JOINED));
        assert_eq!(asked("outcome", JOINED).stdout, "reverted\n");
        // It is still noted as joined, and it is not in the bridge.
        std::fs::create_dir(&state).unwrap();
        for (name, text) in
            [("nic", "lo"), ("bridge", "mqnone"), ("phase", "joined"), ("confirmed", "")]
        {
            std::fs::write(state.join(name), format!("{text}\n")).unwrap();
        }
        assert!(!confirmed(GONE) && !confirmed(JOINED));
        assert_eq!(asked("outcome", GONE).stdout, "reverted\n");
    }

    #[test]
    fn a_nic_is_put_into_a_bridge_as_its_network_says() {
        let uplink = Uplink {
            nic: "eno2".parse().unwrap(),
            chosen: false,
            address: Some("10.9.0.1/24".parse().unwrap()),
            stp: true,
            guard: true,
            mtu: "9000".parse().ok(),
        };
        let words = joining("br0", &uplink, "").args;
        let told = |value: &str| words.iter().any(|word| word == value);
        assert!(["br0", "eno2", "1", "10.9.0.1/24", "9000"].into_iter().all(told), "{words:?}");
        let plain = Uplink { stp: false, mtu: None, ..uplink };
        let words = joining("br0", &plain, "").args;
        let at = words.iter().position(|word| word == "eno2").unwrap();
        assert_eq!(words[at + 1..at + 4], ["0", "10.9.0.1/24", ""]);
    }
}
