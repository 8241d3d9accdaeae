//! The macros of `aipo`: `#[task]` and `#[derive(TaskArgs)]`. `aipo` re-exports both; use them from
//! there.
//!
//! They parse, check, and expand to what one would write by hand, by way of functions in
//! `aipo::__private`. Every refusal points at the word that caused it.

mod args;
mod duration;
mod function;
mod options;
mod suggest;
mod task;

use proc_macro::TokenStream;
use syn::{DeriveInput, Error, parse_macro_input};

/// Makes a task of a free function.
///
/// The function stays what it is and can be called as before. Beside it, under the same name, comes a
/// type that implements `aipo::Task`: `add::s(1, 2)` is a call to send, `add::task()` is the task, to
/// register it with an app.
///
/// ```
/// use std::num::ParseIntError;
///
/// use aipo::{App, Context, TaskResult, testing};
///
/// /// Adds two numbers.
/// #[aipo::task(name = "app.tasks.add", max_retries = 3, retry_delay = "60s")]
/// async fn add(
///     /// Any number.
///     x: i64,
///     /// What to add to it.
///     #[arg(default = 1)]
///     y: i64,
/// ) -> i64 {
///     x + y
/// }
///
/// #[aipo::task(name = "app.tasks.parse", autoretry_for = any)]
/// fn parse(cx: &Context, text: String) -> Result<i64, ParseIntError> {
///     println!("attempt {} at {text}", cx.retries() + 1);
///     text.parse()
/// }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> TaskResult<()> {
///     assert_eq!(add(2, 2).await, 4);
///
///     let app = App::builder("example").task(add::task()).task(parse::task());
///     let app = testing::build(app).await?;
///     let worker = app.worker().start().await?;
///     let sum = app.send(add::s(2, 2)).await?;
///     assert_eq!(sum.get(std::time::Duration::from_secs(5)).await?, 4);
///     worker.stop().await?;
///     Ok(())
/// }
/// ```
///
/// # The function
///
/// An `async fn` runs on the runtime. A plain `fn` may block: it runs on a thread of its own.
///
/// Its **parameters** are the arguments of the task, in their order; a message may give them by
/// position or by name. They own what they hold, and implement `Serialize` and `Deserialize`.
/// `#[arg(default)]` lets messages leave one out, and gives it the default of its type;
/// `#[arg(default = value)]` gives it the value. Those after it need a default as well, as in Python.
/// Python's free arguments are there too, in this order after the others: `#[arg(rest)] more: Vec<T>` is
/// `*more`, `#[arg(named)]` is a parameter that is given by name only, and `#[arg(named_rest)]` on a
/// `serde_json::Map<String, Value>` is `**more`.
/// A documented parameter is documented at `s`.
///
/// If the first parameter is a `&Context`, it is the context of the run, and no argument: what Celery
/// calls a bound task.
///
/// It **returns** a value that can be JSON, or nothing, or a `Result` of such a value and anything that
/// becomes a `TaskError`: any error, or a `TaskError` itself. Other spellings of `Result` are known by
/// their last word, `io::Result<T>` for example.
///
/// Attributes and documentation stay on the function. The documentation, `#[cfg]` and `#[deprecated]`
/// hold for the type as well.
///
/// # Options
///
/// All are optional. Where there is a setting of Celery's with the same meaning, the name is Celery's.
///
/// | option | value | default |
/// |---|---|---|
/// | `name` | text or constant | the module with dots, then the function: `app.tasks.add` |
/// | `queue` | text or constant | `task_routes`, `task_default_queue` |
/// | `priority` | `0`, the most urgent, to `9` | `task_default_priority` |
/// | `max_retries` | number, or `none` for no limit | 3 |
/// | `retry_delay` | duration; Celery's `default_retry_delay` | `"180s"` |
/// | `retry_backoff` | duration: the first delay, doubled each time; replaces `retry_delay` | none |
/// | `retry_backoff_max` | duration | `"600s"` |
/// | `retry_jitter` | flag: a random part of the backoff | `true` |
/// | `autoretry_for` | `any`, or types: `autoretry_for(io::Error, MyError)` | no error |
/// | `dont_autoretry_for` | the same | no error |
/// | `time_limit` | duration | `task_time_limit` |
/// | `soft_time_limit` | duration, shorter than `time_limit` | `task_soft_time_limit` |
/// | `rate_limit` | starts in one worker: `"10/s"`, `"100/m"`, `"5/h"` | `task_default_rate_limit` |
/// | `expires` | duration from the send | never |
/// | `acks_late` | flag | `task_acks_late` |
/// | `ignore_result` | flag | `task_ignore_result` |
/// | `store_errors_even_if_ignored` | flag | `task_store_errors_even_if_ignored` |
/// | `track_started` | flag | `task_track_started` |
/// | `max_deliveries` | number of at least 1 | `task_max_deliveries` |
/// | `errback_takes_request` | flag | `false` |
/// | `base` | expression for an `aipo::Base`, evaluated anew for each run | the app's bases only |
///
/// A *duration* is a text: a whole number and one of the units `ms`, `s`, `m`, `h`, `d`, such as
/// `"90s"`. A *flag* is `true` or `false`; its name alone means `true`.
#[proc_macro_attribute]
pub fn task(attribute: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(attribute.into(), item.into()).into()
}

/// Implements `aipo::TaskArgs` for a struct with named fields: the arguments of a task that is a type
/// of its own.
///
/// The fields are the arguments, in their order; a message may give them by position or by name.
/// `#[arg(default)]` and `#[arg(default = value)]` let messages leave one out; `rest`, `named` and
/// `named_rest` are there as for the parameters of [`macro@task`].
///
/// ```
/// use aipo::{Context, Task, TaskArgs, TaskResult};
///
/// struct Greet {
///     greeting: String,
/// }
///
/// #[derive(TaskArgs)]
/// struct Whom {
///     name: String,
///     #[arg(default = 1)]
///     times: usize,
/// }
///
/// impl Task for Greet {
///     const NAME: &'static str = "app.tasks.greet";
///     type Args = Whom;
///     type Output = String;
///
///     async fn run(&self, _cx: &Context, whom: Whom) -> TaskResult<String> {
///         Ok(format!("{}, {}! ", self.greeting, whom.name).repeat(whom.times))
///     }
/// }
///
/// let call = Greet::call(Whom { name: "Ana".into(), times: 2 });
/// ```
#[proc_macro_derive(TaskArgs, attributes(arg))]
pub fn derive_task_args(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    args::derive(input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}
