//! What a command answers, taken apart.

use std::str::FromStr;

use aipo_core::Result;
use redis::Value;

use crate::error::unexpected;

pub(crate) fn array(answer: Value) -> Result<Vec<Value>> {
    match answer {
        Value::Array(items) => Ok(items),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn int(answer: &Value) -> Result<i64> {
    match answer {
        Value::Int(number) => Ok(*number),
        other => Err(unexpected(other)),
    }
}

/// A count of something, never below zero.
pub(crate) fn count(answer: &Value) -> Result<u64> {
    u64::try_from(int(answer)?).map_err(|_| unexpected(answer))
}

/// A number that is told as text, as scores and fields of hashes are.
pub(crate) fn number<T: FromStr>(answer: Value) -> Result<T> {
    let told = text(answer)?;
    told.parse()
        .map_err(|_| unexpected(&Value::BulkString(told.into_bytes())))
}

pub(crate) fn bytes(answer: Value) -> Result<Vec<u8>> {
    match answer {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn bytes_or_nil(answer: Value) -> Result<Option<Vec<u8>>> {
    match answer {
        Value::Nil => Ok(None),
        other => bytes(other).map(Some),
    }
}

pub(crate) fn text(answer: Value) -> Result<String> {
    match answer {
        Value::BulkString(bytes) => Ok(lossy(bytes)),
        Value::VerbatimString { text, .. } => Ok(text),
        other => Err(unexpected(&other)),
    }
}

/// Text that aipo wrote itself; what is no UTF-8 was written by somebody else.
fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
