//! Where the server is, and the few things about it that one may choose.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aipo_core::{Clock, Error, ErrorKind, Result};

use crate::url::Url;

/// How long a call may take before it fails, the wait for a lost connection included.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one attempt to connect may take. Attempts follow each other until the call's own time is
/// over, so a server that is back is found within this time. Celery's `redis_socket_connect_timeout`.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// kombu's `priority_steps`.
pub const DEFAULT_PRIORITY_STEPS: [u8; 4] = [0, 3, 6, 9];

/// kombu's `sep`.
pub const DEFAULT_SEP: &str = "\x06\x16";

/// kombu's prefix of channels.
const DEFAULT_FANOUT_PREFIX: &str = "/{db}.";

/// Redis' own port.
const DEFAULT_PORT: u16 = 6379;

/// How to reach a server and how to lay out what is kept there. Made from a URL, then adjusted field
/// by field.
///
/// ```
/// use aipo_redis::RedisOptions;
///
/// let mut options = RedisOptions::from_url("redis://:secret@localhost:6379/0")?;
/// options.global_keyprefix = "shop:".to_owned();
/// assert!(!format!("{options:?}").contains("secret"));
/// # Ok::<(), aipo_core::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisOptions {
    /// Where the server listens. Default: port 6379 of this machine.
    pub address: Address,
    /// The user of Redis' ACL; the default user when `None`.
    pub username: Option<String>,
    /// The password; none is sent when `None`.
    pub password: Option<String>,
    /// The number of the database. Default 0.
    pub db: i64,
    /// Put in front of every key as it is, so that programs can share a database. URL key
    /// `global_keyprefix`, default empty. Celery's `broker_transport_options["global_keyprefix"]`.
    pub global_keyprefix: String,
    /// The same for results; they have `global_keyprefix` when it is `None`. URL key `result_keyprefix`.
    /// As in Celery a `_` is added to a prefix that does not end in one of `: _ - .`.
    /// Celery's `result_backend_transport_options["global_keyprefix"]`.
    pub result_keyprefix: Option<String>,
    /// The priorities that have a list of their own, rising from 0; any other priority counts as the
    /// next one below. URL key `priority_steps=0,3,6,9`, default [`DEFAULT_PRIORITY_STEPS`]. All who use a
    /// queue must agree on it. kombu's `priority_steps`.
    pub priority_steps: Vec<u8>,
    /// Stands between a queue's name and a priority in the key of a list. URL key `sep`, default
    /// [`DEFAULT_SEP`]. kombu's `sep`.
    pub sep: String,
    /// Stands in front of an exchange in the channels of remote control and events, in which `{db}` is replaced
    /// with the number of the database: channels are common to all databases of a server. URL key
    /// `fanout_prefix`, which also takes `true` for the default `/{db}.` and `false` for nothing. All who
    /// are to hear each other must agree on it. kombu's `fanout_prefix`.
    pub fanout_prefix: String,
    /// Whether a message that is not due yet is parked when it is sent. URL key `park_on_send=true`.
    ///
    /// By default it waits in its list, as Celery's messages do, and the first worker that takes it
    /// parks it (aipo) or keeps it in memory (Celery). Parked at once it can't be seen by
    /// Python workers before it is due, and comes back only with the help of an aipo worker on
    /// that queue: right where all workers are aipo's, and then queues tell at once what is parked.
    pub park_on_send: bool,
    /// How long a call may take. URL key `timeout` (`500ms`, `5s`), default [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
    /// How long one attempt to connect may take. URL key `connect_timeout`, default
    /// [`DEFAULT_CONNECT_TIMEOUT`].
    pub connect_timeout: Duration,
    /// Tells the time in place of the server, whose clock is the default (`None`) and the only one that
    /// all processes share. For tests: results are then kept beyond their expiry and only not shown.
    pub clock: Option<Clock>,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Address {
    /// A host and a port, without encryption.
    Tcp {
        /// Name or address.
        host: String,
        /// Default 6379.
        port: u16,
    },
    /// A host and a port, with TLS. Needs the feature `tls`.
    Tls {
        /// Name or address; the server's certificate must be for it.
        host: String,
        /// Default 6379.
        port: u16,
        /// Which certificates.
        tls: Tls,
    },
    /// A socket of this machine.
    Unix {
        /// Its file.
        path: PathBuf,
    },
}

