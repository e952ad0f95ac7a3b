//! Tables.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use maquette_core::node_state::{Condition, Evidence, NodeState};
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Domain, Observed};
use maquette_core::plan;
use maquette_core::units::ByteSize;
use maquette_engine::host::lock::duration;
use maquette_engine::image::build::BUILDABLE;
use maquette_engine::image::catalogue;
use maquette_libvirt::Cached;
use serde_json::{Value, json};

/// A node as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// libvirt name, which is the host name.
    pub name: String,
    /// The node type's name.
    pub role: String,
    /// What it does now.
    pub state: NodeState,
    /// Why it is not ready, where the state does not say it all.
    pub reason: Option<String>,
    /// Its interfaces without a carrier, each with its network.
    pub pulled: Vec<(String, String)>,
    /// Address, or `-`.
    pub address: String,
    /// Login, or `-`.
    pub user: String,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// TCP port of its VNC server; none while it does not run.
    pub vnc_port: Option<u16>,
    /// How long it has run, in seconds; none while it does not run, or if that is not known.
    pub uptime_s: Option<u64>,
    /// What is not as Maquette left it.
    pub drift: Vec<String>,
    /// Whether it is as it should be after `up`.
    pub good: bool,
}

impl Row {
    /// Every node of an environment, in the order of names and numbers.
    pub fn all(observed: &Observed, evidence: &BTreeMap<String, Evidence>) -> Vec<Self> {
        let mut domains: Vec<&Domain> = observed.domains.values().collect();
        domains.sort_by(|a, b| {
            (&a.recorded.role, a.recorded.index).cmp(&(&b.recorded.role, b.recorded.index))
        });
        let drifts = plan::drifts(observed);
        let of = |domain: &Domain| {
            let own =
                drifts.iter().filter(|d| d.kind == ObjectKind::Domain && d.name == domain.name);
            own.map(|d| d.what.clone()).collect::<Vec<_>>()
        };
        let row = |domain: &Domain| {
            let nothing = Evidence::default();
            Self::new(domain, evidence.get(domain.name.as_str()).unwrap_or(&nothing), of(domain))
        };
        domains.into_iter().map(row).collect()
    }

    fn new(domain: &Domain, evidence: &Evidence, drift: Vec<String>) -> Self {
        let node = &domain.recorded;
        let Condition { state, reason } = Condition::of(domain, evidence);
        let good = matches!(state, NodeState::Ready | NodeState::Running);
        let interfaces = node.interfaces.iter().filter(|i| domain.pulled.contains(&i.mac));
        let pulled: Vec<_> =
            interfaces.map(|i| (i.name.to_string(), i.network.to_string())).collect();
        Self {
            reason,
            name: domain.name.to_string(),
            role: node.role.to_string(),
            state,
            address: node.access.address.map_or("-".into(), |a| a.to_string()),
            user: if node.deploy_os { node.access.user.to_string() } else { "-".into() },
            vcpus: domain.defined.vcpus,
            memory_mib: domain.defined.memory_mib,
            good: good && drift.is_empty() && pulled.is_empty(),
            pulled,
            vnc_port: domain.vnc_port,
            uptime_s: evidence.uptime_s.filter(|_| domain.active),
            drift,
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "role": self.role,
            "state": self.state.as_str(),
            "reason": self.reason,
            "pulled": self.pulled.iter().map(|(interface, _)| interface).collect::<Vec<_>>(),
            "address": (self.address != "-").then_some(&self.address),
            "user": (self.user != "-").then_some(&self.user),
            "vcpus": self.vcpus,
            "memory_mib": self.memory_mib,
            "vnc_port": self.vnc_port,
            "uptime_s": self.uptime_s,
            "drift": self.drift,
        })
    }
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table
}

fn finish(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A table of plain columns.
pub fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain(header);
    table.add_rows(rows);
    finish(&table)
}

/// The nodes of an environment.
pub fn nodes(rows: &[Row]) -> String {
    let mut table = plain(&["NODE", "STATE", "ADDRESS", "USER", "VCPUS", "MEMORY", "UPTIME"]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            row.state.as_str().into(),
            row.address.clone(),
            row.user.clone(),
            row.vcpus.to_string(),
            ByteSize(row.memory_mib.saturating_mul(1 << 20)).to_string(),
            row.uptime_s.map_or("-".into(), duration),
        ]);
    }
    finish(&table)
}

