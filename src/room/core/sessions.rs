//! The ICE sessions of publishers and viewers (RFC 9725 section 4.3), and how sessions end: who says so, who closes
//! the connection (DTLS), and from whom nothing arrives any more, be it media, a report or a check.

use std::time::{Duration, Instant};

use super::effect::{Answer, Effect};
use super::input::{Answered, Patch, Ticket};
use super::view::Proof;
use super::{Core, Moment};
use crate::protocol::claim::EndReason;
use crate::protocol::event::LeaveReason;
use crate::protocol::ids::{SessionId, StreamName};
use crate::protocol::media::{Measured, MediaError, TransportInfo};
use crate::room::RoomError;

/// The ICE session of a publisher or viewer.
#[derive(Debug)]
pub(super) struct IceSession {
    /// The other side's user fragment.
    remote_ufrag: String,
    /// Our user fragment, which is the ETag.
    etag: String,
    /// What the last restart was answered with.
    restarted: Option<TransportInfo>,
}

/// The signs of life of one that is connected.
#[derive(Debug)]
pub(super) struct Life {
    /// Bytes received so far.
    received: u64,
    /// Bytes of media sent so far.
    sent: u64,
    connected: Instant,
    /// When it was last looked at, and for how long nothing had arrived by then.
    measured: Instant,
    silent: Duration,
    /// Whether anything came since the handshake: reports, or media.
    speaks: bool,
    /// When media was first and last seen to be sent to it.
    first_sent: Option<Instant>,
    last_sent: Option<Instant>,
}

/// A look so long after the one before says no more than that nobody looked: a process that was stopped, and its
/// worker with it, has not read what arrived.
const LOOKED: Duration = Duration::from_secs(5);
/// A viewer that has never reported anything may yet be there: its checks alone can't be seen.
const SPEECHLESS: Duration = Duration::from_secs(300);

impl Life {
    fn new(now: Instant) -> Self {
        Self {
            received: 0,
            sent: 0,
            connected: now,
            measured: now,
            silent: Duration::ZERO,
            speaks: false,
            first_sent: None,
            last_sent: None,
        }
    }

    /// Whether it was ever sent media.
    pub(super) fn was_sent_any(&self) -> bool {
        self.first_sent.is_some()
    }

    pub(super) fn proof(&self, now: Instant) -> Proof {
        Proof::new(self.connected, self.first_sent, self.last_sent, now)
    }
}

impl Core {
    pub(super) fn note_ice(&mut self, session: SessionId, remote_ufrag: String) {
        self.ice.insert(session, IceSession { remote_ufrag, etag: String::new(), restarted: None });
    }

    pub(super) fn note_etag(&mut self, session: SessionId, transport: &TransportInfo) {
        if let Some(ice) = self.ice.get_mut(&session) {
            ice.etag.clone_from(&transport.ice.username_fragment);
        }
    }

    pub(super) fn forget_ice(&mut self, session: SessionId) {
        self.ice.remove(&session);
        self.passes.remove(session);
        self.lives.remove(&session);
    }

    /// Whether the session is a publisher or viewer of this stream.
    fn is_here(&self, session: SessionId, stream: &StreamName) -> Result<(), RoomError> {
        let viewer = self.audience.get(session).map(|viewer| &viewer.stream);
        let of = viewer.or_else(|| self.publications.stream_of(session));
        if of == Some(stream) { Ok(()) } else { Err(RoomError::NoSession) }
    }

    pub(super) fn check(&mut self, ticket: Ticket, session: SessionId, stream: &StreamName) {
        let answer = match self.is_here(session, stream) {
            Ok(()) => Answer::Here(session),
            // It was ended with the room, and for nothing that it did: elsewhere it may go on.
            Err(RoomError::NoSession) if self.stop_by.is_some() => Answer::Refused(RoomError::Stopped),
            Err(error) => Answer::Refused(error),
        };
        self.out.push(Effect::Answer(ticket, answer));
    }

