//! `headwater rooms`

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use super::MonitorArgs;
use super::at::At;
use super::format::{age, bitrate};
use super::line::{Line, Piece, Tone, painted};
use super::output;
use super::table::{Align, Table};
use crate::cli::quiet_log;
use crate::monitor::view::{RoomLine, RoomSort, RoomsQuery, RoomsView};
use crate::protocol::ids::NodeName;

/// Flags of `headwater rooms`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    monitor: MonitorArgs,
    /// Only rooms whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    search: String,
    /// Also rooms without a live stream.
    #[arg(long)]
    all: bool,
    /// Only rooms that this node carries.
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
    /// In which order.
    #[arg(long, value_enum, default_value_t = Sort::Viewers)]
    sort: Sort,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As it was then: an event's number, an RFC 3339 time, or how long ago such as 10m.
    #[arg(long, value_name = "MOMENT")]
    at: Option<At>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Sort {
    /// Most viewers first.
    Viewers,
    /// By name.
    Name,
    /// Longest live first.
    Age,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let query = RoomsQuery {
            search: self.search,
            live: (!self.all).then_some(true),
            node: self.node,
            sort: match self.sort {
                Sort::Viewers => RoomSort::Viewers,
                Sort::Name => RoomSort::Name,
                Sort::Age => RoomSort::Age,
            },
            offset: 0,
            limit: self.limit,
        };
        let view = self.monitor.connect.api()?.rooms(&query, self.at).await?;
        let _ = if self.monitor.json {
            output::json(&view)?
        } else {
            output::print(&painted(&lines(&view, At::now(self.at, &view.at))))?
        };
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a room's live streams are published.
pub(super) fn origins(room: &RoomLine) -> String {
    room.origins.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(",")
}

/// For how long a room has been live; none where it isn't.
pub(super) fn live_for(room: &RoomLine, now: DateTime<Utc>) -> Option<String> {
    room.since.filter(|_| room.live).map(|since| age(since, now))
}

fn lines(view: &RoomsView, now: DateTime<Utc>) -> Vec<Line> {
    if view.rooms.is_empty() {
        return vec![Line::default().with(Tone::Plain, "no rooms")];
    }
    let numbers = |name| (name, Align::Right);
    let mut table = Table::new(&[
        ("ROOM", Align::Left),
        ("LIVE", Align::Right),
        numbers("STREAMS"),
        numbers("VIEWERS"),
        numbers("NODES"),
        numbers("REGIONS"),
        numbers("HOPS"),
        numbers("BITRATE"),
        numbers("PROBLEMS"),
        ("ORIGINS", Align::Left),
    ]);
    for room in &view.rooms {
        let tone = if room.problems > 0 { Tone::Warning } else { Tone::Plain };
        table.row(vec![
            room.room.as_str().into(),
            live_for(room, now).unwrap_or_else(|| if room.live { "yes" } else { "-" }.to_owned()).into(),
            room.streams.to_string().into(),
            room.viewers.to_string().into(),
            room.nodes.to_string().into(),
            room.regions.to_string().into(),
            room.depth.to_string().into(),
            bitrate(room.bitrate).into(),
            Piece { text: room.problems.to_string(), tone },
            origins(room).into(),
        ]);
    }
    let mut lines = table.lines();
    if view.total > view.rooms.len() {
        let text = format!("{} of {}: see --limit and --search", view.rooms.len(), view.total);
        lines.push(Line::default().with(Tone::Faint, text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::{line, sample};
    use super::*;

    #[test]
    fn rooms_are_listed_in_columns() {
        let text = line::plain(&lines(&sample::rooms(), sample::now()));
        let expected = "\
ROOM   LIVE  STREAMS  VIEWERS  NODES  REGIONS  HOPS     BITRATE  PROBLEMS  ORIGINS
demo    12m        1       10      4        2     2  2.1 Mbit/s         1  west-1
lobby   12m        1        2      4        2     2  2.1 Mbit/s         0  west-1
old       -        0        0      4        2     2  2.1 Mbit/s         0  west-1
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_list_that_is_cut_says_so() {
        let mut view = sample::rooms();
        view.total = 512;
        assert!(line::plain(&lines(&view, sample::now())).ends_with("3 of 512: see --limit and --search\n"));
        view.rooms.clear();
        assert_eq!(line::plain(&lines(&view, sample::now())), "no rooms\n");
    }
}
