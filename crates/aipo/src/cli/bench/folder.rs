//! A temporary folder that goes away with its owner.

use std::io;
use std::path::{Path, PathBuf};

/// A new folder, deleted with its contents when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder `name` in the temporary folder of this machine.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(name);
        // `create_dir` fails if the name is there already, whoever made it.
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            let path = self.0.display();
            tracing::warn!(%error, %path, "the temporary folder could not be deleted");
        }
    }
}
