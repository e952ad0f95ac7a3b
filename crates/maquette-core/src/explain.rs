//! What can be written where: every setting, and every key of node types and networks, from the rows that reading
//! follows from. `maquette explain` prints it.

mod sample;

use crate::diagnostic::closest;
use crate::file_keys::peers::instead;
use crate::file_keys::{Class, Form, Key};
use crate::settings::{SETTINGS, Setting, SettingKind};
use crate::topology::{DESCRIBED, NETWORK, NETWORK_DEFAULTS, NODE_DEFAULTS};

/// Stands in a path for a name that the user gives.
const NAME: &str = "NAME";

/// Stands in an example for what comes there.
const HERE: &str = "<>";

/// One thing that can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Where it is in the project file, as `nodes.NAME.memory`; or its flag.
    pub path: String,
    /// What it is together with: a heading of the help, or the path above it.
    pub group: String,
    /// What it is.
    pub doc: String,
    /// How it is written.
    pub kind: String,
    /// What holds without it.
    pub default: Option<String>,
    /// Whether there must be one in the mapping that it is in.
    pub required: bool,
    /// What a change of it takes of what is there; none for settings, and where it depends on the keys below.
    pub class: Option<Class>,
    /// An example: YAML of a project file, or a flag.
    pub example: String,
    /// Where it may be written.
    pub places: Vec<String>,
    /// Names of the keys below it.
    pub keys: Vec<&'static str>,
    /// Whether it has any effect; other keys are taken for InfraRed's files.
    pub has_effect: bool,
}

impl Topic {
    /// The last part of its path.
    fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// What a change of it takes, for people.
    pub fn change(&self) -> Option<&'static str> {
        let node = self.path.starts_with("nodes.");
        Some(match self.class? {
            Class::Later => "what is there stays as it is",
            Class::Record => "noted; nodes go on as they are",
            Class::Live if node => {
                "made while nodes run, where they and their guests allow it; otherwise nodes restart, or are made again where a \
                 restart is not enough, as for a smaller disk: `maquette plan` says which"
            }
            Class::Live => "made while the network runs",
            Class::Restart => "nodes restart",
            Class::Replace if node => "nodes are made again, with new disks",
            Class::Replace => {
                "the network is made again; nodes restart, or are made again where an address or MTU changes"
            }
        })
    }
}

/// Everything there is, in the order of the help.
pub fn topics() -> Vec<Topic> {
    let mut all: Vec<Topic> = SETTINGS.iter().map(setting).collect();
    for branch in [Branch::of_nodes(), Branch::of_networks()] {
        branch.walk(&mut all);
    }
    all
}

/// The topics that a word or a path means; if there is none, the name that is most like it.
///
/// # Errors
///
/// What may have been meant, if anything is like it.
pub fn find(word: &str) -> Result<Vec<Topic>, Option<String>> {
    let query = Query::of(word);
    if let Some(setting) = SETTINGS.iter().find(|s| is_told(s, word)) {
        return Ok(vec![self::setting(setting)]);
    }
    let all = topics();
    let last = query.0.last().map_or("", String::as_str);
    let names: Vec<String> = all.iter().map(|t| t.name().to_string()).collect();
    // A name that a user gives may be any, but who writes that of a key means the key.
    let is_key = names.iter().any(|name| name == last);
    let ranked = all.into_iter().filter(|t| !is_key || t.name() == last);
    let ranked = ranked.filter_map(|t| Some((query.distance(&t.path, &names)?, t)));
    let mut ranked: Vec<(usize, Topic)> = ranked.collect();
    // Whoever says more than a name means what is nearest to that.
    let nearest = ranked.iter().map(|(distance, _)| *distance).min().unwrap_or(0);
    ranked.retain(|(distance, _)| query.0.len() == 1 || *distance == nearest);
    if ranked.iter().any(|(_, topic)| topic.has_effect) {
        ranked.retain(|(_, topic)| topic.has_effect);
    }
    if !ranked.is_empty() {
        return Ok(ranked.into_iter().map(|(_, topic)| topic).collect());
    }
    let below: Vec<Topic> =
        SETTINGS.iter().filter(|row| is_below(row, word)).map(setting).collect();
    if !below.is_empty() {
        return Ok(below);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != NAME).collect();
    // What another tool calls it is further from it than many a word that means something else.
    Err(instead(last, &names).or_else(|| {
        closest(last, names.iter().copied()).map(|like| format!("did you mean `{like}`?"))
    }))
}

