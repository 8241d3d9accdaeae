//! Tasks that leave a trace in Redis, where the tests look for it.

use ::redis::aio::MultiplexedConnection;
use ::redis::{Client, Cmd, RedisResult, cmd};
use aipo::{AppBuilder, Context, TaskResult};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::call::Unbound;
use crate::exceptions::{data_error, response_error, type_error};
use crate::python::{sum, text, type_name};

pub(crate) fn register(app: AppBuilder) -> AppBuilder {
    app.task(Unbound(redis_echo::task()))
        .task(Unbound(redis_count::task()))
        .task(redis_echo_group_id::task())
        .task(sum_and_record::task())
        .task(Unbound(errback_old_style::task()))
        .task(Unbound(errback_new_style::task()))
        .task(Unbound(errback_old_style_with_args::task()))
        .task(Unbound(errback_new_style_with_args::task()))
}

/// The Redis that the tests look into.
pub(crate) struct Redis(Client);

impl Redis {
    /// For this address; connected by each task anew, as the tests' own tasks do.
    pub(crate) fn open(url: &str) -> RedisResult<Self> {
        Client::open(url).map(Self)
    }

    /// `RPUSH key value`
    pub(crate) async fn push(&self, key: &Value, value: &Value) -> TaskResult<()> {
        let mut push = cmd("RPUSH");
        push.arg(bytes(key)?).arg(bytes(value)?);
        self.run(&push).await
    }

    /// `INCRBY key 1`
    async fn count(&self, key: &Value) -> TaskResult<()> {
        let mut increment = cmd("INCRBY");
        increment.arg(bytes(key)?).arg(1);
        self.run(&increment).await
    }

    async fn run(&self, command: &Cmd) -> TaskResult<()> {
        let answer: RedisResult<()> = async {
            let mut connection: MultiplexedConnection =
                self.0.get_multiplexed_async_connection().await?;
            command.query_async(&mut connection).await
        }
        .await;
        answer.map_err(|error| response_error(&error))
    }
}

/// A value as redis-py writes it.
fn bytes(value: &Value) -> TaskResult<Vec<u8>> {
    let refused = || data_error(type_name(value));
    match value {
        Value::String(_) | Value::Number(_) => Ok(text(value).into_bytes()),
        Value::Object(map) if type_name(value) == "bytes" => {
            let inner = map.get("__value__").and_then(Value::as_str);
            let inner = inner.ok_or_else(refused)?;
            if map.get("__type__").is_some_and(|name| name == "base64") {
                STANDARD.decode(inner).map_err(|_| refused())
            } else {
                Ok(inner.as_bytes().to_vec())
            }
        }
        _ => Err(refused()),
    }
}

#[aipo::task(name = "t.integration.tasks.redis_echo")]
async fn redis_echo(
    cx: &Context,
    message: Value,
    #[arg(default = "redis-echo".into())] redis_key: Value,
) -> TaskResult<()> {
    cx.data::<Redis>()?.push(&redis_key, &message).await
}

#[aipo::task(name = "t.integration.tasks.redis_count")]
async fn redis_count(
    cx: &Context,
    #[arg(default = "redis-count".into())] redis_key: Value,
) -> TaskResult<()> {
    cx.data::<Redis>()?.count(&redis_key).await
}

#[aipo::task(name = "t.integration.tasks.redis_echo_group_id")]
async fn redis_echo_group_id(
    cx: &Context,
    _ignored: Value,
    #[arg(default = "redis-group-ids".into())] redis_key: Value,
) -> TaskResult<()> {
    let group = cx.headers().group.as_ref().map(|group| group.to_string());
    cx.data::<Redis>()?.push(&redis_key, &group.into()).await
}

#[aipo::task(name = "t.integration.tasks.sum_and_record")]
async fn sum_and_record(cx: &Context, values: Value, redis_key: Value) -> TaskResult<Value> {
    let sum = sum(&values)?;
    let id = Value::from(cx.id().as_str());
    cx.data::<Redis>()?.push(&redis_key, &id).await?;
    Ok(sum)
}

#[aipo::task(name = "t.integration.tasks.errback_old_style")]
async fn errback_old_style(cx: &Context, request_id: Value) -> TaskResult<Value> {
    cx.data::<Redis>()?.count(&request_id).await?;
    Ok(request_id)
}

#[aipo::task(name = "t.integration.tasks.errback_new_style")]
async fn errback_new_style(
    cx: &Context,
    request: Value,
    exc: Value,
    tb: Value,
) -> TaskResult<Value> {
    let _ = (exc, tb);
    let id = request_id(&request)?;
    cx.data::<Redis>()?.count(&id).await?;
    Ok(id)
}

#[aipo::task(name = "t.integration.tasks.errback_old_style_with_args")]
async fn errback_old_style_with_args(
    cx: &Context,
    request_id: Value,
    label: Value,
) -> TaskResult<()> {
    cx.data::<Redis>()?.push(&request_id, &label).await
}

#[aipo::task(name = "t.integration.tasks.errback_new_style_with_args")]
async fn errback_new_style_with_args(
    cx: &Context,
    request: Value,
    exc: Value,
    tb: Value,
    label: Value,
) -> TaskResult<()> {
    let _ = (exc, tb);
    let id = request_id(&request)?;
    cx.data::<Redis>()?.push(&id, &label).await
}

/// `request.id`
fn request_id(request: &Value) -> TaskResult<Value> {
    request.get("id").cloned().ok_or_else(|| {
        let name = type_name(request);
        type_error(format!("'{name}' object is no request"))
    })
}
