//! A plan of a workflow becomes messages, results and changes of chords.
//!
//! Before it: `aipo_core::canvas` says what has to happen. After it: a settlement carries it out together with a
//! task's own outcome, or [`App::advance`] does.

use aipo_core::canvas::{
    Canvas, CanvasError, Inline, Lineage, Plan, Planner, ResultNode, check_levels,
};
use aipo_core::message::{Format, GroupMeta, Headers, TaskMeta};
use aipo_core::store::{Chord, Part, Publish, ResultRecord, Step};
use aipo_core::task::TaskOptions;
use aipo_core::{Error, ErrorKind, Result, Signature, TaskId, TaskState};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::App;
use super::send::{Outgoing, into_publish};
use crate::task::current;

/// What a plan comes to.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) step: Step,
    pub(crate) publish: Vec<Outgoing>,
}

/// Makes the ids of a plan.
pub(crate) fn new_id() -> String {
    TaskId::new().to_string()
}

/// A workflow that was sent.
pub(crate) struct Started {
    node: Option<ResultNode>,
    root: Option<TaskId>,
}

impl Started {
    /// Its results and its root.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it runs nothing.
    pub(crate) fn into_parts(self) -> Result<(ResultNode, TaskId)> {
        let parts = self.node.zip(self.root);
        parts.ok_or_else(|| Error::new(ErrorKind::Config, "the workflow runs nothing"))
    }
}

impl App {
    /// Sends a workflow and gives the tree of its results; none when it runs nothing.
    ///
    /// # Errors
    /// As [`App::send`].
    pub async fn send_canvas(&self, canvas: Canvas) -> Result<Option<ResultNode>> {
        Ok(self.start(canvas, |_| Ok(())).await?.node)
    }

    /// Sends a workflow, unless `check` of its results says why not.
    pub(crate) async fn start(
        &self,
        canvas: Canvas,
        check: impl Fn(&ResultNode) -> Result<()>,
    ) -> Result<Started> {
        let parent = current();
        let lineage = parent
            .as_ref()
            .map(|cx| Lineage::from(cx.headers()))
            .unwrap_or_default();
        let (started, work) = self.planned(canvas, lineage, check)?;
        self.advance(work).await?;
        if let (Some(cx), Some(node)) = (parent, &started.node) {
            cx.adopt(node.clone());
        }
        Ok(started)
    }

    fn planned(
        &self,
        canvas: Canvas,
        lineage: Lineage,
        check: impl Fn(&ResultNode) -> Result<()>,
    ) -> Result<(Started, Work)> {
        let mut root = lineage.root_id.clone();
        let (node, mut plan) = self.plan(lineage, |planner| planner.begin(canvas))?;
        if let Some(node) = &node {
            check(node)?;
            // All of one workflow has one root: what comes first in it, a task or a group.
            let root = root.get_or_insert_with(|| node.first().id.as_str().into());
            for call in &mut plan.calls {
                call.options
                    .place
                    .root_id
                    .get_or_insert_with(|| root.clone());
            }
        }
        let names = crate::flow::names(&plan);
        let mut work = self.work(plan)?;
        if let (Some(node), Some(root)) = (&node, &root) {
            work.step
                .keeps
                .extend(self.workflow_facts(root, node, names));
        }
        Ok((Started { node, root }, work))
    }

