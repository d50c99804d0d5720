//! The table of rooms.

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::Line as Text;
use ratatui::widgets::Cell;

use super::super::format::bitrate;
use super::super::line::Tone;
use super::super::rooms::{live_for, origins};
use super::draw::{number, style, table};
use super::state::Top;
use crate::monitor::view::RoomLine;

const HEAD: [(&str, u16); 9] = [
    ("ROOM", 14),
    ("LIVE", 7),
    ("STREAMS", 7),
    ("VIEWERS", 7),
    ("NODES", 5),
    ("HOPS", 4),
    ("BITRATE", 12),
    ("PROBLEMS", 8),
    ("ORIGINS", 12),
];

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, top: &mut Top, now: DateTime<Utc>) {
    let rows: Vec<_> = top.rooms().iter().map(|room| row(room, now)).collect();
    let names = top.names();
    top.room.point(&names);
    let total = top.picture.as_ref().map_or(0, |(picture, _)| picture.rooms.total);
    if rows.is_empty() {
        frame.render_widget(Text::from("no live rooms").dim(), area);
        return;
    }
    let cut = total > rows.len();
    let [list, rest] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(u16::from(cut))]).areas(area);
    if cut {
        frame
            .render_widget(Text::from(format!("{} of {total} rooms: filter with /", rows.len())).dim(), rest);
    }
    table(frame, list, &HEAD, rows, &mut top.room);
}

fn row(room: &RoomLine, now: DateTime<Utc>) -> Vec<Cell<'static>> {
    let tone = if room.problems > 0 { Tone::Warning } else { Tone::Plain };
    vec![
        Cell::new(room.room.to_string()),
        number(live_for(room, now).unwrap_or_else(|| "-".to_owned())),
        number(room.streams),
        number(room.viewers),
        number(room.nodes),
        number(room.depth),
        number(bitrate(room.bitrate)),
        number(room.problems).style(style(tone)),
        Cell::new(origins(room)),
    ]
}
