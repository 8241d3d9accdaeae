//! Reading JSON objects.

use serde::Deserialize;

/// Reads a JSON object; `None` when the bytes are no such object. serde alone would take an array for one as
/// well, by the order of its fields.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}
