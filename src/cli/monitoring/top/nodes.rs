//! The table of nodes.

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::widgets::Cell;

use super::super::fleet::roles;
use super::super::format::age;
use super::super::tree::{condition, tone};
use super::draw::{number, style, table};
use super::state::Top;
use crate::monitor::view::NodeView;

const HEAD: [(&str, u16); 10] = [
    ("NODE", 10),
    ("REGION", 10),
    ("STATE", 8),
    ("ROOMS", 5),
    ("STREAMS", 7),
    ("VIEWERS", 7),
    ("OUT", 4),
    ("CPU", 4),
    ("HEARD", 7),
    ("ROLES", 17),
];

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, top: &mut Top, now: DateTime<Utc>) {
    let rows = top.nodes().into_iter().map(|node| row(node, now)).collect();
    let names = top.names();
    top.node.point(&names);
    table(frame, area, &HEAD, rows, &mut top.node);
}

fn row(node: &NodeView, now: DateTime<Utc>) -> Vec<Cell<'static>> {
    vec![
        Cell::new(node.node.to_string()),
        Cell::new(node.region.to_string()),
        Cell::new(condition(node.condition)).style(style(tone(node.condition))),
        number(node.load.rooms),
        number(node.load.streams),
        number(node.load.viewers),
        number(node.load.outlets),
        number(format!("{:.0}%", node.load.cpu * 100.0)),
        number(age(node.heard_at, now)),
        Cell::new(roles(node)),
    ]
}
