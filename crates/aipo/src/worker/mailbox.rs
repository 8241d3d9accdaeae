//! The mailbox of a worker: listens to commands, carries them out one after the other, replies.
//!
//! It has nothing to do with slots, so a worker answers also while all of them are occupied. What waits is bounded by the
//! [`Bus`](aipo_core::store::Bus). A command that is for others, or is no command, does not disturb it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::control::{Reply, Request, control_exchange, decode_events};
use aipo_core::store::{Address, Listener, Notice, Topic};
use aipo_core::{Error, ErrorKind, Result};
use serde_json::json;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::{Shared, commands, mingle};

/// How long a worker that starts waits for its mailbox before it works without one, and goes on trying.
const PATIENCE: Duration = Duration::from_secs(2);
/// The key of the event by which a Python worker stands for election.
const ELECT: &str = "worker.elect";

/// A mailbox, perhaps open already.
pub(crate) struct Mailbox {
    listener: Option<Box<dyn Listener>>,
    greeting: Option<mingle::Greeting>,
}

/// Greets the other workers and opens the mailbox, in this order: a worker that answers to our own name
/// can't be us.
pub(crate) async fn open(shared: &Shared) -> Mailbox {
    let opening = async {
        let greeting = mingle::greet(shared).await?;
        Ok::<_, Error>((greeting, listen(shared).await?))
    };
    match timeout(PATIENCE, opening).await {
        Ok(Ok((greeting, listener))) => Mailbox {
            listener: Some(listener),
            greeting,
        },
        // The role tries again, and says why it can't.
        Ok(Err(_)) | Err(_) => Mailbox {
            listener: None,
            greeting: None,
        },
    }
}

/// Serves the mailbox until dropped.
pub(crate) async fn serve(shared: Arc<Shared>, mailbox: Mailbox) {
    let Mailbox { listener, greeting } = mailbox;
    tokio::join!(answer_all(&shared, listener), async {
        if let Some(greeting) = greeting {
            mingle::listen_to_answers(&shared, greeting).await;
        }
    });
}

async fn answer_all(shared: &Arc<Shared>, mut listener: Option<Box<dyn Listener>>) {
    let mut backoff = Backoff::new();
    loop {
        let Err(error) = answer(shared, listener.take(), &mut backoff).await;
        if error.kind() == ErrorKind::Unsupported {
            tracing::warn!(%error, "this store carries no commands; the worker can't be asked");
            return;
        }
        tracing::warn!(%error, "listening to commands failed; trying again");
        backoff.wait().await;
    }
}

async fn answer(
    shared: &Arc<Shared>,
    open: Option<Box<dyn Listener>>,
    backoff: &mut Backoff,
) -> Result<Infallible> {
    let mut listener = match open {
        Some(listener) => listener,
        None => listen(shared).await?,
    };
    loop {
        let notice = listener.next().await?;
        *backoff = Backoff::new();
        match &notice.to {
            Address::Everybody { routing_key, .. } if routing_key == ELECT => {
                elect(shared, &notice)
            }
            _ => obey(shared, &notice).await,
        }
    }
}

async fn listen(shared: &Shared) -> Result<Box<dyn Listener>> {
    let settings = shared.app.settings();
    let topic = |exchange: String, pattern: &str| Topic::Everybody {
        exchange,
        pattern: pattern.to_owned(),
    };
    let topics = vec![
        topic(control_exchange(&settings.control_exchange), ""),
        topic(settings.event_exchange.clone(), ELECT),
    ];
    shared.app.store().bus.listen(topics).await
}

/// Carries a command out and replies, if it is for this worker.
async fn obey(shared: &Arc<Shared>, notice: &Notice) {
    let (request, clock) = match Request::decode(&notice.envelope) {
        Ok(request) => request,
        Err(error) => return tracing::warn!(%error, "a command is not understood"),
    };
    shared.app.lamport().adjust(clock);
    match request.is_for(&shared.name) {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::warn!(%error, "it is not clear whom a command is for"),
    }
    let Request {
        method,
        arguments,
        ticket,
        reply_to,
        ..
    } = request;
    tracing::debug!(method, "command");
    let Some(value) = commands::run(shared, &method, arguments).await else {
        return;
    };
    let Some(reply_to) = reply_to else { return };
    let reply = Reply {
        node: shared.name.to_string(),
        value,
        ticket,
        clock: shared.app.lamport().forward(),
    };
    let bus = &shared.app.store().bus;
    if let Err(error) = bus.tell(vec![reply.notice(reply_to)]).await {
        tracing::warn!(%error, method, "replying to a command failed");
    }
}

/// Acknowledges that another worker stands for election. A Python worker waits for that from all that live. We never
/// stand ourselves, so one of them wins.
fn elect(shared: &Shared, notice: &Notice) {
    let events = match decode_events(&notice.envelope) {
        Ok(events) => events,
        Err(error) => return tracing::warn!(%error, "an election is not understood"),
    };
    for event in events {
        shared.app.lamport().adjust(event.clock);
        if let Some(id) = event.fields.get("id") {
            shared.events.tell("worker-elect-ack", json!({ "id": id }));
        }
    }
}
