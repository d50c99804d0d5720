//! The publishers of this node: they come, connect, take over, are told no, and go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::effect::{Answer, Effect};
use super::health::{Health, News};
use super::input::{PublishRequest, Ticket};
use super::sources::{Source, Via};
use super::{Core, Moment};
use crate::config::Takeover;
use crate::protocol::claim::{Claim, ClaimedProducer, EndReason, StreamState};
use crate::protocol::event::What;
use crate::protocol::ids::{ProducerId, PublicationId, SessionId, StreamName};
use crate::protocol::media::{Measured, MediaError, ProducerInfo, TransportInfo};
use crate::protocol::presence::Role;
use crate::protocol::rtp::AppDataJson;
use crate::room::RoomError;

/// A publisher from which nothing has come for this long does not flow.
const STALLED: Duration = Duration::from_secs(3);

/// The publishers of this node.
#[derive(Debug, Default)]
pub(super) struct Publications {
    live: BTreeMap<StreamName, Publication>,
    /// Taken, and not connected yet: they replace no one.
    connecting: BTreeMap<SessionId, Connecting>,
}

/// A publisher that is connecting.
#[derive(Debug)]
struct Connecting {
    stream: StreamName,
    since: Instant,
    /// Who waits for our answer; none once it has gone out.
    ticket: Option<Ticket>,
    producers: Vec<ProducerInfo>,
    /// Whether it has connected, and waits for a place among the node's streams.
    connected: bool,
}

/// A publisher whose stream is live.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) id: PublicationId,
    pub(super) session: SessionId,
    pub(super) producers: Vec<ProducerInfo>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) since: Instant,
    pub(super) bytes: u64,
    pub(super) bitrate: u64,
    pub(super) key_frames: KeyFrameWindow,
    pub(super) term: u64,
    pub(super) health: Health,
    takeover: bool,
    /// What a participant by the session API says of itself; none of a WHIP publisher.
    pub(super) app_data: Option<AppDataJson>,
    /// Whether it lets nobody new into the room.
    pub(super) locks: bool,
    /// When media last arrived.
    heard: Instant,
    /// What was last claimed of it.
    claimed: Option<Claimed>,
}

/// Where counting the requests for key frames began.
#[derive(Debug)]
pub(super) struct KeyFrameWindow {
    pub(super) since: Instant,
    pub(super) requests: u64,
}

/// What changes in a claim while its publication lasts.
#[derive(Debug, PartialEq)]
struct Claimed {
    flowing: bool,
    locks: bool,
    producers: Vec<ClaimedProducer>,
}

impl Publication {
    pub(super) fn claimed_producers(&self) -> Vec<ClaimedProducer> {
        self.producers.iter().map(ClaimedProducer::from).collect()
    }

    /// Bytes of JSON that the application has attached to it and to what it sends.
    pub(super) fn attached(&self) -> usize {
        self.app_data.as_ref().map_or(0, size)
            + self.producers.iter().map(|own| size(&own.app_data)).sum::<usize>()
    }

    /// Media of it is on its way.
    pub(super) fn hears(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whether its media comes now; it may be muted.
    pub(super) fn is_flowing(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < STALLED
    }

    /// Whether it has something to send, and nothing of it comes.
    pub(super) fn is_muted(&self, now: Instant) -> bool {
        !self.producers.is_empty() && !self.is_flowing(now)
    }
}

impl Publications {
    pub(super) fn get(&self, stream: &StreamName) -> Option<&Publication> {
        self.live.get(stream)
    }

    pub(super) fn get_mut(&mut self, stream: &StreamName) -> Option<&mut Publication> {
        self.live.get_mut(stream)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&StreamName, &Publication)> {
        self.live.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&StreamName, &mut Publication)> {
        self.live.iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty() && self.connecting.is_empty()
    }

    /// Whether nobody is about to publish, and nothing has come of anyone for so long.
    pub(super) fn are_silent(&self, lasting: Duration, now: Instant) -> bool {
        let is_silent = |own: &Publication| now.saturating_duration_since(own.heard) > lasting;
        self.connecting.is_empty() && self.live.values().all(is_silent)
    }

    /// The sessions of whoever publishes a stream, or is about to.
    pub(super) fn sessions_of(&self, stream: &StreamName) -> Vec<SessionId> {
        let live = self.live.get(stream).map(|publication| publication.session);
        let coming = self.connecting.iter().filter(|(_, connecting)| connecting.stream == *stream);
        live.into_iter().chain(coming.map(|(session, _)| *session)).collect()
    }