    /// Plans part of a workflow.
    ///
    /// # Errors
    /// What `with` says is wrong with it.
    pub(crate) fn plan<T>(
        &self,
        lineage: Lineage,
        with: impl FnOnce(&mut Planner<'_>) -> Result<T, CanvasError>,
    ) -> Result<(T, Plan)> {
        let mut ids = new_id;
        let inline = Inline {
            max_size: self.settings().workflow_inline_max_size,
            knows: &|name| self.registry().get(name).is_some(),
        };
        let mut planner = Planner::new(lineage, inline, &mut ids);
        let planned = with(&mut planner).map_err(not_a_workflow)?;
        Ok((planned, planner.finish()))
    }

    /// Does all of it at once, as far as the store can.
    pub(crate) async fn advance(&self, work: Work) -> Result<()> {
        let Work { step, publish } = work;
        let announced = self.announce(&publish);
        self.carry_out(step, into_publish(publish)).await?;
        self.announce_sent(announced).await;
        Ok(())
    }

    /// [`advance`](Self::advance) without telling anybody.
    pub(crate) async fn carry_out(&self, mut step: Step, publish: Vec<Publish>) -> Result<()> {
        let store = self.store();
        if step.is_empty() {
            return store.broker.publish(publish).await;
        }
        if store.settles_results {
            return store.chords.advance(step, publish).await;
        }
        // A chord is opened before a part of it can be done, and what is kept is there until all is sent.
        let last = step.take_drops();
        store.chords.advance(step, Vec::new()).await?;
        store.broker.publish(publish).await?;
        match last.is_empty() {
            true => Ok(()),
            false => store.chords.advance(last, Vec::new()).await,
        }
    }

    /// What a plan comes to.
    ///
    /// # Errors
    /// As [`App::send`], when a message can't be made.
    pub(crate) fn work(&self, plan: Plan) -> Result<Work> {
        let now = self.clock().now();
        let expires = self.settings().result_expires.non_zero();
        let format = self.settings().result_format();
        let mut work = Work::default();
        for kept in &plan.keeps {
            check_levels(&kept.steps).map_err(not_a_workflow)?;
        }
        for call in plan.calls {
            let place = &call.options.place;
            for carried in place.chain.iter().flatten().chain(&place.chord) {
                check_levels(carried).map_err(not_a_workflow)?;
            }
            let options = match self.registry().get(&call.task) {
                Some(task) => task.options().clone(),
                None => TaskOptions::default(),
            };
            let outgoing = self.prepare_call(&call, &options, now)?;
            work.publish.push(outgoing);
        }
        let step = &mut work.step;
        step.opens.extend(
            plan.opens
                .into_iter()
                .map(|(group, size, structure)| Chord {
                    group,
                    size,
                    structure: structure.map(|node| group_meta(&node, format)),
                    expires,
                }),
        );
        step.grows = plan.grows;
        step.keeps = plan.keeps.iter().map(|kept| self.keep(kept)).collect();
        for failed in plan.failures {
            let headers = Headers {
                group: failed.group,
                parent_id: failed.parent_id,
                ..Headers::new("", failed.id)
            };
            let meta = TaskMeta {
                result: to_raw_value(&failed.failure.exception)
                    .expect("an exception is text and values, which JSON can hold"),
                traceback: (failed.state == TaskState::Failure).then(|| failed.failure.told()),
                children: Some(failed.children.iter().map(ResultNode::to_value).collect()),
                extended: self.extended_of(failed.call),
                ..self.meta(&headers, failed.state.clone())
            };
            step.results.push(ResultRecord {
                id: headers.id,
                state: meta.status.clone(),
                meta: meta
                    .encode_as(format)
                    .expect("texts, which every format can hold"),
                expires,
            });
        }
        for part in plan.parts {
            let value = crate::worker::failed_part(&part);
            let lineage = Lineage {
                root_id: plan.root_id.clone(),
                parent_id: None,
            };
            step.parts.push(Part {
                group: part.group,
                index: part.index,
                id: part.id,
                state: part.state,
                value,
                then: crate::worker::then(&part.body, &lineage),
                expires,
            });
        }
        Ok(work)
    }

    /// What `result_extended` tells of a call that no worker ran.
    fn extended_of(&self, call: Option<Signature>) -> Map<String, Value> {
        let call = call.filter(|_| self.settings().result_extended);
        let told = call.map(|call| {
            Map::from_iter([
                ("name".to_owned(), call.task.into()),
                ("args".to_owned(), call.args.into()),
                ("kwargs".to_owned(), call.kwargs.into()),
                ("worker".to_owned(), Value::Null),
                ("retries".to_owned(), 0.into()),
                ("queue".to_owned(), Value::Null),
            ])
        });
        told.unwrap_or_default()
    }
}

/// Celery's meta of a group: how its results are nested.
pub(crate) fn group_meta(group: &ResultNode, format: Format) -> Vec<u8> {
    let result = group.to_value();
    let meta = GroupMeta { result }.encode_as(format);
    meta.expect("a tree of texts, which every format can hold")
}

/// What [`group_meta`] writes, or Celery, in any format.
///
/// # Errors
/// [`ErrorKind::Codec`] when it is something else.
pub(crate) fn read_group_meta(meta: &[u8], max_size: usize) -> Result<ResultNode> {
    let no_group = || Error::new(ErrorKind::Codec, "what is stored is no group");
    let meta = GroupMeta::decode(meta, max_size).map_err(|error| no_group().caused_by(error))?;
    let node = ResultNode::from_value(&meta.result).filter(ResultNode::is_group);
    node.ok_or_else(no_group)
}

pub(crate) fn not_a_workflow(error: CanvasError) -> Error {
    Error::new(ErrorKind::Config, error.0)
}
