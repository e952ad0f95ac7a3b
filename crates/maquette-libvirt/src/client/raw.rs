//! Calls of libvirt's that the binding does not know yet. With `events.rs` and `pipe.rs` the only `unsafe`.

#![allow(unsafe_code, reason = "calls of a C library")]

use std::ffi::CString;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::network::Network;
use virt::sys;

/// Saves a running domain's memory.
/// <https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainSave>
pub(super) fn save(domain: &Domain, file: &str) -> Result<(), Error> {
    let file = CString::new(file)?;
    // SAFETY: the domain is open as long as it is borrowed, and the text ends with a zero.
    let saved = unsafe { sys::virDomainSave(domain.as_ptr(), file.as_ptr()) };
    if saved < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Sends a running domain a non-maskable interrupt.
/// <https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainInjectNMI>
pub(super) fn inject_nmi(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is open as long as it is borrowed.
    let sent = unsafe { sys::virDomainInjectNMI(domain.as_ptr(), 0) };
    if sent < 0 { Err(Error::last_error()) } else { Ok(()) }
}

/// Defines a network that libvirt has checked against its schema first.
/// <https://libvirt.org/html/libvirt-libvirt-network.html#virNetworkDefineXMLFlags>
pub(super) fn define_valid_network(connection: &Connect, xml: &str) -> Result<Network, Error> {
    let text = CString::new(xml)?;
    // SAFETY: the connection is open as long as it is borrowed, and the text ends with a zero.
    let network = unsafe {
        sys::virNetworkDefineXMLFlags(
            connection.as_ptr(),
            text.as_ptr(),
            sys::VIR_NETWORK_DEFINE_VALIDATE,
        )
    };
    if network.is_null() {
        return Err(Error::last_error());
    }
    // SAFETY: it is a network, and the reference to it is ours.
    Ok(unsafe { Network::from_ptr(network) })
}
