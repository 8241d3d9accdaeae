//! An app: tasks, settings and a store under one name. Everything starts here.

mod builder;
mod builtin;
mod data;
mod later;
mod registry;
mod send;
mod workflow;

use std::fmt;
use std::sync::Arc;

use aipo_core::control::LamportClock;
use aipo_core::message::{Body, Headers, TaskMeta, format_utc};
use aipo_core::store::ResultRecord;
use aipo_core::task::TaskOptions;
use aipo_core::{
    Clock, Error, ErrorKind, GroupId, QueueName, Result, Settings, Store, TaskId, TaskState,
};
use serde_json::Value;
use serde_json::value::RawValue;

pub use builder::AppBuilder;
pub(crate) use registry::{AnyTask, Registry};
pub(crate) use send::into_publish;
pub(crate) use workflow::{Work, group_meta, not_a_workflow, read_group_meta};

use crate::flow::GroupHandle;
use crate::result::Handle;
use crate::signals::Signals;
use crate::task::Base;
use crate::worker::WorkerBuilder;
use data::Data;

/// Tasks, settings and a store. Cheap to clone; clones are the same app.
#[derive(Clone)]
pub struct App(Arc<Parts>);

struct Parts {
    name: String,
    settings: Settings,
    clock: Clock,
    store: Store,
    registry: Registry,
    bases: Vec<Arc<dyn Base>>,
    data: Data,
    signals: Signals,
    lamport: LamportClock,
    /// `gen{pid}@{host}`, the origin of what it sends.
    origin: String,
}

impl App {
    /// Starts an app of this name; the name is for people and appears in worker names.
    pub fn builder(name: impl Into<String>) -> AppBuilder {
        AppBuilder::new(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Its store: the queues, results and shared facts themselves.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where its signals are received.
    pub fn signals(&self) -> &Signals {
        &self.0.signals
    }

    /// The names of its tasks, sorted.
    pub fn tasks(&self) -> Vec<&'static str> {
        self.0.registry.names()
    }

    /// The options of one of its tasks; `None` when it has no task of that name.
    pub fn task_options(&self, name: &str) -> Option<&TaskOptions> {
        Some(self.0.registry.get(name)?.options())
    }

    /// The queues that its tasks can go to, the default one first, unless a call names another.
    pub fn queues(&self) -> Vec<QueueName> {
        let settings = self.settings();
        let of_tasks = self.tasks();
        let of_tasks = of_tasks.iter().filter_map(|name| self.0.registry.get(name));
        let mut queues = vec![settings.task_default_queue.clone()];
        let others = settings.task_routes.values().cloned();
        for queue in others.chain(of_tasks.filter_map(|task| task.options().queue.clone())) {
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        queues
    }

    /// What it was given with [`AppBuilder::data`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it has nothing of this type.
    pub fn data<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.0.data.get().ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::new(ErrorKind::NotFound, format!("the app was given no {name}"))
        })
    }

    /// A worker for its tasks, not yet started.
    pub fn worker(&self) -> WorkerBuilder {
        WorkerBuilder::new(self.clone())
    }

    /// The handle of a task that was sent before, here or elsewhere.
    pub fn result<T>(&self, id: impl Into<TaskId>) -> Handle<T> {
        Handle::new(self.clone(), id.into())
    }

    /// The handle of a group that was [saved](crate::GroupHandle::save) before, here or by Python, or of the tasks of a
    /// chord some of which are groups; `None` when there is none of that id. Celery's `GroupResult.restore`.
    ///
    /// # Errors
    /// What the store answers, and [`ErrorKind::Codec`] when what is stored is no group.
    pub async fn group<T>(&self, id: impl Into<GroupId>) -> Result<Option<GroupHandle<T>>> {
        let id = id.into();
        let Some(meta) = self.store().chords.saved_group(&id).await? else {
            return Ok(None);
        };
        let node = read_group_meta(&meta, self.settings().result_read_limit())
            .map_err(|error| error.with("group", id))?;
        Ok(Some(GroupHandle::new(self, node, None)))
    }

    /// The clock that goes with what it tells and hears.
    pub(crate) fn lamport(&self) -> &LamportClock {
        &self.0.lamport
    }

    /// Who sends what it sends: `gen{pid}@{host}`.
    pub(crate) fn origin(&self) -> &str {
        &self.0.origin
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn bases(&self) -> &[Arc<dyn Base>] {
        &self.0.bases
    }

    /// The result meta of a task that has entered a state, its value still null.
    pub(crate) fn meta(&self, headers: &Headers, state: TaskState) -> TaskMeta {
        TaskMeta {
            date_done: state.is_ready().then(|| format_utc(self.0.clock.now())),
            status: state,
            result: RawValue::NULL.to_owned(),
            traceback: None,
            children: None,
            task_id: headers.id.clone(),
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            extended: serde_json::Map::new(),
        }
    }

    /// A meta ready to be stored, with what `result_extended` adds. An empty body tells no arguments.
    pub(crate) fn result_record(
        &self,
        headers: &Headers,
        body: &[u8],
        queue: &QueueName,
        worker: Option<&str>,
        mut meta: TaskMeta,
    ) -> ResultRecord {
        if self.0.settings.result_extended {
            let arguments = Body::parse(body).ok().map(|body| body.values());
            let (args, kwargs) = arguments.unzip();
            meta.extended = serde_json::Map::from_iter([
                ("name".to_owned(), headers.task.clone().into()),
                ("args".to_owned(), args.into()),
                ("kwargs".to_owned(), kwargs.map(Value::Object).into()),
                ("worker".to_owned(), worker.into()),
                ("retries".to_owned(), headers.retries.into()),
                ("queue".to_owned(), queue.as_str().into()),
            ]);
            if let Some(names) = &headers.stamped_headers {
                let names = names.iter().cloned().map(Value::from);
                meta.extended
                    .insert("stamped_headers".to_owned(), names.collect());
                meta.extended.extend(headers.stamps.clone());
            }
        }
        ResultRecord {
            id: headers.id.clone(),
            meta: meta
                .encode_as(self.0.settings.result_format())
                .expect("values are checked where they come from, the rest fits everywhere"),
            state: meta.status,
            expires: self.0.settings.result_expires.non_zero(),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({} on {:?})", self.0.name, self.0.store)
    }
}
