//! One disk of a node type.

use crate::decode::{self, Fields};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file_keys::Class::{Later, Live, Replace, Restart};
use crate::file_keys::{DIRECTORY, Form, IMAGE, Key, key};
use crate::hardware::{Bus, CACHE_MODES, CacheMode};
use crate::syntax::{Entry, Span, Spanned, Tree, Value};
use crate::units::{ByteSize, MIB};
use crate::values::{Directory, DiskKey, Line, Serial, system};

/// Disks of a node: `vda` to `vdy`, since `vdz` or `sdz` is the seed.
const MOST_DISKS: usize = 25;
/// The largest qcow2 image with clusters of 64 KiB, in bytes: QEMU's level 1 table has at most 32 MiB.
const MOST_BYTES: u64 = 1 << 51;

/// How much of a qcow2 volume is allocated when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preallocation {
    /// Nothing is allocated.
    Off,
    /// Metadata only; InfraRed's choice everywhere.
    #[default]
    Metadata,
    /// The whole size (`falloc` and `full`).
    Full,
}

/// One disk of a node type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Key in the file: `disk1`.
    pub key: DiskKey,
    /// Virtual size; absent for an imported disk, which keeps its image's.
    pub size: Option<Spanned<ByteSize>>,
    /// Preallocation of a disk that is not backed by an image.
    pub preallocation: Preallocation,
    /// libvirt cache mode.
    pub cache: CacheMode,
    /// Image that the disk is made from as it is; none if it is empty, or has the environment's image.
    pub import_url: Option<String>,
    /// Directory that it is in, without what means nothing in it; none is that of the environment's pool.
    pub path: Option<Spanned<Directory>>,
    /// Bus other than the environment's, if one is chosen.
    pub bus: Option<Bus>,
    /// The device that it is said to be: `vda`; none leaves that to its place among the disks.
    pub dev: Option<Spanned<String>>,
    /// The serial number that is chosen for it; without one it follows from its key.
    pub serial: Option<Spanned<Serial>>,
    /// Whether its image is downloaded again.
    pub refresh: bool,
    /// Where the disk is defined.
    pub span: Span,
}

/// Modes of preallocation, as `qemu-img` knows them.
const PREALLOCATION: [&str; 4] = ["off", "metadata", "falloc", "full"];

const SIZE: Form = Form::Parsed("a size such as `40G`", "40G");

/// Keys of a disk.
const DISK: &[Key] = &[
    key("size", SIZE, "Virtual size [default: the image's, with `import_url`; else required]").example("40G").takes(Live),
    key(
        "import_url",
        IMAGE,
        "Image that the disk is made from as it is [default: none, and the first disk gets the base image]",
    )
    .takes(Replace),
    key("image_url", IMAGE, "The same as `import_url` [default: none]").takes(Replace),
    key(
        "preallocation",
        Form::Words(&PREALLOCATION),
        "How much of a disk without an image is allocated at once; others grow [default: metadata]",
    )
    .takes(Later),
    key("cache", Form::Words(&CACHE_MODES), "libvirt's cache mode [default: unsafe]").takes(Restart),
    key(
        "path",
        DIRECTORY,
        "Directory that its volume is in: the storage pool that has it, or one of the environment's [default: `--disk-pool`]",
    ).example("/srv/disks")
    .takes(Replace),
    key(
        "bus",
        Form::Parsed("a disk bus", "scsi"),
        "Its bus: virtio, scsi, sata or ide [default: that of the setting `disk_bus`]",
    )
    .takes(Restart),
    key(
        "dev",
        Form::Text,
        "Device that it is, such as `/dev/vdb`: checked, since disks are named in their order [default: not checked]",
    ).example("vdb")
    .takes(Later),
    key(
        "serial",
        Form::Parsed("a serial number", "journal-1"),
        "Serial number, by which /dev/disk/by-id names it [default: its key]",
    ).example("journal-1")
    .takes(Restart),
    key(
        "force_image_download",
        Form::YesNo,
        "Download its image again, as `--force-image-download` does for all [default: no]",
    )
    .takes(Later),
];

/// How `disks` of a node type is written.
pub(super) const DISKS: Form = Form::Either(&[
    Form::Entries("^[0-9A-Za-z][0-9A-Za-z_-]{0,31}$", &Form::Map(DISK)),
    Form::List(&Form::Either(&[SIZE, Form::Map(DISK)])),
]);

/// Reads `disks`: a mapping of `diskN`, in the order written; or a list, whose items are called `disk1` and so on. Of a node type
/// that is `described` in the project file nobody means a disk of some bytes; InfraRed's files may have such.
pub fn decode(node: &Tree, (role, described): (&str, bool), diags: &mut Diagnostics) -> Vec<Disk> {
    if let Value::List(items) = &node.value {
        let named = items.iter().enumerate().map(|(i, item)| Entry {
            key: format!("disk{}", i + 1),
            key_span: item.span,
            value: sized(item),
        });
        let all = Tree { value: Value::Map(named.collect()), span: node.span };
        return decode(&all, (role, described), diags);
    }
    let what = format!("`disks` of node type `{role}`");
    if let Value::Scalar(text, _) = &node.value {
        let error = decode::wrong_type(node, &what, "a list of sizes, or a mapping of disks");
        diags.push(error.help(format!("write `disks: [{}]`", size_of(text.trim()))));
        return Vec::new();
    }
    if Fields::open(node, what, diags).is_none() {
        return Vec::new();
    }
    if let Some(entry) = node.entries().get(MOST_DISKS) {
        let message = format!("node type `{role}` has more than {MOST_DISKS} disks");
        diags.push(Diagnostic::error("topology::disks", message).at(entry.key_span, ""));
    }
    node.entries().iter().filter_map(|e| disk(e, (role, described), diags)).collect()
}

