//! A case that the macro does not stamp would never run, and nobody would notice.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SEAMS: [&str; 6] = ["broker", "results", "state", "chords", "bus", "whole"];

#[test]
fn every_case_is_stamped() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut written = BTreeSet::new();
    for seam in SEAMS {
        for entry in fs::read_dir(src.join(seam)).expect("a folder for each seam") {
            let path = entry.expect("an entry").path();
            let area = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let file = if path.is_dir() {
                path.join("mod.rs")
            } else {
                path
            };
            let text = fs::read_to_string(&file).expect("a source file");
            written.extend(cases(&text).map(|case| format!("{seam}::{area}::{case}")));
        }
    }

    let lib = fs::read_to_string(src.join("lib.rs")).expect("the source of the macro");
    assert_eq!(stamped(&lib), written);
}

/// The names of the cases in a source file.
fn cases(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let name = line.strip_prefix("pub async fn ")?;
        Some(name.split_once('(').expect("a function has arguments").0)
    })
}

/// The cases that the macro lists, with the names of the blocks around them.
fn stamped(lib: &str) -> BTreeSet<String> {
    let list = lib
        .split_once("$harness;\n")
        .expect("the list begins after the harness")
        .1;
    let list = list
        .split_once("    };")
        .expect("the list ends with the macro's arm")
        .0;
    let mut blocks = Vec::new();
    let mut stamped = BTreeSet::new();
    for line in list.lines().map(str::trim) {
        if let Some(block) = line.strip_suffix(" {") {
            blocks.push(block);
        } else if line == "}" {
            blocks.pop();
        } else if let Some(case) = line.strip_suffix(',') {
            stamped.insert(format!("{}::{case}", blocks.join("::")));
        }
    }
    stamped
}
