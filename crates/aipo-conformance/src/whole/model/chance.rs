//! What comes next: the random side of the play.

use std::time::Duration;

use aipo_core::message::Envelope;
use aipo_core::store::state::REVOKED;
use aipo_core::store::{DeliveryTag, Fence, Publish, ResultRecord, Settlement, Verdict};
use aipo_core::{QueueName, TaskId, TaskState};

use super::operation::Operation;
use super::play::{Play, QUEUES, TASKS, task};

const KEYS: [&str; 5] = ["w", "w:1", "w:2", "x:1", "%"];
const PREFIXES: [&str; 4] = ["", "w", "w:", "%"];
pub(super) const LOGS: [&str; 2] = [REVOKED, "w"];

/// Consumers at one time.
const MAX_CONSUMERS: usize = 5;

/// Makes an operation, unless there is nothing to do it with.
type Make = fn(&mut Play) -> Option<Operation>;

/// How often each operation comes, in shares of the whole. Messages leave a little faster than they
/// come, so that the queues are now full, now empty.
const SHARES: [(u32, Make); 33] = [
    (10, |play| Some(Operation::Advance(play.duration(6_000)))),
    (24, publish),
    (8, consume),
    (10, |play| {
        Some(Operation::Recover {
            handle: play.handle(),
        })
    }),
    (1, purge),
    (6, locate),
    (3, parked),
    (3, dead_letters),
    (4, redrive),
    (3, discard),
    (36, fetch),
    (6, claim_messages),
    (12, start),
    (40, settle),
    (24, |play| {
        Some(Operation::Renew {
            consumer: play.consumer()?,
        })
    }),
    (4, set_queues),
    (3, |play| {
        Some(Operation::Close {
            consumer: play.consumer()?,
        })
    }),
    (3, |play| {
        Some(Operation::Crash {
            consumer: play.consumer()?,
        })
    }),
    (8, store_results),
    (6, get_results),
    (3, wait_for_result),
    (2, forget_results),
    (2, |play| {
        Some(Operation::SweepResults {
            handle: play.handle(),
        })
    }),
    (5, put_fact),
    (8, claim),
    (6, renew_claim),
    (4, release_claim),
    (4, get_facts),
    (2, delete_fact),
    (4, scan_facts),
    (5, append),
    (5, entries),
    (2, |play| {
        Some(Operation::SweepState {
            handle: play.handle(),
        })
    }),
];

fn publish(play: &mut Play) -> Option<Operation> {
    Some(Operation::Publish {
        handle: play.handle(),
        messages: play.messages(4),
    })
}

fn consume(play: &mut Play) -> Option<Operation> {
    if play.consumers.iter().flatten().count() >= MAX_CONSUMERS {
        return None;
    }
    let queues = play.queues_for_consumer();
    let lease = Duration::from_secs(10) + play.duration(5_000);
    Some(Operation::Consume {
        handle: play.handle(),
        queues,
        lease,
    })
}

fn purge(play: &mut Play) -> Option<Operation> {
    Some(Operation::Purge {
        handle: play.handle(),
        queue: play.queue(),
    })
}

fn locate(play: &mut Play) -> Option<Operation> {
    Some(Operation::Locate {
        handle: play.handle(),
        ids: play.tasks(4),
    })
}

fn parked(play: &mut Play) -> Option<Operation> {
    let queues = (0..play.rng.usize(..4)).map(|_| play.queue()).collect();
    Some(Operation::Parked {
        handle: play.handle(),
        queues,
        limit: play.rng.usize(..8),
    })
}

fn dead_letters(play: &mut Play) -> Option<Operation> {
    let queue = play.rng.bool().then(|| play.queue());
    let limit = play.rng.usize(..6);
    Some(Operation::DeadLetters {
        handle: play.handle(),
        queue,
        limit,
    })
}

fn redrive(play: &mut Play) -> Option<Operation> {
    Some(Operation::Redrive {
        handle: play.handle(),
        letters: play.some_letters(),
    })
}

fn discard(play: &mut Play) -> Option<Operation> {
    Some(Operation::Discard {
        handle: play.handle(),
        letters: play.some_letters(),
    })
}

fn fetch(play: &mut Play) -> Option<Operation> {
    let max = play.rng.usize(1..=6);
    let started = [0, play.rng.usize(..=max), max][play.rng.usize(..3)];
    Some(Operation::Fetch {
        consumer: play.consumer()?,
        max,
        started,
    })
}

/// Of so few tasks that all comes at once.
fn claim_messages(play: &mut Play) -> Option<Operation> {
    Some(Operation::ClaimMessages {
        consumer: play.consumer()?,
        ids: play.tasks(3),
    })
}

