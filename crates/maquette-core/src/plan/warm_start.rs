//! Steps of a node that starts from a template.

use super::diff::Planner;
use super::warm::{LATER, beside, is_there, make, reason};
use super::{Action, Op, Readiness, StepId};
use crate::blueprint::{Disk, Image, Node, Template};
use crate::object::ObjectKind;
use crate::settings::StartChoice;

impl Planner<'_> {
    /// The step that makes a template, if it is not there.
    fn template(&mut self, node: &Node, template: &Template) -> Option<StepId> {
        if let Some(made) = self.templates.get(&template.key) {
            return Some(*made);
        }
        let pool = self.blueprint.pool.clone();
        if is_there(template, &pool, self.observed) {
            return None;
        }
        let shown = template.image.shown();
        let reason = reason(template, &pool, self.observed);
        self.change(Op::Create, ObjectKind::Image, &template.name(), shown, reason);
        let fetched = self.fetched.get(template.image.volume.as_str()).copied();
        let required = self.blueprint.start == StartChoice::Warm;
        let made = self.builder.add(make(template, node, &pool, required), fetched, reason);
        self.templates.insert(template.key.clone(), made);
        Some(made)
    }

    /// Templates that are made beside nodes which boot, for the next ones: nothing waits for these.
    pub(super) fn templates_beside(&mut self) {
        for (template, node) in beside(self.blueprint, self.observed, &self.warm) {
            let shown = template.image.shown();
            self.change(Op::Create, ObjectKind::Image, &template.name(), shown, LATER);
            let fetched = self.fetched.get(template.image.volume.as_str()).copied();
            let made = make(template, node, &self.blueprint.pool, false);
            self.builder.add(made, fetched, LATER);
        }
    }

    /// The first disk of a node that starts from a template overlays the template's.
    pub(super) fn overlay(
        &mut self,
        (node, disk): (&Node, &Disk),
        template: &Template,
        defined: StepId,
        reason: &str,
    ) -> StepId {
        let made = self.template(node, template);
        let mut disk = disk.clone();
        disk.backing = Some(Image { volume: template.disk(), ..template.image.clone() });
        let (disk, pool) = (Box::new(disk), self.pool(&node.name));
        let create = Action::CreateVolume { disk, pool, over: Some(template.clone()) };
        self.builder.add(create, std::iter::once(defined).chain(made), reason)
    }

    /// Starts a node from a template.
    pub(super) fn restore(
        &mut self,
        node: &Node,
        template: Template,
        ready: Readiness,
        mut after: Vec<StepId>,
        reason: &str,
    ) {
        after.extend(node.interfaces.iter().filter_map(|i| self.started.get(&i.network)));
        let pool = self.pool(&node.name);
        let node = Box::new(node.clone());
        let restore = Action::RestoreDomain { node, pool, template, ready };
        self.builder.add(restore, after, reason);
    }
}
