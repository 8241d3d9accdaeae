//! What a store, a codec or a setting can answer when it can't do what was asked.
//!
//! The kind says what a caller can do about it, the rest says what happened. What a *task* answers
//! is another type, [`TaskError`](crate::task::TaskError).

use std::error::Error as StdError;
use std::fmt;

/// Any error, boxed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of everything in aipo that can fail outside a task.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store can't be reached or is too busy. Trying again later may work.
    Unavailable,
    /// The time given ran out. Trying again may work.
    Timeout,
    /// The lease ran out: the messages it covered may be running elsewhere by now.
    LeaseLost,
    /// A setting, an option or a URL is wrong; the message names it.
    Config,
    /// A message, a result or an argument can't be encoded or decoded.
    Codec,
    /// Something asked for is beyond a documented bound.
    TooLarge,
    /// The thing named does not exist.
    NotFound,
    /// The store can't do this at all, see its capabilities.
    Unsupported,
    /// The store was closed, or the app is shutting down.
    Closed,
    /// The store failed in a way that trying again does not mend.
    Storage,
}

impl ErrorKind {
    /// Whether the same call may succeed later with nothing changed.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout)
    }
}

/// An error with its kind, the operation, what it was about and its source.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<BoxError>,
}

impl Error {
    /// A new error. `message` is a lowercase fragment that names the thing and the value.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds what the error is about, for example `("queue", "celery")`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later with nothing changed.
    pub fn is_temporary(&self) -> bool {
        self.0.kind.is_temporary()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (index, (key, value)) in self.0.context.iter().enumerate() {
            let open = if index == 0 { " (" } else { ", " };
            write!(f, "{open}{key} {value}")?;
        }
        if self.0.context.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
