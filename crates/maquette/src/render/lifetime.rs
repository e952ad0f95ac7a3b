//! When an environment expires, in words.

use maquette_core::lifetime::Lifetime;
use maquette_core::names::EnvName;
use maquette_engine::host::lock::duration;
use serde_json::{Value, json};

/// When an environment expires; none if it does not. `now_s` is the time in seconds since 1970, `removed` whether anything
/// on the hypervisor removes it then.
pub fn lifetime(lifetime: &Lifetime, now_s: u64, removed: bool) -> Option<String> {
    let left = lifetime.expires_s?.saturating_sub(now_s);
    Some(match (lifetime.is_over, left) {
        (true, _) => "has expired; `maquette down` removes what is left of it".into(),
        (false, 0) if removed => "has expired, and is about to be removed".into(),
        (false, 0) => "has expired".into(),
        (false, left) => format!("expires in {}", duration(left)),
    })
}

/// When it expires, how long it was to last, and whose it is, as an event.
pub fn lifetime_event(environment: &EnvName, lifetime: &Lifetime) -> Value {
    json!({
        "schema": 1,
        "event": "lease",
        "environment": environment.to_string(),
        "expires_at_s": lifetime.expires_s,
        "ttl_s": lifetime.ttl_s,
        "owner": lifetime.owner,
    })
}

/// The same as a sentence for people who use it, with what to do about it.
pub fn lifetime_line(
    environment: &str,
    known: &Lifetime,
    now_s: u64,
    removed: bool,
) -> Option<String> {
    let until = lifetime(known, now_s, removed)?;
    let idle = !removed && !known.is_over;
    let warning = if idle || known.ends_soon(now_s) { "warning: " } else { "" };
    let hint = match (known.is_over, idle) {
        (true, _) => "",
        (false, false) => "; `maquette extend` gives it more time",
        (false, true) => {
            ", and nothing on the hypervisor removes it then; `maquette extend` sets that up"
        }
    };
    Some(format!("{warning}environment `{environment}` {until}{hint}"))
}
