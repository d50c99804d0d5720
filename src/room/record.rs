//! Telling the log what happens in the room.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::error::RoomError;
use super::state::{Child, Outlet, Publication, Room, Source, Via, Viewer};
use super::summary::{Said, is_due};
use crate::protocol::announcement::{AnnouncedProducer, EndReason};
use crate::protocol::event::{
    About, KeyFrameBurst, LeaveReason, PipeClosed, PipeFailed, PipeHere, PipeOpened, PipeOpening, Quality,
    RoomClosed, RoomSummary, StreamChanged, StreamEnded, StreamHere, StreamRecovered, StreamStarted, Turned,
    ViewerJoined, ViewerLeft, What,
};
use crate::protocol::ids::{NodeName, PipeId, SessionId, StreamName};

/// At most so many viewers of a stream are looked at for a summary.
const SAMPLE: usize = 16;
/// So many requests for key frames within [`BURST_WITHIN`] are told: a player that joins needs one.
const BURST: u64 = 24;
const BURST_WITHIN: Duration = Duration::from_secs(10);

impl Room {
    pub(super) fn record(&self, what: What) {
        self.ctx.events.record(About::Room(self.id.clone()), what);
    }

    pub(super) fn record_started(&self, publication: &Publication, takeover: bool) {
        self.record(What::StreamStarted(StreamStarted {
            stream: publication.stream.clone(),
            publication: publication.id,
            producers: publication.announced(),
            takeover,
        }));
    }

    pub(super) fn record_changed(&self, publication: &Publication) {
        self.record(What::StreamChanged(StreamChanged {
            stream: publication.stream.clone(),
            publication: publication.id,
            producers: publication.announced(),
        }));
    }

    pub(super) fn record_ended(&self, publication: &Publication, reason: EndReason) {
        self.record(What::StreamEnded(StreamEnded {
            stream: publication.stream.clone(),
            publication: publication.id,
            reason,
            duration_ms: millis(publication.since.elapsed()),
            bytes: publication.bytes,
        }));
    }

    /// A viewer or publisher was turned away. That a stream isn't live yet is no news: players ask on.
    pub(super) fn turned(&self, stream: &StreamName, error: &RoomError, what: fn(Turned) -> What) {
        if let RoomError::Limit(limit) = error {
            self.ctx.events.limit_hit(limit);
        }
        if matches!(error, RoomError::NotLive { .. }) {
            return;
        }
        let turned = Turned {
            room: None,
            stream: stream.clone(),
            reason: error.kind().to_owned(),
            detail: error.to_string(),
            times: 1,
        };
        self.ctx.events.record_often(About::Room(self.id.clone()), error.kind(), what(turned));
    }

    pub(super) fn record_opening(&self, node: &NodeName, pipe: PipeId) {
        let Some(child) = self.children.get(node) else { return };
        self.record(What::PipeOpening(PipeOpening {
            pipe,
            to: child.peer.clone(),
            attempt: child.failures + 1,
            hop: self.hop(child),
        }));
    }

    pub(super) fn record_opened(&self, node: &NodeName, attempt: u32, setup: Duration) {
        let Some(child) = self.children.get(node) else { return };
        let Some(outlet) = &child.pipe else { return };
        self.record(What::PipeOpened(PipeOpened {
            pipe: outlet.id,
            to: child.peer.clone(),
            attempt,
            hop: self.hop(child),
            streams: self.streams_on(outlet),
            setup_us: micros(setup),
        }));
    }

    pub(super) fn record_failed(&self, node: &NodeName, pipe: PipeId, reason: &str, detail: String) {
        let Some(child) = self.children.get(node) else { return };
        let lasted = child.pipe.as_ref().map_or(Duration::ZERO, |outlet| outlet.opened.elapsed());
        self.record(What::PipeFailed(PipeFailed {
            pipe,
            to: child.peer.clone(),
            attempt: child.failures + 1,
            reason: reason.to_owned(),
            detail,
            duration_ms: millis(lasted),
        }));
    }

