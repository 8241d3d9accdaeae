//! Ending deliveries: verdict, result and follow-up messages in one step.

use aipo_core::store::{ResultRecord, Settled, Settlement, Verdict};
use aipo_core::{QueueName, Result};
use jiff::Timestamp;
use redis::Cmd;

use crate::chords::step_size;
use crate::error::unexpected;
use crate::publish::Outgoing;
use crate::reply;
use crate::script::SETTLE;
use crate::source::{Hold, Source};
use crate::time::ceil_ms;

/// Settlements, and bytes of theirs, that one script ends at most; nothing else runs on the server
/// meanwhile.
const MAX_SETTLEMENTS: usize = 512;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A settlement with its messages as they go out.
struct Ending<'a> {
    settlement: &'a Settlement,
    publish: Vec<Outgoing>,
}

impl Ending<'_> {
    fn size(&self) -> usize {
        let meta = self
            .settlement
            .result
            .as_ref()
            .map_or(0, |result| result.meta.len());
        let messages: usize = self.publish.iter().map(Outgoing::size).sum();
        200 + meta + messages + step_size(&self.settlement.step)
    }
}

impl Source {
    pub(crate) async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>> {
        let mut answers = Vec::with_capacity(batch.len());
        let mut step: Vec<Ending<'_>> = Vec::new();
        let mut bytes = 0;
        for settlement in batch {
            let publish = settlement
                .publish
                .iter()
                .map(|message| self.handle.outgoing(message));
            let ending = Ending {
                settlement,
                publish: publish.collect(),
            };
            if step.len() == MAX_SETTLEMENTS
                || !step.is_empty() && bytes + ending.size() > MAX_BYTES
            {
                self.settle_step(&step, bytes, &mut answers).await?;
                step.clear();
                bytes = 0;
            }
            bytes += ending.size();
            step.push(ending);
        }
        if !step.is_empty() {
            self.settle_step(&step, bytes, &mut answers).await?;
        }
        Ok(answers)
    }

    async fn settle_step(
        &self,
        step: &[Ending<'_>],
        bytes: usize,
        answers: &mut Vec<Settled>,
    ) -> Result<()> {
        let handle = &*self.handle;
        let keys = &handle.keys;
        let more = [keys.dead(), keys.dead_id(), keys.parked_number()];
        let more = more.each_ref().map(String::as_str);
        let mut call = self.call_sized(&SETTLE, &more, step.len() * 9 + 4, bytes);
        call.arg(keys.prefix())
            .arg(keys.sep())
            .arg(keys.note_prefix());
        call.arg(handle.clocked_expiries()).arg(step.len());
        let mut declares: Vec<&QueueName> = Vec::new();
        for ending in step {
            self.write(&mut call, ending, &mut declares);
        }
        self.write_steps(&mut call, step);
        let told = reply::bytes(SETTLE.run(&handle.link, &call).await?)?;
        if told.is_empty() {
            // The lease is over, for all of them.
            answers.extend(step.iter().map(|_| Settled::LeaseLost));
            return Ok(());
        }
        if told.len() != step.len() {
            return Err(unexpected(&redis::Value::BulkString(told)));
        }
        answers.extend(told.iter().map(|told| match told {
            b'1' => Settled::Done,
            _ => Settled::LeaseLost,
        }));
        if told.iter().all(|told| *told == b'1') {
            declares
                .into_iter()
                .for_each(|queue| handle.declared.insert(queue.clone()));
        }
        Ok(())
    }

    fn write<'a>(&self, call: &mut Cmd, ending: &'a Ending<'_>, declares: &mut Vec<&'a QueueName>) {
        let hold = Hold::from(ending.settlement.tag);
        call.arg(hold.field()).arg(hold.later_start());
        match &ending.settlement.verdict {
            Verdict::Ack => call.arg("A"),
            Verdict::Release => call.arg("R"),
            Verdict::Park { until } => self.write_parking(call, hold, *until),
            Verdict::DeadLetter { reason } => call.arg("D").arg(reason),
        };
        self.write_result(call, ending.settlement.result.as_ref());
        self.handle.write_messages(call, &ending.publish, declares);
    }

    /// Adds what workflows change. Few settlements do.
    fn write_steps(&self, call: &mut Cmd, endings: &[Ending<'_>]) {
        let steps = || {
            let places = (1..).zip(endings);
            places.filter(|(_, ending)| !ending.settlement.step.is_empty())
        };
        let count = steps().count();
        call.arg(count);
        if count > 0 {
            call.arg(self.handle.keys.group_prefix());
        }
        for (place, ending) in steps() {
            call.arg(place);
            self.handle.write_step(call, &ending.settlement.step);
        }
    }

    /// Adds where a held message waits for its time.
    fn write_parking<'c>(&self, call: &'c mut Cmd, hold: Hold, until: Timestamp) -> &'c mut Cmd {
        let keys = &self.handle.keys;
        let (place, step) = (
            usize::from(hold.lane) / keys.steps.len(),
            usize::from(hold.lane) % keys.steps.len(),
        );
        match self.lanes().known.get(place) {
            Some(queue) => call.arg("P").arg(keys.parked(queue)),
            // Such a tag was never given, so nothing is held under it.
            None => call.arg("P").arg(""),
        };
        call.arg(keys.steps[step]).arg(ceil_ms(until))
    }

    fn write_result(&self, call: &mut Cmd, result: Option<&ResultRecord>) {
        match result {
            None => call.arg("0"),
            Some(record) => {
                call.arg("1");
                self.handle.write_result(call, record)
            }
        };
    }
}
