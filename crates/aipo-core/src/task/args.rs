//! Arguments of a task: from a message to typed values and back.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::message::Body;

/// The arguments of one task, typed. Derived for a struct with named fields by
/// `#[derive(TaskArgs)]`; `#[task]` makes one from a function's parameters.
pub trait TaskArgs: Sized + Send + 'static {
    /// Takes the arguments out of a message: by position, by name, or by default, as Python does.
    ///
    /// # Errors
    /// In Python's words, when one is missing, surplus, given twice or of a wrong type.
    fn decode(reader: ArgsReader<'_>) -> Result<Self, BadArguments>;

    /// The arguments as positional values.
    ///
    /// # Errors
    /// When one of them can't be JSON, such as a map whose keys are not text.
    fn encode(self) -> serde_json::Result<Vec<Value>>;
}

impl TaskArgs for () {
    fn decode(reader: ArgsReader<'_>) -> Result<Self, BadArguments> {
        reader.finish()
    }

    fn encode(self) -> serde_json::Result<Vec<Value>> {
        Ok(Vec::new())
    }
}

/// Takes the arguments of one message apart, one parameter after the other in their order.
pub struct ArgsReader<'a> {
    task: &'a str,
    positional: std::vec::IntoIter<&'a RawValue>,
    taken: usize,
    named: Vec<(Cow<'a, str>, &'a RawValue)>,
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
    /// Reads the arguments of a body; `task` is the name for messages.
    pub fn new(task: &'a str, body: &Body<'a>) -> Self {
        Self {
            task,
            positional: body.0.clone().into_iter(),
            taken: 0,
            named: body.1.0.clone(),
        }
    }

    /// The next parameter.
    ///
    /// # Errors
    /// When it is missing, given twice or of a wrong type.
    pub fn required<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
    ) -> Result<T, BadArguments> {
        match self.take(name)? {
            Some(raw) => self.typed(name, raw),
            None => Err(self.error(format_args!("missing a required argument: '{name}'"))),
        }
    }

    /// The next parameter, which may be left out.
    ///
    /// # Errors
    /// When it is given twice or of a wrong type.
    pub fn optional<T: for<'de> Deserialize<'de>>(
        &mut self,
        name: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, BadArguments> {
        match self.take(name)? {
            Some(raw) => self.typed(name, raw),
            None => Ok(default()),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When arguments are left over.
    pub fn finish(self) -> Result<(), BadArguments> {
        if self.positional.len() > 0 {
            let (takes, given) = (self.taken, self.taken + self.positional.len());
            return Err(self.error(format_args!(
                "takes {takes} positional argument(s) but {given} were given"
            )));
        }
        match self.named.first() {
            Some((name, _)) => {
                Err(self.error(format_args!("got an unexpected keyword argument '{name}'")))
            }
            None => Ok(()),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<&'a RawValue>, BadArguments> {
        let named = self.named.iter().position(|(given, _)| given == name);
        match (self.positional.next(), named) {
            (Some(_), Some(_)) => {
                Err(self.error(format_args!("got multiple values for argument '{name}'")))
            }
            (Some(raw), None) => {
                self.taken += 1;
                Ok(Some(raw))
            }
            (None, Some(index)) => Ok(Some(self.named.swap_remove(index).1)),
            (None, None) => Ok(None),
        }
    }

    fn typed<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
        raw: &RawValue,
    ) -> Result<T, BadArguments> {
        serde_json::from_str(raw.get())
            .map_err(|error| self.error(format_args!("argument '{name}': {error}")))
    }

    fn error(&self, what: fmt::Arguments<'_>) -> BadArguments {
        BadArguments(format!("{}() {what}", self.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<(i64, i64), BadArguments> {
        let body = Body::parse(body.as_bytes()).expect("a body");
        let mut reader = ArgsReader::new("add", &body);
        let args = (reader.required("x")?, reader.optional("y", || 7)?);
        reader.finish()?;
        Ok(args)
    }

    #[test]
    fn takes_arguments_by_position_by_name_and_by_default() {
        for body in [
            "[[1, 2], {}]",
            "[[1], {\"y\": 2}]",
            "[[], {\"y\": 2, \"x\": 1}, null]",
        ] {
            assert_eq!(read(body), Ok((1, 2)), "{body}");
        }
        assert_eq!(read("[[1], {}, {}]"), Ok((1, 7)));
    }

    #[test]
    fn says_what_does_not_fit() {
        #[track_caller]
        fn check(body: &str, message: &str) {
            assert_eq!(read(body), Err(BadArguments(message.to_owned())));
        }
        check("[[], {}]", "add() missing a required argument: 'x'");
        check(
            "[[1, 2, 3], {}]",
            "add() takes 2 positional argument(s) but 3 were given",
        );
        check(
            "[[1], {\"x\": 1}]",
            "add() got multiple values for argument 'x'",
        );
        check(
            "[[1], {\"z\": 1}]",
            "add() got an unexpected keyword argument 'z'",
        );
        check(
            "[[\"a\"], {}]",
            "add() argument 'x': invalid type: string \"a\", expected i64 at line 1 column 3",
        );
    }

    #[test]
    fn an_argument_nested_too_deep_is_refused_not_overflowed() {
        let deep = format!("[[{}{}], {{}}]", "[".repeat(100_000), "]".repeat(100_000));
        let body = Body::parse(deep.as_bytes()).expect("raw values are not recursed into");
        let mut reader = ArgsReader::new("add", &body);
        let error = reader
            .required::<Value>("x")
            .expect_err("128 levels are the limit");
        assert!(error.0.contains("recursion limit exceeded"), "{error}");
    }
}