/// Not with nothing to start: whether a call that does nothing looks at the lease is the store's own.
fn start(play: &mut Play) -> Option<Operation> {
    let consumer = play.consumer()?;
    let tags = play.tags(consumer, 3);
    (!tags.is_empty()).then_some(Operation::Start { consumer, tags })
}

fn settle(play: &mut Play) -> Option<Operation> {
    let consumer = play.consumer()?;
    let tags = play.tags(consumer, 6);
    let batch = tags.into_iter().map(|tag| play.settlement(tag)).collect();
    Some(Operation::Settle { consumer, batch })
}

fn set_queues(play: &mut Play) -> Option<Operation> {
    Some(Operation::SetQueues {
        consumer: play.consumer()?,
        queues: play.queues_for_consumer(),
    })
}

fn store_results(play: &mut Play) -> Option<Operation> {
    let batch = (0..play.rng.usize(1..=3)).map(|_| play.result()).collect();
    Some(Operation::StoreResults {
        handle: play.handle(),
        batch,
    })
}

fn get_results(play: &mut Play) -> Option<Operation> {
    Some(Operation::GetResults {
        handle: play.handle(),
        ids: play.tasks(5),
    })
}

fn wait_for_result(play: &mut Play) -> Option<Operation> {
    Some(Operation::WaitForResult {
        handle: play.handle(),
        id: play.task(),
    })
}

fn forget_results(play: &mut Play) -> Option<Operation> {
    Some(Operation::ForgetResults {
        handle: play.handle(),
        ids: play.tasks(2),
    })
}

fn put_fact(play: &mut Play) -> Option<Operation> {
    let ttl = play.rng.bool().then(|| play.duration(20_000));
    let (key, value) = (play.key(), play.bytes());
    Some(Operation::PutFact {
        handle: play.handle(),
        key,
        value,
        ttl,
    })
}

fn claim(play: &mut Play) -> Option<Operation> {
    let (key, value, ttl) = (play.key(), play.bytes(), play.duration(20_000));
    Some(Operation::Claim {
        handle: play.handle(),
        key,
        value,
        ttl,
    })
}

fn renew_claim(play: &mut Play) -> Option<Operation> {
    let (key, fence) = play.claim()?;
    let (value, ttl) = (play.bytes(), play.duration(20_000));
    Some(Operation::RenewClaim {
        handle: play.handle(),
        key,
        fence,
        value,
        ttl,
    })
}

fn release_claim(play: &mut Play) -> Option<Operation> {
    let (key, fence) = play.claim()?;
    Some(Operation::ReleaseClaim {
        handle: play.handle(),
        key,
        fence,
    })
}

fn get_facts(play: &mut Play) -> Option<Operation> {
    let keys = (0..3).map(|_| play.key().to_owned()).collect();
    Some(Operation::GetFacts {
        handle: play.handle(),
        keys,
    })
}

fn delete_fact(play: &mut Play) -> Option<Operation> {
    Some(Operation::DeleteFact {
        handle: play.handle(),
        key: play.key(),
    })
}

fn scan_facts(play: &mut Play) -> Option<Operation> {
    let prefix = PREFIXES[play.rng.usize(..PREFIXES.len())];
    Some(Operation::ScanFacts {
        handle: play.handle(),
        prefix,
    })
}

fn append(play: &mut Play) -> Option<Operation> {
    let values = (0..play.rng.usize(..4)).map(|_| play.bytes()).collect();
    Some(Operation::Append {
        handle: play.handle(),
        log: play.log(),
        values,
        ttl: play.duration(40_000),
    })
}

fn entries(play: &mut Play) -> Option<Operation> {
    let (log, after) = play.place_in_a_log();
    Some(Operation::Entries {
        handle: play.handle(),
        log,
        after,
        limit: play.rng.usize(..12),
    })
}

impl Play {
    /// The next step.
    pub(super) fn choose(&mut self) -> Operation {
        loop {
            let make = self.make();
            if let Some(operation) = make(self) {
                return operation;
            }
        }
    }

    fn make(&mut self) -> Make {
        let whole: u32 = SHARES.iter().map(|(share, _)| share).sum();
        let mut point = self.rng.u32(..whole);
        for (share, make) in SHARES {
            if point < share {
                return make;
            }
            point -= share;
        }
        unreachable!("the point lies within the whole")
    }

    fn handle(&mut self) -> usize {
        self.rng.usize(..self.handles.len())
    }

    /// A consumer that is there, whether or not it still has its lease.
    fn consumer(&mut self) -> Option<usize> {
        let there = (0..self.consumers.len()).filter(|index| self.consumers[*index].is_some());
        self.rng.choice(there.collect::<Vec<usize>>())
    }

