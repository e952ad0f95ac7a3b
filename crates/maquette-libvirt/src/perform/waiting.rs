//! Waiting for guests, and what is noted of how that ended.

use std::net::IpAddr;

use maquette_core::doctor::{Finding, first_boot_again, panicked};
use maquette_core::plan::Readiness;
use maquette_engine::ready::{self, Held, Login, NotReady, Pace, Quiet, Watch};
use maquette_engine::{StepContext, StepError};

use super::Libvirt;
use crate::client::{Domain, LibvirtError};
use crate::guest_port::{self, Listener};
use crate::xml::Mark;
use crate::{doctor, domain};

/// How a wait for a guest ended.
pub(super) struct Waited {
    pub(super) domain: Domain,
    pub(super) leased: Leased,
    pub(super) result: Result<(), NotReady>,
}

/// An address that somebody on the LAN gave a guest, and that is known from it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leased {
    /// There is none, or it said nothing.
    None,
    /// A login has worked there.
    Answered(IpAddr),
    /// Only the guest says so.
    Said(IpAddr),
}

impl Leased {
    /// Of a guest whose address was `known` from a login before, if any was.
    fn of(leased: bool, known: Option<IpAddr>, login: &Login<'_>) -> Self {
        match login.address.filter(|_| leased) {
            None => Self::None,
            Some(address) if login.worked || known == Some(address) => Self::Answered(address),
            Some(address) => Self::Said(address),
        }
    }

    fn mark(self) -> Mark {
        let (address, said) = match self {
            Self::None => (None, None),
            Self::Answered(address) => (Some(address), None),
            Self::Said(address) => (None, Some(address)),
        };
        Mark { address, said, ..Mark::default() }
    }
}

/// An error with what was found to be its cause.
fn found(mut error: StepError, finding: Option<Finding>) -> StepError {
    if let Some(finding) = finding {
        error.causes.push(finding.cause);
        error.causes.extend(finding.evidence);
        error.hints.extend(finding.advice);
    }
    error
}

