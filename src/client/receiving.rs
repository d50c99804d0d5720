//! The task of a player: packets and frames in, a report out.

use std::time::{Duration, Instant, SystemTime};

use str0m::format::Codec;
use str0m::media::{KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::{Event, Rtc, RtcError};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::WatchReport;
use super::connection::{Connection, Observer, Packet};
use super::link::Link;
use super::report::{FrameSeen, Meter};
use super::stamp;

const REPORT_EVERY: Duration = Duration::from_millis(250);
/// As long as a decoder that misses a key frame waits before it asks again.
const KEY_FRAME_SPACING: Duration = Duration::from_millis(500);

pub(super) struct Receiving {
    connection: Connection,
    view: View,
}

/// What is told to the outside.
struct View {
    now: WatchReport,
    meter: Meter,
    link: Link,
    sender: watch::Sender<WatchReport>,
    payloads: Vec<Payload>,
    /// M-lines the server offered, not yet looked at.
    added: Vec<Mid>,
    /// Something happened for the first time, which the outside waits for.
    news: bool,
    /// Video with a gap in it: nothing to decode before the next key frame.
    broken: Option<Mid>,
    delays: Option<mpsc::Sender<Duration>>,
    key_frame_asked: Option<Instant>,
}

/// What a payload type stands for in this session.
#[derive(Debug, Clone, Copy)]
struct Payload {
    number: u8,
    mid: Mid,
    kind: MediaKind,
    retransmission: bool,
}

impl Receiving {
    /// `connection` with both descriptions applied, and `mids` we offered; those of the server announce themselves.
    pub(super) fn new(
        connection: Connection,
        mids: &[Mid],
        asked: Instant,
        sender: watch::Sender<WatchReport>,
        delays: Option<mpsc::Sender<Duration>>,
    ) -> Receiving {
        let now = sender.borrow().clone();
        let view = View {
            now,
            meter: Meter::new(asked),
            link: Link::new(asked),
            sender,
            payloads: mids.iter().flat_map(|mid| payloads(&connection.rtc, *mid)).collect(),
            added: Vec::new(),
            news: false,
            broken: None,
            delays,
            key_frame_asked: None,
        };
        Receiving { connection, view }
    }

    /// Receives until `stop`, or until the server ends the connection.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            ended = self.receive() => ended,
        };
        self.connection.close();
        self.view.link.end(ended);
        self.view.publish();
    }

    async fn receive(&mut self) -> Result<(), RtcError> {
        let Receiving { connection, view } = self;
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        connection.tick()?;
        loop {
            connection.drain(view)?;
            for mid in std::mem::take(&mut view.added) {
                view.payloads.extend(payloads(&connection.rtc, mid));
            }
            if view.link.over || !connection.rtc.is_alive() {
                return Ok(());
            }
            if std::mem::take(&mut view.news) {
                view.publish();
            }
            tokio::select! {
                stepped = connection.step() => {
                    if let Some(packet) = stepped? {
                        view.packet(packet);
                    }
                }
                _ = report.tick() => {
                    view.publish();
                    view.key_frame_if_needed(&mut connection.rtc);
                    if view.link.is_silent(Instant::now()) {
                        connection.retry_ice();
                    }
                }
            }
        }
    }
}

/// The payload types of one m-line.
fn payloads(rtc: &Rtc, mid: Mid) -> Vec<Payload> {
    let Some(media) = rtc.media(mid) else {
        return Vec::new();
    };
    let kind = media.kind();
    let negotiated =
        rtc.codec_config().params().iter().filter(|params| media.remote_pts().contains(&params.pt()));
    negotiated
        .flat_map(|params| {
            let main = Payload { number: *params.pt(), mid, kind, retransmission: false };
            let resend =
                params.resend().map(|number| Payload { number: *number, retransmission: true, ..main });
            [Some(main), resend]
        })
        .flatten()
        .collect()
}

impl Observer for View {
    fn event(&mut self, event: Event) {
        self.news |= self.link.see(&event, Instant::now());
        match event {
            Event::MediaAdded(media) => self.added.push(media.mid),
            Event::MediaData(data) => self.frame(&data),
            _ => {}
        }
    }
}

impl View {
    fn packet(&mut self, packet: Packet) {
        let number = packet.header.payload_type;
        let Some(payload) = self.payloads.iter().find(|payload| payload.number == number) else {
            return;
        };
        if payload.retransmission {
            self.meter.retransmission();
            return;
        }
        self.news |= self.meter.packet(packet.at, payload.kind, packet.header, packet.bytes);
    }

    fn frame(&mut self, data: &MediaData) {
        let codec = data.params.spec().codec;
        let (kind, key) = (codec.kind(), data.is_keyframe());
        if kind == MediaKind::Video {
            if key {
                self.broken = None;
            } else if !data.contiguous {
                self.broken = Some(data.mid);
            }
        }
        if let Some(delays) = &self.delays
            && let Some(age) = stamp::age(&data.data, SystemTime::now())
        {
            // Who doesn't keep up with them misses some.
            let _ = delays.try_send(age);
        }
        let size = (codec == Codec::Vp8 && key).then(|| vp8_size(&data.data)).flatten();
        let frame = FrameSeen { kind, codec: name(codec), key, size };
        self.news |= self.meter.frame(Instant::now(), frame);
    }

    /// Asks for a key frame as a decoder would that has nothing to show.
    fn key_frame_if_needed(&mut self, rtc: &mut Rtc) {
        let video =
            || self.payloads.iter().find(|payload| payload.kind == MediaKind::Video).map(|video| video.mid);
        let lacking = self.broken.or_else(|| self.meter.lacks_key_frame().then(video).flatten());
        let Some(mid) = lacking else {
            return;
        };
        if self.key_frame_asked.is_some_and(|asked| asked.elapsed() < KEY_FRAME_SPACING) {
            return;
        }
        self.key_frame_asked = Some(Instant::now());
        if let Some(mut writer) = rtc.writer(mid)
            && let Err(error) = writer.request_keyframe(None, KeyframeRequestKind::Pli)
        {
            tracing::debug!(%error, "no key frame asked for");
        }
    }

    fn publish(&mut self) {
        self.meter.fill(Instant::now(), &mut self.now);
        self.now.state = self.link.state;
        self.now.reason.clone_from(&self.link.reason);
        self.now.connected_ms = self.link.connected_ms;
        self.now.rtt_ms = self.link.rtt_ms;
        self.sender.send_replace(self.now.clone());
    }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::H264 => "H264",
        Codec::Av1 => "AV1",
        _ => "other",
    }
}

/// Width and height in a VP8 key frame (RFC 6386 §9.1); the two top bits of each are for scaling.
fn vp8_size(frame: &[u8]) -> Option<(u16, u16)> {
    let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *frame.first_chunk::<10>()? else {
        return None;
    };
    Some((u16::from_le_bytes([w0, w1]) & 0x3fff, u16::from_le_bytes([h0, h1]) & 0x3fff))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Clip;

    #[test]
    fn reads_the_size_of_a_vp8_picture() {
        let clip = Clip::builtin();
        let sizes: Vec<_> = clip.video.iter().map(|layer| vp8_size(&layer.frames[0].data)).collect();
        assert_eq!(sizes, [Some((160, 90)), Some((320, 180)), Some((640, 360))]);
        assert_eq!(vp8_size(&clip.video[0].frames[1].data), None);
    }
}
