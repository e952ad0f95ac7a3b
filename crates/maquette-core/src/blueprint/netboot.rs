//! What DHCP tells machines that boot from a network, as far as libvirt has no element for it.

use std::net::Ipv4Addr;

use super::Network;
use crate::topology::Bootp;
use crate::values::NetbootFile;

/// UEFI of x86-64 by its number in RFC 4578, section 2.1, and by the one that it was registered with later.
const UEFI: [u16; 2] = [7, 9];
/// The same where it boots over HTTP.
const UEFI_HTTP: u16 = 16;
/// `HTTPClient` as DHCPv6's vendor class: an enterprise's number, a length and the text (RFC 8415, section 21.16).
const HTTP_CLIENT: &str = "00:00:01:57:00:0a:48:54:54:50:43:6c:69:65:6e:74";

impl Network {
    /// The boot file of libvirt's element with its server: the one by default, of IPv4.
    pub fn boot_file(&self) -> Option<(&NetbootFile, Option<Ipv4Addr>)> {
        let bootp = self.bootp.as_ref().filter(|_| self.ipv4.is_some() && self.dhcp4.is_some())?;
        let file = bootp.file.as_ref()?;
        Some((file, bootp.server.filter(|_| !file.is_address())))
    }

    /// All that libvirt's definition says of booting from it, in order.
    pub fn boot_words(&self) -> Vec<String> {
        let root = self.tftp_root.as_ref().filter(|_| self.ipv4.is_some());
        let mut words: Vec<String> = root.iter().map(ToString::to_string).collect();
        if let Some((file, server)) = self.boot_file() {
            words.push(file.to_string());
            words.extend(server.map(|server| server.to_string()));
        }
        words.extend(self.dnsmasq_options());
        words
    }

    /// Lines of dnsmasq's configuration for firmware that boots from it: libvirt's elements have one file for all, IPv4
    /// alone, and no word of who asks. Who asks is told by tags, each of which has one file.
    pub fn dnsmasq_options(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(root) = self.tftp_root.as_ref().filter(|_| self.ipv4.is_none()) {
            // libvirt takes `<tftp>` in IPv4 alone.
            lines.extend(["enable-tftp".into(), format!("tftp-root={root}")]);
        }
        let Some(bootp) = &self.bootp else { return lines };
        if bootp.ipxe.is_some() {
            lines.push("dhcp-userclass=set:ipxe,iPXE".into());
        }
        if self.ipv4.is_some() && self.dhcp4.is_some() {
            over_ipv4(bootp, &mut lines);
        }
        if self.ipv6.is_some() && self.dhcp6.is_some() {
            self.over_ipv6(bootp, &mut lines);
        }
        lines
    }

    fn over_ipv6(&self, bootp: &Bootp, lines: &mut Vec<String>) {
        let unless = unless_ipxe(bootp);
        let url = |file: &NetbootFile| match (file.is_address(), self.ipv6, &self.tftp_root) {
            (true, ..) => Some(file.to_string()),
            (false, Some(net), Some(_)) if bootp.server.is_none() => {
                Some(format!("tftp://[{}]/{}", net.addr(), file.trim_start_matches('/')))
            }
            _ => None,
        };
        if let Some(url) = bootp.uefi.as_ref().and_then(url) {
            lines.extend(UEFI.map(|kind| format!("dhcp-match=set:uefi,option6:61,{kind}")));
            lines.push(format!("dhcp-option=tag:uefi{unless},option6:bootfile-url,{url}"));
        }
        if let Some(url) = &bootp.http {
            lines.push(format!("dhcp-match=set:uefi-http,option6:61,{UEFI_HTTP}"));
            lines.push(format!("dhcp-option=tag:uefi-http{unless},option6:bootfile-url,{url}"));
            lines.push(format!("dhcp-option-force=tag:uefi-http,option6:16,{HTTP_CLIENT}"));
        }
        if let Some(url) = bootp.ipxe.as_ref().and_then(url) {
            lines.push(format!("dhcp-option=tag:ipxe,option6:bootfile-url,{url}"));
        }
    }
}

fn over_ipv4(bootp: &Bootp, lines: &mut Vec<String>) {
    let unless = unless_ipxe(bootp);
    let server = |file: &NetbootFile| match bootp.server.filter(|_| !file.is_address()) {
        Some(server) => format!(",,{server}"),
        None => String::new(),
    };
    if let Some(file) = &bootp.uefi {
        lines.extend(UEFI.map(|kind| format!("dhcp-match=set:uefi,option:client-arch,{kind}")));
        lines.push(format!("dhcp-boot=tag:uefi{unless},{file}{}", server(file)));
    }
    if let Some(url) = &bootp.http {
        lines.push(format!("dhcp-match=set:uefi-http,option:client-arch,{UEFI_HTTP}"));
        lines.push(format!("dhcp-boot=tag:uefi-http{unless},{url}"));
        // Firmware takes the answer for one about HTTP by it (UEFI's specification, section 24.7).
        lines.push("dhcp-option-force=tag:uefi-http,60,HTTPClient".into());
    }
    if let Some(file) = &bootp.ipxe {
        lines.push(format!("dhcp-boot=tag:ipxe,{file}{}", server(file)));
    }
}

/// A condition for firmware's own files: iPXE, which the firmware loads first, has another.
fn unless_ipxe(bootp: &Bootp) -> &'static str {
    if bootp.ipxe.is_some() { ",tag:!ipxe" } else { "" }
}
