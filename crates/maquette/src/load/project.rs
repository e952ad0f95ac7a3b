//! The project file, `maquette.yaml`.

use std::path::PathBuf;

use maquette_core::decode::{self, Fields};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::image::{Sum, Word};
use maquette_core::syntax::{Node, Spanned, Value};
use maquette_core::values::{Line, Login, Mtu, Name, TimeZone};

use clap::ValueEnum;

use crate::cli::{BootMode, DiskBus, VirtType};
use crate::session::connection::HostArgs;

/// What the file says; everything is optional, and flags win.
#[derive(Debug, Default)]
pub struct Project {
    /// Whether there is such a file at all.
    pub given: bool,
    /// `prefix`.
    pub prefix: Option<Node>,
    /// `nodes`.
    pub nodes: Option<Node>,
    /// `network`.
    pub network: Option<Node>,
    /// `image`, with its `checksum` after `#`.
    pub image: Option<String>,
    /// `overrides`.
    pub overrides: Option<Node>,
    /// `username`.
    pub username: Option<Login>,
    /// `timezone`.
    pub timezone: Option<TimeZone>,
    /// `mtu`.
    pub mtu: Option<u32>,
    /// `hypervisor.mtu`.
    pub nic_mtu: Option<u32>,
    /// `net_subnet`.
    pub net_subnet: Option<u8>,
    /// `data_subnet`.
    pub data_subnet: Option<u8>,
    /// `disk_bus`.
    pub disk_bus: Option<DiskBus>,
    /// `bootmode`.
    pub bootmode: Option<BootMode>,
    /// `hypervisor.address`, `.user`, `.key` and `.key_fingerprint`.
    pub host: HostArgs,
    /// `hypervisor.memory_overcommit`.
    pub memory_overcommit: Option<bool>,
    /// `hypervisor.validate`.
    pub validate: Option<bool>,
    /// `tls_ca`.
    pub tls_ca: Option<String>,
    /// `image_mirror_url`.
    pub mirror_url: Option<String>,
    /// `hypervisor.virt_type`.
    pub virt_type: Option<VirtType>,
    /// `hypervisor.pool_name`.
    pub pool_name: Option<String>,
    /// `hypervisor.disk_pool`.
    pub pool_path: Option<String>,
}

/// Reads the file's content.
pub fn decode(node: &Node, diags: &mut Diagnostics) -> Project {
    let Some(mut fields) = Fields::new(node, "the project file", diags) else {
        return Project::default();
    };
    let value = |text: Option<Spanned<String>>| text.map(|t| t.value);
    let line = |text: Option<Spanned<Line>>| text.map(|t| t.value.to_string());
    let overrides = fields.take("overrides");
    if let Some(node) = overrides
        && !matches!(node.value, Value::Map(_))
    {
        diags.push(decode::wrong_type(node, "`overrides`", "a mapping of node types"));
    }
    let mut project = Project {
        prefix: fields.take("prefix").cloned(),
        nodes: fields.take("nodes").cloned(),
        network: fields.take("network").cloned(),
        image: line(fields.parsed("image", "an image", diags)),
        overrides: overrides.cloned(),
        username: fields.parsed("username", "a login name", diags).map(|u| u.value),
        timezone: fields.parsed("timezone", "a time zone", diags).map(|t| t.value),
        tls_ca: line(fields.parsed("tls_ca", "files or addresses", diags)),
        mirror_url: line(fields.parsed("image_mirror_url", "an address", diags)),
        mtu: fields.parsed::<Mtu>("mtu", "an MTU in bytes", diags).map(|m| m.value.bytes()),
        net_subnet: fields.parsed("net_subnet", "a number from 0 to 255", diags).map(|n| n.value),
        data_subnet: fields.parsed("data_subnet", "a number from 0 to 255", diags).map(|n| n.value),
        disk_bus: choice(fields.text("disk_bus", diags), "disk_bus", diags),
        bootmode: choice(fields.text("bootmode", diags), "bootmode", diags),
        ..Project::default()
    };
    if let Some(node) = fields.take("hypervisor")
        && let Some(mut fields) = Fields::new(node, "`hypervisor`", diags)
    {
        project.virt_type = choice(fields.text("virt_type", diags), "virt_type", diags);
        let name = fields.parsed::<Name>("pool_name", "a name of a pool", diags);
        project.pool_name = name.map(|n| n.value.to_string());
        project.pool_path = value(fields.text("disk_pool", diags));
        project.host = HostArgs {
            address: fields.parsed("address", "a host name or address", diags).map(|a| a.value),
            user: fields.parsed("user", "a login name", diags).map(|u| u.value),
            key: value(fields.text("key", diags)).map(PathBuf::from),
            fingerprint: value(fields.text("key_fingerprint", diags)),
        };
        let mtu = fields.parsed::<Mtu>("mtu", "an MTU in bytes", diags);
        project.nic_mtu = mtu.map(|m| m.value.bytes());
        project.memory_overcommit = fields.bool("memory_overcommit", diags);
        project.validate = fields.bool("validate", diags);
        fields.finish(diags);
    }
    let checksum = fields.text("checksum", diags);
    project.image = with_checksum(project.image, checksum, diags);
    fields.finish(diags);
    project
}

/// An image with its checksum, as `--image-url` would take it.
fn with_checksum(
    image: Option<String>,
    checksum: Option<Spanned<String>>,
    diags: &mut Diagnostics,
) -> Option<String> {
    let Some(text) = checksum else { return image };
    let mut wrong = |message: String, help: &str| {
        diags.push(Diagnostic::error("project::checksum", message).at(text.span, "").help(help));
        None
    };
    let sum = match text.value.parse::<Sum>() {
        Ok(sum) => sum,
        Err(error) => {
            return wrong(
                error.to_string(),
                "such as `checksum: sha256:0123…`, with all its digits",
            );
        }
    };
    let Some(image) = image else {
        return wrong(
            "there is a `checksum` here and no `image` that it is of".into(),
            "write `image: URL`; an image that a node type imports has it after `#`",
        );
    };
    match Word::parse(&image).ok().and_then(|w| w.sum) {
        Some(other) if other != sum => wrong(
            format!("`image` has the checksum {other}, and `checksum` is another"),
            "leave one of them out",
        ),
        Some(_) => Some(image),
        None => Some(format!("{image}#{sum}")),
    }
}

/// One of a few words, the same as the flag of that name takes.
fn choice<T: ValueEnum>(
    text: Option<Spanned<String>>,
    key: &str,
    diags: &mut Diagnostics,
) -> Option<T> {
    let text = text?;
    let found = T::from_str(&text.value, false).ok();
    if found.is_none() {
        let words: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|v| v.to_possible_value())
            .map(|v| v.get_name().to_string())
            .collect();
        diags.push(
            Diagnostic::error("project::choice", format!("`{key}` cannot be `{}`", text.value))
                .at(text.span, "")
                .help(format!("it is one of {}", decode::quoted_list(&words))),
        );
    }
    found
}
