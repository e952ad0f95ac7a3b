//! When an environment expires, in words.

use maquette_core::lease::Lease;
use maquette_engine::host::lock::duration;

/// From when on somebody is warned, in seconds.
const SOON: u64 = 3600;

/// When an environment expires; none if it does not. `now_s` is the time in seconds since 1970.
pub fn lease(lease: &Lease, now_s: u64) -> Option<String> {
    let left = lease.expires_s?.saturating_sub(now_s);
    Some(match (lease.is_over, left) {
        (true, _) => "has expired; what is left of it `maquette down` removes".into(),
        (false, 0) => "has expired, and is about to be removed".into(),
        (false, left) => format!("expires in {}", duration(left)),
    })
}

/// The same as a sentence for people who use it, with what to do about it.
pub fn lease_line(environment: &str, known: &Lease, now_s: u64) -> Option<String> {
    let until = lease(known, now_s)?;
    let soon = known.expires_s.is_some_and(|at| at.saturating_sub(now_s) < SOON);
    let warning = if soon { "warning: " } else { "" };
    let hint = if known.is_over { "" } else { "; `maquette extend` gives it more time" };
    Some(format!("{warning}environment `{environment}` {until}{hint}"))
}