    /// The stream that a publisher's session is for.
    pub(super) fn stream_of(&self, session: SessionId) -> Option<&StreamName> {
        let live = self.live.iter().find(|(_, publication)| publication.session == session);
        let connecting = || self.connecting.get(&session).map(|connecting| &connecting.stream);
        live.map(|(stream, _)| stream).or_else(connecting)
    }
}

impl Core {
    /// Takes a publisher. The stream is live once it has connected, not before.
    pub(super) fn publish(&mut self, ticket: Ticket, request: PublishRequest, m: &mut Moment<'_>) {
        if let Err(error) = self.may_publish(&request.stream, m) {
            self.turned(&request.stream, &error, What::PublisherRejected);
            self.refuse(ticket, error);
            return self.out.push(Effect::Release(request.session));
        }
        self.note_ice(request.session, request.ufrag.clone());
        self.note_pass(request.session, request.pass.clone());
        let (stream, session) = (request.stream.clone(), request.session);
        self.make_way(m);
        let connecting = Connecting {
            stream,
            since: m.now,
            ticket: Some(ticket),
            producers: Vec::new(),
            connected: false,
        };
        self.publications.connecting.insert(session, connecting);
        self.out.push(Effect::OpenUplink(request));
    }

    fn may_publish(&self, stream: &StreamName, m: &Moment<'_>) -> Result<(), RoomError> {
        if m.draining || self.stop_by.is_some() {
            return Err(RoomError::Draining);
        }
        if !self.config.node.roles.contains(&Role::Origin) {
            return Err(RoomError::Role("publishers"));
        }
        self.is_allowed()?;
        self.has_room_for(stream)?;
        let holder = self.holder(stream, m);
        if self.config.media.takeover == Takeover::Reject {
            // Whoever doesn't connect soon keeps nobody else out.
            let is_coming = self.publications.connecting.values().any(|connecting| {
                connecting.stream == *stream && m.now.saturating_duration_since(connecting.since) < STALLED
            });
            if is_coming || holder.is_some_and(|holder| holder.flowing) {
                return Err(RoomError::AlreadyPublished { retry_after: STALLED });
            }
        }
        // Two encoders that both come back by themselves would replace each other for ever.
        let pause = self.config.media.takeover_pause;
        match holder {
            Some(Holder { flowing: true, takeover: true, age }) if age < pause => {
                Err(RoomError::TakenOver { retry_after: pause - age })
            }
            _ => Ok(()),
        }
    }

    /// Whether the room may have this stream too. Who has not connected is none of its streams.
    fn has_room_for(&self, stream: &StreamName) -> Result<(), RoomError> {
        let live = &self.publications.live;
        match live.contains_key(stream) || live.len() < self.limits.streams_per_room {
            true => Ok(()),
            false => Err(RoomError::Limit("streams_per_room")),
        }
    }

    /// Of those that don't connect there are at most as many as streams: the oldest gives way.
    fn make_way(&mut self, m: &Moment<'_>) {
        let connecting = &self.publications.connecting;
        if connecting.len() >= self.limits.streams_per_room.max(1)
            && let Some(oldest) =
                connecting.iter().min_by_key(|(_, it)| it.since).map(|(session, _)| *session)
        {
            self.never_connected(oldest, m);
        }
    }

    /// A publisher was taken and has not connected: it ends, and that is told.
    fn never_connected(&mut self, session: SessionId, m: &Moment<'_>) {
        let Some(connecting) = self.publications.connecting.get(&session) else { return };
        let (stream, ticket) = (connecting.stream.clone(), connecting.ticket);
        let after = m.now.saturating_duration_since(connecting.since);
        let error = RoomError::NeverConnected { after };
        self.forget_connecting(session);
        tracing::info!(%stream, %error, "publisher ended");
        self.turned(&stream, &error, What::PublisherRejected);
        if let Some(ticket) = ticket {
            self.refuse(ticket, error);
        }
    }

