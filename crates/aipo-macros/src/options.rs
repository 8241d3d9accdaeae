//! What stands between the parentheses of `#[task(…)]`: `Task::NAME`, `Task::options`, `Task::base`.

use std::ops::RangeInclusive;

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, Lit, LitBool, LitInt, Result, Token, Type, parenthesized};

use crate::duration::DurationLit;
use crate::suggest::did_you_mean;

/// The options there are, sorted; all but `name` and `base` are fields of `aipo::TaskOptions`.
const KNOWN: [&str; 21] = [
    "acks_late",
    "autoretry_for",
    "base",
    "dont_autoretry_for",
    "errback_takes_request",
    "expires",
    "ignore_result",
    "max_deliveries",
    "max_retries",
    "name",
    "priority",
    "queue",
    "rate_limit",
    "retry_backoff",
    "retry_backoff_max",
    "retry_delay",
    "retry_jitter",
    "soft_time_limit",
    "store_errors_even_if_ignored",
    "time_limit",
    "track_started",
];

/// The options of one task.
#[derive(Default)]
pub(crate) struct Options {
    /// The expression for its name.
    pub(crate) name: Option<Expr>,
    /// The expression for its base.
    pub(crate) base: Option<Expr>,
    /// What is set in its `TaskOptions`: `field = value`.
    pub(crate) settings: Vec<TokenStream>,
    time_limit: Option<DurationLit>,
    soft_time_limit: Option<DurationLit>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            if !input.peek(Ident::peek_any) {
                let known = KNOWN.join(", ");
                return Err(input.error(format!("expected an option\nknown options: {known}")));
            }
            let option = input.call(Ident::parse_any)?;
            if seen.contains(&option) {
                let message = format!("option `{option}` is given twice");
                return Err(Error::new(option.span(), message));
            }
            options.parse_option(&option, input)?;
            seen.push(option);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        options.check_limits()?;
        Ok(options)
    }
}

