//! The backend: one action, one place that carries it out.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

use maquette_core::plan::{Action, Readiness};
use maquette_engine::host::family::Family;
use maquette_engine::host::{self, Host};
use maquette_engine::image::{self, Source};
use maquette_engine::ready::{self, Login, NotReady};
use maquette_engine::{Backend, Lanes, StepContext, StepError};

use crate::client::{self, Client, LibvirtError};
use crate::{domain, network, signals, volume, xml};

/// How guests are reached and how long they may take.
#[derive(Debug, Clone)]
pub struct Guests {
    /// The workspace's SSH configuration.
    pub ssh_config: PathBuf,
    /// How long a first boot may take.
    pub limit: Duration,
    /// How many may boot at once.
    pub boots: usize,
}

/// libvirt on a hypervisor.
pub struct Libvirt<'a> {
    uri: String,
    host: &'a dyn Host,
    family: Option<&'static Family>,
    built_images: PathBuf,
    guests: Guests,
    client: OnceLock<Client>,
    opening: Mutex<()>,
}

impl<'a> Libvirt<'a> {
    /// A backend that opens `uri` when it is first needed: before that, a plan may have to install
    /// libvirt.
    pub fn new(
        uri: &str,
        host: &'a dyn Host,
        family: Option<&'static Family>,
        built_images: &Path,
        guests: Guests,
    ) -> Self {
        Self {
            uri: uri.into(),
            host,
            family,
            built_images: built_images.into(),
            guests,
            client: OnceLock::new(),
            opening: Mutex::new(()),
        }
    }

    /// Uses a connection that is open already.
    #[must_use]
    pub fn with_client(self, client: Client) -> Self {
        // There is no other yet.
        let _ = self.client.set(client);
        self
    }

    /// The connection.
    pub fn client(&self) -> Result<&Client, StepError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let _one_at_a_time = self.opening.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::open(&self.uri).map_err(|e| {
            StepError::new(format!("cannot connect to libvirt at {}", self.uri)).because(&e)
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    fn install(&self, packages: &[String], context: &StepContext<'_>) -> Result<(), StepError> {
        let family = self.family.ok_or_else(|| {
            StepError::new("cannot install packages: this system's package manager is not known")
                .hint(format!("install these by hand: {}", packages.join(", ")))
        })?;
        let mut on_line = |line: &str| (context.progress)(line.to_string());
        host::install(self.host, family, packages, &mut on_line)
            .map_err(|e| StepError::new("cannot install packages").because(&e))
    }

    fn start_daemons(&self) -> Result<(), StepError> {
        host::daemons::start(self.host)
            .map_err(|e| StepError::new("cannot start libvirt").because(&e))?;
        // A daemon goes into the background once its socket answers.
        self.client().map(|_| ())
    }

    fn start_domain(
        &self,
        name: &str,
        ready: Option<&Readiness>,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot start domain `{name}`")).because(&e);
        let client = self.client()?;
        let domain = client.domain(name).map_err(failed)?.ok_or_else(|| {
            StepError::new(format!("cannot start domain `{name}`: it is not defined"))
        })?;
        client::start_domain(&domain).map_err(failed)?;
        match ready {
            Some(ready) => self.await_domain(name, ready, context),
            None => Ok(()),
        }
    }

    fn await_domain(
        &self,
        name: &str,
        ready: &Readiness,
        context: &StepContext<'_>,
    ) -> Result<(), StepError> {
        let failed =
            |e: LibvirtError| StepError::new(format!("cannot watch domain `{name}`")).because(&e);
        let client = self.client()?;
        let domain = client.domain(name).map_err(failed)?.ok_or_else(|| {
            StepError::new(format!("cannot wait for domain `{name}`: it is not defined"))
        })?;
        let (sender, receiver) = mpsc::channel();
        // Without the port there still is SSH.
        let listener = signals::listen(client, name, sender).ok();
        let login = Login { config: &self.guests.ssh_config, host: name, address: ready.address };
        let result = ready::wait(&login, &receiver, self.guests.limit, context);
        if let Some(listener) = listener {
            listener.close();
        }
        match result {
            Ok(()) => domain::mark_ready(&domain).map_err(failed),
            Err(reason) => Err(self.not_ready(name, reason)),
        }
    }

    fn not_ready(&self, name: &str, reason: NotReady) -> StepError {
        let mut error = match reason {
            NotReady::Cancelled => {
                return StepError::new(format!("stopped waiting for `{name}`"))
                    .hint("it goes on booting; `maquette up` waits for it again");
            }
            NotReady::TimedOut { stage, last } => {
                let seconds = self.guests.limit.as_secs();
                let mut error = StepError::new(format!(
                    "`{name}` was not ready after {seconds} s; it came as far as: {stage}"
                ));
                error.causes.extend(last);
                error.hint("`--timeout SECONDS` waits longer")
            }
            NotReady::Stopped => {
                StepError::new(format!("`{name}` stopped while it booted for the first time"))
            }
            NotReady::Failed(errors) => {
                let mut error = StepError::new(format!("cloud-init failed on `{name}`"));
                error.causes = errors;
                error
            }
        };
        error.excerpt = self.console(name);
        error
            .hint(format!("nothing was removed; look at it with `virsh console {name}`"))
            .hint("run `maquette up` again to go on waiting, or `maquette down` to remove it")
    }

    /// The last lines of a serial console.
    fn console(&self, name: &str) -> Vec<String> {
        const LINES: usize = 20;
        let tail = self.host.read_tail(&xml::serial_log(name), 16 * 1024);
        let text = tail.ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> =
            text.lines().map(printable).filter(|l| !l.trim().is_empty()).collect();
        let from = lines.len().saturating_sub(LINES);
        lines[from..].to_vec()
    }

    fn call(
        &self,
        verb: &str,
        object: &str,
        call: impl FnOnce(&Client) -> Result<(), LibvirtError>,
    ) -> Result<(), StepError> {
        call(self.client()?)
            .map_err(|e| StepError::new(format!("cannot {verb} {object}")).because(&e))
    }
}

/// Drops terminal control sequences.
fn printable(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                chars.by_ref().find(|c| c.is_ascii_alphabetic());
            } else {
                chars.next();
            }
        } else if !c.is_control() || c == '\t' {
            out.push(c);
        }
    }
    out
}