/// The certificates of an encrypted connection. URL keys by Celery's names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Tls {
    /// Whether any certificate of the server will do, which leaves the connection open to whoever sits in
    /// between. URL key `ssl_cert_reqs=none`; `required` is the default.
    pub insecure: bool,
    /// A file with the certificates to trust, PEM; those of the system when `None`. URL key
    /// `ssl_ca_certs`.
    pub ca_certs: Option<PathBuf>,
    /// A file with this program's own certificate, PEM. URL key `ssl_certfile`.
    pub certfile: Option<PathBuf>,
    /// A file with the key of that certificate, PEM. URL key `ssl_keyfile`.
    pub keyfile: Option<PathBuf>,
}

impl RedisOptions {
    /// Options for the server at `address`, everything else as by default.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            username: None,
            password: None,
            db: 0,
            global_keyprefix: String::new(),
            result_keyprefix: None,
            priority_steps: DEFAULT_PRIORITY_STEPS.to_vec(),
            sep: DEFAULT_SEP.to_owned(),
            fanout_prefix: DEFAULT_FANOUT_PREFIX.to_owned(),
            park_on_send: false,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            clock: None,
        }
    }

    /// Options from a URL as Celery has them:
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | every part but the host may be missing |
    /// | `rediss://…` | the same with TLS, feature `tls` |
    /// | `redis+socket:///path/to/redis.sock?virtual_host=0` | a socket; `:password@` may stand before the path |
    ///
    /// The fields are query keys, for example `?global_keyprefix=shop:&timeout=2s`. `%40` and the like stand for the
    /// character with that code.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the scheme is another, a part is malformed, a key is unknown, or a
    /// value can't be; the message names it, and never the password.
    pub fn from_url(url: &str) -> Result<Self> {
        let url = Url::parse(url)?;
        let mut options = Self::new(url.address()?);
        options.username = url.username;
        options.password = url.password;
        options.db = url
            .db
            .as_deref()
            .map_or(Ok(0), |db| database("database", db))?;
        for (key, value) in &url.query {
            options.set(key, value)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match (key, &mut self.address) {
            ("virtual_host", Address::Unix { .. }) => self.db = database(key, value)?,
            ("ssl_cert_reqs", Address::Tls { tls, .. }) => tls.insecure = accepts_any(key, value)?,
            ("ssl_ca_certs", Address::Tls { tls, .. }) => tls.ca_certs = Some(value.into()),
            ("ssl_certfile", Address::Tls { tls, .. }) => tls.certfile = Some(value.into()),
            ("ssl_keyfile", Address::Tls { tls, .. }) => tls.keyfile = Some(value.into()),
            ("global_keyprefix", _) => self.global_keyprefix = value.to_owned(),
            ("result_keyprefix", _) => self.result_keyprefix = Some(value.to_owned()),
            ("priority_steps", _) => self.priority_steps = steps(key, value)?,
            ("sep", _) => self.sep = value.to_owned(),
            ("fanout_prefix", _) => {
                self.fanout_prefix = match value {
                    "true" => DEFAULT_FANOUT_PREFIX,
                    "false" => "",
                    prefix => prefix,
                }
                .to_owned();
            }
            ("park_on_send", _) => self.park_on_send = truth(key, value)?,
            ("timeout", _) => self.timeout = duration(key, value)?,
            ("connect_timeout", _) => self.connect_timeout = duration(key, value)?,
            _ => {
                return Err(Error::new(ErrorKind::Config, "unknown key in a redis URL")
                    .with("key", key)
                    .with("known", KNOWN_KEYS));
            }
        }
        Ok(())
    }

    /// Refuses what can't work.
    pub(crate) fn check(&self) -> Result<()> {
        let steps = &self.priority_steps;
        let rising = steps.windows(2).all(|pair| pair[0] < pair[1]);
        if steps.first() != Some(&0) || steps.last() > Some(&9) || !rising {
            let given = format!("{steps:?}");
            return Err(bad_value(
                "priority_steps",
                &given,
                "numbers rising from 0 to 9 at most",
            ));
        }
        if self.sep.is_empty() {
            return Err(bad_value("sep", "", "text that is in no queue's name"));
        }
        if self.db < 0 {
            return Err(bad_value(
                "database",
                &self.db.to_string(),
                "a number from 0",
            ));
        }
        for (key, given) in [
            ("timeout", self.timeout),
            ("connect_timeout", self.connect_timeout),
        ] {
            if given.is_zero() {
                return Err(bad_value(key, "0", "longer"));
            }
        }
        if let Address::Tls { tls, .. } = &self.address
            && tls.certfile.is_some() != tls.keyfile.is_some()
        {
            let message = "ssl_certfile and ssl_keyfile come together";
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(())
    }

    /// The address for people to read, without user and password.
    pub(crate) fn url(&self) -> String {
        let db = self.db;
        match &self.address {
            Address::Tcp { host, port } => format!("redis://{}:{port}/{db}", bracketed(host)),
            Address::Tls { host, port, .. } => format!("rediss://{}:{port}/{db}", bracketed(host)),
            Address::Unix { path } => {
                format!("redis+socket://{}?virtual_host={db}", path.display())
            }
        }
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self::new(Address::Tcp {
            host: "localhost".to_owned(),
            port: DEFAULT_PORT,
        })
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("RedisOptions")
            .field("address", &self.address)
            .field("username", &hidden(&self.username))
            .field("password", &hidden(&self.password))
            .field("db", &self.db)
            .field("global_keyprefix", &self.global_keyprefix)
            .field("result_keyprefix", &self.result_keyprefix)
            .field("priority_steps", &self.priority_steps)
            .field("sep", &self.sep)
            .field("fanout_prefix", &self.fanout_prefix)
            .field("park_on_send", &self.park_on_send)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("clock", &self.clock)
            .finish()
    }
}

impl Url {
    fn address(&self) -> Result<Address> {
        let port = match &self.port {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .map_err(|_| bad_value("port", port, "a number below 65536"))?,
        };
        let host = match &*self.host {
            "" => "localhost".to_owned(),
            host => host.to_owned(),
        };
        match &*self.scheme {
            "redis" => Ok(Address::Tcp { host, port }),
            "rediss" if cfg!(feature = "tls") => Ok(Address::Tls {
                host,
                port,
                tls: Tls::default(),
            }),
            "rediss" => {
                let message = "rediss:// needs aipo-redis built with its feature tls";
                Err(Error::new(ErrorKind::Config, message))
            }
            "redis+socket" if self.path.is_empty() => {
                let message = "a redis+socket:// URL names the socket's file";
                Err(Error::new(ErrorKind::Config, message))
            }
            "redis+socket" => Ok(Address::Unix {
                path: self.path.clone().into(),
            }),
            other => Err(Error::new(ErrorKind::Config, "not a redis URL")
                .with("scheme", other)
                .with("known", "redis, rediss, redis+socket")),
        }
    }
}

const KNOWN_KEYS: &str = "global_keyprefix, result_keyprefix, priority_steps, sep, fanout_prefix, \
    park_on_send, timeout, connect_timeout; for redis+socket:// also virtual_host; for rediss:// also ssl_cert_reqs, \
    ssl_ca_certs, ssl_certfile, ssl_keyfile";

/// An IPv6 address as a URL has it.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn database(key: &str, value: &str) -> Result<i64> {
    value
        .parse()
        .map_err(|_| bad_value(key, value, "the number of a database"))
}

