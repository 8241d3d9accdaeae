use std::path::PathBuf;

use aipo_core::QueueName;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

fn publish(envelope: Envelope, id: &str) -> Publish {
    Publish {
        queue: QueueName::from("q"),
        id: id.into(),
        priority: envelope.properties.priority,
        due: None,
        envelope,
    }
}

fn parse(raw: &[u8]) -> Value {
    serde_json::from_slice(raw).expect("JSON")
}

/// The envelopes that Celery sent, with their names and their bodies as text, where they are text.
fn golden() -> Vec<(String, Value, Option<String>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../interop/golden/messages");
    let files = std::fs::read_dir(&folder).expect("the golden messages are there");
    let messages = files.map(|file| {
        let path = file.expect("a file").path();
        let mut golden = parse(&std::fs::read(&path).expect("it can be read"));
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let body = golden["body"].as_str().map(str::to_owned);
        (name, golden["envelope"].take(), body)
    });
    messages.collect()
}

#[test]
fn what_celery_sent_is_read_whole() {
    let golden = golden();
    assert!(golden.len() > 100, "{} golden messages", golden.len());
    for (name, sent, body) in golden {
        let read = decode(sent.to_string().as_bytes());

        let Envelope {
            headers,
            properties,
            body: read_body,
        } = read.envelope;
        assert_eq!(parse(&headers), sent["headers"], "{name}");
        assert_eq!(
            read.id.as_str(),
            sent["properties"]["correlation_id"],
            "{name}"
        );
        assert_eq!(read.deliveries, 0, "{name}");
        let eta = sent["headers"]["eta"].as_str();
        let due = eta.map(|eta| WireTime::parse(eta).expect("an eta").timestamp());
        assert_eq!(read.due_ms, due.map(ceil_ms), "{name}");
        assert_eq!(properties.content_type, sent["content-type"], "{name}");
        assert_eq!(
            properties.content_encoding, sent["content-encoding"],
            "{name}"
        );
        if sent["headers"]["compression"].is_null()
            && let Some(body) = body
        {
            assert_eq!(String::from_utf8_lossy(&read_body), body, "{name}");
        }
    }
}

/// Key by key, but for the tag, which is new for each sending.
#[test]
fn what_celery_sent_is_sent_on_as_it_came() {
    for (name, mut sent, _) in golden() {
        let read = decode(sent.to_string().as_bytes());
        let queue = sent["properties"]["delivery_info"]["routing_key"].as_str();
        let message = Publish {
            queue: queue.expect("a routing key").into(),
            id: read.id.clone(),
            priority: read.envelope.properties.priority,
            due: read.due_ms.map(crate::time::from_ms),
            envelope: read.envelope.clone(),
        };

        let raw = encode(&message, message.priority);

        let mut written = parse(&raw);
        let tag = written["properties"]["delivery_tag"].take();
        assert!(
            tag.as_str()
                .is_some_and(|tag| uuid::Uuid::parse_str(tag).is_ok()),
            "{name}"
        );
        let old = sent["properties"]["delivery_tag"].take();
        assert_ne!(tag, old, "{name}");
        // aipo sends to queues only, which is the exchange without a name, and as a message of its own.
        let sent_to = message.queue.as_str();
        sent["properties"]["delivery_info"] = json!({"exchange": "", "routing_key": sent_to});
        assert_eq!(written, sent, "{name}");
        assert_eq!(decode(&raw), read, "{name}");
    }
}

#[test]
fn what_does_not_fit_comes_back_all_the_same() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let headers: [&[u8]; 8] = [
        b"",
        b"{}",
        b" {\"id\": \"a\"} ",
        b"{\"id\": \"a\", \"task\": \"t\"}",
        b"[1]",
        b"{broken}",
        b"{} {}",
        &every_byte,
    ];
    let mut strange = Properties {
        priority: 7,
        reply_to: Some("\u{e9}\"".into()),
        ..Properties::default()
    };
    strange
        .other
        .insert("delivery_info".to_owned(), json!("any"));
    strange
        .other
        .insert("origin".to_owned(), json!({"a": [1, null]}));
    for headers in headers {
        for properties in [Properties::default(), strange.clone()] {
            for (id, priority) in [("a", 0), ("", 7), ("\u{1f331}\"", 3)] {
                let envelope = Envelope {
                    headers: headers.to_vec(),
                    properties: properties.clone(),
                    body: every_byte.clone(),
                };
                let due = Some("2026-01-01T00:00:00.0005Z".parse().expect("a time"));
                let sent = Publish {
                    priority,
                    due,
                    ..publish(envelope, id)
                };

                let raw = encode(&sent, priority);

                let read = decode(&raw);
                assert_eq!(read.envelope, sent.envelope);
                assert_eq!(read.id, sent.id);
                assert_eq!(read.due_ms, sent.due.map(ceil_ms));
                assert_eq!(parse(&raw)["properties"]["priority"], priority);
            }
        }
    }
}

