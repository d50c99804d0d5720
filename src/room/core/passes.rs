//! What sessions were let in with: they end when that expires, or when an operator ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::effect::{Answer, Effect};
use super::input::Ticket;
use super::{Core, Moment};
use crate::protocol::claim::EndReason;
use crate::protocol::event::{Deed, LeaveReason};
use crate::protocol::gate::{EndedSession, TokenKey, Whom};
use crate::protocol::ids::{SessionId, StreamName};

/// What a session was let in with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// What its token goes by, the narrowest first; empty where it has none.
    pub tokens: Vec<TokenKey>,
    /// When it is to end.
    pub until: Option<Instant>,
}

/// What the sessions that are here were let in with.
#[derive(Debug, Default)]
pub(super) struct Passes {
    passes: BTreeMap<SessionId, Pass>,
    /// Those that end, the first of them first.
    ends: BTreeSet<(Instant, SessionId)>,
}

impl Passes {
    fn insert(&mut self, session: SessionId, pass: Pass) {
        self.remove(session);
        self.ends.extend(pass.until.map(|until| (until, session)));
        self.passes.insert(session, pass);
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        let until = self.passes.remove(&session).and_then(|pass| pass.until);
        until.into_iter().for_each(|until| _ = self.ends.remove(&(until, session)));
    }

    /// Whose time is over.
    fn over(&self, now: Instant) -> Vec<SessionId> {
        self.ends.iter().take_while(|(until, _)| *until <= now).map(|(_, session)| *session).collect()
    }
}

impl Core {
    pub(super) fn note_pass(&mut self, session: SessionId, pass: Pass) {
        self.passes.insert(session, pass);
    }

    /// Ends what may be here no longer.
    pub(super) fn end_expired(&mut self, m: &mut Moment<'_>) {
        for session in self.passes.over(m.now) {
            if !self.end_participant(session, EndReason::Expired, m)
                && !self.end_viewer(session, LeaveReason::Expired, m)
            {
                self.end_publisher(session, EndReason::Expired, m);
            }
        }
    }

    /// An operator ends sessions, or a moderator does.
    pub(super) fn kick(&mut self, ticket: Ticket, whom: &Whom, by: Option<&StreamName>, m: &mut Moment<'_>) {
        if let Whom::Token(token) = whom {
            self.send_away_waiting(token);
        }
        let reason = if by.is_some() { EndReason::Removed } else { EndReason::Closed };
        let sessions = self.sessions_of(whom);
        let ended: Vec<_> = sessions.into_iter().filter_map(|id| self.kick_one(id, reason, m)).collect();
        if let (Some(by), Some(ended)) = (by, ended.first()) {
            self.record_moderated(by, Deed::Removed, Some(&ended.stream), None);
        }
        self.out.push(Effect::Answer(ticket, Answer::Kicked(ended)));
    }

    fn sessions_of(&self, whom: &Whom) -> Vec<SessionId> {
        match whom {
            Whom::Viewer(id) => self
                .audience
                .iter()
                .filter(|(_, viewer)| viewer.id == *id)
                .map(|(session, _)| *session)
                .collect(),
            Whom::Publisher(stream) => self.publications.sessions_of(stream),
            Whom::Token(token) => {
                let has = |pass: &Pass| pass.tokens.contains(token);
                self.passes.passes.iter().filter(|(_, pass)| has(pass)).map(|(session, _)| *session).collect()
            }
        }
    }

    fn kick_one(
        &mut self,
        session: SessionId,
        reason: EndReason,
        m: &mut Moment<'_>,
    ) -> Option<EndedSession> {
        let viewer = self.audience.get(session).map(|viewer| (viewer.stream.clone(), Some(viewer.id)));
        let of = viewer.or_else(|| Some((self.publications.stream_of(session)?.clone(), None)));
        let (stream, viewer) = of?;
        let token = self.passes.passes.get(&session).and_then(|pass| pass.tokens.first().cloned());
        if !self.end_viewer(session, LeaveReason::Kicked, m) {
            self.end_publisher(session, reason, m);
        }
        Some(EndedSession { node: self.me.node.clone(), room_id: self.id.clone(), stream, viewer, token })
    }
}
