//! What is known of images before they are fetched: what their servers say of those that are going to be downloaded, and what has
//! to work on one.

use maquette_core::diagnostic::{Diagnostic, Diagnostics, Severity};
use maquette_core::image::{Format, NotAnImage, redact};
use maquette_core::object::ObjectKind;
use maquette_core::plan::{Action, Requirements, Step};
use maquette_core::syntax::Sources;
use maquette_core::units::ByteSize;
use maquette_engine::image::{ENLARGE, Origin, Said, Source, ask, too_large};

use super::Planned;
use crate::failure::Failure;
use crate::session::connection::Connection;
use crate::world::World;

/// An image that is going to be downloaded.
struct Download {
    volume: String,
    url: String,
    /// The smallest disk on it, in bytes.
    smallest: Option<u64>,
}

impl Planned {
    /// Asks the servers of images that are going to be downloaded: refuses what no download can mend, and adds to the plan how
    /// large they are. Nobody is asked where nothing is to be downloaded. `authorities` signs besides the system's, in PEM.
    pub fn ask_servers(
        &mut self,
        world: &World,
        connection: &Connection,
        authorities: Option<&str>,
    ) -> Result<(), Failure> {
        let downloads = self.downloads(world);
        if downloads.is_empty() {
            return Ok(());
        }
        let urls: Vec<&str> = downloads.iter().map(|d| d.url.as_str()).collect();
        let (host, remote) = (connection.host.as_ref(), connection.remote.is_some());
        let said = ask(host, &urls, authorities, remote)
            .map_err(|e| Failure::because("cannot ask the servers of images", e))?;
        let mut refused = Diagnostics::default();
        for (download, said) in downloads.iter().zip(said) {
            let Some(said) = said else { continue };
            if let Some(length) = length(&said) {
                self.note_size(&download.volume, length);
            }
            match download.judge(&said) {
                Some(diagnostic) if diagnostic.severity == Severity::Error => {
                    refused.push(diagnostic)
                }
                Some(diagnostic) => self.warnings.push(diagnostic),
                None => {}
            }
        }
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Failure::Input(refused, Sources::default())),
        }
    }

    /// What it asks of the hypervisor besides what was asked for: what is found out of images says what has to work on them.
    pub fn needs_besides(&self, asked: &Requirements) -> Option<Requirements> {
        let is_worked_on = |step: &Step| matches!(&step.action, Action::FetchImage { image, .. } if image.is_customized());
        let more = !asked.customize && self.plan.steps.iter().any(is_worked_on);
        more.then(|| Requirements { customize: true, ..asked.clone() })
    }

    /// What is going to be downloaded, each once.
    fn downloads(&self, world: &World) -> Vec<Download> {
        let built = world.environment.built_images();
        let mut all: Vec<Download> = Vec::new();
        for step in &self.plan.steps {
            let Action::FetchImage { image, pool, smallest, .. } = &step.action else { continue };
            let plain = image.as_it_comes().volume;
            let copied = image.is_customized() && self.observed.has_volume(pool, &plain);
            let url = match Source::parse(&image.source, &built) {
                // One that is set up is made of a copy of it.
                _ if copied && self.blueprint.refresh_images.is_empty() => continue,
                Ok(Source { origin: Origin::Url(url), .. }) => url,
                Ok(Source { origin: Origin::Catalogue(entry), .. }) => entry.url.to_string(),
                // A file, or what was refused before.
                Ok(_) | Err(_) => continue,
            };
            let (volume, smallest) = (image.volume.to_string(), *smallest);
            match all.iter_mut().find(|d| d.volume == volume) {
                Some(known) => known.smallest = known.smallest.into_iter().chain(smallest).min(),
                None => all.push(Download { volume, url, smallest }),
            }
        }
        all
    }

    fn note_size(&mut self, volume: &str, length: u64) {
        let is_it =
            |c: &&mut maquette_core::plan::Change| c.kind == ObjectKind::Image && c.name == volume;
        for reason in
            self.plan.changes.iter_mut().filter(is_it).flat_map(|c| c.reason.all.last_mut())
        {
            reason.push_str(&format!(" ({})", ByteSize(length)));
        }
    }
}

fn length(said: &Said) -> Option<u64> {
    match said {
        Said::Has { length, format: None | Some(Ok(_)) } => *length,
        Said::Has { .. } | Said::Refuses(_) | Said::Unreached(_) => None,
    }
}

impl Download {
    /// What is wrong with it, or may be.
    fn judge(&self, said: &Said) -> Option<Diagnostic> {
        let shown = redact(&self.url);
        let diagnostic = match said {
            Said::Has { format: Some(Ok(Format::Qcow2 { size })), .. } => {
                let message = too_large(&shown, *size, self.smallest)?;
                Diagnostic::error("image::unusable", message).help(ENLARGE)
            }
            Said::Has { format: None | Some(Ok(_)), .. } => return None,
            Said::Has { format: Some(Err(why)), .. } => {
                let message = format!("{shown} is not a disk image that can be used: {why}");
                let error = Diagnostic::error("image::unusable", message).help(why.hint());
                match why {
                    NotAnImage::Other(_, None) => {
                        error.help("servers answer with a page where they do not have a file")
                    }
                    _ => error,
                }
            }
            Said::Refuses(status) if said.is_final() => {
                let message =
                    format!("{shown} cannot be downloaded: its server answers {}", words(*status));
                Diagnostic::error("image::unusable", message)
                    .help("give another address, a file, or a name from `maquette image list`")
            }
            Said::Refuses(status) => {
                let message = format!("the server of {shown} answers {} now", words(*status));
                Diagnostic::warning("image::server", message)
            }
            Said::Unreached(why) => {
                let message = format!("the server of {shown} cannot be reached now: {why}");
                Diagnostic::warning("image::server", message).help(
                    "without internet access, `maquette image build debian-12` makes an image here",
                )
            }
        };
        Some(diagnostic)
    }
}

/// What a status of HTTP means, where people meet it.
fn words(status: u16) -> String {
    let meaning = match status {
        401 => "it wants a user and a password",
        403 => "not allowed",
        404 => "not found",
        410 => "gone",
        429 => "too many requests",
        500.. => "the server itself is at fault",
        _ => return status.to_string(),
    };
    format!("{status} ({meaning})")
}
