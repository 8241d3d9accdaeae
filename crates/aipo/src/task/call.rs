//! Step 2 of a task's life: a call with its options, typed by what it will return.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aipo_core::canvas::Canvas;
use aipo_core::message::{Compression, Serializer};
use aipo_core::task::{TaskArgs, TaskOptions};
use aipo_core::{Error, ErrorKind, QueueName, Signature, TaskId, When};
use serde_json::{Map, Value};

use super::Task;
use crate::flow::{Nothing, Takes};

/// A call of a task, not yet sent. `T` is what the task returns.
///
/// Made by `name::s(…)` of a `#[task]` function, [`Task::call`], or from a [`Signature`] for a task that is
/// known by name only.
///
/// `I` is what the call still lacks: [`Nothing`], or its first argument, [`Takes<A>`], which a workflow gives it.
/// `name::p(…)` makes such a call; Celery: a partial.
#[must_use = "a call does nothing until it is sent"]
pub struct Call<T, I = Nothing> {
    pub(crate) signature: Result<Signature, Unwritable>,
    /// The task's own options, for a sender that has not registered the task.
    pub(crate) options: TaskOptions,
    types: PhantomData<fn(I) -> T>,
}

/// An argument that JSON can't hold. Told when the call is sent.
#[derive(Debug, Clone)]
pub struct Unwritable {
    task: String,
    why: Arc<serde_json::Error>,
}

impl Unwritable {
    pub(crate) fn new(task: &str, why: serde_json::Error) -> Self {
        Self {
            task: task.to_owned(),
            why: Arc::new(why),
        }
    }
}

impl From<Unwritable> for Error {
    fn from(unwritable: Unwritable) -> Self {
        Self::new(ErrorKind::Codec, "an argument can't be written as JSON")
            .with("task", unwritable.task)
            .caused_by(unwritable.why)
    }
}

/// Positional and named arguments, if JSON can hold them.
type Written = serde_json::Result<(Vec<Value>, Map<String, Value>)>;

impl<T> Call<T> {
    /// A call of task `K`. Arguments that can't be JSON are told when the call is sent.
    pub fn of<K: Task<Output = T>>(args: K::Args) -> Self {
        Self::written::<K>(args.encode())
    }
}

impl<T, A> Call<T, Takes<A>> {
    /// A call of task `K` without its first argument.
    pub(crate) fn partial<K: Task<Output = T>>(rest: Written) -> Self {
        Self::written::<K>(rest)
    }
}

impl<T, I> Call<T, I> {
    fn written<K: Task>(args: Written) -> Self {
        let written = args.map_err(|why| Unwritable::new(K::NAME, why));
        Self {
            signature: written.map(|(args, kwargs)| Signature {
                kwargs,
                ..Signature::new(K::NAME).args(args)
            }),
            options: K::options(),
            types: PhantomData,
        }
    }

    /// The same call, its result read as another type.
    pub fn returning<U>(self) -> Call<U, I> {
        Call {
            signature: self.signature,
            options: self.options,
            types: PhantomData,
        }
    }

    /// As a part of a workflow, with what the task's own options say.
    pub(crate) fn into_canvas(self) -> Result<Canvas, Unwritable> {
        let mut signature = self.signature?;
        let (own, of_task) = (&mut signature.options, self.options);
        own.queue = own.queue.take().or(of_task.queue);
        own.priority = own.priority.or(of_task.priority);
        own.expires = own.expires.or(of_task.expires.map(When::In));
        own.time_limit = own.time_limit.or(of_task.time_limit);
        own.soft_time_limit = own.soft_time_limit.or(of_task.soft_time_limit);
        own.ignore_result = own.ignore_result.or(of_task.ignore_result);
        Ok(signature.into())
    }

    /// Run it no earlier than this long after it is sent. Celery's `countdown`.
    pub fn countdown(self, delay: std::time::Duration) -> Self {
        self.change(|signature| signature.options.eta = Some(When::In(delay)))
    }

    /// Run it no earlier than at this moment. Celery's `eta`.
    pub fn eta(self, moment: jiff::Timestamp) -> Self {
        self.change(|signature| signature.options.eta = Some(When::At(moment)))
    }

    /// Do not start it after this moment, or this long after it is sent: it ends as `REVOKED`.
    /// Celery's `expires`.
    pub fn expires(self, when: impl Into<When>) -> Self {
        self.change(|signature| signature.options.expires = Some(when.into()))
    }

    /// Send it to this queue.
    pub fn queue(self, queue: impl Into<QueueName>) -> Self {
        self.change(|signature| signature.options.queue = Some(queue.into()))
    }

    /// Its priority, from 0, the most urgent, to 9, as Celery on Redis has it.
    pub fn priority(self, priority: u8) -> Self {
        self.change(|signature| signature.options.priority = Some(priority))
    }

    /// Its id, instead of a new one.
    pub fn task_id(self, id: impl Into<TaskId>) -> Self {
        self.change(|signature| signature.options.task_id = Some(id.into()))
    }

    /// Whether its result is not stored.
    pub fn ignore_result(self, ignore: bool) -> Self {
        self.change(|signature| signature.options.ignore_result = Some(ignore))
    }

    /// The hard limit of its run time.
    pub fn time_limit(self, limit: std::time::Duration) -> Self {
        self.change(|signature| signature.options.time_limit = Some(limit))
    }

    /// The soft limit of its run time.
    pub fn soft_time_limit(self, limit: std::time::Duration) -> Self {
        self.change(|signature| signature.options.soft_time_limit = Some(limit))
    }

    /// A name to show instead of the task's. Celery's `shadow`.
    pub fn shadow(self, name: impl Into<String>) -> Self {
        self.change(|signature| signature.options.shadow = Some(name.into()))
    }

    /// How its message is serialised, instead of as the setting `task_serializer` says.
    pub fn serializer(self, serializer: Serializer) -> Self {
        self.change(|signature| signature.options.serializer = Some(serializer))
    }

    /// How its message is compressed, instead of as the setting `task_compression` says.
    pub fn compression(self, compression: Compression) -> Self {
        self.change(|signature| signature.options.compression = Some(compression))
    }

    /// Adds a header of the application's own. The names of Celery's headers are taken: such a call is
    /// refused when it is sent.
    pub fn header(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.change(|signature| {
            signature.options.headers.insert(name.into(), value.into());
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Signature)) -> Self {
        if let Ok(signature) = &mut self.signature {
            change(signature);
        }
        self
    }
}

/// A call of a task that is known by name only; its result is any JSON.
impl From<Signature> for Call<Value> {
    fn from(signature: Signature) -> Self {
        Self {
            signature: Ok(signature),
            options: TaskOptions::default(),
            types: PhantomData,
        }
    }
}

impl<T, I> Clone for Call<T, I> {
    fn clone(&self) -> Self {
        Self {
            signature: self.signature.clone(),
            options: self.options.clone(),
            types: PhantomData,
        }
    }
}

impl<T, I> fmt::Debug for Call<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.signature).finish()
    }
}

/// Whether a name belongs to Celery's own headers.
pub(crate) fn is_reserved_header(name: &str) -> bool {
    aipo_core::message::HEADER_NAMES.contains(&name) || name == "compression"
}
