//! Listening to router advertisements although the hypervisor forwards.

use maquette_core::plan::Setting;

use super::record::{self, Record};
use crate::host::{Command, Host, HostError, check};
use crate::probe::{self, Facts, Reach};

/// What is set when the hypervisor starts.
const FILE: &str = "/etc/sysctl.d/90-maquette-ipv6.conf";

/// `accept_ra` of an interface that listens unless the hypervisor forwards, and of one that listens anyway.
const AT_RISK: &str = "1";
const LISTENING: &str = "2";

const SCRIPT: &str = include_str!("../../assets/prepare/router-adverts.sh");

/// Interfaces with a default route that is lost once the hypervisor forwards.
pub(super) fn at_risk(facts: &Facts) -> Vec<String> {
    let listening = facts.router_interfaces.iter().filter(|(_, value)| value == AT_RISK);
    listening.map(|(name, _)| name.clone()).collect()
}

pub(super) fn apply(host: &dyn Host, interfaces: &[(String, String)]) -> Result<(), HostError> {
    let before = probe::gather(host, Reach::Local)?.router_interfaces;
    let mut all = interfaces.to_vec();
    record::update(host, |r| {
        let known = |name: &str| r.router_interfaces.iter().any(|(n, _)| n == name);
        let new: Vec<_> = before.into_iter().filter(|(n, _)| !known(n)).collect();
        r.router_interfaces.extend(new);
        // Those of a run that came half-way are as they shall be, and belong into the file as well.
        let earlier = r.router_interfaces.iter().filter(|(n, value)| {
            value == AT_RISK && interfaces.iter().all(|(asked, _)| asked != n)
        });
        all.extend(earlier.map(|(name, _)| (name.clone(), LISTENING.to_string())));
    })?;
    set(host, "apply", &all).map(|_| ())
}

fn set(host: &dyn Host, verb: &str, interfaces: &[(String, String)]) -> Result<String, HostError> {
    let pairs = interfaces.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let args = [verb, FILE, LISTENING].into_iter().chain(pairs);
    check(host, &Command::script(SCRIPT, args))
}

pub(super) fn noted(record: &Record) -> Option<Setting> {
    let interfaces = record.router_interfaces.clone();
    (!interfaces.is_empty()).then_some(Setting::RouterAdverts { interfaces })
}

pub(super) fn restore(host: &dyn Host, before: &[(String, String)]) -> Result<String, HostError> {
    set(host, "restore", before)
}

pub(super) fn forget(record: &mut Record) {
    record.router_interfaces.clear();
}
