//! JSON taken apart one level at a time, each part still the text that it came as: numbers keep all
//! their digits.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::message::body::Kwargs;

/// One value, the values inside of it not yet looked at.
pub(in crate::message) enum Node<'a> {
    Null,
    Bool(bool),
    /// The digits.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<&'a RawValue>),
    Map(Kwargs<'a>),
}

impl<'a> Node<'a> {
    /// Takes a value apart.
    ///
    /// # Errors
    /// When a text is none in Unicode.
    pub(in crate::message) fn of(raw: &'a RawValue) -> serde_json::Result<Self> {
        let text = raw.get();
        Ok(match text.as_bytes()[0] {
            b'{' => Self::Map(serde_json::from_str(text)?),
            b'[' => Self::Array(serde_json::from_str(text)?),
            b'"' => Self::Text(serde_json::from_str(text)?),
            b't' | b'f' => Self::Bool(text == "true"),
            b'n' => Self::Null,
            _ => Self::Number(text),
        })
    }
}

/// Writes a text in quotes.
pub(in crate::message) fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text)
        .expect("a text is JSON, and writing into memory does not fail");
}

/// Writes a float; null when it is not finite, which JSON has no number for.
pub(super) fn write_float(out: &mut Vec<u8>, float: f64) {
    serde_json::to_writer(out, &float)
        .expect("a float is JSON or null, and writing into memory does not fail");
}

/// Python's JSON has `NaN`, `Infinity` and `-Infinity`, which JSON has not: the same text with `null`
/// in their places, as JavaScript writes them. `None` when there are none.
pub(in crate::message) fn without_nan(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at = end_of_text(text, at),
            b'N' | b'I' | b'-' => {
                let rest = &text[at..];
                let names: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
                match names.iter().find(|name| rest.starts_with(name)) {
                    Some(name) => {
                        out.extend_from_slice(&text[copied..at]);
                        out.extend_from_slice(b"null");
                        at += name.len();
                        copied = at;
                    }
                    None => at += 1,
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&text[copied..]);
    Some(out)
}

/// Behind the text that begins at a quote.
fn end_of_text(text: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_become_null_outside_of_texts() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let rewritten = without_nan(text.as_bytes());
            assert_eq!(
                rewritten.map(|text| String::from_utf8(text).expect("text")),
                expected.map(str::to_owned),
                "{text}"
            );
        }
        check("[NaN, -Infinity,Infinity]", Some("[null, null,null]"));
        check(r#"{"NaN": NaN}"#, Some(r#"{"NaN": null}"#));
        check(r#"["\"NaN", "\\", NaN]"#, Some(r#"["\"NaN", "\\", null]"#));
        check(r#"["NaN", "-Infinity", -1, 1e-5]"#, None);
        check(r#"["NaN"#, None);
        check("[\"\\", None);
        check("", None);
    }
}
