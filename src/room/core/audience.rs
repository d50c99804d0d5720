//! The viewers of this node: they come, wait for their stream, are served and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::effect::{Answer, Effect, Figure};
use super::input::{Ticket, WatchRequest};
use super::sessions::Life;
use super::sources::{Source, Via};
use super::wishes::{Part, Wishes};
use super::{Core, Moment};
use crate::protocol::event::{LeaveReason, ViewerId, What};
use crate::protocol::gate::TokenKey;
use crate::protocol::ids::{ProducerId, SessionId, StreamName};
use crate::protocol::media::{MediaError, Medium, TransportInfo};
use crate::protocol::presence::Role;
use crate::room::RoomError;

/// For so long a viewer that had media is kept while it doesn't come, though it is sent.
const STARVED: Duration = Duration::from_secs(60);

/// The viewers of this node.
#[derive(Debug, Default)]
pub(super) struct Audience {
    viewers: BTreeMap<SessionId, Viewer>,
    /// Those of them that have not connected.
    connecting: BTreeSet<SessionId>,
    /// Viewers whose stream is on its way.
    waiting: BTreeMap<StreamName, BTreeMap<Ticket, Waiting>>,
    /// Viewers that are being connected right now.
    opening: BTreeMap<SessionId, Opening>,
    /// How many viewers each stream has.
    counts: BTreeMap<StreamName, u32>,
    /// What of the streams is wanted here.
    pub(super) wishes: Wishes,
    /// Since when streams are gone that viewers wait for.
    gone_since: BTreeMap<StreamName, Instant>,
    /// Raised whenever other streams are watched than before.
    watches: u64,
}

/// A viewer that is served.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Its name in events.
    pub(super) id: ViewerId,
    pub(super) stream: StreamName,
    pub(super) since: Instant,
    pub(super) connected: bool,
    /// When it is given up if it isn't connected.
    connect_by: Instant,
    /// The producers that it is being sent.
    showing: Vec<ProducerId>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    request: WatchRequest,
    since: Instant,
}

#[derive(Debug)]
struct Opening {
    ticket: Ticket,
    stream: StreamName,
    since: Instant,
    kind: &'static str,
    /// Whether it has to answer our description first.
    answers: bool,
    showing: Vec<ProducerId>,
}

/// How long a counter-offer may be answered (draft-ietf-wish-whep).
pub const COUNTER_OFFER: Duration = Duration::from_secs(30);

impl Audience {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&SessionId, &Viewer)> + Clone {
        self.viewers.iter()
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&Viewer> {
        self.viewers.get(&session)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty() && self.waiting.is_empty() && self.opening.is_empty()
    }

