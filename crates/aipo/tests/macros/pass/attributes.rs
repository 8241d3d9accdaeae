//! Attributes stay on the function; what must hold for both halves goes to both.

#![deny(warnings, missing_docs)]

use aipo::Task;

/// There on this system only.
#[aipo::task(name = "here")]
#[cfg(all())]
async fn here() {}

#[aipo::task(name = "elsewhere")]
#[cfg(any())]
async fn here(no: SuchType) {}

#[aipo::task]
#[expect(
    clippy::needless_pass_by_value,
    unused_variables,
    reason = "shows that it stays"
)]
async fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: String) {}

/// Replaced by `here`.
#[aipo::task(name = "old")]
#[deprecated(note = "use `here`")]
async fn old(x: u8) -> u8 {
    x
}

#[aipo::task]
#[must_use]
async fn used(#[allow(unused_variables, reason = "attributes of parameters stay")] x: u8) -> u8 {
    1
}

fn main() {
    assert_eq!(here::NAME, "here");
    let _ = many::s(1, 2, 3, 4, 5, 6, 7, String::new());
    let _ = used::s(1);
    #[expect(deprecated, reason = "the type is as deprecated as the function")]
    let _ = old::s(1);
}
