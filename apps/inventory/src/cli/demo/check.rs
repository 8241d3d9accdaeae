//! Reads an exported file with another program's eyes and counts what is in it.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use lopdf::Document;
use quick_xml::events::Event;
use serde::de::{IgnoredAny, SeqAccess, Visitor};

use crate::export::Format;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What an exported file holds.
pub(super) struct Contents {
    /// Rows; a PDF is asked for its pages instead.
    pub(super) rows: Option<u64>,
    /// Pages of a PDF.
    pub(super) pages: Option<u32>,
}

pub(super) fn contents(path: &Path, format: Format) -> Result<Contents, AnyError> {
    let rows = |rows| Contents {
        rows: Some(rows),
        pages: None,
    };
    match format {
        Format::Csv => csv_rows(path).map(rows),
        Format::Json => json_rows(path).map(rows),
        Format::Xml => xml_rows(path).map(rows),
        Format::Pdf => {
            let pages = Document::load_metadata(path)?.page_count;
            Ok(Contents {
                rows: None,
                pages: Some(pages),
            })
        }
    }
}

fn csv_rows(path: &Path) -> Result<u64, AnyError> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_path(path)?;
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    while reader.read_byte_record(&mut record)? {
        rows += 1;
    }
    Ok(rows)
}

fn json_rows(path: &Path) -> Result<u64, AnyError> {
    /// Counts the elements of an array without keeping them.
    struct Count;

    impl<'de> Visitor<'de> for Count {
        type Value = u64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<u64, A::Error> {
            let mut count = 0;
            while elements.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }

    let file = BufReader::new(File::open(path)?);
    let mut reader = serde_json::Deserializer::from_reader(file);
    let rows = serde::Deserializer::deserialize_seq(&mut reader, Count)?;
    reader.end()?;
    Ok(rows)
}

fn xml_rows(path: &Path) -> Result<u64, AnyError> {
    let mut reader = quick_xml::Reader::from_file(path)?;
    let mut buffer = Vec::new();
    let mut rows = 0;
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Start(element) if element.name().as_ref() == "row" => rows += 1,
            Event::Eof => return Ok(rows),
            _ => {}
        }
        buffer.clear();
    }
}
