//! Workflows, typed: what one step gives is what the next one takes.
//!
//! | file | what |
//! |---|---|
//! | `mod` | [`Flow`] and [`Group`]: workflows that end in one task, or in several side by side |
//! | `step` | what can stand in a workflow, and what fits after what |
//! | `items` | one task for many items: [`map`], [`starmap`], [`chunks`] |
//! | `send` | sending them |
//! | `handle` | [`GroupHandle`], and how results belong together |
//! | `graph` | [`ResultGraph`]: what a task led to |
//! | `tree`, `told` | [`Workflow`]: how far one is, from what its sender left or from its results; cancelling all of it |
//!
//! What they are on the wire is in `aipo_core::canvas`. After it: `app/workflow.rs`.

mod graph;
mod handle;
mod items;
mod send;
mod step;
mod told;
mod tree;

use std::fmt;
use std::marker::PhantomData;

use aipo_core::TaskId;
use aipo_core::canvas::Canvas;
use aipo_core::signature::CallOptions;
use serde_json::Value;

pub use graph::{GraphNode, ResultGraph};
pub use handle::{Completions, GroupHandle, Related};
pub use items::{chunks, map, starmap};
pub use send::Sendable;
pub use step::{Accepts, Nothing, Single, Step, Takes, Untyped};
pub(crate) use tree::names;
pub use tree::{Workflow, WorkflowStep, WorkflowTask};

use crate::task::{Call, Unwritable};

/// A signature, if its arguments can be JSON.
pub(crate) type Built = Result<Canvas, Unwritable>;

/// A workflow that ends in one task, not yet sent. `T` is what that task returns.
///
/// `I` is what its first task still lacks, as of a [`Call`]: a flow that [`Takes`] something can stand inside
/// another one only. Celery: a chain, or a chord.
///
/// ```
/// # use aipo::{App, testing, group};
/// #[aipo::task]
/// async fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
///
/// #[aipo::task]
/// async fn total(numbers: Vec<i64>) -> i64 {
///     numbers.iter().sum()
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// # let app = testing::build(App::builder("test").task(add::task()).task(total::task())).await.unwrap();
/// # let worker = app.worker().start().await.unwrap();
/// let flow = add::s(1, 2)
///     .then(group([add::p(10), add::p(20)]))
///     .then(total::p());
/// let handle = app.send(flow).await.unwrap();
/// assert_eq!(handle.get(std::time::Duration::from_secs(5)).await.unwrap(), 13 + 23);
/// # worker.stop().await.unwrap();
/// # });
/// ```
#[must_use = "a workflow does nothing until it is sent"]
pub struct Flow<T, I = Nothing> {
    canvas: Built,
    types: PhantomData<fn(I) -> T>,
}

/// Workflows side by side, not yet sent. Each of them gives a `T`; what comes after them takes all as a `Vec<T>`.
///
/// `I` is what its members still lack, as of a [`Flow`]; each is given the same. Celery: a group, or a chain that
/// ends in one.
#[must_use = "a group does nothing until it is sent"]
pub struct Group<T, I = Nothing> {
    canvas: Built,
    types: PhantomData<fn(I) -> T>,
}

/// Workflows side by side. Celery's `group`.
pub fn group<M: Single>(members: impl IntoIterator<Item = M>) -> Group<M::Output, M::Input> {
    let members: Result<Vec<Canvas>, Unwritable> =
        members.into_iter().map(Step::into_canvas).collect();
    Group::new(members.map(Canvas::group))
}

impl<T, I> Flow<T, I> {
    /// Goes on with `next`, which takes what this gives, or nothing. Celery: `|`.
    ///
    /// A call or a workflow that lacks no argument takes nothing; Celery: an immutable signature, `.si()`.
    pub fn then<N: Step>(self, next: N) -> N::After<I>
    where
        N::Input: Accepts<T>,
    {
        N::after(step::chain(self.canvas, step::following::<T, N>(next)))
    }

    /// Runs `callback` beside what follows, with what this gives. Celery's `link`.
    pub fn link<N: Step>(self, callback: N) -> Self
    where
        N::Input: Accepts<T>,
    {
        self.with(|canvas| {
            canvas.link(&step::following::<T, N>(callback)?.to_value());
            Ok(())
        })
    }

    /// The same workflow, its result read as another type.
    pub fn returning<U>(self) -> Flow<U, I> {
        Flow::new(self.canvas)
    }

    /// The same workflow, what it takes read as another type.
    pub fn taking<A>(self) -> Flow<T, Takes<A>> {
        Flow::new(self.canvas)
    }
}

impl<T, I> Group<T, I> {
    /// Goes on with `next` once all members have ended; it takes all that they give, or nothing. Celery's `chord`.
    pub fn then<N: Step>(self, next: N) -> N::After<I>
    where
        N::Input: Accepts<Vec<T>>,
    {
        N::after(step::chord(self.canvas, step::following::<Vec<T>, N>(next)))
    }

