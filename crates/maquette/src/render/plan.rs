//! A plan, for people and as JSON.

use anstyle::{AnsiColor, Style};
use maquette_core::plan::{Change, Op, Plan};
use serde_json::{Value, json};

use super::{Painted, plain};

/// The narrowest that the words about an object become beside its name, and at all.
const NARROWEST: usize = 24;

/// Where these words begin below a name that has a line of its own.
const BELOW: usize = 6;

/// Columns of a page, where no terminal says how many there are.
const PAGE: usize = 100;

/// Templates have the longest names: 46 characters.
const LONGEST_NAME: usize = 46;
const LONGEST_DETAIL: usize = 60;

/// The same where a line for each object would be too long.
const LONGEST_NAME_NARROW: usize = 30;

/// A plan as people read it: a line for each object, signs first, reasons last. Where that would be longer than the
/// terminal, or a page, is wide, what is said of an object goes on below itself.
pub fn plan(plan: &Plan, title: &str, width: Option<usize>) -> Painted {
    let title = plain(title);
    let kept = plan.count(Op::Keep);
    let counts = match (plan.is_empty(), kept) {
        (true, 0) => "nothing to do".into(),
        (true, kept) => format!("nothing to do ({kept} unchanged)"),
        (false, _) => counts(plan),
    };
    let mut out = format!("{title}: {counts}\n");
    // Where nothing is done only what is left as it is for a reason is worth a line.
    let shown = |change: &&Change| !plan.is_empty() || !change.reason.is_empty();
    let shown: Vec<Change> = plan.changes.iter().filter(shown).cloned().collect();
    let columns = Columns::of(&shown, width.unwrap_or(PAGE));
    for change in &shown {
        let (style, line) = (style(change.op), columns.line(change));
        out.push_str(&format!("{style}{}{style:#}\n", plain(line.trim_end())));
    }
    Painted::of(out.trim_end_matches('\n'))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Widths of what is said of each object, in characters.
struct Columns {
    kinds: usize,
    names: usize,
    details: usize,
    /// Where the words about an object begin.
    indent: usize,
    /// How long a line may be; none if all are short enough.
    width: Option<usize>,
}

impl Columns {
    fn of(changes: &[Change], width: usize) -> Self {
        let longest = |f: fn(&Change) -> usize, most: usize| {
            let all = changes.iter().map(f);
            all.filter(|length| *length <= most).max().unwrap_or(0)
        };
        let name = |c: &Change| length(&c.name);
        let detail = |c: &Change| length(&c.detail);
        let kinds = longest(|c| c.kind.as_str().len(), usize::MAX);
        let capped = |f: fn(&Change) -> usize, most: usize| longest(f, usize::MAX).min(most);
        let (names, details) = (capped(name, LONGEST_NAME), capped(detail, LONGEST_DETAIL));
        // The sign, and what is between columns.
        let indent = |names: usize| 3 + 1 + kinds + 2 + names + 2;
        let wide = Self { kinds, names, details, indent: indent(names), width: None };
        if changes.iter().all(|change| length(wide.line(change).trim_end()) <= width) {
            return wide;
        }
        let names = longest(name, LONGEST_NAME_NARROW);
        let mut narrow = Self { names, indent: indent(names), width: Some(width), ..wide };
        if width < narrow.indent + NARROWEST {
            narrow = Self { names: 0, indent: BELOW, ..narrow };
        }
        let room = narrow.room(width);
        // Reasons are a column of those that have room for one.
        let beside = |c: &&Change| {
            !c.reason.is_empty() && detail(c) + 2 + length(&c.reason.to_string()) <= room
        };
        narrow.details = changes.iter().filter(beside).map(detail).max().unwrap_or(0);
        narrow
    }

    /// How long the lines of words about an object may be.
    fn room(&self, width: usize) -> usize {
        width.saturating_sub(self.indent).max(NARROWEST)
    }

    fn line(&self, change: &Change) -> String {
        let Self { kinds, names, details, indent, width } = *self;
        let reason = change.reason.to_string();
        let what =
            format!("{:>3} {:kinds$}  {:names$}  ", change.op.sign(), change.kind, change.name);
        let about = match reason.is_empty() {
            true => change.detail.clone(),
            false => format!("{:details$}  {reason}", change.detail),
        };
        let whole = format!("{what}{about}");
        let Some(width) = width.filter(|width| length(whole.trim_end()) > *width) else {
            return whole;
        };
        let room = self.room(width);
        let texts = match length(&about) <= room {
            true => vec![about],
            false => [&change.detail, &reason].map(|text| wrapped(text, room)).concat(),
        };
        let below = texts.join(&format!("\n{:indent$}", ""));
        match length(&change.name) > names {
            true => format!("{}\n{:indent$}{below}", what.trim_end(), ""),
            false => format!("{what}{below}"),
        }
    }
}

/// How many objects there are with each kind of change.
fn counts(plan: &Plan) -> String {
    let counts = [
        (Op::Create, "to create"),
        (Op::Update, "to change"),
        (Op::Replace, "to replace"),
        (Op::Delete, "to remove"),
        (Op::Keep, "unchanged"),
    ];
    let counts = counts.into_iter().map(|(op, words)| (plan.count(op), words));
    let counts = counts.filter(|(count, _)| *count > 0);
    counts.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
}

/// A text in lines of at most so many characters, broken after a comma or semicolon, or else at blanks; a longer word has a
/// line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |part: &str| match lines.last_mut() {
        Some(line) if length(line) + 1 + length(part) <= width => {
            line.push(' ');
            line.push_str(part);
        }
        _ if part.is_empty() => {}
        _ => lines.push(part.to_string()),
    };
    let ends = |c: char| matches!(c, ',' | ';');
    let mut clause = String::new();
    for word in text.split(' ') {
        clause.push_str(word);
        if word.ends_with(ends) {
            fill(&clause, width, &mut add);
            clause.clear();
        } else {
            clause.push(' ');
        }
    }
    fill(clause.trim_end(), width, &mut add);
    lines
}

