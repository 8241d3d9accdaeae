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

#[aipo::task]
async fn two_ways(#[arg(named, rest)] x: Vec<u8>) {}

#[aipo::task]
async fn default_rest(#[arg(rest, default)] x: Vec<u8>) {}

#[aipo::task]
async fn after_the_rest(#[arg(rest)] x: Vec<u8>, y: u8) {}

#[aipo::task]
async fn wrong_order(#[arg(named)] x: u8, #[arg(rest)] y: Vec<u8>) {}

fn main() {}