/// Whether a setting is given by this flag, with its dashes, or by this environment variable.
fn is_told(row: &Setting, word: &str) -> bool {
    [row.flag(), row.variable()].iter().flatten().any(|name| name == word)
}

/// Whether a word is the first of those that a setting's key or flag is made of, as `hypervisor` and `topology` are.
fn is_below(row: &Setting, word: &str) -> bool {
    let word = word.trim().trim_start_matches('-');
    let begins =
        |name: &str| name.strip_prefix(word).is_some_and(|rest| rest.starts_with(['.', '-']));
    !word.is_empty() && (row.key.is_some_and(begins) || begins(row.name))
}

/// What is searched for: parts of a path.
struct Query(Vec<String>);

impl Query {
    /// Settings are found by the names of their flags, too, and overrides by what they change.
    fn of(word: &str) -> Self {
        let word = word.trim();
        if let Some(setting) = SETTINGS.iter().find(|s| s.name == word) {
            return Self(path(setting).split('.').map(String::from).collect());
        }
        let mut parts: Vec<String> =
            word.split('.').filter(|p| !p.is_empty()).map(String::from).collect();
        if parts.len() > 1 && ["override", "overrides"].contains(&parts[0].as_str()) {
            match parts[1] == "networks" {
                true => drop(parts.remove(0)),
                false => parts[0] = "nodes".into(),
            }
        }
        // The same keys are below both.
        if parts.len() > 1 && parts[parts.len() - 2] == "interfaces" {
            let at = parts.len() - 2;
            parts[at] = "networks".into();
            parts.insert(0, "nodes".into());
        }
        Self(parts)
    }

    /// How many parts of a path are left out in the query; none if the path is not meant. What `keys` are called is no name
    /// that a user gives.
    fn distance(&self, path: &str, keys: &[String]) -> Option<usize> {
        let path: Vec<&str> = path.split('.').collect();
        let (last, above) = self.0.split_last()?;
        let (own, higher) = path.split_last()?;
        let is_name = |part: &str| [NAME, "diskN", "PATH"].contains(&part);
        let named = is_name(own)
            && above.last().is_some_and(|part| higher.last().is_some_and(|higher| part == higher));
        if last != own && !named {
            return None;
        }
        let mut rest = higher.iter().rev();
        let mut skipped = 0;
        for part in above.iter().rev() {
            let top = ["nodes", "networks", "hypervisor"].contains(&part.as_str());
            let is_key = top || keys.contains(part);
            let is = |other: &&&str| **other == part || (is_name(other) && !is_key);
            loop {
                match rest.next() {
                    Some(other) if is(&other) => break,
                    Some(_) => skipped += 1,
                    None => return None,
                }
            }
        }
        Some(skipped + rest.count())
    }
}

/// Where a setting is.
fn path(row: &Setting) -> String {
    row.key.map(String::from).or(row.flag()).unwrap_or_default()
}

