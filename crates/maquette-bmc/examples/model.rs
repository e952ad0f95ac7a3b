//! BMCs of machines in memory, for trials with other people's clients and conformance tests.
//!
//!     cargo run -p maquette-bmc --example model -- [SYSTEMS [PORT [IPMI_PORT [CERTIFICATE KEY [each]]]]]
//!
//! Each system has IPMI on a port of its own, from IPMI_PORT on; with `each` Redfish, too, from PORT on, as one process on a
//! hypervisor serves them. The account is `admin` with the password `Only-4-trials`. With a certificate and its key (PEM) it is HTTPS.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for trials")]

use std::error::Error;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use maquette_bmc::accounts::{Accounts, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::model::Model;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Doors, Tls};
use maquette_bmc::service::{Options, Service};
use uuid::Uuid;

/// Some BMCs behind one port, with IPMI from another port on.
fn service(
    bmcs: Vec<Arc<Bmc>>,
    (port, ipmi): (u16, u16),
    tls: Option<Tls>,
) -> Result<(Arc<Service>, Doors), Box<dyn Error>> {
    let mut accounts = Accounts::default();
    let added = accounts.add("admin", Secret::new("Only-4-trials"), Role::Administrator);
    added.map_err(|refused| format!("{refused:?}"))?;
    let uuid = Uuid::new_v5(&Uuid::nil(), format!("service {port}").as_bytes());
    let options = Options {
        plain: tls.is_none(),
        https_port: port,
        ipmi_port: Some(ipmi),
        ..Options::default()
    };
    let service = Service::new(uuid, Clock::system(), bmcs, accounts, options);
    service.report_to(Box::new(|line| eprintln!("{line}")));
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let mut sockets = Vec::new();
    for (bmc, port) in service.bmcs().zip(ipmi..) {
        let socket = UdpSocket::bind(("127.0.0.1", port))?;
        println!("{} {} {}", bmc.name, bmc.uuid, socket.local_addr()?);
        sockets.push((bmc.clone(), socket.into()));
    }
    Ok((service, Doors { redfish: Some((listener.into(), tls)), ipmi: sockets }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u16| arguments.get(at).map_or(Ok(usual), |text| text.parse());
    let (systems, port, ipmi) = (number(0, 1)?, number(1, 8443)?, number(2, 6230)?);
    let tls = match arguments.get(3..5) {
        Some([certificate, key]) => {
            Some(Tls::from_pem(&std::fs::read(certificate)?, &std::fs::read(key)?)?)
        }
        _ => None,
    };
    let bmcs: Vec<Arc<Bmc>> = (0..systems)
        .map(|n| {
            let (name, machine) = (format!("node-{n}"), Arc::new(Model::numbered(n)));
            let uuid = Uuid::new_v5(&Uuid::nil(), name.as_bytes());
            Arc::new(Bmc::new(&name, uuid, machine, Clock::system()))
        })
        .collect();
    let each = arguments.get(5).is_some_and(|word| word == "each");
    let services = match each {
        true => (0..)
            .zip(bmcs)
            .map(|(n, bmc)| service(vec![bmc], (port + n, ipmi + n), tls.clone()))
            .collect(),
        false => service(bmcs, (port, ipmi), tls).map(|one| vec![one]),
    };
    let services: Vec<(Arc<Service>, Doors)> = services?;
    println!("serving {systems} systems from 127.0.0.1:{port} on");
    serve::run_all(services)?;
    Ok(())
}
