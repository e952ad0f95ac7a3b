//! Diagnostics, drawn over the text they are about. The only file that knows the drawing library.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use maquette_core::diagnostic::{Diagnostic, Diagnostics, Severity};
use maquette_core::secret_keys::SecretLines;
use maquette_core::syntax::{SourceId, Sources, Span};
use maquette_engine::StepError;
use serde_json::{Value, json};

use super::{Painted, plain};

/// All diagnostics, with a count at the end.
pub fn diagnostics(diagnostics: &Diagnostics, sources: &Sources) -> Painted {
    diagnostics_after(diagnostics, sources, "nothing was touched")
}

/// The same with what was done before they were found.
pub fn diagnostics_after(diagnostics: &Diagnostics, sources: &Sources, done: &str) -> Painted {
    let secrets = SecretLines::of(diagnostics, sources);
    let shown = |d: &Diagnostic| one(d, sources, !secrets.are_shown_by(d, sources));
    let mut parts: Vec<String> = diagnostics.in_order().into_iter().map(shown).collect();
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        let noun = if errors == 1 { "error" } else { "errors" };
        parts.push(format!("{errors} {noun}; {}", plain(done)));
    }
    Painted::of(&parts.join("\n\n"))
}

/// The same as JSON: a list.
pub fn diagnostics_json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let place = |span: Span| {
        let (line, column) = sources.position(span);
        json!({"file": sources.get(span.source).name, "line": line, "column": column})
    };
    let one = |d: &Diagnostic| {
        let severity = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut value = json!({
            "severity": severity, "code": d.code, "message": d.message, "help": d.help,
            "file": null, "line": null, "column": null, "related": [],
        });
        let mut labels = d.labels.iter();
        if let Some(first) = labels.next() {
            for (key, place) in place(first.span).as_object().into_iter().flatten() {
                value[key] = place.clone();
            }
        }
        value["related"] = labels
            .map(|label| {
                let mut value = place(label.span);
                value["message"] = label.text.clone().into();
                value
            })
            .collect();
        value
    };
    diagnostics.in_order().into_iter().map(one).collect()
}

/// One of them, with the lines that it is about, or with their places alone.
fn one(diagnostic: &Diagnostic, sources: &Sources, lines: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut files: Vec<SourceId> = Vec::new();
    for label in &diagnostic.labels {
        if !files.contains(&label.span.source) {
            files.push(label.span.source);
        }
    }
    let mut group: Group<'_> =
        Group::with_title(level.primary_title(plain(&diagnostic.message)).id(diagnostic.code));
    for (i, file) in files.iter().enumerate() {
        let source = sources.get(*file);
        let mut labels = diagnostic.labels.iter().filter(|l| l.span.source == *file);
        if !lines {
            let (line, column) = labels.next().map_or((1, 1), |l| sources.position(l.span));
            let place = Origin::path(plain(&source.name)).line(line).char_column(column);
            group = group.element(place);
            continue;
        }
        let annotations = labels.enumerate().map(|(j, label)| {
            let kind =
                if i == 0 && j == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(range(label.span, &source.text));
            if label.text.is_empty() { annotation } else { annotation.label(plain(&label.text)) }
        });
        let snippet: Snippet<'_, Annotation<'_>> =
            Snippet::source(source.text.as_str()).path(plain(&source.name));
        group = group.element(snippet.annotations(annotations));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(plain(help)));
    }
    Renderer::styled().render(&[group])
}

/// The bytes to underline: the first line of what is meant, without blanks at its end.
fn range(span: Span, text: &str) -> std::ops::Range<usize> {
    let start = (span.start as usize).min(text.len());
    let end = (span.end as usize).clamp(start, text.len());
    let part = text.get(start..end).unwrap_or("");
    let line = part.lines().next().unwrap_or("").trim_end();
    start..start + line.len()
}

/// A failed step or command: what, why, what to do.
pub fn step_error(error: &StepError) -> Painted {
    let bold = anstyle::Style::new().bold();
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let mut out = format!("{red}error{red:#}{bold}: {}{bold:#}", plain(&error.message));
    for cause in &error.causes {
        for (i, line) in cause.lines().enumerate() {
            out.push_str(if i == 0 { "\n  cause: " } else { "\n         " });
            out.push_str(&plain(line));
        }
    }
    if !error.excerpt.is_empty() {
        out.push_str("\n  last lines of its serial console:");
        for line in &error.excerpt {
            out.push_str("\n  | ");
            out.push_str(&plain(line));
        }
    }
    for hint in &error.hints {
        out.push_str("\n  help: ");
        out.push_str(&plain(hint));
    }
    Painted::of(&out)
}
