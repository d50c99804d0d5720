//! Telling the log what happens in the room.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::audience::Viewer;
use super::children::{Child, Outlet};
use super::effect::{Effect, Figure};
use super::input::Failure;
use super::publications::Publication;
use super::sources::{Source, Via};
use super::summary::{Said, is_due, notably};
use super::{Core, Moment};
use crate::protocol::claim::EndReason;
use crate::protocol::event::{
    Deed, KeyFrameBurst, LeaveReason, PipeClosed, PipeFailed, PipeHere, PipeOpened, PipeOpening, Quality,
    RoomClosed, RoomModerated, RoomSummary, StreamChanged, StreamCleared, StreamEnded, StreamHere,
    StreamRecovered, StreamStarted, StreamWarning, Turned, ViewerJoined, ViewerLeft, WarningKind, What,
};
use crate::protocol::ids::{PipeId, ProducerId, SessionId, StreamName, Token};
use crate::protocol::media::PipeFlow;
use crate::protocol::refusal::{Code, Refusal};
use crate::room::RoomError;

/// At most so many viewers of a stream are looked at for a summary.
const SAMPLE: usize = 16;
/// So many requests for key frames within [`BURST_WITHIN`] are told: a player that joins needs one.
const BURST: u64 = 24;
const BURST_WITHIN: Duration = Duration::from_secs(10);

impl Core {
    fn record(&mut self, what: What) {
        self.out.push(Effect::Record(what));
    }

    pub(super) fn record_started(&mut self, stream: &StreamName, own: &Publication, takeover: bool) {
        tracing::info!(%stream, publication = %own.id, takeover, "stream started");
        self.record(What::StreamStarted(StreamStarted {
            stream: stream.clone(),
            term: own.term,
            publication: own.id,
            producers: own.claimed_producers(),
            takeover,
            participant: own.app_data.is_some(),
        }));
    }

    pub(super) fn record_changed(&mut self, stream: &StreamName) {
        let Some(own) = self.publications.get(stream) else { return };
        let changed = StreamChanged {
            stream: stream.clone(),
            term: own.term,
            publication: own.id,
            producers: own.claimed_producers(),
        };
        self.record(What::StreamChanged(changed));
    }

    pub(super) fn record_ended(
        &mut self,
        stream: &StreamName,
        own: &Publication,
        reason: EndReason,
        m: &Moment<'_>,
    ) {
        if own.locks {
            // With its moderator.
            self.record_moderated(stream, Deed::Unlocked, None, None);
        }
        tracing::info!(%stream, reason = reason.as_str(), "stream ended");
        self.record(What::StreamEnded(StreamEnded {
            stream: stream.clone(),
            term: own.term,
            publication: own.id,
            reason,
            duration_ms: millis(m.now.saturating_duration_since(own.since)),
            bytes: own.bytes,
        }));
    }

    pub(super) fn record_moderated(
        &mut self,
        by: &StreamName,
        deed: Deed,
        participant: Option<&StreamName>,
        producer: Option<ProducerId>,
    ) {
        let participant = participant.cloned();
        tracing::info!(%by, ?deed, ?participant, "a moderator did something");
        self.record(What::RoomModerated(RoomModerated { by: by.clone(), deed, participant, producer }));
    }

    pub(super) fn record_warning(&mut self, stream: &StreamName, kind: WarningKind, detail: String) {
        tracing::warn!(%stream, kind = kind.as_str(), "{detail}");
        let Some(own) = self.publications.get(stream) else { return };
        let (term, publication) = (own.term, own.id);
        self.out.push(Effect::Count(Figure::Warning(kind)));
        let stream = stream.clone();
        self.record(What::StreamWarning(StreamWarning { stream, term, publication, kind, detail }));
    }

    pub(super) fn record_cleared(&mut self, stream: &StreamName, kind: WarningKind, lasted: Duration) {
        tracing::info!(%stream, kind = kind.as_str(), "stream warning is over");
        let Some(own) = self.publications.get(stream) else { return };
        let (term, publication, stream) = (own.term, own.id, stream.clone());
        let duration_ms = millis(lasted);
        self.record(What::StreamCleared(StreamCleared { stream, term, publication, kind, duration_ms }));
    }

