//! Events: telling them, and listening.

use std::collections::VecDeque;

use aipo_core::Result;
use aipo_core::control::{EVENTS_IN_A_NOTICE, Event, decode_events, events_notice};
use aipo_core::store::{Listener, Topic};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::App;

/// What workers, tasks and senders tell of themselves from now on.
///
/// Celery: `app.events.Receiver`. Events of tasks are told by workers that were started so (`-E`) or asked
/// ([`Control::enable_events`](super::Control::enable_events)).
pub struct EventStream {
    app: App,
    listener: Box<dyn Listener>,
    /// What came in one notice and was not asked for yet.
    rest: VecDeque<Event>,
}

impl App {
    /// Listens to all events.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn events(&self) -> Result<EventStream> {
        let topic = Topic::Everybody {
            exchange: self.settings().event_exchange.clone(),
            pattern: "#".to_owned(),
        };
        Ok(EventStream {
            app: self.clone(),
            listener: self.store().bus.listen(vec![topic]).await?,
            rest: VecDeque::new(),
        })
    }
}

impl EventStream {
    /// The next event; waits until there is one. Who is slow misses the oldest.
    ///
    /// # Errors
    /// What the store answers.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.rest.pop_front() {
                self.app.lamport().adjust(event.clock);
                return Ok(event);
            }
            let notice = self.listener.next().await?;
            match decode_events(&notice.envelope) {
                Ok(events) => self.rest = events.into(),
                Err(error) => tracing::warn!(%error, "an event is not understood"),
            }
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventStream({:?})", self.app)
    }
}

impl App {
    /// An event of this process, told by `hostname` now.
    pub(crate) fn event(&self, kind: &str, hostname: &str, fields: Map<String, Value>) -> Event {
        Event {
            kind: kind.to_owned(),
            hostname: hostname.to_owned(),
            timestamp: unix_seconds(self.clock().now()),
            pid: Some(std::process::id()),
            clock: self.lamport().forward(),
            fields,
        }
    }

    /// Tells events of one kind now.
    pub(crate) async fn tell_events(&self, events: &[Event]) -> Result<()> {
        let exchange = &self.settings().event_exchange;
        let notices = events
            .chunks(EVENTS_IN_A_NOTICE)
            .map(|events| events_notice(exchange, events));
        self.store().bus.tell(notices.collect()).await
    }
}

/// A moment as Celery writes it in events: seconds since 1970, to the microsecond.
pub(crate) fn unix_seconds(moment: Timestamp) -> f64 {
    moment.as_microsecond() as f64 / 1e6
}
