//! `queues dead`, `queues redrive`, `queues discard`: messages that were given up.

use aipo_core::QueueName;
use aipo_core::store::DeadLetter;
use serde_json::{Value, json};

use super::output::{self, Table, count};
use super::problem::{Exit, Problem};
use crate::App;

/// How many dead letters are read at a time.
const PAGE: usize = 1000;

/// Flags of `queues dead`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those of this queue
    #[arg(short = 'Q', long, value_name = "QUEUE")]
    queue: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Show this one in full: headers, properties and body, byte for byte
    #[arg(long, value_name = "ID", conflicts_with_all = ["queue", "limit"])]
    show: Option<u64>,
    /// Write JSON
    #[arg(short, long)]
    json: bool,
}

/// Flags of `queues redrive` and `queues discard`.
#[derive(Debug, clap::Args)]
pub(super) struct Select {
    /// Which, by the ids that `queues dead` shows
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<u64>,
    /// All that there are now
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// With --all: only those of this queue
    #[arg(short = 'Q', long, value_name = "QUEUE", requires = "all")]
    queue: Option<String>,
}

impl List {
    pub(super) async fn run(self, app: &App, json: bool) -> Result<Exit, Problem> {
        let json = json || self.json;
        if let Some(id) = self.show {
            let letter = find(app, id).await?;
            if json {
                output::print_json(&in_full(&letter))?;
            } else {
                output::print(&to_text(&letter))?;
            }
            return Ok(Exit::Done);
        }
        let queue = self.queue.map(QueueName::from);
        let broker = &app.store().broker;
        let letters = broker.dead_letters(queue.as_ref(), self.limit).await?;
        if json {
            let letters: Vec<Value> = letters.iter().map(summary).collect();
            output::print_json(&letters)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&[">ID", "QUEUE", "DIED", ">STARTED", "TASK ID", "REASON"]);
        for letter in &letters {
            table.row([
                letter.id.to_string(),
                letter.queue.to_string(),
                letter.died.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                letter.deliveries.to_string(),
                letter.task_id.to_string(),
                letter.reason.clone(),
            ]);
        }
        output::print(&table.render())?;
        if letters.len() == self.limit {
            eprintln!("note: there may be more; see --limit");
        }
        Ok(Exit::Done)
    }
}

impl Select {
    pub(super) async fn redrive(self, app: &App) -> Result<Exit, Problem> {
        let broker = &app.store().broker;
        self.apply(app, "put back", async |ids| broker.redrive(ids).await)
            .await
    }

    pub(super) async fn discard(self, app: &App) -> Result<Exit, Problem> {
        let broker = &app.store().broker;
        self.apply(app, "deleted", async |ids| broker.discard(ids).await)
            .await
    }

    /// Does it to those that were chosen and tells how many they were; ids that are not there fail.
    async fn apply(
        self,
        app: &App,
        done: &str,
        act: impl AsyncFn(&[u64]) -> aipo_core::Result<usize>,
    ) -> Result<Exit, Problem> {
        if self.all {
            let queue = self.queue.map(QueueName::from);
            let number = all(app, queue.as_ref(), act).await?;
            output::print(&format!("{} {done}\n", count(number as u64, "dead letter")))?;
            return Ok(Exit::Done);
        }
        let mut ids = self.ids;
        ids.sort_unstable();
        ids.dedup();
        let number = act(&ids).await?;
        output::print(&format!("{} {done}\n", count(number as u64, "dead letter")))?;
        let missing = ids.len() - number;
        if missing > 0 {
            let text = format!("{missing} of the ids named no dead letter");
            return Err(Problem::new(Exit::Negative, text).hint("`queues dead` lists them"));
        }
        Ok(Exit::Done)
    }
}

/// Does something to all dead letters that are there at the start, page by page.
async fn all(
    app: &App,
    queue: Option<&QueueName>,
    act: impl AsyncFn(&[u64]) -> aipo_core::Result<usize>,
) -> Result<usize, Problem> {
    let broker = &app.store().broker;
    let (mut done, mut newest) = (0, None);
    loop {
        // Those that were put back may have died again by now, with new ids, and come first; the
        // page grows by as many as they can be.
        let letters = broker.dead_letters(queue, PAGE + done).await?;
        let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
        let newest = *newest.get_or_insert(ids.iter().copied().max().unwrap_or_default());
        let ids: Vec<u64> = ids.into_iter().filter(|id| *id <= newest).collect();
        if ids.is_empty() {
            return Ok(done);
        }
        done += act(&ids).await?;
    }
}

async fn find(app: &App, id: u64) -> Result<DeadLetter, Problem> {
    let mut limit = PAGE;
    loop {
        let letters = app.store().broker.dead_letters(None, limit).await?;
        let last = letters.len() < limit;
        if let Some(letter) = letters.into_iter().find(|letter| letter.id == id) {
            return Ok(letter);
        }
        if last {
            let problem = Problem::new(Exit::Negative, format!("there is no dead letter {id}"));
            return Err(problem.hint("`queues dead` lists them"));
        }
        limit = limit.saturating_mul(10);
    }
}

fn summary(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "queue": letter.queue,
        "task_id": letter.task_id,
        "reason": letter.reason,
        "died": letter.died.to_string(),
        "deliveries": letter.deliveries,
    })
}

/// With the message: bytes that are UTF-8 as text, others as hex under a name that says so.
fn in_full(letter: &DeadLetter) -> Value {
    let mut document = summary(letter);
    document["properties"] = json!(letter.envelope.properties);
    for (name, bytes) in [
        ("headers", &letter.envelope.headers),
        ("body", &letter.envelope.body),
    ] {
        match std::str::from_utf8(bytes) {
            Ok(text) => document[name] = text.into(),
            Err(_) => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                document[format!("{name}_hex")] = hex.into();
            }
        }
    }
    document
}

fn to_text(letter: &DeadLetter) -> String {
    let properties = serde_json::to_string(&letter.envelope.properties)
        .expect("properties are text and numbers, which JSON can hold");
    format!(
        "id          {}\nqueue       {}\ntask id     {}\nreason      {}\ndied        {}\nstarted     {}\n\
         properties  {properties}\n\nheaders ({})\n{}\n\nbody ({})\n{}\n",
        letter.id,
        letter.queue,
        letter.task_id,
        letter.reason,
        letter.died,
        count(letter.deliveries.into(), "time"),
        count(letter.envelope.headers.len() as u64, "byte"),
        text_or_hex(&letter.envelope.headers),
        count(letter.envelope.body.len() as u64, "byte"),
        text_or_hex(&letter.envelope.body),
    )
}

/// Text where the bytes are text that a terminal can show, otherwise sixteen bytes a line.
fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|c: char| c.is_control() && !"\n\t".contains(c)) => {
            text.to_owned()
        }
        _ => bytes
            .chunks(16)
            .enumerate()
            .map(|(line, chunk)| hex_line(line * 16, chunk))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn hex_line(offset: usize, chunk: &[u8]) -> String {
    let hex: String = chunk.iter().map(|byte| format!("{byte:02x} ")).collect();
    let shown = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    };
    let text: String = chunk.iter().map(shown).collect();
    format!("{offset:08x}  {hex:<48} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hex() {
        assert_eq!(text_or_hex(b"[[], {}, null]"), "[[], {}, null]");
        assert_eq!(
            text_or_hex(b"\x80\x04ab\x1b[0m and more of it"),
            "00000000  80 04 61 62 1b 5b 30 6d 20 61 6e 64 20 6d 6f 72  ..ab.[0m and mor\n\
             00000010  65 20 6f 66 20 69 74                             e of it"
        );
    }
}