    pub(super) fn record_closed(&self, child: &Child, outlet: &Outlet, reason: &str, lost: bool) {
        let flow = self.measured.outlets.get(&outlet.id).copied().unwrap_or_default();
        self.record(What::PipeClosed(PipeClosed {
            pipe: outlet.id,
            to: child.peer.clone(),
            reason: reason.to_owned(),
            lost,
            duration_ms: millis(outlet.opened.elapsed()),
            bytes: flow.bytes_sent,
        }));
    }

    pub(super) fn record_joined(&self, viewer: &Viewer, warm: bool, took: Duration) {
        self.record(What::ViewerJoined(ViewerJoined {
            stream: viewer.stream.clone(),
            viewer: viewer.id,
            warm,
            join_us: micros(took),
            viewers: self.viewers_of(&viewer.stream),
        }));
    }

    pub(super) fn record_left(&self, viewer: &Viewer, reason: LeaveReason, bytes: u64) {
        self.record(What::ViewerLeft(ViewerLeft {
            stream: viewer.stream.clone(),
            viewer: viewer.id,
            reason,
            duration_ms: millis(viewer.since.elapsed()),
            bytes,
            viewers: self.viewers_of(&viewer.stream),
        }));
    }

    pub(super) fn record_room_closed(&self) {
        self.record(What::RoomClosed(RoomClosed { duration_ms: millis(self.opened.elapsed()) }));
    }

    /// A stream is here again that viewers had waited for.
    pub(super) fn record_recovered(&mut self, stream: &StreamName) {
        let Some(gone) = self.gone_since.remove(stream) else { return };
        let (viewers, gap_ms) = (self.viewers_of(stream), millis(gone.elapsed()));
        // Another publisher that takes over leaves no gap.
        if viewers > 0 && gap_ms > 0 {
            self.record(What::StreamRecovered(StreamRecovered { stream: stream.clone(), gap_ms, viewers }));
        }
    }

    pub(super) fn viewers_of(&self, stream: &StreamName) -> u32 {
        let viewers = self.viewers.values().filter(|viewer| viewer.stream == *stream).count();
        u32::try_from(viewers).unwrap_or(u32::MAX)
    }

    /// Tells bursts of key-frame requests, at most once in ten seconds for a stream.
    pub(super) fn record_bursts(&mut self, now: Instant) {
        let mut bursts = Vec::new();
        for (stream, publication) in &mut self.publications {
            let Some(uplink) = self.measured.uplinks.get(&publication.session) else { continue };
            let window = &mut publication.key_frames;
            let (requests, within) =
                (uplink.key_frame_requests.saturating_sub(window.requests), now.duration_since(window.since));
            if requests >= BURST {
                bursts.push(KeyFrameBurst {
                    stream: stream.clone(),
                    requests: u32::try_from(requests).unwrap_or(u32::MAX),
                    within_ms: millis(within),
                });
            }
            if requests >= BURST || within >= BURST_WITHIN {
                window.requests = uplink.key_frame_requests;
                window.since = now;
            }
        }
        for burst in bursts {
            self.record(What::KeyFrameBurst(burst));
        }
    }

    /// Tells all that is here, where that changed since it was last told, or it was long ago.
    pub(super) async fn record_summary(&mut self, now: Instant) {
        // A new log knows nothing of the room.
        let log = self.ctx.events.log();
        if std::mem::replace(&mut self.told_log, log) != log {
            self.said = None;
        }
        let mut summary = self.summary();
        if !is_due(self.said.as_ref(), &summary, self.ctx.config.events.summary, now) {
            return;
        }
        let said = Said::after(self.said.take(), summary.clone(), now);
        self.said = Some(said);
        for here in &mut summary.streams {
            here.quality = self.quality(&here.stream).await;
        }
        self.record(What::RoomSummary(summary));
    }

