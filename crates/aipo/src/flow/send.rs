//! Sending workflows: what comes back for what.

use std::future::Future;

use aipo_core::canvas::{Canvas, ResultNode};
use aipo_core::{Error, ErrorKind, Result, Signature};
use serde_json::Value;

use super::{Built, Flow, Group, GroupHandle};
use crate::App;
use crate::result::Handle;
use crate::task::Call;

/// What can be sent with [`App::send`]: a [`Call`], a [`Flow`], a [`Group`], and by name a [`Signature`] or a
/// [`Canvas`] that ends in one task.
pub trait Sendable: sealed::Sendable {
    /// What tells of its results.
    type Handle;

    #[doc(hidden)]
    fn send(self, app: &App) -> impl Future<Output = Result<Self::Handle>> + Send;
}

mod sealed {
    pub trait Sendable {}
}

impl<T> sealed::Sendable for Call<T> {}
impl sealed::Sendable for Signature {}
impl<T> sealed::Sendable for Flow<T> {}
impl sealed::Sendable for Canvas {}
impl<T> sealed::Sendable for Group<T> {}

impl<T> Sendable for Call<T> {
    type Handle = Handle<T>;

    async fn send(self, app: &App) -> Result<Handle<T>> {
        app.send_call(self).await
    }
}

impl Sendable for Signature {
    type Handle = Handle<Value>;

    async fn send(self, app: &App) -> Result<Handle<Value>> {
        app.send_call(Call::from(self)).await
    }
}

impl<T> Sendable for Flow<T> {
    type Handle = Handle<T>;

    async fn send(self, app: &App) -> Result<Handle<T>> {
        let (node, root) = app.start(self.canvas?, ends_in_one).await?.into_parts()?;
        Ok(Handle::of_node(app, &node, Some(root)))
    }
}

impl Sendable for Canvas {
    type Handle = Handle<Value>;

    async fn send(self, app: &App) -> Result<Handle<Value>> {
        Flow::from(self).send(app).await
    }
}

impl<T> Sendable for Group<T> {
    type Handle = GroupHandle<T>;

    async fn send(self, app: &App) -> Result<GroupHandle<T>> {
        let canvas: Built = self.canvas;
        let (node, root) = app.start(canvas?, |_| Ok(())).await?.into_parts()?;
        // After another step a group of one is sent as that one, as Celery does.
        let node = match node.is_group() {
            true => node,
            false => ResultNode {
                id: node.id.clone(),
                parent: node.parent.clone(),
                members: Some(vec![node]),
            },
        };
        Ok(GroupHandle::new(app, node, Some(root)))
    }
}

fn ends_in_one(node: &ResultNode) -> Result<()> {
    if node.is_group() {
        let text = "the workflow ends in a group: send it as a `Group`";
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}
