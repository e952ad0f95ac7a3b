//! The project file, `maquette.yaml`.

use std::path::PathBuf;

use maquette_core::decode::{self, Fields};
use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::image::{Sum, Word};
use maquette_core::syntax::{Node, Spanned, Value};

use clap::ValueEnum;

use crate::cli::{BootMode, DiskBus, VirtType};
use crate::connection::HostArgs;

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
    pub username: Option<String>,
    /// `timezone`.
    pub timezone: Option<String>,
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
        image: value(fields.text("image", diags)),
        overrides: overrides.cloned(),
        username: value(fields.text("username", diags)),
        timezone: value(fields.text("timezone", diags)),
        tls_ca: value(fields.text("tls_ca", diags)),
        mirror_url: value(fields.text("image_mirror_url", diags)),
        mtu: fields.number("mtu", 68, "bytes", diags).and_then(|m| u32::try_from(m).ok()),
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
        project.pool_name = value(fields.text("pool_name", diags));
        project.pool_path = value(fields.text("disk_pool", diags));
        project.host = HostArgs {
            address: value(fields.text("address", diags)),
            user: value(fields.text("user", diags)),
            key: value(fields.text("key", diags)).map(PathBuf::from),
            fingerprint: value(fields.text("key_fingerprint", diags)),
        };
        let mtu = fields.number("mtu", 68, "bytes", diags);
        project.nic_mtu = mtu.and_then(|m| u32::try_from(m).ok());
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
