//! Decides, before any line is imported, whether a file can be read at all, and how.
//!
//! A line that is wrong is rejected alone and the others go on. What is refused here is the file as
//! a whole, because no line of it could be trusted: it is empty, its header is wrong, it is not
//! UTF-8 (half a catalogue with broken accents is harder to mend than none), or a quote is never
//! closed. The API asks before it accepts an upload; the task asks again before it starts.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::fields::{self, Column};
use super::records::{MAX_RECORD_BYTES, RecordError, Records, Splitter};
use crate::catalog::Model;
use crate::catalog::imports::Cursor;
use crate::locale::format_count;

/// Columns beyond which a file is certainly not meant for this program.
pub const MAX_COLUMNS: usize = 50;

/// The separators tried, the most usual in Brazil first.
const DELIMITERS: [u8; 3] = [b';', b',', b'\t'];

/// Why a file was refused as a whole. The message is in Portuguese, for the file's owner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing in it.
    #[error("o arquivo está vazio")]
    Empty,
    /// Nothing below the header.
    #[error("o arquivo tem só o cabeçalho, sem nenhuma linha de dados")]
    NoRecords,
    /// A workbook instead of text.
    #[error("o arquivo é uma planilha do Excel; salve-a como «CSV UTF-8» e envie de novo")]
    Workbook,
    /// UTF-16, as Excel's "Unicode text".
    #[error("o arquivo está em UTF-16; salve-o como «CSV UTF-8» e envie de novo")]
    Utf16,
    /// Another encoding.
    #[error(
        "o arquivo não está em UTF-8 (primeiro problema na linha {line}); \
         salve-o como «CSV UTF-8» e envie de novo"
    )]
    NotUtf8 {
        /// The line of the first byte that is not UTF-8.
        line: u64,
    },
    /// The file ends inside a quoted field.
    #[error("as aspas abertas no registro que começa na linha {line} nunca são fechadas")]
    UnclosedQuote {
        /// The line on which the record begins.
        line: u64,
    },
    /// A record that is too long.
    #[error(
        "o registro que começa na linha {line} passa de {} KiB; \
         talvez falte fechar aspas",
        MAX_RECORD_BYTES / 1024
    )]
    RecordTooLong {
        /// The line on which the record begins.
        line: u64,
    },
    /// Far too many columns.
    #[error("o arquivo tem {} colunas; o máximo é {MAX_COLUMNS}", format_count(*found as u64))]
    TooManyColumns {
        /// How many.
        found: usize,
    },
    /// Columns that are needed are not there.
    #[error("cabeçalho errado: falta {missing}; colunas encontradas: {found}")]
    MissingColumns {
        /// The missing columns' names.
        missing: String,
        /// The columns that are there.
        found: String,
    },
    /// Columns that mean nothing here.
    #[error("cabeçalho errado: coluna desconhecida {unknown}; colunas aceitas: {accepted}")]
    UnknownColumns {
        /// Their names.
        unknown: String,
        /// The names that are understood.
        accepted: String,
    },
    /// Two columns that mean the same.
    #[error("cabeçalho errado: mais de uma coluna para {field}")]
    RepeatedColumn {
        /// The field.
        field: &'static str,
    },
    /// The file has become shorter since the import began.
    #[error("o arquivo mudou depois que a importação começou")]
    Changed,
    /// The file is not there.
    #[error("o arquivo enviado não existe mais")]
    Gone,
    /// The file cannot be read at the moment.
    #[error("não foi possível ler o arquivo")]
    Io(#[source] io::Error),
}

impl FileError {
    /// A stable name for programs, in the API's error bodies.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_file",
            Self::NoRecords => "no_records",
            Self::Workbook => "workbook",
            Self::Utf16 | Self::NotUtf8 { .. } => "not_utf8",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::RecordTooLong { .. } => "record_too_long",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::MissingColumns { .. } => "missing_columns",
            Self::UnknownColumns { .. } => "unknown_columns",
            Self::RepeatedColumn { .. } => "repeated_column",
            Self::Changed => "file_changed",
            Self::Gone => "file_gone",
            Self::Io(_) => "unreadable",
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Io(error),
        }
    }
}

impl From<RecordError> for FileError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Io(error) => error.into(),
            RecordError::TooLong { line } => Self::RecordTooLong { line },
            RecordError::UnclosedQuote { line } => Self::UnclosedQuote { line },
            RecordError::NotUtf8 { line } => Self::NotUtf8 { line },
        }
    }
}

