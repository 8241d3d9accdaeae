//! Arguments as Python would print them: the headers `argsrepr` and `kwargsrepr`.
//!
//! For display only (Flower, logs), so bounded in length and depth by the same rules as Celery's
//! `saferepr` with its default limits.

use serde_json::{Map, Number, Value};

use super::meta::ExceptionInfo;

/// Celery's `argsrepr_maxsize` and `kwargsrepr_maxsize`, in characters.
const MAX_CHARS: isize = 1024;
/// Celery's `task_repr_maxlevels`.
const MAX_LEVELS: usize = 3;

/// Positional arguments: `(2, 'x')`.
pub fn repr_tuple(args: &[Value]) -> String {
    let mut printer = Printer::new();
    printer.tuple(args);
    printer.out
}

/// Named arguments: `{'y': 2}`.
pub fn repr_kwargs(kwargs: &Map<String, Value>) -> String {
    let mut printer = Printer::new();
    printer.map(kwargs);
    printer.out
}

/// Any value, such as a result: `{'x': [1, 2.5]}`.
pub fn repr_value(value: &Value) -> String {
    let mut printer = Printer::new();
    printer.value(value);
    printer.out
}

/// An exception: `ValueError('boom')`.
pub fn repr_exception(exception: &ExceptionInfo) -> String {
    let args = match &exception.exc_message {
        Value::Array(args) => &args[..],
        Value::Null => &[],
        other => std::slice::from_ref(other),
    };
    let args = args.iter().map(|arg| match arg {
        Value::String(text) => repr_text(text),
        other => repr_value(other),
    });
    let args: Vec<String> = args.collect();
    format!("{}({})", exception.exc_type, args.join(", "))
}

/// A text as Python's own `repr` prints it, whole: in double quotes if it has single ones only.
pub fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            '\\' => repr.push_str("\\\\"),
            _ if letter == quote => repr.extend(['\\', letter]),
            _ => repr.push(letter),
        }
    }
    repr.push(quote);
    repr
}

struct Printer {
    out: String,
    /// Characters that may still be printed; brackets that close are not counted below zero.
    left: isize,
    level: usize,
    /// The limit was reached: from here on only open brackets are closed.
    cut: bool,
}

impl Printer {
    fn new() -> Self {
        Self {
            out: String::new(),
            left: MAX_CHARS,
            level: 0,
            cut: false,
        }
    }

    /// Prints one token, or notices that the limit has been reached. False when nothing more is
    /// to be printed.
    fn token(&mut self, text: &str) -> bool {
        if self.cut {
            return false;
        }
        if self.left <= 0 {
            self.out.push_str(", ...");
            self.cut = true;
            return false;
        }
        self.out.push_str(text);
        self.left -= length(text);
        true
    }

    fn close(&mut self, bracket: &str) {
        self.level -= 1;
        self.out.push_str(bracket);
        self.left -= length(bracket);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.atom("None"),
            Value::Bool(true) => self.atom("True"),
            Value::Bool(false) => self.atom("False"),
            Value::Number(number) => self.atom(&repr_number(number)),
            Value::String(text) => self.text(text),
            Value::Array(_) if self.level >= MAX_LEVELS => _ = self.token("[...]"),
            Value::Object(_) if self.level >= MAX_LEVELS => _ = self.token("{...}"),
            Value::Array(items) => self.sequence(items, "[", "]"),
            Value::Object(map) => self.map(map),
        }
    }

    fn tuple(&mut self, args: &[Value]) {
        self.sequence(args, "(", if args.len() == 1 { ",)" } else { ")" });
    }

    fn sequence(&mut self, items: &[Value], open: &str, close: &str) {
        if !self.token(open) {
            return;
        }
        self.level += 1;
        for (index, item) in items.iter().enumerate() {
            if index > 0 && !self.token(", ") {
                break;
            }
            self.value(item);
            if self.cut {
                break;
            }
        }
        self.close(close);
    }

    fn map(&mut self, map: &Map<String, Value>) {
        if !self.token("{") {
            return;
        }
        self.level += 1;
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 && !self.token(", ") {
                break;
            }
            self.text(key);
            if !self.token(": ") {
                break;
            }
            self.value(value);
            if self.cut {
                break;
            }
        }
        self.close("}");
    }

    /// Celery cuts these like texts, in the middle of a number if need be.
    fn atom(&mut self, text: &str) {
        match shorten(text, self.left) {
            (whole, false) => self.token(whole),
            (head, true) => self.token(&format!("{head}...")),
        };
    }

    /// A text in quotes. Written piece by piece, since most of what is printed is texts.
    fn text(&mut self, text: &str) {
        let (shown, dots) = shorten(text, self.left);
        if !self.token("'") {
            return;
        }
        let mut printed = length(shown);
        for (index, part) in shown.split('\'').enumerate() {
            if index > 0 {
                self.out.push_str("\\'");
                printed += 1;
            }
            self.out.push_str(part);
        }
        if dots {
            self.out.push_str("...");
            printed += 3;
        }
        self.out.push('\'');
        self.left -= printed + 1;
    }
}

