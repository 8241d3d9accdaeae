//! What real Celery sends and stores, as captured in `interop/golden`, against this crate.
//!
//! Every file is either understood and written again, field by field the same, or stands in a table
//! with the reason for which it is refused. A file in neither fails the test, and so does a row of
//! a table whose file is gone or is understood by now.

mod messages;
mod repr;
mod results;
mod written;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// A file or folder among the golden files.
fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/golden")).join(name)
}

fn read(name: &str) -> Value {
    let path = path(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The files of a folder: name without ending, and content. By name.
fn files(folder: &str) -> Vec<(String, Value)> {
    let entries = fs::read_dir(path(folder)).expect("the golden files are there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            let name = entry.expect("a readable folder").file_name();
            name.into_string().expect("names are ASCII")
        })
        .collect();
    names.sort();
    names
        .iter()
        .map(|file| {
            let name = file.strip_suffix(".json").expect("golden files are JSON");
            (name.to_owned(), read(&format!("{folder}/{file}")))
        })
        .collect()
}

/// Files and why they are refused.
type Refused = &'static [(&'static str, &'static str)];

/// Checks each file of a folder: `check` gives `Err` with the reason when the file is refused.
fn check_all(folder: &str, refused: Refused, check: impl Fn(&str, &Value) -> Result<(), String>) {
    let files = files(folder);
    assert!(files.len() > 50, "only {} golden {folder}", files.len());
    let mut wrong = Vec::new();
    for (name, golden) in &files {
        let expected = refused.iter().find(|(file, _)| file == name);
        match (check(name, golden), expected) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => wrong.push(format!("{name}: is in the table, yet not refused")),
            (Err(reason), Some((_, expected))) if reason == *expected => {}
            (Err(reason), Some((_, expected))) => {
                wrong.push(format!("{name}: refused: {reason}\n    not: {expected}"));
            }
            (Err(reason), None) => wrong.push(format!("{name}: refused: {reason}")),
        }
    }
    for (name, _) in refused {
        if !files.iter().any(|(file, _)| file == name) {
            wrong.push(format!(
                "{name}: is in the table, and there is no such file"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
