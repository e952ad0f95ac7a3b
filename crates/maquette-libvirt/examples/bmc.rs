//! BMCs of domains that are there already, for trials: on this machine's loopback address, over HTTP and IPMI.
//!
//!     cargo run -p maquette-libvirt --example bmc -- URI PORT IPMI_PORT DOMAIN…
//!
//! The account is `admin` with the password `Only-4-trials`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for trials")]

use std::error::Error;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;

use maquette_bmc::accounts::{Accounts, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Doors};
use maquette_bmc::service::{Options, Service};
use maquette_libvirt::{Client, DomainMachine, follow_domains};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, port, ipmi, domains @ ..] = arguments.as_slice() else {
        return Err("what is asked for is URI PORT IPMI_PORT DOMAIN…".into());
    };
    let (port, ipmi): (u16, u16) = (port.parse()?, ipmi.parse()?);
    let (client, clock) = (Arc::new(Client::open(uri)?), Clock::system());
    let (mut bmcs, mut sockets) = (Vec::new(), Vec::new());
    for (name, port) in domains.iter().zip(ipmi..) {
        let domain = client.domain(name)?.ok_or("there is no such domain")?;
        let uuid = domain.uuid()?;
        let machine = Arc::new(DomainMachine::new(client.clone(), name, uuid));
        let bmc = Arc::new(Bmc::new(name, uuid, machine, clock.clone()));
        println!("{name} {uuid} 127.0.0.1:{port}");
        sockets.push((bmc.clone(), UdpSocket::bind(("127.0.0.1", port))?.into()));
        bmcs.push(bmc);
    }
    let mut accounts = Accounts::default();
    let added = accounts.add("admin", Secret::new("Only-4-trials"), Role::Administrator);
    added.map_err(|refused| format!("{refused:?}"))?;
    let options =
        Options { plain: true, https_port: port, ipmi_port: Some(ipmi), ..Options::default() };
    let service =
        Service::new(Uuid::new_v5(&Uuid::nil(), b"trials"), clock, bmcs.clone(), accounts, options);
    service.report_to(Box::new(|line| eprintln!("{line}")));
    let following = client.clone();
    std::thread::spawn(move || {
        if let Err(error) = follow_domains(&following, &bmcs) {
            eprintln!("libvirt's events are not heard: {error}");
        }
    });
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    serve::run(service, Doors { redfish: Some((listener.into(), None)), ipmi: sockets })?;
    Ok(())
}