    /// A publisher or viewer says that it goes.
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        stream: &StreamName,
        m: &mut Moment<'_>,
    ) {
        let known = self.is_here(session, stream);
        if known.is_ok() && !self.end_viewer(session, LeaveReason::Left, m) {
            self.end_publisher(session, EndReason::Unpublished, m);
        }
        self.answer_done(ticket, known);
    }

    pub(super) fn connected(&mut self, session: SessionId, m: &mut Moment<'_>) {
        if self.ice.contains_key(&session) {
            self.lives.entry(session).or_insert_with(|| Life::new(m.now));
        }
        self.viewer_connected(session);
        self.publisher_connected(session);
    }

    /// Takes note of what passes over connections; returns the bytes of media that were sent.
    pub(super) fn measure_sessions(&mut self, measured: &Measured, now: Instant) -> u64 {
        let mut sent = 0;
        for (session, flow) in &measured.sessions {
            let Some(life) = self.lives.get_mut(session) else { continue };
            let since = now.saturating_duration_since(std::mem::replace(&mut life.measured, now));
            if life.received == flow.received {
                life.silent += since.min(LOOKED);
            } else {
                // What there is at the first look is the handshake.
                life.speaks |= life.received > 0;
                (life.received, life.silent) = (flow.received, Duration::ZERO);
            }
            if life.sent != flow.sent {
                sent += flow.sent.saturating_sub(life.sent);
                life.sent = flow.sent;
                life.first_sent.get_or_insert(now);
                life.last_sent = Some(now);
            }
        }
        sent
    }

    /// Ends those from whom nothing at all arrives any more.
    pub(super) fn end_dead_sessions(&mut self, m: &mut Moment<'_>) {
        let patience = self.config.timeouts.ice_consent;
        let of = |session: &SessionId, life: &Life| match self.audience.get(*session) {
            Some(_) if !life.speaks => patience.max(SPEECHLESS),
            _ => patience,
        };
        let dead = self.lives.iter().filter(|(session, life)| life.silent > of(session, life));
        let dead: Vec<_> = dead.map(|(session, _)| *session).collect();
        for session in dead {
            self.lives.remove(&session);
            self.disconnected(session, m);
        }
    }

    pub(super) fn disconnected(&mut self, session: SessionId, m: &mut Moment<'_>) {
        if !self.link_gone(session)
            && !self.is_participant(session)
            && !self.end_viewer(session, LeaveReason::Disconnected, m)
        {
            self.end_publisher(session, EndReason::Disconnected, m);
        }
    }

    pub(super) fn hung_up(&mut self, ticket: Ticket) {
        self.viewer_hung_up(ticket);
        self.publisher_hung_up(ticket);
    }

    /// A viewer answers our description.
    pub(super) fn connect(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        stream: &StreamName,
        answered: Answered,
    ) {
        if let Err(error) = self.is_here(session, stream) {
            return self.refuse(ticket, error);
        }
        let Some(ice) = self.ice.get_mut(&session) else { return self.refuse(ticket, RoomError::NoSession) };
        if ice.remote_ufrag.is_empty() {
            // From here on, so that the same answer a moment later isn't another one.
            ice.remote_ufrag = answered.ufrag;
            return self.out.push(Effect::ConnectViewer(ticket, session, answered.dtls, answered.media));
        }
        // Who lost our reply asks again.
        let same = ice.remote_ufrag == answered.ufrag;
        self.answer_done(ticket, if same { Ok(()) } else { Err(RoomError::Answered) });
    }

    pub(super) fn viewer_answered(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        result: Result<(), MediaError>,
        m: &Moment<'_>,
    ) {
        match &result {
            Ok(()) => self.viewer_connects(session, m),
            // It may answer again.
            Err(_) => _ = self.ice.get_mut(&session).map(|ice| ice.remote_ufrag.clear()),
        }
        self.answer_done(ticket, result.map_err(RoomError::from));
    }

    /// Candidates need no work; another user fragment restarts ICE.
    pub(super) fn patch(&mut self, ticket: Ticket, session: SessionId, stream: &StreamName, patch: Patch) {
        let asks_for_restart = patch.ufrag.is_some() && patch.if_match.as_deref() == Some("*");
        match self.patched(session, stream, patch) {
            Ok(None) => {
                // Who asks for a restart again has lost our reply to it.
                let again = asks_for_restart.then(|| self.ice.get(&session)?.restarted.clone()).flatten();
                self.out.push(Effect::Answer(ticket, Answer::Patched(again)));
            }
            Ok(Some(ufrag)) => self.out.push(Effect::RestartIce(ticket, session, ufrag)),
            Err(error) => self.refuse(ticket, error),
        }
    }

    fn patched(
        &self,
        session: SessionId,
        stream: &StreamName,
        patch: Patch,
    ) -> Result<Option<String>, RoomError> {
        self.is_here(session, stream)?;
        let ice = self.ice.get(&session).ok_or(RoomError::NoSession)?;
        let restarts = patch.ufrag.as_ref().is_some_and(|ufrag| *ufrag != ice.remote_ufrag);
        let strict = self.config.http.strict_etags;
        match patch.if_match.as_deref() {
            None if strict => return Err(RoomError::NoEtag),
            Some("*") | None => {}
            Some(etag) if etag != ice.etag || (restarts && strict) => return Err(RoomError::StaleEtag),
            Some(_) => {}
        }
        Ok(patch.ufrag.filter(|_| restarts))
    }

    pub(super) fn ice_restarted(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        ufrag: String,
        result: Result<TransportInfo, MediaError>,
    ) {
        match result {
            Ok(transport) => {
                self.note_ice(session, ufrag);
                self.note_etag(session, &transport);
                if let Some(ice) = self.ice.get_mut(&session) {
                    ice.restarted = Some(transport.clone());
                }
                self.out.push(Effect::Answer(ticket, Answer::Patched(Some(transport))));
            }
            Err(error) => self.refuse(ticket, RoomError::from(error)),
        }
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, error: RoomError) {
        self.out.push(Effect::Answer(ticket, Answer::Refused(error)));
    }

    pub(super) fn answer_done<T>(&mut self, ticket: Ticket, result: Result<T, RoomError>) {
        let answer = match result {
            Ok(_) => Answer::Done,
            Err(error) => Answer::Refused(error),
        };
        self.out.push(Effect::Answer(ticket, answer));
    }
}
