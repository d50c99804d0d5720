//! A publisher or viewer trickles candidates or restarts ICE (RFC 9725 section 4.3).

use super::error::RoomError;
use super::message::{Answered, Patch, Patched};
use super::state::{IceSession, Room};
use crate::media::TransportInfo;
use crate::protocol::ids::{SessionId, StreamName};

impl Room {
    /// Notes the ICE session that a fresh connection has.
    pub(super) fn note_ice(&mut self, session: SessionId, remote_ufrag: String, transport: &TransportInfo) {
        let etag = transport.ice.username_fragment.clone();
        self.ice.insert(session, IceSession { remote_ufrag, etag });
    }

    /// A viewer answers our description.
    pub(super) async fn answered(
        &mut self,
        session: SessionId,
        stream: &StreamName,
        answered: Answered,
    ) -> Result<(), RoomError> {
        self.check(session, stream)?;
        self.media.connect_viewer(session, answered.dtls).await?;
        if let Some(ice) = self.ice.get_mut(&session) {
            ice.remote_ufrag = answered.ufrag;
        }
        Ok(())
    }

    /// Candidates need no work; another user fragment restarts ICE.
    pub(super) async fn patch(
        &mut self,
        session: SessionId,
        stream: &StreamName,
        patch: Patch,
    ) -> Result<Patched, RoomError> {
        self.check(session, stream)?;
        let ice = self.ice.get(&session).ok_or(RoomError::NoSession)?;
        let restarts = patch.ufrag.as_ref().is_some_and(|ufrag| *ufrag != ice.remote_ufrag);
        let strict = self.ctx.config.http.strict_etags;
        match patch.if_match.as_deref() {
            None if strict => return Err(RoomError::NoEtag),
            Some("*") | None => {}
            Some(etag) if etag != ice.etag || (restarts && strict) => return Err(RoomError::StaleEtag),
            Some(_) => {}
        }
        let Some(ufrag) = patch.ufrag.filter(|_| restarts) else { return Ok(Patched::Trickled) };
        let transport = self.media.restart_ice(session).await?;
        self.note_ice(session, ufrag, &transport);
        Ok(Patched::Restarted(transport))
    }
}
