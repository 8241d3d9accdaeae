//! Steps 9 to 15 of a task's life in their order, for one batch of deliveries.

use std::fmt;
use std::sync::{Arc, Mutex};

use aipo_core::TaskState;
use aipo_core::message::{Body, TaskMessage, repr_kwargs, repr_tuple};
use aipo_core::store::{Delivery, ResultRecord};
use aipo_core::task::{Decision, Facts, Outcome, Policy, Stored, decide};
use jiff::Timestamp;
use serde_json::value::to_raw_value;

use super::announce;
use super::backoff::Backoff;
use super::decode::{Request, decode, embedded};
use super::follow::{follow, follow_unread};
use super::gate;
use super::run::{AfterRun, after_run, run};
use super::session::Session;
use super::settle::{settle_acknowledged, settlement};
use super::slots::{Slot, Slots};
use super::tasks::Running;
use crate::app::{AnyTask, Work};
use crate::task::{Context, ContextParts, SoftLimit};

/// Takes a slot for each delivery and lets the batch go its way.
pub(crate) async fn process(session: &Arc<Session>, slots: &Slots, batch: Vec<Delivery>) {
    let mut occupied = Vec::with_capacity(batch.len());
    for delivery in batch {
        occupied.push((delivery, slots.take().await));
    }
    let session = session.clone();
    let running = session.running.clone();
    running.spawn(async move {
        let (requests, slots): (Vec<Request>, Vec<Slot>) = occupied
            .into_iter()
            .map(|(delivery, slot)| (decode(&session.app, delivery), slot))
            .unzip();
        know_revoked(&session).await;
        for (request, slot) in requests.into_iter().zip(slots) {
            session
                .running
                .spawn(one(session.clone(), request, slot, false));
        }
    });
}

/// Lets one request go its way, until it is settled.
pub(crate) async fn run_one(session: Arc<Session>, request: Request, slot: Slot) {
    know_revoked(&session).await;
    // What starts next may end the process: this one has to be settled before.
    one(session, request, slot, true).await;
}

/// Learns what was revoked before these deliveries were fetched; tried again while the store is away, so that
/// a revoke is never missed.
async fn know_revoked(session: &Session) {
    let last = session.consumer.last_revoked();
    let mut backoff = Backoff::new();
    while let Err(error) = session.shared.revoked.update(&session.app, last).await {
        tracing::warn!(%error, "asking for revoked tasks failed; trying again");
        tokio::select! {
            () = backoff.wait() => {}
            // They can't be settled any more; whether they run does not matter.
            () = session.lost.cancelled() => return,
        }
    }
}

/// One request on its way: until its settlement is handed over, or until that is carried out.
async fn one(session: Arc<Session>, request: Request, slot: Slot, wait: bool) {
    let app = &session.app;
    let Request {
        tag,
        queue,
        deliveries,
        lost_alone,
        message,
        mut policy,
        task,
    } = request;
    session
        .shared
        .limits
        .apply(&message.headers.task, &mut policy);
    let TaskMessage {
        headers,
        properties,
        body,
        has_full_headers,
    } = message;
    let now = app.clock().now();
    let facts = gate::Facts {
        headers: &headers,
        has_full_headers,
        policy: &policy,
        deliveries,
        lost_alone,
        revoked: session.shared.revoked.of(&headers, now),
        now,
    };
    let (task, embed) = match embedded(&body) {
        Ok(embed) => (task, Some(embed)),
        Err(broken) => {
            // A message that was refused before has no body, and its own reason.
            let task = task.and(Err(Outcome::Undecodable(broken)));
            (task, None)
        }
    };
    let is_read = embed.is_some();
    let gated = gate::gate(task, &facts);
    if let Ok(task) = &gated
        && let Err(until) = turn(&session, &headers.task, &**task, now)
    {
        tracing::debug!(task.id = %headers.id, task.name = headers.task, %until, "task is over its rate limit");
        slot.end();
        return session.settler.park(tag, until).await;
    }
    let cx = Context::new(ContextParts {
        app: app.clone(),
        headers,
        properties,
        body,
        queue,
        deliveries,
        worker: session.shared.name.clone(),
        cancelled: session.interrupted.child_token(),
        soft_limit: SoftLimit::default(),
        slot: Some(slot.clone()),
        children: Mutex::default(),
        embed: embed.unwrap_or_default(),
    });

    let ack_early = gated.is_ok() && !policy.acks_late;
    if ack_early && !session.settler.ack_early(tag).await {
        slot.end();
        return;
    }
    let mut decision = match gated {
        Ok(task) => execute(&session, &cx, &task, &policy).await,
        Err(outcome) => conclude(outcome, &cx, &policy),
    };
    let work = match is_read {
        true => what_follows(&session, &cx, &mut decision).await,
        false => Some(follow_unread(&cx, &decision)),
    };
    let Some(work) = work else {
        slot.end();
        return;
    };
    announce::concluded(&session, &cx, &decision);
    let settlement = settlement(&cx, tag, &policy, decision, work);
    slot.end();
    if ack_early {
        settle_acknowledged(app, settlement, &session.shared.parts, &session.interrupted).await;
    } else if wait {
        session.settler.settle_and_wait(settlement).await;
    } else {
        session.settler.settle(settlement).await;
    }
}

