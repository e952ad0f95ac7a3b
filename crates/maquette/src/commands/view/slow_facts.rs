//! What takes seconds to find out: whether nodes answer, who changes the environment, what differs from what is asked
//! for, and the picture.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use maquette_core::node_state::Evidence;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_view::Feed;
use serde_json::{Value, json};

use super::words;
use crate::cli::TopologyArgs;
use crate::commands::graph;
use crate::failure::Failure;
use crate::load::Located;
use crate::render::graph::{Kind, State, narrow_svg};
use crate::session::{Ask, Session};
use crate::world::World;
use crate::{load, pipeline, render};

/// How long it is believed that nothing has changed of which nobody tells: packages of the hypervisor, images.
const BELIEVED: Duration = Duration::from_secs(60);

/// What was found out before, and from what it follows.
#[derive(Default)]
pub struct Known {
    uptimes: Option<(Instant, BTreeMap<String, u64>)>,
    plan: Option<(Instant, Basis)>,
}

/// What a plan follows from, as far as that can be looked at without asking a hypervisor or reading an image.
#[derive(PartialEq)]
struct Basis {
    observed: Observed,
    asked: Vec<(String, String)>,
}

impl Known {
    /// For how long domains have run by now, if that follows from what was known.
    fn uptimes(&self) -> Option<BTreeMap<String, u64>> {
        let (at, uptimes) = self.uptimes.as_ref().filter(|(at, _)| at.elapsed() < BELIEVED)?;
        let since = at.elapsed().as_secs();
        Some(
            uptimes
                .iter()
                .map(|(name, seconds)| (name.clone(), seconds.saturating_add(since)))
                .collect(),
        )
    }

    /// Whether a plan for this was told a while ago; otherwise it is noted as told.
    fn has_plan(&mut self, basis: Basis) -> bool {
        let told = |(at, known): &(Instant, Basis)| at.elapsed() < BELIEVED && *known == basis;
        let told = self.plan.as_ref().is_some_and(told);
        if !told {
            self.plan = Some((Instant::now(), basis));
        }
        told
    }
}

/// Who finds it out.
pub struct Slow<'a> {
    /// What is reached; nobody reads its terminal.
    pub world: &'a World,
    /// Which environment, and where.
    pub located: &'a Located,
    /// What is asked for. The files are read each time.
    pub wanted: &'a TopologyArgs,
    /// The environment on its hypervisor.
    pub session: &'a Session<'a>,
    /// Where it is told.
    pub feed: &'a Feed,
    /// What it has found out before.
    pub known: RefCell<Known>,
}

