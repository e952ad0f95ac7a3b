//! What there is of a template while it is made: a domain, and its seed.

use maquette_core::blueprint::{Template, TemplatePart};
use maquette_engine::StepError;
use maquette_engine::host::Host;

use crate::client::{self, Client, Domain, LibvirtError, StoragePool};
use crate::domain;

/// Ends the domain from which a template is made in the pool with a directory, and removes all that this has taken besides
/// the template itself. What is gone already is fine.
///
/// # Errors
///
/// It cannot be ended, or is somebody else's.
pub(crate) fn end(
    client: &Client,
    host: &dyn Host,
    (pool, directory): (&StoragePool, &str),
    name: &str,
) -> Result<(), StepError> {
    let failed = |e: LibvirtError| {
        StepError::new(format!("cannot remove what is left of template `{name}`")).because(e)
    };
    if let Some(domain) = client.domain(name).map_err(failed)? {
        // One that is gone by now has nothing to look at.
        let xml = client::domain_xml(&domain).map_err(failed)?;
        if xml.is_some_and(|xml| !makes(name, &xml, directory)) {
            let message =
                format!("domain `{name}` is not the one from which that template is made");
            return Err(StepError::new(message)
                .hint("it is called like that, but is somebody else's: give it another name"));
        }
        stop(&domain).map_err(failed)?;
    }
    client::delete_volume(pool, &TemplatePart::Seed.of(name)).map_err(failed)?;
    domain::forget(host, name)
}

/// One that was only ever started is gone when it has ended.
fn stop(domain: &Domain) -> Result<(), LibvirtError> {
    client::pull_plug(domain)?;
    client::undefine_domain(domain).map(|_| ())
}

/// Whether a domain makes a template on a disk of a pool's directory that `is_recorded` as ours: it is called so, and
/// has the UUID that goes with the name.
pub(crate) fn is_making(
    name: &str,
    xml: &str,
    directory: &str,
    is_recorded: impl Fn(&str) -> bool,
) -> bool {
    let disk = format!("{directory}/{}", TemplatePart::Disk.of(name));
    Template::is_called_so(name) && is_recorded(&disk) && makes(name, xml, directory)
}

/// Whether a domain with such a name has the UUID that goes with it, and the disk of the template.
fn makes(name: &str, xml: &str, directory: &str) -> bool {
    let disk = format!("{directory}/{}", TemplatePart::Disk.of(name));
    xml.contains(&Template::uuid_of(name).to_string()) && xml.contains(&disk)
}
