//! What a large workflow does later is kept once, and messages carry a reference to it.
//!
//! Each task of a chord's header carries the body of the chord, and with it all that comes after: of a hundred
//! groups of a hundred tasks, one after the other, a hundred copies of nearly everything. Each task of a chain carries
//! all steps after it. Where that would be large, what comes later is kept in the state store, and messages carry a
//! task that stands for it:
//!
//! ```text
//! chord(header, chord(header, chord(header, body)))     as it was written
//! chord(header, ──▶ a)   a: chord(header, ──▶ b)   b: chord(header, body)
//! ```
//!
//! What is kept refers to the next in its turn, so all of it is kept once. Python workers pass references on, but
//! whoever comes to one has to know it: so they stand only behind tasks that [`Inline::knows`] says run in aipo.

use serde::Serialize;
use serde_json::{Map, Value};

use super::CanvasError;
use super::freeze::{Frozen, freeze};
use super::options::take;
use super::plan::{Inline, Kept};
use super::planner::{Planner, link_error_to_body, parts};
use super::signature::{Canvas, Kind, list};
use super::steps::awaited;

/// The task that stands for what is kept. One that is sent puts that in its own place.
pub const RESUME: &str = "aipo.resume";
/// Its named argument: the key of what is kept.
const KEPT: &str = "kept";
/// What a reference takes in a message, about, in bytes: less than that is no gain.
const REFERENCE_SIZE: usize = 512;

impl Planner<'_> {
    /// What a message carries of the steps of a chain after its own, which have their ids: the first ones, and a
    /// reference to the others where all would be too large.
    pub(super) fn keep_rest(&mut self, steps: Vec<Canvas>) -> Vec<Canvas> {
        let Inline { max_size, knows } = self.inline();
        let (mut carried, mut size) = (Vec::new(), 0);
        for mut step in steps.into_iter().rev() {
            let of_step = self.keep_later(&mut step);
            if size + of_step > max_size && !carried.is_empty() && all_known(&step, knows) {
                carried.reverse();
                let rest = match carried.len() {
                    1 => carried.remove(0),
                    _ => Canvas::chain(carried),
                };
                let rest = self.keep(rest);
                size = size_of(&rest);
                carried = vec![rest];
            }
            size += of_step;
            carried.push(step);
        }
        carried.reverse();
        carried
    }

    /// Keeps bodies of chords that come later; of a step that has its ids. Gives the size of what is left of it.
    fn keep_later(&mut self, step: &mut Canvas) -> usize {
        let within = match &mut step.kind {
            Kind::Task { .. } | Kind::Group(_) => return size_of(step),
            Kind::Chain(tasks) => tasks.iter_mut().map(|task| self.keep_later(task)).sum(),
            Kind::Chord { header, body } => size_of(header) + self.keep_body(header, body),
        };
        within + size_of(&(&step.args, &step.kwargs, &step.options)) + REFERENCE_SIZE
    }

    /// Keeps the body of a chord, and those in it, if the header would carry too much. Gives the size of what it
    /// carries.
    pub(super) fn keep_body(&mut self, header: &Canvas, body: &mut Canvas) -> usize {
        let size = self.keep_later(body);
        let Inline { max_size, knows } = self.inline();
        let copies = usize::try_from(parts(header)).unwrap_or(usize::MAX);
        let is_small = size.saturating_mul(copies) <= max_size;
        if is_small || size <= REFERENCE_SIZE.min(max_size) || !all_known(header, knows) {
            return size;
        }
        let later = std::mem::replace(body, Canvas::task(RESUME));
        *body = self.keep(later);
        size_of(body)
    }

    /// Keeps steps, and gives the reference to them.
    fn keep(&mut self, steps: Canvas) -> Canvas {
        let key = format!("step/{}", self.new_id());
        let reference = reference(&key, awaited(&steps).as_deref());
        let steps = steps.to_value();
        self.plan().keeps.push(Kept { key, steps });
        reference
    }
}

/// The task that stands for what is kept under this key, and for the id that is awaited of it.
pub fn reference(key: &str, id: Option<&str>) -> Canvas {
    let mut reference = Canvas::task(RESUME);
    reference.kwargs.insert(KEPT.to_owned(), key.into());
    if let Some(id) = id {
        reference.set("task_id", id);
    }
    reference
}

/// Bytes of a signature, or of part of one, as it travels.
fn size_of(part: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, part)
        .expect("a signature has text keys only, and a count takes any bytes");
    count.0
}

fn all_known(canvas: &Canvas, knows: &dyn Fn(&str) -> bool) -> bool {
    match &canvas.kind {
        Kind::Task { name, .. } => knows(name),
        Kind::Chain(tasks) | Kind::Group(tasks) => tasks.iter().all(|task| all_known(task, knows)),
        Kind::Chord { header, body } => all_known(header, knows) && all_known(body, knows),
    }
}

/// The key of what a signature refers to, if it is a reference.
pub fn kept(signature: &Value) -> Option<&str> {
    let is_reference = signature["task"] == RESUME;
    signature["kwargs"][KEPT].as_str().filter(|_| is_reference)
}

/// The first reference that has to be resolved before a signature can be ended without running: itself, or one in what
/// is awaited of it and of what comes after it.
pub fn first_reference(signature: &mut Value) -> Option<&mut Value> {
    if kept(signature).is_some() {
        return Some(signature);
    }
    let is_task = signature["subtask_type"].is_null();
    let mut within: Vec<&mut Value> = Vec::new();
    for (name, value) in signature.as_object_mut()? {
        let Value::Object(value) = value else {
            continue;
        };
        let named = match name.as_str() {
            "kwargs" if !is_task => ["tasks", "body"],
            "options" => ["chain", ""],
            _ => continue,
        };
        for (name, value) in value {
            match value {
                _ if !named.contains(&name.as_str()) => {}
                Value::Array(steps) => within.extend(steps),
                step => within.push(step),
            }
        }
    }
    within.into_iter().find_map(first_reference)
}

/// What was kept, in the place of the reference to it: with what was linked to and said of the reference meanwhile.
///
/// # Errors
/// When one of them is no signature.
pub fn resolve(
    reference: &Value,
    kept: &Value,
    new_id: &mut dyn FnMut() -> String,
) -> Result<Value, CanvasError> {
    let mut options = Canvas::from_value(reference)?.options;
    let mut steps = Canvas::from_value(kept)?;
    for callback in list(options.get("link")) {
        steps.link(&callback);
    }
    for errback in list(options.get("link_error")) {
        link_error_to_body(&mut steps, &errback, true);
    }
    let place = ["task_id", "group_id", "group_index", "chord", "root_id"];
    let place = take(&mut options, &place);
    let links = take(&mut options, &["link", "link_error"]);
    drop(links);
    steps.options.extend(options);
    freeze(&mut steps, frozen(&place), new_id);
    Ok(steps.to_value())
}

/// The place of a signature in its workflow, from its options.
fn frozen(place: &Map<String, Value>) -> Frozen<'_> {
    let text = |name: &str| place.get(name).and_then(Value::as_str);
    let index = place.get("group_index").and_then(Value::as_u64);
    Frozen {
        id: text("task_id"),
        group_id: text("group_id"),
        group_index: index.and_then(|index| usize::try_from(index).ok()),
        chord: place.get("chord").filter(|chord| !chord.is_null()),
        root_id: text("root_id"),
    }
}

/// Makes a reference to what is gone an ordinary task, which can end.
pub fn give_up(reference: &mut Value) {
    if let Some(kwargs) = reference["kwargs"].as_object_mut() {
        kwargs.remove(KEPT);
    }
}
