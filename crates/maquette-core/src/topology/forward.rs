//! How a network reaches the outside: `forward`, and what makes a bridge one of Open vSwitch.

use crate::decode::{self, Fields, wrong_type};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::{Form, Key, key};
use crate::syntax::{Spanned, Tree, Value};

/// How a network reaches the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    /// Not at all.
    Isolated,
    /// Through the hypervisor's address.
    Nat,
    /// By routing, with libvirt's firewall rules.
    Route,
    /// By routing, and libvirt makes no firewall rules.
    Open,
    /// A NIC of the hypervisor is in the same bridge.
    Bridge,
    /// It is a bridge of Open vSwitch.
    OpenVswitch,
    /// Its nodes are on NICs of the hypervisor, without a bridge.
    Direct(DirectMode),
}

/// What nodes on a NIC of the hypervisor, each by a macvtap of its own, hear of each other. The hypervisor itself hears
/// nothing of them, nor they of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectMode {
    /// Nothing, whatever the switch at the other end does.
    Private,
    /// What the switch at the other end sends back (IEEE 802.1Qbg).
    Vepa,
    /// Each has a NIC to itself.
    Passthrough,
}

impl DirectMode {
    /// libvirt's word, which is the one of files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Passthrough => "passthrough",
        }
    }
}

impl Forward {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Isolated,
        Self::Nat,
        Self::Route,
        Self::Open,
        Self::Bridge,
        Self::OpenVswitch,
        Self::Direct(DirectMode::Private),
        Self::Direct(DirectMode::Vepa),
        Self::Direct(DirectMode::Passthrough),
    ];

    /// libvirt's word; isolated networks have none.
    pub fn mode(self) -> Option<&'static str> {
        match self {
            Self::Isolated => None,
            Self::Nat => Some("nat"),
            Self::Route => Some("route"),
            Self::Open => Some("open"),
            Self::Bridge | Self::OpenVswitch => Some("bridge"),
            Self::Direct(mode) => Some(mode.as_str()),
        }
    }

    /// What a word of files means.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "nat" => Self::Nat,
            "route" => Self::Route,
            "open" => Self::Open,
            "none" => Self::Isolated,
            "bridge" => Self::Bridge,
            "private" => Self::Direct(DirectMode::Private),
            "vepa" => Self::Direct(DirectMode::Vepa),
            "passthrough" => Self::Direct(DirectMode::Passthrough),
            _ => return None,
        })
    }

    /// Whether libvirt makes the bridge and serves on it.
    pub fn is_served(self) -> bool {
        matches!(self, Self::Isolated | Self::Nat | Self::Route | Self::Open)
    }

    /// Whether its nodes are on NICs of the hypervisor, which does not reach them there.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Direct(_))
    }
}

/// Modes of `forward`.
const WORDS: [&str; 8] =
    ["nat", "route", "open", "bridge", "private", "vepa", "passthrough", "none"];

/// Its form.
pub(super) const FORWARD: Form = Form::Words(&WORDS);

/// Keys of the form of InfraRed's manual of `forward`.
pub(super) const FORWARD_TYPE: &[Key] =
    &[key("type", FORWARD, "How it reaches the outside").needed()];

/// Plain text, or `{type: nat}` as in InfraRed's manual.
pub(super) fn forward(node: &Tree, diags: &mut Diagnostics) -> Option<Forward> {
    let node = match &node.value {
        // libvirt's word.
        Value::Map(_) if node.get("type").is_none() && node.get("mode").is_some() => {
            let mode = match node.get("mode").map(|mode| &mode.value) {
                Some(Value::Scalar(mode, _)) if !node.span.secret => mode.trim(),
                _ => "nat",
            };
            let error = wrong_type(node, "`forward`", "one of its modes");
            diags.push(error.help(format!("write `forward: {mode}`")));
            return None;
        }
        Value::Map(_) => {
            let mut fields = Fields::new(node, "`forward`", FORWARD_TYPE, diags)?;
            let inner = fields.need("type", diags);
            fields.finish(diags);
            inner?
        }
        _ => node,
    };
    let mode = decode::text(node, "forward", diags)?;
    if let Some(forward) = Forward::of_word(&mode.value) {
        return Some(forward);
    }
    let diagnostic = match mode.value.as_str() {
        "hostdev" => {
            let message = "`forward: hostdev` is not supported: it gives nodes PCI functions of a NIC (SR-IOV)";
            Diagnostic::error("topology::forward", message)
                .at(mode.span, "")
                .help("`forward: passthrough` with `nic` gives a node a whole NIC of the hypervisor's")
        }
        other => Diagnostic::error(
            "topology::forward",
            format!("`{other}` is not a valid forward mode"),
        )
        .at(mode.span, "")
        .suggest(other, WORDS)
        .help(
            "modes are `nat`, `route`, `open`, `bridge`, `private`, `vepa`, `passthrough`, and `none` for an isolated network",
        ),
    };
    diags.push(diagnostic);
    None
}

/// `virtualport_type: openvswitch` goes with `forward: bridge`.
pub(super) fn on_vswitch(
    forward: Forward,
    virtualport: Option<&Spanned<String>>,
    name: &str,
    diags: &mut Diagnostics,
) -> Option<Forward> {
    let Some(port) = virtualport else { return Some(forward) };
    if port.value != "openvswitch" {
        diags.push(
            Diagnostic::error(
                "topology::virtualport",
                format!("`{}` is not a valid virtual port type", port.value),
            )
            .at(port.span, "")
            .suggest(&port.value, ["openvswitch"]),
        );
        return None;
    }
    if forward != Forward::Bridge {
        let message = format!("network `{name}` is on Open vSwitch and not `forward: bridge`");
        diags.push(
            Diagnostic::error("topology::virtualport", message).at(port.span, "").help(
                "libvirt attaches nodes to a bridge of Open vSwitch, and to nothing else of it",
            ),
        );
        return None;
    }
    Some(Forward::OpenVswitch)
}
