//! What a viewer would see, in numbers.

use std::time::Instant;

use serde::Serialize;
use str0m::media::MediaKind;

use super::freeze::FreezeMeter;
use super::http::Route;
use super::jitter::JitterMeter;
use super::loss::LossMeter;
use super::packet::RtpHeader;
use super::rate::RateMeter;

/// How a publisher or a player stands with its server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// The answer is there, ICE and DTLS are under way.
    #[default]
    Connecting,
    /// Media can flow.
    Connected,
    /// ICE lost the server (it may come back), or the session is over.
    Disconnected,
}

/// A player's view of its session; all times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchReport {
    /// Whether media can flow.
    pub state: ConnectionState,
    /// Why it is disconnected.
    pub reason: Option<String>,
    /// What a Headwater server told about the way of the media.
    #[serde(flatten)]
    pub route: Route,
    /// How often it went on at another node; all the rest is about the last one.
    pub moves: u32,
    /// From the POST to the head of its answer.
    pub answer_ms: Option<f64>,
    /// From the POST to ICE and DTLS being up.
    pub connected_ms: Option<f64>,
    /// Audio and video packets, without retransmissions.
    pub packets: u64,
    /// Bytes of these packets, RTP headers and SRTP tags included.
    pub bytes: u64,
    /// Packets missing in the sequence numbers, before any retransmission.
    pub lost: u64,
    /// `lost` of all packets sent, 0 to 1.
    pub loss_ratio: f64,
    /// Packets that came as retransmissions (RFC 4588), padding among them.
    pub retransmitted: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Bits per second over the last second.
    pub bitrate_bps: u64,
    /// How long ago the last packet came.
    pub last_packet_age_ms: Option<u64>,
    /// Round trip time of the last ICE check.
    pub rtt_ms: Option<f64>,
    /// The audio alone.
    pub audio: TrackReport,
    /// The video alone.
    pub video: TrackReport,
}

/// One kind of media in a [`WatchReport`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackReport {
    /// Name of the codec as in SDP, such as `VP8`.
    pub codec: Option<String>,
    /// Width of the picture, where the codec is VP8.
    pub width: Option<u16>,
    /// Height of the picture, where the codec is VP8.
    pub height: Option<u16>,
    /// From the POST to the first packet.
    pub first_packet_ms: Option<f64>,
    /// From the POST to the first frame that can be decoded: with video, a key frame.
    pub first_frame_ms: Option<f64>,
    /// Packets, without retransmissions.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Packets missing in the sequence numbers.
    pub lost: u64,
    /// How unevenly they came (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Bits per second over the last second.
    pub bitrate_bps: u64,
    /// Complete frames (with audio, packets) from the first one that can be decoded.
    pub frames: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Times the server began a new stream (SSRC) of this kind, the first one included.
    pub streams: u64,
    /// Freezes of the picture that are over (W3C webrtc-stats `freezeCount`).
    pub freezes: u64,
    /// How long these were together.
    pub freeze_ms: u64,
    /// The longest time between two frames (with audio, packets) that followed each other.
    pub longest_gap_ms: u64,
    /// How long ago the last packet came.
    pub last_packet_age_ms: Option<u64>,
}

impl WatchReport {
    /// Whether at least one audio packet was received and unwrapped.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.audio.frames > 0
    }

    /// Whether at least one picture that can be decoded was received whole.
    #[must_use]
    pub fn has_video(&self) -> bool {
        self.video.frames > 0
    }
}

/// A complete frame as it leaves the depacketizer.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameSeen<'a> {
    pub(super) kind: MediaKind,
    pub(super) codec: &'a str,
    pub(super) key: bool,
    pub(super) size: Option<(u16, u16)>,
}

/// Turns packets and frames into a [`WatchReport`].
#[derive(Debug)]
pub(super) struct Meter {
    /// When the POST was sent.
    asked: Instant,
    audio: TrackMeter,
    video: TrackMeter,
    retransmitted: u64,
}

impl Meter {
    pub(super) fn new(asked: Instant) -> Meter {
        Meter { asked, audio: TrackMeter::default(), video: TrackMeter::default(), retransmitted: 0 }
    }

    /// Counts a packet; true where it is the first of its kind.
    pub(super) fn packet(&mut self, at: Instant, kind: MediaKind, header: RtpHeader, bytes: usize) -> bool {
        let asked = self.asked;
        let track = self.track(kind);
        track.packet(asked, at, header, bytes);
        track.jitter.packet(kind, header.ssrc, header.timestamp, at);
        track.report.packets == 1
    }

    pub(super) fn retransmission(&mut self) {
        self.retransmitted += 1;
    }

    /// Counts a frame; true where it is the first of its kind that can be decoded.
    pub(super) fn frame(&mut self, at: Instant, frame: FrameSeen<'_>) -> bool {
        let asked = self.asked;
        let track = self.track(frame.kind);
        let before = track.report.frames;
        track.frame(asked, at, frame);
        before == 0 && track.report.frames == 1
    }

    /// Video came for a while, but nothing yet that a decoder could start with.
    pub(super) fn lacks_key_frame(&self) -> bool {
        self.video.report.packets > 0 && self.video.report.frames == 0
    }

