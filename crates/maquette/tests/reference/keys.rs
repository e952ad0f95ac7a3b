//! The pages of settings, and of keys of node types and networks: the rows that `maquette explain` follows from.

use std::fmt::Write;

use maquette_core::explain::{Topic, topics};
use maquette_core::schema::{self, File};
use maquette_core::settings::{SETTINGS, SettingKind};

use super::played::help;
use super::{begin, cell, compare, table, variables};

#[test]
fn the_page_of_settings_has_every_setting_with_all_its_names() {
    let mut out = begin(
        "Settings",
        "A setting is given as a flag, as an environment variable, or in `maquette.yaml`. A flag counts more than a \
         variable, and a variable more than the file. A flag with an empty value, as in `--ttl ''`, takes back for one run what the file says, \
         but for flags of where an environment is, and of which nodes and networks it has. `maquette virsh` has those of the last \
         column as options with the same names, `IR_…` variables for them, and keys of answers files that are called like \
         the options; playbooks and expressions see these below `provision`, with a point for each `-`: \
         `provision.host.address`, `provision.net_subnet`. Variables that are not settings are [at the end](#other-variables).",
    );
    let virsh = help(&["virsh", "--help"]);
    let code = |text: Option<String>| text.map_or(String::new(), |text| format!("`{text}`"));
    let topics = topics();
    let groups: Vec<_> = SETTINGS.iter().map(|row| row.group).collect();
    let mut titles: Vec<_> = groups.iter().map(|group| group.title()).collect();
    titles.dedup();
    for title in titles {
        let _ = writeln!(out, "## {title}\n");
        let rows = SETTINGS.iter().filter(|row| row.group.title() == title);
        let row = |row: &maquette_core::settings::Setting| {
            let flag = match row.kind {
                SettingKind::Changes => format!("`-e`, `--{}`", row.name),
                _ => code(row.flag()),
            };
            let virsh = if virsh.contains(&format!("--{} ", row.name)) { "yes" } else { "" };
            let key = code(row.key.map(String::from));
            vec![flag, cell(&row.help()), key, code(row.variable()), virsh.into()]
        };
        let head = ["flag", "what it is", "in `maquette.yaml`", "variable", "`virsh`"];
        table(&mut out, &head, rows.clone().map(row));
    }
    out.push_str("## How each is written\n\n");
    let row = |topic: &Topic| {
        let name = topic.path.trim_start_matches("--");
        vec![format!("`{name}`"), cell(&topic.kind), format!("`{}`", topic.example)]
    };
    let settings = topics.iter().take(SETTINGS.len());
    table(&mut out, &["setting", "form", "example"], settings.map(row));
    variables::others(&mut out);
    compare("reference/settings.md", &format!("{}\n", out.trim_end()));
}

/// One key in full.
fn key(out: &mut String, topic: &Topic, title: &str) {
    let _ = writeln!(out, "### {title}\n\n{}.\n", cell(topic.doc.trim_end_matches('.')));
    let mut line = |what: &str, text: &str| {
        let _ = writeln!(out, "- {what}: {text}");
    };
    line("form", &cell(&topic.kind));
    if let Some(default) = &topic.default {
        line("without it", &cell(default));
    }
    if topic.required {
        line("required", "yes");
    }
    if let Some(change) = topic.change() {
        line("a change", change);
    }
    line("where", &cell(&topic.places.join(", ")));
    let _ = writeln!(out, "\n```yaml\n{}\n```\n", topic.example);
}

fn keys(page: &str, title: &str, text: &str, branch: &str) {
    let mut out = begin(title, text);
    let all = topics();
    let own: Vec<&Topic> =
        all.iter().filter(|topic| topic.path.starts_with(&format!("{branch}."))).collect();
    let name = |topic: &Topic| topic.path[branch.len() + 1..].to_string();
    // As mdBook names headings.
    let anchor = |name: &str| {
        let kept = name.chars().filter(|c| c.is_alphanumeric() || "_-".contains(*c));
        kept.collect::<String>().to_lowercase()
    };
    let (used, unused): (Vec<&Topic>, Vec<&Topic>) = own.into_iter().partition(|t| t.has_effect);
    let top = used.iter().filter(|topic| topic.group == branch);
    let row = |topic: &&Topic| {
        let default = topic.default.iter().map(|d| format!(" [default: {d}]"));
        let default = default.chain(topic.required.then(|| " [required]".into()));
        let doc = format!("{}{}", topic.doc, default.collect::<String>());
        vec![format!("[`{}`](#{})", name(topic), anchor(&name(topic))), cell(&doc)]
    };
    table(&mut out, &["key", "what it is"], top.map(row));
    out.push_str("## Each in full\n\n");
    for topic in &used {
        key(&mut out, topic, &name(topic));
    }
    if !unused.is_empty() {
        out.push_str("## Read, and without effect\n\nInfraRed's files may have these keys.\n\n");
        let row = |topic: &&Topic| vec![format!("`{}`", name(topic)), cell(&topic.doc)];
        table(&mut out, &["key", "what it is"], unused.iter().map(row));
    }
    compare(page, &format!("{}\n", out.trim_end()));
}

#[test]
fn the_pages_of_keys_have_every_key() {
    keys(
        "reference/node-keys.md",
        "Keys of node types",
        "Below `nodes.NAME` in `maquette.yaml`, and in node files, which hold one node type each. `maquette explain KEY` \
         prints the same.",
        "nodes.NAME",
    );
    keys(
        "reference/network-keys.md",
        "Keys of networks",
        "Below `networks.NAME` in `maquette.yaml`, and in network files, below `networks`. `maquette explain KEY` prints \
         the same.",
        "networks.NAME",
    );
}

/// Editors and others take them from the site.
#[test]
fn the_schemas_are_there_to_be_fetched() {
    for (name, file) in
        [("project", File::Project), ("nodes", File::Nodes), ("network", File::Network)]
    {
        let text = serde_json::to_string_pretty(&schema::schema(file)).unwrap();
        compare(&format!("schemas/{name}.schema.json"), &format!("{text}\n"));
    }
}