fn setting(row: &Setting) -> Topic {
    let value = sample::of_setting(row);
    let example = match (row.key, row.flag()) {
        (Some(key), _) => match key.split_once('.') {
            Some((above, key)) => format!("{above}: {{{key}: {value}}}"),
            None => format!("{key}: {value}"),
        },
        (None, flag) => format!("{} {value}", flag.unwrap_or_default()),
    };
    let file = row.key.map(|key| format!("`{key}` in maquette.yaml"));
    let flag = row.flag().map(|flag| match row.kind {
        SettingKind::Changes => format!("`-e`, `{flag}`"),
        _ => format!("`{flag}`"),
    });
    let variable = row.variable().map(|variable| format!("the environment variable {variable}"));
    Topic {
        path: path(row),
        group: row.group.title().into(),
        doc: row.doc.into(),
        kind: kind_of_setting(row.kind),
        default: row.default.or(row.unset).map(String::from),
        required: false,
        class: None,
        example,
        places: file.into_iter().chain(flag).chain(variable).collect(),
        keys: Vec::new(),
        has_effect: true,
    }
}

fn kind_of_setting(kind: SettingKind) -> String {
    match kind {
        SettingKind::Nodes => {
            "a mapping of node types to counts or to their keys; or `type:count,…`".into()
        }
        SettingKind::Networks => "a mapping of names to the keys of networks".into(),
        SettingKind::Changes => {
            "a mapping of node types and `networks` to keys; as a flag, `KEY=VALUE` or `@FILE`"
                .into()
        }
        SettingKind::Network => "a name or a path".into(),
        SettingKind::Address => "an address, or a name that `ssh` knows".into(),
        SettingKind::Secret => "text, or `@FILE` with it in the first line".into(),
        SettingKind::Arguments => "options of virt-install, as one text".into(),
        SettingKind::Text(form) => form.into(),
        SettingKind::YesNo | SettingKind::Number(..) | SettingKind::Words(_) => kind.expected(),
    }
}

/// Keys below a path.
struct Branch {
    path: String,
    keys: &'static [Key],
    /// Whether keys that there must be are missing without being written: in examples, they are.
    whole: bool,
    /// The project file with [`HERE`] where these keys are.
    around: String,
    /// What files of their own are called: `node`, `network`.
    file: &'static str,
    /// Their path in such a file, with a dot at the end; none for items of lists.
    inner: Option<String>,
    defaults: &'static [(&'static str, &'static str)],
    /// What a change of the key above these takes, which holds for those that do not say.
    class: Option<Class>,
}

impl Branch {
    fn of_nodes() -> Self {
        Self {
            path: format!("nodes.{NAME}"),
            keys: DESCRIBED,
            whole: false,
            around: "nodes: {web: {<>}}".into(),
            file: "node",
            inner: Some(String::new()),
            defaults: NODE_DEFAULTS,
            class: None,
        }
    }

    fn of_networks() -> Self {
        Self {
            path: format!("networks.{NAME}"),
            keys: NETWORK,
            whole: false,
            around: "networks: {front: {<>}}".into(),
            file: "network",
            inner: Some(String::new()),
            defaults: NETWORK_DEFAULTS,
            class: None,
        }
    }

    /// Adds what can be written here, and below it.
    fn walk(&self, all: &mut Vec<Topic>) {
        let names = |keys: &'static [Key]| keys.iter().filter(|k| k.read).map(|k| k.name).collect();
        if !self.whole {
            all.push(self.itself(names(self.keys)));
        }
        for key in self.keys {
            let below = self.below(key);
            all.push(self.topic(key, below.as_ref().map_or(Vec::new(), |b| names(b.keys))));
        }
        // `interfaces` has the keys of `networks`.
        for key in self.keys.iter().filter(|k| k.name != "interfaces") {
            if let Some(below) = self.below(key) {
                below.walk(all);
            }
        }
    }

    /// The mapping with these keys.
    fn itself(&self, keys: Vec<&'static str>) -> Topic {
        let (kind, doc, value) = match self.file {
            "node" => (
                "a mapping; or a number: how many there are of a type that has a file",
                "A node type",
                "memory: 2048",
            ),
            _ => ("a mapping, or nothing", "A network", ""),
        };
        Topic {
            path: self.path.clone(),
            group: self.path.split('.').next().unwrap_or_default().into(),
            doc: doc.into(),
            kind: kind.into(),
            default: Some("none".into()),
            required: false,
            class: None,
            example: self.around.replace(HERE, value),
            places: vec!["maquette.yaml".into(), format!("{} files", self.file)],
            keys,
            has_effect: true,
        }
    }

