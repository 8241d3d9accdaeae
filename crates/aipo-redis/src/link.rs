//! A connection that comes back: shared by all callers, replaced when it is lost.
//!
//! Commands of concurrent callers travel together: the driver writes what is waiting in one go and
//! gives each caller its answer. Every command has a deadline, in which waiting for a new connection
//! counts. What was sent and not answered is never sent again: whether it took effect is not
//! known here, and only its caller can say what a second time would mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aipo_core::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisResult, Value,
};
use tokio::time::{Instant, timeout_at};

use crate::config::RedisOptions;
use crate::error::{driver, no_answer, unexpected};
use crate::server;

/// The first wait after a failed attempt to connect; it doubles from there.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
/// The longest of these waits: a server that is back is found within it.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// What a connection has to tell apart from answers.
pub(crate) enum News {
    /// This key was changed by somebody.
    Changed(Vec<u8>),
    /// Any key may have been changed: the database was flushed, or the connection lost.
    All,
    /// Something was published.
    Published {
        /// The pattern that it was subscribed with.
        pattern: Vec<u8>,
        channel: Vec<u8>,
        message: Vec<u8>,
    },
}

type Listener = Box<dyn Fn(News) + Send + Sync>;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    timeout: Duration,
    connect_timeout: Duration,
    /// Sent first on every new connection.
    setup: Option<Cmd>,
    listener: Listener,
    current: Mutex<Current>,
    /// Held while connecting, so that callers do not connect side by side.
    connecting: tokio::sync::Mutex<()>,
}

/// What goes out as one piece.
enum Request<'a> {
    One(&'a Cmd),
    Transaction(&'a Pipeline),
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that late news of an old one does not end its successor.
    generation: u64,
}

impl Link {
    /// A link that is not connected yet. `setup` is sent on each new connection before anything else.
    pub(crate) fn new(
        options: &RedisOptions,
        setup: Option<Cmd>,
        listener: Listener,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            client: server::client(options)?,
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
            setup,
            listener,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })))
    }

    /// Sends a command and gives its answer.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value> {
        self.request(Request::One(command)).await
    }

    /// Sends commands as one transaction and gives their answers.
    pub(crate) async fn transaction(&self, commands: &Pipeline) -> Result<Vec<Value>> {
        match self.request(Request::Transaction(commands)).await? {
            Value::Array(answers) => Ok(answers),
            other => Err(unexpected(&other)),
        }
    }

    /// Closes the connection until something is sent again. Nothing may be under way on it.
    pub(crate) fn disconnect(&self) {
        self.0.lock().connection = None;
    }

    async fn request(&self, request: Request<'_>) -> Result<Value> {
        let deadline = Instant::now() + self.0.timeout;
        let (mut connection, generation) = self.connection(deadline).await?;
        match timeout_at(deadline, request.send(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // What became a replica has a successor, and its name may lead there by now.
                let is_replica = error.kind() == ErrorKind::ReadOnly;
                if is_replica || error.is_io_error() || error.is_unrecoverable_error() {
                    self.0.lose(generation);
                }
                Err(driver(error))
            }
            // A server that is silent for so long may be gone without a word.
            Err(_elapsed) => {
                self.0.lose(generation);
                Err(no_answer())
            }
        }
    }

    /// The connection, made anew if there is none, until `deadline`.
    async fn connection(&self, deadline: Instant) -> Result<(MultiplexedConnection, u64)> {
        if let Some(current) = self.0.current() {
            return Ok(current);
        }
        let mut last_error = None;
        let connect = async {
            let _alone = self.0.connecting.lock().await;
            let mut backoff = FIRST_BACKOFF;
            loop {
                // Somebody else may have connected while this one waited.
                if let Some(current) = self.0.current() {
                    return Ok(current);
                }
                match self.0.connect().await {
                    Ok(current) => return Ok(current),
                    Err(error) if error.is_temporary() => last_error = Some(error),
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(backoff.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        };
        let connected = timeout_at(deadline, connect).await;
        connected.unwrap_or_else(|_elapsed| Err(last_error.unwrap_or_else(unreachable)))
    }
}

impl Request<'_> {
    async fn send(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::One(command) => connection
                .send_packed_command(command)
                .await?
                .extract_error(),
            Self::Transaction(commands) => {
                // One answer to MULTI and one to each command that it queues come before EXEC's.
                let skipped = commands.len() + 1;
                let mut answers = connection
                    .send_packed_commands(commands, skipped, 1)
                    .await?;
                answers.pop().unwrap_or(Value::Nil).extract_error()
            }
        }
    }
}

impl Inner {
    fn current(&self) -> Option<(MultiplexedConnection, u64)> {
        let current = self.lock();
        current
            .connection
            .clone()
            .map(|connection| (connection, current.generation))
    }

    async fn connect(self: &Arc<Self>) -> Result<(MultiplexedConnection, u64)> {
        let generation = {
            let mut current = self.lock();
            current.generation += 1;
            current.generation
        };
        let this = Arc::downgrade(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(self.connect_timeout)
            .set_tcp_settings(server::tcp_settings())
            .set_push_sender(move |push| hear(&this, generation, push));
        // The driver's own limit covers the connection, not the handshake with a silent server.
        let connect = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connect = async {
            let mut connection = connect.await?;
            if let Some(setup) = &self.setup {
                connection
                    .send_packed_command(setup)
                    .await?
                    .extract_error()?;
            }
            Ok(connection)
        };
        let connection = tokio::time::timeout(self.connect_timeout, connect)
            .await
            .map_err(|_elapsed| unreachable())?
            .map_err(server::connect_error)?;
        let mut current = self.lock();
        current.connection = Some(connection.clone());
        Ok((connection, generation))
    }

    /// Gives a connection up, unless it was replaced already.
    fn lose(&self, generation: u64) {
        let lost = {
            let mut current = self.lock();
            match current.generation == generation {
                true => current.connection.take(),
                false => None,
            }
        };
        if lost.is_some() {
            (self.listener)(News::All);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // A panic elsewhere leaves it sound: each change is one assignment.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the server says unasked.
fn hear(link: &Weak<Inner>, generation: u64, push: PushInfo) -> Result<(), redis::aio::SendError> {
    let Some(link) = link.upgrade() else {
        return Ok(());
    };
    match push.kind {
        PushKind::Disconnection => link.lose(generation),
        PushKind::Invalidate => match push.data.into_iter().next() {
            Some(Value::Array(keys)) => {
                for key in keys {
                    if let Value::BulkString(key) = key {
                        (link.listener)(News::Changed(key));
                    }
                }
            }
            _ => (link.listener)(News::All),
        },
        PushKind::PMessage => {
            let mut parts = push.data.into_iter();
            if let (
                Some(Value::BulkString(pattern)),
                Some(Value::BulkString(channel)),
                Some(Value::BulkString(message)),
            ) = (parts.next(), parts.next(), parts.next())
            {
                (link.listener)(News::Published {
                    pattern,
                    channel,
                    message,
                });
            }
        }
        _ => {}
    }
    Ok(())
}

fn unreachable() -> Error {
    Error::new(aipo_core::ErrorKind::Unavailable, "redis can't be reached")
}