    /// Writes the numbers as of `at` into `report`.
    pub(super) fn fill(&mut self, at: Instant, report: &mut WatchReport) {
        report.audio = self.audio.report(at);
        report.video = self.video.report(at);
        let (audio, video) = (&report.audio, &report.video);
        report.packets = audio.packets + video.packets;
        report.bytes = audio.bytes + video.bytes;
        report.lost = audio.lost + video.lost;
        report.bitrate_bps = audio.bitrate_bps + video.bitrate_bps;
        report.retransmitted = self.retransmitted;
        report.duplicates = self.audio.loss.duplicates() + self.video.loss.duplicates();
        let expected = self.audio.loss.expected() + self.video.loss.expected();
        report.loss_ratio = report.lost as f64 / expected.max(1) as f64;
        report.last_packet_age_ms = match (audio.last_packet_age_ms, video.last_packet_age_ms) {
            (Some(audio), Some(video)) => Some(audio.min(video)),
            (audio, video) => audio.or(video),
        };
    }

    fn track(&mut self, kind: MediaKind) -> &mut TrackMeter {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }
}

#[derive(Debug, Default)]
struct TrackMeter {
    report: TrackReport,
    ssrc: Option<u32>,
    last_packet: Option<Instant>,
    last_frame: Option<Instant>,
    loss: LossMeter,
    jitter: JitterMeter,
    rate: RateMeter,
    freeze: FreezeMeter,
}

impl TrackMeter {
    fn packet(&mut self, asked: Instant, at: Instant, header: RtpHeader, bytes: usize) {
        let RtpHeader { ssrc, sequence, .. } = header;
        self.report.first_packet_ms.get_or_insert(millis(asked, at));
        self.report.packets += 1;
        self.report.bytes += bytes as u64;
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            self.report.streams += 1;
        }
        self.last_packet = Some(at);
        self.loss.packet(ssrc, sequence);
        self.rate.add(at, bytes);
    }

    fn frame(&mut self, asked: Instant, at: Instant, frame: FrameSeen<'_>) {
        let report = &mut self.report;
        if report.codec.as_deref() != Some(frame.codec) {
            report.codec = Some(frame.codec.to_owned());
        }
        if frame.kind == MediaKind::Video {
            if !frame.key && report.key_frames == 0 {
                return;
            }
            self.freeze.frame(at);
        }
        report.first_frame_ms.get_or_insert(millis(asked, at));
        let gap = self.last_frame.replace(at).map_or(0, |last| since(last, at));
        report.longest_gap_ms = report.longest_gap_ms.max(gap);
        report.frames += 1;
        report.key_frames += u64::from(frame.key);
        if let Some((width, height)) = frame.size {
            (report.width, report.height) = (Some(width), Some(height));
        }
    }

    fn report(&mut self, at: Instant) -> TrackReport {
        let mut report = self.report.clone();
        report.lost = self.loss.lost();
        report.jitter_ms = self.jitter.ms();
        report.bitrate_bps = self.rate.bps(at);
        report.freezes = self.freeze.count;
        report.freeze_ms = u64::try_from(self.freeze.total.as_millis()).unwrap_or(u64::MAX);
        report.last_packet_age_ms = self.last_packet.map(|last| since(last, at));
        report
    }
}

/// From one moment to another, to the microsecond.
pub(super) fn millis(start: Instant, at: Instant) -> f64 {
    (at.saturating_duration_since(start).as_secs_f64() * 1_000_000.0).round() / 1000.0
}

pub(super) fn since(start: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(start).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn picture(key: bool) -> FrameSeen<'static> {
        FrameSeen { kind: MediaKind::Video, codec: "VP8", key, size: key.then_some((640, 360)) }
    }

    fn header(ssrc: u32, sequence: u16) -> RtpHeader {
        RtpHeader { payload_type: 96, sequence, timestamp: 0, ssrc }
    }

    #[test]
    fn tells_what_a_viewer_notices() {
        let asked = Instant::now();
        let at = |ms| asked + Duration::from_millis(ms);
        let mut meter = Meter::new(asked);
        meter.packet(at(100), MediaKind::Video, header(1, 10), 1000);
        meter.frame(at(101), picture(false));
        assert!(meter.lacks_key_frame());
        meter.packet(at(140), MediaKind::Video, header(1, 12), 1000);
        meter.frame(at(141), picture(true));
        meter.packet(at(150), MediaKind::Audio, header(2, 1), 100);
        let sound = FrameSeen { kind: MediaKind::Audio, codec: "opus", key: false, size: None };
        meter.frame(at(150), sound);
        meter.frame(at(175), sound);
        meter.frame(at(195), sound);
        meter.retransmission();

        let mut report = WatchReport::default();
        assert!(!report.has_audio() && !report.has_video());
        meter.fill(at(200), &mut report);
        assert!(report.has_audio() && report.has_video() && !meter.lacks_key_frame());
        assert_eq!((report.packets, report.bytes, report.lost), (3, 2100, 1));
        assert_eq!((report.loss_ratio, report.retransmitted), (0.25, 1));
        assert_eq!((report.video.first_packet_ms, report.video.first_frame_ms), (Some(100.0), Some(141.0)));
        assert_eq!((report.audio.first_packet_ms, report.audio.first_frame_ms), (Some(150.0), Some(150.0)));
        assert_eq!((report.video.frames, report.video.key_frames), (1, 1));
        assert_eq!((report.audio.longest_gap_ms, report.video.longest_gap_ms), (25, 0));
        assert_eq!((report.video.width, report.video.height), (Some(640), Some(360)));
        assert_eq!((report.last_packet_age_ms, report.video.last_packet_age_ms), (Some(50), Some(60)));
    }

    #[test]
    fn speaks_camel_case() {
        let route = Route { node: Some("b".into()), origin: Some("a".into()), hops: Some(1) };
        let json = serde_json::to_value(WatchReport { route, ..Default::default() }).unwrap();
        assert_eq!(json["state"], "connecting");
        assert_eq!((&json["node"], &json["hops"]), (&"b".into(), &1.into()));
        assert!(json["video"]["firstFrameMs"].is_null() && json["lossRatio"] == 0.0);
    }
}
