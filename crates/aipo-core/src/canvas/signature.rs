//! Celery's signature: what is called, with what, and how. It travels inside messages as a map.

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::options::write;
use crate::signature::Signature;

/// A task, or several combined. Celery's `Signature`.
///
/// What it has been given is kept as it came, options that aipo does not know included, so that it can
/// be passed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas {
    /// What it is.
    pub kind: Kind,
    /// Positional arguments; what it is applied to comes before them.
    pub args: Vec<Value>,
    /// Named arguments; what it is applied to wins over them. Of a chord, those of its header.
    pub kwargs: Map<String, Value>,
    /// Options, by their names in `apply_async`.
    pub options: Map<String, Value>,
    /// Whether it takes no arguments beside its own.
    pub immutable: bool,
}

/// What a signature is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A task. Map, starmap and chunks are tasks as well, with another one among their arguments.
    Task {
        /// Its name.
        name: String,
        /// What Celery writes as `subtask_type`; mostly nothing.
        subtask_type: Option<String>,
    },
    /// One after the other, each with the result of the one before.
    Chain(Vec<Canvas>),
    /// Side by side.
    Group(Vec<Canvas>),
    /// Side by side, and then one more with all their results.
    Chord {
        /// A group.
        header: Box<Canvas>,
        /// What comes after.
        body: Box<Canvas>,
    },
}

impl Canvas {
    /// A task without arguments.
    pub fn task(name: impl Into<String>) -> Self {
        Self::of(Kind::Task {
            name: name.into(),
            subtask_type: None,
        })
    }

    /// A chain of these.
    pub fn chain(tasks: Vec<Canvas>) -> Self {
        Self::of(Kind::Chain(tasks))
    }

    /// A group of these.
    pub fn group(tasks: Vec<Canvas>) -> Self {
        Self::of(Kind::Group(tasks))
    }

    /// A chord of a group and what comes after it.
    pub fn chord(header: Vec<Canvas>, body: Canvas) -> Self {
        Self::chord_of(Self::group(header), body)
    }

    /// A chord of a group that is there already.
    pub fn chord_of(header: Canvas, body: Canvas) -> Self {
        Self::of(Kind::Chord {
            header: Box::new(header),
            body: Box::new(body),
        })
    }

    pub(super) fn of(kind: Kind) -> Self {
        Self {
            kind,
            args: Vec::new(),
            kwargs: Map::new(),
            options: Map::new(),
            immutable: false,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_value(value: &Value) -> Result<Self, super::CanvasError> {
        read(value.clone()).map_err(super::CanvasError)
    }

    /// As it travels.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("a signature has text keys only, which JSON can hold")
    }

    /// The name that Celery shows: a task's, or `celery.chain` and the like.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Task { name, .. } => name,
            Kind::Chain(_) => "celery.chain",
            Kind::Group(_) => "celery.group",
            Kind::Chord { .. } => "celery.chord",
        }
    }

    /// An option that is text.
    pub(super) fn text(&self, option: &str) -> Option<&str> {
        self.options.get(option)?.as_str()
    }

    /// Sets an option.
    pub(super) fn set(&mut self, option: &str, value: impl Into<Value>) {
        self.options.insert(option.to_owned(), value.into());
    }

    /// Adds to an option that is a list of signatures, or one: `link`, `link_error`.
    pub(super) fn push(&mut self, option: &str, signature: Value) {
        let mut all = list(self.options.get(option));
        if !all.contains(&signature) {
            all.push(signature);
        }
        self.set(option, all);
    }

    /// Runs `callback` with what comes of this: of the last step of a chain, of the body of a chord. Of a group, after
    /// its first member and without its value. Celery's `link`.
    pub fn link(&mut self, callback: &Value) {
        match &mut self.kind {
            Kind::Task { .. } | Kind::Chain(_) => self.push("link", callback.clone()),
            Kind::Group(members) => {
                let mut callback = callback.clone();
                if let Some(callback) = callback.as_object_mut() {
                    callback.insert("immutable".to_owned(), true.into());
                }
                if let Some(first) = members.first_mut() {
                    first.link(&callback);
                }
            }
            Kind::Chord { body, .. } => body.link(callback),
        }
    }

    /// Runs `callback` with what comes of this, of each member where that is a group.
    pub fn link_each(&mut self, callback: &Value) {
        match &mut self.kind {
            Kind::Task { .. } => self.push("link", callback.clone()),
            Kind::Chain(tasks) => {
                if let Some(last) = tasks.last_mut() {
                    last.link_each(callback);
                }
            }
            Kind::Group(members) => members
                .iter_mut()
                .for_each(|member| member.link_each(callback)),
            Kind::Chord { body, .. } => body.link_each(callback),
        }
    }

    /// Runs `errback` when this fails. Celery's `link_error`.
    pub fn link_error(&mut self, errback: &Value) {
        match &mut self.kind {
            Kind::Task { .. } | Kind::Chain(_) => self.push("link_error", errback.clone()),
            Kind::Group(members) => {
                members
                    .iter_mut()
                    .for_each(|member| member.link_error(errback));
            }
            Kind::Chord { header, body } => {
                if let Kind::Group(members) = &mut header.kind {
                    let chords = members
                        .iter_mut()
                        .filter(|member| matches!(member.kind, Kind::Chord { .. }));
                    chords.for_each(|chord| chord.link_error(errback));
                }
                body.link_error(errback);
            }
        }
    }
}

