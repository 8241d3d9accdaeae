//! Arguments of a task: from a message to typed values and back.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::parameters::{Bound, Parameters};
use crate::message::{Body, from_json};

/// The arguments of one task, typed. Derived for a struct with named fields by
/// `#[derive(TaskArgs)]`; `#[task]` makes one from a function's parameters.
pub trait TaskArgs: Sized + Send + 'static {
    /// What callers may give.
    const PARAMETERS: Parameters;

    /// Takes the arguments out of a message that gives all that must be given, and nothing that can't be.
    ///
    /// # Errors
    /// When one of them is of a wrong type.
    fn decode(reader: ArgsReader<'_>) -> Result<Self, BadArguments>;

    /// The arguments as a message carries them: by position, and by name what can't go by position.
    ///
    /// # Errors
    /// When one of them can't be JSON, such as a map whose keys are not text.
    fn encode(self) -> serde_json::Result<(Vec<Value>, Map<String, Value>)>;
}

impl TaskArgs for () {
    const PARAMETERS: Parameters = Parameters::NONE;

    fn decode(_: ArgsReader<'_>) -> Result<Self, BadArguments> {
        Ok(())
    }

    fn encode(self) -> serde_json::Result<(Vec<Value>, Map<String, Value>)> {
        Ok(Default::default())
    }
}

/// Reads the arguments of one message, each under the name of its parameter.
pub struct ArgsReader<'a> {
    function: &'a str,
    parameters: Parameters,
    bound: Bound<'a>,
}

/// Arguments that do not fit the task; the message ends as a Python `TypeError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArguments(pub String);

impl fmt::Display for BadArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArguments {}

impl<'a> ArgsReader<'a> {
    /// Brings the arguments of a body to the parameters of a task: by position, by name, or left to
    /// their default, as Python does.
    ///
    /// # Errors
    /// In Python's words, when one is missing, surplus or given twice.
    pub fn new(
        task: &'a str,
        parameters: Parameters,
        body: &Body<'a>,
    ) -> Result<Self, BadArguments> {
        // Python knows the function only, not the module that Celery puts before it.
        let function = task.rsplit('.').next().unwrap_or(task);
        let bound = parameters.bind(function, body)?;
        Ok(Self {
            function,
            parameters,
            bound,
        })
    }

