//! What the expansions of `#[task]` and `#[derive(TaskArgs)]` name. Not part of the API: it changes
//! together with `aipo-macros`, without notice.
//!
//! An expansion names nothing but paths under `::aipo`, so that it means the same in a module that has
//! a `Result` or a `Vec` of its own.

pub use std::clone::Clone;
pub use std::convert::From;
pub use std::default::Default;
pub use std::marker::Copy;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Ok};
pub use std::string::String;
pub use std::sync::Arc;
pub use std::time::Duration;
pub use std::vec;
pub use std::vec::Vec;

pub use aipo_core::task::{ErrorFilter, ErrorType, RateLimit};
pub use serde_json::{Map, Result as JsonResult, Value, to_value};

pub use crate::__task_name as task_name;
use crate::{Base, Call, Context, Takes, Task, TaskResult};

/// Runs the body of a plain function on a thread where it may block.
///
/// # Errors
/// What the work answers.
///
/// # Panics
/// When the work does.
pub async fn blocking<T: Send + 'static>(
    cx: &Context,
    work: impl FnOnce(&Context) -> TaskResult<T> + Send + 'static,
) -> TaskResult<T> {
    crate::task::blocking_scope(cx, work).await
}

/// A call without its first argument.
pub fn partial<K: Task, A>(
    write: impl FnOnce(&mut Vec<Value>, &mut Map<String, Value>) -> JsonResult<()>,
) -> Call<K::Output, Takes<A>> {
    let (mut args, mut kwargs) = (Vec::new(), Map::new());
    let written = write(&mut args, &mut kwargs);
    Call::partial::<K>(written.map(|()| (args, kwargs)))
}

/// The value of the option `base`.
pub fn base(base: impl Base) -> Option<Arc<dyn Base>> {
    Some(Arc::new(base))
}

/// The value of the option `rate_limit`, which the attribute has checked.
pub fn rate_limit(rate: &str) -> Option<RateLimit> {
    rate.parse().ok()
}

/// The name of a task that was given none: Celery's `module.function`, with the module where the macro
/// is called.
#[doc(hidden)]
#[macro_export]
macro_rules! __task_name {
    ($function:literal) => {{
        const PATH: &str = ::core::concat!(::core::module_path!(), "::", $function);
        const NAME: &$crate::__private::DottedPath<{ PATH.len() }> =
            &$crate::__private::DottedPath::new(PATH);
        NAME.as_str()
    }};
}

/// A path of Rust, at most `N` bytes long, with Python's dots for `::`; made when the program is
/// compiled, because [`Task::NAME`](crate::Task::NAME) is a constant.
pub struct DottedPath<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> DottedPath<N> {
    /// Writes the path with dots.
    ///
    /// # Panics
    /// When the path is longer than `N`.
    pub const fn new(path: &str) -> Self {
        let path = path.as_bytes();
        let (mut bytes, mut len, mut at) = ([0; N], 0, 0);
        while at < path.len() {
            // A colon in a path is always the first of two.
            let colons = path[at] == b':';
            bytes[len] = if colons { b'.' } else { path[at] };
            at += if colons { 2 } else { 1 };
            len += 1;
        }
        Self { bytes, len }
    }

    /// The name.
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(name) => name,
            Err(_) => panic!("a text stays UTF-8 when `::` becomes `.`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_name() {
        #[track_caller]
        fn check(path: &str, name: &str) {
            assert_eq!(DottedPath::<40>::new(path).as_str(), name);
        }
        check("app::tasks::add", "app.tasks.add");
        check("app::maçã::größe", "app.maçã.größe");
        check("add", "add");
    }

    #[test]
    fn a_task_is_named_after_its_module() {
        const NAME: &str = crate::__task_name!("add");
        assert_eq!(NAME, "aipo.__private.tests.add");
    }
}
