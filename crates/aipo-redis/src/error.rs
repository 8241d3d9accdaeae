//! What went wrong at the server or on the way to it, as the error kinds of the contracts.

use aipo_core::{Error, ErrorKind};
use redis::{ErrorKind as Driver, RedisError};

/// The error of a command, of an answer, or of an attempt to connect.
pub(crate) fn driver(error: RedisError) -> Error {
    let (kind, message) = meaning(&error);
    Error::new(kind, message).caused_by(error)
}

fn meaning(error: &RedisError) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Storage, Unavailable, Unsupported};

    match error.code() {
        Some("NOAUTH" | "WRONGPASS") => (Config, "redis refused user or password"),
        Some("NOPERM") => (Config, "redis does not let this user do what aipo needs"),
        Some("WRONGTYPE") => (Storage, "a key that aipo uses holds something else"),
        Some("OOM") => (Unavailable, "redis has no memory left"),
        Some("LOADING") => (Unavailable, "redis is still loading its data"),
        Some("BUSY") => (Unavailable, "redis is busy with a script"),
        Some("READONLY") => (
            Unavailable,
            "this redis is a replica, which can't be written",
        ),
        Some("MISCONF") => (
            Unavailable,
            "redis can't save its data to disk and takes no more",
        ),
        Some("MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS") => {
            (Unavailable, "redis is not ready")
        }
        Some("MOVED" | "ASK" | "CROSSSLOT") => (Unsupported, "redis is a cluster"),
        _ => match error.kind() {
            Driver::IoError if error.is_timeout() => (Unavailable, "redis does not answer"),
            Driver::IoError => (Unavailable, "redis can't be reached"),
            Driver::AuthenticationFailed => (Config, "redis refused user or password"),
            Driver::InvalidClientConfig => (Config, "the options of the connection can't be used"),
            Driver::RESP3NotSupported => (Unsupported, "this redis is too old"),
            _ => (Storage, "redis refused a command"),
        },
    }
}

/// Nothing was heard of a command in its time. Whether it took effect is not known.
pub(crate) fn no_answer() -> Error {
    Error::new(ErrorKind::Timeout, "redis did not answer in time")
}

/// An answer of another shape than the command has.
pub(crate) fn unexpected(answer: &redis::Value) -> Error {
    Error::new(
        ErrorKind::Storage,
        "redis answered something else than was asked",
    )
    .with("answer", shape(answer))
}

/// What kind of answer it is; its content may be anybody's data.
fn shape(answer: &redis::Value) -> &'static str {
    match answer {
        redis::Value::Nil => "nil",
        redis::Value::Int(_) => "a number",
        redis::Value::Okay | redis::Value::SimpleString(_) => "a status",
        redis::Value::BulkString(_) => "a string",
        redis::Value::Array(_) | redis::Value::Set(_) => "a list",
        redis::Value::Map(_) => "a map",
        _ => "of another kind",
    }
}

/// A consumer's lease ran out, or the deliveries named are not its own any more.
pub(crate) fn lease_lost() -> Error {
    Error::new(ErrorKind::LeaseLost, "the lease has run out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_stays_wrong() {
        #[track_caller]
        fn check(error: impl Into<RedisError>, kind: ErrorKind) {
            assert_eq!(driver(error.into()).kind(), kind);
        }
        let server = |code: &str| redis::make_extension_error(code.to_owned(), None);
        let io = |kind: std::io::ErrorKind| std::io::Error::from(kind);

        check(
            io(std::io::ErrorKind::ConnectionRefused),
            ErrorKind::Unavailable,
        );
        check(io(std::io::ErrorKind::BrokenPipe), ErrorKind::Unavailable);
        check(io(std::io::ErrorKind::TimedOut), ErrorKind::Unavailable);
        check(server("OOM"), ErrorKind::Unavailable);
        check(server("MISCONF"), ErrorKind::Unavailable);
        check(server("NOAUTH"), ErrorKind::Config);
        check(server("WRONGPASS"), ErrorKind::Config);
        check(server("NOPERM"), ErrorKind::Config);
        check(server("WRONGTYPE"), ErrorKind::Storage);
        check(
            (Driver::BusyLoadingError, "loading"),
            ErrorKind::Unavailable,
        );
        check((Driver::Moved, "moved"), ErrorKind::Unsupported);
        check(
            (Driver::ResponseError, "no such command"),
            ErrorKind::Storage,
        );
    }
}
