//! Messages as Celery puts them on Redis.

use aipo_core::message::{Body, Envelope, HEADER_NAMES, Kwargs, decode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Refused, check_all};

/// What is not understood, and what the dead letter says.
///
/// Protocol 1, the other serialisations and compressions are what senders configure explicitly;
/// pickle stays refused for ever. Of JSON only the numbers that are none are refused, which
/// Python alone writes.
const REFUSED: Refused = &[
    (
        "compression_bzip2",
        r#"compression "application/x-bz2" is not accepted"#,
    ),
    (
        "compression_lzma",
        r#"compression "application/x-lzma" is not accepted"#,
    ),
    (
        "compression_msgpack",
        r#"content type "application/x-msgpack" is not accepted"#,
    ),
    (
        "compression_zlib",
        r#"compression "application/x-gzip" is not accepted"#,
    ),
    (
        "compression_zstd",
        r#"compression "application/zstd" is not accepted"#,
    ),
    (
        "msgpack",
        r#"content type "application/x-msgpack" is not accepted"#,
    ),
    (
        "msgpack_types",
        r#"content type "application/x-msgpack" is not accepted"#,
    ),
    (
        "nan_and_infinity",
        "body: expected value at line 1 column 3",
    ),
    (
        "pickle",
        r#"content type "application/x-python-serialize" is not accepted"#,
    ),
    (
        "protocol_1",
        "headers: missing field `task` at line 1 column 2",
    ),
    (
        "protocol_1_chain",
        "headers: missing field `task` at line 1 column 2",
    ),
    (
        "protocol_1_group_member",
        "headers: missing field `task` at line 1 column 2",
    ),
    (
        "protocol_1_options",
        "headers: missing field `task` at line 1 column 2",
    ),
    (
        "yaml",
        r#"content type "application/x-yaml" is not accepted"#,
    ),
    (
        "yaml_types",
        r#"content type "application/x-yaml" is not accepted"#,
    ),
];

#[test]
fn each_message_is_written_again_as_it_was() {
    check_all("messages", REFUSED, |name, golden| {
        let envelope = envelope(golden);
        let message = decode(envelope.clone()).map_err(|refused| refused.to_string())?;
        check_body(name, &message.body)?;
        let written = message.into_envelope();
        check_headers(name, &envelope.headers, &written.headers);
        assert_eq!(written.properties, envelope.properties, "{name}");
        assert_eq!(written.body, envelope.body, "{name}");
        Ok(())
    });
}

/// Kombu's envelope as a store gives it to a worker.
fn envelope(golden: &Value) -> Envelope {
    let envelope = &golden["envelope"];
    let mut properties = envelope["properties"].clone();
    assert_eq!(properties["body_encoding"], "base64");
    for name in ["content-type", "content-encoding"] {
        properties[name] = envelope[name].clone();
    }
    let read = serde_json::from_value(properties.clone()).expect("kombu's properties");
    assert_eq!(json!(read), properties, "properties are kept, all of them");
    Envelope {
        headers: envelope["headers"].to_string().into_bytes(),
        properties: read,
        body: STANDARD
            .decode(envelope["body"].as_str().expect("a text"))
            .expect("base64"),
    }
}

/// The headers hold the same, and Celery's own stand first and in Celery's order.
fn check_headers(name: &str, golden: &[u8], written: &[u8]) {
    let value = |bytes| -> Value { serde_json::from_slice(bytes).expect("JSON") };
    assert_eq!(value(written), value(golden), "{name}");
    let ordered: Kwargs<'_> = serde_json::from_slice(written).expect("a map");
    let names: Vec<&str> = ordered.0.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names[..HEADER_NAMES.len()], HEADER_NAMES, "{name}");
}

/// The body holds the same when it is read and written again.
fn check_body(name: &str, golden: &[u8]) -> Result<(), String> {
    let Body(args, kwargs, embed) =
        Body::parse(golden).map_err(|error| format!("body: {error}"))?;
    let written = serde_json::to_value((args, kwargs, embed)).expect("JSON");
    let golden: Value = serde_json::from_slice(golden).expect("JSON");
    assert_eq!(written, golden, "{name}");
    Ok(())
}
