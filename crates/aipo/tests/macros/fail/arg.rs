//! What `#[arg]` understands.

#![allow(unused_variables, reason = "the errors are the point")]

#[aipo::task]
async fn bare(#[arg] x: u8) {}

#[aipo::task]
async fn assigned(#[arg = 1] x: u8) {}

#[aipo::task]
async fn unknown(#[arg(optional)] x: u8) {}

#[aipo::task]
async fn twice(
    #[arg(default)]
    #[arg(default = 1)]
    x: u8,
) {
}

#[aipo::task]
async fn wrong_type(#[arg(default = "one")] x: u8) {}

#[aipo::task]
async fn no_default(#[arg(default)] x: std::num::NonZeroU8) {}

#[aipo::task]
async fn required_after_optional(#[arg(default)] x: u8, y: u8) {}

fn main() {}
