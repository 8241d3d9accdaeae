//! The parameters of a task, and which argument of a message goes to which: Python's rules, in Python's
//! words where they are broken.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::args::BadArguments;
use crate::message::Body;

/// The parameters of a task as its callers see them: those of a Python function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parameters {
    /// Those that are given by position or by name, in their order.
    pub positional: &'static [Parameter],
    /// Whether it takes any more by position: `*args`.
    pub rest: bool,
    /// Those that are given by name only.
    pub named: &'static [Parameter],
    /// Whether it takes any more by name: `**kwargs`.
    pub named_rest: bool,
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether a message must give it.
    pub required: bool,
}

/// The arguments of a message, each at its parameter.
pub(super) struct Bound<'a> {
    /// One for each of `positional`, then one for each of `named`.
    values: Vec<Option<&'a RawValue>>,
    pub(super) rest: Vec<&'a RawValue>,
    pub(super) named_rest: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl Parameters {
    /// No parameters.
    pub const NONE: Self = Self {
        positional: &[],
        rest: false,
        named: &[],
        named_rest: false,
    };

    /// The place of a parameter that is given by position or by name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positional.iter().position(|given| given.name == name)
    }

    fn all(&self) -> impl Iterator<Item = &'static Parameter> {
        self.positional.iter().chain(self.named)
    }

    /// The place of a parameter in [`Bound`].
    fn index(&self, name: &str) -> Option<usize> {
        self.all().position(|parameter| parameter.name == name)
    }

    /// Brings the arguments of a body to their parameters, and finds the mistakes in the order in which
    /// Python finds them.
    pub(super) fn bind<'a>(
        &self,
        function: &str,
        body: &Body<'a>,
    ) -> Result<Bound<'a>, BadArguments> {
        let refuse = |what: String| Err(BadArguments(format!("{function}() {what}")));
        let Body(given, named, _) = body;
        let by_position = given.len().min(self.positional.len());
        let (first, rest) = given.split_at(by_position);
        let mut values: Vec<_> = first.iter().copied().map(Some).collect();
        values.resize(self.positional.len() + self.named.len(), None);

        let mut named_rest = Vec::new();
        for (name, value) in &named.0 {
            match self.index(name) {
                Some(index) if values[index].is_none() => values[index] = Some(*value),
                Some(_) => return refuse(format!("got multiple values for argument '{name}'")),
                None if self.named_rest => named_rest.push((name.clone(), *value)),
                None => return refuse(format!("got an unexpected keyword argument '{name}'")),
            }
        }
        if !rest.is_empty() && !self.rest {
            let named = values[self.positional.len()..].iter().flatten().count();
            return refuse(self.too_many(given.len(), named));
        }
        let (positional, named) = values.split_at(self.positional.len());
        for (parameters, values, kind) in [
            (self.positional, positional, "positional"),
            (self.named, named, "keyword-only"),
        ] {
            let missing: Vec<&str> = parameters
                .iter()
                .zip(values)
                .filter(|(parameter, value)| parameter.required && value.is_none())
                .map(|(parameter, _)| parameter.name)
                .collect();
            if !missing.is_empty() {
                return refuse(lacks(&missing, kind));
            }
        }
        Ok(Bound {
            values,
            rest: rest.to_vec(),
            named_rest,
        })
    }

    /// `takes from 1 to 2 positional arguments but 3 were given`
    fn too_many(&self, given: usize, named: usize) -> String {
        let most = self.positional.len();
        let least = self.positional.iter().filter(|of| of.required).count();
        let takes = if least < most {
            format!("from {least} to {most} positional arguments")
        } else {
            format!("{most} positional argument{}", plural(most))
        };
        let also = if named == 0 {
            String::new()
        } else {
            format!(
                " positional argument{} (and {named} keyword-only argument{})",
                plural(given),
                plural(named)
            )
        };
        let were = if given == 1 && named == 0 {
            "was"
        } else {
            "were"
        };
        format!("takes {takes} but {given}{also} {were} given")
    }
}

