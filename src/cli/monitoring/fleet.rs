//! `headwater fleet`

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use super::MonitorArgs;
use super::at::At;
use super::format::{age, bitrate, count, plain};
use super::line::{Line, Piece, Tone, painted};
use super::table::{Align, Table};
use super::{output, tree};
use crate::cli::quiet_log;
use crate::monitor::view::{FleetView, NodeView, Totals};
use crate::protocol::presence::Role;

/// How many problems are shown; --json has them all.
const PROBLEMS: usize = 10;

/// Flags of `headwater fleet`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    monitor: MonitorArgs,
    /// As it was then: an event's number, an RFC 3339 time, or how long ago such as 10m.
    #[arg(long, value_name = "MOMENT")]
    at: Option<At>,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let view = self.monitor.connect.api()?.fleet(self.at).await?;
        let _ = if self.monitor.json {
            output::json(&view)?
        } else {
            output::print(&painted(&lines(&view, At::now(self.at, &view.at))))?
        };
        Ok(ExitCode::SUCCESS)
    }
}

/// The sums that hold now.
pub(super) fn totals(totals: &Totals) -> String {
    [
        count(totals.nodes, "node"),
        count(totals.rooms, "room"),
        count(totals.streams, "stream"),
        count(totals.viewers, "viewer"),
        count(totals.pipes, "pipe"),
    ]
    .join("  ")
}

/// What a node may be used for.
pub(super) fn roles(node: &NodeView) -> String {
    let word = |role: &Role| match role {
        Role::Origin => "origin",
        Role::Edge => "edge",
        Role::Relay => "relay",
        _ => "unknown",
    };
    node.roles.iter().map(word).collect::<Vec<_>>().join(",")
}

fn lines(view: &FleetView, now: DateTime<Utc>) -> Vec<Line> {
    let mut lines = vec![Line::default().with(Tone::Strong, totals(&view.totals))];
    if view.totals.dropped > 0 {
        let text = format!(
            "{} could not be kept: parts of the past are missing",
            count(view.totals.dropped, "event")
        );
        lines.push(Line::default().with(Tone::Warning, text));
    }
    let mut part = |table: Table, rows: bool| {
        if rows {
            lines.push(Line::default());
            lines.extend(table.lines());
        }
    };
    part(regions(view), !view.regions.is_empty());
    part(nodes(view, now), view.regions.iter().any(|region| !region.nodes.is_empty()));
    part(links(view), !view.links.is_empty());
    if !view.problems.is_empty() {
        lines.push(Line::default());
        lines.extend(view.problems.iter().take(PROBLEMS).map(tree::problem));
    }
    if let Some(more @ 1..) = view.problems.len().checked_sub(PROBLEMS) {
        lines.push(Line::default().with(Tone::Faint, format!("and {more} before: see --json")));
    }
    lines
}

fn regions(view: &FleetView) -> Table {
    let numbers = |name| (name, Align::Right);
    let mut table = Table::new(&[
        ("REGION", Align::Left),
        numbers("NODES"),
        numbers("STREAMS"),
        numbers("VIEWERS"),
        numbers("PUBLISHED"),
        numbers("WATCHED"),
    ]);
    for region in &view.regions {
        table.row(vec![
            region.region.as_str().into(),
            region.nodes.len().to_string().into(),
            region.streams.to_string().into(),
            region.viewers.to_string().into(),
            bitrate(region.published).into(),
            bitrate(region.watched).into(),
        ]);
    }
    table
}

fn nodes(view: &FleetView, now: DateTime<Utc>) -> Table {
    let numbers = |name| (name, Align::Right);
    let words = |name| (name, Align::Left);
    let mut table = Table::new(&[
        words("NODE"),
        words("REGION"),
        words("STATE"),
        numbers("ROOMS"),
        numbers("STREAMS"),
        numbers("VIEWERS"),
        numbers("PIPES"),
        numbers("OUT"),
        numbers("CPU"),
        numbers("UP"),
        numbers("HEARD"),
        words("ROLES"),
        words("VERSION"),
        words("URL"),
    ]);
    for node in view.regions.iter().flat_map(|region| &region.nodes) {
        let condition =
            Piece { text: tree::condition(node.condition).into(), tone: tree::tone(node.condition) };
        table.row(vec![
            node.node.as_str().into(),
            node.region.as_str().into(),
            condition,
            node.load.rooms.to_string().into(),
            node.load.streams.to_string().into(),
            node.load.viewers.to_string().into(),
            node.load.pipes.to_string().into(),
            node.load.outlets.to_string().into(),
            format!("{:.0}%", node.load.cpu * 100.0).into(),
            age(node.started_at, now).into(),
            age(node.heard_at, now).into(),
            roles(node).into(),
            plain(&node.version).into(),
            plain(&node.public_url).into(),
        ]);
    }
    table
}

fn links(view: &FleetView) -> Table {
    let numbers = |name| (name, Align::Right);
    let mut table = Table::new(&[
        ("FROM", Align::Left),
        ("TO", Align::Left),
        numbers("PIPES"),
        numbers("STREAMS"),
        numbers("BITRATE"),
    ]);
    for link in &view.links {
        table.row(vec![
            link.from.as_str().into(),
            link.to.as_str().into(),
            link.pipes.to_string().into(),
            link.streams.to_string().into(),
            bitrate(link.bitrate).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::{line, sample};
    use super::*;

    #[test]
    fn the_fleet_is_told_in_aligned_tables() {
        let text = line::plain(&lines(&sample::fleet(), sample::now()));
        for expected in [
            "2 nodes  1 room  1 stream  10 viewers  3 pipes\n5 events could not be kept",
            "\nREGION  NODES  STREAMS  VIEWERS   PUBLISHED     WATCHED\n",
            "\neast        2        1        3  2.1 Mbit/s  6.3 Mbit/s\n",
            "\nNODE    REGION  STATE    ROOMS  STREAMS  VIEWERS  PIPES  OUT  CPU  UP  HEARD  ROLES        VERSION  URL\n",
            "\neast-3  east    lost         1        1        0      2    0   0%  2h     3s  origin,edge  0.1.0    http://east-3:8080\n",
            "\nwest  east      1        1  2.1 Mbit/s\n",
            "error    The pipe from west-1 to east-3 failed.\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn an_empty_fleet_has_no_empty_tables() {
        let mut view = sample::fleet();
        (view.regions, view.links, view.problems) = (vec![], vec![], vec![]);
        view.totals = Totals::default();
        let text = line::plain(&lines(&view, sample::now()));
        assert_eq!(text, "0 nodes  0 rooms  0 streams  0 viewers  0 pipes\n");
    }

    #[test]
    fn many_problems_are_counted() {
        let mut view = sample::fleet();
        view.problems = vec![view.problems[0].clone(); 13];
        let text = line::plain(&lines(&view, sample::now()));
        assert!(text.ends_with("and 3 before: see --json\n"), "{text}");
    }
}