    /// Whether there are no more than so many viewers, all of them connected and here for so long.
    pub(super) fn rests(&self, most: usize, lasting: Duration, now: Instant) -> bool {
        let is_old = |viewer: &Viewer| now.saturating_duration_since(viewer.since) > lasting;
        self.waiting.is_empty()
            && self.opening.is_empty()
            && self.viewers.len() <= most
            && self.viewers.values().all(|viewer| viewer.connected && is_old(viewer))
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    /// Raised whenever other streams are watched than before.
    pub(super) fn watches(&self) -> u64 {
        self.watches
    }

    /// How many viewers a stream has.
    pub(super) fn of(&self, stream: &StreamName) -> u32 {
        self.counts.get(stream).copied().unwrap_or(0)
    }

    /// The streams that have viewers.
    pub(super) fn watched(&self) -> impl Iterator<Item = &StreamName> {
        self.counts.keys()
    }

    /// Notes that the streams that someone watches or waits for are wanted still, and `others` with them; and forgets
    /// those that have not been for `idle`.
    pub(super) fn want<'a>(
        &mut self,
        others: impl Iterator<Item = (&'a StreamName, Part)>,
        idle: Duration,
        now: Instant,
    ) {
        for stream in self.counts.keys().chain(self.waiting.keys()) {
            self.wishes.note(stream, Part::Whole, now);
        }
        for (stream, part) in others {
            self.wishes.note(stream, part, now);
        }
        self.wishes.forget(idle, now);
    }

    /// The trace of a viewer that waits for one of these streams.
    pub(super) fn trace_of(&self, streams: &super::upstream::Streams) -> Option<crate::telemetry::Trace> {
        let (_, waits) = streams.iter().find_map(|stream| self.waiting.get(stream)?.first_key_value())?;
        Some(waits.request.trace)
    }

    fn count(&mut self, stream: &StreamName) {
        let count = self.counts.entry(stream.clone()).or_default();
        *count += 1;
        self.watches += u64::from(*count == 1);
    }

    fn uncount(&mut self, stream: &StreamName) {
        if let Some(count) = self.counts.get_mut(stream) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(stream);
                self.watches += 1;
                self.gone_since.remove(stream);
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        let of = self.waiting.entry(waiting.request.stream.clone()).or_default();
        of.insert(waiting.ticket, waiting);
    }

    fn wait_no_more(&mut self, stream: &StreamName, ticket: Ticket) -> Option<Waiting> {
        let of = self.waiting.get_mut(stream)?;
        let waiting = of.remove(&ticket)?;
        if of.is_empty() {
            self.waiting.remove(stream);
        }
        Some(waiting)
    }

    /// Who waits for a stream, and does no more.
    fn take_waiting(&mut self, stream: &StreamName) -> impl Iterator<Item = Waiting> + use<> {
        self.waiting.remove(stream).into_iter().flat_map(BTreeMap::into_values)
    }

    /// Those who wait of which this holds: they do no more.
    fn take_waiting_if(&mut self, holds: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let all = self.waiting.iter().flat_map(|(stream, of)| of.iter().map(move |it| (stream, it)));
        let taken = all.filter(|(_, (_, waiting))| holds(waiting));
        let taken: Vec<_> = taken.map(|(stream, (ticket, _))| (stream.clone(), *ticket)).collect();
        taken.into_iter().filter_map(|(stream, ticket)| self.wait_no_more(&stream, ticket)).collect()
    }

    /// A stream is here no more: its viewers are shown nothing until it comes back.
    pub(super) fn lose(&mut self, stream: &StreamName, now: Instant) {
        if self.of(stream) == 0 {
            return;
        }
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.stream == *stream) {
            viewer.showing.clear();
        }
        self.gone_since.entry(stream.clone()).or_insert(now);
    }

    /// One producer of a stream is here no more: another of its id has to be shown anew.
    pub(super) fn lose_producer(&mut self, stream: &StreamName, id: ProducerId) {
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.stream == *stream) {
            viewer.showing.retain(|shown| *shown != id);
        }
        for opening in self.opening.values_mut().filter(|opening| opening.stream == *stream) {
            opening.showing.retain(|shown| *shown != id);
        }
    }

    /// How long a stream was away from viewers that kept waiting for it, now that it is back.
    pub(super) fn regain(&mut self, stream: &StreamName, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.gone_since.remove(stream)?))
    }
}

impl Core {
    /// Serves a viewer at once if its stream is here, else keeps it until the stream has come.
    pub(super) fn watch(&mut self, ticket: Ticket, request: WatchRequest, m: &mut Moment<'_>) {
        if let Err(error) = self.may_watch(&request.stream, m) {
            return self.turn_away(ticket, request.session, &request.stream, error);
        }
        self.audience.wishes.note(&request.stream, Part::Whole, m.now);
        let waiting = Waiting { ticket, request, since: m.now };
        if self.is_proved(&waiting.request.stream, m.now) {
            self.open_viewer(waiting, "warm");
        } else {
            self.audience.wait(waiting);
        }
    }

    /// Whether a stream is here in full, and nothing speaks against its media coming: where it was said to be
    /// sent and didn't come, a viewer is not told that it is served before it does.
    fn is_proved(&self, stream: &StreamName, now: Instant) -> bool {
        let whole = self.sources.get(stream).is_some_and(|source| self.is_whole(stream, source));
        whole && (!self.upstream.is_promised(stream, now) || self.sources.stream_flows(stream, now))
    }