impl Libvirt<'_> {
    /// How to log in to a guest.
    pub(super) fn login<'l>(&'l self, name: &'l str, ready: &Readiness) -> Login<'l> {
        Login {
            config: &self.guests.ssh_config,
            name,
            address: ready.address,
            // A first boot that is done again may have another address.
            reports: ready.leased,
            worked: false,
            jump: if ready.direct { &[] } else { &self.guests.jump },
            host: self.access.host,
        }
    }

    /// Waits for a guest, once it is listened to and was `met`.
    pub(super) fn await_guest(
        &self,
        name: &str,
        ready: &Readiness,
        context: &StepContext<'_>,
        meet: impl FnOnce(&Domain, Option<&Listener>) -> Result<(), StepError>,
    ) -> Result<(), StepError> {
        let waited = self.watch(name, ready, context, meet)?;
        self.conclude(name, waited)
    }

    /// The same, as long as nobody has drawn conclusions.
    pub(super) fn watch(
        &self,
        name: &str,
        ready: &Readiness,
        context: &StepContext<'_>,
        meet: impl FnOnce(&Domain, Option<&Listener>) -> Result<(), StepError>,
    ) -> Result<Waited, StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot watch domain `{name}`")).because(e);
        let client = self.client()?;
        let domain = client.domain(name).map_err(failed)?.ok_or_else(|| {
            StepError::new(format!("cannot wait for domain `{name}`: it is not defined"))
        })?;
        let (sender, receiver) = guest_port::channel();
        // Without the port there still is SSH.
        let listener = guest_port::listen(client, name, sender).ok();
        if let Err(why) = meet(&domain, listener.as_ref()) {
            listener.into_iter().for_each(Listener::close);
            return Err(why);
        }
        let mut login = self.login(name, ready);
        if login.reports {
            // What it said to a run that could not log in: it says so once.
            login.address = domain::marked(&domain).said.or(ready.address);
        }
        let before = self.console_end(name);
        let look = |quiet: &Quiet<'_>| self.held_up(name, quiet, &before);
        let watch = Watch { pace: Pace::default(), look: &look };
        let limit = self.guests.limit;
        let result = ready::wait(&mut login, &receiver, limit, &watch, context);
        if let Some(listener) = listener {
            listener.close();
        }
        Ok(Waited { domain, leased: Leased::of(ready.leased, ready.address, &login), result })
    }

    /// What holds up a guest that says nothing, whose console ended with `before` when the wait began: what it says there
    /// may be of an earlier boot.
    fn held_up(&self, name: &str, quiet: &Quiet<'_>, before: &str) -> Option<Held> {
        // A hundred guests that say nothing do so for one reason, and looking takes many calls.
        let _turn = self.examining.try_lock().ok()?;
        let console = self.console_end(name);
        let is_new = console != before;
        if is_new && let Some(words) = panicked(&console) {
            return Some(Held { words: words.into(), for_good: true });
        }
        if !quiet.is_long {
            return None;
        }
        let finding = self.explain(name, quiet.login)?;
        // Much of it passes by itself where guests are slow, and is told once it has not.
        if !(quiet.again || finding.is_plain()) {
            return None;
        }
        let for_good = finding.is_final() && (is_new || quiet.again);
        Some(Held { words: finding.briefly(), for_good })
    }

    /// Marks a domain as ready, or says why it is not.
    pub(super) fn conclude(&self, name: &str, waited: Waited) -> Result<(), StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot watch domain `{name}`")).because(e);
        let Waited { domain, leased, result } = waited;
        let mark = |ready: bool, failed: Option<String>| Mark { ready, failed, ..leased.mark() };
        // The reason why it is not ready is worth more than a mark that cannot be made.
        match &result {
            Err(NotReady::Failed { errors, .. }) => {
                let why = format!("cloud-init failed: {}", errors.join("; "));
                let _ = domain::mark(&domain, &mark(false, Some(why)));
            }
            // One that was up is still known by where it answered then.
            Err(_) if matches!(leased, Leased::Said(_)) && !domain::marked(&domain).ready => {
                let _ = domain::mark(&domain, &mark(false, None));
            }
            _ => {}
        }
        match result {
            Ok(()) => domain::mark(&domain, &mark(true, None)).map_err(failed),
            Err(reason) => Err(self.not_ready(name, reason)),
        }
    }

    /// What is known of why a node is not ready.
    fn explain(&self, name: &str, login: Option<&str>) -> Option<Finding> {
        let waiting = doctor::Waiting { name, login };
        doctor::explain(self.client().ok()?, self.access.host, self.key.as_ref(), &waiting)
    }

    fn not_ready(&self, name: &str, reason: NotReady) -> StepError {
        let next = what_next(name, &reason);
        let mut error = match reason {
            NotReady::Cancelled => {
                return StepError::interrupted("it goes on booting");
            }
            NotReady::Lost => return self.lost(),
            NotReady::TimedOut { stage, last } => {
                let seconds = self.guests.limit.as_secs();
                let mut error = StepError::new(format!(
                    "`{name}` was not ready after {seconds} s; it came as far as: {stage}"
                ));
                let finding = self.explain(name, last.as_deref());
                let waiting_helps = finding.as_ref().is_none_or(Finding::may_pass);
                error = found(error, finding);
                error.causes.extend(last);
                match waiting_helps {
                    true => error.hint("`--timeout SECONDS` waits longer"),
                    false => error,
                }
            }
            NotReady::Halted(cause) => {
                let error =
                    StepError::new(format!("`{name}` does not get ready, however long one waits"));
                match self.explain(name, None) {
                    Some(finding) => found(error, Some(finding)),
                    None => StepError { causes: vec![cause], ..error },
                }
            }
            NotReady::Stopped => {
                let error =
                    StepError::new(format!("`{name}` stopped while it booted for the first time"));
                found(error, self.explain(name, None))
            }
            NotReady::Failed { fault, errors } => {
                let mut error = StepError::new(format!("cloud-init failed on `{name}`"));
                error.causes = errors;
                match fault.hint() {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
        };
        error.excerpt = self.console(name);
        error
            .hint(format!("nothing was removed; look at it with `maquette console {name}`"))
            .hint(next)
    }
}

/// What to do about a node that is not ready. A first boot that failed does not go on, however long one waits.
fn what_next(name: &str, reason: &NotReady) -> String {
    match reason {
        NotReady::Failed { .. } => first_boot_again(name),
        NotReady::Halted(_) => format!(
            "`maquette reset {name}` boots it again, and `maquette down {name}` removes this node"
        ),
        _ => format!(
            "run the same command again to go on waiting, or `maquette down {name}` to remove this node"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use maquette_engine::host::Local;
    use maquette_engine::ready::Fault;

    use super::*;

    /// The advice was to wait, which came to the same error each time.
    #[test]
    fn a_first_boot_that_failed_is_begun_anew_and_not_waited_for() {
        let failed = NotReady::Failed { fault: Fault::Other, errors: vec!["x".into()] };
        let next = what_next("lab-web-0", &failed);
        assert!(
            next.contains("`maquette restart lab-web-0`") && !next.contains("waiting"),
            "{next}"
        );
        let halted = what_next("lab-web-0", &NotReady::Halted("x".into()));
        assert!(halted.contains("`maquette reset lab-web-0`") && !halted.contains("waiting"));
        assert!(what_next("lab-web-0", &NotReady::Lost).contains("go on waiting"));
    }

    /// A hint led to `maquette down`, which is about the whole environment.
    #[test]
    fn what_to_do_about_a_node_is_about_that_node() {
        let failed = NotReady::Failed { fault: Fault::Other, errors: vec!["x".into()] };
        let others = [NotReady::Stopped, NotReady::Halted("x".into()), NotReady::Lost];
        for reason in others.into_iter().chain([failed, NotReady::Cancelled]) {
            let next = what_next("lab-web-0", &reason);
            for verb in ["down", "reset", "restart", "start"] {
                let about_all = format!("`maquette {verb}`");
                assert!(!next.contains(&about_all), "{next}");
            }
            assert!(next.contains("lab-web-0`"), "{next}");
        }
    }

    /// It was recorded at once, and everybody who looked connected to it.
    #[test]
    fn what_a_guest_says_counts_once_a_login_has_worked() {
        let ip = IpAddr::from([192, 0, 2, 1]);
        let other = IpAddr::from([192, 0, 2, 9]);
        for (leased, known, worked, expected) in [
            (true, None, false, Leased::Said(ip)),
            (true, None, true, Leased::Answered(ip)),
            // A restart forgot it.
            (true, Some(ip), false, Leased::Answered(ip)),
            // Another lease counts as the first one does.
            (true, Some(other), false, Leased::Said(ip)),
            (true, Some(other), true, Leased::Answered(ip)),
            (false, Some(ip), true, Leased::None),
        ] {
            let (config, address) = (Path::new("/nonexistent"), Some(ip));
            let reports = leased;
            let login =
                Login { config, name: "n", address, reports, worked, jump: &[], host: &Local };
            assert_eq!(Leased::of(leased, known, &login), expected);
        }
        let mark = Leased::Said(ip).mark();
        assert_eq!((mark.address, mark.said), (None, Some(ip)));
    }
}