    /// All results as one, in a task of its own after the members: Celery's `celery.accumulate`.
    pub fn collect(self) -> Flow<Vec<T>, I> {
        Flow::new(step::chord(self.canvas, Ok(accumulate())))
    }

    /// Runs `callback` with what each member gives. Celery's `link`.
    pub fn link<N: Step>(self, callback: N) -> Self
    where
        N::Input: Accepts<T>,
    {
        self.with(|canvas| {
            canvas.link_each(&step::following::<T, N>(callback)?.to_value());
            Ok(())
        })
    }

    /// The same group, its results read as another type.
    pub fn returning<U>(self) -> Group<U, I> {
        Group::new(self.canvas)
    }

    /// The same group, what it takes read as another type.
    pub fn taking<A>(self) -> Group<T, Takes<A>> {
        Group::new(self.canvas)
    }
}

/// A task whose value is the list that it is given.
fn accumulate() -> Canvas {
    let mut accumulate = Canvas::task("celery.accumulate");
    accumulate.kwargs.insert("index".to_owned(), 0.into());
    accumulate
}

/// What flows and groups have in common.
macro_rules! workflow {
    ($name:ident) => {
        impl<T, I> $name<T, I> {
            pub(crate) fn new(canvas: Built) -> Self {
                Self {
                    canvas,
                    types: PhantomData,
                }
            }

            /// Runs `errback` with the id of the task that failed, when one of its tasks does; of a group before
            /// another step, when that step fails or can't run. Celery's `link_error`, `on_error`.
            pub fn on_error<N: Step>(self, errback: N) -> Self
            where
                N::Input: Accepts<TaskId>,
            {
                self.with(|canvas| {
                    canvas.link_error(&step::following::<TaskId, N>(errback)?.to_value());
                    Ok(())
                })
            }

            /// Sets options as Celery's `set` does: those of the first task of a chain, of every member of a
            /// group, of the members and of what follows them in a chord. Where it stands in a workflow
            /// ([`CallOptions::place`]) can't be set.
            pub fn set(self, options: CallOptions) -> Self {
                self.with(|canvas| {
                    canvas.set_options(&options);
                    Ok(())
                })
            }

            /// Puts a stamp on all its tasks, callbacks and errbacks, for whoever watches or revokes them
            /// ([`App::revoke_by_stamp`](crate::App::revoke_by_stamp)); a stamp of that name which is there already stays.
            /// Celery's `stamp`.
            pub fn stamp(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                let (name, value) = (name.into(), value.into());
                self.with(|canvas| {
                    canvas.stamp(&name, &value);
                    Ok(())
                })
            }

            /// Its signature, as it travels.
            ///
            /// # Errors
            /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) when an argument can't be JSON.
            pub fn into_canvas(self) -> aipo_core::Result<Canvas> {
                Ok(self.canvas?)
            }

            fn with(mut self, change: impl FnOnce(&mut Canvas) -> Result<(), Unwritable>) -> Self {
                if let Ok(canvas) = &mut self.canvas
                    && let Err(error) = change(canvas)
                {
                    self.canvas = Err(error);
                }
                self
            }
        }

        impl<T, I> Clone for $name<T, I> {
            fn clone(&self) -> Self {
                Self::new(self.canvas.clone())
            }
        }

        impl<T, I> fmt::Debug for $name<T, I> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name))
                    .field(&self.canvas)
                    .finish()
            }
        }

        /// What is known by its names only. Its results are any JSON.
        impl From<Canvas> for $name<Value> {
            fn from(canvas: Canvas) -> Self {
                Self::new(Ok(canvas))
            }
        }
    };
}

workflow!(Flow);
workflow!(Group);

impl<T, I> From<Call<T, I>> for Flow<T, I> {
    fn from(call: Call<T, I>) -> Self {
        Self::new(call.into_canvas())
    }
}

impl<T, I> Call<T, I> {
    /// Goes on with `next`, see [`Flow::then`].
    pub fn then<N: Step>(self, next: N) -> N::After<I>
    where
        N::Input: Accepts<T>,
    {
        Flow::from(self).then(next)
    }

    /// Runs `callback` with what this gives. Celery's `link`.
    pub fn link<N: Step>(self, callback: N) -> Flow<T, I>
    where
        N::Input: Accepts<T>,
    {
        Flow::from(self).link(callback)
    }

    /// Runs `errback` with its id when it fails. Celery's `link_error`.
    pub fn on_error<N: Step>(self, errback: N) -> Flow<T, I>
    where
        N::Input: Accepts<TaskId>,
    {
        Flow::from(self).on_error(errback)
    }

    /// Puts a stamp on it, see [`Flow::stamp`].
    pub fn stamp(self, name: impl Into<String>, value: impl Into<Value>) -> Flow<T, I> {
        Flow::from(self).stamp(name, value)
    }
}
