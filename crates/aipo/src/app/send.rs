//! Step 3 of a task's life: a call gets its id, its times, its queue, and becomes a message.
//!
//! Before it: the call ([`Call`]). After it: `aipo_core::message` writes the message, and the broker
//! publishes it.

use aipo_core::canvas::ResultNode;
use aipo_core::control::Event;
use aipo_core::message::{
    Embed, Envelope, Format, Headers, Properties, TaskMessage, TimeLimit, WireTime,
};
use aipo_core::message::{repr_kwargs, repr_tuple};
use aipo_core::store::{MAX_PRIORITY, Publish};
use aipo_core::task::TaskOptions;
use aipo_core::{Error, ErrorKind, QueueName, Result, Signature, TaskId};
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::App;
use crate::flow::Sendable;
use crate::result::Handle;
use crate::routing::route;
use crate::signals::Signal;
use crate::task::{Call, Context, current, is_reserved_header};

impl App {
    /// Sends a task to its queue and gives the handle of its result; or a whole workflow, and gives the handle of
    /// what comes of it.
    ///
    /// After `Ok` it will run, even if every process dies now. Celery: `apply_async`.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] when an argument can't be JSON or the serializer has no place for it, [`ErrorKind::TooLarge`] when the message is
    /// larger than `task_max_message_size`, [`ErrorKind::Config`] for an option out of range, otherwise
    /// what the broker answers; then nothing was sent.
    pub async fn send<S: Sendable>(&self, what: S) -> Result<S::Handle> {
        what.send(self).await
    }

    pub(crate) async fn send_call<T>(&self, call: Call<T>) -> Result<Handle<T>> {
        let outgoing = self.prepare(call, self.clock().now())?;
        let handle = outgoing.handle(self);
        self.publish(vec![outgoing]).await?;
        Ok(handle)
    }

    /// Sends many tasks in one step, all or none, and gives their handles in order.
    ///
    /// # Errors
    /// As [`send`](Self::send); then none was sent.
    pub async fn send_all<T>(
        &self,
        calls: impl IntoIterator<Item = Call<T>>,
    ) -> Result<Vec<Handle<T>>> {
        let now = self.clock().now();
        let outgoing = calls
            .into_iter()
            .map(|call| self.prepare(call, now))
            .collect::<Result<Vec<Outgoing>>>()?;
        let handles = outgoing
            .iter()
            .map(|outgoing| outgoing.handle(self))
            .collect();
        self.publish(outgoing).await?;
        Ok(handles)
    }

    async fn publish(&self, outgoing: Vec<Outgoing>) -> Result<()> {
        let announced = self.announce(&outgoing);
        let batch = into_publish(outgoing);
        self.store().broker.publish(batch).await?;
        self.announce_sent(announced).await;
        Ok(())
    }

    /// Announces what will be sent, and keeps it for [`announce_sent`](Self::announce_sent) if somebody listens.
    pub(super) fn announce(&self, outgoing: &[Outgoing]) -> Vec<Outgoing> {
        let signals = self.signals();
        if !signals.any() && !self.settings().task_send_sent_event {
            return Vec::new();
        }
        for Outgoing { message, queue, .. } in outgoing {
            signals.send(&Signal::BeforeTaskPublish {
                headers: &message.headers,
                queue,
            });
        }
        outgoing.to_vec()
    }

    /// Announces what was sent.
    pub(super) async fn announce_sent(&self, outgoing: Vec<Outgoing>) {
        for Outgoing { message, queue, .. } in &outgoing {
            self.signals().send(&Signal::AfterTaskPublish {
                headers: &message.headers,
                queue,
            });
        }
        if self.settings().task_send_sent_event && !outgoing.is_empty() {
            self.tell_sent(&outgoing).await;
        }
    }

    /// Tells `task-sent`. The tasks are sent whether or not it succeeds.
    async fn tell_sent(&self, outgoing: &[Outgoing]) {
        let events = outgoing
            .iter()
            .map(|outgoing| self.event("task-sent", self.origin(), outgoing.told()));
        let events: Vec<Event> = events.collect();
        if let Err(error) = self.tell_events(&events).await {
            tracing::warn!(%error, "telling that tasks were sent failed");
        }
    }

    fn prepare<T>(&self, call: Call<T>, now: Timestamp) -> Result<Outgoing> {
        let signature = call.signature?;
        let outgoing = match self.registry().get(&signature.task) {
            Some(task) => self.prepare_call(&signature, task.options(), now)?,
            None => self.prepare_call(&signature, &call.options, now)?,
        };
        if let Some(parent) = current() {
            parent.adopt(ResultNode::task(outgoing.message.headers.id.as_str()));
        }
        Ok(outgoing)
    }

