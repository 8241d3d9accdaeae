//! `TaskArgs` is for structs with named fields.

#![allow(unused_variables, reason = "the errors are the point")]

use aipo::TaskArgs;

#[derive(TaskArgs)]
struct Generic<T> {
    x: T,
}

#[derive(TaskArgs)]
struct Lifetime<'a> {
    x: &'a str,
}

#[derive(TaskArgs)]
struct Borrowed {
    x: &'static str,
}

#[derive(TaskArgs)]
struct Tuple(u8, u8);

#[derive(TaskArgs)]
struct Unit;

#[derive(TaskArgs)]
struct Empty {}

#[derive(TaskArgs)]
enum Enum {
    A,
}

#[derive(TaskArgs)]
union Union {
    x: u8,
}

#[derive(TaskArgs)]
struct RequiredAfterOptional {
    #[arg(default)]
    x: u8,
    y: u8,
}

fn main() {}
