//! The contracts that a store fulfils. One file per seam:
//!
//! | seam | answers |
//! |---|---|
//! | [`broker`] | where does a message wait, and who holds it? |
//! | [`results`] | what became of a task? |
//! | [`state`] | which small facts do all processes share? |
//! | [`chords`] | which parts of a chord are done? which groups were saved? |
//! | [`bus`] | what do processes tell each other while they live? |
//!
//! Each method lists its behaviour in sentences; each sentence is a case of `aipo-conformance`,
//! which every store runs. Everything comes in batches, so that a store can share a round trip
//! or a transaction between many tasks.

pub mod broker;
pub mod bus;
pub mod chords;
pub mod results;
pub mod state;

use std::fmt;
use std::sync::Arc;

pub use broker::{
    Broker, Consumer, ConsumerOptions, DeadLetter, Delivery, DeliveryTag, Fetch, Location,
    MAX_PRIORITY, Parked, Publish, QueueStats, Settled, Settlement, Verdict,
};
pub use bus::{Address, Bus, Listener, Notice, Topic};
pub use chords::{Chord, Chords, Complete, Done, Part, Step};
pub use results::{ResultBackend, ResultRecord};
pub use state::{Entry, Fact, Fence, StateStore};

/// A broker, a result backend and a state store that belong together.
#[derive(Clone)]
pub struct Store {
    /// Where messages wait.
    pub broker: Arc<dyn Broker>,
    /// Where results are kept.
    pub results: Arc<dyn ResultBackend>,
    /// Where shared facts are kept.
    pub state: Arc<dyn StateStore>,
    /// Where chords are counted; on the server of the results.
    pub chords: Arc<dyn Chords>,
    /// How processes tell each other things.
    pub bus: Arc<dyn Bus>,
    /// Whether [`Consumer::settle`] stores a settlement's result as well, in the same atomic step:
    /// true where broker and results are one server. Otherwise the worker stores results itself,
    /// before it settles.
    pub settles_results: bool,
    /// The store's address for people to read, without credentials.
    pub url: String,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.url)
    }
}
