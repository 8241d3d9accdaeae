//! Mailboxes: what is told to one listener alone.
//!
//! A mailbox is a queue as kombu makes one for replies: a list, and a binding that names it in the table of its
//! exchange, by which Python workers find it. Its owner is told by the server when a letter lies in it (see
//! `watch.rs`) and takes it then.
//!
//! An owner that dies leaves both behind. So each mailbox is also noted with the time when it is over unless its
//! owner says otherwise, and [`StateStore::sweep`](aipo_core::store::StateStore::sweep), which every worker calls
//! from time to time, ends those; kombu does the same with whole tables of bindings.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aipo_core::Result;
use aipo_core::store::Address;
use tokio::sync::oneshot;

use crate::bus::{Ear, Heard};
use crate::handle::Handle;
use crate::keys::Keys;
use crate::reply;
use crate::script::{CLOSE_MAILBOX, OPEN_MAILBOX};
use crate::time::duration_ms;
use crate::watch::Waiter;

/// How long a mailbox outlives its owner, and how often the owner says that it lives.
const OPEN_FOR: Duration = Duration::from_secs(120);
const RENEW_EVERY: Duration = Duration::from_secs(40);

/// Letters that one step takes.
const PAGE: usize = 100;

/// The pause before a server that did not answer is tried again, which itself takes as long as any call.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A mailbox that is open until this is dropped.
pub(crate) struct Open(
    #[expect(dead_code, reason = "dropping it is what tells")] oneshot::Sender<Infallible>,
);

pub(crate) struct Mailbox {
    exchange: String,
    routing_key: String,
    /// The key of its list.
    list: String,
    /// Its member in the table of bindings: routing key, pattern, queue.
    binding: String,
    /// Its member among the mailboxes.
    name: String,
}

impl Mailbox {
    pub(crate) fn new(keys: &Keys, exchange: String, routing_key: String) -> Self {
        let sep = keys.sep();
        let queue = format!("{routing_key}.{exchange}");
        Self {
            list: format!("{}{queue}", keys.prefix()),
            binding: format!("{routing_key}{sep}{sep}{queue}"),
            name: format!("{exchange}{sep}{routing_key}"),
            exchange,
            routing_key,
        }
    }

    /// Opens it; its letters go to `ear`.
    pub(crate) async fn open(self, handle: &Arc<Handle>, ear: &Arc<Ear>) -> Result<Open> {
        // First a place among the waiters, then the look: what comes in between is told.
        let list = self.list.clone().into_bytes();
        let waiter = handle.watch.register(vec![list]);
        self.collect(handle, ear).await?;
        let (open, closed) = oneshot::channel();
        tokio::spawn(self.serve(handle.clone(), ear.clone(), waiter, closed));
        Ok(Open(open))
    }

    async fn serve(
        self,
        handle: Arc<Handle>,
        ear: Arc<Ear>,
        waiter: Waiter,
        closed: oneshot::Receiver<Infallible>,
    ) {
        tokio::select! {
            _dropped = closed => {}
            never = self.keep(&handle, &ear, &waiter) => match never {},
        }
        if let Err(error) = self.close(&handle).await {
            tracing::debug!(%error, "a mailbox was not closed; it will be when its time is over");
        }
    }

    async fn keep(&self, handle: &Handle, ear: &Ear, waiter: &Waiter) -> Infallible {
        loop {
            tokio::select! {
                () = waiter.told() => {}
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
            while let Err(error) = self.collect(handle, ear).await {
                tracing::debug!(%error, "looking into a mailbox failed; trying again");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// Takes all letters, and keeps the mailbox open; a server that lost its data learns of it again.
    async fn collect(&self, handle: &Handle, ear: &Ear) -> Result<()> {
        let keys = &handle.keys;
        let mut call = OPEN_MAILBOX.call(4);
        call.arg(keys.exchange(&self.exchange))
            .arg(keys.binding_deadlines())
            .arg(keys.mailboxes())
            .arg(&self.list);
        call.arg(&self.binding).arg(&self.exchange).arg(&self.name);
        call.arg(duration_ms(OPEN_FOR)).arg(PAGE);
        loop {
            // Over the connection that watches, so that finding nothing is told of the next letter.
            let letters = OPEN_MAILBOX.run(&handle.watch.link, &call).await?;
            let letters = reply::array(letters)?;
            let is_all = letters.len() < PAGE;
            for letter in letters {
                let to = Address::Mailbox {
                    exchange: self.exchange.clone(),
                    routing_key: self.routing_key.clone(),
                };
                ear.hear(Heard {
                    to,
                    raw: reply::bytes(letter)?,
                });
            }
            if is_all {
                return Ok(());
            }
        }
    }

    async fn close(&self, handle: &Handle) -> Result<()> {
        let keys = &handle.keys;
        let mut call = CLOSE_MAILBOX.call(0);
        call.arg(keys.prefix()).arg(keys.sep());
        call.arg(&self.exchange).arg(&self.routing_key);
        CLOSE_MAILBOX.run(&handle.link, &call).await.map(drop)
    }
}