    /// Who has the stream now, here or elsewhere.
    pub(super) fn holder(&self, stream: &StreamName, m: &Moment<'_>) -> Option<Holder> {
        if let Some(own) = self.publications.live.get(stream) {
            let age = m.now.saturating_duration_since(own.since);
            return Some(Holder { flowing: own.is_flowing(m.now), takeover: own.takeover, age });
        }
        let claim = self.known.of_others(stream, &self.me, m)?;
        let age = self.known.age(stream, m.now).unwrap_or_default();
        Some(Holder { flowing: claim.flowing, takeover: claim.takeover, age })
    }

    /// The publisher's end is open, or it doesn't fit.
    pub(super) fn uplink_opened(
        &mut self,
        session: SessionId,
        result: Result<(TransportInfo, Vec<ProducerInfo>), MediaError>,
    ) {
        let Some(connecting) = self.publications.connecting.get_mut(&session) else { return };
        let Some(ticket) = connecting.ticket.take() else { return };
        match result {
            Ok((transport, producers)) => {
                connecting.producers = producers;
                self.note_etag(session, &transport);
                self.out.push(Effect::Answer(ticket, Answer::Published(transport)));
            }
            Err(error) => {
                let stream = connecting.stream.clone();
                self.forget_connecting(session);
                let error = RoomError::from(error);
                self.turned(&stream, &error, What::PublisherRejected);
                self.refuse(ticket, error);
            }
        }
    }

    fn forget_connecting(&mut self, session: SessionId) -> bool {
        let known = self.publications.connecting.remove(&session).is_some();
        if known {
            self.close_uplink(session);
        }
        known
    }

    fn close_uplink(&mut self, session: SessionId) {
        self.forget_ice(session);
        self.out.push(Effect::CloseUplink(session));
        self.out.push(Effect::Release(session));
    }

    /// A publisher has connected: it needs a place among the node's streams.
    pub(super) fn publisher_connected(&mut self, session: SessionId) {
        let Some(connecting) = self.publications.connecting.get_mut(&session) else { return };
        if !std::mem::replace(&mut connecting.connected, true) {
            self.out.push(Effect::Seat(session));
        }
    }

    /// A publisher that has connected has a place, or finds none.
    pub(super) fn publisher_seated(&mut self, session: SessionId, seated: bool, m: &mut Moment<'_>) {
        let Some(connecting) = self.publications.connecting.get(&session) else { return };
        let stream = connecting.stream.clone();
        let refused = match seated {
            true => self.has_room_for(&stream).and_then(|()| self.may_replace(&stream, m)),
            false => Err(RoomError::Limit("streams")),
        };
        match refused {
            Ok(()) => self.goes_live(session, m),
            Err(error) => {
                self.forget_connecting(session);
                tracing::info!(%stream, %error, "publisher ended");
                self.turned(&stream, &error, What::PublisherRejected);
            }
        }
    }

    /// Whether a stream may be taken from who has it now: two may have been connecting at once.
    fn may_replace(&self, stream: &StreamName, m: &Moment<'_>) -> Result<(), RoomError> {
        let holder = self.holder(stream, m).filter(|holder| holder.flowing);
        match holder {
            Some(_) if self.config.media.takeover == Takeover::Reject => {
                Err(RoomError::AlreadyPublished { retry_after: STALLED })
            }
            _ => Ok(()),
        }
    }

    /// A publisher's stream is live from here on, in place of whoever had it.
    fn goes_live(&mut self, session: SessionId, m: &mut Moment<'_>) {
        let Some(connecting) = self.publications.connecting.remove(&session) else { return };
        self.starts(connecting.stream, session, connecting.producers, None, m);
    }

    /// A stream is live from here on, in place of whoever had it: a publisher's, or a participant's.
    pub(super) fn starts(
        &mut self,
        stream: StreamName,
        session: SessionId,
        producers: Vec<ProducerInfo>,
        app_data: Option<AppDataJson>,
        m: &mut Moment<'_>,
    ) {
        let takeover = self.holder(&stream, m).is_some();
        if let Some(old) = self.publications.live.remove(&stream) {
            self.record_ended(&stream, &old, EndReason::Replaced, m);
            self.close_uplink(old.session);
            self.participant_over(old.session, EndReason::Replaced);
        }
        // A pipe that brought the stream here until now is left by the plan.
        self.drop_source(&stream, m);
        let publication = Publication {
            id: PublicationId(m.mint.id()),
            session,
            producers,
            started_at: m.wall,
            since: m.now,
            bytes: 0,
            bitrate: 0,
            key_frames: KeyFrameWindow { since: m.now, requests: 0 },
            term: self.known.term(&stream).max(self.own_term(&stream)) + 1,
            health: Health::new(m.now),
            takeover,
            app_data,
            locks: false,
            heard: m.now,
            claimed: None,
        };
        self.terms.insert(stream.clone(), publication.term);
        let source = Source {
            publication: publication.id,
            path: Vec::new(),
            producers: publication.producers.clone(),
            refused: std::collections::BTreeSet::new(),
            of: publication.producers.len(),
            via: Via::Publisher,
        };
        self.record_started(&stream, &publication, takeover);
        self.publications.live.insert(stream.clone(), publication);
        self.sources.insert(stream.clone(), source);
        self.source_complete(&stream, m);
    }

