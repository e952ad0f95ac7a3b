//! Interfaces of nodes as a table.

use serde_json::json;

use super::table;

/// An interface as `link show` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// The node, by its libvirt name.
    pub node: String,
    /// Name in the guest.
    pub interface: String,
    /// MAC address, in lower case with colons.
    pub mac: String,
    /// Network, or `bridge/NAME`.
    pub network: String,
    /// Portgroup of the network; none if it has none.
    pub portgroup: Option<String>,
    /// IPv4 address; none if none is known beforehand.
    pub address: Option<String>,
    /// Tap on the hypervisor: `vnet3`; none while the node is off.
    pub tap: Option<String>,
    /// Whether the link is up; unknown while the node is off.
    pub up: Option<bool>,
    /// Limit in KiB a second; none for no limit.
    pub limit_kib_s: Option<u64>,
    /// How long frames to the node are held up, in milliseconds; none for no delay.
    pub delay_ms: Option<f64>,
    /// How many of the frames to the node are lost, in percent; none for no loss.
    pub loss_percent: Option<f64>,
}

impl LinkRow {
    fn state(&self) -> &'static str {
        match self.up {
            Some(true) => "up",
            Some(false) => "down",
            None => "-",
        }
    }

    fn limit(&self) -> String {
        let parts = [
            self.limit_kib_s.map(|l| format!("{l} KiB/s")),
            self.delay_ms.map(|d| format!("delay {d} ms")),
            self.loss_percent.map(|l| format!("loss {l}%")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "-".into() } else { parts.join(", ") }
    }
}

/// A table for people.
pub fn links(rows: &[LinkRow]) -> String {
    let dash = |text: &Option<String>| text.clone().unwrap_or("-".into());
    let header = ["NODE", "INTERFACE", "NETWORK", "ADDRESS", "MAC", "TAP", "LINK", "LIMIT"];
    let lines = rows.iter().map(|row| {
        let group = row.portgroup.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
        vec![
            row.node.clone(),
            row.interface.clone(),
            format!("{}{group}", row.network),
            dash(&row.address),
            row.mac.clone(),
            dash(&row.tap),
            row.state().into(),
            row.limit(),
        ]
    });
    table::columns(&header, lines)
}

/// The same as a JSON document, for programs.
pub fn links_json(rows: &[LinkRow]) -> String {
    let list: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "node": row.node,
                "interface": row.interface,
                "mac": row.mac,
                "network": row.network,
                "portgroup": row.portgroup,
                "address": row.address,
                "tap": row.tap,
                "link": row.up.map(|up| if up { "up" } else { "down" }),
                "limit_kib_s": row.limit_kib_s,
                "delay_ms": row.delay_ms,
                "loss_percent": row.loss_percent,
            })
        })
        .collect();
    format!("{:#}", json!({"schema": 1, "interfaces": list}))
}
