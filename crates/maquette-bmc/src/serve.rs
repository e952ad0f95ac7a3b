//! The sockets: the only part with an async runtime. What is asked is answered elsewhere, by functions.

use std::io::Result;
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::bmc::Bmc;
use crate::service::Service;
use crate::stir::Stir;

mod deliver;
mod door;
mod gate;
mod http;
mod places;
mod probe;
mod tls;
mod udp;

pub use door::{Closed, Door};
use gate::Gate;
use http::redfish;
pub use tls::{Tls, TlsError};
use udp::ipmi;

/// Where a service is reached.
pub struct Doors {
    /// Redfish, if it speaks that, with a certificate; without one it is HTTP.
    pub redfish: Option<(Door<TcpListener>, Option<Tls>)>,
    /// IPMI: a socket for each BMC.
    pub ipmi: Vec<(Arc<Bmc>, Door<UdpSocket>)>,
}

/// Serves a service at its doors, for ever, on this thread and on those that wait for machines. Fails if it cannot begin.
pub fn run(service: Arc<Service>, doors: Doors) -> Result<()> {
    run_all(vec![(service, doors)])
}

/// Serves several services, each at its own doors, in the same way.
pub fn run_all(services: Vec<(Arc<Service>, Doors)>) -> Result<()> {
    let threads = services.iter().map(|(service, _)| Gate::threads(service));
    let threads = threads.fold(1, usize::saturating_add);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(threads)
        .build()?;
    let all: Vec<Arc<Service>> = services.iter().map(|(service, _)| service.clone()).collect();
    runtime.block_on(async {
        tokio::spawn(tick(all));
        for (service, doors) in services {
            open(service, doors)?;
        }
        std::future::pending::<()>().await;
        Ok(())
    })
}

/// Opens a service's doors, and has it looked after.
fn open(service: Arc<Service>, doors: Doors) -> Result<()> {
    for (bmc, door) in doors.ipmi {
        let service = service.clone();
        door::at(door, move |socket| {
            bmc.state().ipmi_port = socket.local_addr().ok().map(|at| at.port());
            tokio::spawn(ipmi(service, bmc, socket));
        })?;
    }
    if let Some((door, tls)) = doors.redfish {
        let (service, gate) = (service.clone(), Arc::new(Gate::new(&service)));
        door::at(door, move |listener| {
            tokio::spawn(redfish(service, gate, listener, tls));
        })?;
    }
    probe::install(&service);
    tokio::spawn(deliver::deliver(service));
    Ok(())
}

/// Once a second, accounts and subscriptions that could not be kept, and those BMCs that wait for something, all at once: none of them waits for
/// another one. A BMC that is not done with the round before leaves this one out. While nothing waits and nothing has changed none is looked at:
/// to look at 200 of domains took a thirtieth of a core where memory that was not used for a second is slow.
async fn tick(services: Vec<Arc<Service>>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let rounds: Vec<Arc<Round>> = services.iter().flat_map(Round::of_all).collect();
    let stir = Stir::new();
    let tell = services.iter().all(|service| service.tells(&stir));
    let mut waits = false;
    loop {
        seconds.tick().await;
        if !stir.take() && !waits {
            continue;
        }
        // As soon as one does not tell, all are looked at each time.
        waits = !tell;
        for service in services.iter().filter(|service| service.lacks_keeping()) {
            waits = true;
            let service = service.clone();
            tokio::task::spawn_blocking(move || service.keep());
        }
        for round in rounds.iter().filter(|round| round.bmc.waits()) {
            waits = true;
            if !round.works.swap(true, Ordering::Relaxed) {
                let round = round.clone();
                tokio::task::spawn_blocking(move || round.look_after());
            }
        }
    }
}

/// A BMC that is looked after.
struct Round {
    service: Arc<Service>,
    bmc: Arc<Bmc>,
    works: AtomicBool,
    /// What went wrong last: the same once a second would tell nothing more.
    said: Mutex<Option<String>>,
}

impl Round {
    fn of_all(service: &Arc<Service>) -> Vec<Arc<Self>> {
        let of = |bmc: &Arc<Bmc>| {
            let (service, bmc, works) = (service.clone(), bmc.clone(), AtomicBool::new(false));
            Arc::new(Self { service, bmc, works, said: Mutex::default() })
        };
        service.bmcs().map(of).collect()
    }

    fn look_after(&self) {
        let fault = self.bmc.tick().err().map(|fault| fault.to_string());
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != fault
            && let Some(fault) = &fault
        {
            self.service.say(&format!("cannot look after node `{}`: {fault}", self.bmc.name));
        }
        *said = fault;
        self.works.store(false, Ordering::Relaxed);
    }
}
