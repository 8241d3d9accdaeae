//! Whole numbers.

use super::Reason;

/// Writes a count with a dot between groups of thousands: `1.234.567`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('.');
        }
        text.push(digit);
    }
    text
}

/// Reads a whole number from 0 to `max`; groups of thousands may be marked by dots.
///
/// # Errors
/// The reason in Portuguese.
pub fn parse_count(text: &str, max: i64) -> Result<i64, Reason> {
    let number = text.trim();
    if let Some(rest) = number.strip_prefix('-') {
        let negative = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        return Err(if negative {
            "número negativo"
        } else {
            "não é um número inteiro"
        }
        .into());
    }
    let mut groups = number.split('.');
    let first = groups.next().unwrap_or_default();
    let grouped = number.contains('.');
    let well_formed = !first.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && (!grouped || (first.len() <= 3 && groups.all(|group| group.len() == 3)));
    if !well_formed {
        let fraction = number
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'.' || b == b',')
            && number.bytes().any(|b| b.is_ascii_digit());
        return Err(if fraction {
            "tem de ser um número inteiro"
        } else {
            "não é um número inteiro"
        }
        .into());
    }
    match number.replace('.', "").parse::<i64>() {
        Ok(value) if value <= max => Ok(value),
        _ => Err(format!("acima do máximo de {}", format_count(max.unsigned_abs())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.000"),
            (1_234_567, "1.234.567"),
        ] {
            assert_eq!(format_count(count), text);
            assert_eq!(parse_count(text, i64::MAX), Ok(count as i64));
        }
    }

    #[test]
    fn what_is_not_a_count_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "não é um número inteiro"),
            ("dez", "não é um número inteiro"),
            ("-", "não é um número inteiro"),
            ("-3", "negativo"),
            ("2,5", "tem de ser"),
            ("2.5", "tem de ser"),
            ("1.0000", "tem de ser"),
            ("1001", "acima do máximo de 1.000"),
            ("99999999999999999999", "acima do máximo"),
        ] {
            let reason = parse_count(text, 1_000).expect_err(text);
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }
}
