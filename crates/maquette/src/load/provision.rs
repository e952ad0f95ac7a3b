//! Extra variables that are settings: `-e provision.disk.bus=scsi` is `--disk-bus scsi`, and wins over it, as with InfraRed;
//! `-e net=N` is `--net_subnet N`.

use maquette_core::diagnostic::{Diagnostic, Diagnostics, UNUSED_EXTRA, slip};
use maquette_core::layers::{self, ExtraVar};
use maquette_core::secret_keys;
use maquette_core::settings::{SETTINGS, Setting, SettingKind};
use maquette_core::syntax::{Plain, Span, Tree, Value, parse_bool};
use maquette_core::topology::{Request, is_read};

use super::project::Project;
use super::{Reader, built_in};
use crate::cli::FlagTexts;
use crate::host_args::HostArgs;

/// Where InfraRed has its settings.
pub const PROVISION: &str = "provision";

fn tree(list: &[ExtraVar]) -> Option<Tree> {
    let mut vars = Tree::empty_map(list.first()?.span);
    // What is wrong with them is said elsewhere.
    layers::put(&mut vars, list, &mut Diagnostics::default());
    Some(vars)
}

/// Takes settings from extra variables, for verbs that have no other tree of settings. What is no setting has no effect
/// there, unless a playbook or an expression reads it.
pub fn settings(reader: &mut Reader<'_>, list: &[ExtraVar], given: &mut FlagTexts) {
    let Some(vars) = tree(list) else { return };
    let Some(provision) = vars.get(PROVISION) else { return };
    for row in SETTINGS.iter().filter(|row| row.infrared.is_some()) {
        let path: Vec<&str> = row.name.split('-').collect();
        let Some(node) = provision.at(&path).filter(|node| node.value != Value::Null) else {
            continue;
        };
        let told = format!("`{PROVISION}.{}`", path.join("."));
        if let Value::List(hosts) = &node.value
            && row.kind == SettingKind::Address
            && hosts.len() > 1
        {
            let message = format!("several hypervisors ({told}) are not supported yet");
            reader.diags.push(Diagnostic::error("feature::later", message).at(node.span, ""));
            continue;
        }
        match text(row, node) {
            Some(text) => given.set_as(row.name, vec![text], told),
            None => {
                let message = format!("{told} is not a value that a setting can have");
                reader.diags.push(Diagnostic::error("extra::setting", message).at(node.span, ""));
            }
        }
    }
}

/// A setting's value as its flag has it.
fn text(row: &Setting, node: &Tree) -> Option<String> {
    let scalar = |node: &Tree| match &node.value {
        Value::Scalar(text, _) => Some(text.clone()),
        _ => None,
    };
    match &node.value {
        Value::List(list) if row.kind == SettingKind::Address => list.first().and_then(scalar),
        Value::Map(types) if row.kind == SettingKind::Nodes => {
            let counted =
                |e: &maquette_core::syntax::Entry| Some(format!("{}:{}", e.key, scalar(&e.value)?));
            let all: Option<Vec<String>> = types.iter().map(counted).collect();
            all.map(|all| all.join(","))
        }
        _ => scalar(node),
    }
}

/// The settings that are in force, as InfraRed's tree has them: below `provision`, by the words of their names. What has no value
/// is not in it, nor what is secret: that is for no file of somebody else's.
pub fn in_tree(
    reader: &Reader<'_>,
    said: (&FlagTexts, &Project),
    (request, host): (&Request, &HostArgs),
) -> Plain {
    let mut tree = Plain::map();
    for row in SETTINGS.iter().filter(|row| row.infrared.is_some()) {
        let Some(value) = in_force(reader, row, said, (request, host)) else { continue };
        let path: Vec<&str> = std::iter::once(PROVISION).chain(row.name.split('-')).collect();
        // No setting is below another one.
        if let Ok(place) = tree.place(&path) {
            *place = value;
        }
    }
    secret_keys::for_strangers(&tree)
}

