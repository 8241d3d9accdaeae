//! Step 10 of a task's life: whether a request may run.
//!
//! Before it: `decode`. After it: `run`, or `settle` for what may not.
//!
//! An ETA needs no gate, since the broker parks a message until it is due; but that of protocol 1 is in the
//! body, where no broker sees it.

use std::sync::Arc;

use aipo_core::message::Headers;
use aipo_core::task::{Outcome, Policy};
use jiff::Timestamp;

use super::suspect::is_to_blame;
use crate::app::AnyTask;
use crate::revoke::Revoke;

/// What a request is judged by.
pub(crate) struct Facts<'a> {
    pub(crate) headers: &'a Headers,
    /// Whether the broker has seen the headers.
    pub(crate) has_full_headers: bool,
    pub(crate) policy: &'a Policy,
    /// How often it was started, counting this delivery.
    pub(crate) deliveries: u32,
    /// Whether its worker was lost at the start before, with nothing else running there.
    pub(crate) lost_alone: bool,
    pub(crate) revoked: Option<Revoke>,
    pub(crate) now: Timestamp,
}

/// The code to run, or the outcome that the request has without running.
pub(crate) fn gate(
    task: Result<Arc<dyn AnyTask>, Outcome>,
    facts: &Facts<'_>,
) -> Result<Arc<dyn AnyTask>, Outcome> {
    // One that nobody here knows as well, as when whoever revoked it had found it.
    let is_understood = !matches!(task, Err(Outcome::Undecodable(_)));
    if facts.revoked.is_some() && is_understood {
        return Err(Outcome::Revoked { terminated: false });
    }
    let task = task?;
    let expires = facts.headers.expires.as_ref();
    if expires.is_some_and(|expires| expires.timestamp() < facts.now) {
        return Err(Outcome::Expired);
    }
    if let Some(eta) = &facts.headers.eta
        && !facts.has_full_headers
        && eta.timestamp() > facts.now
    {
        return Err(Outcome::NotDue {
            due: eta.timestamp(),
        });
    }
    let max = facts.policy.max_deliveries;
    if facts.deliveries > max && is_to_blame(max, facts.lost_alone) {
        // This delivery is counted but will not be started.
        return Err(Outcome::WorkerLost {
            deliveries: facts.deliveries - 1,
        });
    }
    Ok(task)
}