    fn topic(&self, key: &Key, keys: Vec<&'static str>) -> Topic {
        let default = self.default(key);
        let value = sample::of_key(key);
        let path = format!("{}.{}", self.path, key.name);
        let mut places = vec!["maquette.yaml".to_string()];
        if key.name != "count" {
            places.push(format!("{} files", self.file));
        }
        // A flag takes a single value, and reaches into no list.
        if let (Some(inner), true) = (&self.inner, is_single(&key.form) && key.name != "count") {
            let whose = if self.file == "node" { "TYPE" } else { "networks.NETWORK" };
            places.push(format!("`-e override.{whose}.{inner}{}=…`", key.name));
        }
        Topic {
            group: self.path.clone(),
            path,
            doc: key.meaning().into(),
            kind: kind(&key.form),
            required: key.needed && default.is_none(),
            default,
            class: key.class.or(self.class).filter(|_| key.read),
            example: sample::settled(&self.around.replace(HERE, &self.with_needed(key, &value))),
            places,
            keys,
            has_effect: key.read,
        }
    }

    /// What holds without a key: in the project file, and in files of their own.
    fn default(&self, key: &Key) -> Option<String> {
        let own = self.defaults.iter().find(|(name, _)| *name == key.name);
        let said = key.default();
        match (own, said) {
            (Some((_, own)), said) => {
                let said = said.unwrap_or("required");
                Some(format!("{own}, in maquette.yaml; {said} in {} files", self.file))
            }
            (None, None) if !key.read => Some("none".into()),
            (None, said) => said.map(String::from),
        }
    }

    /// A key with a value, and with the keys beside it that there must be.
    fn with_needed(&self, key: &Key, value: &str) -> String {
        let others = self.keys.iter().filter(|k| self.whole && k.needed && k.name != key.name);
        let mut all: Vec<String> =
            others.map(|k| format!("{}: {}", k.name, sample::of_key(k))).collect();
        all.extend(sample::beside(key.name).map(String::from));
        all.push(format!("{}: {value}", key.name));
        all.join(", ")
    }

    /// What can be written below a key.
    fn below(&self, key: &Key) -> Option<Self> {
        // A mapping is the rare form of these.
        if let Form::Either([Form::Text | Form::Words(_), ..]) = key.form {
            return None;
        }
        let (keys, step, value) = nested(&key.form)?;
        let around = self.around.replace(HERE, &self.with_needed(key, value));
        let step = step.map_or(String::new(), |step| format!(".{step}"));
        let inner = self.inner.as_ref().filter(|_| !value.starts_with('['));
        Some(Self {
            path: format!("{}.{}{step}", self.path, key.name),
            keys,
            whole: true,
            around,
            file: self.file,
            inner: inner.map(|inner| format!("{inner}{}{step}.", key.name)),
            defaults: &[],
            class: key.class.or(self.class),
        })
    }
}

/// The keys in a form, what names their mapping, and how it is written.
fn nested(form: &Form) -> Option<(&'static [Key], Option<&'static str>, &'static str)> {
    match form {
        Form::Map(keys) | Form::Part(keys) if keys.iter().all(|k| k.name != "basic") => {
            Some((keys, None, "{<>}"))
        }
        Form::Entries("^/", form) => {
            nested(form).map(|(keys, ..)| (keys, Some("PATH"), "{/etc/motd: {<>}}"))
        }
        Form::Entries(_, form) => {
            nested(form).map(|(keys, ..)| (keys, Some("diskN"), "{disk1: {<>}}"))
        }
        Form::List(form) => nested(form).map(|(keys, ..)| (keys, None, "[{<>}]")),
        Form::Either(forms) => forms.iter().find_map(nested),
        _ => None,
    }
}