#[test]
fn what_fits_carries_nothing_of_aipos_own() {
    let eta = "2026-01-01T00:00:00+00:00";
    let headers = json!({"id": "a", "task": "t", "eta": eta})
        .to_string()
        .into_bytes();
    let properties = Properties {
        correlation_id: Some("a".to_owned()),
        ..Properties::default()
    };
    let message = Publish {
        due: Some(eta.parse::<Timestamp>().expect("a time")),
        ..publish(
            Envelope {
                headers,
                properties,
                body: b"[]".to_vec(),
            },
            "a",
        )
    };

    let written = parse(&encode(&message, 0));

    let keys: Vec<&String> = written.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "body",
            "content-encoding",
            "content-type",
            "headers",
            "properties"
        ]
    );
}

/// What senders in other languages leave out or write differently, as Python workers bear it.
#[test]
fn what_is_missing_is_taken_for_the_usual() {
    #[track_caller]
    fn check(raw: Value, headers: Value, body: &str, priority: u8) {
        let read = decode(raw.to_string().as_bytes()).envelope;
        assert_eq!(parse(&read.headers), headers);
        assert_eq!(String::from_utf8_lossy(&read.body), body);
        assert_eq!(read.properties.priority, priority);
        assert_eq!(read.properties.content_type, "application/json");
    }
    check(json!({}), json!({}), "", 0);
    check(
        json!({"headers": {"id": "a"}, "body": "[[], {}]"}),
        json!({"id": "a"}),
        "[[], {}]",
        0,
    );
    check(
        json!({"headers": null, "properties": null, "body": null}),
        json!({}),
        "",
        0,
    );
    check(
        json!({"body": "[[], {}]", "properties": {"body_encoding": "utf-8", "priority": null}}),
        json!({}),
        "[[], {}]",
        0,
    );
    check(
        json!({"body": "W10=", "properties": {"body_encoding": "base64", "priority": 12}}),
        json!({}),
        "[]",
        9,
    );
    check(
        json!({"body": [1, 2], "properties": {"priority": "high"}}),
        json!({}),
        "[1,2]",
        0,
    );
    check(
        json!({"properties": {"priority": -1, "correlation_id": 5}}),
        json!({}),
        "",
        0,
    );
    check(
        json!({"content-type": null, "unknown": 1}),
        json!({}),
        "",
        0,
    );
}

#[test]
fn what_is_no_message_keeps_its_bytes() {
    let wrong: [&[u8]; 7] = [
        b"",
        b"not JSON",
        b"[1]",
        b"\"text\"",
        b"\xff\x00",
        br#"{"properties": {"body_encoding": "base64"}, "body": "%%"}"#,
        br#"{"properties": 5}"#,
    ];
    for raw in wrong {
        let read = decode(raw);
        assert_eq!(
            read.envelope,
            Envelope {
                headers: raw.to_vec(),
                ..Envelope::default()
            }
        );
        assert_eq!(
            (read.id.as_str(), read.deliveries, read.due_ms),
            ("", 0, None)
        );
    }
}

#[test]
fn a_count_in_front_is_read_and_taken_off() {
    #[track_caller]
    fn check(raw: &str, deliveries: u32, bare: &str) {
        let (count, rest) = count(raw.as_bytes());
        assert_eq!(
            (count, String::from_utf8_lossy(&rest).as_ref()),
            (deliveries, bare)
        );
    }
    check(r#"{"aipo-deliveries":2,"body":"x"}"#, 2, r#"{"body":"x"}"#);
    check(
        r#"{"aipo-deliveries": 12, "body": "x"}"#,
        12,
        r#"{ "body": "x"}"#,
    );
    check(r#"{"body":"x"}"#, 0, r#"{"body":"x"}"#);
    check(
        r#"{"aipo-deliveries":,"body":"x"}"#,
        0,
        r#"{"aipo-deliveries":,"body":"x"}"#,
    );
    check(
        r#"{"aipo-deliveries":99999999999,"b":1}"#,
        0,
        r#"{"aipo-deliveries":99999999999,"b":1}"#,
    );
}

#[test]
fn an_eta_is_the_header_of_that_name_and_nothing_else() {
    #[track_caller]
    fn check(headers: &str, eta: Option<&str>) {
        let moment = |eta: &str| WireTime::parse(eta).expect("a time").timestamp();
        assert_eq!(
            eta_ms(headers.as_bytes()),
            eta.map(moment).map(ceil_ms),
            "{headers}"
        );
    }
    let time = "2026-11-20T17:41:26.011137+00:00";
    check(&format!(r#"{{"eta":"{time}"}}"#), Some(time));
    check(&format!("{{\"eta\" :\n \"{time}\"}}"), Some(time));
    check(
        r#"{"eta":"2027-01-01T12:00:00"}"#,
        Some("2027-01-01T12:00:00Z"),
    );
    check(
        &format!(r#"{{"stamps":{{"eta":null}},"eta":"{time}"}}"#),
        Some(time),
    );
    check(
        &format!(r#"{{"stamps":{{"eta":"{time}"}},"eta":null}}"#),
        None,
    );
    check(r#"{"argsrepr":"(\"eta\": 1)"}"#, None);
    check(r#"{"eta":null}"#, None);
    check(r#"{"eta":"soon"}"#, None);
    check(r#"{"eta":5}"#, None);
    check(r#"{}"#, None);
}
