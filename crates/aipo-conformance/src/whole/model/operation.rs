//! What a step of the play can be.

use std::time::Duration;

use aipo_core::store::{DeliveryTag, Fence, Publish, ResultRecord, Settlement};
use aipo_core::{QueueName, TaskId};

/// One step. It is data, so that a run can be read from its log.
#[derive(Debug)]
pub(super) enum Operation {
    Advance(Duration),

    Publish {
        handle: usize,
        messages: Vec<Publish>,
    },
    Consume {
        handle: usize,
        queues: Vec<QueueName>,
        lease: Duration,
    },
    Recover {
        handle: usize,
    },
    Purge {
        handle: usize,
        queue: QueueName,
    },
    Locate {
        handle: usize,
        ids: Vec<TaskId>,
    },
    Parked {
        handle: usize,
        queues: Vec<QueueName>,
        limit: usize,
    },
    DeadLetters {
        handle: usize,
        queue: Option<QueueName>,
        limit: usize,
    },
    Redrive {
        handle: usize,
        letters: Vec<u64>,
    },
    Discard {
        handle: usize,
        letters: Vec<u64>,
    },

    Fetch {
        consumer: usize,
        max: usize,
        started: usize,
    },
    ClaimMessages {
        consumer: usize,
        ids: Vec<TaskId>,
    },
    Start {
        consumer: usize,
        tags: Vec<DeliveryTag>,
    },
    Settle {
        consumer: usize,
        batch: Vec<Settlement>,
    },
    Renew {
        consumer: usize,
    },
    SetQueues {
        consumer: usize,
        queues: Vec<QueueName>,
    },
    Close {
        consumer: usize,
    },
    Crash {
        consumer: usize,
    },

    StoreResults {
        handle: usize,
        batch: Vec<ResultRecord>,
    },
    GetResults {
        handle: usize,
        ids: Vec<TaskId>,
    },
    WaitForResult {
        handle: usize,
        id: TaskId,
    },
    ForgetResults {
        handle: usize,
        ids: Vec<TaskId>,
    },
    SweepResults {
        handle: usize,
    },

    PutFact {
        handle: usize,
        key: &'static str,
        value: Vec<u8>,
        ttl: Option<Duration>,
    },
    Claim {
        handle: usize,
        key: &'static str,
        value: Vec<u8>,
        ttl: Duration,
    },
    RenewClaim {
        handle: usize,
        key: &'static str,
        fence: Fence,
        value: Vec<u8>,
        ttl: Duration,
    },
    ReleaseClaim {
        handle: usize,
        key: &'static str,
        fence: Fence,
    },
    GetFacts {
        handle: usize,
        keys: Vec<String>,
    },
    DeleteFact {
        handle: usize,
        key: &'static str,
    },
    ScanFacts {
        handle: usize,
        prefix: &'static str,
    },
    Append {
        handle: usize,
        log: &'static str,
        values: Vec<Vec<u8>>,
        ttl: Duration,
    },
    Entries {
        handle: usize,
        log: &'static str,
        after: u64,
        limit: usize,
    },
    SweepState {
        handle: usize,
    },
}
