//! What came of a run.

use std::num::NonZero;
use std::time::Duration;

use serde::Serialize;

use super::gauge::{Look, cores, micros_each};
use super::outcome::Outcomes;
use super::plan::{LoadOptions, Plan};
use super::run::{Session, has_media};
use super::servers::Server;
use super::tally::{Flow, Pictures};
use super::timing::{Quantiles, Timing};
use crate::client::{PublishStats, WatchReport};

/// A load run. All times are in milliseconds where nothing else is said.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// The version of this program.
    pub version: String,
    /// When the report was made (RFC 3339, UTC).
    pub date: String,
    /// How many cores this machine has.
    pub cores: usize,
    /// It was ended before its time.
    pub interrupted: bool,
    /// From the first viewer's request to the last one's answer, in seconds.
    pub ramp_seconds: f64,
    /// The viewers.
    pub viewers: Viewers,
    /// The publishers.
    pub publishers: Publishers,
    /// From the POST to its answer, over all viewers that were let in.
    pub answer_ms: Quantiles,
    /// From the POST to ICE and DTLS being up.
    pub connected_ms: Quantiles,
    /// From the POST to the first packet.
    pub first_packet_ms: Quantiles,
    /// From the POST to the first picture that can be shown, of the sampled viewers; of sound, without pictures.
    pub first_frame_ms: Quantiles,
    /// From the publisher to the whole picture, in the steady phase, of the sampled viewers; by the wall clocks of both.
    pub delay_ms: Quantiles,
    /// How unevenly packets came (RFC 3550 section 6.4.1), over all viewers: the greater of sound and picture.
    pub jitter_ms: Quantiles,
    /// What came in the steady phase.
    pub steady: Flow,
    /// What came from the first packet to the last.
    pub whole: Flow,
    /// Of the sampled viewers, from the first picture to the last.
    pub pictures: Pictures,
    /// Processes of this machine that serve.
    pub servers: Vec<ServerReport>,
    /// This program itself.
    pub own: Own,
    /// What limited this program, so that figures are its own and not the servers'. Best empty.
    pub limits: Vec<String>,
}

/// The viewers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewers {
    /// Who asked to be let in.
    pub asked: usize,
    /// Who was.
    pub joined: usize,
    /// Who had ICE and DTLS up.
    pub connected: usize,
    /// Who got media; sampled ones, a picture that can be shown where there are any.
    pub with_media: usize,
    /// Who read all, and not only headers.
    pub sampled: usize,
    /// Who was asked in each second of the ramp, on average.
    pub joins_per_second: f64,
    /// Who was not let in, by reason.
    pub refused: Outcomes,
    /// Whose session ended before its time, by reason.
    pub ended: Outcomes,
}

/// The publishers of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publishers {
    /// Who asked to be let in.
    pub asked: usize,
    /// Who was.
    pub joined: usize,
    /// Who was not, by reason.
    pub refused: Outcomes,
    /// Whose session ended before its time, by reason.
    pub ended: Outcomes,
    /// RTP packets that they sent, from the first to the last.
    pub packets: u64,
    /// Key frames that they were asked for.
    pub key_frame_requests: u64,
    /// From the POST to its answer.
    pub answer_ms: Quantiles,
}

/// A server process and what it has started, in the steady phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Its name, as the system lists it.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The addresses that it serves.
    pub urls: Vec<String>,
    /// How many processes that are.
    pub processes: usize,
    /// Viewers that were let in here.
    pub viewers: usize,
    /// Packets that these received.
    pub packets: u64,
    /// Cores in use.
    pub cores: f64,
    /// Microseconds of processor time for each of these packets.
    pub micros_per_packet: Option<f64>,
    /// Resident memory in bytes: before anybody came.
    pub memory_before: u64,
    /// At the end of the steady phase.
    pub memory: u64,
    /// What it had grown by then, by viewer.
    pub memory_per_viewer: Option<u64>,
}

