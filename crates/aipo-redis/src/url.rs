//! A URL in its parts, decoded. What they mean is for `config` to say.
//!
//! No error repeats the URL or the part before an `@`, since there the password is.

use aipo_core::url::percent_decode;
use aipo_core::{Error, ErrorKind, Result};

pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<String>,
    /// With the slash in front.
    pub(crate) path: String,
    /// What the path is to a server: without the slash, `None` when nothing is left.
    pub(crate) db: Option<String>,
    pub(crate) query: Vec<(String, String)>,
}

impl Url {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        // Without a scheme what stands in front may be a password, so only what follows is told.
        let (scheme, rest) = url.split_once("://").ok_or_else(|| {
            let shown = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
            Error::new(ErrorKind::Config, "not a URL").with("given", shown)
        })?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        // A password with a bare / or ? ends the authority too early; then a part of it would be
        // taken, and told, for something else.
        let is_socket = scheme == "redis+socket";
        let cut_short = match is_socket {
            true => !place.is_empty(),
            false => path.contains('@') || query.contains('@'),
        };
        if cut_short {
            let message = "the URL is malformed; in a password / ? and @ are written %2F %3F %40";
            return Err(Error::new(ErrorKind::Config, message));
        }
        let (username, password) = match login {
            None => (None, None),
            Some(login) => credentials(login)?,
        };
        let (host, port) = host_and_port(place)?;
        let path = decode(path)?;
        let db = path.trim_matches('/');
        let db = (!db.is_empty()).then(|| db.to_owned());
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(key)?, decode(value)?))
            });
        Ok(Self {
            scheme: scheme.to_owned(),
            username,
            password,
            host,
            port,
            path,
            // The path of a socket is no database.
            db: db.filter(|_| !is_socket),
            query: query.collect::<Result<_>>()?,
        })
    }
}

fn credentials(login: &str) -> Result<(Option<String>, Option<String>)> {
    let (username, password) = match login.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (login, None),
    };
    let decode = |text: &str| {
        percent_decode(text).ok_or_else(|| {
            let message = "user or password in the URL are badly encoded";
            Error::new(ErrorKind::Config, message)
        })
    };
    let username = Some(username)
        .filter(|name| !name.is_empty())
        .map(decode)
        .transpose()?;
    let password = password
        .filter(|word| !word.is_empty())
        .map(decode)
        .transpose()?;
    Ok((username, password))
}

fn host_and_port(place: &str) -> Result<(String, Option<String>)> {
    // An IPv6 address stands in brackets, for its colons.
    if let Some(rest) = place.strip_prefix('[') {
        let wrong = || {
            Error::new(ErrorKind::Config, "the address in the URL is malformed").with("host", place)
        };
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.to_owned()),
            None if rest.is_empty() => None,
            None => return Err(wrong()),
        };
        return Ok((host.to_owned(), port));
    }
    match place.split_once(':') {
        Some((host, port)) => Ok((decode(host)?, Some(port.to_owned()))),
        None => Ok((decode(place)?, None)),
    }
}

fn decode(text: &str) -> Result<String> {
    percent_decode(text).ok_or_else(|| {
        Error::new(ErrorKind::Config, "a part of the URL is badly encoded").with("part", text)
    })
}