/// How a file is to be read.
#[derive(Debug)]
pub struct Layout {
    pub(super) delimiter: u8,
    /// What each column means.
    pub(super) columns: Vec<Column>,
    /// A cursor at the first record below the header, with nothing done.
    pub(super) start: Cursor,
}

impl Layout {
    /// Reads the whole file once, in a stream, and finds out how to read it for `model`.
    ///
    /// # Errors
    /// [`FileError`] when no line of the file can be imported.
    pub fn inspect(path: &Path, model: Model) -> Result<Self, FileError> {
        let mut file = File::open(path)?;
        let first_byte = skip_mark(&mut file)?;
        let delimiter = find_delimiter(&mut file, first_byte, model)?;

        let mut records = reader_at(&mut file, delimiter, first_byte, 1)?;
        let header = records.next()?.ok_or(FileError::Empty)?;
        let (next_byte, next_line) = (header.next_byte, header.next_line);
        let columns = read_header(model, &Splitter::new(delimiter).split(header.text))?;

        let mut records_total = 0;
        while records.next()?.is_some() {
            records_total += 1;
        }
        if records_total == 0 {
            return Err(FileError::NoRecords);
        }
        let start = Cursor {
            records_total,
            records_done: 0,
            imported: 0,
            rejected: 0,
            next_byte,
            next_line,
        };
        Ok(Self {
            delimiter,
            columns,
            start,
        })
    }

    /// How many records the file has below its header.
    pub fn records_total(&self) -> u64 {
        self.start.records_total
    }
}

/// The records of `file` from a known place on.
pub(super) fn reader_at(
    file: &mut File,
    delimiter: u8,
    byte: u64,
    line: u64,
) -> Result<Records<BufReader<&mut File>>, FileError> {
    file.seek(SeekFrom::Start(byte))?;
    Ok(Records::new(BufReader::new(file), delimiter, byte, line))
}

/// Looks at the first bytes: refuses what is not text, and tells where the text begins.
fn skip_mark(file: &mut File) -> Result<u64, FileError> {
    let mut first = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut first)?;
    match first.as_slice() {
        [] => Err(FileError::Empty),
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, _, 0] | [0, _, 0, _] => Err(FileError::Utf16),
        b"PK\x03\x04" | [0xd0, 0xcf, 0x11, 0xe0] => Err(FileError::Workbook),
        _ => Ok(0),
    }
}

/// The separator under which the header has most columns that mean something; failing that, most
/// columns.
fn find_delimiter(file: &mut File, first_byte: u64, model: Model) -> Result<u8, FileError> {
    let mut best = (DELIMITERS[0], (0, 0));
    let mut problem = None;
    for delimiter in DELIMITERS {
        let mut records = reader_at(file, delimiter, first_byte, 1)?;
        let header = match records.next() {
            Ok(Some(header)) => header,
            Ok(None) => continue,
            // Under another separator the quotes may fall into place.
            Err(error) => {
                problem = Some(error);
                continue;
            }
        };
        let mut splitter = Splitter::new(delimiter);
        let columns = splitter.split(header.text);
        let known = columns
            .iter()
            .filter(|column| fields::recognise(model, column) != Column::Unknown)
            .count();
        if (known, columns.len()) > best.1 {
            best = (delimiter, (known, columns.len()));
        }
    }
    match (best, problem) {
        ((_, (0, 0)), Some(error)) => Err(error.into()),
        ((_, (0, 0)), None) => Err(FileError::Empty),
        ((delimiter, _), _) => Ok(delimiter),
    }
}

