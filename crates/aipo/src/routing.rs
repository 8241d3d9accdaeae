//! Step 5 of a task's life: which queue a task goes to.
//!
//! The call's own queue comes first, then the task's, then this: the setting `task_routes`, then
//! `task_default_queue`.

use aipo_core::{QueueName, Settings};

/// The queue for a task that names none.
///
/// Of the patterns in `task_routes` that match, the longest wins; `*` stands for any text.
pub(crate) fn route<'a>(task: &str, settings: &'a Settings) -> &'a QueueName {
    settings
        .task_routes
        .iter()
        .filter(|(pattern, _)| matches(pattern, task))
        .max_by_key(|(pattern, _)| pattern.len())
        .map_or(&settings.task_default_queue, |(_, queue)| queue)
}

/// Whether a name matches a pattern with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        // The earliest place is the best: it leaves the most for what follows.
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        #[track_caller]
        fn check(pattern: &str, name: &str, expected: bool) {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        check("a.b", "a.b", true);
        check("a.b", "a.bc", false);
        check("a.*", "a.b", true);
        check("a.*", "a.", true);
        check("a.*", "b.a.", false);
        check("*.b", "a.b", true);
        check("*", "", true);
        check("a*c*e", "abcde", true);
        check("a*c*e", "abde", false);
        check("ab*b", "ab", false);
    }

    #[test]
    fn the_longest_pattern_wins() {
        let mut settings = Settings::default();
        settings.task_routes.insert("app.*".into(), "slow".into());
        settings
            .task_routes
            .insert("app.tasks.*".into(), "fast".into());
        assert_eq!(route("app.tasks.add", &settings).as_str(), "fast");
        assert_eq!(route("app.other", &settings).as_str(), "slow");
        assert_eq!(route("other", &settings).as_str(), "celery");
    }
}
