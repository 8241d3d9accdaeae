//! Why a command could not do its work, as it is told on stderr.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// What went wrong, in Portuguese, with its causes as they come.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    causes: Vec<String>,
    usage: bool,
}

impl Problem {
    /// Something that did not work; exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            usage: false,
        }
    }

    /// A flag that cannot be used; exit code 2, as for a flag that does not exist.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            usage: true,
            ..Self::new(message)
        }
    }

    /// For `map_err`: something that did not work because of an error.
    pub(super) fn failed<E: Error + 'static>(message: impl Into<String>) -> impl FnOnce(E) -> Self {
        let message = message.into();
        move |error| {
            let mut causes = vec![error.to_string()];
            let mut source = error.source();
            while let Some(cause) = source {
                causes.push(cause.to_string());
                source = cause.source();
            }
            Self {
                message,
                causes,
                usage: false,
            }
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        if self.usage {
            ExitCode::from(2)
        } else {
            ExitCode::FAILURE
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "erro: {}", self.message)?;
        self.causes
            .iter()
            .try_for_each(|cause| writeln!(f, "  causa: {cause}"))
    }
}
