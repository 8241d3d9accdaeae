//! What tasks leave behind: records of fixed size in one file that every process appends to.
//!
//! One `write` to a file opened for appending is not interleaved with another, and what it wrote
//! outlives the process the moment it returns. So the file tells the truth about killed workers.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A run of a task began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Which task, from 0.
    pub(crate) task: u32,
    /// Which worker, from 0; a replacement has a new number.
    pub(crate) worker: u32,
    /// Nanoseconds since 1970.
    pub(crate) at: i64,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Began,
    Ended,
}

/// The file, for appending.
pub(crate) struct Effects(File);

impl Effects {
    /// Opens the file, and creates it where it is missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(file))
    }

    pub(crate) fn append(&self, effect: Effect) -> io::Result<()> {
        (&self.0).write_all(&effect.encode())
    }
}

/// The effects from a byte of the file on.
pub(crate) fn decode_all(bytes: &[u8]) -> io::Result<Vec<Effect>> {
    let (records, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(io::Error::other("the file of effects ends within a record"));
    }
    records.iter().map(Effect::decode).collect()
}

impl Effect {
    /// Bytes of a record.
    const SIZE: usize = 17;

    fn encode(self) -> [u8; Self::SIZE] {
        let mut record = [0; Self::SIZE];
        record[..4].copy_from_slice(&self.task.to_le_bytes());
        record[4..8].copy_from_slice(&self.worker.to_le_bytes());
        record[8..16].copy_from_slice(&self.at.to_le_bytes());
        record[16] = match self.what {
            What::Began => 0,
            What::Ended => 1,
        };
        record
    }

    fn decode(record: &[u8; Self::SIZE]) -> io::Result<Self> {
        let [t0, t1, t2, t3, w0, w1, w2, w3, at @ .., what] = *record;
        Ok(Self {
            task: u32::from_le_bytes([t0, t1, t2, t3]),
            worker: u32::from_le_bytes([w0, w1, w2, w3]),
            at: i64::from_le_bytes(at),
            what: match what {
                0 => What::Began,
                1 => What::Ended,
                other => return Err(io::Error::other(format!("no such effect: {other}"))),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("effects");
        let effect = |task, what| Effect {
            task,
            worker: 7,
            at: 1_700_000_000_123_456_789,
            what,
        };
        let expected = [effect(1, What::Began), effect(u32::MAX, What::Ended)];
        for effect in expected {
            // Opened each time, as other processes would.
            let effects = Effects::open(&path).expect("opens");
            effects.append(effect).expect("appends");
        }
        let bytes = std::fs::read(&path).expect("reads");
        assert_eq!(decode_all(&bytes).expect("whole records"), expected);
        assert!(decode_all(&bytes[1..]).is_err());
    }
}