    /// A viewer or publisher was turned away. That a stream isn't live yet is no news: players ask on.
    pub(super) fn turned(&mut self, stream: &StreamName, error: &RoomError, what: fn(Turned) -> What) {
        if let RoomError::Limit(limit) = error {
            self.out.push(Effect::LimitHit(limit));
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
        self.out.push(Effect::RecordOften(error.kind(), what(turned)));
    }

    /// A participant was turned away.
    pub(super) fn participant_turned(&mut self, name: &StreamName, refusal: &Refusal) {
        let reason = refusal.code.as_str();
        let (stream, detail) = (name.clone(), refusal.reason.clone());
        let turned = Turned { room: None, stream, reason: reason.to_owned(), detail, times: 1 };
        self.out.push(Effect::RecordOften(reason, What::ViewerRejected(turned)));
    }

    /// A participant asks for more than `limits.<limit>`: the refusal says so, with what to do, and so does the log.
    pub(super) fn limit_reached(&mut self, limit: &'static str, instead: &str) -> Refusal {
        self.out.push(Effect::LimitHit(limit));
        Refusal::new(Code::Limit, format!("limits.{limit} is reached: {instead}"))
    }

    pub(super) fn record_opening(&mut self, token: Token, pipe: PipeId) {
        let Some(child) = self.downstream.get(token) else { return };
        let opening =
            PipeOpening { pipe, to: child.peer.clone(), attempt: child.failures + 1, hop: self.hop(child) };
        self.record(What::PipeOpening(opening));
    }

    pub(super) fn record_opened(&mut self, token: Token, attempt: u32, setup: Duration) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let opened = PipeOpened {
            pipe: outlet.id,
            to: child.peer.clone(),
            attempt,
            hop: self.hop(child),
            streams: self.streams_on(outlet),
            setup_us: micros(setup),
        };
        self.record(What::PipeOpened(opened));
    }

