//! Dates and times of day as a Brazilian business writes them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::Reason;

/// The business's distance from UTC: Brasília time, which has had no daylight saving since 2019.
/// A day in reports begins at this offset's midnight.
pub const BUSINESS_OFFSET: Offset = Offset::constant(-3);

/// Writes a moment as `31/01/2026 14:03:09` in Brasília time.
pub fn format_moment(moment: Timestamp) -> String {
    let local = BUSINESS_OFFSET.to_datetime(moment);
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        local.day(),
        local.month(),
        local.year(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// The day to which a moment belongs in Brasília.
pub fn business_date(moment: Timestamp) -> Date {
    BUSINESS_OFFSET.to_datetime(moment).date()
}

/// Reads `31/01/2026`, `2026-01-31` (each may be followed by `14:03` or `14:03:09`; without an
/// offset it is Brasília time) or an RFC 3339 moment.
///
/// # Errors
/// The reason in Portuguese.
pub fn parse_moment(text: &str) -> Result<Timestamp, Reason> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let (day, time_of_day) = match text.split_once([' ', 'T']) {
        Some((day, time_of_day)) => (day, Some(time_of_day.trim())),
        None => (text, None),
    };
    let unreadable = || Reason::from("data ilegível: escreva como em 31/01/2026 14:30");
    let date = match parts::<3>(day, '/') {
        Some([day, month, year]) => (year, month, day),
        None => match parts::<3>(day, '-') {
            Some([year, month, day]) => (year, month, day),
            None => return Err(unreadable()),
        },
    };
    let (hour, minute, second) = match time_of_day {
        None => (0, 0, 0),
        Some(text) => match (parts::<2>(text, ':'), parts::<3>(text, ':')) {
            (Some([hour, minute]), _) => (hour, minute, 0),
            (_, Some([hour, minute, second])) => (hour, minute, second),
            _ => return Err(unreadable()),
        },
    };
    if date.0 < 1000 {
        return Err("escreva o ano com quatro algarismos".into());
    }
    let narrow = |value: i16| i8::try_from(value).unwrap_or(-1);
    let date = Date::new(date.0, narrow(date.1), narrow(date.2))
        .map_err(|_| Reason::from("essa data não existe"))?;
    let time = Time::new(narrow(hour), narrow(minute), narrow(second), 0)
        .map_err(|_| Reason::from("esse horário não existe"))?;
    BUSINESS_OFFSET
        .to_timestamp(DateTime::from_parts(date, time))
        .map_err(|_| Reason::from("essa data não existe"))
}

/// Exactly `N` numbers of at most four digits, separated by `mark`.
fn parts<const N: usize>(text: &str, mark: char) -> Option<[i16; N]> {
    let mut numbers = [0; N];
    let mut pieces = text.split(mark);
    for number in &mut numbers {
        let piece = pieces.next()?;
        if !(1..=4).contains(&piece.len()) || !piece.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = piece.parse().ok()?;
    }
    pieces.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_brasilia_time() {
        for (text, utc) in [
            ("31/01/2026", "2026-01-31T03:00:00Z"),
            ("31/01/2026 14:03", "2026-01-31T17:03:00Z"),
            ("1/2/2026 4:03:09", "2026-02-01T07:03:09Z"),
            ("2026-01-31", "2026-01-31T03:00:00Z"),
            ("2026-01-31T23:30:00", "2026-02-01T02:30:00Z"),
            ("2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00Z"),
        ] {
            assert_eq!(
                parse_moment(text).map(|moment| moment.to_string()),
                Ok(utc.to_owned())
            );
        }
    }

    #[test]
    fn impossible_dates_are_refused_with_the_reason() {
        for (text, part) in [
            ("", "ilegível"),
            ("ontem", "ilegível"),
            ("31/01", "ilegível"),
            ("31/01/2026 14h", "ilegível"),
            ("31/02/2026", "não existe"),
            ("31/01/26", "quatro algarismos"),
            ("31/01/2026 25:00", "horário não existe"),
        ] {
            let reason = parse_moment(text).expect_err(text);
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }

    #[test]
    fn a_written_moment_reads_back_as_itself() {
        let moment: Timestamp = "2026-02-01T02:30:59Z".parse().expect("a valid moment");
        assert_eq!(format_moment(moment), "31/01/2026 23:30:59");
        assert_eq!(parse_moment(&format_moment(moment)), Ok(moment));
        assert_eq!(business_date(moment).to_string(), "2026-01-31");
    }
}