/// What a setting is, in the form that it has in InfraRed's tree.
fn in_force(
    reader: &Reader<'_>,
    row: &Setting,
    (given, project): (&FlagTexts, &Project),
    (request, host): (&Request, &HostArgs),
) -> Option<Plain> {
    let settings = &request.settings;
    // What a workspace remembers counts, too.
    let found = match row.name {
        "prefix" => return settings.environment.prefix().map(Plain::text),
        "host-address" => {
            return host.address.as_ref().map(|a| Plain::List(vec![Plain::text(a.to_string())]));
        }
        "host-user" => return host.user.as_ref().map(|user| Plain::text(user.to_string())),
        "host-key" => return host.key.as_ref().map(|key| Plain::text(key.display().to_string())),
        "pool-name" => return Some(Plain::text(settings.pool_name.to_string())),
        "disk-pool" => return Some(Plain::text(settings.pool_path.to_string())),
        "topology-nodes" => {
            let path = |path: &str| built_in::real(reader.environment, path.to_string());
            let counted = request.nodes.iter().map(|node| {
                let name = if node.described { node.file.clone() } else { path(&node.path) };
                (name, Plain::Int(node.count.into()))
            });
            return Some(Plain::Map(counted.collect())).filter(|_| !request.nodes.is_empty());
        }
        _ => given.told(row.name).map(|(_, text)| text.to_string()),
    };
    let written = || match project.node(row.name).map(|node| &node.value) {
        Some(Value::Scalar(text, _)) => Some(text.clone()),
        _ => None,
    };
    let nothing = || row.infrared.and_then(|i| i.default).filter(|text| ["no", ""].contains(text));
    let text = found
        .or_else(written)
        .or_else(|| row.default.map(String::from))
        .or_else(|| nothing().map(String::from))?;
    Some(match row.kind {
        SettingKind::YesNo => Plain::Bool(parse_bool(&text)?),
        SettingKind::Network => {
            let path = super::path_of_network(reader.environment, &text);
            path.map_or_else(|_| Plain::text(text), Plain::text)
        }
        _ if text == "no" && nothing() == Some("no") => Plain::Bool(false),
        _ => Plain::text(text),
    })
}

/// Has expressions see a tree of settings, below what extra variables have there besides.
pub fn show(reader: &mut Reader<'_>, tree: &Plain, request: &mut Request) {
    let id = reader.sources.add(super::extra::OPTIONS, "");
    let mut all = tree.located(reader.sources.whole(id));
    let Some(settings) = all.get_mut(PROVISION) else { return };
    if let Some(own) = request.extra.get(PROVISION) {
        layers::merge(settings, own);
    }
    let settings = settings.clone();
    match request.extra.get_mut(PROVISION) {
        Some(own) => *own = settings,
        None => layers::merge(&mut request.extra, &all),
    }
}

/// `net` and `data_net` are what `--net_subnet` and `--data_subnet` say, so that no other number is chosen beside them.
pub fn subnets(list: &[ExtraVar], given: &mut FlagTexts) {
    let Some(vars) = tree(list) else { return };
    for (variable, name) in [("net", "net_subnet"), ("data_net", "data_subnet")] {
        if let Some(Value::Scalar(text, _)) = vars.get(variable).map(|node| &node.value)
            && text.parse::<u8>().is_ok()
        {
            given.set_as(name, vec![text.clone()], format!("`{variable}`"));
        }
    }
}

/// The user's password, which has no option: InfraRed has it in the tree alone.
const PASSWORD: &str = "topology.password";

/// Says which extra variables below `provision` nobody reads: none of `known`, which are all settings where that is not
/// given, and of no expression and no playbook.
pub fn idle(
    reader: &mut Reader<'_>,
    list: &[ExtraVar],
    known: Option<&[String]>,
    request: &Request,
) {
    if is_read(request, PROVISION) {
        return;
    }
    let settings = || {
        let rows = SETTINGS.iter().filter(|row| row.infrared.is_some());
        rows.map(|row| row.name.replace('-', ".")).collect::<Vec<_>>()
    };
    let mut known = known.map_or_else(settings, <[String]>::to_vec);
    known.push(PASSWORD.into());
    let mut found = Vec::new();
    // All settings of the run stand behind what somebody gave.
    for var in
        list.iter().filter(|var| reader.sources.get(var.span.source).name != super::extra::OPTIONS)
    {
        match var.path.split_first() {
            Some((first, rest)) if first == PROVISION => {
                leaves(rest.join("."), &var.value, var.span, &known, &mut found);
            }
            None => {
                if let Some(value) = var.value.get(PROVISION) {
                    leaves(String::new(), value, value.span, &known, &mut found);
                }
            }
            Some(_) => {}
        }
    }
    for (path, span) in found {
        let whole = if path.is_empty() { PROVISION.into() } else { format!("{PROVISION}.{path}") };
        let message = format!("`{whole}` is not a setting, and has no effect");
        let diagnostic = Diagnostic::warning(UNUSED_EXTRA, message).at(span, "");
        let meant = slip(&path, known.iter().map(String::as_str));
        reader.diags.push(match meant {
            Some(meant) => diagnostic.help(format!("did you mean `{PROVISION}.{meant}`?")),
            None => diagnostic,
        });
    }
}