/// Whether a value may be a single one.
fn is_single(form: &Form) -> bool {
    match form {
        Form::Text | Form::Parsed(..) | Form::YesNo | Form::Number(..) | Form::Words(_) => true,
        Form::Either(forms) => forms.iter().any(is_single),
        _ => false,
    }
}

/// How a value is written, for people.
fn kind(form: &Form) -> String {
    match form {
        Form::Text => "text".into(),
        Form::Parsed(what, _) => (*what).into(),
        Form::YesNo => "yes or no".into(),
        Form::Number(least, most, unit) => {
            let of = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
            match most {
                &u64::MAX => format!("a whole number{of}, {least} or more"),
                most => format!("a whole number{of} from {least} to {most}"),
            }
        }
        Form::Words(words) => format!("one of {}", crate::decode::quoted_list(words)),
        Form::Map(_) | Form::Part(_) => "a mapping".into(),
        Form::Entries(names, form) => {
            let names = if *names == "^/" { "paths" } else { "names" };
            format!("a mapping of {names} to {}", kinds(form))
        }
        Form::List(form) => {
            format!("a list, of which each item is {}", kind(form).replace("; or ", " or "))
        }
        Form::Either(forms) => forms.iter().map(kind).collect::<Vec<_>>().join("; or "),
        Form::Nothing => "nothing".into(),
        Form::Anything => "anything".into(),
    }
}

