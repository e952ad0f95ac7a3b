//! Events: what verbs that do something print, one a line.

use super::Kind::{Text, Texts, Whole};
use super::{Event, Field};

const ID: Field = Field::new("id", Whole, "the step's number in this run");
const TITLE: Field = Field::new("title", Text, "what the step does");
const MILLISECONDS: Field = Field::new("milliseconds", Whole, "how long it took");
const CHANGED: Field = Field::new("changed", Texts, "nodes that were changed");

/// All events.
pub const EVENTS: &[Event] = &[
    Event {
        name: "run-started",
        tells: "a run begins",
        fields: &[Field::new("steps", Whole, "the number of its steps")],
    },
    Event { name: "step-started", tells: "a step begins", fields: &[ID, TITLE] },
    Event {
        name: "step-progress",
        tells: "how far a step is, for people, in no fixed form",
        fields: &[ID, Field::new("text", Text, "how far it is, in words")],
    },
    Event {
        name: "step-remark",
        tells: "there is something to be said of a step, which goes on",
        fields: &[ID, Field::new("text", Text, "what is to be said")],
    },
    Event { name: "step-finished", tells: "a step is done", fields: &[ID, MILLISECONDS] },
    Event {
        name: "step-failed",
        tells: "a step has failed",
        fields: &[
            ID,
            TITLE,
            Field::new("message", Text, "what failed"),
            Field::new("causes", Texts, "why, the nearest cause first"),
            Field::new("hints", Texts, "what helps"),
            Field::new("excerpt", Texts, "the last lines of a program or a console"),
        ],
    },
    Event {
        name: "step-interrupted",
        tells: "a step was interrupted",
        fields: &[ID, TITLE, Field::new("text", Text, "what becomes of it")],
    },
    Event {
        name: "step-skipped",
        tells: "a step is not begun",
        fields: &[
            ID,
            TITLE,
            Field::new(
                "because",
                Whole,
                "the number of the step that failed; null if the run was interrupted",
            )
            .or_null(),
        ],
    },
    Event {
        name: "run-finished",
        tells: "the run has ended",
        fields: &[
            Field::new("done", Whole, "the number of steps that are done"),
            Field::new("failed", Whole, "the number of steps that failed"),
            Field::new("skipped", Whole, "the number of steps that were not begun"),
            MILLISECONDS,
        ],
    },
    Event {
        name: "project-written",
        tells: "`init`: the project file that is written",
        fields: &[
            Field::new("file", Text, "the file"),
            Field::new("example", Text, "the example that it is, as `init --list` has it"),
            Field::new(
                "prefix",
                Text,
                "the prefix in it, where another project has the environment without one",
            )
            .or_null(),
        ],
    },
    Event {
        name: "lease",
        tells: "`extend`, and `up` with `--ttl` or `--owner`: how long the environment lasts",
        fields: &[
            Field::new("environment", Text, "its name"),
            Field::new(
                "expires_at_s",
                Whole,
                "when it is removed, in seconds since 1970; null if it is not",
            )
            .or_null(),
            Field::new("ttl_s", Whole, "how long it was to last, in seconds").or_null(),
            Field::new("owner", Text, "whose it is").or_null(),
        ],
    },
    Event {
        name: "keys",
        tells: "`share`, last: which nodes open to the key now",
        fields: &[
            CHANGED,
            Field::new("still_closed", Texts, "nodes that do not open to the key yet"),
        ],
    },
    Event {
        name: "keys",
        tells: "`unshare`, last: which nodes open no longer",
        fields: &[CHANGED, Field::new("still_open", Texts, "nodes that may still open to the key")],
    },
];
