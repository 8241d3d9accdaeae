//! Brings together what a crash left apart, when a server starts.
//!
//! | a process died | what is left | what is done |
//! |---|---|---|
//! | after it announced a job, before it sent the task | a pending notification, no task | the task is sent |
//! | after a task was revoked or failed, before its user was told | an unfinished notification, a task that has ended | the notification fails |
//! | after it stored an upload, before it announced the job | a file that nobody refers to | the file is deleted |

use std::io;

use aipo::{TaskId, TaskState};
use jiff::SignedDuration;

use crate::catalog;
use crate::catalog::notifications::{self, Status, TaskNotification};
use crate::jobs::{Inventory, StartError};
use crate::tasks::{self, JobReport};

/// Age from which a pending notification without a task was left behind. The task of a younger one
/// may be about to be sent by another process.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_mins(1);

/// Notifications looked at in one read.
const PAGE: usize = 100;

/// Why not everything could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    /// The database or the broker failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The media folder cannot be read.
    #[error("the media folder cannot be read")]
    Media(#[from] io::Error),
}

impl From<catalog::Error> for MendError {
    fn from(error: catalog::Error) -> Self {
        Self::Start(error.into())
    }
}

impl From<aipo::Error> for MendError {
    fn from(error: aipo::Error) -> Self {
        Self::Start(error.into())
    }
}

impl From<tokio::task::JoinError> for MendError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Start(error.into())
    }
}

impl Inventory {
    /// Looks at all unfinished jobs and old files, and returns how many had to be mended.
    ///
    /// # Errors
    /// [`MendError`]; what was mended until then stays so.
    pub async fn mend(&self) -> Result<usize, MendError> {
        let mut mended = 0;
        let mut after = 0;
        loop {
            let catalog = self.catalog.clone();
            let page = tokio::task::spawn_blocking(move || {
                notifications::unfinished(&*catalog.connect()?, after, PAGE)
            })
            .await??;
            let Some(last) = page.last() else {
                break;
            };
            after = last.id;
            for job in page {
                mended += usize::from(self.mend_job(&job).await?);
            }
        }
        let inventory = self.clone();
        mended += tokio::task::spawn_blocking(move || inventory.delete_orphans()).await??;
        Ok(mended)
    }

    /// Compares one notification with its task; true when they had to be brought together.
    async fn mend_job(&self, job: &TaskNotification) -> Result<bool, MendError> {
        let task_id = TaskId::from(job.task_id.as_str());
        let handle = self.app.result::<JobReport>(task_id.clone());
        match handle.state().await? {
            None if job.status == Status::Pending
                && self.catalog.now().duration_since(job.created_at) > LEFT_BEHIND =>
            {
                self.send(&task_id, job.kind, job.id).await?;
                Ok(true)
            }
            Some(TaskState::Failure | TaskState::Revoked) => {
                let catalog = self.catalog.clone();
                let message = "a tarefa terminou sem concluir";
                tokio::task::spawn_blocking(move || tasks::fail_job(&catalog, &task_id, message))
                    .await??;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Deletes old files that no notification refers to.
    fn delete_orphans(&self) -> Result<usize, MendError> {
        let connection = self.catalog.connect()?;
        let mut deleted = 0;
        for file in self.media.old_files()? {
            if !notifications::refers_to(&connection, &file)? {
                self.media.delete(&file)?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }
}