/// What this program used in the steady phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Cores in use.
    pub cores: f64,
    /// Microseconds of processor time for each packet received or sent.
    pub micros_per_packet: Option<f64>,
    /// Resident memory in bytes.
    pub memory: u64,
    /// The share of a core that each thread with sessions used.
    pub threads: Vec<f64>,
    /// How late its threads came to their own appointments.
    pub lateness_ms: Quantiles,
    /// Packets that came, and were dropped because this program didn't read them in time: over the whole run.
    pub socket_drops: u64,
    /// The share of time, 0 to 1, in which the cores of this machine were busy.
    pub machine_busy: Option<f64>,
}

/// A phase: what was at its beginning and at its end.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) looks: (Look, Look),
    /// What came from each server of the plan.
    pub(super) flows: (Vec<Flow>, Vec<Flow>),
    /// Packets that publishers sent.
    pub(super) sent: (u64, u64),
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) interrupted: bool,
    pub(super) ramp: Duration,
    pub(super) socket_drops: u64,
}

impl LoadReport {
    pub(super) fn new(
        options: &LoadOptions,
        plan: &Plan,
        servers: &[Server],
        (viewers, publishers): (&[Session<WatchReport>], &[Session<PublishStats>]),
        steady: Option<Span>,
        (begun, ending): (&Look, Ending),
        (lateness, delay_ms): (Quantiles, Quantiles),
    ) -> Self {
        let reports: Vec<WatchReport> = viewers.iter().filter_map(Session::report).collect();
        let sampled: Vec<WatchReport> = (viewers.iter().enumerate())
            .filter(|(number, _)| Plan::is_sampled(*number, options.sample))
            .filter_map(|(_, viewer)| viewer.report())
            .collect();
        let times = |of: fn(&WatchReport) -> Option<f64>| Timing::from_iter(reports.iter().filter_map(of));
        let first_frames = sampled.iter().filter_map(|seen| match seen.video.packets {
            0 => seen.audio.first_frame_ms,
            _ => seen.video.first_frame_ms,
        });
        let time = steady.as_ref().map(|span| span.looks.1.at - span.looks.0.at).unwrap_or_default();
        let flows = steady.as_ref().map(|span| flows(span, time)).unwrap_or_default();
        let own = steady.as_ref().map(|span| own(span, &flows, lateness)).unwrap_or_default();
        let own = Own { socket_drops: ending.socket_drops, ..own };
        let here = |server: &Server| {
            let viewers = viewers.iter().zip(&plan.viewers);
            viewers.filter(|(seen, at)| seen.report().is_some() && server.places.contains(&at.server)).count()
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            interrupted: ending.interrupted,
            ramp_seconds: ending.ramp.as_secs_f64(),
            viewers: self::viewers(viewers, options.sample, ending.ramp),
            publishers: self::publishers(publishers),
            answer_ms: times(|report| report.answer_ms).quantiles(),
            connected_ms: times(|report| report.connected_ms).quantiles(),
            first_packet_ms: times(first_packet).quantiles(),
            first_frame_ms: Timing::from_iter(first_frames).quantiles(),
            delay_ms,
            jitter_ms: times(|report| {
                (report.packets > 0).then(|| report.audio.jitter_ms.max(report.video.jitter_ms))
            })
            .quantiles(),
            steady: total(&flows, time),
            whole: Flow::of(&reports),
            pictures: Pictures::of(&sampled),
            servers: steady.as_ref().map_or_else(Vec::new, |span| {
                let all = servers.iter().enumerate();
                all.map(|(index, one)| server(index, one, span, begun, &flows, plan, here(one))).collect()
            }),
            limits: limits(&own),
            own,
        }
    }
}

fn first_packet(report: &WatchReport) -> Option<f64> {
    match (report.audio.first_packet_ms, report.video.first_packet_ms) {
        (Some(audio), Some(video)) => Some(audio.min(video)),
        (audio, video) => audio.or(video),
    }
}

/// What came from each server of the plan in a phase.
fn flows(span: &Span, time: Duration) -> Vec<Flow> {
    span.flows.1.iter().zip(&span.flows.0).map(|(after, before)| after.since(*before, time)).collect()
}