    /// The highest term that was used here: the directory's own notice of it may still be on its way.
    fn own_term(&self, stream: &StreamName) -> u64 {
        self.terms.get(stream).copied().unwrap_or(0)
    }

    /// Claims what is published here, where that changed since it was last claimed.
    pub(super) fn plan_claims(&mut self, m: &Moment<'_>) {
        let mut claims = Vec::new();
        for (stream, publication) in &mut self.publications.live {
            let claimed = Claimed {
                flowing: publication.is_flowing(m.now),
                locks: publication.locks,
                producers: publication.claimed_producers(),
            };
            if publication.claimed.as_ref() != Some(&claimed) {
                publication.claimed = Some(claimed);
                claims.push(stream.clone());
            }
        }
        for stream in claims {
            self.claim(&stream, StreamState::Live);
        }
    }

    fn claim(&mut self, stream: &StreamName, state: StreamState) {
        let Some(publication) = self.publications.live.get(stream) else { return };
        let claimed = publication.claimed.as_ref();
        let claim = Claim {
            room_id: self.id.clone(),
            stream: stream.clone(),
            term: publication.term,
            publication: publication.id,
            origin: self.me.clone(),
            revision: 0,
            state: StreamState::Live,
            flowing: claimed.is_some_and(|claimed| claimed.flowing),
            takeover: publication.takeover,
            producers: publication.claimed_producers(),
            path: Vec::new(),
            started_at: publication.started_at,
            participant: publication.app_data.is_some(),
            locks: publication.locks,
            app_data: publication.app_data.clone().unwrap_or_default().into(),
        };
        let claim = match state {
            StreamState::Live => claim,
            StreamState::Ended(reason) => claim.ended(reason),
        };
        self.out.push(Effect::Claim(Box::new(claim)));
    }

    /// Ends what another origin has taken over: the highest claim that is heard holds, on every node alike.
    pub(super) fn yield_to_higher(&mut self, m: &mut Moment<'_>) {
        let mut lost = Vec::new();
        for (stream, own) in &self.publications.live {
            let other = self.known.of_others(stream, &self.me, m);
            if other.is_some_and(|other| other.rank() > (own.term, own.id)) {
                lost.push(stream.clone());
            }
        }
        for stream in lost {
            self.end_publication(&stream, EndReason::Replaced, m);
        }
    }

    /// Ends a publication of this node and says so.
    pub(super) fn end_publication(&mut self, stream: &StreamName, reason: EndReason, m: &mut Moment<'_>) {
        if !self.publications.live.contains_key(stream) {
            return;
        }
        self.claim(stream, StreamState::Ended(reason));
        let Some(publication) = self.publications.live.remove(stream) else { return };
        self.record_ended(stream, &publication, reason, m);
        self.note_end(stream, reason);
        self.drop_source(stream, m);
        self.close_uplink(publication.session);
        self.participant_over(publication.session, reason);
    }

    /// Ends whatever a publisher's session is. Answers whether there was one.
    pub(super) fn end_publisher(
        &mut self,
        session: SessionId,
        reason: EndReason,
        m: &mut Moment<'_>,
    ) -> bool {
        if self.publications.connecting.contains_key(&session) {
            match reason {
                EndReason::Disconnected => self.never_connected(session, m),
                _ => drop(self.forget_connecting(session)),
            }
            return true;
        }
        let live = self.publications.live.iter().find(|(_, publication)| publication.session == session);
        let Some(stream) = live.map(|(stream, _)| stream.clone()) else { return false };
        self.end_publication(&stream, reason, m);
        true
    }

