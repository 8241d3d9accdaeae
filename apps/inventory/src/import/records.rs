//! Cuts a CSV file into records, in a stream, without ever holding more than one.
//!
//! The inspection that decides whether a file is accepted and the import itself both read through
//! here, so they agree on what a record is, on its line number and on its position in bytes; the
//! import's cursor depends on that. The dialect is RFC 4180 with any line ending (`\n`, `\r\n`,
//! `\r`), and a quote has a meaning only where a field begins. A record with nothing in it but
//! delimiters, blanks and quotes is a blank line, as spreadsheets leave at the end, and is skipped.

use std::io::{self, BufRead};

/// The longest record. Without a bound, one forgotten quote would make the rest of a file one
/// record.
pub(super) const MAX_RECORD_BYTES: usize = 64 * 1024;

/// Why no record could be read.
#[derive(Debug)]
pub(super) enum RecordError {
    /// The file cannot be read.
    Io(io::Error),
    /// The record that begins on this line is longer than [`MAX_RECORD_BYTES`].
    TooLong { line: u64 },
    /// The record that begins on this line has a quote that the file never closes.
    UnclosedQuote { line: u64 },
    /// The record that begins on this line is not UTF-8.
    NotUtf8 { line: u64 },
}

/// One record and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The record without its line ending.
    pub(super) text: &'a str,
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// Where the bytes after it begin.
    pub(super) next_byte: u64,
    /// The line on which they begin.
    pub(super) next_line: u64,
}

/// The records of a file.
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    next_byte: u64,
    next_line: u64,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first half of a doubled quote.
    QuoteInQuoted,
}

impl<R: BufRead> Records<R> {
    /// Reads from `input`, which stands at `next_byte` of the file, on the line `next_line`.
    pub(super) fn new(input: R, delimiter: u8, next_byte: u64, next_line: u64) -> Self {
        Self {
            input,
            delimiter,
            next_byte,
            next_line,
            buffer: Vec::new(),
        }
    }

    /// The next record that is not blank, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        let line = loop {
            let line = self.next_line;
            if !self.read_record(line)? {
                return Ok(None);
            }
            if !self.is_blank() {
                break line;
            }
        };
        let text = std::str::from_utf8(&self.buffer).map_err(|_| RecordError::NotUtf8 { line })?;
        Ok(Some(Record {
            text,
            line,
            next_byte: self.next_byte,
            next_line: self.next_line,
        }))
    }

    fn is_blank(&self) -> bool {
        self.buffer
            .iter()
            .all(|&b| matches!(b, b' ' | b'\t' | b'"') || b == self.delimiter)
    }

    /// Fills the buffer with the record that begins here; false at the end of the file.
    fn read_record(&mut self, line: u64) -> Result<bool, RecordError> {
        self.buffer.clear();
        let mut state = State::FieldStart;
        let mut after_cr = false;
        loop {
            let chunk = self.input.fill_buf().map_err(RecordError::Io)?;
            if chunk.is_empty() {
                if state == State::Quoted {
                    return Err(RecordError::UnclosedQuote { line });
                }
                // A last line without a line ending still counts as a line.
                self.next_line += u64::from(!self.buffer.is_empty());
                return Ok(!self.buffer.is_empty());
            }
            let mut ending = None;
            let mut taken = 0;
            for &byte in chunk {
                taken += 1;
                if state == State::Quoted {
                    self.next_line += u64::from(byte == b'\n' || after_cr);
                    after_cr = byte == b'\r';
                } else if matches!(byte, b'\n' | b'\r') {
                    ending = Some(byte);
                    break;
                }
                self.buffer.push(byte);
                if self.buffer.len() > MAX_RECORD_BYTES {
                    return Err(RecordError::TooLong { line });
                }
                state = match (state, byte) {
                    (State::FieldStart | State::QuoteInQuoted, b'"') => State::Quoted,
                    (State::Quoted, b'"') => State::QuoteInQuoted,
                    (State::Quoted, _) => State::Quoted,
                    (_, byte) if byte == self.delimiter => State::FieldStart,
                    _ => State::Plain,
                };
            }
            self.input.consume(taken);
            self.next_byte += taken as u64;
            if let Some(ending) = ending {
                self.next_line += 1;
                if ending == b'\r' {
                    self.skip_line_feed()?;
                }
                return Ok(true);
            }
        }
    }

    /// Takes the second half of `\r\n`, which may lie in the next chunk.
    fn skip_line_feed(&mut self) -> Result<(), RecordError> {
        if self.input.fill_buf().map_err(RecordError::Io)?.first() == Some(&b'\n') {
            self.input.consume(1);
            self.next_byte += 1;
        }
        Ok(())
    }
}