fn total(flows: &[Flow], time: Duration) -> Flow {
    let sum = flows.iter().fold(Flow::default(), |sum, flow| Flow {
        packets: sum.packets + flow.packets,
        bytes: sum.bytes + flow.bytes,
        lost: sum.lost + flow.lost,
        retransmitted: sum.retransmitted + flow.retransmitted,
        duplicates: sum.duplicates + flow.duplicates,
        ..sum
    });
    sum.since(Flow::default(), time)
}

fn viewers(viewers: &[Session<WatchReport>], sample: usize, ramp: Duration) -> Viewers {
    let mut told = Viewers::default();
    for (number, viewer) in viewers.iter().enumerate() {
        let sampled = Plan::is_sampled(number, sample);
        told.asked += usize::from(!matches!(viewer, Session::Waiting));
        if let Session::Refused(reason) = viewer {
            told.refused.add(reason);
        }
        if matches!(viewer, Session::Asked) {
            told.refused.add("no answer");
        }
        let Some(report) = viewer.report() else { continue };
        told.joined += 1;
        told.sampled += usize::from(sampled);
        told.connected += usize::from(report.connected_ms.is_some());
        told.with_media += usize::from(has_media(&report, sampled));
        if let Some(reason) = report.reason.filter(|reason| reason != "stopped") {
            told.ended.add(&reason);
        }
    }
    if !ramp.is_zero() {
        told.joins_per_second = told.asked as f64 / ramp.as_secs_f64();
    }
    told
}

fn publishers(publishers: &[Session<PublishStats>]) -> Publishers {
    let mut told = Publishers::default();
    let mut answers = Timing::new();
    for publisher in publishers {
        told.asked += usize::from(!matches!(publisher, Session::Waiting));
        match publisher {
            Session::Refused(reason) => told.refused.add(reason),
            Session::Asked => told.refused.add("no answer"),
            _ => {}
        }
        let Some(stats) = publisher.report() else { continue };
        told.joined += 1;
        told.packets += stats.packets;
        told.key_frame_requests += stats.key_frame_requests;
        stats.answer_ms.into_iter().for_each(|ms| answers.add_ms(ms));
        if let Some(reason) = stats.reason {
            told.ended.add(&reason);
        }
    }
    told.answer_ms = answers.quantiles();
    told
}

fn server(
    index: usize,
    server: &Server,
    span: &Span,
    begun: &Look,
    flows: &[Flow],
    plan: &Plan,
    viewers: usize,
) -> ServerReport {
    let usage = |look: &Look| look.servers.get(index).copied().unwrap_or_default();
    let (before, after, first) = (usage(&span.looks.0), usage(&span.looks.1), usage(begun));
    let time = span.looks.1.at - span.looks.0.at;
    let packets = server.places.iter().filter_map(|place| flows.get(*place)).map(|flow| flow.packets).sum();
    let grown = after.memory.saturating_sub(first.memory);
    let urls = server.places.iter().filter_map(|place| plan.servers.get(*place));
    ServerReport {
        name: server.name.clone(),
        pid: server.pid,
        urls: urls.map(|url| url.as_str().trim_end_matches('/').to_owned()).collect(),
        processes: after.processes,
        viewers,
        packets,
        cores: cores(after.cpu, before.cpu, time),
        micros_per_packet: micros_each(after.cpu.saturating_sub(before.cpu), packets),
        memory_before: first.memory,
        memory: after.memory,
        memory_per_viewer: u64::try_from(viewers)
            .ok()
            .filter(|viewers| *viewers > 0)
            .map(|viewers| grown / viewers),
    }
}