/// A call, as a part of a workflow.
impl From<Signature> for Canvas {
    fn from(call: Signature) -> Self {
        Self {
            options: write(&call.options),
            args: call.args,
            kwargs: call.kwargs,
            ..Self::task(call.task)
        }
    }
}

/// An option that is a list of signatures, or one, or nothing.
pub(super) fn list(option: Option<&Value>) -> Vec<Value> {
    match option {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    }
}

impl Serialize for Canvas {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(6))?;
        map.serialize_entry("task", self.name())?;
        map.serialize_entry("args", &self.args)?;
        let subtask_type = match &self.kind {
            Kind::Task { subtask_type, .. } => {
                map.serialize_entry("kwargs", &self.kwargs)?;
                subtask_type.as_deref()
            }
            Kind::Chain(tasks) => {
                map.serialize_entry("kwargs", &Tasks { tasks })?;
                Some("chain")
            }
            Kind::Group(tasks) => {
                map.serialize_entry("kwargs", &Tasks { tasks })?;
                Some("group")
            }
            Kind::Chord { header, body } => {
                let kwargs = &self.kwargs;
                match &header.kind {
                    // As it is written; one that has an id keeps it.
                    Kind::Group(tasks) if header.options.is_empty() => {
                        let header = tasks;
                        map.serialize_entry(
                            "kwargs",
                            &Chord {
                                kwargs,
                                header,
                                body,
                            },
                        )?;
                    }
                    _ => map.serialize_entry(
                        "kwargs",
                        &Chord {
                            kwargs,
                            header,
                            body,
                        },
                    )?,
                }
                Some("chord")
            }
        };
        map.serialize_entry("options", &self.options)?;
        map.serialize_entry("subtask_type", &subtask_type)?;
        map.serialize_entry("immutable", &self.immutable)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Tasks<'a> {
    tasks: &'a [Canvas],
}

#[derive(Serialize)]
struct Chord<'a, H> {
    kwargs: &'a Map<String, Value>,
    header: H,
    body: &'a Canvas,
}

impl<'de> Deserialize<'de> for Canvas {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read(Value::deserialize(from)?).map_err(D::Error::custom)
    }
}

fn read(value: Value) -> Result<Canvas, String> {
    let Value::Object(mut map) = value else {
        return Err(format!("a signature is a map, not {value}"));
    };
    let Some(Value::String(name)) = map.remove("task") else {
        return Err("a signature lacks the name of its task".to_owned());
    };
    let mut of_map = |key| match map.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(format!("{key} of the signature of {name} is no map")),
    };
    let (mut kwargs, options) = (of_map("kwargs")?, of_map("options")?);
    let args = match map.remove("args") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(args)) => args,
        Some(_) => return Err(format!("args of the signature of {name} is no list")),
    };
    let kind = match map.get("subtask_type").and_then(Value::as_str) {
        Some("chain") => Kind::Chain(members(kwargs.remove("tasks"))?),
        Some("group") => Kind::Group(members(kwargs.remove("tasks"))?),
        Some("chord") => {
            let header = match kwargs.remove("header") {
                Some(header @ Value::Object(_)) => {
                    let header = read(header)?;
                    match header.kind {
                        Kind::Group(_) => header,
                        _ => Canvas::group(vec![header]),
                    }
                }
                header => Canvas::group(members(header)?),
            };
            let body = kwargs.remove("body").ok_or("a chord lacks its body")?;
            let body = Box::new(read(body)?);
            kwargs = match kwargs.remove("kwargs") {
                Some(Value::Object(kwargs)) => kwargs,
                _ => Map::new(),
            };
            Kind::Chord {
                header: Box::new(header),
                body,
            }
        }
        other => Kind::Task {
            subtask_type: other.map(str::to_owned),
            name,
        },
    };
    Ok(Canvas {
        kind,
        args,
        kwargs,
        options,
        immutable: map.get("immutable") == Some(&Value::Bool(true)),
    })
}

