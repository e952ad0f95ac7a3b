//! A stranger's topology: whatever stands in any of its places, it is refused with its place, or nothing
//! of it that means more than a word reaches what is built.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use maquette_core::diagnostic::Diagnostics;
use maquette_core::expand;
use maquette_core::seed::seed_files;
use maquette_core::syntax::Plain;
use maquette_core::topology as topo;
use maquette_core::values::{Secret, is_unprintable};
use maquette_testkit::{Input, SAMPLES, Sample, described_input, keys_without_sample, mistakes};

/// The texts of a sample, one of which may be another one.
#[derive(Clone)]
struct Texts {
    nodes: Vec<(&'static str, String)>,
    networks: String,
    described: String,
}

impl Texts {
    fn of(sample: &Sample) -> Self {
        let nodes = sample.nodes.iter().map(|(name, text)| (*name, (*text).into())).collect();
        Self { nodes, networks: sample.networks.into(), described: sample.described.into() }
    }

    /// All that are not empty.
    fn all(&mut self) -> Vec<&mut String> {
        let nodes = self.nodes.iter_mut().map(|(_, text)| text);
        let all = nodes.chain([&mut self.networks, &mut self.described]);
        all.filter(|text| !text.is_empty()).collect()
    }

    fn input(&self) -> Input {
        let files: Vec<String> =
            self.nodes.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let nodes: Vec<(&str, u32)> = files.iter().map(|file| (file.as_str(), 2)).collect();
        let mut input = described_input(&nodes, &self.networks, &self.described);
        input.request.settings.bgp = self.networks.contains("cidrs");
        input
    }

    /// The same with another text in each place: with the path of the place, and whether it is a key.
    fn changed(&self, text: &str, mut each: impl FnMut(&str, bool, &Self)) {
        let mut texts = self.clone();
        let count = texts.all().len();
        for index in 0..count {
            let whole = texts.all()[index].clone();
            let tree = Plain::read(&whole).unwrap();
            for (at, key) in places(&tree) {
                *texts.all()[index] = with(&tree, &at, key, text).yaml();
                each(&path(&tree, &at), key, &texts);
            }
            *texts.all()[index] = whole;
        }
    }
}

/// A place for people.
fn path(tree: &Plain, at: &[usize]) -> String {
    let mut here = tree;
    let mut path = String::new();
    for i in at {
        match here {
            Plain::Map(entries) => {
                let (name, value) = entries.iter().nth(*i).unwrap();
                path.push_str(&format!("/{name}"));
                here = value;
            }
            Plain::List(items) => {
                path.push_str("/*");
                here = &items[*i];
            }
            _ => unreachable!("places lead through collections"),
        }
    }
    path
}

/// What some reader of ours obeys: line-based files, terminals, templates, ssh's tokens, shells.
const HOSTILE: &[&str] = &[
    "EVIL\nMatch exec \"touch /tmp/x\"",
    "EVIL\r\n[all:vars]",
    "EVIL\u{0}x",
    "EVIL\u{1b}]52;c;eA==\u{7}",
    "EVIL{{ lookup('pipe', 'id') }}",
    "{% raw %}EVIL{{ lookup('pipe', 'id') }}{% endraw %}",
    "EVIL{% set x = 1 %}",
    "EVIL{# #}",
    "EVIL' ansible_connection=local x='",
    "EVIL\" -o ProxyCommand=id \"",
    "EVIL%h%%",
    "EVIL$(id)",
    "EVIL`id`",
    "EVIL;id",
    "EVIL id",
    "../../EVIL",
    "/../EVIL",
    "-oEVIL",
    "EVIL\u{202e}cod",
    "EVIL\u{2028}x",
    "",
    "EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL\
     EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL\
     EVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVILEVIL",
    "4294967300",
    "18446744073709551615",
    "16E",
    "-1",
];

/// What is refused at every place, at the least.
const OBEYED: [&str; 8] = [
    "x\nMatch exec \"id\"",
    "x\ry",
    "x\0y",
    "x\u{1b}]0;owned\u{7}y",
    "x\u{202e}y",
    "{% raw %}{{ lookup('pipe', 'id') }}{% endraw %}",
    "{% raw %}{%{% endraw %} if x",
    "{% raw %}{#{% endraw %} x",
];

/// Every place in a tree where text stands: values, and keys.
fn places(tree: &Plain) -> Vec<(Vec<usize>, bool)> {
    fn walk(tree: &Plain, at: &mut Vec<usize>, out: &mut Vec<(Vec<usize>, bool)>) {
        match tree {
            Plain::Map(entries) => {
                for (i, (_, value)) in entries.iter().enumerate() {
                    at.push(i);
                    out.push((at.clone(), true));
                    walk(value, at, out);
                    at.pop();
                }
            }
            Plain::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    at.push(i);
                    walk(item, at, out);
                    at.pop();
                }
            }
            _ => out.push((at.clone(), false)),
        }
    }
    let mut out = Vec::new();
    walk(tree, &mut Vec::new(), &mut out);
    out
}

