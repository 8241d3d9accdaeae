//! YAML to JSON text, from a parser's events.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::scalar::{self, Kind};
use crate::message::codec::MAX_DEPTH;
use crate::message::codec::json::write_text;

/// The value as JSON text.
///
/// # Errors
/// When the bytes are no YAML of one document, nest too deep, have a tag that the safe loader does not know, a
/// map key that is no single value, or aliases that come to more than `max_size` bytes.
pub(in crate::message::codec) fn to_json(bytes: &[u8], max_size: usize) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("yaml: not UTF-8: {error}"))?;
    let reader = Reader {
        out: Vec::with_capacity(text.len()),
        open: Vec::new(),
        anchors: HashMap::new(),
        documents: 0,
        max_size,
    };
    reader
        .read(Parser::new_from_str(text))
        .map_err(|what| format!("yaml: {what}"))
}

struct Reader {
    out: Vec<u8>,
    /// The lists and maps that are not yet complete, the innermost last.
    open: Vec<Open>,
    /// Where in `out` the values with an anchor are.
    anchors: HashMap<usize, Range<usize>>,
    documents: usize,
    /// How long `out` may become by aliases, which can make a short text endless.
    max_size: usize,
}

struct Open {
    kind: Collection,
    anchor: usize,
    start: usize,
    /// Nothing is in it yet.
    is_empty: bool,
    /// What comes next is a key.
    at_key: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Collection {
    List,
    Map,
    /// A map to nulls that stands for the list of its keys: Python's set.
    Set,
}

impl Reader {
    fn read(mut self, mut parser: Parser<'_, StrInput<'_>>) -> Result<Vec<u8>, String> {
        while let Some(event) = parser.next_event() {
            let (event, _) = event.map_err(|error| error.to_string())?;
            match event {
                Event::DocumentStart(_) => self.documents += 1,
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(&text, style, anchor, tag.as_deref())?;
                }
                Event::Alias(anchor) => self.alias(anchor)?,
                Event::SequenceStart(anchor, tag) => {
                    if !matches!(name(tag.as_deref())?, None | Some("seq")) {
                        return Err(unknown(tag.as_deref()));
                    }
                    self.open(Collection::List, anchor)?;
                }
                Event::MappingStart(anchor, tag) => {
                    let kind = match name(tag.as_deref())? {
                        None | Some("map") => Collection::Map,
                        Some("set") => Collection::Set,
                        Some(_) => return Err(unknown(tag.as_deref())),
                    };
                    self.open(kind, anchor)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(),
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
            if self.documents > 1 {
                return Err("more than one document".to_owned());
            }
        }
        if self.out.is_empty() {
            // As the safe loader has it.
            self.out.extend_from_slice(b"null");
        }
        Ok(self.out)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), String> {
        let kind = match (name(tag)?, style) {
            (None, ScalarStyle::Plain) => Kind::Guess,
            (None | Some("str"), _) => Kind::Text,
            (Some("binary"), _) => Kind::Binary,
            (Some("int" | "float" | "bool" | "null" | "timestamp"), _) => Kind::Guess,
            (Some(_), _) => return Err(unknown(tag)),
        };
        let start = self.begin();
        let at_key = self.open.last().is_some_and(|open| open.at_key);
        if at_key && kind == Kind::Guess && text == "<<" {
            return Err("merge keys are not supported".to_owned());
        }
        scalar::write(&mut self.out, text, kind)?;
        self.end(start, anchor)
    }

    fn alias(&mut self, anchor: usize) -> Result<(), String> {
        let Some(range) = self.anchors.get(&anchor).cloned() else {
            return Err("a value that contains itself".to_owned());
        };
        let start = self.begin();
        if self.out.len() + range.len() > self.max_size {
            return Err(format!(
                "its aliases come to more than {} bytes",
                self.max_size
            ));
        }
        self.out.extend_from_within(range);
        self.end(start, 0)
    }

    fn open(&mut self, kind: Collection, anchor: usize) -> Result<(), String> {
        if self.open.last().is_some_and(|open| open.at_key) {
            return Err("a map key is a list or map".to_owned());
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        let start = self.begin();
        self.out
            .push(if kind == Collection::Map { b'{' } else { b'[' });
        self.open.push(Open {
            kind,
            anchor,
            start,
            is_empty: true,
            at_key: kind != Collection::List,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else {
            unreachable!("the parser ends what it began")
        };
        let bracket = if closed.kind == Collection::Map {
            b'}'
        } else {
            b']'
        };
        self.out.push(bracket);
        self.end(closed.start, closed.anchor)
            .expect("a list or map is never a key");
    }

    /// Before a value: the comma. Where the value begins.
    fn begin(&mut self) -> usize {
        if let Some(open) = self.open.last()
            && !open.is_empty
            && (open.at_key || open.kind == Collection::List)
        {
            self.out.push(b',');
        }
        self.out.len()
    }

    /// After a value that began at `start`: a key is made text, and the value has a name now.
    fn end(&mut self, start: usize, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, start..self.out.len());
        }
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.is_empty = false;
        match open.kind {
            Collection::List => {}
            Collection::Set if open.at_key => open.at_key = false,
            Collection::Set => {
                // Its null is no part of the list.
                if &self.out[start..] != b"null" {
                    return Err("a set with values".to_owned());
                }
                self.out.truncate(start);
                self.anchors.remove(&anchor);
                open.at_key = true;
            }
            Collection::Map => {
                if open.at_key {
                    key(&mut self.out, start)?;
                    self.out.push(b':');
                }
                open.at_key = !open.at_key;
            }
        }
        Ok(())
    }
}

/// Makes the value from `start` on a key: text stays, other values are keys as Python's JSON has them.
fn key(out: &mut Vec<u8>, start: usize) -> Result<(), String> {
    match out[start] {
        b'"' => Ok(()),
        b'{' | b'[' => Err("a map key is no text or number".to_owned()),
        _ => {
            let value = out.split_off(start);
            write_text(out, &String::from_utf8_lossy(&value));
            Ok(())
        }
    }
}

/// The name of one of YAML's own tags; `None` when there is no tag.
fn name(tag: Option<&Tag>) -> Result<Option<&str>, String> {
    match tag {
        None => Ok(None),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Some(&tag.suffix)),
        Some(_) => Err(unknown(tag)),
    }
}

fn unknown(tag: Option<&Tag>) -> String {
    let tag = tag.map(ToString::to_string).unwrap_or_default();
    format!("tag {tag:?} is not accepted")
}
