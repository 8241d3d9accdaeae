//! How a command ends: exit codes, and errors with their causes and a hint.

use std::fmt;
use std::io;
use std::process::ExitCode;

use aipo_core::{Error, ErrorKind};

/// The exit codes, see the table in [`cli`](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// The task failed, or there is no such thing.
    Negative = 3,
    /// Not ended in time.
    NotReady = 4,
    /// No worker answers.
    NoWorker = 69,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked for. Shown as
///
/// ```text
/// error: what went wrong
///   caused by: why
/// hint: what to do about it
/// ```
#[derive(Debug)]
pub(super) struct Problem {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Something wrong with the flags, beyond what clap checks.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            writeln!(f, "  caused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (exit, hint) = match error.kind() {
            ErrorKind::Config => (
                Exit::Usage,
                Some(
                    "`settings` lists the settings; `--broker` names the store, such as sqlite://aipo.db",
                ),
            ),
            ErrorKind::NotFound => (Exit::Negative, None),
            ErrorKind::Unavailable => (
                Exit::Failed,
                Some("is the store up, and is `--broker` its address?"),
            ),
            ErrorKind::Storage => (
                Exit::Failed,
                Some("check `--broker`, and that the place exists, may be written to and has room"),
            ),
            _ => (Exit::Failed, None),
        };
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            exit,
            message: error.to_string(),
            causes,
            hint: hint.map(str::to_owned),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
