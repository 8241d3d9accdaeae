//! What the serialisations and compressions make of bytes that nobody's good will has written, and that what
//! is written is read again.

use aipo_core::Settings;
use aipo_core::config::SettingsBuilder;
use aipo_core::message::{
    Compression, Embed, Envelope, Format, Headers, Properties, Serializer, TaskMessage, TaskMeta,
    Undecodable, decode,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A message of protocol 2 with this body.
fn envelope(serializer: Serializer, body: impl Into<Vec<u8>>) -> Envelope {
    Envelope {
        headers: json!({"task": "add", "id": "a"}).to_string().into_bytes(),
        properties: Properties {
            content_type: serializer.content_type().to_owned(),
            ..Properties::default()
        },
        body: body.into(),
    }
}

/// The body of a message as JSON, or why it is refused.
fn body(envelope: Envelope) -> Result<String, Undecodable> {
    match decode(envelope, &Settings::default()) {
        Ok(message) => Ok(String::from_utf8(message.body).expect("JSON is text")),
        Err(refused) => Err(refused.reason),
    }
}

#[track_caller]
fn becomes(serializer: Serializer, bytes: impl Into<Vec<u8>>, json: &str) {
    assert_eq!(body(envelope(serializer, bytes)), Ok(json.to_owned()));
}

#[track_caller]
fn refused(serializer: Serializer, bytes: impl Into<Vec<u8>>, reason: &str) {
    match body(envelope(serializer, bytes)) {
        Err(Undecodable::Broken(told)) => assert!(told.contains(reason), "{told}"),
        other => panic!("{other:?} is not refused"),
    }
}

#[test]
fn msgpack_that_is_wrong_is_refused() {
    let refused = |bytes: &[u8], reason| refused(Serializer::Msgpack, bytes, reason);
    refused(b"", "cut off");
    refused(b"\x93\x01", "cut off");
    refused(b"\xa5abc", "cut off");
    refused(b"\xc6\xff\xff\xff\xff", "cut off");
    refused(b"\xdd\xff\xff\xff\xff", "cut off");
    refused(b"\xdf\xff\xff\xff\xff", "cut off");
    refused(b"\xd3\x01", "cut off");
    refused(b"\x01\x02", "1 bytes behind the value");
    refused(b"\xa2\xff\xfe", "not UTF-8");
    refused(b"\xd6\xff\x00\x00\x00\x00", "FixExt4 is no type");
    refused(b"\xc7\x01\x05\x00", "Ext8 is no type");
    refused(b"\xc1", "Reserved is no type");
    refused(b"\x91\x81\x01\x02", "a map key is no text");
    refused(b"\x91\x81\xc4\x01a\x02", "a map key is no text");
    refused(&[0x91; 100_000], "more than 512 levels");
}

#[test]
fn msgpack_becomes_json() {
    let nested = format!("{}null{}", "[".repeat(200), "]".repeat(200));
    let becomes = |bytes: &[u8], json| becomes(Serializer::Msgpack, bytes, json);
    becomes(b"\x90", "[]");
    becomes(b"\x91\xcb\x7f\xf8\0\0\0\0\0\0", "[null]");
    becomes(b"\x91\xca\x3f\x80\0\0", "[1.0]");
    becomes(b"\x93\xe0\x7f\xd0\x80", "[-32,127,-128]");
    becomes(
        b"\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xd3\x80\0\0\0\0\0\0\0",
        "[18446744073709551615,-9223372036854775808]",
    );
    becomes(
        b"\x92\xc4\x02hi\xc4\x01\xff",
        r#"[{"__type__":"bytes","__value__":"hi"},{"__type__":"base64","__value__":"/w=="}]"#,
    );
    let deep = [&[0x91; 200][..], b"\xc0"].concat();
    becomes(&deep, &nested);
    // Who reads it decides between the two, or refuses both.
    becomes(b"\x91\x82\xa1a\x01\xa1a\x02", r#"[{"a":1,"a":2}]"#);
}

#[test]
fn yaml_that_is_wrong_is_refused() {
    let refused = |text: &str, reason| refused(Serializer::Yaml, text, reason);
    refused("[1, 2", "yaml: ");
    refused("- a\n- b: [\n", "yaml: ");
    refused("[*nobody]", "yaml: ");
    refused("&a [*a]", "a value that contains itself");
    refused("--- 1\n--- 2\n", "more than one document");
    refused("[{[1]: 2}]", "a map key is a list or map");
    refused("[{2026-01-02: 2}]", "a map key is no text or number");
    refused("[!!binary '*']", "!!binary");
    refused("[!!set {a: 1}]", "a set with values");
    refused("- {<<: {a: 1}}", "merge keys");
    refused(
        "!!python/object/apply:os.system ['true']",
        "is not accepted",
    );
    refused("[!!python/tuple [1]]", "is not accepted");
    refused("[!mine 1]", "is not accepted");
    refused(&"[".repeat(100_000), "recursion limit exceeded");
    refused(&"- ".repeat(10_000), "more than 512 levels");
    let bytes = envelope(Serializer::Yaml, *b"- \xff\xfe");
    assert!(matches!(body(bytes), Err(Undecodable::Broken(told)) if told.contains("not UTF-8")));
}

/// Ten lists of ten aliases each would be ten billion numbers.
#[test]
fn aliases_can_not_blow_a_message_up() {
    let mut text = "- &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
    for n in 1..10 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("- &a{n} [{aliases}]\n"));
    }
    refused(
        Serializer::Yaml,
        text,
        "its aliases come to more than 67108864 bytes",
    );
}

