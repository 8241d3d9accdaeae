//! `argsrepr` and `kwargsrepr`: Celery's own `saferepr` of many values.

use aipo_core::message::{repr_kwargs, repr_tuple};
use serde_json::{Map, Value};

use super::read;

#[test]
fn arguments_print_as_celery_prints_them() {
    let Value::Array(rows) = read("repr.json") else {
        panic!("the table is a list of rows")
    };
    assert!(rows.len() > 200, "only {} rows", rows.len());
    let wrong: Vec<String> = rows.iter().filter_map(difference).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// A row is a value, the value as the only positional argument, and as the named argument `k`.
fn difference(row: &Value) -> Option<String> {
    let value = &row[0];
    let text = |column: usize| row[column].as_str().expect("a text");
    let named = Map::from_iter([("k".to_owned(), value.clone())]);
    let printed = [repr_tuple(std::slice::from_ref(value)), repr_kwargs(&named)];
    let expected = [text(1), text(2)];
    (printed != expected).then(|| format!("{value}\n  {expected:?}\n  {printed:?}"))
}
