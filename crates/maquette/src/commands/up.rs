//! `maquette up`.

use std::io::IsTerminal;
use std::time::Duration;

use maquette_core::blueprint::Pool;
use maquette_core::plan::Plan;
use maquette_engine::StepError;
use maquette_engine::keys::KEY_FILE;

use super::run::Runner;
use super::status;
use crate::cli::Up;
use crate::failure::Failure;
use crate::pipeline::Planned;
use crate::workspace::Workspace;
use crate::{load, outputs, pipeline, print, render};

/// Brings an environment to what is asked for.
pub fn run(args: &Up) -> Result<u8, Failure> {
    let mut loaded = load::wanted(&args.wanted)?;
    pipeline::check(&mut loaded)?;
    let settings = &loaded.request.settings;
    let environment = settings.environment.clone();
    let pool = Pool { name: settings.pool_name.clone(), path: settings.pool_path.clone() };
    let workspace = Workspace::locate(args.wanted.place.workspace.as_deref(), &environment);
    let show = |text: &str| {
        if args.json {
        } else {
            print::talk(text.trim_end())
        }
    };

    let mut hypervisor = pipeline::hypervisor(&pool)?;
    let runner = |hypervisor: &pipeline::Hypervisor, virt| {
        let limit = Duration::from_secs(args.timeout);
        let config = workspace.file(outputs::SSH_CONFIG);
        Runner::new(args.json, &hypervisor.facts, virt, config, limit)
    };
    if !hypervisor.preparation.is_empty() {
        let title = format!("hypervisor, {}", hypervisor.facts.os.name);
        show(&render::plan(&hypervisor.preparation, &title));
        let virt = maquette_core::topology::VirtType::Qemu;
        let client = hypervisor.client.take();
        runner(&hypervisor, virt)?.run(&hypervisor.preparation, &hypervisor.facts, client)?;
        hypervisor = pipeline::hypervisor(&pool)?;
        if !hypervisor.preparation.is_empty() {
            return Err(unprepared(&hypervisor.preparation));
        }
    }
    let Planned { blueprint, plan, key } = pipeline::plan(&mut loaded, &hypervisor, &workspace)?;
    show(&render::plan(&plan, &format!("environment `{environment}` on {}", pipeline::URI)));
    confirm(&plan, args)?;

    let failed = |e: &dyn std::error::Error| Failure::because("cannot write the workspace", e);
    workspace.create().map_err(|e| failed(&e))?;
    if !workspace.file(KEY_FILE).exists() {
        key.write(&workspace.path).map_err(|e| failed(&e))?;
    }
    // All is known beforehand; and readiness is checked with this very configuration.
    let nodes: Vec<_> = blueprint.nodes.iter().collect();
    outputs::write(&workspace, &nodes).map_err(|e| failed(&e))?;
    if !plan.is_empty() {
        let virt =
            blueprint.nodes.first().map_or(maquette_core::topology::VirtType::Qemu, |n| n.virt);
        let client = hypervisor.client.take();
        runner(&hypervisor, virt)?.run(&plan, &hypervisor.facts, client)?;
    }
    if !args.json {
        if !plan.is_empty() {
            hypervisor = pipeline::hypervisor(&pool)?;
        }
        let observed = pipeline::look(&hypervisor, &environment, &pool.name)?;
        print::result(&status::text(&observed, &workspace));
    }
    Ok(0)
}

/// A preparation that changes nothing would otherwise be tried for ever.
fn unprepared(left: &Plan) -> Failure {
    let what: Vec<&str> = left.changes.iter().map(|c| c.name.as_str()).collect();
    Failure::Failed(
        StepError::new(format!("the hypervisor is still not ready: {}", what.join(", ")))
            .hint("`journalctl -u libvirtd`, or libvirt's log, may say why"),
    )
}

/// Asks before nodes lose their disks. Without a terminal, `--yes` has to be given.
fn confirm(plan: &Plan, args: &Up) -> Result<(), Failure> {
    let losses = plan.losses();
    if losses.is_empty() || args.yes {
        return Ok(());
    }
    let list = losses.join(", ");
    if args.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let mut diags = maquette_core::diagnostic::Diagnostics::default();
        diags.push(
            maquette_core::diagnostic::Diagnostic::error(
                "plan::unconfirmed",
                format!("this would remove the disks of {list}"),
            )
            .help("say `--yes` if that is what you want"),
        );
        return Err(Failure::Input(diags, maquette_core::syntax::Sources::default()));
    }
    print::talk(&format!("This removes the disks of {list}. Continue? [y/N]"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::because("cannot read the answer", &e))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed(StepError::new("nothing was done")))
    }
}
