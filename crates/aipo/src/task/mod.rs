//! Step 1 of a task's life: what a task is.
//!
//! `#[aipo::task]` makes one of a function; a type with fields implements [`Task`] itself. After it: a call
//! ([`Call`]) and its sending ([`App::send`](crate::App::send)).

mod base;
mod call;
mod context;

use std::future::Future;
use std::sync::Arc;

use aipo_core::task::{TaskArgs, TaskOptions, TaskResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use base::Base;
pub use call::Call;
pub(crate) use call::{Unwritable, is_reserved_header};
pub use context::Context;
pub(crate) use context::{ContextParts, SoftLimit, blocking_scope, current, scope, was_given_back};

/// Work that can be sent to a worker.
///
/// ```
/// use aipo::{Context, Task, TaskArgs, TaskResult};
///
/// struct Greet { greeting: String }
///
/// #[derive(TaskArgs)]
/// struct Whom { name: String }
///
/// impl Task for Greet {
///     const NAME: &'static str = "app.tasks.greet";
///     type Args = Whom;
///     type Output = String;
///
///     async fn run(&self, _cx: &Context, whom: Whom) -> TaskResult<String> {
///         Ok(format!("{}, {}!", self.greeting, whom.name))
///     }
/// }
///
/// let call = Greet::call(Whom { name: "Ana".into() }).queue("greetings");
/// ```
pub trait Task: Send + Sync + 'static {
    /// Its name on the wire, the same for senders and workers. Celery writes `module.function`.
    const NAME: &'static str;
    /// Its arguments.
    type Args: TaskArgs;
    /// What it returns; anything that JSON can hold.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// Its options; by default the settings decide everything.
    fn options() -> TaskOptions
    where
        Self: Sized,
    {
        TaskOptions::default()
    }

    /// The behaviour that it shares with other tasks; by default none. Asked once, when the task is
    /// given to an app.
    fn base(&self) -> Option<Arc<dyn Base>> {
        None
    }

    /// Does the work.
    ///
    /// An error becomes a failure or, if the options say so, a retry; [`TaskError`](crate::TaskError)
    /// has the other answers. The future may be dropped at any `await` when the hard time limit is
    /// reached or the worker stops at once.
    fn run(
        &self,
        cx: &Context,
        args: Self::Args,
    ) -> impl Future<Output = TaskResult<Self::Output>> + Send;

    /// A call with these arguments, not yet sent.
    fn call(args: Self::Args) -> Call<Self::Output>
    where
        Self: Sized,
    {
        Call::of::<Self>(args)
    }
}