/// Why nodes are not ready, and whose cables are pulled; nothing if there is nothing to say.
pub fn reasons(rows: &[Row]) -> String {
    let why = rows.iter().filter_map(|row| Some((row, row.reason.as_ref()?)));
    let why: String =
        why.map(|(row, why)| format!("  {}: {}, {why}\n", row.name, row.state.as_str())).collect();
    let pulled = rows.iter().flat_map(|row| row.pulled.iter().map(move |nic| (row, nic)));
    let pulled: String = pulled
        .map(|(row, (nic, network))| format!("  {} {nic}, network {network}\n", row.name))
        .collect();
    let mut out = String::new();
    if !why.is_empty() {
        out.push_str(&format!("\nnot ready (`maquette doctor` looks for the cause):\n{why}"));
    }
    if !pulled.is_empty() {
        let how = "`maquette link up NODE INTERFACE` plugs them in";
        out.push_str(&format!("\ncables that are pulled ({how}):\n{pulled}"));
    }
    out
}

/// An address in so many characters: in the end its host and its file.
fn shortened(url: &str, room: usize) -> String {
    let fits = |text: &str| text.chars().count() <= room;
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    let ends = bare.split_once('/').map(|(host, path)| {
        format!("{host}/…/{}", path.rsplit_once('/').map_or(path, |(_, file)| file))
    });
    let forms = [Some(url.to_string()), Some(bare.to_string()), ends];
    let last = forms.iter().flatten().next_back().cloned().unwrap_or_default();
    forms.into_iter().flatten().find(|form| fits(form)).unwrap_or_else(|| {
        let begin: String = last.chars().take(room.saturating_sub(1)).collect();
        format!("{begin}…")
    })
}

/// Images that can be named; `built` tells which are here already. Addresses fit a terminal of that `width`.
pub fn images(built: impl Fn(&str) -> bool, width: Option<usize>) -> String {
    // What stands before the address.
    const BEFORE: usize = 34;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(BEFORE).max(20));
    let mut table = plain(&["IMAGE", "HERE", "SOURCE"]);
    for entry in catalogue::ENTRIES {
        let here = match (built(entry.name), BUILDABLE.iter().any(|(n, _)| *n == entry.name)) {
            (true, _) => "built",
            (false, true) => "can be built",
            (false, false) => "",
        };
        table.add_row([entry.name, here, &shortened(entry.url, room)]);
    }
    finish(&table)
}

/// Images and templates in a pool.
pub fn cached(all: &[Cached]) -> String {
    let mut table = plain(&["VOLUME", "KIND", "SIZE", "OVERLAYS", "OF IMAGE"]);
    for entry in all {
        let kind = match (&entry.image, entry.whole, entry.current) {
            _ if entry.kept => "disk that has clones",
            (None, ..) => "image",
            (Some(_), false, _) => "template without memory",
            (Some(_), true, false) => "template of another version",
            (Some(_), true, true) => "template",
        };
        table.add_row([
            entry.volume.clone(),
            kind.into(),
            ByteSize(entry.bytes).to_string(),
            entry.overlays.to_string(),
            entry.image.clone().unwrap_or_default(),
        ]);
    }
    finish(&table)
}

/// A table in boxes, with a rule between rows, as InfraRed's users' scripts read it.
pub fn boxes(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|h| (*h).to_string()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let dashes: Vec<String> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
    let rule = format!("+{}+\n", dashes.join("+"));
    let mut out = rule.clone();
    for row in all {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
        out.push_str(&format!("|{}|\n{rule}", cells.join("|")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fit_a_terminal() {
        let url = "https://repo.example.org/9/cloud/x86_64/images/Generic-9-latest.x86_64.qcow2";
        assert_eq!(shortened(url, usize::MAX), url);
        assert_eq!(shortened(url, 70), &url[8..]);
        assert_eq!(shortened(url, 55), "repo.example.org/…/Generic-9-latest.x86_64.qcow2");
        assert_eq!(shortened(url, 20), "repo.example.org/…/…");
        let longest =
            |width| images(|_| false, Some(width)).lines().map(|l| l.chars().count()).max();
        for width in [80, 100, 200] {
            assert!(longest(width) <= Some(width), "{width}: {:?}", longest(width));
        }
    }

    #[test]
    fn boxes_have_a_rule_between_rows() {
        let rows = [vec!["a".into(), "*".into()], vec!["long-name".into(), String::new()]];
        insta::assert_snapshot!(boxes(&["Name", "Active"], &rows));
    }
}