impl Options {
    fn parse_option(&mut self, option: &Ident, input: ParseStream<'_>) -> Result<()> {
        let setting = match option.to_string().as_str() {
            "name" => {
                self.name = Some(text(input)?);
                return Ok(());
            }
            "base" => {
                self.base = Some(value(input)?);
                return Ok(());
            }
            "queue" => {
                let queue = text(input)?;
                quote!(queue = ::aipo::__private::Some((#queue).into()))
            }
            "priority" => {
                let priority = number(input, 0..=9, "expected a number from 0 to 9")?;
                quote!(priority = ::aipo::__private::Some(#priority))
            }
            "max_retries" => {
                let max = number_or_none(input)?;
                quote!(retries.max = #max)
            }
            "retry_delay" => {
                let delay = value::<DurationLit>(input)?.tokens();
                quote!(retries.delay = #delay)
            }
            "retry_backoff" => {
                let backoff = value::<DurationLit>(input)?.tokens();
                quote!(retries.backoff = ::aipo::__private::Some(#backoff))
            }
            "retry_backoff_max" => {
                let max = value::<DurationLit>(input)?.tokens();
                quote!(retries.backoff_max = #max)
            }
            "retry_jitter" => {
                let jitter = flag(input)?;
                quote!(retries.jitter = #jitter)
            }
            "autoretry_for" | "dont_autoretry_for" => {
                let errors = errors(option, input)?;
                quote!(#option = #errors)
            }
            "time_limit" => {
                let limit = value::<DurationLit>(input)?.not_zero()?;
                let tokens = limit.tokens();
                self.time_limit = Some(limit);
                quote!(time_limit = ::aipo::__private::Some(#tokens))
            }
            "soft_time_limit" => {
                let limit = value::<DurationLit>(input)?.not_zero()?;
                let tokens = limit.tokens();
                self.soft_time_limit = Some(limit);
                quote!(soft_time_limit = ::aipo::__private::Some(#tokens))
            }
            "expires" => {
                let expires = value::<DurationLit>(input)?.not_zero()?.tokens();
                quote!(expires = ::aipo::__private::Some(#expires))
            }
            "rate_limit" => {
                let limit = rate(input)?;
                quote!(rate_limit = ::aipo::__private::rate_limit(#limit))
            }
            "acks_late" | "ignore_result" | "store_errors_even_if_ignored" | "track_started" => {
                let flag = flag(input)?;
                quote!(#option = ::aipo::__private::Some(#flag))
            }
            "errback_takes_request" => {
                let flag = flag(input)?;
                quote!(errback_takes_request = #flag)
            }
            "max_deliveries" => {
                let deliveries = number(input, 1..=u32::MAX, "expected a number of at least 1")?;
                quote!(max_deliveries = ::aipo::__private::Some(#deliveries))
            }
            _ => return Err(unknown(option)),
        };
        self.settings.push(setting);
        Ok(())
    }

    fn check_limits(&self) -> Result<()> {
        match (&self.soft_time_limit, &self.time_limit) {
            (Some(soft), Some(hard)) if soft.value >= hard.value => {
                Err(soft.error("the soft time limit must be shorter than `time_limit`"))
            }
            _ => Ok(()),
        }
    }
}

fn unknown(option: &Ident) -> Error {
    let name = option.to_string();
    let hint = match did_you_mean(&name, &KNOWN) {
        // What `bind=True` gives a task of Celery, a parameter gives a task of aipo.
        _ if name == "bind" => ": take `cx: &Context` as the first parameter instead".to_owned(),
        Some(known) => format!("; did you mean `{known}`?"),
        None => String::new(),
    };
    let known = KNOWN.join(", ");
    Error::new(
        option.span(),
        format!("unknown option `{name}`{hint}\nknown options: {known}"),
    )
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// A text, or an expression for one, such as the name of a constant.
fn text(input: ParseStream<'_>) -> Result<Expr> {
    let text: Expr = value(input)?;
    if let Expr::Lit(literal) = &text {
        let Lit::Str(literal) = &literal.lit else {
            return Err(Error::new_spanned(literal, "expected a text in quotes"));
        };
        if literal.value().is_empty() {
            return Err(Error::new(literal.span(), "this can't be empty"));
        }
    }
    Ok(text)
}

/// `flag` or `flag = true` or `flag = false`.
fn flag(input: ParseStream<'_>) -> Result<bool> {
    if !input.peek(Token![=]) {
        return Ok(true);
    }
    input.parse::<Token![=]>()?;
    if !input.peek(LitBool) {
        return Err(input.error("expected `true` or `false`"));
    }
    Ok(input.parse::<LitBool>()?.value)
}

/// `"10/s"`, `"100/m"`, `"5/h"`, or a number a second.
fn rate(input: ParseStream<'_>) -> Result<String> {
    let literal: Lit = value(input)?;
    let text = match &literal {
        Lit::Str(text) => text.value(),
        Lit::Int(number) => number.base10_digits().to_owned(),
        Lit::Float(number) => number.base10_digits().to_owned(),
        _ => String::new(),
    };
    let count = text
        .strip_suffix("/s")
        .or_else(|| text.strip_suffix("/m"))
        .or_else(|| text.strip_suffix("/h"))
        .unwrap_or(&text);
    match count.trim().parse::<f64>() {
        Ok(count) if (1e-4..1e9).contains(&count) => Ok(text),
        _ => Err(Error::new_spanned(
            literal,
            "expected a rate such as \"10/s\", \"100/m\" or \"5/h\"",
        )),
    }
}

fn number(input: ParseStream<'_>, range: RangeInclusive<u32>, expected: &str) -> Result<Literal> {
    input.parse::<Token![=]>()?;
    if !input.peek(LitInt) {
        return Err(input.error(expected));
    }
    let number: LitInt = input.parse()?;
    match number.base10_parse() {
        Ok(value) if range.contains(&value) => Ok(Literal::u32_unsuffixed(value)),
        _ => Err(Error::new(number.span(), expected)),
    }
}

/// A number, or `none` for no limit.
fn number_or_none(input: ParseStream<'_>) -> Result<TokenStream> {
    let fork = input.fork();
    let given = fork
        .parse::<Token![=]>()
        .and_then(|_| fork.parse::<Ident>());
    if given.is_ok_and(|given| given == "none") {
        value::<Ident>(input)?;
        return Ok(quote!(::aipo::__private::None));
    }
    let number = number(
        input,
        0..=u32::MAX,
        "expected a number, or `none` for no limit",
    )?;
    Ok(quote!(::aipo::__private::Some(#number)))
}

/// `option(Type, Type)` or `option = any`.
fn errors(option: &Ident, input: ParseStream<'_>) -> Result<TokenStream> {
    let usage = || format!("write `{option}(SomeError, …)` or `{option} = any`");
    if input.peek(Token![=]) {
        let any: Expr = value(input)?;
        if !matches!(&any, Expr::Path(path) if path.path.is_ident("any")) {
            return Err(Error::new_spanned(any, usage()));
        }
        return Ok(quote!(::aipo::__private::ErrorFilter::Any));
    }
    if !input.peek(syn::token::Paren) {
        return Err(Error::new(option.span(), usage()));
    }
    let types;
    parenthesized!(types in input);
    let types = Punctuated::<Type, Token![,]>::parse_terminated(&types)?;
    if types.is_empty() {
        return Err(Error::new(option.span(), usage()));
    }
    let types = types.iter();
    Ok(quote! {
        ::aipo::__private::ErrorFilter::Types(
            ::aipo::__private::vec![#(::aipo::__private::ErrorType::of::<#types>()),*]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_option_is_understood() {
        assert!(KNOWN.is_sorted(), "the list is read by people");
        for option in KNOWN {
            for usage in ["", " = true", " = 3", " = \"1s\"", " = any", "(Error)"] {
                if let Err(error) = syn::parse_str::<Options>(&format!("{option}{usage}")) {
                    let message = error.to_string();
                    assert!(!message.starts_with("unknown option"), "{message}");
                }
            }
        }
    }
}
