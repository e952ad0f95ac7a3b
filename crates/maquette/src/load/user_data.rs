//! What is in files of its own: cloud-config, which may be a block of text as well, where `user_data` of a node type names
//! it, and the text of what `files` writes, where that is `@FILE`.

use std::path::{Path, PathBuf};

use maquette_core::diagnostic::Diagnostic;
use maquette_core::syntax::{Span, Tree, Value, parse};
use maquette_core::topology::Request;

use super::Reader;
use crate::reading;

/// How other kinds of user data begin, which cannot be joined with Maquette's.
const OTHERS: [&str; 8] = [
    "#!",
    "## template:",
    "#include",
    "#cloud-boothook",
    "#part-handler",
    "#cloud-config-",
    "Content-Type:",
    "MIME-Version:",
];

/// Puts what is named in the place of its name, wherever node types are described.
pub fn read(reader: &mut Reader<'_>, request: &mut Request) {
    for node in &mut request.nodes {
        of_type(reader, &mut node.tree);
    }
    let types = [request.network.get_mut("nodes"), request.extra.get_mut("override")];
    for types in types.into_iter().flatten() {
        let Value::Map(entries) = &mut types.value else { continue };
        entries.iter_mut().for_each(|entry| of_type(reader, &mut entry.value));
    }
}

fn of_type(reader: &mut Reader<'_>, tree: &mut Tree) {
    user_data(reader, tree);
    files(reader, tree);
}

fn user_data(reader: &mut Reader<'_>, tree: &mut Tree) {
    let Some(node) = tree.get_mut("user_data") else { return };
    let Value::Scalar(text, _) = &node.value else { return };
    let (text, span) = (text.clone(), node.span);
    let found = match text.contains('\n') {
        true => document(reader, "user_data", text, span),
        false => file(reader, &text, span).map(|mut tree| {
            // It is cloud-config, and no file of Maquette's.
            as_it_is(&mut tree);
            tree
        }),
    };
    // What is wrong with it was said.
    *node = found.unwrap_or(Tree { value: Value::Null, span });
}

/// Puts a file's text in the place of `@FILE`, which is a word alone: lines of cron begin with `@reboot`. `@@` is an `@`.
fn files(reader: &mut Reader<'_>, tree: &mut Tree) {
    let Some(Value::Map(entries)) = tree.get_mut("files").map(|node| &mut node.value) else {
        return;
    };
    for entry in entries {
        let content = match &entry.value.value {
            Value::Map(_) => entry.value.get_mut("content"),
            _ => Some(&mut entry.value),
        };
        let Some(node) = content else { continue };
        let Value::Scalar(text, _) = &node.value else { continue };
        let is_word = !text.trim_end().contains(char::is_whitespace);
        let Some(name) = text.trim_end().strip_prefix('@').filter(|_| is_word) else { continue };
        let text = match name.strip_prefix('@') {
            Some(_) => text.replacen("@@", "@", 1),
            None if name.is_empty() => continue,
            // It may have anything in it.
            None => {
                let found = text_of_file(reader, name, node.span);
                escaped(&found.unwrap_or_default())
            }
        };
        *node = Tree::scalar(text, Span { secret: true, ..node.span });
    }
}

fn text_of_file(reader: &mut Reader<'_>, name: &str, span: Span) -> Option<String> {
    let path = beside(reader, name, span);
    match reading::text(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            let diagnostic = Diagnostic::error("topology::first-boot", message).at(span, "");
            let help = "`@FILE` is the text of a file beside the one that names it; `@@` begins a text with `@`";
            reader.diags.push(diagnostic.help(help));
            None
        }
    }
}

/// Where a file is that another one names.
fn beside(reader: &Reader<'_>, name: &str, span: Span) -> PathBuf {
    let named_in = PathBuf::from(&reader.sources.get(span.source).name);
    named_in.parent().filter(|_| named_in.is_file()).unwrap_or(Path::new("")).join(name)
}

/// A file, from where it is named.
fn file(reader: &mut Reader<'_>, text: &str, span: Span) -> Option<Tree> {
    let path = beside(reader, text, span);
    match reading::text(&path) {
        Ok(text) => document(reader, &path.display().to_string(), text, span),
        Err(error) => {
            // Text with blanks in it was hardly meant to be a name.
            let name = match text.contains(char::is_whitespace) {
                true => "the file that `user_data` names".into(),
                false => path.display().to_string(),
            };
            let message = format!("cannot read {name}: {error}");
            let diagnostic = Diagnostic::error("topology::user-data", message).at(span, "");
            reader
                .diags
                .push(diagnostic.help("`user_data` is a file of cloud-config, or a mapping"));
            None
        }
    }
}

fn document(reader: &mut Reader<'_>, name: &str, text: String, span: Span) -> Option<Tree> {
    let first = text.lines().next().unwrap_or_default();
    if let Some(other) = OTHERS.iter().find(|other| first.starts_with(**other)) {
        let message = format!("{name} is not cloud-config: it begins with `{other}`");
        let diagnostic = Diagnostic::error("topology::user-data", message).at(span, "");
        let help = "`commands` of the node type run shell commands, `files` write scripts";
        reader.diags.push(diagnostic.help(help));
        return None;
    }
    let id = reader.sources.add_secret(name, text);
    parse(&reader.sources, id, &mut reader.diags)
}

/// Has marks of expressions stand for themselves.
fn as_it_is(node: &mut Tree) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(text, _) => {
            if text.contains("{{") || text.contains("{%") {
                *text = escaped(text);
            }
        }
        Value::List(items) => items.iter_mut().for_each(as_it_is),
        Value::Map(entries) => entries.iter_mut().for_each(|e| as_it_is(&mut e.value)),
    }
}

fn escaped(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('{') {
        let (before, mark) = rest.split_at(at);
        out.push_str(before);
        let end = mark.char_indices().nth(2).map_or(mark.len(), |(end, _)| end);
        let (mark, after) = match &mark[..end] {
            "{{" | "{%" | "{#" => (format!("{{{{ \"{}\" }}}}", &mark[..end]), &mark[end..]),
            _ => ("{".to_string(), &mark[1..]),
        };
        out.push_str(&mark);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_expressions_stand_for_themselves() {
        assert_eq!(escaped("a{b}"), "a{b}");
        assert_eq!(escaped("{{ x }}"), "{{ \"{{\" }} x }}");
        assert_eq!(escaped("{% if %}{#{"), "{{ \"{%\" }} if %}{{ \"{#\" }}{");
        assert_eq!(escaped("{ß{{"), "{ß{{ \"{{\" }}");
    }
}
