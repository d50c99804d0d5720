//! Draws `top`.

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::super::fleet::totals;
use super::super::format::age;
use super::super::line::{Line, Tone};
use super::state::{Choice, NodeSort, Tab, Top};
use super::{nodes, room, rooms};
use crate::monitor::view::RoomSort;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, top: &mut Top, now: DateTime<Utc>) {
    let [head, tabs, body, status, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(self::head(top), head);
    frame.render_widget(self::tabs(top), tabs);
    if top.picture.is_some() {
        match (&top.opened, top.tab) {
            (Some(_), _) => room::draw(frame, body, top, now),
            (None, Tab::Nodes) => nodes::draw(frame, body, top, now),
            (None, Tab::Rooms) => rooms::draw(frame, body, top, now),
        }
    }
    frame.render_widget(self::status(top, now), status);
    frame.render_widget(self::help(top), help);
}

/// A table with a row chosen. The first cell of a row names it.
pub(super) fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    head: &[(&'static str, u16)],
    rows: Vec<Vec<Cell<'static>>>,
    choice: &mut Choice,
) {
    let widths = head.iter().enumerate().map(|(column, (_, width))| match column {
        0 => Constraint::Min(*width),
        _ => Constraint::Length(*width),
    });
    let table = Table::new(rows.into_iter().map(Row::new), widths)
        .header(Row::new(head.iter().map(|(name, _)| *name)).dim())
        .column_spacing(2)
        .row_highlight_style(Style::new().reversed())
        .highlight_symbol("> ");
    frame.render_stateful_widget(table, area, &mut choice.table);
}

/// A number at the right end of its column.
pub(super) fn number(text: impl ToString) -> Cell<'static> {
    Cell::new(Text::from(text.to_string()).right_aligned())
}

/// The colours of a tone.
pub(super) fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => Style::new().bold(),
        Tone::Faint => Style::new().dim(),
        Tone::Warning => Style::new().fg(Color::Yellow),
        Tone::Error => Style::new().fg(Color::Red),
    }
}

/// A line as it is drawn.
pub(super) fn text(line: Line) -> Text<'static> {
    line.pieces.into_iter().map(|piece| Span::styled(piece.text, style(piece.tone))).collect()
}

fn head(top: &Top) -> Text<'static> {
    let sums = top.picture.as_ref().map(|(picture, _)| totals(&picture.fleet.totals));
    Text::from_iter([
        Span::from("headwater  ").bold(),
        Span::from(sums.unwrap_or_else(|| format!("asking {} …", top.monitor))),
    ])
}

fn tabs(top: &Top) -> Text<'static> {
    let tab = |name: &'static str, tab| {
        let span = Span::from(format!(" {name} "));
        if top.tab == tab { span.reversed() } else { span.dim() }
    };
    let order = match (top.tab, top.node_sort, top.room_sort) {
        (Tab::Nodes, NodeSort::Name, _) | (Tab::Rooms, _, RoomSort::Name) => "by name",
        (Tab::Nodes, NodeSort::Viewers, _) | (Tab::Rooms, _, RoomSort::Viewers) => "by viewers",
        (Tab::Nodes, NodeSort::Cpu, _) => "by processor time",
        (Tab::Rooms, _, RoomSort::Age) => "by age",
    };
    let mut line = Text::from_iter([tab("Nodes", Tab::Nodes), tab("Rooms", Tab::Rooms)]);
    match &top.opened {
        Some(opened) => line.push_span(Span::from(format!("  {}", opened.room)).bold()),
        None => line.push_span(Span::from(format!("  {order}")).dim()),
    }
    if top.typing {
        line.push_span(Span::from(format!("  /{}█", top.filter)));
    } else if !top.filter.is_empty() {
        line.push_span(Span::from(format!("  /{}", top.filter)));
    }
    line
}

fn status(top: &Top, now: DateTime<Utc>) -> Paragraph<'static> {
    let Some(reason) = &top.trouble else { return Paragraph::default() };
    let shown = match &top.picture {
        Some((_, heard)) => format!("{reason}; shown is what was known {} ago", age(*heard, now)),
        None => reason.clone(),
    };
    Paragraph::new(shown).style(style(Tone::Error))
}

fn help(top: &Top) -> Text<'static> {
    let keys = match (top.typing, &top.opened, top.tab) {
        (true, ..) => "type a part of a name   enter keep   esc drop",
        (_, Some(_), _) => "q quit   esc back   ↑↓ scroll   tab nodes/rooms",
        (_, _, Tab::Nodes) => "q quit   tab rooms   ↑↓ choose   / filter   s sort",
        (_, _, Tab::Rooms) => "q quit   tab nodes   ↑↓ choose   enter open   / filter   s sort",
    };
    Text::from(keys).dim()
}

#[cfg(test)]
mod tests;
