//! Writing to stdout: text, JSON, tables.

use std::io::{self, Write};

use serde::Serialize;

use super::problem::Problem;

/// Writes data to stdout. A reader that went away, such as `head`, has all it wants: no error.
pub(super) fn print(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes one JSON document to stdout.
pub(super) fn print_json(document: &impl Serialize) -> Result<(), Problem> {
    let mut text = serde_json::to_string_pretty(document).map_err(io::Error::from)?;
    text.push('\n');
    print(&text)
}

/// A table with a line of headings, its columns as wide as their widest cell.
pub(super) struct Table {
    /// Each with whether it stands at the right, as numbers do.
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; those that begin with `>` stand at the right.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        let column = |heading: &&'static str| match heading.strip_prefix('>') {
            Some(heading) => (heading, true),
            None => (*heading, false),
        };
        Self {
            columns: headings.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each heading.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub(super) fn render(&self) -> String {
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (heading, _))| {
                let cells = self.rows.iter().map(|row| width(&row[index]));
                cells.chain([width(heading)]).max().unwrap_or(0)
            })
            .collect();
        let headings: Vec<&str> = self.columns.iter().map(|(heading, _)| *heading).collect();
        let mut text = String::new();
        let rows = self
            .rows
            .iter()
            .map(|row| row.iter().map(String::as_str).collect());
        for row in std::iter::once(headings).chain(rows) {
            let mut line = String::new();
            for ((cell, (_, right)), width) in row.iter().zip(&self.columns).zip(&widths) {
                if *right {
                    line.push_str(&format!("{cell:>width$}  "));
                } else {
                    line.push_str(&format!("{cell:<width$}  "));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `1 message`, `2 messages`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["QUEUE", ">READY"]);
        table.row(["maçã".to_owned(), "7".to_owned()]);
        table.row(["celery".to_owned(), "1234567".to_owned()]);
        assert_eq!(
            table.render(),
            "QUEUE     READY\nmaçã          7\ncelery  1234567\n"
        );
    }
}
