//! Durations in attributes, read when the program is compiled.
//!
//! The grammar is that of `aipo_core::duration::parse_duration`; a test keeps the two together. It is
//! written here once more because a macro can point at the literal, and because this crate is built
//! before `aipo-core` and should not wait for it.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::ParseStream;
use syn::{Error, LitStr, Result};

/// A duration and where it is written.
pub(crate) struct DurationLit {
    pub(crate) value: Duration,
    literal: LitStr,
}

impl DurationLit {
    /// An error at the literal.
    pub(crate) fn error(&self, message: &str) -> Error {
        Error::new(self.literal.span(), message)
    }

    /// Refuses a duration of nothing.
    pub(crate) fn not_zero(self) -> Result<Self> {
        if self.value.is_zero() {
            return Err(self.error("this must be longer than zero"));
        }
        Ok(self)
    }

    /// The duration as an expression.
    pub(crate) fn tokens(&self) -> TokenStream {
        let (seconds, nanos) = (self.value.as_secs(), self.value.subsec_nanos());
        quote!(::aipo::__private::Duration::new(#seconds, #nanos))
    }
}

impl syn::parse::Parse for DurationLit {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !input.peek(LitStr) {
            return Err(input.error("expected a text with a unit, such as \"60s\""));
        }
        let literal: LitStr = input.parse()?;
        let text = literal.value();
        match parse(&text) {
            Some(value) => Ok(Self { value, literal }),
            None => Err(Error::new(
                literal.span(),
                format!(
                    "`{text}` is not a duration: write a whole number and one of the units ms, s, m, h, d, \
                     such as \"90s\""
                ),
            )),
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use aipo_core::duration::parse_duration;

    use super::parse;

    #[test]
    fn reads_what_settings_read() {
        for text in [
            "0ms",
            "500ms",
            "60s",
            "5m",
            "1h",
            "2d",
            "18446744073709551615ms",
            "18446744073709551615s",
        ] {
            assert!(parse(text).is_some(), "{text:?}");
            assert_eq!(parse(text), parse_duration(text), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_settings_refuse() {
        for text in [
            "",
            "s",
            "5",
            "5 s",
            "-5s",
            "+5s",
            "5sec",
            "1.5s",
            "5S",
            "18446744073709551616s",
            "18446744073709551615m",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
