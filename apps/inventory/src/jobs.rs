//! Starts imports and exports.
//!
//! A job lives in two places: its notification in the catalogue, its task with the broker. The
//! notification comes first, with the task's id already in it; then the task is sent. What a crash
//! leaves in between is brought together by [`mend`](crate::mend).

use aipo::{App, Call, TaskId};

use crate::catalog::notifications::{self, Kind, NewNotification};
use crate::catalog::{self, Catalog, Model};
use crate::export::Format;
use crate::media::Media;
use crate::tasks::{self, JobReport, export_data_async, import_data_async};

/// The program's parts: whoever has them can start jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Sends and runs tasks.
    pub app: App,
    /// The data.
    pub catalog: Catalog,
    /// The files.
    pub media: Media,
}

/// A job to be started.
#[derive(Debug, Clone)]
pub enum NewJob {
    /// Read a file of the media folder into a model.
    Import {
        /// What its lines are.
        model: Model,
        /// The file, relative to the media folder.
        file: String,
        /// What its user calls it.
        file_name: Option<String>,
    },
    /// Write a model to a file.
    Export {
        /// What to write.
        model: Model,
        /// In which format.
        format: Format,
    },
}

/// A job that was accepted.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The task that does it.
    pub task_id: TaskId,
    /// Where its user sees how it stands.
    pub notification_id: i64,
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The broker failed; the notification was marked as failed.
    #[error("the task could not be sent")]
    Broker(#[from] aipo::Error),
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopping(#[from] tokio::task::JoinError),
}

impl Inventory {
    /// Announces a job to its user and sends its task.
    ///
    /// # Errors
    /// [`StartError`]; then nothing was started.
    pub async fn start(&self, user: &str, job: NewJob) -> Result<Queued, StartError> {
        let task_id = TaskId::new();
        let kind = job.kind();
        let notification_id = {
            let (catalog, task_id, user) = (self.catalog.clone(), task_id.clone(), user.to_owned());
            tokio::task::spawn_blocking(move || {
                let new = job.notification(task_id.as_str(), &user);
                notifications::create(&*catalog.connect()?, &new, catalog.now())
            })
            .await??
        };
        if let Err(error) = self.send(&task_id, kind, notification_id).await {
            let (catalog, failed) = (self.catalog.clone(), task_id.clone());
            tokio::task::spawn_blocking(move || {
                tasks::fail_job(&catalog, &failed, "não foi possível enfileirar a tarefa")
            })
            .await??;
            return Err(error.into());
        }
        Ok(Queued {
            task_id,
            notification_id,
        })
    }

    /// Sends the task of a notification; it does not mind being sent twice.
    pub(crate) async fn send(
        &self,
        id: &TaskId,
        kind: Kind,
        notification_id: i64,
    ) -> aipo::Result<()> {
        let call: Call<JobReport> = match kind {
            Kind::Import => import_data_async::s(notification_id),
            // It finds its notification by its own id.
            Kind::Export => export_data_async::s(None),
        };
        self.app.send(call.task_id(id.clone())).await?;
        Ok(())
    }
}

impl NewJob {
    fn kind(&self) -> Kind {
        match self {
            Self::Import { .. } => Kind::Import,
            Self::Export { .. } => Kind::Export,
        }
    }

    fn notification<'a>(&'a self, task_id: &'a str, user: &'a str) -> NewNotification<'a> {
        let (model, format, file, file_name) = match self {
            Self::Import {
                model,
                file,
                file_name,
            } => (*model, None, Some(file.as_str()), file_name.as_deref()),
            Self::Export { model, format } => (*model, Some(format.name()), None, None),
        };
        NewNotification {
            task_id,
            user,
            kind: self.kind(),
            model,
            format,
            file,
            file_name,
        }
    }
}