/// Adds a clause in one piece, or word by word where that is too long for a line.
fn fill(clause: &str, width: usize, add: &mut impl FnMut(&str)) {
    match length(clause) <= width {
        true => add(clause),
        false => clause.split(' ').for_each(add),
    }
}

fn style(op: Op) -> Style {
    match op {
        Op::Create => AnsiColor::Green.on_default(),
        Op::Update => AnsiColor::Yellow.on_default(),
        Op::Replace | Op::Delete => AnsiColor::Red.on_default(),
        Op::Keep => Style::new(),
    }
}

/// A plan as JSON; the form is a contract, versioned by `schema`.
pub fn plan_json(plan: &Plan, environment: &str, preparation: &Plan) -> Value {
    json!({
        "schema": 1,
        "environment": environment,
        "preparation": side(preparation),
        "changes": changes(plan),
        "steps": steps(plan),
    })
}

fn side(plan: &Plan) -> Value {
    json!({ "changes": changes(plan), "steps": steps(plan) })
}

fn changes(plan: &Plan) -> Vec<Value> {
    plan.changes
        .iter()
        .map(|c| {
            json!({
                "op": c.op.as_str(),
                "kind": c.kind.as_str(),
                "name": c.name,
                "detail": c.detail,
                "reason": c.reason.to_string(),
                "reasons": c.reason.all,
                "how": c.reason.how,
            })
        })
        .collect()
}

fn steps(plan: &Plan) -> Vec<Value> {
    plan.steps
        .iter()
        .map(|s| {
            json!({
                "id": s.id.index(),
                "action": s.action.word(),
                "title": s.action.title(),
                "after": s.after.iter().map(|a| a.index()).collect::<Vec<_>>(),
                "lane": s.action.lane().as_str(),
                "reason": s.reason,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use maquette_core::object::ObjectKind;
    use maquette_core::plan::{Action, Builder};

    use super::*;

    fn shown(width: Option<usize>) -> String {
        shown_as("web-0", width)
    }

    fn shown_as(name: &str, width: Option<usize>) -> String {
        let change = |name: &str, detail: &str, reason: &str| Change {
            op: Op::Create,
            kind: ObjectKind::Domain,
            name: name.into(),
            detail: detail.into(),
            reason: reason.into(),
        };
        let changes = vec![
            change(
                name,
                "1 vCPU, 768 MiB, 12 GiB, 172.16.0.2, cold: the image has no agent",
                "it does not exist",
            ),
            change("db-0", "1 vCPU", ""),
        ];
        let mut steps = Builder::default();
        steps.add(Action::StartDomain { name: "db-0".parse().unwrap(), ready: None }, [], "");
        let painted = plan(&Plan { changes, steps: steps.finish() }, "lab", width);
        plain(painted.text()).into_owned()
    }

    #[test]
    fn a_narrow_terminal_keeps_its_columns() {
        insta::assert_snapshot!(shown(Some(60)));
        for width in [30, 40, 60, 72, 90] {
            let longest = shown(Some(width)).lines().map(|l| l.chars().count()).max();
            assert!(longest <= Some(width), "{width}: {longest:?}");
        }
        // Wide enough: a line for each.
        assert_eq!(shown(Some(200)).lines().count(), 3);
        // Where no room is left beside the names, the words stand below them.
        let text = shown_as("environment-controller-0", Some(60));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(
            text.contains("  + domain  environment-controller-0\n      1 vCPU, 768 MiB"),
            "{text}"
        );
        // Not a terminal: a page.
        assert_eq!(shown(None), shown(Some(PAGE)));
    }
}