/// What follows, asked for again while the store is away; `None` once the lease is lost, since then somebody else
/// settles the task.
async fn what_follows(session: &Session, cx: &Context, decision: &mut Decision) -> Option<Work> {
    let mut backoff = Backoff::new();
    loop {
        match follow(cx, decision).await {
            Ok(work) => return Some(work),
            Err(error) => {
                tracing::warn!(task.id = %cx.id(), %error, "asking for what follows failed; trying again");
            }
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = session.lost.cancelled() => return None,
        }
    }
}

/// Lets a task start, or says when its rate limit lets it try again.
fn turn(
    session: &Session,
    name: &str,
    task: &dyn AnyTask,
    now: Timestamp,
) -> Result<(), Timestamp> {
    let settings = session.app.settings();
    let rates = &session.shared.rates;
    match rates.limit(name, task.options(), settings) {
        Some(limit) if !settings.worker_disable_rate_limits => rates.turn(name, limit, now),
        _ => Ok(()),
    }
}

/// What follows from an outcome.
pub(super) fn conclude(outcome: Outcome, cx: &Context, policy: &Policy) -> Decision {
    let facts = Facts {
        task: cx.name(),
        id: cx.id().as_str(),
        arguments: &Arguments(cx),
        retries: cx.retries(),
        policy,
        random: fastrand::f64(),
    };
    decide(outcome, &facts)
}

/// The arguments of a task as Celery prints them where it gives up.
struct Arguments<'a>(&'a Context);

impl fmt::Display for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Body::parse(&self.0.parts().body).map(|body| body.values());
        let (args, kwargs) = body.unwrap_or_default();
        write!(
            f,
            "args:{} kwargs:{}",
            repr_tuple(&args),
            repr_kwargs(&kwargs)
        )
    }
}

/// Runs it, with what is to be told and stored around that.
async fn execute(
    session: &Session,
    cx: &Context,
    task: &Arc<dyn AnyTask>,
    policy: &Policy,
) -> Decision {
    announce::received(session, cx);
    let _listed = session.shared.tasks.list(Running {
        cx: cx.clone(),
        started: session.app.clock().now(),
        acknowledged: !policy.acks_late,
    });
    announce::started(session, cx);
    if policy.track_started
        && let Err(error) = session.app.store().results.store(vec![started(cx)]).await
    {
        tracing::warn!(%error, task.id = %cx.id(), "storing STARTED failed");
    }
    let outcome = run(task, cx, policy, &session.interrupted).await;
    let decision = conclude(outcome, cx, policy);
    after_run(task, cx, &event(&decision)).await;
    announce::has_run(session, cx, &decision);
    decision
}

/// The result of a task that has started: who runs it.
fn started(cx: &Context) -> ResultRecord {
    let who = serde_json::json!({ "pid": std::process::id(), "hostname": cx.worker() });
    let value = to_raw_value(&who).expect("a map of text keys is JSON");
    cx.record(TaskState::Started, value, None)
}

/// What the hooks are told of a decision.
fn event(decision: &Decision) -> AfterRun<'_> {
    match (&decision.state, &decision.value) {
        (Some(TaskState::Success), Stored::Value(value)) => AfterRun::Success(value),
        (Some(TaskState::Failure), Stored::Exception(failure)) => AfterRun::Failure(failure),
        (Some(TaskState::Retry), Stored::Exception(failure) | Stored::Told(failure)) => {
            AfterRun::Retry(failure)
        }
        _ => AfterRun::Other,
    }
}
