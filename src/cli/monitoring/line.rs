//! A line of text whose parts have a tone: painted on a terminal, drawn by `top`, plain elsewhere.

use anstyle::{AnsiColor, Style};

/// How a part of a line is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As the rest.
    #[default]
    Plain,
    /// What the line is about.
    Strong,
    /// What only leads the eye.
    Faint,
    /// Not as it should be.
    Warning,
    /// Broken.
    Error,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What it says.
    pub(super) text: String,
    /// How it is meant.
    pub(super) tone: Tone,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its parts, from the left.
    pub(super) pieces: Vec<Piece>,
}

impl Piece {
    /// How many columns it takes: all that is shown is of single width.
    pub(super) fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Piece {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Line {
    /// The line with one more part.
    #[must_use]
    pub(super) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.pieces.push(Piece { text: text.into(), tone });
        self
    }

    /// The line for a terminal.
    pub(super) fn painted(&self) -> String {
        self.pieces.iter().map(|Piece { text, tone }| tone.paint(text)).collect()
    }
}

impl Tone {
    fn paint(self, text: &str) -> String {
        let style = match self {
            Self::Plain => return text.to_owned(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Error => AnsiColor::Red.on_default(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// Lines for a terminal, each with its end.
pub(super) fn painted(lines: &[Line]) -> String {
    lines.iter().map(|line| line.painted() + "\n").collect()
}

/// Lines as they are read where nothing is painted.
#[cfg(test)]
pub(super) fn plain(lines: &[Line]) -> String {
    let text = |line: &Line| line.pieces.iter().map(|piece| piece.text.as_str()).collect::<String>() + "\n";
    lines.iter().map(text).collect()
}
