//! A plan, for people and as JSON.

use anstyle::{AnsiColor, Style};
use maquette_core::plan::{Change, Op, Plan};
use serde_json::{Value, json};

use super::{Painted, plain};

/// A plan as people read it: a line for each object, signs first, reasons last.
pub fn plan(plan: &Plan, title: &str) -> Painted {
    let title = plain(title);
    if plan.is_empty() {
        return Painted::plain(&match plan.count(Op::Keep) {
            0 => format!("{title}: nothing to do"),
            kept => format!("{title}: nothing to do ({kept} unchanged)"),
        });
    }
    let counts: Vec<String> = [
        (Op::Create, "to create"),
        (Op::Update, "to change"),
        (Op::Replace, "to replace"),
        (Op::Delete, "to remove"),
        (Op::Keep, "unchanged"),
    ]
    .into_iter()
    .map(|(op, words)| (plan.count(op), words))
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{count} {words}"))
    .collect();
    let mut out = format!("{title}: {}\n", counts.join(", "));
    let width = |f: fn(&Change) -> usize| plan.changes.iter().map(f).max().unwrap_or(0);
    let kinds = width(|c| c.kind.as_str().len());
    let names = width(|c| c.name.chars().count()).min(40);
    let details = width(|c| c.detail.chars().count()).min(60);
    for change in &plan.changes {
        let style = style(change.op);
        let line = format!(
            "{:>3} {:kinds$}  {:names$}  {:details$}",
            change.op.sign(),
            change.kind,
            change.name,
            change.detail,
        );
        let shown = if change.reason.is_empty() {
            line.trim_end().to_string()
        } else {
            format!("{line}  {}", change.reason)
        };
        out.push_str(&format!("{style}{}{style:#}\n", plain(&shown)));
    }
    Painted::of(out.trim_end_matches('\n'))
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