/// The same of several values.
fn kinds(form: &Form) -> String {
    match form {
        Form::Text => "texts".into(),
        Form::Map(_) | Form::Part(_) => "mappings".into(),
        // A scalar, where mappings are something else.
        Form::Either([Form::Anything, form]) => format!("texts or {}", kinds(form)),
        Form::Either(forms) => forms.iter().map(kinds).collect::<Vec<_>>().join(" or "),
        form => kind(form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::NETWORK_FILE;

    fn paths(word: &str) -> Vec<String> {
        find(word).unwrap_or_default().into_iter().map(|t| t.path).collect()
    }

    #[test]
    fn a_word_means_all_that_is_called_so_and_a_path_the_nearest() {
        assert_eq!(paths("memory"), ["nodes.NAME.memory"]);
        assert_eq!(paths("mtu"), ["mtu", "hypervisor.mtu", "networks.NAME.mtu"]);
        assert_eq!(paths("nodes.web.disks"), ["nodes.NAME.disks"]);
        assert_eq!(paths("disks.size"), ["nodes.NAME.disks.diskN.size"]);
        assert_eq!(paths("nodes.web.disks.disk1.size"), ["nodes.NAME.disks.diskN.size"]);
        assert_eq!(paths("networks.forward"), ["networks.NAME.forward"]);
        assert_eq!(paths("networks.front.dhcp"), ["networks.NAME.dhcp"]);
        assert_eq!(paths("interfaces.ip"), ["nodes.NAME.networks.ip"]);
        // What is called as a key is not taken for a name.
        assert_eq!(paths("ipv6.ip_address"), ["networks.NAME.ipv6.ip_address"]);
        assert_eq!(paths("ipv6.dhcp"), ["networks.NAME.ipv6.dhcp"]);
        assert_eq!(paths("networks.ipv6.dhcp"), ["networks.NAME.ipv6.dhcp"]);
        assert_eq!(paths("static.subnet"), ["networks.NAME.static.subnet"]);
        assert_eq!(paths("networks.static.subnet"), ["networks.NAME.static.subnet"]);
        assert_eq!(paths("nodes.web"), ["nodes.NAME"]);
        assert_eq!(paths("nodes"), ["nodes"]);
        assert_eq!(paths("override.web.memory"), ["nodes.NAME.memory"]);
        assert_eq!(paths("override.networks.net1.nic"), ["networks.NAME.nic"]);
        for word in ["--prefix", "MAQUETTE_PREFIX"] {
            assert_eq!(paths(word), ["prefix"]);
        }
        assert_eq!(paths("topology-extend"), ["--topology-extend"]);
        // The first word of several settings is about all of them.
        let hypervisor = paths("hypervisor");
        assert!(hypervisor.contains(&"hypervisor.address".to_string()), "{hypervisor:?}");
        assert!(hypervisor.iter().all(|path| path.starts_with("hypervisor.")), "{hypervisor:?}");
        assert!(paths("host").contains(&"hypervisor.address".to_string()));
        assert!(paths("topology").contains(&"--topology-extend".to_string()));
        assert_eq!(find("memroy"), Err(Some("did you mean `memory`?".into())));
        assert_eq!(find("nodes.forward"), Err(Some("did you mean `forward`?".into())));
        assert_eq!(find(""), Err(None));
    }

    #[test]
    fn a_type_says_what_mappings_are_of() {
        let kind = |path: &str| find(path).unwrap_or_default()[0].kind.clone();
        assert_eq!(kind("files"), "a mapping of paths to texts or mappings");
        assert_eq!(kind("user_data"), "a mapping of names to anything; or a file of cloud-config");
        assert!(kind("disks").starts_with("a mapping of names to mappings; or a list"));
    }

    /// Keys that are read in a form, with their paths.
    fn below(form: &Form, path: &str, found: &mut Vec<(String, Key)>) {
        match form {
            Form::Map(keys) | Form::Part(keys) => {
                for key in keys.iter().filter(|key| key.read) {
                    let path = format!("{path}.{}", key.name);
                    below(&key.form, &path, found);
                    found.push((path, *key));
                }
            }
            Form::Entries(_, form) | Form::List(form) => below(form, path, found),
            Form::Either(forms) => forms.iter().for_each(|form| below(form, path, found)),
            _ => {}
        }
    }

    /// Whoever leaves a key out has a right to know what holds then: ` [default: …]` at the end of its doc.
    #[test]
    fn every_key_that_may_be_left_out_says_what_holds_then() {
        let mut all = Vec::new();
        let tables = [("nodes.NAME", DESCRIBED), ("networks.NAME", NETWORK)];
        for (path, keys) in tables.into_iter().chain([("network file", NETWORK_FILE)]) {
            below(&Form::Map(keys), path, &mut all);
        }
        assert!(all.len() > 200, "{}", all.len());
        for (path, key) in &all {
            let said = key.default().is_some();
            assert!(said || key.needed, "`{path}` does not say what holds without it");
            assert!(!said || !key.needed, "`{path}` is required, and has a default");
            assert!(!key.meaning().contains("[default"), "{path}: {}", key.doc);
        }
        for setting in SETTINGS {
            let said = setting.default.or(setting.unset).is_some();
            assert!(said, "setting `{}` does not say what holds without it", setting.name);
        }
        for topic in topics() {
            assert_eq!(topic.required, topic.default.is_none(), "{topic:?}");
        }
    }

    #[test]
    fn nothing_is_explained_twice_or_not_at_all() {
        let all = topics();
        // An example that stops at three dots is none; sums and fingerprints are long.
        let long = |text: &str| text.contains("sha256:…") || text.contains("SHA256:…");
        let cut = all.iter().filter(|t| t.example.contains('…') && !long(&t.example));
        assert_eq!(cut.map(|t| &t.example).collect::<Vec<_>>(), Vec::<&String>::new());
        for (n, topic) in all.iter().enumerate() {
            assert!(!all[..n].iter().any(|t| t.path == topic.path), "{}", topic.path);
            assert!(!topic.doc.is_empty() && !topic.kind.is_empty(), "{topic:?}");
            assert!(!topic.example.contains(HERE) && !topic.example.ends_with(' '), "{topic:?}");
            assert!(!topic.places.is_empty(), "{topic:?}");
            assert!(find(&topic.path).is_ok_and(|found| found.contains(topic)), "{}", topic.path);
        }
        assert!(all.len() > 120, "{}", all.len());
    }
}
