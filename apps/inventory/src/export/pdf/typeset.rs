//! Typesets one piece of a table with Typst, from `template.typ`.
//!
//! The template sees exactly one file, `data.json`. Texts of the table reach it as strings, never
//! as markup, so no product name can act on the document. It has no access to files, packages, the
//! network or the clock.

use std::sync::{LazyLock, Mutex, PoisonError};

use serde::Serialize;
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use crate::export::ExportError;

/// What the template is given; its first lines say what each field is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Data<'a> {
    pub(super) title: &'a str,
    pub(super) generated: &'a str,
    pub(super) first_page: usize,
    pub(super) columns: &'a [DataColumn],
    pub(super) rows: Vec<Vec<String>>,
    pub(super) total: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct DataColumn {
    pub(super) title: &'static str,
    pub(super) width: u8,
    pub(super) numeric: bool,
}

/// A typeset piece: a PDF of its own.
pub(super) struct Piece {
    pub(super) pdf: Vec<u8>,
    pub(super) pages: usize,
}

pub(super) fn typeset(data: &Data<'_>) -> Result<Piece, ExportError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let json = serde_json::to_vec(data).map_err(std::io::Error::from)?;
    let world = Piecework {
        environment: &ENVIRONMENT,
        data: Bytes::new(json),
    };
    let document: PagedDocument = typst::compile(&world)
        .output
        .map_err(|errors| typesetting_error(&errors))?;
    // A tag tree would not survive the joining of pieces.
    let options = PdfOptions {
        tagged: false,
        ..PdfOptions::default()
    };
    let pdf = typst_pdf::pdf(&document, &options).map_err(|errors| typesetting_error(&errors))?;
    let pages = document.pages().len();
    drop(document);
    // Typst remembers layouts for the next compilation; the next piece shares none of them.
    comemo::evict(0);
    Ok(Piece { pdf, pages })
}

/// Held while a piece is typeset: Typst uses all cores for one document, and a dozen exports at a
/// time would need a dozen times the memory for the same work.
static TURN: Mutex<()> = Mutex::new(());

fn typesetting_error(errors: &[SourceDiagnostic]) -> ExportError {
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    ExportError::Typesetting(messages.join("; "))
}

/// What all pieces share.
struct Environment {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    data_id: FileId,
}

static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let fonts: Vec<Font> = typst_assets::fonts()
        .flat_map(|data| Font::iter(Bytes::new(data)))
        .collect();
    let template = include_str!("template.typ").to_owned();
    Environment {
        library: LazyHash::new(Library::default()),
        book: LazyHash::new(FontBook::from_fonts(&fonts)),
        fonts,
        template: Source::new(file_id("template.typ"), template),
        data_id: file_id("data.json"),
    }
});

fn file_id(path: &str) -> FileId {
    let path = VirtualPath::new(path).expect("a plain file name is a valid path");
    FileId::new(RootedPath::new(VirtualRoot::Project, path))
}

struct Piecework {
    environment: &'static Environment,
    data: Bytes,
}

impl World for Piecework {
    fn library(&self) -> &LazyHash<Library> {
        &self.environment.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.environment.book
    }

    fn main(&self) -> FileId {
        self.environment.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main() {
            Ok(self.environment.template.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == self.environment.data_id {
            Ok(self.data.clone())
        } else {
            Err(FileError::AccessDenied)
        }
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.environment.fonts.get(index).cloned()
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