    /// Whether all of a stream is here that its origin says it has: parts of it may have been wanted before.
    fn is_whole(&self, stream: &StreamName, source: &Source) -> bool {
        let is_here = |id| source.has(id) || source.refused.contains(&id);
        source.is_complete()
            && !(source.producers.is_empty() && source.refused.is_empty())
            && (source.via == Via::Publisher
                || self.known.producers_of(stream, source.publication).all(is_here))
    }

    /// Serves who waited for media that now comes.
    pub(super) fn serve_proved(&mut self, now: Instant) {
        let proved = self.audience.waiting.keys().filter(|stream| self.is_proved(stream, now));
        for stream in proved.cloned().collect::<Vec<_>>() {
            self.serve_waiting(&stream);
        }
    }

    fn serve_waiting(&mut self, stream: &StreamName) {
        for waiting in self.audience.take_waiting(stream) {
            self.open_viewer(waiting, "cold");
        }
    }

    /// Ends viewers to whom nothing comes though their stream flows at its origin, and no other way was found: one
    /// that never had a picture soon, one that had later, as the way may be open again by then.
    pub(super) fn end_starved_viewers(&mut self, m: &mut Moment<'_>) {
        let known = &self.known;
        // Nothing is due of a stream that is over, or whose publisher sends nothing.
        self.upstream.starved.retain(|stream, _| known.holds(stream, m).is_some_and(|claim| claim.flowing));
        let starved: Vec<_> = self
            .upstream
            .starved
            .iter()
            .filter(|(stream, _)| !self.sources.stream_flows(stream, m.now))
            .map(|(stream, since)| (stream.clone(), m.now.saturating_duration_since(*since)))
            .collect();
        for (stream, lasted) in starved {
            let late = |session: &SessionId| {
                let had = self.lives.get(session).is_some_and(Life::was_sent_any);
                lasted > if had { STARVED } else { self.config.timeouts.pipe_connect }
            };
            let viewers = self.audience.viewers.iter().filter(|(_, viewer)| viewer.stream == stream);
            let late: Vec<_> = viewers.map(|(session, _)| *session).filter(late).collect();
            for session in late {
                self.end_viewer(session, LeaveReason::Starved, m);
            }
        }
    }

    /// Why a viewer can't be taken, if it can't.
    ///
    /// # Errors
    /// [`RoomError`].
    pub fn may_watch(&self, stream: &StreamName, m: &Moment<'_>) -> Result<(), RoomError> {
        if m.draining || self.stop_by.is_some() {
            return Err(RoomError::Draining);
        }
        if !self.config.node.roles.contains(&Role::Edge) {
            return Err(RoomError::Role("viewers"));
        }
        self.is_allowed()?;
        if self.audience.waiting() >= self.limits.waiting {
            return Err(RoomError::Limit("waiting"));
        }
        let here = self.sources.get(stream).is_some_and(|source| source.of > 0);
        // A participant may send nothing.
        if here || self.known.holds(stream, m).is_some_and(|claim| !claim.producers.is_empty()) {
            return Ok(());
        }
        Err(self.not_live(stream, m))
    }

    /// Why a stream can't be watched: nobody claims it, or nobody who is heard.
    fn not_live(&self, stream: &StreamName, m: &Moment<'_>) -> RoomError {
        let retry_after = self.config.timeouts.retry_after;
        if self.known.is_unheard(stream, m) {
            RoomError::Unheard { retry_after }
        } else {
            RoomError::NotLive { retry_after }
        }
    }

    fn turn_away(&mut self, ticket: Ticket, session: SessionId, stream: &StreamName, error: RoomError) {
        self.out.push(Effect::Count(Figure::Join(error.kind(), None)));
        self.turned(stream, &error, What::ViewerRejected);
        self.refuse(ticket, error);
        self.out.push(Effect::Release(session));
    }

    /// A stream is here in full: serves who waited for it and goes on with who watched it before.
    pub(super) fn source_complete(&mut self, stream: &StreamName, m: &mut Moment<'_>) {
        self.record_recovered(stream, m);
        if self.is_proved(stream, m.now) {
            self.serve_waiting(stream);
        }
        self.show_again(stream);
    }