impl Backend for Libvirt<'_> {
    fn perform(&self, action: &Action, context: &StepContext<'_>) -> Result<(), StepError> {
        match action {
            Action::InstallPackages { packages } => self.install(packages, context),
            Action::OpenKvm => host::facts::open_kvm(self.host)
                .map_err(|e| StepError::new("cannot open /dev/kvm to group kvm").because(&e)),
            Action::StartDaemons => self.start_daemons(),
            Action::EnsurePool(pool) => {
                self.call("start", &format!("storage pool `{}`", pool.name), |c| {
                    volume::ensure_pool(c, pool)
                })
            }
            Action::FetchImage { image, pool, smallest } => {
                let source = Source::parse(&image.source, &self.built_images).map_err(|e| {
                    StepError::new(format!("cannot fetch image {}", image.source)).because(&e)
                })?;
                image::fetch(self.host, &source, &pool.path, &image.volume, *smallest, context)
            }
            Action::DefineNetwork { network, environment, allocation } => {
                self.call("define", &format!("network `{}`", network.name), |c| {
                    network::define(c, network, environment, *allocation)
                })
            }
            Action::UpdateReservations { network, environment, allocation, remove, add } => self
                .call("update", &format!("network `{}`", network.name), |c| {
                    network::update(c, network, environment, *allocation, remove, add)
                }),
            Action::StartNetwork { name, autostart } => {
                self.call("start", &format!("network `{name}`"), |c| {
                    network::start(c, name, *autostart)
                })
            }
            Action::StopNetwork { name } => {
                self.call("stop", &format!("network `{name}`"), |c| network::stop(c, name))
            }
            Action::UndefineNetwork { name } => {
                self.call("undefine", &format!("network `{name}`"), |c| network::undefine(c, name))
            }
            Action::DefineDomain { node, environment, pool } => {
                self.call("define", &format!("domain `{}`", node.name), |c| {
                    domain::define(c, node, environment, pool)
                })
            }
            Action::CreateVolume { disk, pool } => volume::create(self.client()?, disk, pool),
            Action::CreateSeed { volume: name, pool, files } => {
                volume::create_seed(self.client()?, name, pool, files)
            }
            Action::ResizeVolume { volume: name, pool, bytes } => {
                volume::resize(self.client()?, name, pool, *bytes)
            }
            Action::DeleteVolume { volume: name, pool } => {
                volume::delete(self.client()?, name, pool)
            }
            Action::StartDomain { name, ready } => self.start_domain(name, ready.as_ref(), context),
            Action::AwaitDomain { name, ready } => self.await_domain(name, ready, context),
            Action::StopDomain { name, clean } => {
                self.call("stop", &format!("domain `{name}`"), |c| domain::stop(c, name, *clean))
            }
            Action::UndefineDomain { name } => {
                self.call("undefine", &format!("domain `{name}`"), |c| domain::undefine(c, name))?;
                self.host.remove(&xml::serial_log(name)).map_err(|e| {
                    StepError::new(format!("cannot remove the console log of `{name}`")).because(&e)
                })
            }
        }
    }

    fn lanes(&self) -> Lanes {
        Lanes::new(self.guests.boots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_lose_their_control_sequences() {
        assert_eq!(printable("\u{1b}[0;32m  OK  \u{1b}[0m] Started\r"), "  OK  ] Started");
    }
}
