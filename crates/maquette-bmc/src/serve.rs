//! The sockets: the only part with an async runtime. What is asked is answered elsewhere, by functions.

use std::io::Result;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use crate::bmc::Bmc;
use crate::ipmi::Node;
use crate::service::Service;

mod deliver;
mod http;
mod tls;
mod udp;

use http::redfish;
pub use tls::{Tls, TlsError};
use udp::ipmi;

/// Where a service is reached.
pub struct Doors {
    /// Redfish, with a certificate; without one it is HTTP.
    pub redfish: (TcpListener, Option<Tls>),
    /// IPMI: a socket for each BMC.
    pub ipmi: Vec<(Arc<Bmc>, UdpSocket)>,
}

/// Serves a service at its doors, for ever, on this thread and on those that wait for machines. Fails if it cannot begin.
pub fn run(service: Arc<Service>, doors: Doors) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (listener, tls) = doors.redfish;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        for (bmc, socket) in doors.ipmi {
            socket.set_nonblocking(true)?;
            let node = Node::new(bmc, service.shared_accounts(), socket.local_addr()?.port());
            let socket = tokio::net::UdpSocket::from_std(socket)?;
            tokio::spawn(ipmi(service.clone(), node, socket));
        }
        tokio::join!(redfish(service.clone(), listener, tls), look_after(service));
        Ok(())
    })
}

/// Looks after what waits for machines and for time, and sends events to whoever has subscribed, for ever.
async fn look_after(service: Arc<Service>) {
    tokio::join!(tick(service.clone()), deliver::deliver(service));
}

/// Once a second, those BMCs that wait for something.
async fn tick(service: Arc<Service>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        for bmc in service.bmcs().filter(|bmc| bmc.waits()) {
            let (bmc, service) = (bmc.clone(), service.clone());
            // One that hangs keeps others waiting by a second at most.
            let done = tokio::task::spawn_blocking(move || {
                if let Err(fault) = bmc.tick() {
                    service.say(&format!("cannot look after node `{}`: {fault}", bmc.name));
                }
            });
            let _ = tokio::time::timeout(Duration::from_secs(1), done).await;
        }
    }
}
