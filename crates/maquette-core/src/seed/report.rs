//! What a guest reports of its first boot, a line each: the words that its script (`assets/seed/report.sh`) says, and by which
//! whoever waits knows them.

/// cloud-init runs.
pub const BEGUN: &str = "cloud-init";

/// The agent of a template has nothing to do until it hears who it is.
pub const TEMPLATE: &str = "template";

/// Comes before the address that the guest got, with the subnet's length, as `ip` prints it.
pub const ADDRESS: &str = "address";

/// Comes before cloud-init's result, which is JSON.
pub const RESULT: &str = "result";

/// How errors begin that a template's agent reports when it cannot become a node: it draws no random numbers of its own,
/// or its seed or NICs did not come.
pub const STILL_TEMPLATE: [&str; 3] = ["wake: ", "seed: ", "nics: "];

/// cloud-init is done, and the rest was reported.
pub const DONE: &str = "done";

/// What the units in the guest run.
pub(super) const SCRIPT: &str = include_str!("../../assets/seed/report.sh");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_says_these_words_and_no_others() {
        let said = SCRIPT.lines().flat_map(|line| line.split(';'));
        let said = said.filter_map(|part| part.trim().rsplit_once("say ").map(|(_, rest)| rest));
        let words: Vec<&str> = said.filter_map(|rest| rest.split_whitespace().next()).collect();
        assert_eq!(words, [BEGUN, ADDRESS, RESULT, DONE]);
    }
}
