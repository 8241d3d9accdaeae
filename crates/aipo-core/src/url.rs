//! What the URLs of all stores have in common.

/// The text with each `%` and its two hex digits turned into the byte that they stand for.
///
/// `None` when a `%` is not followed by two hex digits, or the bytes are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            // `from_str_radix` would take a sign as well.
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// An address without its password: `redis://user:***@host`.
pub fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let Some((credentials, _)) = authority.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***{}", &rest[credentials.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        #[track_caller]
        fn check(url: &str, shown: &str) {
            assert_eq!(redact(url), shown);
        }
        check(
            "redis://ana:p@ss@host:6379/0",
            "redis://ana:***@host:6379/0",
        );
        check("redis://:secret@host", "redis://:***@host");
        check("sqlite:///a@b.db", "sqlite:///a@b.db");
        check("memory://", "memory://");
        check("", "");
    }

    #[test]
    fn decodes_and_refuses() {
        assert_eq!(
            percent_decode("a%20b/%C3%A9").as_deref(),
            Some("a b/\u{e9}")
        );
        for text in ["%", "%2", "%+1", "%zz", "%ff"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }
}
