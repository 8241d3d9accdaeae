//! Arguments own what they hold.

#![allow(unused_variables, reason = "the errors are the point")]

use std::borrow::Cow;
use std::path::Path;

#[aipo::task]
async fn text(text: &str) {}

#[aipo::task]
async fn several(path: &Path, bytes: &'static [u8], number: &u64) {}

#[aipo::task]
async fn inside(maybe: Option<&str>, either: Cow<'_, str>, fine: Cow<'static, str>) {}

fn main() {}
