//! Aligned columns.

use super::line::{Line, Piece, Tone};

const GAP: &str = "  ";

/// A column's place for what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table under a head.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<Piece>>,
}

impl Table {
    /// A table of these columns.
    pub(super) fn new(columns: &[(&str, Align)]) -> Self {
        let head = |name: &&str| Piece { text: (*name).to_owned(), tone: Tone::Faint };
        Self {
            columns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![columns.iter().map(|(name, _)| head(name)).collect()],
        }
    }

    /// Adds a row, a part for each column.
    pub(super) fn row(&mut self, cells: Vec<Piece>) {
        self.rows.push(cells);
    }

    /// The head and the rows, without blanks at their ends.
    pub(super) fn lines(self) -> Vec<Line> {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(Piece::width).max().unwrap_or_default()
        };
        let columns: Vec<(Align, usize)> =
            self.columns.iter().enumerate().map(|(column, align)| (*align, width(column))).collect();
        self.rows.into_iter().map(|row| aligned(row, &columns)).collect()
    }
}

fn aligned(row: Vec<Piece>, columns: &[(Align, usize)]) -> Line {
    let mut line = Line::default();
    let mut owed = String::new();
    for (piece, (align, width)) in row.into_iter().zip(columns) {
        let blank = " ".repeat(width.saturating_sub(piece.width()));
        if piece.text.is_empty() {
            owed.push_str(&blank);
        } else if *align == Align::Right {
            line = line.with(Tone::Plain, owed + &blank).with(piece.tone, piece.text);
            owed = String::new();
        } else {
            line = line.with(Tone::Plain, owed).with(piece.tone, piece.text);
            owed = blank;
        }
        owed.push_str(GAP);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::line::plain;
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table =
            Table::new(&[("NODE", Align::Left), ("VIEWERS", Align::Right), ("STATE", Align::Left)]);
        table.row(vec!["east-10".into(), "3".into(), "serving".into()]);
        table.row(vec!["w".into(), "1200".into(), "".into()]);
        assert_eq!(
            plain(&table.lines()),
            "NODE     VIEWERS  STATE\neast-10        3  serving\nw           1200\n"
        );
    }
}
