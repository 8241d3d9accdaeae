//! Ends the tasks among some that wait, as revoked and with all that follows from it: the rest of a chain, the part of
//! a chord. Without it that would happen when their turn comes.
//!
//! Their messages are claimed, and go the way of those that the gate drops. Nothing is sent on that way, so it makes no
//! difference who goes it: a worker that was told, or a program that knows no task. It may die at any moment: what is
//! not settled returns to its queue with the lease, and the gate drops it there. So it comes after the revoke is stored.
//!
//! A chord that has its last part by this is finished by the next worker that looks, which knows its errbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aipo_core::store::{Consumer, ConsumerOptions, Delivery, Settled, Settlement};
use aipo_core::task::{Outcome, Stored};
use aipo_core::{Result, TaskId};

use super::announce;
use super::decode::{Request, decode, embedded};
use super::follow::follow;
use super::process::conclude;
use super::settle::{attempt, settlement};
use crate::App;
use crate::task::{Context, ContextParts, SoftLimit};

/// How long the hold on what is claimed lasts. It is renewed before each claim, and longer than the longest search.
const LEASE: Duration = Duration::from_secs(10);

/// Tasks that are looked for at once.
const STEP: usize = 1_000;

/// Ends what waits of these tasks, and adds to `ended` which those are.
///
/// # Errors
/// What the store answers. What was not ended then, is when its turn comes.
pub(crate) async fn end_waiting(app: &App, ids: &[TaskId], ended: &mut Vec<TaskId>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let options = ConsumerOptions {
        name: app.origin().to_owned(),
        queues: Vec::new(),
        lease: LEASE,
    };
    let consumer = app.store().broker.consume(options).await?;
    let answer = end_claimed(app, &*consumer, ids, ended).await;
    // Hands back what can't be understood, and what could not be settled.
    let closed = consumer.close().await;
    answer.and(closed)
}

async fn end_claimed(
    app: &App,
    consumer: &dyn Consumer,
    ids: &[TaskId],
    ended: &mut Vec<TaskId>,
) -> Result<()> {
    let who: Arc<str> = app.origin().into();
    for step in ids.chunks(STEP) {
        loop {
            consumer.renew().await?;
            let claimed = consumer.claim(step).await?;
            if claimed.is_empty() {
                break;
            }
            let mut settlements = Vec::with_capacity(claimed.len());
            let mut ending_now = Vec::with_capacity(claimed.len());
            for delivery in claimed {
                if let Some((id, settlement)) = ending(app, &who, delivery).await? {
                    ending_now.push(id);
                    settlements.push(settlement);
                }
            }
            let settled = attempt(app.store(), consumer, settlements).await?;
            // One whose lease was lost meanwhile is back in its queue.
            let done = ending_now.into_iter().zip(settled);
            ended.extend(done.filter_map(|(id, end)| (end == Settled::Done).then_some(id)));
        }
    }
    Ok(())
}

/// How a message ends, and whose it is; `None` for one that can't be understood, which a worker puts aside with its reason.
async fn ending(
    app: &App,
    who: &Arc<str>,
    delivery: Delivery,
) -> Result<Option<(TaskId, Settlement)>> {
    let Request {
        tag,
        queue,
        deliveries,
        message,
        policy,
        task,
        ..
    } = decode(app, delivery);
    if let Err(Outcome::Undecodable(_)) = task {
        return Ok(None);
    }
    let Ok(embed) = embedded(&message.body) else {
        return Ok(None);
    };
    let cx = Context::new(ContextParts {
        app: app.clone(),
        headers: message.headers,
        properties: message.properties,
        body: message.body,
        queue,
        deliveries,
        worker: who.clone(),
        cancelled: Default::default(),
        soft_limit: SoftLimit::default(),
        slot: None,
        children: Mutex::default(),
        embed,
    });
    let mut decision = conclude(Outcome::Revoked { terminated: false }, &cx, &policy);
    let work = follow(&cx, &mut decision).await?;
    if let Stored::Exception(failure) = &decision.value {
        announce::revoked(app, &cx, failure);
    }
    let settlement = settlement(&cx, tag, &policy, decision, work);
    Ok(Some((cx.id().clone(), settlement)))
}
