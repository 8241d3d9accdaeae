//! Only functions are made tasks.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task]
struct Mailer;

#[aipo::task]
const LIMIT: u8 = 1;

#[aipo::task]
impl Clone for Other {}

fn main() {}