    /// The argument of a parameter that must be given.
    ///
    /// # Errors
    /// When it is of a wrong type.
    pub fn required<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
    ) -> Result<T, BadArguments> {
        match self.bound.take(&self.parameters, name) {
            Some(raw) => self.typed(name, raw),
            None => Err(self.error(format_args!("has no required argument '{name}'"))),
        }
    }

    /// The argument of a parameter that may be left out.
    ///
    /// # Errors
    /// When it is of a wrong type.
    pub fn optional<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, BadArguments> {
        match self.bound.take(&self.parameters, name) {
            Some(raw) => self.typed(name, raw),
            None => Ok(default()),
        }
    }

    /// All that is given by position beyond the parameters: `*args`. `name` is for messages.
    ///
    /// # Errors
    /// When one of them is of a wrong type.
    pub fn rest<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
    ) -> Result<Vec<T>, BadArguments> {
        let rest = std::mem::take(&mut self.bound.rest);
        rest.into_iter().map(|raw| self.typed(name, raw)).collect()
    }

    /// All that is given by name beyond the parameters: `**kwargs`.
    ///
    /// # Errors
    /// When one of them nests too deep.
    pub fn named_rest(&mut self) -> Result<Map<String, Value>, BadArguments> {
        let rest = std::mem::take(&mut self.bound.named_rest);
        rest.into_iter()
            .map(|(name, raw)| Ok((name.clone().into_owned(), self.typed(&name, raw)?)))
            .collect()
    }

    fn typed<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
        raw: &RawValue,
    ) -> Result<T, BadArguments> {
        from_json(raw.get()).map_err(|error| self.error(format_args!("argument '{name}': {error}")))
    }

    fn error(&self, what: fmt::Arguments<'_>) -> BadArguments {
        BadArguments(format!("{}() {what}", self.function))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Parameter;
    use super::*;

    const ADD: Parameters = Parameters {
        positional: &[
            Parameter {
                name: "x",
                required: true,
            },
            Parameter {
                name: "y",
                required: false,
            },
        ],
        rest: true,
        named: &[],
        named_rest: true,
    };

    /// `x`, `y`, the rest by position and by name.
    type Args = (i64, i64, Vec<i64>, Map<String, Value>);

    fn read(body: &str) -> Result<Args, BadArguments> {
        let body = Body::parse(body.as_bytes()).expect("a body");
        let mut reader = ArgsReader::new("app.tasks.add", ADD, &body)?;
        Ok((
            reader.required("x")?,
            reader.optional("y", || 7)?,
            reader.rest("others")?,
            reader.named_rest()?,
        ))
    }

    #[test]
    fn takes_arguments_by_position_by_name_and_by_default() {
        for body in [
            "[[1, 2], {}]",
            "[[1], {\"y\": 2}]",
            "[[], {\"y\": 2, \"x\": 1}, null]",
        ] {
            assert_eq!(read(body), Ok((1, 2, vec![], Map::new())), "{body}");
        }
        assert_eq!(read("[[1], {}, {}]"), Ok((1, 7, vec![], Map::new())));
    }

    #[test]
    fn takes_the_rest() {
        let named = Map::from_iter([("z".to_owned(), Value::from("a"))]);
        let body = r#"[[1, 2, 3, 4], {"z": "a"}]"#;
        assert_eq!(read(body), Ok((1, 2, vec![3, 4], named)));
    }

    #[test]
    fn says_what_does_not_fit() {
        #[track_caller]
        fn check(body: &str, message: &str) {
            assert_eq!(read(body), Err(BadArguments(message.to_owned())));
        }
        check(
            "[[], {}]",
            "add() missing 1 required positional argument: 'x'",
        );
        check(
            "[[\"a\"], {}]",
            "add() argument 'x': invalid type: string \"a\", expected i64 at line 1 column 3",
        );
        check(
            "[[1, 2, null], {}]",
            "add() argument 'others': invalid type: null, expected i64 at line 1 column 4",
        );
    }

    #[test]
    fn integers_of_any_size_are_read_by_types_that_hold_them() {
        let body = "[[18446744073709551616, 18446744073709551616, 18446744073709551616, 1.10], {}]";
        let body = Body::parse(body.as_bytes()).expect("a body");
        const fn parameter(name: &'static str) -> Parameter {
            Parameter {
                name,
                required: true,
            }
        }
        const FOUR: Parameters = Parameters {
            positional: &[
                parameter("a"),
                parameter("b"),
                parameter("c"),
                parameter("d"),
            ],
            ..Parameters::NONE
        };
        let mut reader = ArgsReader::new("t", FOUR, &body).expect("four arguments");
        assert_eq!(reader.required::<i128>("a"), Ok(1 << 64));
        assert_eq!(reader.required::<f64>("b"), Ok(18446744073709551616.0));
        let digits: Box<RawValue> = reader.required("c").expect("any value");
        assert_eq!(digits.get(), "18446744073709551616");
        let digits: Box<RawValue> = reader.required("d").expect("any value");
        assert_eq!(digits.get(), "1.10");
        let mut reader = ArgsReader::new("t", FOUR, &body).expect("four arguments");
        let error = reader.required::<u64>("a").expect_err("too big");
        assert!(error.0.starts_with("t() argument 'a': "), "{error}");
    }

    #[test]
    fn an_argument_nested_too_deep_is_refused_not_overflowed() {
        let deep = format!("[[{}{}], {{}}]", "[".repeat(100_000), "]".repeat(100_000));
        let body = Body::parse(deep.as_bytes()).expect("raw values are not recursed into");
        let mut reader = ArgsReader::new("add", ADD, &body).expect("one argument");
        let error = reader
            .required::<Value>("x")
            .expect_err("128 levels are the limit");
        assert!(error.0.contains("recursion limit exceeded"), "{error}");
    }
}
