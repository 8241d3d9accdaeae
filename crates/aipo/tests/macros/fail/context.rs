//! The context is a shared reference, and the first parameter.

#![allow(unused_variables, reason = "the errors are the point")]

use aipo::Context;

#[aipo::task]
async fn second(x: u8, cx: &Context) {}

#[aipo::task]
async fn mutable(cx: &mut Context) {}

#[aipo::task]
async fn with_default(#[arg(default)] cx: &Context) {}

fn main() {}