    fn open_viewer(&mut self, waiting: Waiting, kind: &'static str) {
        let Waiting { ticket, request, since } = waiting;
        let (session, stream) = (request.session, request.stream.clone());
        let Some(source) = self.sources.get(&stream) else { return };
        let producers = source.shown();
        if producers.is_empty() {
            let why = "this node has none of the stream's codecs; use another node".to_owned();
            return self.turn_away(ticket, session, &stream, RoomError::Unsupported(why));
        }
        self.note_ice(session, request.ufrag.clone());
        self.note_pass(session, request.pass.clone());
        let showing = producers.iter().map(|producer| producer.id).collect();
        self.audience.count(&stream);
        let opening = Opening { ticket, stream, since, kind, answers: request.dtls.is_none(), showing };
        self.audience.opening.insert(session, opening);
        self.out.push(Effect::OpenViewer(request, producers));
    }

    /// A viewer's end is open, or it can't take the stream.
    pub(super) fn viewer_opened(
        &mut self,
        session: SessionId,
        result: Result<(TransportInfo, Vec<Medium>), MediaError>,
        m: &mut Moment<'_>,
    ) {
        let Some(opening) = self.audience.opening.remove(&session) else { return };
        let Opening { ticket, stream, since, kind, answers, showing } = opening;
        match result {
            Ok((transport, media)) => {
                let elapsed = m.now.saturating_duration_since(since);
                self.out.push(Effect::Count(Figure::Join("ok", Some((kind, elapsed)))));
                self.note_etag(session, &transport);
                let id = ViewerId(m.mint.id());
                let connect_by = m.now + if answers { COUNTER_OFFER } else { self.config.timeouts.connect };
                let since = m.now;
                let viewer =
                    Viewer { id, stream: stream.clone(), since, connected: false, connect_by, showing };
                self.record_joined(&viewer, kind == "warm", elapsed);
                self.audience.viewers.insert(session, viewer);
                self.audience.connecting.insert(session);
                let path = self.sources.get(&stream).map(|source| source.path.clone()).unwrap_or_default();
                self.out.push(Effect::Answer(ticket, Answer::Watching(transport, media, path)));
                // The stream may have changed while the viewer was being connected.
                self.show(&stream, session);
            }
            Err(error) => {
                self.audience.uncount(&stream);
                self.forget_ice(session);
                self.turn_away(ticket, session, &stream, RoomError::from(error));
            }
        }
    }

    /// Sends the viewers of a stream what its source has now, on the sections that they have.
    pub(super) fn show_again(&mut self, stream: &StreamName) {
        let of = self.audience.viewers.iter().filter(|(_, viewer)| viewer.stream == *stream);
        for session in of.map(|(session, _)| *session).collect::<Vec<_>>() {
            self.show(stream, session);
        }
    }

    /// Sends a viewer of a stream what its source has now.
    fn show(&mut self, stream: &StreamName, session: SessionId) {
        let Some(source) = self.sources.get(stream).filter(|source| source.is_complete()) else { return };
        let Some(viewer) = self.audience.viewers.get_mut(&session) else { return };
        let shown = source.shown();
        let ids = || shown.iter().map(|producer| producer.id);
        if !viewer.showing.iter().copied().eq(ids()) {
            viewer.showing = ids().collect();
            self.out.push(Effect::ShowViewer(session, shown));
        }
    }

    /// Refuses who waits with a token that is kept out now.
    pub(super) fn send_away_waiting(&mut self, token: &TokenKey) {
        let barred = |waiting: &Waiting| waiting.request.pass.tokens.contains(token);
        for waiting in self.audience.take_waiting_if(barred) {
            self.turn_away(
                waiting.ticket,
                waiting.request.session,
                &waiting.request.stream,
                RoomError::Kicked,
            );
        }
    }

    /// Refuses who waits for a stream that is over, or that nobody who is heard has.
    pub(super) fn refuse_waiting_in_vain(&mut self, m: &mut Moment<'_>) {
        let known = &self.known;
        let here = |stream: &StreamName| self.sources.get(stream).is_some();
        let streams = self.audience.waiting.keys();
        let vain = streams.filter(|stream| !here(stream) && known.holds(stream, m).is_none());
        for stream in vain.cloned().collect::<Vec<_>>() {
            for waiting in self.audience.take_waiting(&stream) {
                let error = self.not_live(&stream, m);
                self.turn_away(waiting.ticket, waiting.request.session, &stream, error);
            }
        }
    }