    pub(super) fn record_failed(&mut self, token: Token, failure: &Failure, m: &Moment<'_>) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let failed = PipeFailed {
            pipe: outlet.id,
            to: child.peer.clone(),
            attempt: child.failures + 1,
            reason: failure.kind().to_owned(),
            detail: failure.to_string(),
            duration_ms: millis(m.now.saturating_duration_since(outlet.opened)),
        };
        self.record(What::PipeFailed(failed));
    }

    /// A pipe is over, or an attempt at one that didn't get so far.
    pub(super) fn record_over(&mut self, token: Token, why: &str, lost: bool, m: &Moment<'_>) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let (pipe, to) = (outlet.id, child.peer.clone());
        let duration_ms = millis(m.now.saturating_duration_since(outlet.opened));
        let what = if outlet.is_open() {
            let flow = self.measured.outlets.get(&pipe).copied().unwrap_or_default();
            let (reason, bytes) = (why.to_owned(), flow.bytes_sent);
            What::PipeClosed(PipeClosed { pipe, to, reason, lost, duration_ms, bytes })
        } else {
            let (attempt, reason, detail) = (child.failures + 1, "given_up".to_owned(), why.to_owned());
            What::PipeFailed(PipeFailed { pipe, to, attempt, reason, detail, duration_ms })
        };
        self.record(what);
    }

    pub(super) fn record_joined(&mut self, viewer: &Viewer, warm: bool, took: Duration) {
        let viewers = self.audience.of(&viewer.stream);
        self.record(What::ViewerJoined(ViewerJoined {
            stream: viewer.stream.clone(),
            viewer: viewer.id,
            warm,
            join_us: micros(took),
            viewers,
        }));
    }

    pub(super) fn record_left(&mut self, viewer: &Viewer, reason: LeaveReason, at: Instant, bytes: u64) {
        let viewers = self.audience.of(&viewer.stream);
        self.record(What::ViewerLeft(ViewerLeft {
            stream: viewer.stream.clone(),
            viewer: viewer.id,
            reason,
            duration_ms: millis(at.saturating_duration_since(viewer.since)),
            bytes,
            viewers,
        }));
    }

    /// The room's last word.
    pub fn closed(&self, now: Instant) -> What {
        What::RoomClosed(RoomClosed { duration_ms: millis(now.saturating_duration_since(self.opened)) })
    }

    /// A stream is here again that viewers had waited for.
    pub(super) fn record_recovered(&mut self, stream: &StreamName, m: &Moment<'_>) {
        let Some(gap) = self.audience.regain(stream, m.now) else { return };
        let (viewers, gap_ms) = (self.audience.of(stream), millis(gap));
        // Another publisher that takes over leaves no gap.
        if viewers > 0 && gap_ms > 0 {
            self.record(What::StreamRecovered(StreamRecovered { stream: stream.clone(), gap_ms, viewers }));
        }
    }

    /// Tells bursts of key-frame requests, at most once in ten seconds for a stream.
    pub(super) fn record_bursts(&mut self, now: Instant) {
        let mut bursts = Vec::new();
        for (stream, publication) in self.publications.iter_mut() {
            let Some(uplink) = self.measured.uplinks.get(&publication.session) else { continue };
            let window = &mut publication.key_frames;
            let requests = uplink.key_frame_requests.saturating_sub(window.requests);
            let within = now.saturating_duration_since(window.since);
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
    pub(super) fn record_summary(&mut self, m: &Moment<'_>) {
        // A new log knows nothing of the room.
        if std::mem::replace(&mut self.told_log, m.log) != m.log {
            self.said = None;
        }
        let (interval, changes) = (self.config.events.summary, self.shaped());
        let differ = |told: &RoomSummary| self.figures_differ(told);
        // Publishers fall silent, and something is wrong with them, with time alone.
        let as_told = |here: &StreamHere| self.publisher_is_as_told(here, m.now);
        let holds =
            |said: &Said| said.holds(changes, differ, interval, m.now) && said.streams().iter().all(as_told);
        if self.said.as_ref().is_some_and(holds) {
            return;
        }
        let summary = self.summary(m);
        if !is_due(self.said.as_ref(), &summary, interval, m.now) {
            return self.said.iter_mut().for_each(|said| said.keeps(&summary, changes));
        }
        self.said = Some(Said::after(self.said.take(), summary.clone(), changes, m.now));
        let samples = summary.streams.iter().map(|here| (here.stream.clone(), self.sample(&here.stream)));
        let samples: BTreeMap<_, _> = samples.collect();
        self.out.push(Effect::Summarize(summary, samples));
    }

    /// What changes with the shape of the room, beside its publishers.
    fn shaped(&self) -> [u64; 3] {
        [self.sources.changes(), self.downstream.changes(), self.audience.watches()]
    }

    fn publisher_is_as_told(&self, here: &StreamHere, now: Instant) -> bool {
        let own = self.publications.get(&here.stream);
        let warnings = own.map(|own| own.health.warnings()).unwrap_or_default();
        let locks = own.is_some_and(|own| own.locks);
        here.muted == own.is_some_and(|own| own.is_muted(now))
            && here.locks == locks
            && here.warnings == warnings
    }

    /// Whether the figures of a room whose shape is as it was told are others.
    fn figures_differ(&self, told: &RoomSummary) -> bool {
        let stream = |here: &StreamHere| {
            let inlet = self.sources.get(&here.stream).and_then(|source| self.inlet_of(source));
            here.viewers != self.audience.of(&here.stream)
                || notably(here.bitrate, self.bitrate(&here.stream, inlet))
                || notably(here.lost, inlet.map_or(0, |flow| flow.lost))
        };
        let bitrate = |pipe: &PipeId| self.measured.outlets.get(pipe).map_or(0, |flow| flow.bitrate);
        told.waiting != self.waiting()
            || told.streams.iter().any(stream)
            || told.pipes.iter().any(|pipe| notably(pipe.bitrate, bitrate(&pipe.pipe)))
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.audience.waiting()).unwrap_or(u32::MAX)
    }

    fn bitrate(&self, stream: &StreamName, inlet: Option<&PipeFlow>) -> u64 {
        match self.publications.get(stream) {
            Some(publication) => publication.bitrate,
            None => inlet.map_or(0, |flow| flow.bitrate),
        }
    }

    fn inlet_of(&self, source: &Source) -> Option<&PipeFlow> {
        match source.via {
            Via::Pipe(pipe) => self.measured.inlets.get(&pipe),
            Via::Publisher => None,
        }
    }

    fn summary(&self, m: &Moment<'_>) -> RoomSummary {
        let mut streams: BTreeMap<&StreamName, StreamHere> =
            self.sources.iter().map(|(stream, it)| (stream, self.here(stream, Some(it), m.now))).collect();
        for stream in self.audience.watched() {
            let here = streams.entry(stream).or_insert_with(|| self.here(stream, None, m.now));
            here.viewers = self.audience.of(stream);
        }
        let pipes = self.downstream.outlets().map(|(child, outlet)| PipeHere {
            pipe: outlet.id,
            to: child.peer.clone(),
            open: outlet.is_open(),
            since: outlet.opened_at,
            streams: self.streams_on(outlet),
            bitrate: self.measured.outlets.get(&outlet.id).map_or(0, |flow| flow.bitrate),
        });
        RoomSummary {
            pipes: pipes.collect(),
            streams: streams.into_values().collect(),
            waiting: self.waiting(),
        }
    }

    /// A stream as it is here, without its viewers.
    fn here(&self, stream: &StreamName, source: Option<&Source>, now: Instant) -> StreamHere {
        let publication = self.publications.get(stream);
        let inlet = source.and_then(|source| self.inlet_of(source));
        StreamHere {
            stream: stream.clone(),
            term: source.map_or(0, |source| self.term_of(stream, source)),
            publication: source.map(|source| source.publication),
            path: source.map(|source| source.path.clone()).unwrap_or_default(),
            started_at: publication.map(|publication| publication.started_at),
            producers: source.map(Source::claimed).unwrap_or_default(),
            bitrate: self.bitrate(stream, inlet),
            lost: inlet.map_or(0, |flow| flow.lost),
            viewers: 0,
            muted: publication.is_some_and(|own| own.is_muted(now)),
            participant: publication.is_some_and(|own| own.app_data.is_some()),
            locks: publication.is_some_and(|own| own.locks),
            warnings: publication.map(|own| own.health.warnings()).unwrap_or_default(),
            quality: Quality::default(),
        }
    }

    fn term_of(&self, stream: &StreamName, source: &Source) -> u64 {
        match self.publications.get(stream) {
            Some(own) => own.term,
            None => self.known.rank(stream, source.publication).map_or(0, |(term, _)| term),
        }
    }

    /// A sample of a stream's viewers.
    fn sample(&self, stream: &StreamName) -> Vec<SessionId> {
        let viewers = self.audience.iter().filter(|(_, v)| v.stream == *stream && v.connected);
        let every = (viewers.clone().count() / SAMPLE).max(1);
        viewers.step_by(every).take(SAMPLE).map(|(session, _)| *session).collect()
    }

    fn streams_on(&self, outlet: &Outlet) -> Vec<StreamName> {
        let on = |source: &Source| source.producers.iter().any(|own| outlet.told.contains_key(&own.id));
        self.sources.iter().filter(|(_, source)| on(source)).map(|(stream, _)| stream.clone()).collect()
    }

    /// Which hop from the origin the pipe to a child is.
    fn hop(&self, child: &Child) -> u8 {
        let wanted = self.sources.iter().filter(|(stream, _)| child.wants(stream));
        let longest = wanted.map(|(_, source)| source.path.len()).max().unwrap_or(0);
        u8::try_from(longest + 1).unwrap_or(u8::MAX)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
