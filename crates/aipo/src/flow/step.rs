//! What can stand in a workflow, and what fits after what.

use aipo_core::Signature;
use aipo_core::canvas::{Canvas, Kind};
use serde_json::Value;

use super::{Built, Flow, Group};
use crate::task::Call;

/// What a step lacks that has all its arguments: nothing. It can be sent; after another step it ignores what that
/// one gives.
#[derive(Debug, Clone, Copy)]
pub enum Nothing {}

/// What a step lacks: its first argument, an `A`.
#[derive(Debug)]
pub struct Takes<A>(std::marker::PhantomData<fn(A)>);

/// What a step lacks that is known by its names only: it is given what there is, and takes it or not.
#[derive(Debug, Clone, Copy)]
pub enum Untyped {}

/// What fits after something that gives a `T`.
#[diagnostic::on_unimplemented(
    message = "a step that lacks `{Self}` can't come after one that gives `{T}`",
    label = "takes something else than `{T}`",
    note = "`name::p(…)` leaves the first argument of a task to the step before; `returning` and `taking` read it as another type"
)]
pub trait Accepts<T>: sealed::Input {}

impl<T> Accepts<T> for Nothing {}
impl<T> Accepts<T> for Untyped {}
impl<T> Accepts<T> for Takes<T> {}

/// What can come after another step: a call, a [`Flow`], a [`Group`], or by name a
/// [`Signature`] or [`Canvas`].
pub trait Step: sealed::Step {
    /// What it lacks.
    type Input: sealed::Input;
    /// It and what comes before it, which lacks an `I`.
    type After<I>;

    #[doc(hidden)]
    fn into_canvas(self) -> Built;

    #[doc(hidden)]
    fn after<I>(whole: Built) -> Self::After<I>;
}

/// A step that ends in one task.
pub trait Single: Step {
    /// What it gives.
    type Output;
}

mod sealed {
    pub trait Step: Sized {}

    pub trait Input {
        /// Whether it takes nothing, although there is something.
        const IS_IMMUTABLE: bool = false;
    }
}

impl sealed::Input for Nothing {
    const IS_IMMUTABLE: bool = true;
}
impl sealed::Input for Untyped {}
impl<A> sealed::Input for Takes<A> {}

macro_rules! single {
    ([$($generics:tt)*] $step:ty, $input:ty, $output:ty, $into_canvas:expr) => {
        impl<$($generics)*> sealed::Step for $step {}

        impl<$($generics)*> Step for $step {
            type Input = $input;
            type After<Before> = Flow<$output, Before>;

            fn into_canvas(self) -> Built {
                let into_canvas: fn(Self) -> Built = $into_canvas;
                into_canvas(self)
            }

            fn after<Before>(whole: Built) -> Flow<$output, Before> {
                Flow::new(whole)
            }
        }

        impl<$($generics)*> Single for $step {
            type Output = $output;
        }
    };
}

single!([T, I: sealed::Input] Call<T, I>, I, T, Call::into_canvas);
single!([T, I: sealed::Input] Flow<T, I>, I, T, |flow| flow.canvas);
single!([] Signature, Untyped, Value, |call| Ok(call.into()));
single!([] Canvas, Untyped, Value, Ok);

impl<T, I: sealed::Input> sealed::Step for Group<T, I> {}

impl<T, I: sealed::Input> Step for Group<T, I> {
    type Input = I;
    type After<Before> = Group<T, Before>;

    fn into_canvas(self) -> Built {
        self.canvas
    }

    fn after<Before>(whole: Built) -> Group<T, Before> {
        Group::new(whole)
    }
}

/// A step that follows something that gives a `T`.
pub(super) fn following<T, N: Step>(next: N) -> Built
where
    N::Input: Accepts<T>,
{
    let mut canvas = next.into_canvas()?;
    if <N::Input as sealed::Input>::IS_IMMUTABLE {
        canvas.take_nothing();
    }
    Ok(canvas)
}

/// One after the other. Steps are kept in one list, however many there are.
pub(super) fn chain(before: Built, next: Built) -> Built {
    let mut steps = into_steps(before?);
    steps.extend(into_steps(next?));
    Ok(Canvas::chain(steps))
}

/// What comes after all members of a group: of the one itself, or the one that ends a chain or a chord.
pub(super) fn chord(group: Built, body: Built) -> Built {
    Ok(join(group?, body?))
}

fn join(group: Canvas, next: Canvas) -> Canvas {
    match group.kind {
        Kind::Group(_) => Canvas::chord_of(group, next),
        Kind::Chord { header, body } => Canvas {
            kind: Kind::Chord {
                header,
                body: Box::new(join(*body, next)),
            },
            ..group
        },
        Kind::Chain(_) => {
            // What was linked to it beforehand is not linked to what comes next.
            let mut chain = group.spread_links();
            if let Kind::Chain(steps) = &mut chain.kind {
                let last = match steps.pop() {
                    Some(last) => join(last, next),
                    None => next,
                };
                steps.push(last);
            }
            chain
        }
        Kind::Task { .. } => Canvas::chord(vec![group], next),
    }
}

/// The steps of a chain that is nothing but its steps; else all of it is one.
fn into_steps(canvas: Canvas) -> Vec<Canvas> {
    match canvas {
        Canvas {
            kind: Kind::Chain(steps),
            args,
            kwargs,
            options,
            ..
        } if args.is_empty() && kwargs.is_empty() && options.is_empty() => steps,
        canvas => vec![canvas],
    }
}
