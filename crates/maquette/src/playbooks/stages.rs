//! The stages of InfraRed, which its users select by tag and replace by playbooks.

use maquette_core::object::ObjectKind;
use maquette_core::plan::{Action, Change, Op, Plan};

/// A stage of InfraRed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before anything.
    Pre,
    /// The hypervisor's capacity.
    Validate,
    /// The hypervisor's preparation.
    Prepare,
    /// Networks.
    Networks,
    /// Images, volumes and domains.
    Vms,
    /// The user in the guests, which their first boot sets up.
    User,
    /// Their time zone, which their first boot sets up as well.
    Timezone,
    /// After everything.
    Post,
    /// Ansible facts of controller and hypervisor.
    Facts,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 9] = [
        Self::Pre,
        Self::Validate,
        Self::Prepare,
        Self::Networks,
        Self::Vms,
        Self::User,
        Self::Timezone,
        Self::Post,
        Self::Facts,
    ];

    /// The tag that selects it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Pre => "pre",
            Self::Validate => "validations",
            Self::Prepare => "hypervisor",
            Self::Networks => "networks",
            Self::Vms => "vms",
            Self::User => "user",
            Self::Timezone => "timezone",
            Self::Post => "post",
            Self::Facts => "collect-ansible-facts",
        }
    }

    /// The stage that an action belongs to.
    pub fn of(action: &Action) -> Self {
        match action {
            Action::Apply(_)
            | Action::Restore(_)
            | Action::OpenForwarding { .. }
            | Action::CloseForwarding { .. } => Self::Prepare,
            Action::DefineNetwork { .. }
            | Action::UpdateNetwork { .. }
            | Action::BridgeNic { .. }
            | Action::ReleaseNic { .. }
            | Action::MakeVswitch { .. }
            | Action::RemoveVswitch { .. }
            | Action::Reconnect { .. }
            | Action::StartNetwork { .. }
            | Action::StopNetwork { .. }
            | Action::UndefineNetwork { .. } => Self::Networks,
            Action::SetTimezone { .. } => Self::Timezone,
            Action::FetchImage { .. }
            | Action::DefineDomain { .. }
            | Action::MakePool { .. }
            | Action::RemovePool { .. }
            | Action::CreateVolume { .. }
            | Action::CreateSeed { .. }
            | Action::ResizeVolume { .. }
            | Action::DeleteVolume { .. }
            | Action::KeepVolume { .. }
            | Action::StartDomain { .. }
            | Action::MakeTemplate { .. }
            | Action::RestoreDomain { .. }
            | Action::AwaitDomain { .. }
            | Action::ChangeDomain { .. }
            | Action::PauseDomain { .. }
            | Action::ResetDomain { .. }
            | Action::ShareDomain { .. }
            | Action::RecordDomain { .. }
            | Action::ResumeDomain { .. }
            | Action::ServeBmcs { .. }
            | Action::ForgetBmcs { .. }
            | Action::StopBmcs { .. }
            | Action::StopDomain { .. }
            | Action::UndefineDomain { .. } => Self::Vms,
        }
    }
}

/// Which stages run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// All of them.
    pub fn all() -> Self {
        Self(Stage::ALL.to_vec())
    }

    /// These only.
    pub fn only(stages: Vec<Stage>) -> Self {
        Self(stages)
    }

    /// All but these.
    #[must_use]
    pub fn without(mut self, stages: &[Stage]) -> Self {
        self.0.retain(|s| !stages.contains(s));
        self
    }

    /// Whether a stage runs.
    pub fn has(&self, stage: Stage) -> bool {
        self.0.contains(&stage)
    }

    /// The part of a plan that belongs to these stages.
    pub fn part(&self, plan: Plan) -> Plan {
        if *self == Self::all() {
            return plan;
        }
        let kind = |kind: ObjectKind| match kind {
            ObjectKind::Network => self.has(Stage::Networks),
            ObjectKind::Host => self.has(Stage::Prepare),
            ObjectKind::Image | ObjectKind::Domain | ObjectKind::Volume | ObjectKind::Bmc => {
                self.has(Stage::Vms)
            }
        };
        // Addresses are reserved for nodes; without their stage the ones that are there keep theirs.
        let reserves = |a: &Action| matches!(a, Action::UpdateNetwork { .. });
        let nodes = self.has(Stage::Vms);
        let zoned = if nodes { Vec::new() } else { self.zoned(&plan) };
        let mut part =
            plan.only(|action| self.has(Stage::of(action)) && (nodes || !reserves(action)), kind);
        part.changes.extend(zoned);
        part
    }

    /// Guests whose time zone is set, which is all that becomes of their nodes without the stage of these.
    fn zoned(&self, plan: &Plan) -> Vec<Change> {
        let zones = plan.steps.iter().filter(|_| self.has(Stage::Timezone));
        let zones = zones.filter_map(|step| match &step.action {
            Action::SetTimezone { node, zone, .. } => Some((node.name.to_string(), zone)),
            _ => None,
        });
        let change = |(name, zone)| Change {
            op: Op::Update,
            kind: ObjectKind::Domain,
            name,
            detail: format!("time zone {zone}"),
            reason: "its time zone changes".into(),
        };
        zones.map(change).collect()
    }
}