fn read_header(model: Model, header: &[&str]) -> Result<Vec<Column>, FileError> {
    // Spreadsheets leave empty columns at the right.
    let used = header
        .iter()
        .rposition(|name| !name.trim().is_empty())
        .map_or(0, |last| last + 1);
    let header = &header[..used];
    if header.len() > MAX_COLUMNS {
        return Err(FileError::TooManyColumns {
            found: header.len(),
        });
    }
    let columns: Vec<Column> = header
        .iter()
        .map(|name| fields::recognise(model, name))
        .collect();
    let known = fields::of(model);

    let missing: Vec<&str> = known
        .iter()
        .enumerate()
        .filter(|(index, field)| field.required && !columns.contains(&Column::Field(*index)))
        .map(|(_, field)| field.name)
        .collect();
    if !missing.is_empty() {
        return Err(FileError::MissingColumns {
            missing: listed(&missing),
            found: listed(header),
        });
    }
    let unknown: Vec<&str> = header
        .iter()
        .zip(&columns)
        .filter(|(_, column)| **column == Column::Unknown)
        .map(|(name, _)| *name)
        .collect();
    if !unknown.is_empty() {
        let accepted: Vec<&str> = known.iter().map(|field| field.name).collect();
        return Err(FileError::UnknownColumns {
            unknown: listed(&unknown),
            accepted: listed(&accepted),
        });
    }
    for (index, field) in known.iter().enumerate() {
        if columns
            .iter()
            .filter(|column| **column == Column::Field(index))
            .count()
            > 1
        {
            return Err(FileError::RepeatedColumn { field: field.name });
        }
    }
    Ok(columns)
}

/// Names for a message, a bounded number of them, each of bounded length.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    const CHARS: usize = 40;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("«{}»", name.trim().chars().take(CHARS).collect::<String>()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" e mais {}", names.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspect(text: &[u8]) -> Result<Layout, FileError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("produtos.csv");
        std::fs::write(&path, text).expect("written");
        Layout::inspect(&path, Model::Product)
    }

    const HEADER: &str = "sku;nome;categoria;custo;preço\n";

    #[test]
    fn separators_byte_order_mark_and_both_languages_are_understood() {
        for text in [
            "sku;nome;categoria;custo;preço\nA;B;C;1;2\n",
            "sku,name,category,cost_price,price\nA,B,C,1,2\n",
            "SKU\tNome\tCategoria\tPreço de custo (R$)\tPreço de venda (R$)\nA\tB\tC\t1\t2",
            "\u{feff}\"sku\";\"nome\";\"categoria\";\"custo\";\"preço\"\r\nA;B;C;1;2\r\n;;;;\r\n",
            "\n\nsku;nome;categoria;custo;preço;;\nA;B;C;1;2;;\n",
        ] {
            let layout =
                inspect(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(layout.records_total(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_the_reason() {
        let wide = (0..200)
            .map(|n| format!("c{n}"))
            .collect::<Vec<_>>()
            .join(";");
        let latin1 = [HEADER.as_bytes(), b"A;Pe\xe7a;C;1;2\n"].concat();
        let utf16: Vec<u8> = "sku;nome"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (text, code, part) in [
            (b"".as_slice(), "empty_file", "vazio"),
            (b"\xef\xbb\xbf", "empty_file", "vazio"),
            (b"\r\n\r\n", "empty_file", "vazio"),
            (HEADER.as_bytes(), "no_records", "só o cabeçalho"),
            (b"PK\x03\x04rest", "workbook", "Excel"),
            (&utf16, "not_utf8", "UTF-16"),
            (&latin1, "not_utf8", "linha 2"),
            (
                b"sku;nome;categoria;custo;pre\xe7o\nA;B;C;1;2\n",
                "not_utf8",
                "linha 1",
            ),
            (b"a;b;c\n1;2;3\n", "missing_columns", "«sku», «name»"),
            (b"sku\nA\n", "missing_columns", "encontradas: «sku»"),
            (wide.as_bytes(), "too_many_columns", "200 colunas"),
            (
                b"sku;nome;categoria;custo;preco;cor\nA;B;C;1;2;azul\n",
                "unknown_columns",
                "«cor»",
            ),
            (
                b"sku;nome;name;categoria;custo;preco\nA;B;C;1;2;3\n",
                "repeated_column",
                "name",
            ),
            (
                b"sku;nome;categoria;custo;preco\nA;\"B;C;1;2\n",
                "unclosed_quote",
                "linha 2",
            ),
        ] {
            let error = inspect(text).expect_err(code);
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_message_lists_a_bounded_number_of_columns() {
        let header = (0..40)
            .map(|n| format!("coluna{n}"))
            .collect::<Vec<_>>()
            .join(",");
        let error = inspect(format!("{header}\n").as_bytes()).expect_err("refused");
        assert!(error.to_string().contains("e mais 32"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_gone() {
        let error = Layout::inspect(Path::new("/nonexistent.csv"), Model::Product);
        assert!(matches!(error, Err(FileError::Gone)));
    }
}
