//! What is recorded on a hypervisor of an image that was built with an agent.

/// A line of the record of an image: which recipe made it, and what came of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// SHA-256 of the recipe, in hexadecimal.
    recipe: String,
    /// SHA-256 of the image, in hexadecimal.
    content: String,
}

/// What the line begins with.
const WORD: &str = "agent";

impl AgentRecord {
    /// Of digests; none if they are not such.
    pub fn new(recipe: &str, content: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(is_digit);
        let are = is_digest(recipe) && is_digest(content);
        are.then(|| Self { recipe: recipe.into(), content: content.into() })
    }

    /// Reads its line; none if that is anything else.
    pub fn parse(line: &str) -> Option<Self> {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [WORD, recipe, content] => Self::new(recipe, content),
            _ => None,
        }
    }

    /// Its line, as [`parse`](Self::parse) reads it.
    pub fn line(&self) -> String {
        format!("{WORD} {} {}", self.recipe, self.content)
    }

    /// Whether the recipe of this digest made it.
    pub fn is_by(&self, recipe: &str) -> bool {
        self.recipe == recipe
    }

    /// Whether it tells of what a volume holds, which is named after that.
    pub fn is_of(&self, volume: &str) -> bool {
        let key = volume.strip_suffix(".qcow2").and_then(|stem| stem.rsplit_once('-'));
        key.is_some_and(|(_, key)| key.len() == 12 && self.content.starts_with(key))
    }

    /// Whether it tells of the image that was built under a name.
    pub fn is_built_as(&self, name: &str, volume: &str) -> bool {
        volume.strip_prefix("maquette-").and_then(|rest| rest.strip_prefix(name)).is_some_and(
            |key| key.len() == "-.qcow2".len() + 12 && key.starts_with('-') && self.is_of(volume),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_whole_line_tells_of_an_agent() {
        let (recipe, content) = ("a".repeat(64), format!("0123456789ab{}", "c".repeat(52)));
        let line = format!("agent {recipe} {content}");
        let record = AgentRecord::parse(&line).unwrap();
        assert_eq!(record.line(), line);
        assert!(record.is_by(&recipe) && !record.is_by(&content));
        assert!(record.is_built_as("debian-12", "maquette-debian-12-0123456789ab.qcow2"));
        for (name, volume) in [
            ("debian-12", "maquette-debian-12-0123456789ac.qcow2"),
            ("debian-1", "maquette-debian-12-0123456789ab.qcow2"),
            ("debian-12", "maquette-debian-12-x-0123456789ab.qcow2"),
            ("debian-12", "debian-12-0123456789ab.qcow2"),
            ("debian-12", "maquette-debian-12-0123456789ab"),
        ] {
            assert!(!record.is_built_as(name, volume), "{name} {volume}");
        }
        let upper = line.to_uppercase().replace("AGENT", "agent");
        for wrong in ["", "agent", &line[..line.len() - 1], &format!("{line} x"), &upper] {
            assert_eq!(AgentRecord::parse(wrong), None, "{wrong}");
        }
    }
}