fn length(text: &str) -> isize {
    isize::try_from(text.chars().count()).unwrap_or(isize::MAX)
}

/// Celery's `truncate`: what is left of a text that is cut at the limit and then at the last space
/// before it, and whether three dots follow.
fn shorten(text: &str, limit: isize) -> (&str, bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    if limit == 0 || text.len() < limit {
        return (text, false);
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => (before_last_space(&text[..end]), true),
        // Exactly as long as the limit counts as too long, as it does there.
        None if text.chars().count() == limit => (before_last_space(text), true),
        None => (text, false),
    }
}

fn before_last_space(text: &str) -> &str {
    text.rsplit_once(' ').map_or(text, |(head, _)| head)
}

/// Python's `str` of a number: integers as they are, floats with an exponent from 1e16 on and
/// below 1e-4.
fn repr_number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        return format!("{float:?}");
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').expect("`{:e}` writes an exponent");
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_as_python_does() {
        #[track_caller]
        fn check(args: Value, expected: &str) {
            let Value::Array(args) = args else {
                panic!("arguments are an array")
            };
            assert_eq!(repr_tuple(&args), expected);
        }
        check(json!([]), "()");
        check(json!([2]), "(2,)");
        check(json!([2, 3]), "(2, 3)");
        check(
            json!([null, true, 1.0, 1e16, 1e-7, -0.0]),
            "(None, True, 1.0, 1e+16, 1e-07, -0.0)",
        );
        check(json!(["it's", "\n"]), "('it\\'s', '\n')");
        check(json!([[1, [2, [3]]]]), "([1, [2, [...]]],)");
        check(json!([{"k": {"l": {"m": 1}}}]), "({'k': {'l': {...}}},)");
    }

    #[test]
    fn prints_exceptions_as_calls() {
        #[track_caller]
        fn check(message: Value, expected: &str) {
            let exception = ExceptionInfo {
                exc_type: "ValueError".to_owned(),
                exc_message: message,
                exc_module: None,
            };
            assert_eq!(repr_exception(&exception), expected);
        }
        check(json!(["boom"]), "ValueError('boom')");
        check(json!("boom"), "ValueError('boom')");
        check(json!(["no", 7]), "ValueError('no', 7)");
        check(json!(["it's"]), "ValueError(\"it's\")");
        check(json!(["a\nb", [1, "c"]]), "ValueError('a\\nb', [1, 'c'])");
        check(json!([]), "ValueError()");
        check(json!(null), "ValueError()");
    }

    #[test]
    fn quotes_a_text_as_python_does() {
        for (text, expected) in [
            ("r1", "'r1'"),
            ("it's", "\"it's\""),
            ("\"it's\"", "'\"it\\'s\"'"),
            ("a\\b\n", "'a\\\\b\\n'"),
        ] {
            assert_eq!(repr_text(text), expected);
        }
    }

    #[test]
    fn never_prints_much_more_than_the_limit() {
        let long = Value::from("x".repeat(5000));
        let text = repr_tuple(std::slice::from_ref(&long));
        assert!(text.ends_with("...',)"), "{}", &text[text.len() - 20..]);
        assert!(text.len() < 1100);
        let many: Vec<Value> = (0..5000).map(Value::from).collect();
        let text = repr_tuple(&[Value::Array(many)]);
        assert!(text.ends_with(", ...],)"), "{}", &text[text.len() - 20..]);
        assert!(text.len() < 1100);
    }
}