    /// Refuses who has waited too long, and ends who never connected.
    pub(super) fn end_late_viewers(&mut self, m: &mut Moment<'_>) {
        let join = self.config.timeouts.join;
        let age = |at: Instant| m.now.saturating_duration_since(at);
        let late = self.audience.take_waiting_if(|waiting| age(waiting.since) > join);
        let is_late = |session: &&SessionId| {
            self.audience.viewers.get(*session).is_some_and(|viewer| m.now > viewer.connect_by)
        };
        let never: Vec<_> = self.audience.connecting.iter().filter(is_late).copied().collect();
        for waiting in late {
            let Waiting { ticket, request, .. } = waiting;
            self.turn_away(ticket, request.session, &request.stream, RoomError::JoinTimeout);
        }
        for session in never {
            self.end_viewer(session, LeaveReason::NeverConnected, m);
        }
    }

    pub(super) fn viewer_shown(
        &mut self,
        session: SessionId,
        ids: &[ProducerId],
        result: Result<(), MediaError>,
        m: &mut Moment<'_>,
    ) {
        let Err(error) = result else { return };
        let Some(viewer) = self.audience.viewers.get_mut(&session) else { return };
        tracing::info!(stream = %viewer.stream, viewer = %viewer.id, %error, "viewer can't go on");
        if matches!(error, MediaError::Unsupported(_)) {
            // Players connect again when their session ends: a new one carries what the stream has become.
            self.end_viewer(session, LeaveReason::StreamChanged, m);
            return;
        }
        if viewer.showing == ids {
            viewer.showing.clear();
        }
    }

    pub(super) fn viewer_connected(&mut self, session: SessionId) {
        if let Some(viewer) = self.audience.viewers.get_mut(&session) {
            viewer.connected = true;
            self.audience.connecting.remove(&session);
        }
    }

    /// A viewer has answered our description.
    pub(super) fn viewer_connects(&mut self, session: SessionId, m: &Moment<'_>) {
        if let Some(viewer) = self.audience.viewers.get_mut(&session) {
            viewer.connect_by = m.now + self.config.timeouts.connect;
        }
    }

    /// Who waits with this ticket has gone.
    pub(super) fn viewer_hung_up(&mut self, ticket: Ticket) {
        let mut waiting = self.audience.waiting.iter().filter(|(_, of)| of.contains_key(&ticket));
        let Some(stream) = waiting.next().map(|(stream, _)| stream.clone()) else { return };
        if let Some(waiting) = self.audience.wait_no_more(&stream, ticket) {
            self.out.push(Effect::Release(waiting.request.session));
        }
    }

    /// Ends a viewer's session. Answers whether there was one.
    pub(super) fn end_viewer(&mut self, session: SessionId, reason: LeaveReason, m: &mut Moment<'_>) -> bool {
        let Some(viewer) = self.audience.viewers.remove(&session) else { return false };
        self.audience.connecting.remove(&session);
        self.forget_ice(session);
        self.audience.uncount(&viewer.stream);
        self.audience.wishes.note(&viewer.stream, Part::Whole, m.now);
        self.leaving.insert(session, (viewer, reason, m.now));
        self.out.push(Effect::CloseViewer(session));
        self.out.push(Effect::Release(session));
        true
    }

    /// A viewer's connection is closed: now it is known what it was sent.
    pub(super) fn viewer_closed(&mut self, session: SessionId, bytes: u64) {
        if let Some((viewer, reason, at)) = self.leaving.remove(&session) {
            self.record_left(&viewer, reason, at, bytes);
        }
    }

    /// Ends all viewers of this node.
    pub(super) fn end_viewers(&mut self, m: &mut Moment<'_>) {
        for session in self.audience.viewers.keys().copied().collect::<Vec<_>>() {
            self.end_viewer(session, LeaveReason::Stopped, m);
        }
        for waiting in self.audience.take_waiting_if(|_| true) {
            self.refuse(waiting.ticket, RoomError::Stopped);
            self.out.push(Effect::Release(waiting.request.session));
        }
    }
}
