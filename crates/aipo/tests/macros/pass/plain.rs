//! A plain function is a task that may block.

#![deny(warnings, missing_docs)]

use std::{fs, io};

use aipo::{Call, Task};

#[aipo::task]
fn read(path: String) -> io::Result<String> {
    fs::read_to_string(path)
}

fn main() {
    assert_eq!(read::NAME, concat!(module_path!(), ".read"));
    let _call: Call<String> = read::s("/no/such/file".to_owned());
    assert!(read("/no/such/file".to_owned()).is_err());
}