/// Paths of values that are neither settings nor part of one.
fn leaves(
    path: String,
    node: &Tree,
    span: Span,
    known: &[String],
    found: &mut Vec<(String, Span)>,
) {
    if known.contains(&path) {
        return;
    }
    let above = path.is_empty()
        || known.iter().any(|k| k.strip_prefix(&path).is_some_and(|r| r.starts_with('.')));
    match &node.value {
        Value::Map(entries) if above => {
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                leaves(
                    format!("{path}{dot}{}", entry.key),
                    &entry.value,
                    entry.key_span,
                    known,
                    found,
                );
            }
        }
        _ => found.push((path, span)),
    }
}

#[cfg(test)]
mod tests {
    use maquette_core::topology::{self, Allocation};

    use crate::cli::TopologyArgs;
    use crate::load;
    use crate::world::Environment;

    /// All that expressions make of a node type and its network with these settings and extra variables.
    fn seen(settings: &[(&'static str, &str)], extra: &[&str]) -> String {
        let environment = &Environment::of_process();
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let node = "{name: web, cpu: 1, memory: 64, deploy_os: yes, disks: {disk1: {size: 1G}}, \
                    interfaces: [{network: lan}], \
                    import_url: '{{ provision.image.mirror.url }}/a.img', \
                    groups: ['g{{ provision.vnc.password | default(0) }}', \
                    \"m{{ override.web.memory | default('none') }}\", \
                    \"{{ 'CANARY' if 'CANARY' in (provision | string) else 'clean' }}\"]}";
        let network = "networks: {lan: {name: lan, forward: nat, \
                       domain: \"{{ provision.topology.password | default('none') }}\"}}";
        let nodes = format!("{}:1", write("web.yml", node));
        let network = write("lan.yml", network);
        let mut wanted = TopologyArgs::default();
        wanted.flags.0.set("topology-nodes", vec![nodes]);
        wanted.flags.0.set("topology-network", vec![network]);
        for (name, text) in settings {
            wanted.flags.0.set(name, vec![(*text).to_string()]);
        }
        let extra = extra.iter().map(|text| (*text).to_string()).collect();
        wanted.flags.0.set("extra-vars", extra);
        wanted.place.workspace = Some(directory.path().join("workspace"));
        let mut loaded = load::wanted(environment, &wanted);
        let topology =
            topology::compile(&loaded.request, Allocation::UNPREFIXED, &mut loaded.diags).unwrap();
        assert!(!loaded.diags.has_errors(), "{:?}", loaded.diags);
        format!("{:?} {:?}", topology.roles, topology.networks)
    }

    #[test]
    fn no_expression_of_a_file_sees_the_users_passwords() {
        let settings = [
            ("image-url", "https://me:CANARY@h/x.qcow2?sig=CANARY"),
            ("image-mirror-url", "https://me:CANARY@h/"),
            ("tls-ca", "https://me:CANARY@h/a,https://me:CANARY@h/b"),
            ("vnc-external", "yes"),
            ("vnc-password", "CANARY-1"),
            ("topology-password", "CANARY-2"),
        ];
        let seen_of = seen(&settings, &[]);
        assert!(!seen_of.contains("CANARY"), "{seen_of}");
        assert!(seen_of.contains("https://***@h/") && seen_of.contains("g0"), "{seen_of}");
    }

    /// What replaces values of one node type is nothing that the file of another one may read.
    #[test]
    fn no_expression_of_a_file_sees_what_overrides_others() {
        let seen = seen(&[], &["override.web.memory=4096"]);
        assert!(seen.contains("mnone") && !seen.contains("m4096"), "{seen}");
    }

    #[test]
    fn extra_variables_are_seen_as_they_are() {
        let extra = [
            "provision.image.mirror.url=https://me:pass@h",
            "provision.vnc.password=pass2",
            "provision.topology.password=pass3",
        ];
        let seen = seen(&[("vnc-external", "yes")], &extra);
        for own in ["https://me:pass@h/a.img", "gpass2", "pass3"] {
            assert!(seen.contains(own), "{own}: {seen}");
        }
    }
}