/// A size alone is a disk of that size.
fn sized(item: &Tree) -> Tree {
    let Value::Scalar(..) = item.value else { return item.clone() };
    let size = Entry { key: "size".into(), key_span: item.span, value: item.clone() };
    Tree { value: Value::Map(vec![size]), span: item.span }
}

/// How the size is written that somebody means: a number alone counts GiB to people.
fn size_of(text: &str) -> String {
    match text.parse::<ByteSize>() {
        Ok(size) if size.0 >= MIB => text.into(),
        Ok(_) if text.bytes().all(|b| b.is_ascii_digit()) => format!("{text}G"),
        _ => "20G".into(),
    }
}

/// Whether qcow2 can be that large, and somebody can mean it.
fn fits(size: ByteSize, node: &Tree, described: bool, diags: &mut Diagnostics) -> bool {
    if described && (1..MIB).contains(&size.0) {
        let unit = match &node.value {
            Value::Scalar(text, _) if text.bytes().all(|b| b.is_ascii_digit()) => {
                format!("a number alone counts bytes: write `{text}G`")
            }
            _ => "a disk has 1 MiB or more: write `20G`".into(),
        };
        let expected = "a size such as `40G`";
        diags.push(decode::wrong_type(node, "`size` of a disk", expected).help(unit));
        return false;
    }
    if (1..=MOST_BYTES).contains(&size.0) {
        return true;
    }
    let expected = "more than 0 and at most 2 PiB, the most that qcow2 holds";
    diags.push(decode::wrong_type(node, "`size`", expected));
    false
}

fn preallocation(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Preallocation {
    let Some(text) = fields.text("preallocation", diags) else { return Preallocation::default() };
    match text.value.as_str() {
        "off" => Preallocation::Off,
        "metadata" => Preallocation::Metadata,
        "falloc" | "full" => Preallocation::Full,
        other => {
            diags.push(
                Diagnostic::error(
                    "topology::preallocation",
                    format!("`{other}` is not a valid preallocation mode"),
                )
                .at(text.span, "")
                .help("modes are `off`, `metadata`, `falloc` and `full`"),
            );
            Preallocation::default()
        }
    }
}

fn cache(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> CacheMode {
    let Some(text) = fields.text("cache", diags) else { return CacheMode::default() };
    text.value.parse().unwrap_or_else(|_| {
        diags.push(
            Diagnostic::error(
                "topology::cache",
                format!("`{}` is not a valid cache mode", text.value),
            )
            .at(text.span, "")
            .help(format!("libvirt knows {}", decode::quoted_list(&CACHE_MODES))),
        );
        CacheMode::default()
    })
}

/// The directory that a disk names. Old node files have an empty one, which names none.
fn directory(fields: &mut Fields<'_>, diags: &mut Diagnostics) -> Option<Spanned<Directory>> {
    let text = fields.text("path", diags).filter(|text| !text.value.trim().is_empty())?;
    let mut refuse = |message: String, help: &str| {
        diags.push(
            Diagnostic::error("topology::disk-path", message)
                .at(text.span, "")
                .help(help.to_string()),
        );
        None
    };
    let example = "it is a directory of the hypervisor for disks, such as `/srv/disks`";
    if let Err(error) = text.value.parse::<Directory>() {
        return refuse(format!("`path` of a disk: {error}"), example);
    }
    let plain = system::plain_path(&text.value);
    if system::is_of_others(&plain) {
        return refuse(
            format!("`path` of a disk: `{plain}` is the system's own directory"),
            example,
        );
    }
    let value = plain.parse().ok()?;
    Some(Spanned { value, span: text.span })
}

fn disk(entry: &Entry, (role, described): (&str, bool), diags: &mut Diagnostics) -> Option<Disk> {
    let (key, node) = (&entry.key, &entry.value);
    let key: DiskKey = match key.parse() {
        Ok(key) => key,
        Err(error) => {
            diags.push(
                Diagnostic::error("topology::disk-key", error.to_string()).at(entry.key_span, ""),
            );
            return None;
        }
    };
    let what = format!("disk `{key}` of node type `{role}`");
    let write = |text: &str| format!("{key}: {{size: {}}}", size_of(text));
    let mut fields = Fields::or_else(node, what, DISK, write, diags)?;
    let import = fields.parsed::<Line>("import_url", diags);
    let second = fields.parsed::<Line>("image_url", diags);
    let import = import.or(second);
    let size = match (&import, fields.take("size")) {
        (_, Some(node)) => {
            decode::size(node, "size", diags).filter(|s| fits(s.value, node, described, diags))
        }
        (Some(_), None) => None,
        (None, None) => {
            fields.need("size", diags);
            None
        }
    };
    let preallocation = preallocation(&mut fields, diags);
    let cache = cache(&mut fields, diags);
    let path = directory(&mut fields, diags);
    let bus = fields.parsed::<Bus>("bus", diags).map(|b| b.value);
    let dev = fields.text("dev", diags);
    let serial = fields.parsed("serial", diags);
    let refresh = fields.bool("force_image_download", diags).unwrap_or(false);
    let span = fields.span();
    fields.finish(diags);
    Some(Disk {
        key,
        size,
        preallocation,
        cache,
        import_url: import.map(|i| i.value.to_string()),
        path,
        bus,
        dev,
        serial,
        refresh,
        span,
    })
}
