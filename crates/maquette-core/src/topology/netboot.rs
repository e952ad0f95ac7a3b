//! How machines boot from a network: files over TFTP, and what DHCP tells of them.

use std::net::Ipv4Addr;

use super::subnet::{Ipv4, Ipv6};
use crate::decode::Fields;
use crate::diagnostic::{Diagnostic, Diagnostics, WITHOUT_EFFECT};
use crate::file_keys::{Form, IPV4_ADDRESS, Key, key};
use crate::syntax::{Spanned, Tree};
use crate::values::{NetbootFile, NetbootUrl, TftpRoot, system};

/// How a file is written.
const FILE: Form = Form::Parsed("a boot file", "undionly.kpxe");

/// Keys of `bootp`.
pub(super) const BOOTP: &[Key] = &[
    key(
        "file",
        FILE,
        "What firmware loads by default, such as undionly.kpxe: a file of the TFTP server, or an address [default: none]",
    ),
    key(
        "server",
        IPV4_ADDRESS,
        "TFTP server [default: the hypervisor, with `tftp_root`]",
    ),
    key(
        "uefi",
        FILE,
        "What UEFI of x86-64 loads in place of `file`, such as ipxe.efi [default: as `file`]",
    ).example("ipxe.efi"),
    key(
        "ipxe",
        FILE,
        "What iPXE loads in place of the others: a script of the TFTP server, or an address of one [default: what firmware loads]",
    ).example("boot.ipxe"),
    key(
        "http",
        Form::Parsed("an HTTP address", "http://10.9.0.20/ipxe.efi"),
        "What UEFI of x86-64 loads where it boots over HTTP [default: none]",
    ).example("http://10.9.0.20/ipxe.efi"),
];

/// What DHCP tells machines that boot from a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bootp {
    /// What firmware loads where nothing else is said for it.
    pub file: Option<NetbootFile>,
    /// TFTP server; none is the hypervisor.
    pub server: Option<Ipv4Addr>,
    /// What UEFI loads.
    pub uefi: Option<NetbootFile>,
    /// What iPXE loads.
    pub ipxe: Option<NetbootFile>,
    /// What UEFI loads over HTTP.
    pub http: Option<NetbootUrl>,
}

impl Bootp {
    /// A file that is on a TFTP server which it does not name itself.
    fn needs_server(&self) -> Option<&NetbootFile> {
        let mut files = [&self.file, &self.uefi, &self.ipxe].into_iter().flatten();
        files.find(|file| !file.is_address())
    }
}

/// Reads `tftp_root` and `bootp` of a network; `addresses` are the hypervisor's there, where libvirt serves.
pub(super) fn decode(
    fields: &mut Fields<'_>,
    addresses: (Option<&Ipv4>, Option<&Ipv6>),
    network: &str,
    diags: &mut Diagnostics,
) -> (Option<TftpRoot>, Option<Bootp>) {
    let (ipv4, ipv6) = addresses;
    let mut dead = |node: &Tree, key: &str, why: String, help: &str| {
        let diagnostic = Diagnostic::error(WITHOUT_EFFECT, why).at(node.span, "");
        diags.push(diagnostic.help(format!("`{key}` is for {help}")));
    };
    let bootp = fields.take("bootp");
    if let Some(node) = bootp
        && ipv4.is_none_or(|i| i.dhcp.is_none())
        && ipv6.is_none_or(|i| i.dhcp.is_none())
    {
        let why = format!("libvirt has no DHCP server on network `{network}`");
        dead(
            node,
            "bootp",
            why,
            "networks with `dhcp`; elsewhere whoever serves DHCP tells what to boot",
        );
    }
    let root = fields.parsed::<TftpRoot>("tftp_root", diags);
    if let Some(root) = root.as_ref().filter(|_| ipv4.is_none() && ipv6.is_none()) {
        let why = format!("libvirt serves nothing on network `{network}`");
        let help = "`tftp_root` is for networks that the hypervisor has an address on, and not for bridged ones";
        diags.push(Diagnostic::error(WITHOUT_EFFECT, why).at(root.span, "").help(help));
    }
    // What dnsmasq may read, all guests on the network may.
    let unread =
        |root: &&Spanned<TftpRoot>| system::is_unread_by_guests(&system::plain_path(&root.value));
    if let Some(root) = root.as_ref().filter(unread) {
        let message =
            format!("`tftp_root` of network `{network}`: `{}` is not for guests", root.value);
        diags.push(
            Diagnostic::error("topology::bootp", message)
                .at(root.span, "")
                .help("name a directory that has boot files and nothing else, such as `/srv/tftp`"),
        );
    }
    let bootp = bootp.and_then(|node| self::bootp(node, root.is_some(), network, diags));
    (root.map(|root| root.value), bootp)
}

fn bootp(node: &Tree, has_root: bool, network: &str, diags: &mut Diagnostics) -> Option<Bootp> {
    let what = format!("`bootp` of network `{network}`");
    let mut fields = Fields::new(node, what, BOOTP, diags)?;
    let bootp = Bootp {
        file: fields.parsed("file", diags).map(|f| f.value),
        server: fields.parsed("server", diags).map(|s| s.value),
        uefi: fields.parsed("uefi", diags).map(|f| f.value),
        ipxe: fields.parsed("ipxe", diags).map(|f| f.value),
        http: fields.parsed("http", diags).map(|u| u.value),
    };
    let span = fields.span();
    fields.finish(diags);
    if let Some(file) = bootp.needs_server().filter(|_| !has_root && bootp.server.is_none()) {
        let message = format!("nobody serves the boot file `{file}` of network `{network}`");
        diags.push(
            Diagnostic::error("topology::bootp", message)
                .at(span, "")
                .help("`tftp_root: /srv/tftp` has the hypervisor serve that directory's files")
                .help("or `server` below `bootp` is the address of a TFTP server"),
        );
    }
    if bootp == Bootp::default() || (bootp.server.is_some() && bootp.needs_server().is_none()) {
        let message = format!("`bootp` of network `{network}` names no file of a TFTP server");
        let help = "`file` is what firmware loads, such as undionly.kpxe; `maquette explain networks.NAME.bootp` has the others";
        diags.push(Diagnostic::error("topology::bootp", message).at(span, "").help(help));
    }
    Some(bootp)
}
