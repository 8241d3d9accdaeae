//! Where the file is, and the few things about it that one may choose.

use std::fmt;
use std::path::{Path, PathBuf};

use aipo_core::url::percent_decode;
use aipo_core::{Clock, Error, ErrorKind, Result};

/// Operations that share one transaction at most. More would save little, and would make the first
/// of them wait longer.
pub const DEFAULT_MAX_BATCH: usize = 512;

/// Page cache of the writing connection, in KiB. 16 MiB hold the small tables and the ends of the
/// large ones, which is what a queue touches.
pub const DEFAULT_CACHE_KIB: usize = 16 * 1024;

/// How to open a store. Made from a path or a URL, then adjusted field by field.
///
/// ```
/// use aipo_sqlite::{SqliteOptions, Synchronous};
///
/// let mut options = SqliteOptions::new("tasks.db");
/// options.synchronous = Synchronous::Full;
/// assert_eq!(options, SqliteOptions::from_url("sqlite://tasks.db?synchronous=full")?);
/// # Ok::<(), aipo_core::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The database file, created when it is missing. Files of the same name with `-wal`, `-shm`,
    /// `-lock` and `-wake` added lie beside it. It must be on a disk of this machine: file locks and
    /// shared memory do not work over a network.
    pub path: PathBuf,
    /// Tells the time for leases, due times and expiries. Default: the machine's clock.
    pub clock: Clock,
    /// What is on disk when a call returns. URL key `synchronous`. Default [`Synchronous::Normal`].
    pub synchronous: Synchronous,
    /// How many operations share one transaction at most, from 1. URL key `max_batch`. Default
    /// [`DEFAULT_MAX_BATCH`].
    pub max_batch: usize,
    /// Page cache of the writing connection, in KiB. URL key `cache_kib`. Default
    /// [`DEFAULT_CACHE_KIB`].
    pub cache_kib: usize,
}

/// What survives what.
///
/// | | the process dies (kill -9) | the machine dies (power cut, kernel crash) |
/// |---|---|---|
/// | `Off` | nothing is lost | anything may be lost; the file may be damaged |
/// | `Normal` | nothing is lost | what was accepted in the last moments may be lost, newest first, whole transactions at a time; the file stays sound |
/// | `Full` | nothing is lost | nothing is lost |
///
/// "The last moments" of `Normal` reach back to the last checkpoint, which comes after about
/// 16 MiB of changes, or to what the operating system wrote by itself since (Linux: within some 30 s).
/// `Full` waits for the disk once per transaction; many callers at a time share that wait, a single one has
/// all of it for each call.
///
/// This is SQLite's `PRAGMA synchronous` in WAL mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Synchronous {
    /// Never waits for the disk. For tests and for data that may be lost.
    Off,
    /// Waits for the disk at checkpoints only.
    #[default]
    Normal,
    /// Waits for the disk at every transaction.
    Full,
}

impl SqliteOptions {
    /// Options for the file at `path`, everything else as by default.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            clock: Clock::system(),
            synchronous: Synchronous::default(),
            max_batch: DEFAULT_MAX_BATCH,
            cache_kib: DEFAULT_CACHE_KIB,
        }
    }

    /// Options from a URL: `sqlite://relative.db` or `sqlite:///absolute/path.db`, with the fields
    /// as query keys, for example `?synchronous=full&max_batch=100`. In the path `%20` and the like
    /// stand for the character with that code.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the scheme is another, the path is missing, a key is unknown, or a
    /// value can't be; the message names it.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("sqlite://")
            .ok_or_else(|| Error::new(ErrorKind::Config, "not a sqlite:// URL").with("url", url))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent_decode(path).ok_or_else(|| {
            Error::new(ErrorKind::Config, "the path in the URL is badly encoded").with("url", url)
        })?;
        let mut options = Self::new(path);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "synchronous" => {
                    options.synchronous = match value {
                        "off" => Synchronous::Off,
                        "normal" => Synchronous::Normal,
                        "full" => Synchronous::Full,
                        _ => return Err(bad_value(key, value, "off, normal or full")),
                    }
                }
                "max_batch" => options.max_batch = number(key, value)?,
                "cache_kib" => options.cache_kib = number(key, value)?,
                _ => {
                    return Err(
                        Error::new(ErrorKind::Config, "unknown key in a sqlite:// URL")
                            .with("key", key)
                            .with("known", "synchronous, max_batch, cache_kib"),
                    );
                }
            }
        }
        options.check()?;
        Ok(options)
    }

    /// The URL of a file, for people to read and for [`from_url`](Self::from_url).
    pub(crate) fn url_of(path: &Path) -> String {
        // What would be read as something else is encoded; what is not UTF-8 can only be approximated.
        let path = path
            .to_string_lossy()
            .replace('%', "%25")
            .replace('?', "%3F");
        format!("sqlite://{path}")
    }

    /// Refuses what can't work.
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.path.as_os_str();
        if path.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "the path of the database is missing",
            ));
        }
        if path == ":memory:" {
            return Err(Error::new(
                ErrorKind::Config,
                "a database in memory can't be shared; use the memory store or a file",
            ));
        }
        if self.max_batch == 0 {
            return Err(bad_value("max_batch", "0", "a number from 1"));
        }
        if i32::try_from(self.cache_kib).is_err() {
            return Err(bad_value(
                "cache_kib",
                &self.cache_kib.to_string(),
                "at most 2147483647",
            ));
        }
        Ok(())
    }
}

