//! The app's tasks, by the names its callers know.
//!
//! Plain functions: their work is on SQLite and on files, so each runs on a thread of its own. What
//! passes by itself (a busy database, a full disk) is retried three times, a minute apart; what
//! does not, such as a file that cannot be read, fails at once. Either way a job that has failed
//! for good is told to its user in one place, `tell_user`.

use aipo::{AppBuilder, Context, Failure, Signal, TaskError, TaskId, TaskResult};
use serde::{Deserialize, Serialize};

use crate::catalog::notifications::{self, Progress};
use crate::catalog::{self, Catalog};
use crate::export::export_file;
use crate::import::{ImportError, import_file};
use crate::media::Media;
use crate::metrics;

/// What an import or an export returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    /// The notification of the job.
    pub notification_id: i64,
    /// Records saved or written.
    pub records: u64,
    /// Records that an import did not accept.
    pub rejected: u64,
}

impl JobReport {
    fn new(notification_id: i64, progress: Progress) -> Self {
        Self {
            notification_id,
            records: progress.done - progress.rejected,
            rejected: progress.rejected,
        }
    }
}

/// Gives an app the inventory's tasks and what they work with.
#[must_use]
pub fn register(app: AppBuilder, catalog: &Catalog, media: &Media) -> AppBuilder {
    app.task(import_data_async::task())
        .task(export_data_async::task())
        .task(update_dashboard_metrics_cache::task())
        .data(catalog.clone())
        .data(media.clone())
        .on_signal(tell_user(catalog.clone()))
}

/// Imports the file of a notification, line by line; continues where an earlier run was cut off.
#[aipo::task(
    name = "app.tasks.import_data_async",
    max_retries = 3,
    retry_delay = "60s"
)]
pub fn import_data_async(cx: &Context, notification_id: i64) -> TaskResult<JobReport> {
    let catalog = cx.data::<Catalog>()?;
    // Whoever sent the task may have given it an id of its own.
    notifications::set_task(&*catalog.connect()?, notification_id, cx.id().as_str())?;
    let done = import_file(
        catalog,
        cx.data::<Media>()?,
        notification_id,
        &mut |progress| show(cx, progress),
        &|| cx.is_cancelled(),
    );
    match done {
        Ok(progress) => Ok(JobReport::new(notification_id, progress)),
        // The other worker tells how it ended.
        Err(ImportError::Overtaken(_)) => Err(TaskError::ignore()),
        Err(error) if error.is_temporary() => {
            Err(TaskError::retry().because(import_failure(error)))
        }
        Err(error) => Err(import_failure(error)),
    }
}

/// Exports the model of a notification; by default of the one that belongs to this task's id.
#[aipo::task(
    name = "app.tasks.export_data_async",
    max_retries = 3,
    retry_delay = "60s"
)]
pub fn export_data_async(
    cx: &Context,
    #[arg(default)] notification_id: Option<i64>,
) -> TaskResult<JobReport> {
    let catalog = cx.data::<Catalog>()?;
    let notification_id = match notification_id {
        Some(id) => {
            notifications::set_task(&*catalog.connect()?, id, cx.id().as_str())?;
            id
        }
        None => of_task(catalog, cx.id())?,
    };
    let done = export_file(
        catalog,
        cx.data::<Media>()?,
        notification_id,
        &mut |progress| show(cx, progress),
        &|| cx.is_cancelled(),
    );
    match done {
        Ok(progress) => Ok(JobReport::new(notification_id, progress)),
        Err(error) if error.is_temporary() => Err(TaskError::retry().because(error)),
        Err(error) => Err(error.into()),
    }
}

/// Renews the six entries of the dashboard.
#[aipo::task(
    name = "app.tasks.update_dashboard_metrics_cache",
    max_retries = 3,
    retry_delay = "60s",
    autoretry_for = any
)]
pub async fn update_dashboard_metrics_cache(cx: &Context) -> TaskResult<()> {
    metrics::refresh(cx.app(), cx.data::<Catalog>()?).await?;
    Ok(())
}

fn of_task(catalog: &Catalog, task_id: &TaskId) -> TaskResult<i64> {
    let job = notifications::of_task(&*catalog.connect()?, task_id.as_str())?;
    match job {
        Some(job) => Ok(job.id),
        None => Err(TaskError::fail(format!(
            "no notification belongs to task {task_id}"
        ))),
    }
}

/// Keeps the type of the error that its reader is told by, see [`message_for_user`].
fn import_failure(error: ImportError) -> TaskError {
    match error {
        ImportError::File(error) => error.into(),
        error => error.into(),
    }
}

/// Shows progress as the task's state. That it cannot be shown does not stop the work.
fn show(cx: &Context, progress: Progress) {
    let shown = tokio::runtime::Handle::current().block_on(cx.progress(progress));
    if let Err(error) = shown {
        tracing::warn!(task.id = %cx.id(), %error, "progress was not stored");
    }
}

/// Marks the notification of a task as failed when the task has failed for good, was revoked, or
/// was lost with its workers too often.
///
/// Receivers run before the task is settled: a process that dies in between runs the task again,
/// which then finds its notification failed and fails too, so the two never disagree.
fn tell_user(catalog: Catalog) -> impl Fn(&Signal<'_>) + Send + Sync + 'static {
    move |signal| {
        let (headers, message) = match signal {
            Signal::TaskFailure { headers, failure } => (headers, message_for_user(failure)),
            Signal::TaskRevoked { headers, .. } => (headers, "a tarefa foi cancelada".to_owned()),
            _ => return,
        };
        if let Err(error) = fail_job(&catalog, &headers.id, &message) {
            tracing::error!(task.id = %headers.id, %error, "the notification was not marked as failed");
        }
    }
}

/// Marks the job of a task as failed; a task that has no job, or whose job has ended, is left
/// alone.
pub(crate) fn fail_job(
    catalog: &Catalog,
    task_id: &TaskId,
    message: &str,
) -> Result<(), catalog::Error> {
    let connection = catalog.connect()?;
    if let Some(job) = notifications::of_task(&connection, task_id.as_str())? {
        notifications::fail(&connection, job.id, message, catalog.now())?;
    }
    Ok(())
}

/// A failure in the words of the person who asked for the job.
pub(crate) fn message_for_user(failure: &Failure) -> String {
    let exception = &failure.exception;
    match exception.exc_type.as_str() {
        "FileError" => exception.message(),
        "WorkerLostError" => "o processo que executava a tarefa caiu repetidas vezes".to_owned(),
        _ => format!("falha interna: {}", exception.message()),
    }
}
