//! From a signature to the messages that start it and the chords that it opens. Celery's `apply_async`.

use serde_json::{Map, Value};

use super::CanvasError;
use super::depth::check_layers;
use super::freeze::{Frozen, flatten, freeze};
use super::options::{merge, read, take};
use super::plan::{Inline, Lineage, Plan};
use super::signature::{Canvas, Kind, list};
use super::steps::{is_empty_group, steps, unchain};
use super::tree::ResultNode;
use crate::id::GroupId;
use crate::signature::Signature;

/// Makes a plan of signatures, one after the other.
pub struct Planner<'a> {
    new_id: &'a mut dyn FnMut() -> String,
    lineage: Lineage,
    inline: Inline<'a>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    /// An empty plan. `new_id` makes ids.
    pub fn new(
        lineage: Lineage,
        inline: Inline<'a>,
        new_id: &'a mut dyn FnMut() -> String,
    ) -> Self {
        let plan = Plan {
            root_id: lineage.root_id.clone(),
            ..Plan::default()
        };
        Self {
            new_id,
            lineage,
            inline,
            plan,
        }
    }

    /// What has been planned.
    pub fn finish(self) -> Plan {
        self.plan
    }

    pub(super) fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    pub(super) fn inline(&self) -> Inline<'a> {
        self.inline
    }

    pub(super) fn new_id(&mut self) -> String {
        (self.new_id)()
    }

    pub(super) fn freeze(&mut self, canvas: &mut Canvas, with: Frozen<'_>) -> ResultNode {
        freeze(canvas, with, self.new_id)
    }

    /// Applies a workflow that somebody wrote, see [`apply`](Self::apply).
    ///
    /// # Errors
    /// As `apply`, and when it has too many layers.
    pub fn begin(&mut self, canvas: Canvas) -> Result<Option<ResultNode>, CanvasError> {
        check_layers(&canvas)?;
        self.apply(canvas, &[], Map::new())
    }

    /// Applies a signature to arguments, which come before its own, and options, which win over its own. Gives the
    /// results that it will have; none when it runs nothing.
    ///
    /// # Errors
    /// When an option is of a wrong type.
    pub fn apply(
        &mut self,
        canvas: Canvas,
        args: &[Value],
        options: Map<String, Value>,
    ) -> Result<Option<ResultNode>, CanvasError> {
        self.apply_with(canvas, args, &Map::new(), options)
    }

    fn apply_with(
        &mut self,
        mut canvas: Canvas,
        args: &[Value],
        kwargs: &Map<String, Value>,
        options: Map<String, Value>,
    ) -> Result<Option<ResultNode>, CanvasError> {
        if !canvas.immutable {
            canvas.args.splice(0..0, args.iter().cloned());
            canvas.kwargs.extend(kwargs.clone());
        }
        match &canvas.kind {
            Kind::Task { .. } => self.task(canvas, &options).map(Some),
            Kind::Chain(_) => self.chain(canvas, options),
            Kind::Group(_) => self.group(canvas, options).map(Some),
            Kind::Chord { .. } => self.chord(canvas, options).map(Some),
        }
    }

    fn task(
        &mut self,
        mut task: Canvas,
        options: &Map<String, Value>,
    ) -> Result<ResultNode, CanvasError> {
        merge(&mut task.options, options);
        if task.text("task_id").is_none() {
            let id = self.new_id();
            task.set("task_id", id);
        }
        let mut call = read(&task)?;
        let place = &mut call.place;
        place.root_id = place.root_id.take().or(self.lineage.root_id.clone());
        place.parent_id = place.parent_id.take().or(self.lineage.parent_id.clone());
        let id = task.text("task_id").unwrap_or_default().to_owned();
        self.plan.calls.push(Signature {
            task: task.name().to_owned(),
            args: task.args,
            kwargs: task.kwargs,
            options: call,
        });
        Ok(ResultNode::task(id))
    }

    fn chain(
        &mut self,
        mut chain: Canvas,
        of_call: Map<String, Value>,
    ) -> Result<Option<ResultNode>, CanvasError> {
        let mut options = std::mem::take(&mut chain.options);
        options.extend(of_call);
        let own = [
            "task_id",
            "group_id",
            "group_index",
            "chord",
            "link",
            "link_error",
            "parent_id",
        ];
        let own = take(&mut options, &own);
        let links = ["link", "link_error"];
        chain.options.extend(
            links
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), own.get(*name)?.clone()))),
        );
        let mut steps = steps(unchain(chain));
        if steps.is_empty() {
            return Ok(None);
        }
        let of_text = |name: &str| own.get(name).and_then(Value::as_str);
        let root_id = options
            .get("root_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let root_id = root_id.or_else(|| {
            self.lineage
                .root_id
                .as_ref()
                .map(|id| id.as_str().to_owned())
        });
        let of_last = Frozen {
            id: of_text("task_id"),
            group_id: of_text("group_id"),
            group_index: own
                .get("group_index")
                .and_then(Value::as_u64)
                .map(|index| index as usize),
            chord: own.get("chord").filter(|chord| !chord.is_null()),
            root_id: root_id.as_deref(),
        };
        let of_others = Frozen {
            root_id: root_id.as_deref(),
            ..Frozen::default()
        };
        let last = steps.len() - 1;
        let mut result: Option<ResultNode> = None;
        for (index, step) in steps.iter_mut().enumerate() {
            let with = if index == last { of_last } else { of_others };
            let mut of_step = self.freeze(step, with);
            if let Some(before) = result.take() {
                of_step.after(before);
            }
            result = Some(of_step);
        }
        let first = steps.remove(0);
        let rest = self.keep_rest(steps);
        let rest: Vec<Value> = rest.iter().rev().map(Canvas::to_value).collect();
        // What follows the chain as a whole comes after its own steps, so before them in the reverse list.
        let mut follows = match options.remove("chain") {
            Some(Value::Array(outer)) => outer,
            _ => Vec::new(),
        };
        let is_alone = rest.is_empty();
        follows.extend(rest);
        options.insert("chain".to_owned(), follows.into());
        if let Some(parent) = own.get("parent_id") {
            options.insert("parent_id".to_owned(), parent.clone());
        }
        let sent = self.apply(first, &[], options)?;
        Ok(if is_alone { sent } else { result })
    }

    fn group(
        &mut self,
        mut group: Canvas,
        of_call: Map<String, Value>,
    ) -> Result<ResultNode, CanvasError> {
        let (args, kwargs) = (
            std::mem::take(&mut group.args),
            std::mem::take(&mut group.kwargs),
        );
        let mut options = std::mem::take(&mut group.options);
        merge(&mut options, &of_call);
        let Kind::Group(tasks) = group.kind else {
            unreachable!("the caller looked")
        };
        let id = match options.remove("task_id") {
            Some(Value::String(id)) => id,
            _ => self.new_id(),
        };
        let mut members = Vec::with_capacity(tasks.len());
        flatten(tasks, &mut members);
        let chord = options.remove("chord").filter(|chord| !chord.is_null());
        // The callbacks and errbacks of a group that runs as one replace those of its members.
        for name in ["group_id", "group_index"] {
            options.remove(name);
        }
        let root_id = options
            .get("root_id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let mut results = Vec::with_capacity(members.len());
        for (index, member) in members.iter_mut().enumerate() {
            let with = Frozen {
                group_id: Some(&id),
                group_index: Some(index),
                chord: chord.as_ref(),
                root_id: root_id.as_deref(),
                id: None,
            };
            results.push(self.freeze(member, with));
        }
        // Members of a group that comes last in a chain inside a chord are counted in that chord's group.
        if members.iter().any(|member| is_part_of(member, &id)) {
            let size = members.iter().map(parts).sum();
            let is_nested = results.iter().any(ResultNode::is_group);
            let structure = is_nested.then(|| ResultNode::group(id.clone(), results.clone()));
            self.plan
                .opens
                .push((GroupId::from(id.as_str()), size, structure));
        }
        for member in members {
            self.apply_with(member, &args, &kwargs, options.clone())?;
        }
        // A group of a chain that ends in a group is that group.
        if results.len() == 1 && results[0].is_group() {
            return Ok(results.remove(0));
        }
        Ok(ResultNode::group(id, results))
    }

    fn chord(
        &mut self,
        chord: Canvas,
        of_call: Map<String, Value>,
    ) -> Result<ResultNode, CanvasError> {
        let Canvas {
            kind,
            args,
            kwargs,
            mut options,
            ..
        } = chord;
        let Kind::Chord {
            mut header,
            mut body,
        } = kind
        else {
            unreachable!("the caller looked")
        };
        merge(&mut options, &of_call);
        let delay = take(&mut options, &["countdown", "eta"]);
        let parent = take(&mut options, &["parent_id"]);
        let links = take(&mut options, &["link", "link_error"]);
        let id = match options.remove("task_id") {
            Some(Value::String(id)) => id,
            _ => self.new_id(),
        };
        let group_id = match header.options.remove("task_id") {
            Some(Value::String(id)) => id,
            _ => self.new_id(),
        };
        for callback in list(links.get("link")) {
            body.link(&callback);
        }
        for errback in list(links.get("link_error")) {
            link_error_to_body(&mut body, &errback, true);
        }
        // What was said of the chord holds for its body: the chain that follows, the chord that it is part of.
        body.options.extend(options.clone());
        if let Kind::Chain(tasks) = &mut body.kind {
            let split = steps(std::mem::take(tasks));
            *tasks = split;
        }
        let root_id = body.text("root_id").map(str::to_owned);
        // A body that is part of another chord is counted there.
        let counted_in = body.text("group_id").unwrap_or(&group_id).to_owned();
        let with = Frozen {
            id: Some(&id),
            group_id: Some(&counted_in),
            root_id: root_id.as_deref(),
            ..Frozen::default()
        };
        let mut result = self.freeze(&mut body, with);
        let members = take(&mut options, &["chain", "chord", "group_id", "group_index"]);
        drop(members);
        if is_empty_group(&header) {
            options.extend(parent);
            self.apply(*body, &[Value::Array(Vec::new())], options)?;
            result.after(ResultNode::group(group_id, Vec::new()));
            return Ok(result);
        }
        self.keep_body(&header, &mut body);
        header.args = args;
        header.kwargs = kwargs;
        options.insert("task_id".to_owned(), group_id.into());
        options.insert("chord".to_owned(), body.to_value());
        options.extend(delay);
        options.extend(parent);
        let before = self.group(*header, options)?;
        result.after(before);
        Ok(result)
    }
}