impl PartialEq for SqliteOptions {
    /// Compares everything but the clocks, which can't be compared.
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.synchronous, self.max_batch, self.cache_kib)
            == (
                &other.path,
                other.synchronous,
                other.max_batch,
                other.cache_kib,
            )
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("path", &self.path)
            .field("synchronous", &self.synchronous)
            .field("max_batch", &self.max_batch)
            .field("cache_kib", &self.cache_kib)
            .finish_non_exhaustive()
    }
}

impl Synchronous {
    /// The value of `PRAGMA synchronous`.
    pub(crate) fn pragma(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}

fn number(key: &str, value: &str) -> Result<usize> {
    value
        .parse()
        .map_err(|_| bad_value(key, value, "a whole number"))
}

fn bad_value(key: &str, value: &str, wanted: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{key} can't be {value:?}")).with("wanted", wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_file_is() {
        for (url, path) in [
            ("sqlite://tasks.db", "tasks.db"),
            ("sqlite://data/tasks.db", "data/tasks.db"),
            ("sqlite:///var/lib/tasks.db", "/var/lib/tasks.db"),
            ("sqlite:///a%20b/%C3%A9.db?", "/a b/é.db"),
        ] {
            assert_eq!(
                SqliteOptions::from_url(url).expect(url),
                SqliteOptions::new(path),
                "{url}"
            );
        }
    }

    #[test]
    fn the_url_of_a_file_leads_back_to_it() {
        for path in ["/a/b.db", "/50% more?/b.db"] {
            let url = SqliteOptions::url_of(Path::new(path));
            assert_eq!(
                SqliteOptions::from_url(&url).expect(&url),
                SqliteOptions::new(path)
            );
        }
    }

    #[test]
    fn a_url_sets_every_field_it_names() {
        let options =
            SqliteOptions::from_url("sqlite://t.db?synchronous=off&max_batch=7&cache_kib=2048")
                .expect("a valid URL");

        let mut wanted = SqliteOptions::new("t.db");
        wanted.synchronous = Synchronous::Off;
        wanted.max_batch = 7;
        wanted.cache_kib = 2048;
        assert_eq!(options, wanted);
    }

    #[test]
    fn what_is_wrong_in_a_url_is_named() {
        for (url, named) in [
            ("redis://localhost", "redis://localhost"),
            ("sqlite://", "path"),
            ("sqlite://:memory:", "memory"),
            ("sqlite://a%2", "a%2"),
            ("sqlite://a%+1", "a%+1"),
            ("sqlite://a%ff", "a%ff"),
            ("sqlite://t.db?journal=wal", "journal"),
            ("sqlite://t.db?synchronous=extra", "extra"),
            ("sqlite://t.db?synchronous", "synchronous"),
            ("sqlite://t.db?max_batch=many", "many"),
            ("sqlite://t.db?max_batch=0", "max_batch"),
            ("sqlite://t.db?cache_kib=-1", "-1"),
            ("sqlite://t.db?cache_kib=3000000000", "3000000000"),
        ] {
            let error = SqliteOptions::from_url(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(named), "{url} gives {error}");
        }
    }
}
