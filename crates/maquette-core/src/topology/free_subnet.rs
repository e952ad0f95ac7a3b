//! Subnets for networks that leave the choice to Maquette (`subnet: auto`).

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::subnet::whole;
use super::{Network, overlap};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::values::Name;

/// Subnets to choose from, best first: where neither libvirt's default network, nor Docker, nor the built-in network
/// files are.
fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let third = |a, b| (0..=255).map(move |c| Ipv4Addr::new(a, b, c, 1));
    let all = third(10, 100).chain(third(172, 30)).chain(third(192, 168).skip(200));
    all.filter_map(|gateway| Ipv4Net::new(gateway, 24).ok())
}

/// Gives each network that leaves the choice to Maquette the subnet that it has already (`kept`, by its name without
/// prefix), else one that no other network of these has and that the first of `wishes` takes; or the second, if the first
/// takes none.
pub fn place(
    networks: &mut [Network],
    kept: impl Fn(&Name) -> Option<Ipv4Net>,
    wishes: &[&dyn Fn(&IpNet) -> bool],
    diags: &mut Diagnostics,
) {
    let is_open = |n: &Network| n.ipv4.as_ref().is_some_and(|i| i.chosen);
    if !networks.iter().any(is_open) {
        return;
    }
    let mut used: Vec<IpNet> = Vec::new();
    for network in networks.iter().filter(|n| !is_open(n)) {
        used.extend(network.subnets().into_iter().map(|(net, _)| net));
        used.extend(network.fixed.iter().map(|f| IpNet::V4(f.net)));
    }
    let free = |net: &Ipv4Net, used: &[IpNet]| !used.iter().any(|o| overlap(&IpNet::V4(*net), o));
    let mut open: Vec<&mut Network> = networks.iter_mut().filter(|n| is_open(n)).collect();
    // Those that stay come first, so that a new one takes nothing away from them.
    let mut stays: Vec<Option<Ipv4Net>> = Vec::new();
    for network in &open {
        let own = kept(&network.name.value).filter(|net| free(net, &used));
        used.extend(own.map(IpNet::V4));
        stays.push(own);
    }
    for (network, own) in open.iter_mut().zip(stays) {
        let one = |wish: &&dyn Fn(&IpNet) -> bool| {
            candidates().find(|net| free(net, &used) && wish(&IpNet::V4(*net)))
        };
        let net = own.or_else(|| wishes.iter().find_map(one));
        let Some(ipv4) = network.ipv4.as_mut() else { continue };
        let Some(net) = net else {
            let message = format!("there is no free subnet for network `{}`", network.name.value);
            diags.push(
                Diagnostic::error("topology::no-free-subnet", message)
                    .at(ipv4.span, "")
                    .help("name one: `subnet: 10.9.0.0/24`"),
            );
            continue;
        };
        if own.is_none() {
            used.push(IpNet::V4(net));
        }
        ipv4.net = net;
        ipv4.dhcp = ipv4.dhcp.and_then(|_| whole(net));
    }
}
