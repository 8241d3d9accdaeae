//! Asking workers and telling them what to do, while they run; and listening to what they tell.
//!
//! The commands are Celery's, on every store, and Python workers on the same store answer them too. Nothing
//! is kept of them: a worker that is not there hears nothing, and who does not answer in time is not waited for.

mod answers;
mod events;

use std::collections::BTreeMap;
use std::time::Duration;

use aipo_core::control::{Reply, ReplyTo, Request, control_exchange, reply_exchange};
use aipo_core::store::Listener;
use aipo_core::{Error, ErrorKind, Result, TaskId};
use serde_json::{Map, Value};
use tokio::time::Instant;

pub use answers::Said;
pub use events::EventStream;
pub(crate) use events::unix_seconds;

use crate::App;

/// How long answers are waited for, by default. Celery's `timeout`.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Commands to workers: to all, unless [`destination`](Self::destination) or [`pattern`](Self::pattern) says
/// otherwise.
///
/// Celery: `app.control` and `app.control.inspect()`.
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until a command is given"]
pub struct Control {
    app: App,
    destination: Option<Vec<String>>,
    pattern: Option<String>,
    timeout: Duration,
}

/// Answers by the name of the node.
pub type Answers<T> = BTreeMap<String, T>;

impl App {
    /// Commands to the workers of its store.
    pub fn control(&self) -> Control {
        Control {
            app: self.clone(),
            destination: None,
            pattern: None,
            timeout: TIMEOUT,
        }
    }
}

impl Control {
    /// Only to these nodes; the answer is there once all of them have answered.
    pub fn destination<N: Into<String>>(mut self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.destination = Some(nodes.into_iter().map(Into::into).collect());
        self
    }

    /// Only to nodes whose name matches: `*` stands for any text, `?` for a letter, `[abc]` for one of these.
    pub fn pattern(mut self, glob: impl Into<String>) -> Self {
        self.pattern = Some(glob.into());
        self
    }

    /// How long answers are waited for; one second by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Gives a command and asks for no answer. `arguments` is an object, or null.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the arguments are no object, otherwise what the store answers.
    pub async fn tell(&self, method: &str, arguments: Value) -> Result<()> {
        self.send(&self.request(method, arguments)?).await
    }

    /// Gives a command and collects the answers, whatever they are.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub async fn ask(&self, method: &str, arguments: Value) -> Result<Answers<Value>> {
        let mut replies = self.open(method, arguments).await?;
        let mut answers = Answers::new();
        while let Some(reply) = replies.next().await? {
            answers.insert(reply.node, reply.value);
        }
        Ok(answers)
    }

    /// Gives a command; the answers can be had from now on.
    pub(crate) async fn open(&self, method: &str, arguments: Value) -> Result<Replies> {
        let mailbox = ReplyTo {
            exchange: reply_exchange(&self.app.settings().control_exchange),
            routing_key: TaskId::new().to_string(),
        };
        let ticket = TaskId::new().to_string();
        let request = Request {
            ticket: Some(ticket.clone()),
            reply_to: Some(mailbox.clone()),
            ..self.request(method, arguments)?
        };
        let bus = &self.app.store().bus;
        // Before it is asked, so that no answer is missed.
        let listener = bus.listen(vec![mailbox.into()]).await?;
        self.send(&request).await?;
        Ok(Replies {
            app: self.app.clone(),
            listener,
            ticket,
            until: Instant::now() + self.timeout,
            missing: self.destination.as_ref().map(Vec::len),
        })
    }

    fn request(&self, method: &str, arguments: Value) -> Result<Request> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            Value::Null => Map::new(),
            other => {
                let message = format!("the arguments of {method} are no object: {other}");
                return Err(Error::new(ErrorKind::Config, message));
            }
        };
        Ok(Request {
            method: method.to_owned(),
            arguments,
            destination: self.destination.clone(),
            pattern: self.pattern.clone(),
            matcher: self.pattern.as_ref().map(|_| "glob".to_owned()),
            ..Request::default()
        })
    }

    async fn send(&self, request: &Request) -> Result<()> {
        let exchange = control_exchange(&self.app.settings().control_exchange);
        let expires = unix_seconds(self.app.clock().after(self.timeout));
        let notice = request.notice(exchange, self.app.lamport().forward(), expires);
        self.app.store().bus.tell(vec![notice]).await
    }
}

/// The answers to one command, as they come.
pub(crate) struct Replies {
    app: App,
    listener: Box<dyn Listener>,
    ticket: String,
    until: Instant,
    /// How many nodes were asked that have not answered; unknown when all were.
    missing: Option<usize>,
}

impl Replies {
    /// The next answer; `None` when all are there or the time is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Reply>> {
        while self.missing != Some(0) {
            let Ok(notice) = tokio::time::timeout_at(self.until, self.listener.next()).await else {
                return Ok(None);
            };
            match Reply::decode(&notice?.envelope) {
                Ok(reply) if reply.ticket.as_deref() == Some(&*self.ticket) => {
                    self.app.lamport().adjust(reply.clock);
                    self.missing = self.missing.map(|missing| missing - 1);
                    return Ok(Some(reply));
                }
                Ok(reply) => tracing::debug!(node = reply.node, "an answer to something else"),
                Err(error) => tracing::warn!(%error, "an answer is not understood"),
            }
        }
        Ok(None)
    }
}
