//! A room's trees.

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::Line as Text;
use ratatui::widgets::Paragraph;

use super::super::tree;
use super::draw::text;
use super::state::Top;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, top: &mut Top, now: DateTime<Utc>) {
    let (Some(opened), Some((picture, _))) = (&mut top.opened, &top.picture) else { return };
    // The answer may still be to the question before.
    let Some(view) = picture.room.as_ref().filter(|view| view.room == opened.room) else {
        frame.render_widget(Text::from(format!("nothing is known of {} yet", opened.room)).dim(), area);
        return;
    };
    let lines: Vec<_> = tree::room(view, now).into_iter().map(text).collect();
    let last = lines.len().saturating_sub(usize::from(area.height));
    opened.scroll = opened.scroll.min(last);
    let scroll = u16::try_from(opened.scroll).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), area);
}
