//! Delay and loss on a tap of the hypervisor: the kernel's business, set with `tc`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::StepError;
use crate::host::process::first_words;
use crate::host::{Command, Host, HostError, check};

const SCRIPT: &str = include_str!("../../assets/net/netem.sh");

/// Why `tc` did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The kernel has no netem.
    NoNetem,
    /// There is no `tc`.
    NoTc,
    /// There is no such tap any more.
    Gone,
    /// Only root may.
    NotPermitted,
    /// Any other reason.
    Other,
}

impl Refused {
    /// `tc`, and a shell that finds none, have words only.
    fn of(stderr: &str) -> Self {
        let says = |words| stderr.contains(words);
        if says("qdisc kind is unknown") {
            Self::NoNetem
        } else if says("not found") {
            Self::NoTc
        } else if says("Cannot find device") {
            Self::Gone
        } else if says("not permitted") {
            Self::NotPermitted
        } else {
            Self::Other
        }
    }

    /// What to do about it.
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::NoNetem => Some(
                "the hypervisor's kernel has no netem: `modprobe sch_netem` loads it, where its package has it \
                 (EL: kernel-modules-extra)",
            ),
            Self::NoTc => Some("`tc` is in the package iproute2 (EL: iproute-tc)"),
            Self::Gone => {
                Some("the node was stopped meanwhile, or its interface unplugged: try again")
            }
            Self::NotPermitted => {
                Some("who connects to the hypervisor has no rights to that: it takes root, or sudo")
            }
            Self::Other => None,
        }
    }
}

/// All queues, for programs.
const QUEUES: [&str; 3] = ["-json", "qdisc", "show"];

/// What happens to frames on their way to a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disturbance {
    /// How long each is held up, in milliseconds; none for no delay.
    pub delay_ms: Option<f64>,
    /// How many are lost, in percent; none for no loss.
    pub loss_percent: Option<f64>,
}

/// Disturbs a tap, in netem's own words (`delay 50ms loss 1%`); none end it. `label` is the interface for people.
pub fn disturb(host: &dyn Host, tap: &str, netem: &[String], label: &str) -> Result<(), StepError> {
    let words = std::iter::once(tap.to_string()).chain(netem.iter().cloned());
    check(host, &Command::script(SCRIPT, words)).map(|_| ()).map_err(|e| {
        let message = format!("cannot have frames to {label} held up or lost");
        let mut error = StepError::new(message);
        match e {
            // It has no status of its own for that, and the script says nothing to people.
            HostError::Failed { stderr, .. } => {
                error.causes.push(format!("`tc` says: {}", first_words(stderr.as_bytes())));
                match Refused::of(&stderr).hint() {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            other => error.because(other),
        }
    })
}

/// What each tap of the hypervisor is disturbed by. Nothing where there is no `tc`: without it there is no netem.
pub fn disturbances(host: &dyn Host) -> BTreeMap<String, Disturbance> {
    let said = check(host, &Command::new("tc").args(QUEUES));
    said.ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .map(|q| read(&q))
        .unwrap_or_default()
}

fn read(queues: &Value) -> BTreeMap<String, Disturbance> {
    let netem = queues.as_array().into_iter().flatten().filter(|q| q["kind"] == "netem");
    // Fractions of a second and of all; as numbers for people they have no more than three digits.
    let scaled = |value: &Value, factor: f64| {
        let number = value.as_f64().filter(|v| *v > 0.0)?;
        Some((number * factor * 1000.0).round() / 1000.0)
    };
    let each = netem.filter_map(|queue| {
        let options = &queue["options"];
        let disturbance = Disturbance {
            delay_ms: scaled(&options["delay"]["delay"], 1000.0),
            loss_percent: scaled(&options["loss-random"]["loss"], 100.0),
        };
        Some((queue["dev"].as_str()?.to_string(), disturbance))
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tc_says_is_told_apart() {
        for (said, refused) in [
            // As iproute2 6.1 and dash say it.
            ("Error: Specified qdisc kind is unknown.", Refused::NoNetem),
            ("sh: 3: tc: not found", Refused::NoTc),
            ("Cannot find device \"vnet7\"", Refused::Gone),
            ("RTNETLINK answers: Operation not permitted", Refused::NotPermitted),
            ("Error: Exclusivity flag on, cannot modify.", Refused::Other),
        ] {
            assert_eq!(Refused::of(said), refused, "{said}");
            assert_eq!(refused.hint().is_none(), refused == Refused::Other);
        }
    }

    #[test]
    fn a_disturbance_is_read_from_tc() {
        // As iproute2 6.1 says it.
        let queues = serde_json::json!([
            {"kind": "noqueue", "dev": "vnet1", "root": true, "options": {}},
            {"kind": "netem", "dev": "vnet0", "root": true, "options": {
                "limit": 1000,
                "delay": {"delay": 0.03, "jitter": 0, "correlation": 0},
                "loss-random": {"loss": 0.05, "correlation": 0},
                "ecn": false, "gap": 0}},
        ]);
        let expected = Disturbance { delay_ms: Some(30.0), loss_percent: Some(5.0) };
        assert_eq!(read(&queues), [("vnet0".to_string(), expected)].into());
        assert_eq!(read(&Value::Null), BTreeMap::new());
    }
}
