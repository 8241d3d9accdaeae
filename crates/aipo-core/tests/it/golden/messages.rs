//! Messages as Celery puts them on Redis.

use aipo_core::Settings;
use aipo_core::message::{Body, Envelope, Format, HEADER_NAMES, Kwargs, TaskMessage, decode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Refused, check_all, read};

/// What is not understood, and what the dead letter says.
const REFUSED: Refused = &[(
    "pickle",
    "Refusing to deserialize untrusted content of type pickle (application/x-python-serialize)",
)];

#[test]
fn each_message_is_understood_and_written_again_as_it_was() {
    check_all("messages", REFUSED, |name, golden| {
        let envelope = envelope(golden);
        let message = decode(envelope.clone(), &Settings::default())
            .map_err(|refused| refused.reason.to_string())?;
        let came = body(golden);
        if came.is_object() {
            check_protocol_1(name, &came, &message);
        } else {
            check_body(name, &came, &message.body);
            let written = message.into_envelope_as(format(&envelope)).expect(name);
            check_headers(name, &envelope.headers, &written.headers);
            assert_eq!(written.properties, envelope.properties, "{name}");
            if format(&envelope) == Format::default() {
                assert_eq!(written.body, envelope.body, "{name}");
            } else {
                let again = decode(written, &Settings::default()).expect(name);
                check_body(name, &came, &again.body);
            }
        }
        Ok(())
    });
}

/// The body as Celery would have written it in JSON.
fn body(golden: &Value) -> Value {
    let text = golden.get("json").unwrap_or(&golden["body"]);
    let text = text.as_str().expect("a text");
    serde_json::from_str(text).unwrap_or_else(|_| {
        // In place of numbers that JSON has not; no text in such a golden has one of the words.
        let text = text.replace("-Infinity", "null").replace("NaN", "null");
        serde_json::from_str(&text.replace("Infinity", "null")).expect("JSON")
    })
}

/// How a message was written.
fn format(envelope: &Envelope) -> Format {
    let headers: Value = serde_json::from_slice(&envelope.headers).expect("JSON");
    let compression = headers["compression"].as_str();
    let content_type = &envelope.properties.content_type;
    Format {
        serializer: content_type.parse().expect("a known serializer"),
        compression: compression.map(|name| name.parse().expect("a known compression")),
    }
}

/// What a message of protocol 1 says in its body is in headers and body.
fn check_protocol_1(name: &str, came: &Value, message: &TaskMessage) {
    assert!(!message.has_full_headers, "{name}");
    let headers = json!(message.headers);
    for field in [
        "task",
        "id",
        "group",
        "group_index",
        "retries",
        "eta",
        "expires",
        "timelimit",
    ] {
        assert_eq!(headers[field], came[field], "{name}: {field}");
    }
    assert_eq!(headers["compression"], Value::Null, "{name}");
    let embed = json!({
        "callbacks": came["callbacks"], "errbacks": came["errbacks"], "chain": null, "chord": came["chord"],
    });
    check_body(
        name,
        &json!([came["args"], came["kwargs"], embed]),
        &message.body,
    );
    assert_eq!(message.properties.content_type, "application/json");
}

#[test]
fn protocol_1_prints_its_arguments() {
    let golden = read("messages/protocol_1.json");
    let message = decode(envelope(&golden), &Settings::default()).expect("protocol 1");
    assert_eq!(message.headers.argsrepr.as_deref(), Some("[2]"));
    assert_eq!(message.headers.kwargsrepr.as_deref(), Some("{'y': 3}"));
}

/// Neither a reader nor who passes the signature on makes a float of it.
#[test]
fn numbers_in_a_chain_keep_their_digits() {
    let golden = read("messages/big_ints_in_chain.json");
    let message = decode(envelope(&golden), &Settings::default()).expect("protocol 2");
    let Body(args, _, embed) = Body::parse(&message.body).expect("a body");
    assert_eq!(args[0].get(), "18446744073709551616");
    let chain = serde_json::to_string(&embed.expect("there is a chain").chain).expect("JSON");
    assert!(
        chain.contains("[1000000000000000000000000000000, 0.1, 1e+22]"),
        "{chain}"
    );
}

#[test]
fn big_integers_in_yaml_keep_their_digits() {
    let golden = read("messages/yaml_numbers.json");
    let message = decode(envelope(&golden), &Settings::default()).expect("YAML");
    let text = String::from_utf8(message.body).expect("JSON");
    let expected =
        "[[18446744073709551616,-1000000000000000000000000000000,1e+16,-1e-7,0.1,-0.0,null,null,0]";
    assert!(text.starts_with(expected), "{text}");
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
fn check_body(name: &str, golden: &Value, body: &[u8]) {
    let mut rewritten = Vec::new();
    let Body(args, kwargs, embed) = Body::parse_python(body, &mut rewritten).expect(name);
    let written = serde_json::to_value((args, kwargs, embed)).expect("JSON");
    assert_eq!(&written, golden, "{name}");
}