/// Links an errback to the body of a chord: to every task of a group, but not to the header of a chord in it. A group
/// that runs as one and has errbacks of its own gets it there, since those replace its tasks'.
pub(super) fn link_error_to_body(body: &mut Canvas, errback: &Value, runs_as_one: bool) {
    let has_own = body.options.contains_key("link_error");
    match &mut body.kind {
        Kind::Group(_) if runs_as_one && has_own => body.push("link_error", errback.clone()),
        Kind::Group(members) => {
            members
                .iter_mut()
                .for_each(|member| link_error_to_body(member, errback, false));
        }
        Kind::Chord { body, .. } => link_error_to_body(body, errback, true),
        Kind::Task { .. } | Kind::Chain(_) => body.link_error(errback),
    }
}

/// Whether what is awaited of it is a part of the chord of this group.
fn is_part_of(member: &Canvas, group: &str) -> bool {
    match &member.kind {
        Kind::Chain(tasks) => tasks.last().is_some_and(|last| is_part_of(last, group)),
        Kind::Chord { body, .. } => is_part_of(body, group),
        Kind::Task { .. } | Kind::Group(_) => {
            let has_chord = member
                .options
                .get("chord")
                .is_some_and(|chord| !chord.is_null());
            has_chord && member.text("group_id") == Some(group)
        }
    }
}

/// How many parts of a chord a member of its header gives.
pub(super) fn parts(member: &Canvas) -> u64 {
    match &member.kind {
        Kind::Task { .. } => 1,
        Kind::Group(members) => members.iter().map(parts).sum(),
        Kind::Chain(tasks) => tasks
            .iter()
            .rev()
            .map(parts)
            .find(|parts| *parts > 0)
            .unwrap_or_default(),
        Kind::Chord { body, .. } => parts(body),
    }
}
