//! The folder of uploaded and produced files.
//!
//! ```text
//! media/uploads/<uuid>.csv        an import's file, as it was uploaded
//! media/exports/<model>-<id>.csv  an export's file, complete
//! media/partial/                  what is being written; emptied of leftovers at start
//! ```
//! A file appears under `uploads` or `exports` by a rename, so whoever finds it there finds it
//! whole. The database holds paths relative to the folder; nothing outside it is ever opened.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const UPLOADS: &str = "uploads";
const EXPORTS: &str = "exports";
const PARTIAL: &str = "partial";

/// Age from which a file that nobody refers to is certainly nobody's any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// The media folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Media {
    root: PathBuf,
}

/// A file that is being written. Dropped without [`finish`](Self::finish), it is deleted.
#[derive(Debug)]
pub struct Partial<'a> {
    media: &'a Media,
    path: PathBuf,
    finished: bool,
}

impl Media {
    /// Opens the folder, creates what is missing, and deletes partial files left behind by
    /// processes that died more than a day ago.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    pub fn open(root: &Path) -> io::Result<Self> {
        for folder in [UPLOADS, EXPORTS, PARTIAL] {
            fs::create_dir_all(root.join(folder))?;
        }
        let media = Self {
            root: root.to_owned(),
        };
        media.sweep()?;
        Ok(media)
    }

    /// Where a file of the database stands.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The relative path of a new upload.
    pub fn upload_path(id: uuid::Uuid) -> String {
        format!("{UPLOADS}/{id}.csv")
    }

    /// The relative path of an export. The same notification always has the same path, so that a
    /// second run replaces the first one's file.
    pub fn export_path(model: &str, notification_id: i64, extension: &str) -> String {
        format!("{EXPORTS}/{model}-{notification_id}.{extension}")
    }

    /// A place to write a file of the given extension.
    pub fn partial(&self, extension: &str) -> Partial<'_> {
        let name = format!("{}.{extension}", uuid::Uuid::new_v4());
        Partial {
            media: self,
            path: self.root.join(PARTIAL).join(name),
            finished: false,
        }
    }

    /// Deletes a file; one that is already gone is no error.
    ///
    /// # Errors
    /// When the file is there and cannot be deleted.
    pub fn delete(&self, relative: &str) -> io::Result<()> {
        match fs::remove_file(self.path(relative)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The uploads and exports, by their relative paths, that have not been touched for more than a
    /// day. A crash may have left some of them behind, with nobody who refers to them.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub fn old_files(&self) -> io::Result<Vec<String>> {
        let mut old = Vec::new();
        for folder in [UPLOADS, EXPORTS] {
            for entry in fs::read_dir(self.root.join(folder))? {
                let entry = entry?;
                if is_stale(&entry)?
                    && let Some(name) = entry.file_name().to_str()
                {
                    old.push(format!("{folder}/{name}"));
                }
            }
        }
        Ok(old)
    }

    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(PARTIAL))? {
            let entry = entry?;
            if is_stale(&entry)? {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_stale(entry: &fs::DirEntry) -> io::Result<bool> {
    // A clock that went backwards makes a file look new; it is swept another time.
    Ok(entry.metadata()?.modified()?.elapsed().unwrap_or_default() > STALE)
}

impl Partial<'_> {
    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what was written durable and moves it to its place in the media folder.
    ///
    /// # Errors
    /// When the file cannot be flushed or moved; it is then deleted.
    pub fn finish(mut self, relative: &str) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, self.media.path(relative))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a partial file was left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let media = Media::open(folder.path()).expect("opens");
        let left = media.partial("csv");
        fs::write(left.path(), "half").expect("written");
        let left_path = left.path().to_owned();
        drop(left);
        assert!(!left_path.exists());

        let done = media.partial("csv");
        fs::write(done.path(), "whole").expect("written");
        let relative = Media::export_path("product", 7, "csv");
        done.finish(&relative).expect("moved");
        assert_eq!(
            fs::read_to_string(media.path(&relative)).expect("reads"),
            "whole"
        );
        media.delete(&relative).expect("deleted");
        media.delete(&relative).expect("already gone");
    }
}
