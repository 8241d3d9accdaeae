//! Amounts in reais, kept as whole cents.

use super::{Reason, format_count};

/// The largest accepted amount: R$ 1.000.000,00, in cents. Far above any unit price, and small
/// enough that no sum over a catalogue loses a cent.
pub const MAX_CENTS: i64 = 100_000_000;

/// Writes cents as `1.234,56`, without the currency sign.
pub fn format_money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{},{:02}", format_count(cents / 100), cents % 100)
}

/// Reads an amount such as `1.234,56`, `R$ 12,5` or `1234.56` as cents.
///
/// A comma is the decimal mark. Without a comma, a single dot followed by one or two digits is
/// the decimal mark too, because databases export that form; followed by three digits it could
/// be either, and is refused.
///
/// # Errors
/// The reason in Portuguese.
pub fn parse_money(text: &str) -> Result<i64, Reason> {
    let amount = text.trim();
    if ["US$", "$", "€", "£", "USD", "EUR"]
        .iter()
        .any(|sign| amount.starts_with(sign))
    {
        return Err("moeda estrangeira: informe o valor em reais".into());
    }
    let amount = amount.strip_prefix("R$").unwrap_or(amount).trim_start();
    if amount.is_empty() {
        return Err("valor vazio".into());
    }
    if amount.contains('%') {
        return Err("porcentagem não é um valor em reais".into());
    }
    if amount.starts_with('-') || (amount.starts_with('(') && amount.ends_with(')')) {
        return Err("valor negativo".into());
    }
    if !amount
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
    {
        return Err("não é um valor em reais".into());
    }
    let (whole, decimals) = split_decimals(amount)?;
    if decimals.len() > 2 {
        return Err("mais de duas casas decimais".into());
    }
    let whole = join_groups(whole)?;
    let too_large = || Reason::from(format!("acima do máximo de R$ {}", format_money(MAX_CENTS)));
    // Nine digits of reais are already above the maximum, and fit an i64 with room to spare.
    if whole.trim_start_matches('0').len() > 9 {
        return Err(too_large());
    }
    let reais: i64 = whole
        .parse()
        .map_err(|_| Reason::from("não é um valor em reais"))?;
    let cents: i64 = match decimals.len() {
        0 => 0,
        length => {
            let value: i64 = decimals
                .parse()
                .map_err(|_| Reason::from("não é um valor em reais"))?;
            if length == 1 { value * 10 } else { value }
        }
    };
    let total = reais * 100 + cents;
    if total > MAX_CENTS {
        Err(too_large())
    } else {
        Ok(total)
    }
}

/// The part before and the part after the decimal mark.
fn split_decimals(amount: &str) -> Result<(&str, &str), Reason> {
    let not_an_amount = || Reason::from("não é um valor em reais");
    match (amount.split_once(','), amount.split_once('.')) {
        (Some((_, decimals)), _) if decimals.contains('.') => {
            Err("separadores trocados: escreva como em 1.234,56".into())
        }
        (Some((whole, decimals)), _) => {
            if decimals.is_empty() || decimals.contains(',') || whole.is_empty() {
                return Err(not_an_amount());
            }
            Ok((whole, decimals))
        }
        (None, Some((whole, rest))) if !rest.contains('.') => {
            if rest.is_empty() || whole.is_empty() {
                return Err(not_an_amount());
            }
            if rest.len() == 3 && whole.len() <= 3 && !whole.starts_with('0') {
                return Err(format!(
                    "valor ambíguo: escreva {whole}.{rest},00 ou {whole},{}",
                    &rest[..2]
                )
                .into());
            }
            Ok((whole, rest))
        }
        // Several dots and no comma can only be groups of thousands.
        (None, _) => Ok((amount, "")),
    }
}

/// Removes the dots between groups of thousands, after checking that they stand where they must.
fn join_groups(whole: &str) -> Result<String, Reason> {
    if !whole.contains('.') {
        return Ok(whole.to_owned());
    }
    let mut groups = whole.split('.');
    let first = groups.next().unwrap_or_default();
    let well_placed = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    if well_placed {
        Ok(whole.replace('.', ""))
    } else {
        Err("pontos de milhar fora do lugar".into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_as_cents() {
        for (text, cents) in [
            ("0", 0),
            ("12", 1_200),
            ("12,5", 1_250),
            ("12,50", 1_250),
            ("12.5", 1_250),
            ("1234.56", 123_456),
            ("1.234,56", 123_456),
            ("1.000.000", 100_000_000),
            ("R$ 1.234,56", 123_456),
            ("R$\u{a0}9,99", 999),
            (" 7 ", 700),
        ] {
            assert_eq!(parse_money(text), Ok(cents), "{text:?}");
        }
    }

    #[test]
    fn doubtful_amounts_are_refused_with_the_reason() {
        for (text, part) in [
            ("", "vazio"),
            ("R$", "vazio"),
            ("abc", "não é um valor"),
            ("12,", "não é um valor"),
            (",50", "não é um valor"),
            ("1,2,3", "não é um valor"),
            ("-1", "negativo"),
            ("(5,00)", "negativo"),
            ("10%", "porcentagem"),
            ("US$ 10", "moeda estrangeira"),
            ("€ 10", "moeda estrangeira"),
            ("1,234.56", "separadores trocados"),
            ("1.234", "ambíguo: escreva 1.234,00 ou 1,23"),
            ("1,234", "duas casas"),
            ("0.123", "duas casas"),
            ("12.34,00", "milhar"),
            ("1.000.000,01", "máximo de R$ 1.000.000,00"),
            ("99999999999999999999", "máximo"),
        ] {
            let reason = parse_money(text).expect_err(text);
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_again(cents in 0..=MAX_CENTS) {
            prop_assert_eq!(parse_money(&format_money(cents)), Ok(cents));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,24}") {
            if let Ok(cents) = parse_money(&text) {
                prop_assert!((0..=MAX_CENTS).contains(&cents));
            }
        }
    }
}
