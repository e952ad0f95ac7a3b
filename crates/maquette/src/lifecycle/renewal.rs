//! How long an environment lasts, as noted on the hypervisor and as it is about to be.

use maquette_core::lifetime::{Lifetime, Ttl};
use maquette_core::names::EnvName;
use maquette_core::settings::Settings;
use maquette_engine::StepError;
use maquette_engine::host::lock::duration;
use maquette_engine::probe::Facts;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::render;

/// What is noted of how long an environment lasts, and what is about to be.
pub struct Renewal {
    /// What is noted of this environment, and not of one before it.
    pub known: Lifetime,
    /// What will be.
    pub next: Lifetime,
    /// The hypervisor's clock, in seconds since 1970.
    pub now_s: u64,
    /// Whether there is anything of it yet that could be removed.
    pub exists: bool,
    /// What `up` was told; none if it was told nothing.
    pub ttl: Option<Ttl>,
}

impl Renewal {
    /// What `up` makes of it. What was noted of an environment that is gone says nothing of one that is yet to be built.
    ///
    /// # Errors
    ///
    /// The hypervisor does not tell what time it is.
    pub fn of_up(settings: &Settings, facts: &Facts, exists: bool) -> Result<Self, Failure> {
        let known = facts.lifetimes.get(&settings.environment).filter(|_| exists);
        let known = known.cloned().unwrap_or_default();
        let now_s = match settings.ttl {
            Some(_) => clock(facts)?,
            None => facts.now_s,
        };
        let next = known.after(settings.ttl, settings.owner.as_deref(), now_s);
        Ok(Self { known, next, now_s, exists, ttl: settings.ttl })
    }

    fn is_sooner(&self) -> bool {
        self.exists && self.next.is_sooner_than(&self.known, self.now_s)
    }

    /// That a time to live has no effect, since somebody has given it more time.
    pub fn passed_over(&self, environment: &EnvName) -> Option<String> {
        let ttl = self.ttl.filter(|ttl| self.known.outlasts(*ttl, self.now_s))?;
        let given = match self.known.expires_s {
            Some(at) => format!("{} from now", duration(at.saturating_sub(self.now_s))),
            None => "no end".to_string(),
        };
        Some(format!(
            "`ttl` of {ttl} has no effect: `maquette extend` gave environment `{environment}` {given}; \
             `maquette extend {ttl}` shortens that"
        ))
    }

    /// What would be done, if it expires sooner than noted.
    pub fn sooner(&self, environment: &EnvName) -> Option<String> {
        let at = self.next.expires_s?;
        if !self.is_sooner() {
            return None;
        }
        let left = duration(at.saturating_sub(self.now_s));
        let noted = match self.known.expires_s {
            Some(noted) => format!("in {}", duration(noted.saturating_sub(self.now_s))),
            None => "never".to_string(),
        };
        Some(format!("have environment `{environment}` removed in {left} instead of {noted}"))
    }

    /// What is noted, and what will be, as JSON.
    pub fn json(&self) -> Value {
        let Self { known, next, .. } = self;
        json!({
            "expires_at_s": next.expires_s,
            "ttl_s": next.ttl_s,
            "owner": next.owner,
            "noted_expires_at_s": known.expires_s,
            "sooner": self.is_sooner(),
        })
    }

    /// What becomes of it, in words, or why that stays against a time to live; none if nothing was said.
    pub fn text(&self, environment: &EnvName) -> Option<String> {
        if let Some(text) = self.passed_over(environment) {
            return Some(text);
        }
        if (self.next.expires_s, self.next.is_over) == (self.known.expires_s, self.known.is_over) {
            return None;
        }
        let until = match render::lifetime(&self.next, self.now_s, true) {
            Some(until) => format!("environment `{environment}` {until}"),
            None => format!("environment `{environment}` lasts until it is removed"),
        };
        let noted = render::lifetime(&self.known, self.now_s, true);
        Some(match noted {
            Some(noted) => format!("from then on {until}; now it {noted}"),
            None => format!("from then on {until}"),
        })
    }
}

/// The hypervisor's clock, by which an environment expires: in seconds since 1970.
///
/// # Errors
///
/// It did not say: an environment would expire at once.
pub fn clock(facts: &Facts) -> Result<u64, Failure> {
    let unknown = || {
        let message = "the hypervisor does not tell what time it is, by which environments expire";
        Failure::Failed(StepError::new(message).hint("look at what `date +%s` says there"))
    };
    (facts.now_s != 0).then_some(facts.now_s).ok_or_else(unknown)
}
