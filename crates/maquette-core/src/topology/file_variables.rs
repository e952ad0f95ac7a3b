//! Keys of a network file as variables of expressions, as InfraRed's `include_vars` makes them.

use std::collections::{BTreeMap, BTreeSet};

use crate::expr::Variables;
use crate::file_keys::Key;
use crate::scrub::is_secret_name;
use crate::secret_keys::for_strangers;
use crate::syntax::{Plain, Tree, Value};

/// What the run says, and no file, whatever its keys are.
const OF_THE_RUN: [&str; 5] = ["net", "data_net", "vswitch_type", "provision", "override"];

/// What node files know the network file by as a whole.
const WHOLE: &str = "network_info";

/// What node types are in a network file; their texts may have passwords in them.
const NODES: &str = "nodes";

/// Keys of a network file that some expression names.
pub(super) struct FileVariables {
    all: BTreeMap<String, Plain>,
    whole: bool,
}

impl FileVariables {
    /// Takes them out of a file, except for `rows`, which are more than variables.
    pub(super) fn take(file: &mut Tree, rows: &[Key], is_used: &dyn Fn(&str) -> bool) -> Self {
        let whole = is_used(WHOLE);
        let (mut all, mut own) = (BTreeMap::new(), BTreeSet::new());
        for entry in file.entries() {
            let key = entry.key.as_str();
            if OF_THE_RUN.contains(&key) || !(whole || is_used(key)) {
                continue;
            }
            all.insert(key.to_string(), Plain::of(&entry.value));
            if !rows.iter().any(|row| row.name == key) {
                own.insert(key.to_string());
            }
        }
        if let Value::Map(entries) = &mut file.value {
            entries.retain(|entry| !own.contains(&entry.key));
        }
        Self { all, whole }
    }

    /// What expressions of the file itself see.
    pub(super) fn seen_there(&self, variables: &Variables) -> Variables {
        Variables { file: Plain::Map(self.all.clone()), ..variables.clone() }
    }

    /// What those of node files see, which may be somebody else's.
    pub(super) fn seen_elsewhere(self, variables: Variables) -> Variables {
        let (hidden, mut seen): (BTreeMap<_, _>, BTreeMap<_, _>) = self
            .all
            .into_iter()
            .filter(|(key, _)| key != NODES)
            .partition(|e| is_secret_name(&e.0));
        seen = match for_strangers(&Plain::Map(seen)) {
            Plain::Map(seen) => seen,
            _ => BTreeMap::new(),
        };
        if self.whole {
            seen.insert(WHOLE.into(), Plain::Map(seen.clone()));
        }
        Variables { file: Plain::Map(seen), hidden: hidden.into_keys().collect(), ..variables }
    }
}