fn own(span: &Span, flows: &[Flow], lateness_ms: Quantiles) -> Own {
    let (before, after) = &span.looks;
    let time = after.at - before.at;
    let received: u64 = flows.iter().map(|flow| flow.packets + flow.retransmitted + flow.duplicates).sum();
    let sent = span.sent.1.saturating_sub(span.sent.0);
    Own {
        cores: cores(after.own.cpu, before.own.cpu, time),
        micros_per_packet: micros_each(after.own.cpu.saturating_sub(before.own.cpu), received + sent),
        memory: after.own.memory,
        threads: after.shares(before),
        lateness_ms,
        socket_drops: 0,
        machine_busy: after.machine.zip(before.machine).map(|(after, before)| after.since(before)),
    }
}

/// From these on, what is measured is this program as much as the server.
const THREAD_FULL: f64 = 0.85;
const LATE_MS: f64 = 25.0;
const MACHINE_FULL: f64 = 0.95;

fn limits(own: &Own) -> Vec<String> {
    let mut limits = Vec::new();
    let fullest = own.threads.iter().copied().fold(0.0, f64::max);
    if fullest > THREAD_FULL {
        limits.push(format!(
            "a thread of this program worked {:.0} % of the time: give it more --threads or more cores, or read fewer \
             viewers whole (--sample)",
            fullest * 100.0
        ));
    }
    if own.lateness_ms.p99 > LATE_MS {
        limits.push(format!(
            "this program came late to its own appointments (p99 {:.0} ms): times, delay and jitter are too high by \
             as much",
            own.lateness_ms.p99
        ));
    }
    if own.socket_drops > 0 {
        limits.push(format!(
            "{} packets arrived and were dropped because this program didn't read them in time: they count as lost",
            own.socket_drops
        ));
    }
    if let Some(busy) = own.machine_busy.filter(|busy| *busy > MACHINE_FULL) {
        limits.push(format!(
            "this machine's cores were busy {:.0} % of the time: servers on it and this program waited for each \
             other; run it on another machine",
            busy * 100.0
        ));
    }
    limits
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::Value;

    use super::*;
    use crate::client::TrackReport;
    use crate::load::plan::tests::options;
    use crate::load::proc::Usage;

    fn seen(packets: u64, lost: u64) -> WatchReport {
        let video = TrackReport {
            first_packet_ms: Some(20.0),
            first_frame_ms: Some(40.0),
            packets,
            frames: 100,
            jitter_ms: 2.0,
            ..TrackReport::default()
        };
        let (answer_ms, connected_ms) = (Some(2.5), Some(9.0));
        WatchReport {
            answer_ms,
            connected_ms,
            packets,
            bytes: packets * 500,
            lost,
            video,
            ..WatchReport::default()
        }
    }

    /// Four ask for two servers' only room; one is refused, one never answered, and one is ended.
    fn run() -> LoadReport {
        let options = options(4, 1, 1, "http://a:1", &["http://a:1", "http://b:1"]);
        let plan = Plan::new(&options).unwrap();
        let ended = WatchReport { reason: Some("closed by the server".to_owned()), ..seen(2_000, 0) };
        let viewers = [
            Session::Gone(Box::new(seen(10_000, 10))),
            Session::Refused("503 Too many viewers".to_owned()),
            Session::Gone(Box::new(ended)),
            Session::Asked,
        ];
        let stats = PublishStats { packets: 5_000, answer_ms: Some(1.0), ..PublishStats::default() };
        let servers = [Server { places: vec![0], pid: 7, name: "server".to_owned() }];
        let start = Instant::now();
        let look = |seconds: u64, cpu: u64, mib: u64| Look {
            at: start + Duration::from_secs(seconds),
            servers: vec![Usage { cpu: Duration::from_millis(cpu), memory: mib << 20, processes: 1 }],
            own: Usage { cpu: Duration::from_millis(cpu / 2), memory: 1 << 20, processes: 1 },
            threads: vec![Duration::from_millis(cpu)],
            machine: None,
        };
        let flow = |report: WatchReport| Flow::of([&report]);
        let span = Span {
            looks: (look(10, 1_000, 60), look(20, 1_100, 64)),
            flows: (
                vec![flow(seen(1_000, 0)), Flow::default()],
                vec![flow(seen(11_000, 10)), Flow::default()],
            ),
            sent: (1_000, 6_000),
        };
        let ending = Ending { interrupted: false, ramp: Duration::from_secs(2), socket_drops: 3 };
        let late = Quantiles { p99: 1.0, ..Quantiles::default() };
        LoadReport::new(
            &options,
            &plan,
            &servers,
            (&viewers, &[Session::Gone(Box::new(stats))]),
            Some(span),
            (&look(0, 0, 60), ending),
            (late, Quantiles::default()),
        )
    }

    #[test]
    fn whoever_came_or_did_not_is_counted_once() {
        let report = run();
        let viewers = &report.viewers;
        assert_eq!((viewers.asked, viewers.joined, viewers.with_media, viewers.sampled), (4, 2, 2, 1));
        assert_eq!(viewers.refused.most(), [("503 Too many viewers", 1), ("no answer", 1)]);
        assert_eq!(viewers.ended.most(), [("closed by the server", 1)]);
        // A histogram keeps three digits.
        let near = |value: f64, expected: f64| (value - expected).abs() <= expected / 500.0;
        assert!(report.answer_ms.count == 2 && near(report.answer_ms.p50, 2.5), "{:?}", report.answer_ms);
        assert!(near(report.first_packet_ms.p50, 20.0) && near(report.jitter_ms.p50, 2.0), "{report:?}");
        assert_eq!(report.first_frame_ms.count, 1);
        assert_eq!((report.publishers.joined, report.publishers.packets), (1, 5_000));
        assert_eq!((report.whole.packets, report.pictures.frames), (12_000, 100));
    }

    #[test]
    fn costs_are_those_of_the_steady_phase() {
        let report = run();
        assert_eq!((report.steady.packets, report.steady.packets_per_second), (10_000, 1_000.0));
        let [server] = report.servers.as_slice() else { panic!("{report:?}") };
        assert_eq!((server.viewers, server.packets, server.memory_per_viewer), (2, 10_000, Some(2 << 20)));
        assert!((server.cores - 0.01).abs() < 1e-9 && server.micros_per_packet == Some(10.0), "{server:?}");
        // 10,000 received and 5,000 sent, for 50 ms.
        assert!(
            (report.own.micros_per_packet.unwrap() - 50_000.0 / 15_000.0).abs() < 1e-9,
            "{:?}",
            report.own
        );
        let [limit] = report.limits.as_slice() else { panic!("{:?}", report.limits) };
        assert!(limit.starts_with("3 packets"), "{limit}");
    }

    #[test]
    fn its_own_limits_are_told() {
        let own = Own {
            threads: vec![0.2, 0.9],
            lateness_ms: Quantiles { p99: 40.0, ..Quantiles::default() },
            machine_busy: Some(0.99),
            ..Own::default()
        };
        let limits = limits(&own).join("\n");
        for expected in ["90 %", "p99 40 ms", "99 %", "--threads"] {
            assert!(limits.contains(expected), "{expected}: {limits}");
        }
        assert!(super::limits(&Own::default()).is_empty());
    }

    #[test]
    fn it_is_read_by_programs_and_by_people() {
        let report = run();
        let json = serde_json::to_value(&report).unwrap();
        for pointer in [
            "/viewers/withMedia",
            "/viewers/refused/no answer",
            "/answerMs/p99",
            "/delayMs/count",
            "/steady/packetsPerSecond",
            "/steady/lossRatio",
            "/pictures/longestGapMs",
            "/servers/0/microsPerPacket",
            "/servers/0/memoryPerViewer",
            "/own/latenessMs/p99",
            "/own/threads/0",
            "/limits/0",
        ] {
            assert!(json.pointer(pointer).is_some_and(|value| !value.is_null()), "{pointer} of {json:#}");
        }
        assert_eq!(json["own"]["machineBusy"], Value::Null);
        let text = report.to_string();
        for expected in ["4 asked in 2.0 s", "503 Too many viewers", "http://a:1", "1000 packets/s", "LIMIT"]
        {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