    /// Who asked to publish with this ticket hung up before it was answered.
    pub(super) fn publisher_hung_up(&mut self, ticket: Ticket) {
        let waits = |connecting: &Connecting| connecting.ticket == Some(ticket);
        let gone = self.publications.connecting.iter().find(|(_, connecting)| waits(connecting));
        if let Some(session) = gone.map(|(session, _)| *session) {
            self.forget_connecting(session);
        }
    }

    /// Pauses or resumes a stream that is published here.
    pub(super) fn set_paused(&mut self, ticket: Ticket, stream: StreamName, paused: bool) {
        let Some(publication) = self.publications.live.get(&stream) else {
            return self.refuse(ticket, RoomError::NoStream);
        };
        let ids = publication.producers.iter().map(|producer| producer.id).collect();
        self.out.push(Effect::SetPaused(Some(ticket), stream, ids, paused));
    }

    pub(super) fn paused(
        &mut self,
        ticket: Option<Ticket>,
        (stream, ids, paused): (&StreamName, &[ProducerId], bool),
        result: Result<(), MediaError>,
        m: &Moment<'_>,
    ) {
        if let Some(ticket) = ticket {
            self.answer_done(ticket, result.as_ref().map_err(|error| RoomError::Media(error.to_string())));
        }
        if result.is_err() {
            return;
        }
        let Some(publication) = self.publications.live.get_mut(stream) else { return };
        for producer in publication.producers.iter_mut().filter(|own| ids.contains(&own.id)) {
            producer.paused = paused;
        }
        publication.heard = m.now;
        if let Some(source) = self.sources.get_mut(stream) {
            source.producers.clone_from(&publication.producers);
        }
        self.record_changed(stream);
    }

    pub(super) fn measure_publications(&mut self, measured: &Measured, m: &Moment<'_>) {
        let mut news = Vec::new();
        for (stream, publication) in &mut self.publications.live {
            let Some(uplink) = measured.uplinks.get(&publication.session) else { continue };
            publication.bitrate = uplink.bitrate;
            if uplink.bytes != publication.bytes {
                publication.bytes = uplink.bytes;
                publication.heard = m.now;
            }
            let health = &mut publication.health;
            health.measure(&publication.producers, &measured.producers, uplink, m.now);
            if let Some(on) = health.inspection(m.now) {
                self.out.push(Effect::Inspect(publication.session, on));
            }
            news.extend(health.news(m.now, m.wall).into_iter().map(|news| (stream.clone(), news)));
        }
        for (stream, news) in news {
            match news {
                News::Begins(kind, detail) => self.record_warning(&stream, kind, detail),
                News::Over(kind, lasted) => self.record_cleared(&stream, kind, lasted),
            }
        }
    }

    /// Ends publishers whose packets can't be used, and those that never connected. One that sends nothing is
    /// muted as long as its connection lives.
    pub(super) fn end_useless_publishers(&mut self, m: &mut Moment<'_>) {
        let age = |at: Instant| m.now.saturating_duration_since(at);
        let silence = self.config.timeouts.publisher_silence;
        let is_useless = |publication: &Publication| {
            age(publication.heard) > silence
                && publication.health.unusable_since().is_some_and(|since| age(since) > silence)
        };
        let live = &self.publications.live;
        let useless: Vec<_> =
            live.iter().filter(|(_, own)| is_useless(own)).map(|(stream, _)| stream.clone()).collect();
        let connect = self.config.timeouts.connect;
        let connecting = &self.publications.connecting;
        let late: Vec<_> =
            connecting.iter().filter(|(_, c)| age(c.since) > connect).map(|(session, _)| *session).collect();
        for stream in useless {
            self.end_publication(&stream, EndReason::Silent, m);
        }
        for session in late {
            self.never_connected(session, m);
        }
    }

    /// Ends all publishers of this node.
    pub(super) fn end_publishers(&mut self, reason: EndReason, m: &mut Moment<'_>) {
        for stream in self.publications.live.keys().cloned().collect::<Vec<_>>() {
            self.end_publication(&stream, reason, m);
        }
        for session in self.publications.connecting.keys().copied().collect::<Vec<_>>() {
            self.forget_connecting(session);
        }
    }
}

/// Who has a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) flowing: bool,
    takeover: bool,
    age: Duration,
}

/// What an application attaches, in bytes of JSON.
pub(super) fn size(app_data: &AppDataJson) -> usize {
    serde_json::to_vec(app_data).map_or(usize::MAX / 4, |bytes| bytes.len())
}