/// Splits records into fields. Reuses its buffers from record to record.
pub(super) struct Splitter {
    reader: csv_core::Reader,
    delimiter: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Self {
        let reader = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self {
            reader,
            delimiter,
            text: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The fields of one record.
    pub(super) fn split(&mut self, record: &str) -> Vec<&str> {
        let delimiters = record.bytes().filter(|&b| b == self.delimiter).count();
        // Fields are never longer than their record, and one delimiter ends at most one field.
        self.text.resize(record.len() + 1, 0);
        self.ends.resize(delimiters + 2, 0);
        self.reader.reset();
        let (_, read, written, ended) =
            self.reader
                .read_record(record.as_bytes(), &mut self.text, &mut self.ends);
        // A record without its line ending is only known to be over when nothing follows it.
        let (_, _, _, ended_last) = self.reader.read_record(
            &record.as_bytes()[read..],
            &mut self.text[written..],
            &mut self.ends[ended..],
        );
        let mut start = 0;
        self.ends[..ended + ended_last]
            .iter()
            .map(|&end| {
                let field = std::str::from_utf8(&self.text[start..end])
                    .expect("UTF-8 cut at ASCII characters stays UTF-8");
                start = end;
                field
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn read_all(text: &[u8], delimiter: u8, chunk: usize) -> Vec<(String, u64, u64, u64)> {
        let mut records = Records::new(BufReader::with_capacity(chunk, text), delimiter, 0, 1);
        let mut all = Vec::new();
        while let Some(record) = records.next().expect("well-formed") {
            all.push((
                record.text.to_owned(),
                record.line,
                record.next_byte,
                record.next_line,
            ));
        }
        all
    }

    fn fields(record: &str) -> Vec<String> {
        Splitter::new(b';')
            .split(record)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_line_ending_is_understood_and_lines_are_counted() {
        for (text, expected) in [
            ("a;b\nc;d\n", vec![("a;b", 1, 4, 2), ("c;d", 2, 8, 3)]),
            ("a;b\r\nc;d", vec![("a;b", 1, 5, 2), ("c;d", 2, 8, 3)]),
            ("a\rb\r", vec![("a", 1, 2, 2), ("b", 2, 4, 3)]),
            ("\n\n;;\na\n", vec![("a", 4, 7, 5)]),
            (
                "\"a\nb\";c\nd",
                vec![("\"a\nb\";c", 1, 8, 3), ("d", 3, 9, 4)],
            ),
            (
                "\"a\r\nb\"\r\nd",
                vec![("\"a\r\nb\"", 1, 8, 3), ("d", 3, 9, 4)],
            ),
            ("a\"b\nc\n", vec![("a\"b", 1, 4, 2), ("c", 2, 6, 3)]),
        ] {
            // A chunk of one byte puts every boundary at every place.
            for chunk in [1, 2, 64] {
                let found = read_all(text.as_bytes(), b';', chunk);
                let found: Vec<_> = found
                    .iter()
                    .map(|(text, a, b, c)| (text.as_str(), *a, *b, *c))
                    .collect();
                assert_eq!(found, expected, "{text:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        let error = |text: &[u8]| {
            let mut records = Records::new(text, b';', 0, 1);
            loop {
                match records.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("no error"),
                    Err(error) => return error,
                }
            }
        };
        assert!(matches!(
            error(b"a\n\"b\nc\n"),
            RecordError::UnclosedQuote { line: 2 }
        ));
        assert!(matches!(
            error(b"a\n\n\xe7\n"),
            RecordError::NotUtf8 { line: 3 }
        ));
        let long = [b"a\n".as_slice(), &vec![b'x'; MAX_RECORD_BYTES + 1]].concat();
        assert!(matches!(error(&long), RecordError::TooLong { line: 2 }));
    }

    #[test]
    fn fields_are_unquoted() {
        assert_eq!(fields("a;\"b;c\";\"d\"\"e\""), ["a", "b;c", "d\"e"]);
        assert_eq!(fields("a;;"), ["a", "", ""]);
        assert_eq!(fields("\"linha 1\nlinha 2\""), ["linha 1\nlinha 2"]);
    }

    proptest! {
        /// Our records and the `csv` crate's, over the same text, are the same fields.
        #[test]
        fn records_agree_with_the_csv_crate(text in "[a;\"\n\r ç]{0,40}") {
            let mut ours = Vec::new();
            let mut records = Records::new(text.as_bytes(), b';', 0, 1);
            let mut splitter = Splitter::new(b';');
            let complete = loop {
                match records.next() {
                    Ok(Some(record)) => ours.push(
                        splitter.split(record.text).iter().map(|f| (*f).to_owned()).collect::<Vec<_>>(),
                    ),
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };
            let theirs: Vec<Vec<String>> = csv::ReaderBuilder::new()
                .delimiter(b';')
                .has_headers(false)
                .flexible(true)
                .from_reader(text.as_bytes())
                .into_records()
                .map(|record| record.expect("valid UTF-8").iter().map(str::to_owned).collect())
                .collect();
            if complete {
                let blank = |fields: &Vec<String>| {
                    fields.iter().all(|field| field.chars().all(|c| matches!(c, ' ' | '"' | ';')))
                };
                let theirs: Vec<_> = theirs.into_iter().filter(|fields| !blank(fields)).collect();
                let ours: Vec<_> = ours.into_iter().filter(|fields| !blank(fields)).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