impl Slow<'_> {
    /// Tells the page; what nodes answer is returned. `happened` says whether anything has happened to domains since
    /// it was last asked.
    pub fn find(
        &self,
        observed: &Observed,
        happened: bool,
    ) -> Result<BTreeMap<String, Evidence>, Failure> {
        let uptimes = self.uptimes(happened)?;
        let evidence = self.session.evidence_at(observed, &uptimes, Ask::Nodes)?;
        let changed_by = self.session.changed_by();
        self.feed.set("changed_by", &json!(changed_by));
        // What is off while somebody changes the environment is theirs.
        let drift = plan::drifts(observed).into_iter().filter(|_| changed_by.is_none());
        let drift: Vec<Value> = drift
            .map(|d| json!({"kind": d.kind.as_str(), "name": d.name, "what": d.what}))
            .collect();
        self.feed.set("drift", &json!(drift));
        let basis = Basis { observed: lasting(observed), asked: self.asked() };
        if changed_by.is_some() {
            // Half-built, everything would differ.
            self.known.borrow_mut().plan = None;
        } else if !self.known.borrow_mut().has_plan(basis) {
            self.feed.set("plan", &self.plan());
        }
        // Where there is none, the plan says why.
        if let Ok(picture) = self.picture(observed) {
            self.feed.set("picture", &json!(picture));
        }
        Ok(evidence)
    }

    /// For how long domains have run. To ask for that is to ask for all that a hypervisor is.
    fn uptimes(&self, happened: bool) -> Result<BTreeMap<String, u64>, Failure> {
        let known = self.known.borrow().uptimes();
        if let Some(known) = known.filter(|_| !happened) {
            return Ok(known);
        }
        let uptimes = self.session.uptimes()?;
        self.known.borrow_mut().uptimes = Some((Instant::now(), uptimes.clone()));
        Ok(uptimes)
    }

    /// The texts of all that was read of what is asked for.
    fn asked(&self) -> Vec<(String, String)> {
        let loaded = load::described(&self.world.environment, self.wanted);
        loaded.sources.texts().map(|(n, t)| (n.into(), t.into())).collect()
    }

    /// Everything that is there is drawn alike: its state is told with it, and changes more often than the picture.
    fn picture(&self, observed: &Observed) -> Result<String, Failure> {
        let mut loaded = load::described(&self.world.environment, self.wanted);
        pipeline::check_drawn(self.world, graph::without_image(&mut loaded))?;
        let state = |kind: Kind, name: &str| match kind {
            Kind::Network => match observed.networks.get(name) {
                Some(network) if !network.active => State::Off,
                Some(_) => State::Active,
                None => State::Planned,
            },
            Kind::Node if observed.domains.contains_key(name) => State::Active,
            Kind::Node => State::Planned,
        };
        Ok(narrow_svg(&graph::scene(&loaded, observed, &state)?))
    }

    /// What `up` would do; why that cannot be told; or that nothing is asked for here.
    fn plan(&self) -> Value {
        match self.changes() {
            Ok(Some(changes)) => json!({"changes": changes}),
            Ok(None) => json!({"asked": false}),
            Err(failure) => json!({"error": words(&failure)}),
        }
    }

    fn changes(&self) -> Result<Option<Value>, Failure> {
        let asked = load::described(&self.world.environment, self.wanted);
        if !asked.nodes_named && asked.request.nodes.is_empty() {
            return Ok(None);
        }
        let mut loaded = load::wanted(&self.world.environment, self.wanted);
        let requirements = pipeline::check(self.world, &mut loaded)?;
        let hypervisor = self.session.look_for(&requirements)?;
        let planned = pipeline::plan(self.world, &loaded, &hypervisor, pipeline::Scope::USUAL)?;
        let environment = self.located.environment.to_string();
        let all = render::plan_json(&planned.plan, &environment, &hypervisor.preparation);
        let kept = |change: &&Value| change["op"] != "keep";
        let changes = all["changes"].as_array().into_iter().flatten().filter(kept);
        Ok(Some(changes.map(brief).collect()))
    }
}

/// What was observed without what changes by itself while nothing is done.
fn lasting(observed: &Observed) -> Observed {
    Observed { pool_free: None, ..observed.clone() }
}

/// A change as the page shows it.
fn brief(change: &Value) -> Value {
    json!({
        "op": change["op"],
        "kind": change["kind"],
        "name": change["name"],
        "reason": change["reason"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan asks the hypervisor for all that it is, and reads images.
    #[test]
    fn a_plan_is_made_again_only_if_something_else_is_asked_for_or_there() {
        let basis = |observed: &Observed, text: &str| Basis {
            observed: lasting(observed),
            asked: vec![("maquette.yaml".into(), text.into())],
        };
        let mut known = Known::default();
        let mut observed = Observed::default();
        assert!(!known.has_plan(basis(&observed, "nodes: {}")));
        observed.pool_free = Some(7);
        assert!(known.has_plan(basis(&observed, "nodes: {}")));
        assert!(!known.has_plan(basis(&observed, "nodes: {web: 1}")));
        observed.volumes.insert("pool".into(), ["v".to_string()].into());
        assert!(!known.has_plan(basis(&observed, "nodes: {web: 1}")));
        assert!(known.has_plan(basis(&observed, "nodes: {web: 1}")));
    }
}
