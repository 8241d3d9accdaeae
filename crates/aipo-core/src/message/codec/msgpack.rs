//! MessagePack, as kombu writes and reads it: text and bytes told apart, no extension types.

use std::io::Write as _;

use rmp::{Marker, encode};
use serde_json::value::RawValue;

use super::MAX_DEPTH;
use super::json::{Node, write_float, write_text};
use crate::message::python::Extended;

/// The value as JSON text.
///
/// # Errors
/// When the bytes are cut off, have more behind the value, nest too deep, or have an extension type, a
/// text that is not UTF-8 or a map key that is no text.
pub(super) fn to_json(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = Reader {
        rest: bytes,
        out: Vec::with_capacity(bytes.len() * 2),
    };
    reader.value(0).map_err(|what| format!("msgpack: {what}"))?;
    match reader.rest.len() {
        0 => Ok(reader.out),
        more => Err(format!("msgpack: {more} bytes behind the value")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        let [byte] = self.fixed()?;
        match Marker::from_u8(byte) {
            Marker::Null => self.raw("null"),
            Marker::False => self.raw("false"),
            Marker::True => self.raw("true"),
            Marker::FixPos(number) => self.number(number.into()),
            Marker::FixNeg(number) => self.number(number.into()),
            Marker::U8 => {
                let number = self.fixed().map(u8::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::U16 => {
                let number = self.fixed().map(u16::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::U32 => {
                let number = self.fixed().map(u32::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::U64 => {
                let number = self.fixed().map(u64::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::I8 => {
                let number = self.fixed().map(i8::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::I16 => {
                let number = self.fixed().map(i16::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::I32 => {
                let number = self.fixed().map(i32::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::I64 => {
                let number = self.fixed().map(i64::from_be_bytes)?;
                self.number(number.into());
            }
            Marker::F32 => {
                let float = self.fixed().map(f32::from_be_bytes)?;
                write_float(&mut self.out, float.into());
            }
            Marker::F64 => {
                let float = self.fixed().map(f64::from_be_bytes)?;
                write_float(&mut self.out, float);
            }
            Marker::FixArray(count) => self.array(count.into(), depth)?,
            Marker::Array16 => {
                let count = self.length16()?;
                self.array(count, depth)?;
            }
            Marker::Array32 => {
                let count = self.length32()?;
                self.array(count, depth)?;
            }
            Marker::FixMap(count) => self.map(count.into(), depth)?,
            Marker::Map16 => {
                let count = self.length16()?;
                self.map(count, depth)?;
            }
            Marker::Map32 => {
                let count = self.length32()?;
                self.map(count, depth)?;
            }
            marker => match self.text_or_bytes(marker)? {
                Chars::Text(text) => write_text(&mut self.out, text),
                Chars::Bytes(bytes) => Extended::Bytes(bytes.into()).write(&mut self.out),
            },
        }
        Ok(())
    }

    fn array(&mut self, count: usize, depth: usize) -> Result<(), String> {
        self.raw("[");
        for index in 0..count {
            if index > 0 {
                self.raw(",");
            }
            self.value(depth + 1)?;
        }
        self.raw("]");
        Ok(())
    }

    fn map(&mut self, count: usize, depth: usize) -> Result<(), String> {
        self.raw("{");
        for index in 0..count {
            if index > 0 {
                self.raw(",");
            }
            let [byte] = self.fixed()?;
            let key = match self.text_or_bytes(Marker::from_u8(byte)) {
                Ok(Chars::Text(text)) => text,
                Ok(Chars::Bytes(_)) | Err(_) => return Err("a map key is no text".to_owned()),
            };
            write_text(&mut self.out, key);
            self.raw(":");
            self.value(depth + 1)?;
        }
        self.raw("}");
        Ok(())
    }

    fn text_or_bytes(&mut self, marker: Marker) -> Result<Chars<'a>, String> {
        let length = match marker {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 | Marker::Bin8 => self.fixed().map(u8::from_be_bytes)?.into(),
            Marker::Str16 | Marker::Bin16 => self.length16()?,
            Marker::Str32 | Marker::Bin32 => self.length32()?,
            _ => return Err(format!("{marker:?} is no type that kombu writes")),
        };
        let bytes = self.take(length)?;
        match marker {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => Ok(Chars::Bytes(bytes)),
            _ => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Chars::Text(text)),
                Err(error) => Err(format!("a text is not UTF-8: {error}")),
            },
        }
    }

    fn length16(&mut self) -> Result<usize, String> {
        self.fixed().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn length32(&mut self) -> Result<usize, String> {
        let length = self.fixed().map(u32::from_be_bytes)?;
        usize::try_from(length).map_err(|error| error.to_string())
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        match self.rest.split_first_chunk() {
            Some((chunk, rest)) => {
                self.rest = rest;
                Ok(*chunk)
            }
            None => Err(cut_off()),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(cut_off()),
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, number: i128) {
        write!(self.out, "{number}").expect("writing into memory does not fail");
    }
}

enum Chars<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

fn cut_off() -> String {
    "cut off".to_owned()
}

/// JSON text as msgpack. kombu's own types become bytes where they are such, otherwise text.
///
/// # Errors
/// For an integer beyond 64 bits, which msgpack has no place for, and for values that nest too deep.
pub(super) fn of_json(json: &[u8]) -> Result<Vec<u8>, String> {
    let raw: &RawValue = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut out = Vec::with_capacity(json.len());
    write(&mut out, raw, 0).map_err(|what| format!("msgpack: {what}"))?;
    Ok(out)
}

fn write(out: &mut Vec<u8>, raw: &RawValue, depth: usize) -> Result<(), String> {
    const INTO_MEMORY: &str = "writing into memory does not fail";
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} levels"));
    }
    let length = |count: usize| u32::try_from(count).map_err(|_| "more than 2^32 entries");
    match Node::of(raw).map_err(|error| error.to_string())? {
        Node::Null => encode::write_nil(out).expect(INTO_MEMORY),
        Node::Bool(value) => encode::write_bool(out, value).expect(INTO_MEMORY),
        Node::Number(digits) => write_number(out, digits)?,
        Node::Text(text) => encode::write_str(out, &text).expect(INTO_MEMORY),
        Node::Array(items) => {
            encode::write_array_len(out, length(items.len())?).expect(INTO_MEMORY);
            for item in items {
                write(out, item, depth + 1)?;
            }
        }
        Node::Map(map) => match Extended::of(&map) {
            Some(Extended::Bytes(bytes)) => encode::write_bin(out, &bytes).expect(INTO_MEMORY),
            Some(extended) => {
                encode::write_str(out, &extended.plain_text()).expect(INTO_MEMORY);
            }
            None => {
                encode::write_map_len(out, length(map.0.len())?).expect(INTO_MEMORY);
                for (name, value) in map.0 {
                    encode::write_str(out, &name).expect(INTO_MEMORY);
                    write(out, value, depth + 1)?;
                }
            }
        },
    }
    Ok(())
}

fn write_number(out: &mut Vec<u8>, digits: &str) -> Result<(), String> {
    const INTO_MEMORY: &str = "writing into memory does not fail";
    if let Ok(number) = digits.parse() {
        encode::write_uint(out, number).expect(INTO_MEMORY);
    } else if let Ok(number) = digits.parse() {
        encode::write_sint(out, number).expect(INTO_MEMORY);
    } else if digits.contains(['.', 'e', 'E']) {
        let float = digits
            .parse()
            .map_err(|error| format!("{digits}: {error}"))?;
        encode::write_f64(out, float).expect(INTO_MEMORY);
    } else {
        return Err(format!("{digits} has more than 64 bits"));
    }
    Ok(())
}