fn members(tasks: Option<Value>) -> Result<Vec<Canvas>, String> {
    match tasks {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tasks)) => tasks.into_iter().map(read).collect(),
        Some(_) => Err("the tasks of a signature are no list".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add() -> Value {
        json!({"task": "tasks.add", "args": [1], "kwargs": {"y": 2}, "options": {"task_id": "a", "x-own": 1},
               "subtask_type": null, "immutable": true})
    }

    #[test]
    fn signatures_travel_as_celery_writes_them() {
        #[track_caller]
        fn check(value: Value) {
            let canvas = Canvas::from_value(&value).expect("a signature");
            assert_eq!(canvas.to_value(), value);
        }
        let of = |kind: &str, kwargs: Value| {
            json!({"task": format!("celery.{kind}"), "args": [], "kwargs": kwargs, "options": {},
                   "subtask_type": kind, "immutable": false})
        };
        let group = of("group", json!({"tasks": [add(), add()]}));
        let mut frozen = group.clone();
        frozen["options"] = json!({"task_id": "g"});
        check(add());
        check(of("chain", json!({"tasks": [add(), group]})));
        check(of(
            "chord",
            json!({"kwargs": {"k": 1}, "header": [add()], "body": add()}),
        ));
        check(of(
            "chord",
            json!({"kwargs": {}, "header": frozen, "body": group}),
        ));
        check(
            json!({"task": "celery.starmap", "args": [], "kwargs": {"task": add(), "it": [[1, 2]]}, "options": {},
                     "subtask_type": null, "immutable": true}),
        );
    }

    #[test]
    fn a_callback_of_a_group_is_its_first_members_and_takes_nothing() {
        let group = || Canvas::group(vec![Canvas::task("a"), Canvas::task("b")]);
        let callback = Canvas::task("callback").to_value();
        let linked = |group: &Canvas| {
            let Kind::Group(members) = &group.kind else {
                panic!("a group stays one")
            };
            members
                .iter()
                .map(|member| list(member.options.get("link")))
                .collect::<Vec<_>>()
        };

        let mut first = group();
        first.link(&callback);
        let [of_a, of_b] = &linked(&first)[..] else {
            panic!("two members")
        };
        assert_eq!(of_a[0]["immutable"], true);
        assert!(of_b.is_empty());

        let mut each = Canvas::chain(vec![Canvas::task("x"), Canvas::chord_of(group(), group())]);
        each.link_each(&callback);
        let Kind::Chain(steps) = &each.kind else {
            panic!("a chain stays one")
        };
        let Kind::Chord { body, .. } = &steps[1].kind else {
            panic!("a chord stays one")
        };
        assert_eq!(linked(body), [[callback.clone()], [callback]]);
    }

    #[test]
    fn what_is_missing_is_empty_and_what_is_wrong_is_said() {
        let canvas = Canvas::from_value(&json!({"task": "t"})).expect("a signature");
        assert_eq!(canvas, Canvas::task("t"));
        #[track_caller]
        fn check(value: Value, expected: &str) {
            let error = Canvas::from_value(&value).expect_err("no signature");
            assert!(error.0.contains(expected), "{error}");
        }
        check(json!(5), "a map");
        check(json!({}), "name");
        check(json!({"task": "t", "args": 5}), "args");
        check(json!({"task": "t", "subtask_type": "chord"}), "body");
        check(
            json!({"task": "t", "subtask_type": "group", "kwargs": {"tasks": 1}}),
            "no list",
        );
    }
}
