//! What moderators may: mute and remove others, on whichever node these are, and lock the room.

use super::effect::Effect;
use super::input::{Failure, Ticket};
use super::participants::DONE;
use super::{Core, Moment};
use crate::protocol::claim::EndReason;
use crate::protocol::event::Deed;
use crate::protocol::gate::{GateRequest, Kick, Mute, Whom};
use crate::protocol::ids::{Peer, SessionId, StreamName};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{ProducerPaused, RtcEvent, RtcReply, RtcRequest};
use crate::room::RoomError;

impl Core {
    /// Whether a moderator that is heard lets nobody new in.
    pub(super) fn is_locked(&self, m: &Moment<'_>) -> bool {
        self.publications.iter().any(|(_, own)| own.locks) || self.known.locks(&self.me, m)
    }

    pub(super) fn moderate(
        &mut self,
        ticket: Ticket,
        session: SessionId,
        request: RtcRequest,
        m: &mut Moment<'_>,
    ) -> Result<Option<RtcReply>, Refusal> {
        let attendant = self.attendant(session)?;
        if !attendant.may.moderate {
            return Err(Refusal::new(Code::Forbidden, "the session's token does not allow to moderate"));
        }
        let name = attendant.name.clone();
        match request {
            RtcRequest::LockRoom(lock) => {
                let own = self.publications.get_mut(&name);
                let is_news =
                    own.is_some_and(|own| std::mem::replace(&mut own.locks, lock.locked) != lock.locked);
                if is_news {
                    let deed = if lock.locked { Deed::Locked } else { Deed::Unlocked };
                    self.record_moderated(&name, deed, None, None);
                    self.plan_claims(m);
                }
                if !lock.locked && self.is_locked(m) {
                    let why = "another moderator keeps the room locked, and is there";
                    return Err(Refusal::new(Code::Locked, why));
                }
                Ok(Some(DONE))
            }
            RtcRequest::RemoveParticipant(remove) => match self.whereabouts(&remove.participant, m)? {
                None => {
                    self.end_publication(&remove.participant, EndReason::Removed, m);
                    self.record_moderated(&name, Deed::Removed, Some(&remove.participant), None);
                    Ok(Some(DONE))
                }
                Some(peer) => {
                    let whom = Whom::Publisher(remove.participant);
                    let kick = Kick { room_id: self.id.clone(), whom, by: Some(name) };
                    self.out.push(Effect::Gate(ticket, peer, GateRequest::Kick(kick)));
                    Ok(None)
                }
            },
            RtcRequest::MuteProducer(of) => {
                let at = self.whereabouts(&of.participant, m)?;
                let (stream, producer) = (of.participant, of.producer_id);
                let mute = Mute { room_id: self.id.clone(), stream, producer, by: Some(name) };
                match at {
                    None => self.mute(ticket, &mute),
                    Some(peer) => self.out.push(Effect::Gate(ticket, peer, GateRequest::Mute(mute))),
                }
                Ok(None)
            }
            other => {
                Err(Refusal::new(Code::Malformed, format!("{} is nothing that moderators do", other.name())))
            }
        }
    }

    /// The node where somebody is; none where that is this one.
    fn whereabouts(&self, name: &StreamName, m: &Moment<'_>) -> Result<Option<Peer>, Refusal> {
        if self.publications.get(name).is_some() {
            return Ok(None);
        }
        let claim = self.known.of_others(name, &self.me, m);
        let unknown = || Refusal::new(Code::UnknownParticipant, "nobody of that name is in the room");
        claim.map(|claim| Some(claim.origin.clone())).ok_or_else(unknown)
    }

    /// Pauses one producer of a stream that is published here, as a moderator wants it.
    pub(super) fn mute(&mut self, ticket: Ticket, Mute { stream, producer, by, .. }: &Mute) {
        let (id, own) = (*producer, self.publications.get(stream));
        let Some(own) = own.filter(|own| own.producers.iter().any(|producer| producer.id == id)) else {
            return self.refuse(ticket, RoomError::NoStream);
        };
        let session = own.session;
        self.out.push(Effect::SetPaused(Some(ticket), stream.clone(), vec![id], true));
        if let Some(by) = by {
            self.record_moderated(by, Deed::Muted, Some(stream), Some(id));
        }
        if self.is_participant(session) {
            let by = Some("moderator".to_owned());
            let paused = ProducerPaused { participant: stream.clone(), producer_id: id, by };
            self.notify(session, RtcEvent::ProducerPaused(paused));
        }
    }

    /// Another node did what a moderator wanted, or not.
    pub(super) fn gated(&mut self, ticket: Ticket, result: Result<(), Failure>) {
        let result = result.map(|()| DONE).map_err(|failure| match failure {
            Failure::Refused(refusal) => refusal,
            failure => Refusal::new(Code::Timeout, format!("the participant's node: {failure}")),
        });
        self.answer_rtc(ticket, result);
    }
}
