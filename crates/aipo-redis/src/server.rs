//! From options to the driver's client, and whether the server at the other end will do.

use std::io;

use aipo_core::{Error, ErrorKind, Result};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, cmd,
};

use crate::config::{Address, RedisOptions};
use crate::error::driver;
use crate::link::Link;
use crate::reply;

/// The oldest server that has all commands needed, and that Celery 5.7 takes.
const OLDEST: (u32, u32) = (6, 2);

/// Makes the client, which does not connect yet.
pub(crate) fn client(options: &RedisOptions) -> Result<Client> {
    let redis = RedisConnectionInfo {
        db: options.db,
        username: options.username.clone(),
        password: options.password.clone(),
        // The server can speak unasked only in this version, which is what waiting is built on.
        protocol: ProtocolVersion::RESP3,
    };
    let addr = match &options.address {
        Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        Address::Unix { path } => ConnectionAddr::Unix(path.clone()),
        #[cfg(feature = "tls")]
        Address::Tls { host, port, tls } => return tls_client(redis, host, *port, tls),
        #[cfg(not(feature = "tls"))]
        Address::Tls { .. } => {
            let message = "TLS needs aipo-redis built with its feature tls";
            return Err(Error::new(ErrorKind::Config, message));
        }
    };
    Client::open(ConnectionInfo { addr, redis }).map_err(driver)
}

#[cfg(feature = "tls")]
fn tls_client(
    redis: RedisConnectionInfo,
    host: &str,
    port: u16,
    tls: &crate::config::Tls,
) -> Result<Client> {
    use std::path::Path;

    use redis::{ClientTlsConfig, TlsCertificates};

    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Config, "a certificate or key can't be read")
                .with("file", path.display())
                .caused_by(error)
        })
    };
    let own = match (&tls.certfile, &tls.keyfile) {
        (Some(certificate), Some(key)) => Some(ClientTlsConfig {
            client_cert: read(certificate)?,
            client_key: read(key)?,
        }),
        _ => None,
    };
    let root_cert = tls.ca_certs.as_deref().map(read).transpose()?;
    let addr = ConnectionAddr::TcpTls {
        host: host.to_owned(),
        port,
        insecure: tls.insecure,
        tls_params: None,
    };
    let certificates = TlsCertificates {
        client_tls: own,
        root_cert,
    };
    Client::build_with_tls(ConnectionInfo { addr, redis }, certificates).map_err(|error| {
        Error::new(ErrorKind::Config, "the certificates can't be used").caused_by(error)
    })
}

/// Small commands must not wait for more to send.
pub(crate) fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// What an attempt to connect failed of. A server that answers with a refusal will do so again.
pub(crate) fn connect_error(error: RedisError) -> Error {
    let io_error = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let is_refused_by_tls =
        io_error.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::InvalidData);
    let message = match error.kind() {
        redis::ErrorKind::ResponseError => "redis refused the connection",
        _ if is_refused_by_tls => "no encrypted connection could be agreed on",
        _ => return driver(error),
    };
    Error::new(ErrorKind::Config, message).caused_by(error)
}

/// Refuses a server that can't do what is needed, and warns of one that may lose messages.
pub(crate) async fn check(link: &Link) -> Result<()> {
    let answer = link.send(cmd("INFO").arg("server")).await?;
    let info = reply::text(answer)?;
    let version = field(&info, "redis_version").unwrap_or_default();
    if parse_version(version).is_none_or(|version| version < OLDEST) {
        let message = "this redis is too old; 6.2 is the oldest that will do";
        return Err(Error::new(ErrorKind::Unsupported, message).with("version", version));
    }
    if field(&info, "redis_mode") == Some("cluster") {
        let message = "redis is a cluster, which neither Celery nor aipo can use";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let answer = link.send(cmd("INFO").arg("memory")).await?;
    let info = reply::text(answer)?;
    if let Some(policy @ ("allkeys-lru" | "allkeys-lfu" | "allkeys-random")) =
        field(&info, "maxmemory_policy")
    {
        tracing::warn!(
            policy,
            "redis deletes any key when its memory is full, queues included; \
             set maxmemory-policy to noeviction"
        );
    }
    Ok(())
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_compared_by_number() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n";
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field(info, "redis_mode"), Some("standalone"));
        assert_eq!(field(info, "version"), None);
        assert!(parse_version("10.0.1") > Some(OLDEST));
        assert!(parse_version("6.0.16") < Some(OLDEST));
        assert_eq!(parse_version("unstable"), None);
    }
}
