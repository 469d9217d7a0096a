//! Aligned columns for people: two spaces between them, numbers to the right, no lines.

use std::fmt::Display;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::core::printable::printable;

/// The side of its column that a cell is aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// A table with a head.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with a fixed number of columns.
    pub fn new<const N: usize>(columns: [(&str, Side); N]) -> Table {
        Table::of(columns.to_vec())
    }

    /// Creates a table with any number of columns.
    pub fn of(columns: Vec<(&str, Side)>) -> Table {
        Table {
            sides: columns.iter().map(|(_, side)| *side).collect(),
            rows: vec![columns.iter().map(|(name, _)| (*name).to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // Cells contain names and texts of clients.
        let cells = cells.into_iter();
        self.rows
            .push(cells.map(|cell| printable(&cell).into_owned()).collect());
    }

    /// Prints the table, without spaces at the ends of lines.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), side) in row.iter().zip(&widths).zip(&self.sides) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                // Done here, because the formatter counts a wide character as one column.
                let padding = " ".repeat(width.saturating_sub(cell.width()));
                match side {
                    Side::Left => line.extend([cell.as_str(), &padding]),
                    Side::Right => line.extend([padding.as_str(), cell]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Prints rows under their heads; a column is one of numbers when most of its cells begin like one.
///
/// # Errors
/// The output cannot be written.
pub fn figures<W: Write>(out: &mut W, heads: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
    let sides = (0..heads.len()).map(|column| {
        let cells = || rows.iter().filter_map(|row| row.get(column));
        let numbers = cells().filter(|cell| cell.starts_with(|c: char| c.is_ascii_digit()));
        let filled = cells().filter(|cell| !cell.is_empty()).count();
        match numbers.filter(|cell| !cell.contains(' ')).count() * 2 > filled {
            true => Side::Right,
            false => Side::Left,
        }
    });
    let mut table = Table::of(heads.iter().copied().zip(sides).collect());
    for row in rows {
        table.row(row);
    }
    table.print(out)
}

/// A cell for a value that may be absent.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A number with its noun in singular or plural.
pub fn counted<N: Display>(count: N, thing: &str) -> String {
    let count = count.to_string();
    let ending = match (count.as_str(), thing.ends_with("ch")) {
        ("1", _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {thing}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_end_with_their_text() {
        let mut table = Table::new([
            ("NAME", Side::Left),
            ("NEXT", Side::Right),
            ("WHY", Side::Left),
        ]);
        table.row(["orders".to_owned(), "42".to_owned(), String::new()]);
        table.row(["é".to_owned(), or_dash(None::<i64>), "new".to_owned()]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let expected = "NAME    NEXT  WHY\norders    42\né          -  new\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn wide_characters_take_two_columns_and_controls_are_text() {
        let mut table = Table::new([("NAME", Side::Left), ("NEXT", Side::Right)]);
        table.row(["注文番号".to_owned(), "42".to_owned()]);
        table.row(["orders-1".to_owned(), "7".to_owned()]);
        table.row(["\u{1b}[2J".to_owned(), "1".to_owned()]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let expected = "NAME       NEXT\n注文番号     42\norders-1      7\n\\u{1b}[2J     1\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(counted(1, "batch"), "1 batch");
        assert_eq!(counted(0, "batch"), "0 batches");
        assert_eq!(counted(2_u32, "replica"), "2 replicas");
    }
}