/// The same tree with another text in one place.
fn with(tree: &Plain, at: &[usize], key: bool, text: &str) -> Plain {
    let mut tree = tree.clone();
    let mut here = &mut tree;
    for (depth, i) in at.iter().enumerate() {
        let last = depth + 1 == at.len();
        here = match here {
            Plain::Map(entries) => {
                let name = entries.keys().nth(*i).expect("a place").clone();
                if last && key {
                    let value = entries.remove(&name).expect("a place");
                    entries.insert(text.into(), value);
                    return tree;
                }
                entries.get_mut(&name).expect("a place")
            }
            Plain::List(items) => &mut items[*i],
            _ => unreachable!("places lead through collections"),
        };
    }
    *here = Plain::text(text);
    tree
}

fn messages(diags: &Diagnostics) -> Vec<String> {
    diags.iter().map(|d| d.message.clone()).collect()
}

/// What is built of it: the blueprint as text in which every control character shows as its escape, and what guests
/// are told.
fn built(texts: &Texts) -> Result<(String, String), Vec<String>> {
    let mut input = texts.input();
    let observed = maquette_testkit::machine(&["eno1", "eno2"]);
    if input.diags.has_errors() {
        return Err(messages(&input.diags));
    }
    let mut diags = Diagnostics::default();
    let Some(topology) = expand::choose(&input.request, &observed, &mut input.diags) else {
        return Err(messages(&input.diags));
    };
    topo::lint(&topology, &mut input.diags);
    if input.diags.has_errors() {
        return Err(messages(&input.diags));
    }
    let (blueprint, more) = maquette_testkit::expand(&topology, &observed);
    expand::conflicts(&topology, &blueprint, &observed, &mut diags);
    if more.has_errors() || diags.has_errors() {
        return Err(messages(&more).into_iter().chain(messages(&diags)).collect());
    }
    let key = Secret::new("-----BEGIN X-----\nAAAA\n-----END X-----\n");
    let mut told = String::new();
    for node in &blueprint.nodes {
        let Some(guest) = &node.guest else { continue };
        let first_boot = guest.first_boot.and_then(|digest| blueprint.first_boots.get(&digest));
        for file in seed_files(node, guest, &key, first_boot) {
            // In a shell's quotes each sign is itself; that they hold is tried where they are made.
            if file.name != "first-boot.sh" {
                told.push_str(file.content.reveal());
            }
        }
    }
    Ok((format!("{blueprint:?}"), told))
}

/// Whether something of a hostile text is in what was built, where it could mean something.
fn harm((text, told): &(String, String), hostile: &str) -> Option<String> {
    if let Some(at) = told.find(|c| is_unprintable(c) && c != '\n') {
        return Some(format!("a guest is told {:?}", &told[..at]));
    }
    // What `Debug` makes of it. Quotes are escaped, too, and then are those of the text.
    let escaped = format!("{hostile:?}");
    let escaped = escaped.trim_matches('"');
    if !hostile.contains("EVIL") {
        // A number where a word belongs is odd, and no more.
        return None;
    }
    let at = text.find(escaped)?;
    // The name of an image is the user's own words: one line, and never evaluated.
    let before = &text[..at];
    let image = before.ends_with("source: \"");
    let line =
        !hostile.chars().any(is_unprintable) && !maquette_core::values::has_template_marks(hostile);
    if image && line {
        return None;
    }
    Some(text[at.saturating_sub(60)..(at + 40).min(text.len())].to_string())
}

/// A key that somebody adds is in no sample, and this says so.
#[test]
fn every_key_is_in_a_sample() {
    assert_eq!(keys_without_sample(), Vec::<String>::new());
}

#[test]
fn nothing_that_a_topology_says_means_more_than_a_word() {
    let mut tried = 0;
    let mut through = Vec::new();
    for sample in &SAMPLES {
        let texts = Texts::of(sample);
        let plain = built(&texts);
        assert!(plain.is_ok(), "the sample itself is refused: {plain:?}");
        for hostile in HOSTILE {
            texts.changed(hostile, |place, key, texts| {
                tried += 1;
                if let Ok(built) = built(texts)
                    && let Some(where_) = harm(&built, hostile)
                {
                    through.push(format!("{place} key={key} {hostile:?}: …{where_}…"));
                }
            });
        }
    }
    println!("{tried} hostile values");
    assert!(tried > 6000, "{tried}");
    assert!(through.is_empty(), "{} came through:\n{}", through.len(), through.join("\n"));
}

/// Text of files, of commands and of cloud-config: it is told to guests to the letter, and to nobody else.
fn is_guests_text(place: &str) -> bool {
    let mut steps = place.split('/').skip(1);
    match steps.next() {
        Some("commands" | "user_data") => true,
        Some("files") => place.ends_with("/content") || !place.ends_with(['e', 'r']),
        _ => false,
    }
}

/// A stranger's topology is code.
#[test]
fn no_key_takes_a_line_break_a_control_character_or_a_template() {
    // A portgroup is looked for among those that there are, whatever it is called; and a network is not a hub.
    let refusals = |texts: &Texts| {
        let mut found = mistakes(&mut texts.input());
        let aside = ["topology::unknown-portgroup", "topology::without-effect"];
        found.retain(|mistake| !aside.iter().any(|code| mistake.starts_with(code)));
        found
    };
    for sample in &SAMPLES {
        let texts = Texts::of(sample);
        assert_eq!(refusals(&texts), Vec::<String>::new());
        for hostile in OBEYED {
            texts.changed(hostile, |place, key, texts| {
                if !key && !is_guests_text(place) {
                    assert!(!refusals(texts).is_empty(), "{hostile:?} was taken at {place}");
                }
            });
        }
    }
}
