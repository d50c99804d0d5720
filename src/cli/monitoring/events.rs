//! `headwater events`

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use super::MonitorArgs;
use super::at::At;
use super::error::ApiError;
use super::format::{plain, time};
use super::line::{Line, Tone, painted};
use super::log::{ReadError, Wanted, coming, stored};
use super::output;
use crate::cli::{interrupted, quiet_log};
use crate::monitor::view::{Recorded, Severity};
use crate::protocol::event::About;
use crate::protocol::ids::RoomId;

/// How many stored events lead in what is followed.
const LEAD: usize = 10;

/// Flags of `headwater events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    monitor: MonitorArgs,
    /// Only what happened in this room.
    #[arg(long)]
    room: Option<RoomId>,
    /// Only from this moment on: an event's number, an RFC 3339 time, or how long ago such as 10m.
    #[arg(long, value_name = "MOMENT")]
    since: Option<At>,
    /// Go on with what happens, until Ctrl-C. Starts with the last ten unless --since or --limit is given.
    #[arg(long, short)]
    follow: bool,
    /// At most so many of the stored events: the newest.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Also the summaries that nodes repeat from time to time; with --json they are always there.
    #[arg(long)]
    summaries: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        tokio::select! {
            shown = self.show() => shown?,
            () = interrupted() => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show(self) -> Result<(), ReadError> {
        let json = self.monitor.json;
        let api = self.monitor.connect.api()?;
        let lead = (self.follow && self.since.is_none()).then_some(LEAD);
        let wanted = Wanted {
            room: self.room,
            since: self.since,
            limit: self.limit.or(lead),
            summaries: self.summaries || json,
        };
        let mut show = |recorded: &Recorded| write(recorded, json);
        let before = api.log().await?.last();
        let reached = match stored(&api, &wanted, &mut show).await {
            // It may come to be.
            Err(ReadError::Api(ApiError::UnknownRoom { .. })) if self.follow => ControlFlow::Continue(before),
            reached => reached?,
        };
        match reached {
            ControlFlow::Continue(reached) if self.follow => coming(&api, &wanted, reached, &mut show).await,
            _ => Ok(()),
        }
    }
}

fn write(recorded: &Recorded, json: bool) -> io::Result<ControlFlow<()>> {
    if json {
        output::print(&(serde_json::to_string(recorded)? + "\n"))
    } else {
        output::print(&painted(&[line(recorded)]))
    }
}

fn line(recorded: &Recorded) -> Line {
    let about = recorded.event.as_ref().map(|event| match &event.subject {
        About::Room(room) => room.to_string(),
        About::Node(node) => node.to_string(),
    });
    let happened = recorded.event.as_ref().map_or(recorded.stored, |event| event.time);
    Line::default()
        .with(Tone::Faint, format!("{:>8}  {}  ", recorded.sequence, time(happened)))
        .with(Tone::Strong, format!("{:<16}  ", about.unwrap_or_default()))
        .with(tone(recorded), plain(&recorded.text))
}

fn tone(recorded: &Recorded) -> Tone {
    match (recorded.severity, &recorded.event) {
        (Some(Severity::Error), _) => Tone::Error,
        (Some(Severity::Warning), _) => Tone::Warning,
        (None, Some(event)) if !event.what.is_summary() => Tone::Plain,
        (None, _) => Tone::Faint,
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::plain;
    use super::super::sample::now;
    use super::*;

    #[test]
    fn an_event_is_a_line_that_says_when_where_and_what() {
        let recorded: Recorded = serde_json::from_value(serde_json::json!({
            "sequence": 42, "stored": now(), "text": "west-1 was\nlost.", "severity": null,
            "event": {"id": 1, "time": now(), "subject": {"node": "east-1"}, "type": "node.stopped",
                "source": {"node": "east-1", "region": "east",
                    "incarnation": "01890000-0000-7000-8000-000000000000"},
                "data": {"roles": [], "version": "1", "phase": "stopped", "startedAt": now(),
                    "load": {"rooms": 0, "streams": 0, "viewers": 0, "pipes": 0, "cpu": 0.0},
                    "publicUrl": "http://east-1", "everyMs": 10_000}}}))
        .unwrap();
        let text = plain(&[line(&recorded)]);
        assert_eq!(text, "      42  2026-05-01T12:00:00.000Z  east-1            west-1 was lost.\n");
    }

    #[test]
    fn an_unknown_event_still_says_what_happened() {
        let recorded =
            Recorded { sequence: 7, stored: now(), event: None, text: "It rained.".into(), severity: None };
        assert!(plain(&[line(&recorded)]).ends_with("It rained.\n"));
    }
}
