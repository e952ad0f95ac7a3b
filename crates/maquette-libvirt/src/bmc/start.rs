//! Starting a domain whose disc may not be there.

use maquette_bmc::machine::Started;

use crate::client::{self, Client, Domain, LibvirtError};
use crate::xml::boot;

/// Starts a domain as it is described. QEMU ends at once where it cannot read the image in its BMC's drive, whose server may be
/// gone for good: then the domain is started without. Its definition keeps the image. Should that not help, the first reason is
/// the one that counts.
pub fn start_at_all(client: &Client, xml: &str, anew: bool) -> Result<Started, LibvirtError> {
    let error = match client.start_as(xml, anew) {
        Ok(()) => return Ok(Started::WHOLE),
        Err(error) => error,
    };
    match boot::without_image(xml).map(|xml| client.start_as(&xml, anew)) {
        Some(Ok(())) => Ok(Started { without_image: true, ..Started::WHOLE }),
        Some(Err(_)) | None => Err(error),
    }
}

/// Starts a domain without the image in its BMC's drive, after an error of starting it with all that it has; the same error
/// where that does not help. One that is to go on from its memory is left alone: that would meet disks that have changed.
pub fn start_without_image(
    client: &Client,
    domain: &Domain,
    error: LibvirtError,
) -> Result<(), LibvirtError> {
    let own = client::secret_xml(domain).ok().flatten();
    match own.as_deref().and_then(boot::without_image) {
        Some(xml) if !client::is_suspended(domain) => {
            client.start_as(&xml, false).map_err(|_| error)
        }
        Some(_) | None => Err(error),
    }
}
