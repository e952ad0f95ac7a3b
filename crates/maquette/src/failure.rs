//! How a command fails, and what is printed then.

use maquette_core::diagnostic::{Diagnostic, Diagnostics};
use maquette_core::syntax::Sources;
use maquette_engine::{Cause, StepError};

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The input is wrong; nothing was touched. Exit code 2.
    Input(Diagnostics, Sources),
    /// Something could not be done. Exit code 1.
    Failed(StepError),
    /// A program of the user's failed with this exit code, which is handed on.
    Status(u8, StepError),
    /// The failures were shown already. Exit code 1.
    Shown,
    /// The input is wrong, or nobody agreed; but what the text says was done before that was found.
    /// Exit code 1.
    After(Box<Failure>, &'static str),
    /// The user said no to a question. Exit code 1.
    Declined,
    /// The user wanted to stop.
    Interrupted {
        /// Nodes that go on booting.
        booting: Vec<String>,
        /// The exit code, which tells the signal: 130 for Ctrl-C.
        code: u8,
    },
}

/// What was done before something was found to be wrong: the hypervisor's preparation.
pub const PREPARED: &str =
    "the hypervisor was prepared as shown above, and nothing else was changed";

impl Failure {
    /// One thing wrong with the input, which no text can be shown for.
    pub fn input(diagnostic: Diagnostic) -> Self {
        let mut diagnostics = Diagnostics::default();
        diagnostics.push(diagnostic);
        Self::Input(diagnostics, Sources::default())
    }

    /// The same, where "nothing was touched" would not be true any more.
    pub fn after(self, done: &'static str) -> Self {
        match self {
            Self::Input(..) | Self::Declined => Self::After(Box::new(self), done),
            other => other,
        }
    }

    /// A failure with the errors behind it.
    pub fn because(message: impl Into<String>, error: impl Into<Cause>) -> Self {
        Self::Failed(StepError::new(message).because(error))
    }

    /// The same, with the exit code of the program that has told of it.
    pub fn with_status(self, status: u8) -> Self {
        match self {
            Self::Failed(error) => Self::Status(status, error),
            other => other,
        }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Input(..) => 2,
            Self::Status(code, _) => *code,
            Self::Failed(_) | Self::After(..) | Self::Shown | Self::Declined => 1,
            Self::Interrupted { code, .. } => *code,
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Failed(error)
    }
}
