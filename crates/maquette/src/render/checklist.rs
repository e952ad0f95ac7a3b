//! What `maquette host check` found, one thing a line.

/// A checklist: name, verdict, text, remedy.
pub fn checklist(rows: &[(&str, &str, &str, Option<&str>)]) -> String {
    let mut out = String::new();
    let names = rows.iter().map(|r| r.0.len()).max().unwrap_or(0);
    let verdicts = rows.iter().map(|r| r.1.len()).max().unwrap_or(0);
    for (name, verdict, text, remedy) in rows {
        out.push_str(&format!("  {verdict:verdicts$}  {name:names$}  {text}\n"));
        if let Some(remedy) = remedy {
            out.push_str(&format!("  {:verdicts$}  {:names$}  → {remedy}\n", "", ""));
        }
    }
    out
}
