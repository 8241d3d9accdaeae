//! The scripts: each one step on the server that nothing comes in between.
//!
//! A script is known to the server by the hash of its text and is sent in full only to a server that does
//! not know it, as after a restart. Each file in `scripts` opens with what goes in, what comes out and
//! what it changes; what several of them need is in `scripts/shared` and put in front of them.
//!
//! Many keys are put together inside the scripts, out of a prefix and a name, so the server must be one and
//! not a cluster. Celery's keys ask for the same.

use std::sync::OnceLock;

use aipo_core::Result;
use redis::{Cmd, ErrorKind, Value};

use crate::error::unexpected;
use crate::link::Link;

pub(crate) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

/// A script out of files.
macro_rules! script {
    ($($file:literal),+) => {
        Script::new(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+))
    };
}

pub(crate) static PUBLISH: Script = script!("shared/time", "shared/publish", "publish");
pub(crate) static CONSUME: Script =
    script!("shared/time", "shared/publish", "shared/lanes", "consume");
pub(crate) static ADD_QUEUES: Script = script!(
    "shared/time",
    "shared/lease",
    "shared/publish",
    "shared/lanes",
    "add_queues"
);
pub(crate) static FETCH: Script =
    script!("shared/time", "shared/lease", "shared/deliveries", "fetch");
pub(crate) static CLAIM: Script = script!(
    "shared/time",
    "shared/lease",
    "shared/parked_before",
    "claim"
);
pub(crate) static PARK: Script = script!("shared/time", "shared/lease", "park");
pub(crate) static START: Script = script!("shared/time", "shared/lease", "start");
pub(crate) static SETTLE: Script = script!(
    "shared/time",
    "shared/lease",
    "shared/deliveries",
    "shared/publish",
    "shared/result",
    "shared/chord",
    "shared/fact",
    "shared/step",
    "shared/parked_before",
    "settle"
);
pub(crate) static ADVANCE: Script = script!(
    "shared/time",
    "shared/publish",
    "shared/result",
    "shared/chord",
    "shared/fact",
    "shared/step",
    "advance"
);
pub(crate) static TAKE_COMPLETE: Script = script!("shared/time", "shared/chord", "take_complete");
pub(crate) static SAVE_GROUP: Script = script!("shared/time", "shared/chord", "save_group");
pub(crate) static SAVED_GROUP: Script = script!("shared/time", "shared/chord", "saved_group");
pub(crate) static RENEW: Script = script!("shared/time", "shared/lease", "renew");
pub(crate) static ABANDON: Script = script!("shared/time", "shared/lease", "abandon");
pub(crate) static CLOSE: Script = script!(
    "shared/time",
    "shared/lease",
    "shared/deliveries",
    "shared/parked_before",
    "shared/hand_back",
    "close"
);
pub(crate) static RECOVER: Script = script!(
    "shared/time",
    "shared/deliveries",
    "shared/parked_before",
    "shared/hand_back",
    "recover"
);

pub(crate) static QUEUES: Script = script!("shared/time", "queues");
pub(crate) static PARKED: Script = script!("shared/time", "parked");
pub(crate) static PURGE: Script = script!("purge");
pub(crate) static SEARCH: Script = script!("shared/named", "search");
pub(crate) static SEARCH_HELD: Script = script!("shared/named", "search_held");
pub(crate) static SEARCH_DEAD: Script = script!("shared/named", "search_dead");
pub(crate) static DEAD_LETTERS: Script = script!("dead_letters");
pub(crate) static REDRIVE: Script = script!("shared/letter", "redrive");
pub(crate) static DISCARD: Script = script!("shared/letter", "discard");

pub(crate) static STORE_RESULTS: Script = script!("shared/time", "shared/result", "store_results");
pub(crate) static GET_RESULTS: Script = script!("shared/time", "get_results");

pub(crate) static PUT_FACT: Script = script!("shared/time", "shared/fact", "put_fact");
pub(crate) static CLAIM_FACT: Script = script!("shared/time", "shared/fact", "claim_fact");
pub(crate) static RENEW_FACT: Script = script!("shared/time", "shared/fact", "renew_fact");
pub(crate) static RELEASE_FACT: Script = script!("shared/time", "shared/fact", "release_fact");
pub(crate) static GET_FACTS: Script = script!("shared/time", "shared/fact", "get_facts");
pub(crate) static SCAN_FACTS: Script = script!("shared/time", "shared/fact", "scan_facts");
pub(crate) static SWEEP_FACTS: Script = script!("shared/time", "shared/fact", "sweep_facts");

pub(crate) static APPEND: Script = script!("shared/time", "append");
pub(crate) static ENTRIES: Script = script!("shared/time", "entries");
pub(crate) static SWEEP_LOGS: Script = script!("shared/time", "sweep_logs");

pub(crate) static TELL: Script = script!("tell");
pub(crate) static OPEN_MAILBOX: Script = script!("shared/time", "open_mailbox");
pub(crate) static CLOSE_MAILBOX: Script = script!("shared/mailbox", "close_mailbox");
pub(crate) static SWEEP_MAILBOXES: Script =
    script!("shared/time", "shared/mailbox", "sweep_mailboxes");

impl Script {
    const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    /// A call of the script, its keys and arguments still to be added: first `keys` keys.
    pub(crate) fn call(&self, keys: usize) -> Cmd {
        self.call_sized(keys, 0, 0)
    }

    /// The same with room for `arguments` of `bytes` together, so that it does not grow step by step.
    pub(crate) fn call_sized(&self, keys: usize, arguments: usize, bytes: usize) -> Cmd {
        let mut call = Cmd::with_capacity(arguments + keys + 3, bytes + 64);
        call.arg("EVALSHA").arg(self.hash()).arg(keys);
        call
    }

    /// Runs a call made by [`call`](Self::call).
    pub(crate) async fn run(&self, link: &Link, call: &Cmd) -> Result<Value> {
        match link.send(call).await {
            // It was not run, so running it again is right.
            Err(error) if is_unknown(&error) => {
                let mut anew = redis::pipe();
                anew.cmd("SCRIPT").arg("LOAD").arg(self.code);
                anew.add_command(call.clone());
                let answer = link.transaction(anew.atomic()).await?.pop();
                answer.ok_or_else(|| unexpected(&Value::Nil))
            }
            answer => answer,
        }
    }

    fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| redis::Script::new(self.code).get_hash().to_owned())
    }
}

fn is_unknown(error: &aipo_core::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<redis::RedisError>())
        .is_some_and(|error| error.kind() == ErrorKind::NoScriptError)
}
