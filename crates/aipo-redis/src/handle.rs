//! What broker, results, state and consumers of one store share.

use std::sync::Arc;

use aipo_core::Clock;

use crate::channels::Channels;
use crate::keys::Keys;
use crate::link::Link;
use crate::publish::Declared;
use crate::time::now_argument;
use crate::watch::Watch;

/// The connections close when the last clone of this is dropped.
pub(crate) struct Handle {
    /// For everything that is answered at once.
    pub(crate) link: Link,
    /// For what may have to wait.
    pub(crate) watch: Watch,
    /// For hearing what is told to everybody.
    pub(crate) channels: Arc<Channels>,
    pub(crate) keys: Keys,
    pub(crate) clock: Option<Clock>,
    pub(crate) park_on_send: bool,
    pub(crate) declared: Declared,
}

impl Handle {
    /// The present, as an argument of a script.
    pub(crate) fn now(&self) -> String {
        now_argument(self.clock.as_ref())
    }
}
