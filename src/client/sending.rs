//! The task of a publisher: frames out at their time, requests in.

use std::time::{Duration, Instant, SystemTime};

use str0m::media::{Frequency, MediaKind, MediaTime};
use str0m::{Event, RtcError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Observer, Packet};
use super::link::Link;
use super::outgoing::Outgoing;
use super::rate::RateMeter;
use super::stamp::stamp;
use super::{PublishOptions, PublishStats};

const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Whoever asks for key frames all the time gets no more than this.
const KEY_FRAME_SPACING: Duration = Duration::from_millis(300);
/// A process that slept longer goes on from now instead of sending all it missed.
const LONGEST_LAG: Duration = Duration::from_secs(1);
/// Until the connection is up there is nothing to send.
const IDLE: Duration = Duration::from_secs(3600);

pub(super) struct Sending {
    connection: Connection,
    streams: Vec<Outgoing>,
    /// When media time zero was.
    epoch: Option<Instant>,
    stats: Stats,
    key_frame_on_request: bool,
    stamped: bool,
    last_key_frame: Option<Instant>,
}

/// What is told to the outside.
struct Stats {
    now: PublishStats,
    link: Link,
    rate: RateMeter,
    sender: watch::Sender<PublishStats>,
    key_frame_wanted: bool,
}

impl Sending {
    pub(super) fn new(
        connection: Connection,
        streams: Vec<Outgoing>,
        asked: Instant,
        sender: watch::Sender<PublishStats>,
        options: &PublishOptions,
    ) -> Sending {
        let now = sender.borrow().clone();
        let stats = Stats {
            now,
            link: Link::new(asked),
            rate: RateMeter::default(),
            sender,
            key_frame_wanted: false,
        };
        Sending {
            connection,
            streams,
            epoch: None,
            stats,
            key_frame_on_request: options.key_frame_on_request,
            stamped: options.stamped,
            last_key_frame: None,
        }
    }

    /// Sends until `stop`, or until the server ends the connection.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            ended = self.send() => ended,
        };
        self.connection.close();
        self.stats.link.end(ended);
        self.stats.publish();
    }

    async fn send(&mut self) -> Result<(), RtcError> {
        let mut report = tokio::time::interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.connection.tick()?;
        loop {
            self.connection.drain(&mut self.stats)?;
            if self.stats.link.over || !self.connection.rtc.is_alive() {
                return Ok(());
            }
            if self.epoch.is_none() && self.stats.link.connected_ms.is_some() {
                self.epoch = Some(Instant::now());
            }
            self.key_frame_if_wanted();
            let due = self.due();
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => self.write(due)?,
                stepped = self.connection.step() => { stepped?; }
                _ = report.tick() => {
                    self.stats.publish();
                    if self.stats.link.is_silent(Instant::now()) {
                        self.connection.retry_ice();
                    }
                }
            }
        }
    }

    /// When the next frame of any stream is to be sent.
    fn due(&mut self) -> Instant {
        let now = Instant::now();
        let (Some(epoch), Some(next)) =
            (self.epoch, self.streams.iter().map(|stream| stream.cursor.due()).min())
        else {
            return now + IDLE;
        };
        let lag = now.saturating_duration_since(epoch + next);
        if lag > LONGEST_LAG {
            self.epoch = Some(epoch + lag);
        }
        self.epoch.unwrap_or(epoch) + next
    }

    /// Sends all the frames that are due.
    fn write(&mut self, now: Instant) -> Result<(), RtcError> {
        let Some(epoch) = self.epoch else {
            return Ok(());
        };
        let Sending { connection, streams, stats, last_key_frame, stamped, .. } = self;
        for stream in streams {
            let time = stream.cursor.due();
            if epoch + time > now {
                continue;
            }
            let (Some(mid), Some(payload_type), Some(frame)) =
                (stream.mid, stream.payload_type, stream.cursor.next())
            else {
                continue;
            };
            let clock = match stream.kind {
                MediaKind::Audio => Frequency::FORTY_EIGHT_KHZ,
                MediaKind::Video => Frequency::NINETY_KHZ,
            };
            let Some(mut writer) = connection.rtc.writer(mid) else {
                continue;
            };
            if let Some(rid) = stream.rid {
                writer = writer.rid(rid);
            }
            let data = match stamped {
                true => stamp(stream.codec, &frame.data, SystemTime::now()),
                false => frame.data.clone(),
            };
            writer.write(payload_type, epoch + time, media_time(time, clock), data)?;
            // Each frame on its own: the library makes packets of one at a time, and keeps few waiting.
            connection.tick()?;
            connection.drain(stats)?;
            match stream.kind {
                MediaKind::Audio => stats.now.audio_frames += 1,
                MediaKind::Video => {
                    stats.now.video_frames += 1;
                    if frame.key {
                        *last_key_frame = Some(now);
                    }
                }
            }
        }
        Ok(())
    }

    /// Jumps to a key frame, in all layers, as an encoder would make one.
    fn key_frame_if_wanted(&mut self) {
        if !self.stats.key_frame_wanted {
            return;
        }
        if self.last_key_frame.is_some_and(|last| last.elapsed() < KEY_FRAME_SPACING) {
            return;
        }
        self.stats.key_frame_wanted = false;
        if self.key_frame_on_request {
            let video = self.streams.iter_mut().filter(|stream| stream.kind == MediaKind::Video);
            video.for_each(|stream| stream.cursor.skip_to_key());
        }
    }
}

/// The nearest tick of the RTP clock.
fn media_time(time: Duration, clock: Frequency) -> MediaTime {
    const SECOND: u128 = 1_000_000_000;
    let ticks = (time.as_nanos() * u128::from(clock.get()) + SECOND / 2) / SECOND;
    MediaTime::new(u64::try_from(ticks).unwrap_or(u64::MAX), clock)
}

impl Observer for Stats {
    fn event(&mut self, event: Event) {
        let news = self.link.see(&event, Instant::now());
        match event {
            Event::KeyframeRequest(_) => {
                self.now.key_frame_requests += 1;
                self.key_frame_wanted = true;
            }
            Event::PeerStats(stats) => {
                self.now.loss_ratio = stats.egress_loss_fraction.or(self.now.loss_ratio);
            }
            _ => {}
        }
        if news {
            self.publish();
        }
    }

    fn sent(&mut self, packet: Packet) {
        self.now.packets += 1;
        self.now.bytes += packet.bytes as u64;
        self.rate.add(packet.at, packet.bytes);
    }
}

impl Stats {
    fn publish(&mut self) {
        self.now.state = self.link.state;
        self.now.reason.clone_from(&self.link.reason);
        self.now.connected_ms = self.link.connected_ms;
        self.now.rtt_ms = self.link.rtt_ms;
        self.now.bitrate_bps = self.rate.bps(Instant::now());
        self.sender.send_replace(self.now.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_time_is_the_nearest_tick() {
        let ticks = |nanos, clock| media_time(Duration::from_nanos(nanos), clock).numer();
        assert_eq!(ticks(40_000_000, Frequency::NINETY_KHZ), 3600);
        assert_eq!(ticks(33_333_333, Frequency::NINETY_KHZ), 3000);
        assert_eq!(ticks(3_600_020_000_000, Frequency::FORTY_EIGHT_KHZ), 172_800_960);
    }
}
