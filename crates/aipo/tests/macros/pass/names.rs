//! The user's names do not meet those of the expansion.

#![deny(warnings, missing_docs)]
#![allow(non_camel_case_types, dead_code, reason = "names chosen to collide")]

use serde::{Deserialize, Serialize};

struct Vec;
struct Option;
struct String;
struct Arc;
struct Value;
struct Ok;
struct Some;
struct Clone;
struct Default;
struct TaskArgs;
struct TaskError;
struct Call;
struct Context;
struct Task;
mod core {}
mod std {}
mod serde_json {}

#[derive(Serialize, Deserialize)]
struct Args {
    options: u8,
}

#[aipo::task(max_retries = 1, base = Nothing)]
async fn args(args: Args, cx: u8, reader: u8, #[arg(default)] options: u8) -> u8 {
    args.options + cx + reader + options
}

#[aipo::task]
fn cx(cx: u8) -> u8 {
    cx
}

#[derive(aipo::TaskArgs)]
struct Fields {
    args: u8,
    reader: u8,
}

struct Nothing;
impl aipo::Base for Nothing {}

fn main() {
    let _ = args::s(Args { options: 1 }, 2, 3, 4);
    let _ = cx::s(1);
}
