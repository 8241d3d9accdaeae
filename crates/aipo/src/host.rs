//! The name of this machine, for node names and origins.

/// The host name; `localhost` where the machine has none.
pub(crate) fn name() -> String {
    gethostname::gethostname()
        .into_string()
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
