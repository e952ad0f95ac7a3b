//! What is different in two texts, line by line.

/// Lines that are missing (`-`) and lines that are new (`+`), with some of those around them.
pub fn difference(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    // Lengths of what is common to the rest of both.
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    let changed =
        |at: usize| lines[at.saturating_sub(2)..lines.len().min(at + 3)].iter().any(|l| l.0 != ' ');
    let near = lines.iter().enumerate().filter(|(at, _)| changed(*at));
    near.map(|(_, (sign, line))| format!("{sign} {line}\n")).collect()
}
