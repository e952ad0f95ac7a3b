//! What libvirt lists, and how it describes it.

use crate::client::{self, Client, LibvirtError};

/// How libvirt describes an object: none if it has gone since it was listed. What it refuses to describe may be
/// somebody else's, and is no reason to end.
pub type Described = Result<Option<String>, LibvirtError>;

/// A domain's name, state and definitions.
pub struct Found {
    /// Its libvirt name.
    pub name: String,
    /// The domain, and its state when it was listed.
    pub listed: client::Listed,
    /// Its definition, as XML.
    pub defined: Described,
    /// What runs of it.
    pub live: Described,
}

/// All domains, read several at a time.
pub fn domain_xmls(client: &Client) -> Result<Vec<Found>, LibvirtError> {
    let all = client.domains()?;
    // Each definition is a round trip, and so is what runs.
    let calls: Vec<(&client::Listed, bool)> = all
        .iter()
        .flat_map(|l| std::iter::once((l, false)).chain(l.active.then_some((l, true))))
        .collect();
    let read = |(listed, live): &(&client::Listed, bool)| match live {
        true => client::live_xml(&listed.domain),
        false => client::domain_xml(&listed.domain),
    };
    let mut texts = client::map(&calls, read).into_iter();
    let mut next = || texts.next().unwrap_or(Ok(None));
    let mut found = Vec::new();
    for listed in all {
        let defined = next();
        let live = if listed.active { next() } else { Ok(None) };
        found.push(Found { name: client::domain_name(&listed.domain)?, listed, defined, live });
    }
    connected(client, found.iter().map(|f| &f.defined))?;
    Ok(found)
}

/// Where all is refused since the connection has ended, that is the error.
fn connected<'a>(
    client: &Client,
    mut all: impl Iterator<Item = &'a Described>,
) -> Result<(), LibvirtError> {
    match all.find_map(|described| described.as_ref().err()) {
        Some(error) if !client.is_alive() => Err(error.clone()),
        _ => Ok(()),
    }
}

/// A network's name, whether it runs, and its definition.
pub type NetworkFound = (String, bool, Described);

/// All networks, read several at a time.
pub fn network_xmls(client: &Client) -> Result<Vec<NetworkFound>, LibvirtError> {
    let all = client.networks()?;
    let read = |(network, active): &(client::Network, bool)| -> Result<_, LibvirtError> {
        Ok((client::network_name(network)?, *active, client::network_xml(network)))
    };
    let found: Vec<NetworkFound> =
        client::map(&all, read).into_iter().collect::<Result<_, LibvirtError>>()?;
    connected(client, found.iter().map(|(_, _, described)| described))?;
    Ok(found)
}

/// What is said of an object that libvirt describes in a way that cannot be read.
pub fn undescribed(kind: impl std::fmt::Display, name: &str) -> String {
    format!("libvirt's description of {kind} `{name}`")
}
