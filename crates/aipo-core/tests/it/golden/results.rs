//! Results as Celery's backends store them.

use std::error::Error;

use aipo_core::TaskState;
use aipo_core::canvas::ResultNode;
use aipo_core::message::{Compression, Format, GroupMeta, Serializer, TaskMeta};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Refused, check_all};

/// What is not understood, and what is said of it.
///
/// What is "not stored" is a golden of silence: Celery stores nothing there. A saved group is no
/// result of a task, and has a key of its own.
const REFUSED: Refused = &[
    (
        "group_saved",
        "stored result is no result meta: missing field `status` at line 1 column 174",
    ),
    ("not_stored_ignore_raised", NOTHING),
    ("not_stored_ignore_result_call", NOTHING),
    ("not_stored_ignore_result_task", NOTHING),
    ("not_stored_ignored_failure", NOTHING),
    ("not_stored_ignored_retry", NOTHING),
    ("not_stored_refused_content", NOTHING),
    ("not_stored_unreadable_eta", NOTHING),
];

const MAX_SIZE: usize = 1 << 20;

const NOTHING: &str = "nothing is stored";

#[test]
fn each_result_is_written_again_as_it_was() {
    check_all("results", REFUSED, |name, golden| {
        let Value::String(stored) = &golden["meta"] else {
            assert_eq!(golden["meta"], Value::Null, "{name}");
            return Err(NOTHING.to_owned());
        };
        let bytes = match golden["stored"].as_str() {
            Some(bytes) => STANDARD.decode(bytes).expect("base64"),
            None => stored.clone().into_bytes(),
        };
        let meta = TaskMeta::decode(&bytes, MAX_SIZE).map_err(|error| match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })?;
        let written: Value = serde_json::from_slice(&meta.encode()).expect("JSON");
        let stored = stored.replace("NaN", "null");
        let stored: Value = serde_json::from_str(&stored).expect("JSON");
        assert_eq!(written, stored, "{name}");
        if let TaskState::Failure | TaskState::Retry | TaskState::Revoked = meta.status {
            let exception = meta.exception().expect(name);
            assert_eq!(serde_json::json!(exception), stored["result"], "{name}");
        }
        Ok(())
    });
}

#[test]
fn a_saved_group_is_written_again_as_it_was() {
    let golden = include_str!("../../../../../interop/golden/results/group_saved.json");
    let golden: Value = serde_json::from_str(golden).expect("JSON");
    let stored = golden["meta"].as_str().expect("a text");
    let meta = GroupMeta::decode(stored.as_bytes(), MAX_SIZE).expect("a group");

    let node = ResultNode::from_value(&meta.result).expect("a result tuple");
    assert!(golden["key"].as_str().expect("a text").ends_with(&node.id));
    assert_eq!(node.members.as_ref().map(Vec::len), Some(2));
    assert_eq!(node.to_value(), meta.result);
    let compressions = [None, Some(Compression::Zlib)];
    let formats = Serializer::ALL.into_iter().flat_map(|serializer| {
        compressions.map(|compression| Format {
            serializer,
            compression,
        })
    });
    for format in formats {
        let written = meta.encode_as(format).expect("texts fit everywhere");
        let again = GroupMeta::decode(&written, MAX_SIZE);
        assert_eq!(again.expect("a group"), meta, "{format:?}");
    }
    GroupMeta::decode(b"{\"status\": \"SUCCESS\"}", MAX_SIZE).expect_err("no group");
}