    fn summary(&self) -> RoomSummary {
        let mut streams: BTreeMap<&StreamName, StreamHere> =
            self.sources.iter().map(|(stream, source)| (stream, self.here(stream, Some(source)))).collect();
        for viewer in self.viewers.values() {
            streams.entry(&viewer.stream).or_insert_with(|| self.here(&viewer.stream, None)).viewers += 1;
        }
        let pipes = self.children.values().filter_map(|child| {
            let outlet = child.pipe.as_ref()?;
            Some(PipeHere {
                pipe: outlet.id,
                to: child.peer.clone(),
                open: outlet.connected,
                since: outlet.opened_at,
                streams: self.streams_on(outlet),
                bitrate: self.measured.outlets.get(&outlet.id).map_or(0, |flow| flow.bitrate),
            })
        });
        RoomSummary {
            pipes: pipes.collect(),
            streams: streams.into_values().collect(),
            waiting: u32::try_from(self.waiting.len()).unwrap_or(u32::MAX),
        }
    }

    /// A stream as it is here, without its viewers.
    fn here(&self, stream: &StreamName, source: Option<&Source>) -> StreamHere {
        let publication = self.publications.get(stream);
        let inlet = source.and_then(|source| match source.via {
            Via::Pipe(pipe) => self.measured.inlets.get(&pipe),
            Via::Publisher => None,
        });
        StreamHere {
            stream: stream.clone(),
            publication: source.map(|source| source.publication),
            path: source.map(|source| source.path.clone()).unwrap_or_default(),
            started_at: publication.map(|publication| publication.started_at),
            producers: source.map(Source::announced).unwrap_or_default(),
            bitrate: match publication {
                Some(publication) => publication.bitrate,
                None => inlet.map_or(0, |flow| flow.bitrate),
            },
            lost: inlet.map_or(0, |flow| flow.lost),
            viewers: 0,
            quality: Quality::default(),
        }
    }

    /// What a sample of a stream's viewers get.
    async fn quality(&self, stream: &StreamName) -> Quality {
        let of_stream =
            self.viewers.iter().filter(|(_, viewer)| viewer.stream == *stream && viewer.connected);
        let step = (of_stream.clone().count() / SAMPLE).max(1);
        let sample: Vec<SessionId> =
            of_stream.step_by(step).take(SAMPLE).map(|(session, _)| *session).collect();
        let mut quality = Quality::default();
        let mut bitrates = 0;
        for session in sample {
            let Some(flow) = self.media.viewer_flow(session).await else { continue };
            quality.sampled += 1;
            bitrates += flow.bitrate;
            let least = quality.least_estimate.into_iter().chain(flow.estimate).min();
            quality.least_estimate = least;
            if let Some(layer) = flow.layer.map(usize::from) {
                quality.layers.resize(quality.layers.len().max(layer + 1), 0);
                quality.layers.get_mut(layer).into_iter().for_each(|count| *count += 1);
            }
        }
        quality.bitrate = bitrates / u64::from(quality.sampled.max(1));
        quality
    }

    fn streams_on(&self, outlet: &Outlet) -> Vec<StreamName> {
        let on =
            |source: &Source| source.producers.iter().any(|producer| outlet.told.contains_key(&producer.id));
        self.sources.iter().filter(|(_, source)| on(source)).map(|(stream, _)| stream.clone()).collect()
    }

    /// Which hop from the origin the pipe to a child is.
    fn hop(&self, child: &Child) -> u8 {
        let wanted = self.sources.iter().filter(|(stream, _)| child.wanted.contains(*stream));
        let longest = wanted.map(|(_, source)| source.path.len()).max().unwrap_or(0);
        u8::try_from(longest + 1).unwrap_or(u8::MAX)
    }
}

impl Source {
    fn announced(&self) -> Vec<AnnouncedProducer> {
        self.producers.iter().map(AnnouncedProducer::from).collect()
    }
}

impl Publication {
    /// Its producers as they are announced.
    pub(super) fn announced(&self) -> Vec<AnnouncedProducer> {
        self.producers.iter().map(AnnouncedProducer::from).collect()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
