//! Delay and loss on a tap of the hypervisor: the kernel's business, set with `tc`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::StepError;
use crate::host::process::first_words;
use crate::host::{Command, Host, HostError, check};

const SCRIPT: &str = include_str!("../../assets/net/netem.sh");

/// What `tc` says of a queue that the kernel lacks.
const UNKNOWN: &str = "qdisc kind is unknown";

/// All queues, for programs.
const QUEUES: [&str; 3] = ["-json", "qdisc", "show"];

/// What happens to frames on their way to a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Disturbance {
    /// How long each is held up, in milliseconds.
    pub delay_ms: Option<f64>,
    /// How many are lost, in percent.
    pub loss_percent: Option<f64>,
}

/// Disturbs a tap, in netem's own words (`delay 50ms loss 1%`); none end it. `label` is the interface for people.
pub fn disturb(host: &dyn Host, tap: &str, netem: &[String], label: &str) -> Result<(), StepError> {
    let words = std::iter::once(tap.to_string()).chain(netem.iter().cloned());
    check(host, &Command::script(SCRIPT, words)).map(|_| ()).map_err(|e| {
        let mut error = StepError::new(format!("cannot disturb {label}"));
        match e {
            // It has no status of its own for that, and the script says nothing to people.
            HostError::Failed { stderr, .. } => {
                let unknown = stderr.contains(UNKNOWN);
                error.causes.push(format!("tc says: {}", first_words(stderr.as_bytes())));
                match unknown {
                    true => error.hint("the hypervisor's kernel has no netem (module sch_netem)"),
                    false => error,
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
