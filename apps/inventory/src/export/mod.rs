//! Exports a model to a file, in a stream.
//!
//! ```text
//! table ─page of rows─▶ sink of the format ─▶ partial file ─rename─▶ media/exports ─▶ completed
//! ```
//! Never more than two pages of rows are in memory. A run that dies leaves a partial file that
//! nobody refers to; the next run starts over and its file takes the same name, so a repeated
//! export has one outcome.

mod csv;
mod json;
mod pdf;
mod table;
mod xml;

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::notifications::{self, Kind, Progress, Status};
use crate::catalog::{self, Catalog, Model};
use crate::locale::{business_date, format_moment};
use crate::media::Media;
use table::{Pages, Row};

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For spreadsheets in Portuguese.
    Csv,
    /// An array of objects.
    Json,
    /// A list of elements.
    Xml,
    /// A typeset table.
    Pdf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Json, Self::Xml, Self::Pdf];

    /// The name in the API and in the database, and the extension of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Pdf => "pdf",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("formato desconhecido «{text}»; use {known}")
            })
    }
}

/// Why an export did not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There is no such export.
    #[error("there is no export with notification {0}")]
    Unknown(i64),
    /// The export has failed for good; its notification says why.
    #[error("the export of notification {0} has already failed")]
    AlreadyFailed(i64),
    /// The caller asked to stop. Nothing of the file is kept.
    #[error("the export was cancelled")]
    Cancelled,
    /// The PDF could not be made.
    #[error("typesetting failed: {0}")]
    Typesetting(String),
    /// The file could not be written.
    #[error("cannot write the export")]
    Io(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl ExportError {
    /// Whether the same export may succeed when it is tried again.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Io(_) => true,
            Self::Catalog(error) => error.is_temporary(),
            Self::Unknown(_) | Self::AlreadyFailed(_) | Self::Cancelled | Self::Typesetting(_) => {
                false
            }
        }
    }
}

/// A format's way of writing rows.
trait Sink {
    /// Writes a page of rows.
    fn write(&mut self, rows: Vec<Row>) -> Result<(), ExportError>;
    /// Writes what closes the file.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// Runs the export of a notification and completes the notification with the file.
///
/// `on_progress` is called at the start and after each page of rows. `cancelled` is asked before
/// each page. An export that was completed before is not run again. The notification is left as
/// processing when an error is returned: whether to try again or to give up
/// ([`notifications::fail`]) is the caller's decision.
///
/// # Errors
/// [`ExportError`]; no file is left behind.
pub fn export_file(
    catalog: &Catalog,
    media: &Media,
    notification_id: i64,
    on_progress: &mut dyn FnMut(Progress),
    cancelled: &dyn Fn() -> bool,
) -> Result<Progress, ExportError> {
    let connection = catalog.connect()?;
    let job = notifications::get(&connection, notification_id)?
        .filter(|job| job.kind == Kind::Export)
        .ok_or(ExportError::Unknown(notification_id))?;
    match job.status {
        Status::Completed => return Ok(job.progress),
        Status::Failed => return Err(ExportError::AlreadyFailed(notification_id)),
        Status::Pending | Status::Processing => {}
    }
    // An export is announced with its format; see `notifications::create`'s callers.
    let format: Format = job
        .format
        .as_deref()
        .and_then(|format| format.parse().ok())
        .ok_or(ExportError::Unknown(notification_id))?;
    notifications::start(&connection, notification_id, catalog.now())?;

    let partial = media.partial(format.name());
    let output = BufWriter::new(File::create(partial.path())?);
    let mut sink = open_sink(catalog, job.model, format, output)?;
    let (mut pages, total) = Pages::begin(&connection, job.model)?;
    let mut progress = Progress {
        done: 0,
        total,
        rejected: 0,
    };
    loop {
        notifications::set_progress(&connection, notification_id, progress, catalog.now())?;
        on_progress(progress);
        if cancelled() {
            return Err(ExportError::Cancelled);
        }
        let rows = pages.next(&connection)?;
        if rows.is_empty() {
            break;
        }
        progress.done += rows.len() as u64;
        sink.write(rows)?;
    }
    sink.finish()?;

    let now = catalog.now();
    let file = Media::export_path(job.model.name(), notification_id, format.name());
    let file_name = format!("{}-{}.{format}", job.model, business_date(now));
    partial.finish(&file)?;
    let named = Some((file.as_str(), file_name.as_str()));
    notifications::complete(&connection, notification_id, progress.done, named, now)?;
    Ok(progress)
}

fn open_sink(
    catalog: &Catalog,
    model: Model,
    format: Format,
    output: BufWriter<File>,
) -> Result<Box<dyn Sink>, ExportError> {
    let columns = table::columns(model);
    Ok(match format {
        Format::Csv => Box::new(csv::CsvSink::new(output, columns)?),
        Format::Json => Box::new(json::JsonSink::new(output, columns)?),
        Format::Xml => Box::new(xml::XmlSink::new(output, model, columns)?),
        Format::Pdf => {
            let generated = format_moment(catalog.now());
            Box::new(pdf::PdfSink::new(
                output,
                model.title(),
                generated,
                columns,
            )?)
        }
    })
}

#[cfg(test)]
mod tests;