fn accepts_any(key: &str, value: &str) -> Result<bool> {
    match value {
        "none" | "CERT_NONE" => Ok(true),
        "required" | "CERT_REQUIRED" => Ok(false),
        _ => Err(bad_value(key, value, "required or none")),
    }
}

fn steps(key: &str, value: &str) -> Result<Vec<u8>> {
    let steps: Result<Vec<u8>, _> = value.split(',').map(|step| step.trim().parse()).collect();
    steps.map_err(|_| bad_value(key, value, "numbers such as 0,3,6,9"))
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad_value(key, value, "true or false")),
    }
}

fn duration(key: &str, value: &str) -> Result<Duration> {
    aipo_core::duration::parse_duration(value)
        .or_else(|| Duration::try_from_secs_f64(value.parse().ok()?).ok())
        .ok_or_else(|| bad_value(key, value, "a duration such as 5s"))
}

fn bad_value(key: &str, value: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{key} can't be {value:?}")).with("wanted", wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn a_url_says_where_the_server_is() {
        for (url, address, db) in [
            ("redis://", tcp("localhost", 6379), 0),
            ("redis://cache", tcp("cache", 6379), 0),
            ("redis://cache/", tcp("cache", 6379), 0),
            ("redis://cache:6380/15", tcp("cache", 6380), 15),
            ("redis://[::1]:6380/2", tcp("::1", 6380), 2),
            (
                "redis+socket:///run/a%20b.sock?virtual_host=3",
                Address::Unix {
                    path: "/run/a b.sock".into(),
                },
                3,
            ),
        ] {
            let options = RedisOptions::from_url(url).expect(url);
            assert_eq!((&options.address, options.db), (&address, db), "{url}");
        }
    }

    #[test]
    fn a_url_says_who_asks() {
        for (url, username, password) in [
            ("redis://h", None, None),
            ("redis://:secret@h", None, Some("secret")),
            ("redis://user:s%40cr%3Aet@h", Some("user"), Some("s@cr:et")),
            ("redis://user@h", Some("user"), None),
            (
                "redis+socket://:secret@/run/redis.sock",
                None,
                Some("secret"),
            ),
        ] {
            let options = RedisOptions::from_url(url).expect(url);
            let given = (options.username.as_deref(), options.password.as_deref());
            assert_eq!(given, (username, password), "{url}");
        }
    }

    #[test]
    fn a_url_sets_every_field_it_names() {
        let options = RedisOptions::from_url(
            "redis://h?global_keyprefix=a%3A&result_keyprefix=b_&priority_steps=0,5&sep=:\
             &fanout_prefix=x.&park_on_send=true&timeout=250ms&connect_timeout=1",
        )
        .expect("a valid URL");

        assert_eq!(options.global_keyprefix, "a:");
        assert_eq!(options.result_keyprefix.as_deref(), Some("b_"));
        assert_eq!(options.priority_steps, [0, 5]);
        assert_eq!(options.sep, ":");
        assert_eq!(options.fanout_prefix, "x.");
        assert!(options.park_on_send);
        assert_eq!(options.timeout, Duration::from_millis(250));
        assert_eq!(options.connect_timeout, Duration::from_secs(1));
    }

    #[test]
    #[cfg(feature = "tls")]
    fn a_url_names_the_certificates() {
        let url = "rediss://h?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem";
        let options = RedisOptions::from_url(url).expect("a valid URL");

        let tls = Tls {
            insecure: true,
            ca_certs: Some("/ca.pem".into()),
            certfile: Some("/c.pem".into()),
            keyfile: Some("/k.pem".into()),
        };
        assert_eq!(
            options.address,
            Address::Tls {
                host: "h".to_owned(),
                port: 6379,
                tls
            }
        );
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_that_was_not_built_is_told() {
        let error = RedisOptions::from_url("rediss://h").expect_err("no TLS here");
        assert!(error.to_string().contains("feature tls"), "{error}");
    }

    #[test]
    fn what_is_wrong_in_a_url_is_named() {
        for (url, named) in [
            ("localhost:6379", "localhost"),
            ("amqp://h", "amqp"),
            ("redis://h:port", "port"),
            ("redis://h:70000", "70000"),
            ("redis://[::1", "[::1"),
            ("redis://h/first", "first"),
            ("redis://h/-1", "-1"),
            ("redis://h/%zz", "%zz"),
            ("redis://h?virtual_host=1", "virtual_host"),
            ("redis://h?visibility_timeout=1", "visibility_timeout"),
            ("redis://h?ssl_cert_reqs=none", "ssl_cert_reqs"),
            ("redis://h?timeout=soon", "soon"),
            ("redis://h?timeout=0", "timeout"),
            ("redis://h?priority_steps=a", "priority_steps"),
            ("redis://h?priority_steps=1,2", "[1, 2]"),
            ("redis://h?priority_steps=0,10", "10"),
            ("redis://h?priority_steps=0,3,3", "[0, 3, 3]"),
            ("redis://h?sep=", "sep"),
            ("redis://h?park_on_send=maybe", "maybe"),
            ("redis+socket://", "socket"),
        ] {
            let error = RedisOptions::from_url(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(named), "{url} gives {error}");
        }
    }

    #[test]
    fn nobody_is_shown_a_secret() {
        let right = "redis://user:secret@h:1/2";
        let options = RedisOptions::from_url(right).expect("a valid URL");
        assert_eq!(options.url(), "redis://h:1/2");
        let shown = format!("{options:?} {}", options.url());
        assert!(
            !shown.contains("secret") && !shown.contains("user\""),
            "{shown}"
        );

        for wrong in [
            "redis://user:secret@h:port",
            "redis://user:secret@h/first",
            "redis://user:secret@[::1",
            "amqp://user:secret@h",
            "redis://user:secret%zz@h",
            "redis://user:secret@h?key=1",
            "user:secret@h",
            "redis://user:sec/ret@h",
            "redis://user:secret?@h",
            "redis+socket://:secret/x@/run/redis.sock",
        ] {
            let error = RedisOptions::from_url(wrong).expect_err(wrong);
            assert!(
                !format!("{error} {error:?}").contains("sec"),
                "{wrong} gives {error:?}"
            );
        }
    }
}
