//! Tells the page what happens: libvirt's events at once, and in between what nobody tells of.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use maquette_core::node_state::Evidence;
use maquette_core::observed::{Domain, Observed};
use maquette_engine::{Cause, StepError};
use maquette_libvirt::DomainEvent;
use maquette_view::Feed;
use serde_json::{Value, json};

use super::slow_facts::Slow;
use super::words;
use crate::cli::TopologyArgs;
use crate::failure::Failure;
use crate::load::Located;
use crate::render::Row;
use crate::session::{Interfaces, Session};
use crate::world::World;

/// How long it waits before a hypervisor that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often it looks at most, however much happens.
const LOOK: Duration = Duration::from_millis(100);
/// What part of the time it looks at most: a look at many nodes is work for the hypervisor, which `maquette up` wants
/// to itself just when most happens.
const PART: u32 = 5;
/// How often it looks although nothing happened: a network has no events, and neither has a pulled cable.
const ANYWAY: Duration = Duration::from_secs(5);
/// How long it waits for an event before it sees to the rest.
const TICK: Duration = Duration::from_millis(250);

/// Watches until told to stop, whatever happens to the hypervisor.
pub fn forever(
    world: &World,
    located: &Located,
    wanted: &TopologyArgs,
    feed: &Feed,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::SeqCst) {
        let watched = Session::open(world, located.clone())
            .and_then(|mut session| watch(world, located, wanted, &mut session, feed, stop));
        if let Err(failure) = watched {
            feed.set("problem", &json!(words(&failure)));
        }
        for _ in 0..AGAIN.as_millis() / TICK.as_millis() {
            if !stop.load(Ordering::SeqCst) {
                std::thread::sleep(TICK);
            }
        }
    }
}

/// How long after a look that took so long the next one follows at the earliest.
fn pause(took: Duration) -> Duration {
    (took * (PART - 1)).clamp(LOOK, ANYWAY)
}

/// Watches over one connection.
fn watch(
    world: &World,
    located: &Located,
    wanted: &TopologyArgs,
    session: &mut Session<'_>,
    feed: &Feed,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let (sender, events) = mpsc::channel();
    let failed = |e: Cause| Failure::because("cannot listen to libvirt", e);
    // Listening begins before looking, so that nothing is missed between the two.
    let _listening =
        world.libvirt.listen(&session.connection.uri, &sender).map_err(|e| failed(e.into()))?;
    session.running()?;
    let session = &*session;
    feed.set("hypervisor", &json!(session.connection.label));
    feed.remove("problem");
    let slow = Slow { world, located, wanted, session, feed, known: RefCell::default() };
    // One question waits at most, so that there are no more answers either.
    let (ask, questions) = mpsc::sync_channel(1);
    let (answer, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (observed, changed) in questions {
                if answer.send(slow.find(&observed, changed)).is_err() {
                    return;
                }
            }
        });
        let mut now = Now { session, feed, evidence: BTreeMap::new() };
        let watched = now.follow(&events, &ask, &answers, stop);
        if let Err(failure) = &watched {
            // What is asked just now may take long to fail, too.
            feed.set("problem", &json!(words(failure)));
        }
        drop(ask);
        watched
    })
}

/// What is shown of the nodes just now.
struct Now<'a> {
    session: &'a Session<'a>,
    feed: &'a Feed,
    evidence: BTreeMap<String, Evidence>,
}

impl Now<'_> {
    /// Looks, and has `slow` look, until told to stop or the hypervisor is lost.
    fn follow(
        &mut self,
        events: &mpsc::Receiver<DomainEvent>,
        ask: &mpsc::SyncSender<(Observed, bool)>,
        answers: &mpsc::Receiver<Result<BTreeMap<String, Evidence>, Failure>>,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let (mut looked, mut asked) = (None::<Instant>, None::<Instant>);
        let due = |since: Option<Instant>, every| since.is_none_or(|s| s.elapsed() >= every);
        let (mut changed, mut heard, mut least) = (true, true, LOOK);
        while !stop.load(Ordering::SeqCst) {
            if due(looked, least) && (changed || due(looked, ANYWAY)) {
                let began = Instant::now();
                let observed = self.look()?;
                (looked, changed, least) = (Some(Instant::now()), false, pause(began.elapsed()));
                // The next one follows when this one has been answered.
                if due(asked, ANYWAY) && ask.try_send((observed, heard)).is_ok() {
                    (asked, heard) = (Some(Instant::now()), false);
                }
            }
            if let Ok(found) = answers.try_recv() {
                self.evidence = found?;
                changed = true;
            }
            if self.heard(events)? {
                (changed, heard) = (true, true);
            }
            if let Some(left) = looked.and_then(|l| least.checked_sub(l.elapsed()))
                && changed
            {
                std::thread::sleep(left.min(TICK));
            }
        }
        Ok(())
    }

    fn look(&self) -> Result<Observed, Failure> {
        let observed = self.session.look_again(Interfaces::AsBefore)?;
        let rows = Row::all(&observed, &self.evidence);
        let nodes = rows.iter().enumerate().filter_map(|(place, row)| {
            let domain = observed.domains.get(row.name.as_str())?;
            Some((row.name.clone(), node(row, domain, place)))
        });
        self.feed.set_all("node/", &nodes.collect());
        Ok(observed)
    }

    /// Waits a moment for events; whether there were any. What is known of a node that something happened to is not
    /// believed any more.
    fn heard(&mut self, events: &mpsc::Receiver<DomainEvent>) -> Result<bool, Failure> {
        let first = match events.recv_timeout(TICK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => DomainEvent::Closed,
        };
        for event in std::iter::once(first).chain(events.try_iter()) {
            match event {
                DomainEvent::Changed(name)
                | DomainEvent::Rebooted(name)
                | DomainEvent::DeviceRemoved(name) => {
                    if let Some(evidence) = self.evidence.get_mut(&name) {
                        let uptime_s = evidence.uptime_s;
                        *evidence = Evidence { uptime_s, ..Evidence::default() };
                    }
                }
                DomainEvent::Closed => {
                    let label = &self.session.connection.label;
                    let error = StepError::new(format!("{label} ended the connection"));
                    return Err(Failure::Failed(error));
                }
            }
        }
        Ok(true)
    }
}

/// A node as the page shows it. `place` is where it stands among the others.
fn node(row: &Row, domain: &Domain, place: usize) -> Value {
    let interfaces = domain.recorded.interfaces.iter().map(|interface| {
        json!({
            "name": interface.name,
            "network": interface.network,
            "mac": interface.mac.to_string(),
            "address": interface.ipv4.address().map(|net| net.addr().to_string()),
            "pulled": domain.pulled.contains(&interface.mac),
        })
    });
    let mut value = row.json();
    value["interfaces"] = interfaces.collect();
    value["place"] = json!(place);
    value["good"] = json!(row.good);
    value["active"] = json!(domain.active);
    // Minutes are enough, and do not change with every look.
    value["uptime_s"] = json!(row.uptime_s.map(|seconds| seconds / 60 * 60));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hypervisor_that_takes_long_to_look_at_is_looked_at_less_often() {
        let seconds = Duration::from_secs_f32;
        assert_eq!(pause(seconds(0.001)), LOOK);
        assert_eq!(pause(seconds(0.5)), seconds(2.0));
        assert_eq!(pause(seconds(60.0)), ANYWAY);
    }
}