    /// Fills in what a call leaves open, in this order: the call, the task's options, the settings.
    pub(super) fn prepare_call(
        &self,
        signature: &Signature,
        options: &TaskOptions,
        now: Timestamp,
    ) -> Result<Outgoing> {
        let settings = self.settings();
        let queue = signature
            .options
            .queue
            .clone()
            .or_else(|| options.queue.clone());
        let queue = queue.unwrap_or_else(|| route(&signature.task, settings).clone());
        let priority = signature.options.priority.or(options.priority);
        let priority = priority.unwrap_or(settings.task_default_priority);
        if priority > MAX_PRIORITY {
            let message = format!("priority {priority} is above {MAX_PRIORITY}");
            return Err(Error::new(ErrorKind::Config, message).with("task", &signature.task));
        }
        let headers = self.headers(signature, options, now)?;
        let expires = headers.expires.as_ref().map(WireTime::timestamp);
        let place = &signature.options.place;
        let properties = Properties {
            priority,
            reply_to: place.reply_to.clone(),
            expiration: expires.map(|at| at.duration_since(now).as_millis().max(0).to_string()),
            ..Properties::default()
        };
        let some = |list: &[Value]| (!list.is_empty()).then(|| raw_list(list));
        let embed = Embed {
            callbacks: some(&place.callbacks),
            errbacks: some(&place.errbacks),
            chain: place.chain.as_deref().map(raw_list),
            chord: place.chord.as_ref().map(raw),
            ..Embed::default()
        };
        let message = TaskMessage::new(
            headers,
            properties,
            &signature.args,
            &signature.kwargs,
            &embed,
        )?;
        if message.body.len() > settings.task_max_message_size {
            let text = format!(
                "a message of {} bytes is larger than task_max_message_size, {}",
                message.body.len(),
                settings.task_max_message_size
            );
            return Err(Error::new(ErrorKind::TooLarge, text).with("task", &signature.task));
        }
        let of_call = &signature.options;
        let format = Format {
            serializer: of_call.serializer.unwrap_or(settings.task_serializer),
            compression: of_call.compression.or(settings.task_compression),
        };
        let written = match format == Format::default() {
            true => None,
            // Now, while the sender can be told what has no place in it.
            false => Some(message.clone().into_envelope_as(format)?),
        };
        Ok(Outgoing {
            message,
            written,
            queue,
            priority,
        })
    }

    fn headers(
        &self,
        signature: &Signature,
        options: &TaskOptions,
        now: Timestamp,
    ) -> Result<Headers> {
        let call = &signature.options;
        if let Some(name) = call.headers.keys().find(|name| is_reserved_header(name)) {
            let message = format!("header {name:?} is one of Celery's own");
            return Err(Error::new(ErrorKind::Config, message).with("task", &signature.task));
        }
        let id = call.task_id.clone().unwrap_or_else(TaskId::new);
        let expires = call.expires.or(options.expires.map(Into::into));
        let place = &call.place;
        let parent = current();
        let parent = parent.as_ref().map(Context::headers);
        let root_id = place.root_id.clone();
        let root_id =
            root_id.or_else(|| Some(parent?.root_id.as_ref().unwrap_or(&parent?.id).clone()));
        let parent_id = place.parent_id.clone();
        Ok(Headers {
            shadow: call.shadow.clone(),
            eta: call.eta.map(|when| when.resolve(now).into()),
            expires: expires.map(|when| when.resolve(now).into()),
            group: place.group.clone(),
            group_index: place.group_index,
            timelimit: TimeLimit::new(
                call.time_limit.or(options.time_limit),
                call.soft_time_limit.or(options.soft_time_limit),
            ),
            root_id: Some(root_id.unwrap_or_else(|| id.clone())),
            parent_id: parent_id.or_else(|| Some(parent?.id.clone())),
            argsrepr: Some(repr_tuple(&signature.args)),
            kwargsrepr: Some(repr_kwargs(&signature.kwargs)),
            origin: Some(self.0.origin.clone()),
            ignore_result: call.ignore_result.or(options.ignore_result),
            replaced_task_nesting: place.replaced_task_nesting,
            stamped_headers: (!place.stamped_headers.is_empty())
                .then(|| place.stamped_headers.clone()),
            stamps: place.stamps.clone(),
            custom: call.headers.clone(),
            ..Headers::new(signature.task.as_str(), id)
        })
    }
}

/// A signature as the text that it travels as.
fn raw(signature: &Value) -> Box<RawValue> {
    to_raw_value(signature).expect("a value is JSON")
}

fn raw_list(signatures: &[Value]) -> Vec<Box<RawValue>> {
    signatures.iter().map(raw).collect()
}

/// A message with its destination.
#[derive(Clone)]
pub(crate) struct Outgoing {
    message: TaskMessage,
    /// The message in another format than the usual one.
    written: Option<Envelope>,
    queue: QueueName,
    priority: u8,
}

impl Outgoing {
    fn handle<T>(&self, app: &App) -> Handle<T> {
        let headers = &self.message.headers;
        Handle::new(app.clone(), headers.id.clone()).rooted(headers.root_id.clone())
    }

    /// The fields of `task-sent`.
    fn told(&self) -> Map<String, Value> {
        let headers = &self.message.headers;
        Map::from_iter(
            [
                ("uuid", json!(headers.id)),
                ("root_id", json!(headers.root_id)),
                ("parent_id", json!(headers.parent_id)),
                ("name", json!(headers.task)),
                ("args", json!(headers.argsrepr)),
                ("kwargs", json!(headers.kwargsrepr)),
                ("retries", json!(headers.retries)),
                ("eta", json!(headers.eta)),
                ("expires", json!(headers.expires)),
                ("queue", json!(self.queue)),
                ("exchange", json!("")),
                ("routing_key", json!(self.queue)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        )
    }

    pub(crate) fn into_publish(self) -> Publish {
        Publish {
            queue: self.queue,
            id: self.message.headers.id.clone(),
            priority: self.priority,
            due: self.message.headers.eta.as_ref().map(WireTime::timestamp),
            envelope: self.written.unwrap_or_else(|| self.message.into_envelope()),
        }
    }
}

/// As the broker takes it.
pub(crate) fn into_publish(outgoing: Vec<Outgoing>) -> Vec<Publish> {
    outgoing.into_iter().map(Outgoing::into_publish).collect()
}
