//! Several texts in one input: each begins with a line `%% NAME`.

/// Texts by name.
pub struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    /// Takes an input apart; what comes before the first name is called nothing.
    pub fn of(text: &'a str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut name = "";
        loop {
            let (part, next) = match rest.starts_with("%% ") {
                true => ("", Some(rest)),
                false => match rest.find("\n%% ") {
                    Some(at) => (&rest[..=at], Some(&rest[at + 1..])),
                    None => (rest, None),
                },
            };
            parts.push((name, part));
            let Some(next) = next else { return Self(parts) };
            let line = next.lines().next().unwrap_or_default();
            name = line[3..].trim();
            rest = next[line.len()..].trim_start_matches('\r');
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
    }

    /// The last text of a name; empty if there is none.
    pub fn get(&self, name: &str) -> &'a str {
        self.0.iter().rfind(|(own, _)| *own == name).map_or("", |(_, text)| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_name() {
        let parts = Parts::of("%% a\none\ntwo\n%% b\n%% c\nthree");
        assert_eq!(parts.get("a"), "one\ntwo\n");
        assert_eq!(parts.get("b"), "");
        assert_eq!(parts.get("c"), "three");
        assert_eq!(Parts::of("x").get(""), "x");
    }
}
