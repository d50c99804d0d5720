//! The ICE sessions of publishers and viewers (RFC 9725 section 4.3), and how sessions end.

use super::effect::{Answer, Effect};
use super::input::{Answered, Patch, Ticket};
use super::{Core, Moment};
use crate::protocol::claim::EndReason;
use crate::protocol::event::LeaveReason;
use crate::protocol::ids::{SessionId, StreamName};
use crate::protocol::media::{MediaError, TransportInfo};
use crate::room::RoomError;

/// The ICE session of a publisher or viewer.
#[derive(Debug)]
pub(super) struct IceSession {
    /// The other side's user fragment.
    remote_ufrag: String,
    /// Our user fragment, which is the ETag.
    etag: String,
}

impl Core {
    pub(super) fn note_ice(&mut self, session: SessionId, remote_ufrag: String) {
        self.ice.insert(session, IceSession { remote_ufrag, etag: String::new() });
    }

    pub(super) fn note_etag(&mut self, session: SessionId, transport: &TransportInfo) {
        if let Some(ice) = self.ice.get_mut(&session) {
            ice.etag.clone_from(&transport.ice.username_fragment);
        }
    }

    pub(super) fn forget_ice(&mut self, session: SessionId) {
        self.ice.remove(&session);
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
        self.viewer_connected(session);
        self.publisher_connected(session, m);
    }

    pub(super) fn disconnected(&mut self, session: SessionId, m: &mut Moment<'_>) {
        if !self.end_viewer(session, LeaveReason::Disconnected, m) {
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
        match self.is_here(session, stream) {
            Ok(()) => {
                self.out.push(Effect::ConnectViewer(ticket, session, answered.dtls, answered.ufrag));
            }
            Err(error) => self.refuse(ticket, error),
        }
    }

    pub(super) fn viewer_answered(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        ufrag: String,
        result: Result<(), MediaError>,
    ) {
        if result.is_ok()
            && let Some(ice) = self.ice.get_mut(&session)
        {
            ice.remote_ufrag = ufrag;
        }
        self.answer_done(ticket, result.map_err(RoomError::from));
    }

    /// Candidates need no work; another user fragment restarts ICE.
    pub(super) fn patch(&mut self, ticket: Ticket, session: SessionId, stream: &StreamName, patch: Patch) {
        match self.patched(session, stream, patch) {
            Ok(None) => self.out.push(Effect::Answer(ticket, Answer::Patched(None))),
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
