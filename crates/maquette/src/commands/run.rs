//! Carrying a plan out, for every verb that does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use maquette_core::plan::Plan;
use maquette_core::topology::VirtType;
use maquette_engine::executor;
use maquette_engine::host::facts::Facts;
use maquette_libvirt::{Client, Guests, Libvirt};

use crate::failure::Failure;
use crate::report::{self, Reporter};
use crate::{pipeline, print, workspace};

/// What all runs of one command share.
pub struct Runner {
    reporter: Box<dyn Reporter>,
    cancelled: Arc<AtomicBool>,
    guests: Guests,
}

impl Runner {
    /// Prepares for runs: how to report, and what Ctrl-C does. The first lets running steps end, the
    /// second ends the program at once; either way the next `up` goes on from there.
    pub fn new(
        json: bool,
        facts: &Facts,
        virt: VirtType,
        ssh_config: PathBuf,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, cancelled.clone())
                .and_then(|_| signal_hook::flag::register(signal, cancelled.clone()))
                .map_err(|e| Failure::because("cannot catch signals", &e))?;
        }
        let guests = Guests { ssh_config, limit, boots: pipeline::boots(facts, virt) };
        Ok(Self { reporter: report::choose(json), cancelled, guests })
    }

    /// Carries a plan out.
    pub fn run(
        &mut self,
        plan: &Plan,
        facts: &Facts,
        client: Option<Client>,
    ) -> Result<(), Failure> {
        let mut backend = Libvirt::new(
            pipeline::URI,
            pipeline::host(),
            facts.os.family(),
            &workspace::built_images(),
            self.guests.clone(),
        );
        if let Some(client) = client {
            backend = backend.with_client(client);
        }
        let reporter = &mut self.reporter;
        let summary =
            executor::run(&plan.steps, &backend, &self.cancelled, &mut |e| reporter.event(&e));
        if summary.is_success() {
            return Ok(());
        }
        if summary.failed == 0 && self.cancelled.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        print::talk("what is done stays; mend the cause and run the same command again to go on");
        Err(Failure::Shown)
    }
}
