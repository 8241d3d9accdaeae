//! How those who wait learn of what others did, without asking again and again.
//!
//! Inside a process the writer tells them itself, after the commit. Between processes there is a
//! file, `<database>-wake`: whoever commits something that others may wait for writes a byte into
//! it ([`Bell::ring`]), and the kernel tells every process that watches the file ([`Watch`]). Always the
//! first byte, so the file does not grow.
//!
//! A wake-up says only "look again": it may come too often, and what there is to see was committed
//! before. It may also be missing, when a process dies between its commit and its ring or where a
//! file system does not report changes; therefore whoever waits looks every [`RECHECK`] as well.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use aipo_core::{Error, ErrorKind, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::awaited::Awaited;
use crate::listeners::Listeners;
use crate::reader::Reader;
use crate::writer::Message;

/// How often somebody who waits looks without being woken.
#[cfg(not(test))]
pub(crate) const RECHECK: Duration = Duration::from_secs(5);

/// So long that a test which passes owes it to a wake-up.
#[cfg(test)]
pub(crate) const RECHECK: Duration = Duration::from_secs(3600);

/// Wakes all processes.
pub(crate) struct Bell(File);

impl Bell {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?,
        ))
    }

    pub(crate) fn ring(&mut self) -> std::io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(b"!")
    }
}

/// What the writer and the watch share: is there anybody in the writer to wake?
#[derive(Default)]
pub(crate) struct Doze {
    /// Fetches that wait inside the writer.
    waiting: AtomicUsize,
    /// Whether a [`Message::Look`] is on its way.
    nudged: AtomicBool,
}

impl Doze {
    /// The writer says how many fetches wait. It says so *before* it looks into the tables for the
    /// last time: a commit that comes after that look then finds a number above zero here.
    pub(crate) fn set_waiting(&self, fetches: usize) {
        self.waiting.store(fetches, Ordering::SeqCst);
    }

    /// The writer has the nudge in hand and looks after this.
    pub(crate) fn woke(&self) {
        self.nudged.store(false, Ordering::SeqCst);
    }

    fn nudge(&self, writer: &mpsc::Sender<Message>) {
        if self.waiting.load(Ordering::SeqCst) > 0 && !self.nudged.swap(true, Ordering::SeqCst) {
            // The writer ends only after the watch does, or by a panic, which callers hear of.
            let _ = writer.send(Message::Look);
        }
    }
}

/// Watches the wake file until it is dropped.
pub(crate) struct Watch(#[expect(dead_code, reason = "held to keep watching")] RecommendedWatcher);

impl Watch {
    /// Starts to watch. From the return on, no ring goes unheard.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the operating system has no watch left for this user.
    pub(crate) fn start(
        path: &Path,
        doze: Arc<Doze>,
        writer: mpsc::Sender<Message>,
        awaited: Arc<Awaited>,
        listeners: Arc<Listeners>,
        reader: Reader,
    ) -> Result<Self> {
        // An error instead of an event is an overflow of the kernel's list: a ring may be among what
        // was dropped, so it counts as one.
        let on_event = move |_event: notify::Result<notify::Event>| {
            doze.nudge(&writer);
            awaited.catch_up(&reader);
            listeners.catch_up(&reader);
        };
        let unavailable = |error: notify::Error| {
            Error::new(ErrorKind::Unavailable, "can't watch the wake file")
                .with("path", path.display())
                .with(
                    "hint",
                    "on Linux see fs.inotify.max_user_instances and max_user_watches",
                )
                .caused_by(error)
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(unavailable)?;
        watcher
            .watch(path, RecursiveMode::NonRecursive)
            .map_err(unavailable)?;
        Ok(Self(watcher))
    }
}

#[cfg(test)]
mod tests;
