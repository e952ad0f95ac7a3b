//! The sockets: the only part with an async runtime. What is asked is answered elsewhere, by functions.

use std::sync::Arc;
use std::time::Duration;

use crate::service::Service;

mod deliver;
mod http;
mod tls;
mod udp;

pub use http::redfish;
pub use tls::{Tls, TlsError};
pub use udp::ipmi;

/// Looks after what waits for machines and for time, and sends events to whoever has subscribed, for ever.
pub async fn look_after(service: Arc<Service>) {
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
