//! The addresses of BMCs: one that another program has stops no other BMC. Which of them are not reached is in a file of the
//! directory, and each is tried again until it is.

use std::io::{Error, ErrorKind, Result, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use maquette_bmc::serve::{Closed, Door};
use maquette_engine::bmc::{Served, UNREACHED};

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Redfish,
    Ipmi,
}

impl Protocol {
    const ALL: [Self; 2] = [Self::Redfish, Self::Ipmi];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Redfish => "Redfish",
            Self::Ipmi => "IPMI",
        }
    }
}

/// Where a BMC is to be reached.
pub(super) fn places(node: &Served) -> impl Iterator<Item = (Protocol, SocketAddr)> {
    let redfish = node.redfish.map(|at| (Protocol::Redfish, at));
    redfish.into_iter().chain(node.ipmi.map(|at| (Protocol::Ipmi, at)))
}

/// An address that a BMC cannot have.
pub(super) struct Occupied {
    pub(super) node: String,
    pub(super) protocol: Protocol,
    pub(super) at: SocketAddr,
    pub(super) why: Error,
}

/// Tries addresses that this environment's own process does not have: the first that cannot be had. Those that the
/// hypervisor has only when BMCs are served are not tried.
pub(super) fn try_all(nodes: &[Served], own: &[(Protocol, SocketAddr)]) -> Option<Occupied> {
    let all = nodes.iter().flat_map(|node| places(node).map(move |place| (node, place)));
    all.filter(|(_, place)| !own.contains(place)).find_map(|(node, (protocol, at))| {
        let bound = match protocol {
            Protocol::Redfish => TcpListener::bind(at).map(drop),
            Protocol::Ipmi => UdpSocket::bind(at).map(drop),
        };
        let why = bound.err().filter(|error| error.kind() != ErrorKind::AddrNotAvailable)?;
        Some(Occupied { node: node.node.to_string(), protocol, at, why })
    })
}

/// BMCs that are not reached, in their file.
#[derive(Clone)]
pub(super) struct Unreached(Arc<(PathBuf, Mutex<Vec<Line>>)>);

/// An address that cannot be had, with its node and why.
struct Line {
    protocol: Protocol,
    at: SocketAddr,
    node: String,
    why: String,
}

impl Unreached {
    /// Those of a directory: none yet.
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let all = Self(Arc::new((directory.join(UNREACHED), Mutex::default())));
        all.write(&[])?;
        Ok(all)
    }

    /// A door at an address; one that is closed is noted until it is open.
    pub(super) fn door<S>(
        &self,
        (node, protocol, at): (&Served, Protocol, SocketAddr),
        bind: fn(SocketAddr) -> Result<S>,
        journal: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Door<S>> {
        let error = match bind(at) {
            Ok(socket) => return Ok(Door::Open(socket)),
            Err(error) => error,
        };
        let why =
            format!("the BMC of `{}` cannot be at {} {at}: {error}", node.node, protocol.as_str());
        journal(&format!("{why}; that is tried again"));
        self.change(|lines| lines.push(Line { protocol, at, node: node.node.to_string(), why }))?;
        let (all, name) = (self.clone(), node.node.to_string());
        let opened = Box::new(move || {
            journal(&format!("the BMC of `{name}` is at {} {at} now", protocol.as_str()));
            if let Err(error) =
                all.change(|lines| lines.retain(|l| (l.protocol, l.at) != (protocol, at)))
            {
                journal(&format!("that cannot be noted: {error}"));
            }
        });
        Ok(Door::Closed(Closed { at, opened }))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Line>)) -> Result<()> {
        let mut lines = self.0.1.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut lines);
        self.write(&lines)
    }

    fn write(&self, lines: &[Line]) -> Result<()> {
        let path = &self.0.0;
        let new = path.with_extension("new");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        for line in lines {
            writeln!(file, "{} {} {} {}", line.node, line.protocol.as_str(), line.at, line.why)?;
        }
        std::fs::rename(&new, path)
    }
}

/// Addresses that a directory's process does not have, from its file.
pub(super) fn unreached(directory: &Path) -> Vec<(Protocol, SocketAddr)> {
    let text = std::fs::read_to_string(directory.join(UNREACHED)).unwrap_or_default();
    let place = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let word = words.next()?;
        let protocol = Protocol::ALL.into_iter().find(|known| known.as_str() == word)?;
        Some((protocol, words.next()?.parse().ok()?))
    };
    text.lines().filter_map(place).collect()
}