    /// Mostly tags that the consumer was given lately, some of which it holds; now and then one of
    /// another consumer, or one that never was.
    fn tags(&mut self, consumer: usize, max: usize) -> Vec<DeliveryTag> {
        let mut lately = self.queues.consumers[consumer].tags.clone();
        lately = lately.split_off(lately.len().saturating_sub(12));
        if self.rng.u8(..10) == 0 {
            let other = self.rng.usize(..self.queues.consumers.len());
            lately.extend(self.queues.consumers[other].tags.last());
            lately.push(DeliveryTag(u64::MAX >> 1));
        }
        self.rng.shuffle(&mut lately);
        lately.truncate(self.rng.usize(1..=max));
        lately
    }

    fn settlement(&mut self, tag: DeliveryTag) -> Settlement {
        let verdict = match self.rng.u8(..9) {
            0..5 => Verdict::Ack,
            5..7 => Verdict::Release,
            // What becomes of a message that is not due and gets another time, or dies, is the store's own.
            _ if self.queues.is_early(tag, self.clock.now()) => Verdict::Release,
            7 => Verdict::Park {
                until: self.clock.now() - Duration::from_secs(1) + self.duration(20_000),
            },
            _ => Verdict::DeadLetter {
                reason: format!("reason {}", self.rng.u8(..)),
            },
        };
        let result = self.rng.bool().then(|| self.result());
        let publish = if self.rng.u8(..4) == 0 {
            self.messages(2)
        } else {
            Vec::new()
        };
        Settlement {
            tag,
            verdict,
            result,
            publish,
            step: Default::default(),
        }
    }

    fn messages(&mut self, max: usize) -> Vec<Publish> {
        (0..self.rng.usize(1..=max))
            .map(|_| self.message())
            .collect()
    }

    /// A message unlike any other, so that it can be told wherever it appears.
    fn message(&mut self) -> Publish {
        self.messages_made += 1;
        let number = self.messages_made;
        let priority = [0, 0, 3, 6, 9, self.rng.u8(..)][self.rng.usize(..6)];
        let due = match self.rng.u8(..5) {
            0 => Some(self.clock.now() + self.duration(30_000)),
            1 => Some(self.clock.now() - self.duration(1_000)),
            _ => None,
        };
        let headers = format!("headers of {number}").into_bytes();
        let body = number.to_string().into_bytes();
        let envelope = Envelope {
            headers,
            body,
            ..Envelope::default()
        };
        Publish {
            queue: self.queue(),
            id: self.task(),
            priority,
            due,
            envelope,
        }
    }

    fn result(&mut self) -> ResultRecord {
        let states = [
            TaskState::Success,
            TaskState::Failure,
            TaskState::Revoked,
            TaskState::Started,
            TaskState::Retry,
            TaskState::Custom("PROGRESS".to_owned()),
        ];
        let expires = self.rng.bool().then(|| self.duration(30_000));
        let state = states[self.rng.usize(..states.len())].clone();
        ResultRecord {
            id: self.task(),
            state,
            meta: self.bytes(),
            expires,
        }
    }

    fn some_letters(&mut self) -> Vec<u64> {
        let mut letters = self.letters.clone();
        self.rng.shuffle(&mut letters);
        letters.truncate(self.rng.usize(..4));
        letters
    }

    fn claim(&mut self) -> Option<(&'static str, Fence)> {
        let lately = self.facts.claims.len().saturating_sub(8);
        self.rng.choice(self.facts.claims[lately..].to_vec())
    }

    fn tasks(&mut self, max: usize) -> Vec<TaskId> {
        (0..self.rng.usize(1..=max)).map(|_| self.task()).collect()
    }

    fn task(&mut self) -> TaskId {
        task(self.rng.usize(..TASKS))
    }

    fn queues_for_consumer(&mut self) -> Vec<QueueName> {
        let mut queues = QUEUES.map(QueueName::from).to_vec();
        self.rng.shuffle(&mut queues);
        queues.truncate(self.rng.usize(1..=QUEUES.len()));
        queues
    }

    /// A log, and where an append to it ended lately, or its beginning.
    fn place_in_a_log(&mut self) -> (&'static str, u64) {
        let lately = self.logs.told.len().saturating_sub(20);
        let told = self.logs.told[lately..].to_vec();
        match self.rng.choice(told) {
            Some(place) if self.rng.bool() => place,
            _ => (self.log(), 0),
        }
    }

    fn log(&mut self) -> &'static str {
        LOGS[self.rng.usize(..LOGS.len())]
    }

    fn queue(&mut self) -> QueueName {
        QUEUES[self.rng.usize(..QUEUES.len())].into()
    }

    fn key(&mut self) -> &'static str {
        KEYS[self.rng.usize(..KEYS.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.rng.usize(..8)).map(|_| self.rng.u8(..)).collect()
    }

    fn duration(&mut self, max_ms: u64) -> Duration {
        Duration::from_millis(self.rng.u64(..=max_ms))
    }
}
