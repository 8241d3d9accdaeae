//! Joins PDFs into one while it is being written.
//!
//! Each piece is renumbered and appended, and its page tree becomes a child of the joined
//! document's. Only the places of the objects written so far are kept (16 bytes each), so the
//! length of the document does not matter. What a piece has besides pages (outline, tags, metadata)
//! is left out.

use std::io::{self, Write};

use lopdf::{Document, Object, ObjectId, StringFormat, Writer, dictionary};

use crate::export::ExportError;

const CATALOG: u32 = 1;
const PAGES: u32 = 2;
const INFO: u32 = 3;
const FIRST_FREE: u32 = 4;

pub(super) struct Join<W: Write> {
    output: Counted<W>,
    /// Where each object stands, by its number; the last element belongs to the highest number.
    places: Vec<u64>,
    trees: Vec<Object>,
    pages: i64,
}

impl<W: Write> Join<W> {
    pub(super) fn new(output: W) -> Result<Self, ExportError> {
        let mut output = Counted {
            inner: output,
            written: 0,
        };
        // The second line tells programs that look at the first bytes that the file is binary.
        output.write_all(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")?;
        Ok(Self {
            output,
            places: vec![0; FIRST_FREE as usize],
            trees: Vec::new(),
            pages: 0,
        })
    }

    /// Appends the pages of a PDF.
    pub(super) fn append(&mut self, pdf: &[u8]) -> Result<(), ExportError> {
        let mut piece = Document::load_mem(pdf).map_err(joining_error)?;
        let first_id = u32::try_from(self.places.len())
            .map_err(|_| ExportError::Typesetting("too many objects".to_owned()))?;
        piece.renumber_objects_with(first_id);

        let catalog_id = piece
            .trailer
            .get(b"Root")
            .and_then(Object::as_reference)
            .map_err(joining_error)?;
        let tree_id = piece
            .catalog()
            .and_then(|catalog| catalog.get(b"Pages"))
            .and_then(Object::as_reference)
            .map_err(joining_error)?;
        let tree = piece.get_dictionary_mut(tree_id).map_err(joining_error)?;
        self.pages += tree
            .get(b"Count")
            .and_then(Object::as_i64)
            .map_err(joining_error)?;
        tree.set("Parent", Object::Reference((PAGES, 0)));
        self.trees.push(Object::Reference(tree_id));

        self.places.resize(piece.max_id as usize + 1, 0);
        for (&id, object) in &piece.objects {
            if id != catalog_id && !is_container(object) {
                self.write_object(id, object)?;
            }
        }
        Ok(())
    }

    /// Writes what holds the pages together, and returns the output.
    pub(super) fn finish(mut self, title: &str) -> Result<W, ExportError> {
        let trees = std::mem::take(&mut self.trees);
        let own = [
            (
                CATALOG,
                dictionary! {
                    "Type" => "Catalog",
                    "Pages" => Object::Reference((PAGES, 0)),
                    "Lang" => Object::string_literal("pt-BR"),
                },
            ),
            (
                PAGES,
                dictionary! { "Type" => "Pages", "Kids" => trees, "Count" => self.pages },
            ),
            (
                INFO,
                dictionary! { "Title" => text(title), "Creator" => Object::string_literal("inventory") },
            ),
        ];
        for (number, dictionary) in own {
            self.write_object((number, 0), &Object::Dictionary(dictionary))?;
        }
        self.write_end()?;
        Ok(self.output.inner)
    }

    fn write_object(&mut self, id: ObjectId, object: &Object) -> Result<(), ExportError> {
        self.places[id.0 as usize] = self.output.written;
        writeln!(self.output, "{} {} obj", id.0, id.1)?;
        Writer::write_object(&mut self.output, object)?;
        self.output.write_all(b"\nendobj\n")?;
        Ok(())
    }

    /// The table of places, by which a reader finds objects, and the trailer. Numbers that were
    /// left out are entries of the free list (ISO 32000-1, 7.5.4).
    fn write_end(&mut self) -> Result<(), ExportError> {
        let start = self.output.written;
        writeln!(self.output, "xref\n0 {}", self.places.len())?;
        self.output.write_all(b"0000000000 65535 f \n")?;
        for &place in &self.places[1..] {
            let entry = if place == 0 { "00000 f" } else { "00000 n" };
            writeln!(self.output, "{place:010} {entry} ")?;
        }
        let trailer = dictionary! {
            "Size" => self.places.len() as i64,
            "Root" => Object::Reference((CATALOG, 0)),
            "Info" => Object::Reference((INFO, 0)),
        };
        self.output.write_all(b"trailer\n")?;
        Writer::write_object(&mut self.output, &Object::Dictionary(trailer))?;
        write!(self.output, "\nstartxref\n{start}\n%%EOF\n")?;
        Ok(self.output.flush()?)
    }
}

/// Object streams and cross-reference streams: their contents have been unpacked and get new
/// places.
fn is_container(object: &Object) -> bool {
    let kind = object
        .as_stream()
        .and_then(|stream| stream.dict.get(b"Type"))
        .and_then(Object::as_name);
    matches!(kind, Ok(b"ObjStm" | b"XRef"))
}

/// A text for people, in UTF-16 with its mark, as PDF wants what is beyond its own Latin alphabet.
fn text(text: &str) -> Object {
    let mut bytes = vec![0xfe, 0xff];
    bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
    Object::String(bytes, StringFormat::Hexadecimal)
}

fn joining_error(error: lopdf::Error) -> ExportError {
    ExportError::Typesetting(format!("cannot join the typeset pages: {error}"))
}

/// Counts what is written, for the table of places.
struct Counted<W> {
    inner: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
