//! Python's operators on JSON values.

use std::iter::repeat_n;

use aipo::{TaskError, TaskResult};
use serde_json::{Map, Value};

use crate::exceptions::{builtin, type_error};

/// The longest text or list that a multiplication makes.
const MAX_LENGTH: usize = 1 << 20;

/// A number, as Python computes with it; booleans count as 0 and 1.
#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Int((*flag).into())),
            Value::Number(number) => match number.as_i64() {
                Some(int) => Some(Self::Int(int)),
                None => number.as_f64().map(Self::Float),
            },
            _ => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// The same operation on integers and on floats.
    fn with(
        self,
        other: Self,
        ints: fn(i64, i64) -> Option<i64>,
        floats: fn(f64, f64) -> f64,
    ) -> TaskResult<Value> {
        match (self, other) {
            (Self::Int(x), Self::Int(y)) => ints(x, y)
                .map(Value::from)
                .ok_or_else(|| builtin("OverflowError", "the result has more than 64 bits")),
            _ => Ok(floats(self.float(), other.float()).into()),
        }
    }
}

/// `x + y`
pub(crate) fn add(x: &Value, y: &Value) -> TaskResult<Value> {
    if let (Some(x), Some(y)) = (Number::of(x), Number::of(y)) {
        return x.with(y, i64::checked_add, |x, y| x + y);
    }
    match (x, y) {
        (Value::String(x), Value::String(y)) => Ok(format!("{x}{y}").into()),
        (Value::Array(x), Value::Array(y)) => Ok([x.as_slice(), y].concat().into()),
        (Value::String(_), _) => Err(type_error(format!(
            "can only concatenate str (not \"{}\") to str",
            type_name(y)
        ))),
        (Value::Array(_), _) => Err(type_error(format!(
            "can only concatenate list (not \"{}\") to list",
            type_name(y)
        ))),
        _ => Err(unsupported("+", x, y)),
    }
}

/// `x * y`
pub(crate) fn mul(x: &Value, y: &Value) -> TaskResult<Value> {
    if let (Some(x), Some(y)) = (Number::of(x), Number::of(y)) {
        return x.with(y, i64::checked_mul, |x, y| x * y);
    }
    let is_sequence = |value: &Value| value.is_string() || value.is_array();
    let (sequence, times) = if is_sequence(x) { (x, y) } else { (y, x) };
    if !is_sequence(sequence) {
        return Err(unsupported("*", x, y));
    }
    let Some(Number::Int(times)) = Number::of(times) else {
        let other = type_name(times);
        return Err(type_error(format!(
            "can't multiply sequence by non-int of type '{other}'"
        )));
    };
    let times = usize::try_from(times).unwrap_or(0);
    match sequence {
        Value::String(text) if text.len().saturating_mul(times) <= MAX_LENGTH => {
            Ok(text.repeat(times).into())
        }
        Value::Array(items) if items.len().saturating_mul(times) <= MAX_LENGTH => {
            Ok(repeat_n(items, times).flatten().cloned().collect())
        }
        _ => Err(builtin("MemoryError", "too long")),
    }
}

/// `sum(values)`, which starts from 0.
pub(crate) fn sum(values: &Value) -> TaskResult<Value> {
    iterate(values)?
        .iter()
        .try_fold(Value::from(0), |sum, value| add(&sum, value))
}

/// The elements of what Python can iterate over.
pub(crate) fn iterate(values: &Value) -> TaskResult<Vec<Value>> {
    match values {
        Value::Array(items) => Ok(items.clone()),
        Value::String(text) => Ok(text.chars().map(|char| char.to_string().into()).collect()),
        Value::Object(map) => Ok(map.keys().cloned().map(Value::from).collect()),
        other => {
            let name = type_name(other);
            Err(type_error(format!("'{name}' object is not iterable")))
        }
    }
}

fn unsupported(operator: &str, x: &Value, y: &Value) -> TaskError {
    type_error(format!(
        "unsupported operand type(s) for {operator}: '{}' and '{}'",
        type_name(x),
        type_name(y)
    ))
}

/// The name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(map) if is_bytes(map) => "bytes",
        Value::Object(_) => "dict",
    }
}

/// Whether an object stands for a byte string, as kombu writes it.
fn is_bytes(map: &Map<String, Value>) -> bool {
    map.len() == 2
        && map.contains_key("__value__")
        && map
            .get("__type__")
            .is_some_and(|name| name == "bytes" || name == "base64")
}

/// Whether Python takes a value for true.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// `str(value)`
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`
pub(crate) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') {
                '"'
            } else {
                '\''
            };
            let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
            let escaped = if quote == '\'' {
                escaped.replace('\'', "\\'")
            } else {
                escaped
            };
            format!("{quote}{escaped}{quote}")
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}: {}", repr(&name.as_str().into()), repr(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The value, or the text of the exception.
    fn told(result: TaskResult<Value>) -> Value {
        result.unwrap_or_else(|error| error.to_string().into())
    }

    #[test]
    fn adds_as_python_does() {
        #[track_caller]
        fn check(x: Value, y: Value, sum: Value) {
            assert_eq!(told(add(&x, &y)), sum);
        }
        check(json!(1), json!(2), json!(3));
        check(json!(true), json!(1.5), json!(2.5));
        check(json!("a"), json!("b"), json!("ab"));
        check(json!([1]), json!([2]), json!([1, 2]));
        check(
            json!(1),
            json!("x"),
            json!("TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        );
        check(
            json!([1]),
            json!(1),
            json!("TypeError: can only concatenate list (not \"int\") to list"),
        );
        check(
            json!("x"),
            json!(null),
            json!("TypeError: can only concatenate str (not \"NoneType\") to str"),
        );
    }

    #[test]
    fn multiplies_as_python_does() {
        assert_eq!(told(mul(&json!(3), &json!(2.0))), json!(6.0));
        assert_eq!(told(mul(&json!("ab"), &json!(2))), json!("abab"));
        assert_eq!(told(mul(&json!(-1), &json!([1]))), json!([]));
        assert_eq!(
            told(mul(&json!("a"), &json!("b"))),
            json!("TypeError: can't multiply sequence by non-int of type 'str'")
        );
    }

    #[test]
    fn sums_as_python_does() {
        assert_eq!(told(sum(&json!([]))), json!(0));
        assert_eq!(told(sum(&json!([1, 2, 3.5]))), json!(6.5));
        assert_eq!(
            told(sum(&json!([[1], [2]]))),
            json!("TypeError: unsupported operand type(s) for +: 'int' and 'list'")
        );
        assert_eq!(
            told(sum(&json!(5))),
            json!("TypeError: 'int' object is not iterable")
        );
    }

    #[test]
    fn prints_as_python_does() {
        let value = json!([null, true, 1, 1.5, "it's", "\"it's\"", {"a": "b"}]);
        assert_eq!(
            repr(&value),
            r#"[None, True, 1, 1.5, "it's", '"it\'s"', {'a': 'b'}]"#
        );
    }
}
