//! A worker calls a task whenever a message says so, as an ordinary function.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task]
const fn constant() {}

#[aipo::task]
unsafe fn dangerous() {}

#[aipo::task]
extern "C" fn foreign() {}

fn main() {}
