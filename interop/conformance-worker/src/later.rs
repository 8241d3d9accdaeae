//! Tasks that need workflows, which are not there yet.

/// Registers tasks of these names that fail and say why.
macro_rules! later {
    ($($name:ident)*) => {
        pub(crate) fn register(app: aipo::AppBuilder) -> aipo::AppBuilder {
            app$(.task($name::task()))*
        }

        $(#[aipo::task(name = concat!("t.integration.tasks.", stringify!($name)))]
        async fn $name(
            #[arg(rest)] _args: Vec<serde_json::Value>,
            #[arg(named_rest)] _kwargs: serde_json::Map<String, serde_json::Value>,
        ) -> aipo::TaskResult<()> {
            Err(crate::exceptions::builtin(
                "NotImplementedError",
                "workflows are not there yet",
            ))
        })*
    };
}

pub(crate) use later;
