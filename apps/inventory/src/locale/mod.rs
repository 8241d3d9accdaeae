//! How amounts, counts and moments are read and written in Brazil.
//!
//! Parsing is strict on purpose: a catalogue arrives from spreadsheets of every locale, and a
//! value that could mean two things is refused with a reason instead of being guessed. Reasons are
//! user-facing and therefore in Portuguese.

mod moment;
mod money;
mod number;

pub use moment::{BUSINESS_OFFSET, business_date, format_moment, parse_moment};
pub use money::{MAX_CENTS, format_money, parse_money};
pub use number::{format_count, parse_count};

/// Why a value was refused, for the person who wrote it.
pub type Reason = std::borrow::Cow<'static, str>;
