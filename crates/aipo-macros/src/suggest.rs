//! Help for names that are nearly right.

/// The known name that was probably meant.
pub(crate) fn did_you_mean<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = |candidate: &&&str| distance(name, candidate) <= candidate.len() / 3;
    let contained = |candidate: &&&str| name.contains(**candidate);
    let nearest = known.iter().filter(close);
    nearest
        .min_by_key(|candidate| distance(name, candidate))
        .or_else(|| {
            let longest = known.iter().filter(contained);
            longest.max_by_key(|candidate| candidate.len())
        })
        .copied()
}

/// How many letters must be added, left out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_name() {
        #[track_caller]
        fn check(name: &str, meant: Option<&str>) {
            let known = ["max_retries", "retry_delay", "time_limit", "queue"];
            assert_eq!(did_you_mean(name, &known), meant);
        }
        check("max_retrys", Some("max_retries"));
        check("que", None);
        check("queues", Some("queue"));
        check("default_retry_delay", Some("retry_delay"));
        check("timelimit", Some("time_limit"));
        check("colour", None);
    }

    #[test]
    fn counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