#[test]
fn yaml_words_are_what_pyyaml_takes_them_for() {
    let becomes = |text: &str, json| becomes(Serializer::Yaml, text, json);
    becomes("", "null");
    becomes(
        "[yes, Off, 'yes', y, ~, '', null]",
        r#"[true,false,"yes","y",null,"",null]"#,
    );
    becomes(
        "[0x1F, 0b11, 017, 08, 1_000, +5, -0, 1:30]",
        r#"[31,3,15,"08",1000,5,-0,90]"#,
    );
    becomes(
        "[1e5, 1.e+5, 1.5e3, .5, 1., -.inf, .NaN]",
        r#"["1e5",100000.0,"1.5e3",0.5,1.0,null,null]"#,
    );
    becomes(
        "[2026-01-02, 2026-01-02 03:04:05 +3, 2026-01-02t03:04:05.6Z, 2026-1-2, 03:04]",
        r#"[{"__type__":"date","__value__":"2026-01-02"},{"__type__":"datetime","__value__":"2026-01-02T03:04:05+03:00"},{"__type__":"datetime","__value__":"2026-01-02T03:04:05.600000+00:00"},"2026-1-2","03:04"]"#,
    );
    becomes(
        "[{1: a, true: b, ~: c, 1.0: d}]",
        r#"[{"1":"a","true":"b","null":"c","1.0":"d"}]"#,
    );
    becomes(
        "[0b, 0x, 0_, 1__2, -_1, +, ., 1:60, 1:2:3, 0o17, 1.2.3, -.5, 1_0.5, 0777777777777777777777777]",
        r#"["0b","0x",0,12,"-_1","+",".","1:60",3723,"0o17","1.2.3","-.5",10.5,4722366482869645213695]"#,
    );
    becomes("[&a {k: &b [1]}, *a, *b]", r#"[{"k":[1]},{"k":[1]},[1]]"#);
    becomes("!!set {b, a: null}", r#"["b","a"]"#);
    becomes(
        "[!!str 5, !!binary aGk=]",
        r#"["5",{"__type__":"bytes","__value__":"hi"}]"#,
    );
}

#[test]
fn json_is_left_alone_until_the_task_reads_it() {
    for text in ["[[1], {}, {}]", "[[NaN], {}]", "[[1], ", "\u{feff}", ""] {
        becomes(Serializer::Json, text, text);
    }
}

#[test]
fn compressed_bodies_are_read_up_to_the_limit() {
    let settings = Settings {
        task_max_message_size: 1000,
        ..Settings::default()
    };
    for compression in Compression::ALL {
        for (length, fits) in [(900, true), (100_000, false)] {
            let message = message(&[" ".repeat(length).into()]);
            let format = Format {
                compression: Some(compression),
                ..Format::default()
            };
            let envelope = message.clone().into_envelope_as(format).expect("JSON");
            assert!(envelope.body.len() < 1000 || !fits, "{compression}");
            match decode(envelope, &settings) {
                Ok(decoded) => assert!(fits && decoded.body == message.body, "{compression}"),
                Err(refused) => {
                    let told = refused.reason.to_string();
                    let expected = "more than 1000 bytes when decompressed";
                    assert!(!fits && told.contains(expected), "{compression}: {told}");
                }
            }
        }
    }
}

#[test]
fn compressed_bytes_that_are_wrong_are_refused() {
    for compression in Compression::ALL {
        let whole = message(&[json!((0..500).collect::<Vec<u32>>())])
            .into_envelope_as(Format {
                compression: Some(compression),
                ..Format::default()
            })
            .expect("JSON");
        let half = whole.body[..whole.body.len() / 2].to_vec();
        for wrong in [Vec::new(), b"no such thing".to_vec(), half] {
            let envelope = Envelope {
                body: wrong,
                ..whole.clone()
            };
            let told = body(envelope).expect_err("it is wrong").to_string();
            assert!(told.contains(compression.content_type()), "{told}");
        }
    }
}

#[test]
fn a_compression_that_nobody_reads_is_named() {
    for (name, told) in [
        (
            json!("application/x-brotli"),
            r#"compression "application/x-brotli" is not supported"#,
        ),
        (json!(5), "compression 5 is no text"),
    ] {
        let envelope = Envelope {
            headers: json!({"task": "add", "id": "a", "compression": name})
                .to_string()
                .into_bytes(),
            ..envelope(Serializer::Json, "[[], {}, {}]")
        };
        let reason = body(envelope).expect_err("it is not supported").to_string();
        assert!(reason.contains(told), "{reason}");
    }
}

#[test]
fn content_that_is_not_accepted_is_refused_in_kombus_words_and_keeps_its_headers() {
    let only_json = SettingsBuilder::new()
        .set("test", "accept_content", "json")
        .and_then(SettingsBuilder::build)
        .expect("good settings");
    for (content_type, told) in [
        (
            "application/x-python-serialize",
            "pickle (application/x-python-serialize)",
        ),
        ("application/x-msgpack", "msgpack (application/x-msgpack)"),
        ("application/x-yaml", "yaml (application/x-yaml)"),
        ("text/plain", "text/plain"),
    ] {
        let headers = json!({
            "task": "add", "id": "a", "group": "g", "eta": "tomorrow", "root_id": "r", "ignore_result": true,
        });
        let envelope = Envelope {
            headers: headers.to_string().into_bytes(),
            properties: Properties {
                content_type: content_type.to_owned(),
                ..Properties::default()
            },
            body: b"\x80\x04.".to_vec(),
        };
        let refused = decode(envelope, &only_json).expect_err("it is not accepted");
        let expected = format!("Refusing to deserialize untrusted content of type {told}");
        assert_eq!(refused.reason, Undecodable::Disallowed(expected));
        let headers = refused.headers.expect("task and id are told");
        assert_eq!((headers.task.as_str(), headers.id.as_str()), ("add", "a"));
        assert_eq!(headers.group, Some("g".into()));
        assert_eq!(headers.ignore_result, Some(true));
        assert_eq!(headers.eta, None, "it is no time");
    }
}

#[test]
fn bytes_without_a_structure_are_refused() {
    for content_type in ["application/data", "application/text"] {
        let mut envelope = envelope(Serializer::Json, "[[], {}, {}]");
        envelope.properties.content_type = content_type.to_owned();
        let reason = format!("content of type {content_type} has no structure");
        assert_eq!(body(envelope), Err(Undecodable::Broken(reason)));
    }
}

#[test]
fn a_message_of_both_protocols_takes_the_headers_where_it_has_them() {
    let envelope = Envelope {
        headers: json!({"task": "add", "id": "header", "x-tenant": "acme"})
            .to_string()
            .into_bytes(),
        ..envelope(
            Serializer::Json,
            r#" {"task": "other", "id": "body", "args": [18446744073709551616], "retries": 2,
                "eta": "2030-01-02T03:04:05", "callbacks": [{"task": "b", "args": [1e22]}], "utc": false}"#,
        )
    };
    let message = decode(envelope, &Settings::default()).expect("both protocols");
    assert_eq!(message.headers.id.as_str(), "header");
    assert_eq!(
        (message.headers.task.as_str(), message.headers.retries),
        ("add", 2)
    );
    assert_eq!(message.headers.custom["x-tenant"], "acme");
    let eta = message.headers.eta.expect("an ETA").timestamp();
    assert_eq!(eta.to_string(), "2030-01-02T03:04:05Z");
    assert!(!message.has_full_headers);
    assert_eq!(
        String::from_utf8(message.body).expect("JSON"),
        r#"[[18446744073709551616], {}, {"callbacks": [{"task": "b", "args": [1e22]}], "errbacks": null, "chain": null, "chord": null}]"#
    );
}

#[test]
fn protocol_1_that_is_wrong_is_refused() {
    #[track_caller]
    fn check(headers: &str, body_: &str, reason: &str) {
        let envelope = Envelope {
            headers: headers.as_bytes().to_vec(),
            ..envelope(Serializer::Json, body_)
        };
        let told = body(envelope).expect_err("it is wrong").to_string();
        assert!(told.contains(reason), "{told}");
    }
    check("{}", "{}", "body: missing field `task`");
    check("{}", r#"{"task": "t"}"#, "body: missing field `id`");
    check(
        "{}",
        r#"{"task": "t", "id": "a", "args": 5}"#,
        "body: invalid type: integer `5`",
    );
    check(
        "{}",
        r#"{"task": "t", "id": "a", "kwargs": []}"#,
        "a map of named arguments",
    );
    check(
        "{}",
        r#"{"task": "t", "id": "a", "callbacks": {}}"#,
        "body: ",
    );
    check("{}", r#"{"task": "t", "id": "a""#, "body: EOF");
    check("[]", r#"{"task": "t", "id": "a"}"#, "headers: ");
    check("{}", "[[], {}, {}]", "headers: missing field `task`");
    check(
        r#"{"task": "t", "eta": 5}"#,
        r#"{"id": "a"}"#,
        "headers and body: ",
    );
}

fn message(args: &[Value]) -> TaskMessage {
    TaskMessage::new(
        Headers::new("add", "a".into()),
        Properties::default(),
        args,
        &Map::new(),
        &Embed::default(),
    )
    .expect("values are JSON")
}

#[test]
fn msgpack_has_no_place_for_integers_beyond_64_bits() {
    let mut message = message(&[]);
    message.body = b"[[18446744073709551616], {}, {}]".to_vec();
    let format = Format {
        serializer: Serializer::Msgpack,
        compression: None,
    };
    let error = message.into_envelope_as(format).expect_err("too big");
    assert!(
        error
            .to_string()
            .contains("18446744073709551616 has more than 64 bits"),
        "{error}"
    );
}

/// Any JSON, with the texts and numbers that writers trip over.
fn values() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![
        "\\PC*",
        any::<String>(),
        "(yes|~|<<|1e5|0x1|- |# |: |\\[|\u{85}|\u{2028}|\u{feff}|\u{7f}|\r|\n| )*",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        texts.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((texts.clone(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn formats() -> impl Strategy<Value = Format> {
    let compression = prop::option::of(prop::sample::select(Compression::ALL.to_vec()));
    (prop::sample::select(Serializer::ALL.to_vec()), compression).prop_map(
        |(serializer, compression)| Format {
            serializer,
            compression,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(args in prop::collection::vec(values(), 0..4), format in formats()) {
        let message = message(&args);
        let envelope = message.clone().into_envelope_as(format).expect("every value has a place");
        let read = decode(envelope, &Settings::default()).expect("it was just written");
        let value = |body: &[u8]| -> Value { serde_json::from_slice(body).expect("JSON") };
        prop_assert_eq!(value(&read.body), value(&message.body));
        prop_assert_eq!(read.headers, message.headers);
        prop_assert_eq!(read.properties, message.properties);
    }

    #[test]
    fn a_result_that_is_written_is_read(value in values(), format in formats()) {
        let meta = json!({"status": "SUCCESS", "result": value, "traceback": null, "task_id": "a"});
        let meta = TaskMeta::decode(meta.to_string().as_bytes(), 0).expect("a meta");
        let read = TaskMeta::decode(&meta.encode_as(format).expect("a place"), 1 << 24).expect("a meta");
        prop_assert_eq!(json!(read), json!(meta));
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..64), format in formats()) {
        let mut envelope = envelope(format.serializer, bytes.clone());
        if let Some(compression) = format.compression {
            envelope.headers = json!({"task": "t", "id": "a", "compression": compression.content_type()})
                .to_string()
                .into_bytes();
        }
        // Either way; it is no panic.
        let _ = decode(envelope, &Settings::default());
        let _ = TaskMeta::decode(&bytes, 1000);
    }
}
