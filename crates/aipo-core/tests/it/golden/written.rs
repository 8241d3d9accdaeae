//! What aipo writes in each serialisation and compression, as kept in `interop/golden/written.json`.
//!
//! This test says that the bytes are still the same (`AIPO_BLESS=1` writes them anew), and `cargo xtask golden`
//! that kombu reads them as the values that stand beside them.

use std::fs;

use aipo_core::message::python::{Bytes, Date, DateTime, Decimal, NaiveDateTime, Time, Uuid};
use aipo_core::message::{
    Compression, Embed, Format, Headers, Properties, Serializer, TaskMessage, TaskMeta,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil;
use serde_json::{Map, Value, json};

use super::path;

#[test]
fn what_is_written_is_what_kombu_was_seen_to_read() {
    let mut rows = Vec::new();
    for serializer in Serializer::ALL {
        for compression in [None].into_iter().chain(Compression::ALL.map(Some)) {
            let format = Format {
                serializer,
                compression,
            };
            rows.push(message(format));
            rows.push(result(format));
        }
    }
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", rows.join(",\n"));
    let path = path("written.json");
    if std::env::var_os("AIPO_BLESS").is_some() {
        fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "other bytes are written than those in {}; AIPO_BLESS=1 writes the file anew, and \
         `cargo xtask golden` says whether kombu reads them",
        path.display()
    );
}

/// A message, and its body as kombu shall read it.
fn message(format: Format) -> Value {
    let args = [values(), texts(), python()];
    let kwargs = Map::from_iter([("não".to_owned(), json!("sí"))]);
    let mut headers = Headers::new("tasks.echo", "written".into());
    headers.custom.insert("x-tenant".to_owned(), "acme".into());
    let embed = Embed::default();
    let message = TaskMessage::new(headers, Properties::default(), &args, &kwargs, &embed);
    let envelope = message
        .and_then(|message| message.into_envelope_as(format))
        .expect("every value has a place");
    let headers: Value = serde_json::from_slice(&envelope.headers).expect("JSON");
    let embed = json!({"callbacks": null, "errbacks": null, "chain": null, "chord": null});
    json!({
        "headers": headers,
        "content-type": envelope.properties.content_type,
        "content-encoding": envelope.properties.content_encoding,
        "body": STANDARD.encode(envelope.body),
        "json": json!([[values(), texts(), python_in(format.serializer)], kwargs, embed]),
    })
}

/// A stored result, and its meta as Celery shall read it.
fn result(format: Format) -> Value {
    let meta = |result: Value| {
        json!({
            "status": "SUCCESS", "result": result, "traceback": null, "children": [],
            "date_done": "2026-11-20T14:29:13.317576+00:00", "task_id": "written",
        })
    };
    let came = meta(json!([values(), texts(), python()])).to_string();
    let stored = TaskMeta::decode(came.as_bytes(), 0)
        .and_then(|meta| meta.encode_as(format))
        .expect("every value has a place");
    json!({
        "serializer": format.serializer.name(),
        "stored": STANDARD.encode(stored),
        "json": meta(json!([values(), texts(), python_in(format.serializer)])),
    })
}

fn values() -> Value {
    json!([
        null, true, 0, -1, 127, 128, -129, 65_536, u32::MAX, i64::MIN, u64::MAX, 0.1, -0.0, 1e16, 1e-7, 5e-324,
        f64::MAX, [], {}, [[[1]]], {"b": {"a": [1, {"c": null}]}, "": "no name"}, "x".repeat(300),
        {"k".repeat(2000): "long name"}, (0..40).collect::<Vec<u32>>(),
    ])
}

/// What YAML takes for something else, and what is not printable.
fn texts() -> Value {
    json!([
        "",
        " a ",
        "yes",
        "~",
        "null",
        "012",
        "0x1f",
        "1:30",
        "1e5",
        "1.5",
        "2026-01-02",
        "<<",
        "=",
        "- a",
        "# b",
        "a: b",
        "[",
        "{",
        "!t",
        "&a",
        "*a",
        "%",
        "@",
        "`",
        "|",
        ">",
        "?",
        ":",
        "it's \"quoted\" \\",
        "line\nline\r\n",
        "tab\t",
        "\u{0}\u{7}\u{1b}\u{7f}\u{80}\u{85}\u{9f}\u{a0}",
        "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}",
        "olá, 日本語 🥬",
        "word ".repeat(100),
    ])
}

/// Python's own types.
fn python() -> Value {
    json!([
        DateTime("2026-01-02T03:04:05.678901Z".parse().expect("a time")),
        NaiveDateTime(civil::date(2026, 1, 2).at(3, 4, 5, 60_000)),
        Date(civil::date(2026, 1, 2)),
        Time(civil::time(3, 4, 5, 0)),
        Decimal("1.50".to_owned()),
        Uuid(uuid::Uuid::from_u128(0x12345678_12345678_12345678_12345678)),
        Bytes(b"text".to_vec()),
        Bytes(vec![0xff, 0xfe]),
    ])
}

/// What Python gets of them: what the serialisation has no type for is text.
fn python_in(serializer: Serializer) -> Value {
    let has_it = |index: usize| match serializer {
        Serializer::Json => true,
        Serializer::Yaml => !(3..6).contains(&index),
        Serializer::Msgpack => index >= 6,
    };
    let Value::Array(values) = python() else {
        unreachable!("it is a list")
    };
    let as_python_has_it = values.into_iter().enumerate().map(|(index, value)| {
        if has_it(index) {
            return value;
        }
        let text = &value["__value__"];
        if text.is_object() {
            json!("12345678-1234-5678-1234-567812345678")
        } else {
            text.clone()
        }
    });
    as_python_has_it.collect()
}
