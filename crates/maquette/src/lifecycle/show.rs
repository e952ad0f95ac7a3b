//! Shows what would be done: what `maquette plan` and `maquette virsh plan` do.

use maquette_core::plan::{Plan, Requirements};

use super::renewal::Renewal;
use crate::failure::Failure;
use crate::load::Loaded;
use crate::playbooks::stages::{Stage, Stages};
use crate::session::{Session, authorities};
use crate::session::{elsewhere, entry, lockout};
use crate::world::World;
use crate::{pipeline, render};

/// What is shown of a plan, and how.
pub struct How<'a> {
    /// Stages it is of.
    pub stages: &'a Stages,
    /// The nodes it is about, in the user's words; all of them if there are none.
    pub nodes: &'a [String],
    /// As JSON.
    pub json: bool,
    /// Whether it is no result, but said beside one.
    pub aside: bool,
}

/// Shows what would be done, and says whether there is anything.
pub fn show(
    world: &World,
    loaded: &Loaded,
    requirements: &Requirements,
    how: &How<'_>,
) -> Result<bool, Failure> {
    let environment = &loaded.request.settings.environment;
    let mut session = Session::open(world, loaded.located())?;
    let mut hypervisor = session.prepared_for(requirements)?;
    let networks = how.stages.has(Stage::Networks);
    (!networks).then(|| session.tell_left_overs());
    let scope = pipeline::Scope { nodes: how.nodes, networks, ..pipeline::Scope::USUAL };
    let mut planned = pipeline::plan(world, loaded, &hypervisor, scope)?;
    entry::told_apart(&planned.blueprint.nodes, &session.connection)?;
    planned.objections(session.connection.host.as_ref())?;
    planned.plan = how.stages.part(planned.plan);
    if let Some(more) = planned.needs_besides(requirements) {
        hypervisor = session.prepared_for(&more)?;
    }
    let authorities = &loaded.request.settings.tls_ca;
    let authorities =
        authorities::authorities(&world.terminal, &loaded.called("tls-ca"), authorities)?;
    planned.ask_servers(world, &session.connection, authorities.as_deref())?;
    planned.warn(world, loaded);
    elsewhere::warn(world, &session.located, &planned.plan);
    let preparation = match how.stages.has(Stage::Prepare) {
        true => &hypervisor.preparation,
        false => &Plan::default(),
    };
    let exists = planned.observed.exists();
    let renewal = Renewal::of_up(&loaded.request.settings, &hypervisor.facts, exists)?;
    let shown = |plan: &Plan, title: &str| match how.aside {
        true => world.terminal.plan(plan, title),
        false => world.terminal.plan_as_result(plan, title),
    };
    if how.json {
        let mut value = render::plan_json(&planned.plan, &environment.to_string(), preparation);
        value["lease"] = renewal.json();
        world.terminal.result(&format!("{value:#}"));
    } else {
        if !preparation.is_empty() {
            let title = hypervisor.title();
            shown(preparation, &title);
            if hypervisor.libvirt.is_none() {
                world.terminal.talk(
                    "libvirt does not answer yet; what follows takes the hypervisor for empty",
                );
            }
        }
        let user = &world.environment;
        let lockout = lockout::of(&planned.observed, &loaded.workspace, user);
        if let Some(lockout) = lockout.filter(|_| !planned.plan.is_empty()) {
            world.terminal.talk(&lockout.text(environment, &loaded.workspace));
        }
        shown(&planned.plan, &session.title());
        tell_besides(world, loaded, &planned, &renewal);
    }
    Ok(!preparation.is_empty() || !planned.plan.is_empty())
}

/// Says what a plan itself does not show: who may carry it out, when the environment expires, and what it leaves.
fn tell_besides(world: &World, loaded: &Loaded, planned: &pipeline::Planned, renewal: &Renewal) {
    if planned.shared.is_some() && !planned.plan.is_empty() {
        let text = "another workspace built this environment and shares it with this one: it is changed there only";
        world.terminal.talk(text);
    }
    if let Some(text) = renewal.text(&loaded.request.settings.environment) {
        world.terminal.talk(&text);
    }
    if let Some(rest) = planned.rest() {
        world.terminal.talk(&rest);
    }
}