impl<'a> Bound<'a> {
    /// Takes the argument of a parameter.
    pub(super) fn take(&mut self, parameters: &Parameters, name: &str) -> Option<&'a RawValue> {
        self.values[parameters.index(name)?].take()
    }
}

/// `missing 2 required positional arguments: 'x' and 'y'`
fn lacks(names: &[&str], kind: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let list = match &quoted[..] {
        [first, second] => format!("{first} and {second}"),
        [others @ .., last] if !others.is_empty() => {
            format!("{}, and {last}", others.join(", "))
        }
        one => one.concat(),
    };
    let count = names.len();
    format!(
        "missing {count} required {kind} argument{}: {list}",
        plural(count)
    )
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn parameter(name: &'static str, required: bool) -> Parameter {
        Parameter { name, required }
    }

    /// What Python 3.11 says of a call of `f`.
    #[track_caller]
    fn check(parameters: Parameters, body: &str, message: &str) {
        let body = Body::parse(body.as_bytes()).expect("a body");
        let said = parameters.bind("f", &body).err().map(|error| error.0);
        assert_eq!(said.as_deref().unwrap_or("fits"), message);
    }

    #[test]
    fn says_what_python_says() {
        const TWO: Parameters = Parameters {
            positional: &[parameter("x", true), parameter("y", true)],
            ..Parameters::NONE
        };
        check(TWO, "[[1, 2], {}]", "fits");
        check(TWO, r#"[[], {"y": 2, "x": 1}]"#, "fits");
        check(
            TWO,
            "[[1], {}]",
            "f() missing 1 required positional argument: 'y'",
        );
        check(
            TWO,
            "[[], {}]",
            "f() missing 2 required positional arguments: 'x' and 'y'",
        );
        check(
            TWO,
            r#"[[1], {"z": 1}]"#,
            "f() got an unexpected keyword argument 'z'",
        );
        check(
            TWO,
            r#"[[1], {"x": 1}]"#,
            "f() got multiple values for argument 'x'",
        );
        check(
            TWO,
            "[[1, 2, 3], {}]",
            "f() takes 2 positional arguments but 3 were given",
        );
        check(
            Parameters::NONE,
            "[[1], {}]",
            "f() takes 0 positional arguments but 1 was given",
        );
        const THREE: Parameters = Parameters {
            positional: &[
                parameter("x", true),
                parameter("y", true),
                parameter("z", true),
            ],
            ..Parameters::NONE
        };
        check(
            THREE,
            "[[], {}]",
            "f() missing 3 required positional arguments: 'x', 'y', and 'z'",
        );
    }

    #[test]
    fn says_it_of_defaults_and_of_parameters_by_name_only() {
        const MIXED: Parameters = Parameters {
            positional: &[parameter("x", true), parameter("y", false)],
            named: &[parameter("k", true), parameter("l", false)],
            ..Parameters::NONE
        };
        check(MIXED, r#"[[1], {"k": 1}]"#, "fits");
        check(
            MIXED,
            r#"[[1, 2, 3], {"k": 1}]"#,
            "f() takes from 1 to 2 positional arguments but 3 positional arguments (and 1 keyword-only \
             argument) were given",
        );
        check(
            MIXED,
            "[[1, 2, 3], {}]",
            "f() takes from 1 to 2 positional arguments but 3 were given",
        );
        check(
            MIXED,
            "[[1], {}]",
            "f() missing 1 required keyword-only argument: 'k'",
        );
    }

    #[test]
    fn takes_whatever_else_there_is() {
        const ANY: Parameters = Parameters {
            positional: &[parameter("x", true)],
            rest: true,
            named: &[],
            named_rest: true,
        };
        let body = Body::parse(br#"[[1, 2, 3], {"a": 4}]"#).expect("a body");
        let mut bound = ANY.bind("f", &body).expect("fits");
        assert_eq!(bound.take(&ANY, "x").map(RawValue::get), Some("1"));
        assert_eq!(bound.rest.len(), 2);
        assert_eq!(bound.named_rest[0].0, "a");
        check(
            ANY,
            r#"[[], {"a": 1}]"#,
            "f() missing 1 required positional argument: 'x'",
        );
    }
}
