//! `send`: sends calls with any option that a call has, for which `call` has no flag.
//!
//! A call is a JSON object with the names of Celery's `send_task`:
//!
//! ```json
//! {"task": "py.add", "args": [1, 2], "kwargs": {}, "queue": "python", "headers": {"tenant": "a"}}
//! ```

use std::io::Read as _;
use std::time::Duration;

use aipo::{AppBuilder, Call, Signature, When};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

type BoxError = Box<dyn std::error::Error>;

/// Sends all calls in one step and prints their ids, one a line.
pub(crate) async fn send(app: AppBuilder) -> Result<(), BoxError> {
    let mut lines = String::new();
    std::io::stdin().read_to_string(&mut lines)?;
    let calls = lines
        .lines()
        .map(|line| Ok(serde_json::from_str::<Spec>(line)?.into_signature().into()))
        .collect::<Result<Vec<Call<Value>>, BoxError>>()?;
    let app = app.build().await?;
    for handle in app.send_all(calls).await? {
        println!("{}", handle.id());
    }
    Ok(())
}

/// One line. Times are seconds, or moments in RFC 3339.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    task: String,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    kwargs: Map<String, Value>,
    task_id: Option<String>,
    queue: Option<String>,
    priority: Option<u8>,
    countdown: Option<f64>,
    eta: Option<Timestamp>,
    expires: Option<SecondsOrMoment>,
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
    ignore_result: Option<bool>,
    shadow: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SecondsOrMoment {
    Seconds(f64),
    Moment(Timestamp),
}

impl Spec {
    fn into_signature(self) -> Signature {
        let mut signature = Signature::new(self.task).args(self.args);
        signature.kwargs = self.kwargs;
        let options = &mut signature.options;
        options.task_id = self.task_id.map(Into::into);
        options.queue = self.queue.map(Into::into);
        options.priority = self.priority;
        options.eta = self.eta.map(When::At).or(self.countdown.map(in_seconds));
        options.expires = self.expires.map(|expires| match expires {
            SecondsOrMoment::Seconds(seconds) => in_seconds(seconds),
            SecondsOrMoment::Moment(moment) => When::At(moment),
        });
        options.time_limit = self.time_limit.map(Duration::from_secs_f64);
        options.soft_time_limit = self.soft_time_limit.map(Duration::from_secs_f64);
        options.ignore_result = self.ignore_result;
        options.shadow = self.shadow;
        options.headers = self.headers;
        signature
    }
}

fn in_seconds(seconds: f64) -> When {
    When::In(Duration::from_secs_f64(seconds))
}
