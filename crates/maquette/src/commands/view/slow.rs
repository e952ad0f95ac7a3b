//! What takes seconds to find out: whether nodes answer, who changes the environment, what differs from what is asked
//! for, and the picture.

use std::collections::BTreeMap;

use maquette_core::node_state::Evidence;
use maquette_core::observed::Observed;
use maquette_core::plan;
use maquette_view::Feed;
use serde_json::{Value, json};

use super::words;
use crate::cli::Wanted;
use crate::commands::graph;
use crate::failure::Failure;
use crate::load::Located;
use crate::render::graph::{Kind, State, narrow_svg};
use crate::session::{Ask, Session};
use crate::world::World;
use crate::{load, pipeline, render};

/// Who finds it out.
pub struct Slow<'a> {
    /// What is reached; nobody reads its terminal.
    pub world: &'a World,
    /// The environment.
    pub located: &'a Located,
    /// What is asked for. The files are read each time.
    pub wanted: &'a Wanted,
    /// The environment on its hypervisor.
    pub session: &'a Session<'a>,
    /// Where it is told.
    pub feed: &'a Feed,
}

impl Slow<'_> {
    /// Tells the page; what nodes answer is returned.
    pub fn find(&self, observed: &Observed) -> Result<BTreeMap<String, Evidence>, Failure> {
        let uptimes = self.session.uptimes()?;
        let evidence = self.session.evidence(observed, &uptimes, Ask::Nodes)?;
        let changed_by = self.session.changed_by();
        self.feed.set("changed_by", &json!(changed_by));
        // What is off while somebody changes the environment is theirs.
        let drift = plan::drifts(observed).into_iter().filter(|_| changed_by.is_none());
        let drift: Vec<Value> = drift
            .map(|d| json!({"kind": d.kind.as_str(), "name": d.name, "what": d.what}))
            .collect();
        self.feed.set("drift", &json!(drift));
        // Half-built, everything would differ.
        if changed_by.is_none() {
            self.feed.set("plan", &self.plan());
        }
        // Where there is none, the plan says why.
        if let Ok(picture) = self.picture(observed) {
            self.feed.set("picture", &json!(picture));
        }
        Ok(evidence)
    }

    /// Everything that is there is drawn alike: its state is told with it, and changes more often than the picture.
    fn picture(&self, observed: &Observed) -> Result<String, Failure> {
        let mut loaded = load::described(&self.world.environment, self.wanted)?;
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
        let asked = load::described(&self.world.environment, self.wanted)?;
        if !asked.nodes_named && asked.request.nodes.is_empty() {
            return Ok(None);
        }
        let mut loaded = load::wanted(&self.world.environment, self.wanted)?;
        let requirements = pipeline::check(self.world, &mut loaded)?;
        let hypervisor = self.session.prepared_for(&requirements)?;
        let planned = pipeline::plan(self.world, &loaded, &hypervisor, pipeline::Scope::USUAL)?;
        let environment = self.located.environment.to_string();
        let all = render::plan_json(&planned.plan, &environment, &hypervisor.preparation);
        let kept = |change: &&Value| change["op"] != "keep";
        let changes = all["changes"].as_array().into_iter().flatten().filter(kept);
        Ok(Some(changes.map(brief).collect()))
    }
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
