//! A plan, for people and as JSON.

use anstyle::{AnsiColor, Style};
use maquette_core::plan::{Change, Op, Plan};
use serde_json::{Value, json};

use super::{Painted, plain};

/// The narrowest that the words about an object become before they are left to the terminal to break.
const NARROWEST: usize = 24;

/// A plan as people read it: a line for each object, signs first, reasons last. In a terminal of fewer columns than that
/// takes, what is said of an object goes on below itself.
pub fn plan(plan: &Plan, title: &str, width: Option<usize>) -> Painted {
    let title = plain(title);
    if plan.is_empty() {
        return Painted::plain(&match plan.count(Op::Keep) {
            0 => format!("{title}: nothing to do"),
            kept => format!("{title}: nothing to do ({kept} unchanged)"),
        });
    }
    let mut out = format!("{title}: {}\n", counts(plan));
    let longest = |f: fn(&Change) -> usize| plan.changes.iter().map(f).max().unwrap_or(0);
    let kinds = longest(|c| c.kind.as_str().len());
    // Templates have the longest names: 46 characters.
    let names = longest(|c| c.name.chars().count()).min(46);
    let details = longest(|c| c.detail.chars().count()).min(60);
    for change in &plan.changes {
        let style = style(change.op);
        let what =
            format!("{:>3} {:kinds$}  {:names$}  ", change.op.sign(), change.kind, change.name);
        let about = match change.reason.is_empty() {
            true => change.detail.clone(),
            false => format!("{:details$}  {}", change.detail, change.reason),
        };
        let begin = what.chars().count();
        let room = width.and_then(|width| width.checked_sub(begin)).filter(|w| *w >= NARROWEST);
        let shown = match room {
            Some(room) if about.trim_end().chars().count() > room => {
                let reason = change.reason.to_string();
                let lines = [change.detail.as_str(), &reason].into_iter();
                let lines: Vec<String> = lines.flat_map(|text| wrapped(text, room)).collect();
                format!("{what}{}", lines.join(&format!("\n{:begin$}", "")))
            }
            _ => format!("{what}{about}"),
        };
        out.push_str(&format!("{style}{}{style:#}\n", plain(shown.trim_end())));
    }
    Painted::of(out.trim_end_matches('\n'))
}

/// How many objects there are of each fate.
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

/// A text in lines of at most so many characters, broken at blanks; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ if word.is_empty() => {}
            _ => lines.push(word.to_string()),
        }
    }
    lines
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
        let change = |name: &str, detail: &str, reason: &str| Change {
            op: Op::Create,
            kind: ObjectKind::Domain,
            name: name.into(),
            detail: detail.into(),
            reason: reason.into(),
        };
        let changes = vec![
            change(
                "web-0",
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
        for width in [60, 72, 90] {
            let longest = shown(Some(width)).lines().map(|l| l.chars().count()).max();
            assert!(longest <= Some(width), "{width}: {longest:?}");
        }
        // Wide enough, too narrow for anything, and not a terminal: a line for each.
        for width in [Some(200), Some(30), None] {
            assert_eq!(shown(width), shown(None));
        }
    }
}
