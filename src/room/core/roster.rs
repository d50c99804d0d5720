//! Who is in the room, on all nodes: what the claims say, and what this node last told its participants of that.

use std::collections::BTreeMap;

use super::{Core, Moment};
use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::ids::{NodeName, PublicationId, StreamName};
use crate::protocol::rtc::{
    DataProducer, DataProducerClosed, NewDataProducer, NewProducer, Participant, ParticipantJoined,
    ParticipantLeft, ProducerClosed, ProducerPaused, ProducerResumed, RoomLocked, RtcEvent, why,
};

/// What this node's participants were told of everybody.
#[derive(Debug, Default)]
pub(super) struct Roster {
    told: BTreeMap<StreamName, Told>,
    locked: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    /// Why it is over, where that was decided here.
    ended: Option<EndReason>,
    publication: PublicationId,
    node: NodeName,
    producers: Vec<ClaimedProducer>,
    data_producers: Vec<DataProducer>,
}

impl Core {
    /// Everybody in the room: who sends, and who entered by the session API.
    pub(super) fn everybody(&self, m: &Moment<'_>) -> Vec<Participant> {
        self.present(m).into_values().map(|(_, participant)| participant).collect()
    }

    /// Everybody in the room by name, with their publications.
    fn present(&self, m: &Moment<'_>) -> BTreeMap<StreamName, (PublicationId, Participant)> {
        let own = self.publications.iter().map(|(stream, _)| stream);
        let names = own.chain(self.known.live(m));
        names.filter_map(|name| Some((name.clone(), self.participant(name, m)?))).collect()
    }

    /// A participant, and its publication.
    fn participant(&self, name: &StreamName, m: &Moment<'_>) -> Option<(PublicationId, Participant)> {
        if let Some(own) = self.publications.get(name) {
            let claimed = own.claimed_producers();
            let participant = Participant {
                name: name.clone(),
                node: self.me.node.clone(),
                region: self.me.region.clone(),
                app_data: own.app_data.clone().unwrap_or_default(),
                data_producers: DataProducer::among(&claimed),
                producers: claimed.into_iter().filter(|own| !own.kind.is_data()).collect(),
                joined_at: own.started_at,
            };
            return Some((own.id, participant));
        }
        let claim = self.known.of_others(name, &self.me, m)?;
        Some((claim.publication, Participant::from(claim.as_ref())))
    }

    /// Whether somebody of that name sends anything, or came by WHIP to do so.
    pub(super) fn sends_something(&self, name: &StreamName, m: &Moment<'_>) -> bool {
        match self.publications.get(name) {
            Some(own) => own.app_data.is_none() || !own.producers.is_empty(),
            None => {
                let claim = self.known.of_others(name, &self.me, m);
                claim.is_some_and(|claim| !claim.participant || !claim.producers.is_empty())
            }
        }
    }

    /// Whether somebody of that name is in the room, or was until a moment ago as far as this node told.
    pub(super) fn known_participant(&self, name: &StreamName, m: &Moment<'_>) -> bool {
        self.roster.told.contains_key(name) || self.participant(name, m).is_some()
    }

    /// Tells participants what has changed of everybody.
    pub(super) fn plan_roster(&mut self, m: &Moment<'_>) {
        if self.participants.is_empty() {
            self.roster = Roster::default();
            return;
        }
        let locked = self.is_locked(m);
        if std::mem::replace(&mut self.roster.locked, locked) != locked {
            self.notify_all(None, &RtcEvent::RoomLocked(RoomLocked { locked }));
        }
        let names: Vec<StreamName> = self.roster.told.keys().cloned().collect();
        let now = self.present(m);
        for name in names {
            // Who isn't heard is there for as long as what it sends comes here.
            let is_there = now.contains_key(&name) || self.sources.stream_flows(&name, m.now);
            if !is_there {
                let told = self.roster.told.remove(&name);
                let reason = self.why_gone(&name, told.and_then(|told| told.ended), m);
                let left = ParticipantLeft { name: name.clone(), reason: why(reason).to_owned() };
                self.notify_all(Some(&name), &RtcEvent::ParticipantLeft(left));
                self.speaker_left(&name);
            }
        }
        for (name, (publication, participant)) in now {
            self.tell_of(name, publication, participant);
        }
    }

    /// Somebody's session is over, as this node has decided.
    pub(super) fn note_end(&mut self, name: &StreamName, reason: EndReason) {
        if let Some(told) = self.roster.told.get_mut(name) {
            told.ended = Some(reason);
        }
    }

    fn why_gone(&self, name: &StreamName, here: Option<EndReason>, m: &Moment<'_>) -> EndReason {
        match here.or_else(|| self.known.ended(name)) {
            Some(reason) => reason,
            None if self.known.is_unheard(name, m) => EndReason::Lost,
            None => EndReason::Unknown,
        }
    }

    /// Tells participants what has changed of one.
    fn tell_of(&mut self, name: StreamName, publication: PublicationId, participant: Participant) {
        let told = Told {
            ended: None,
            publication,
            node: participant.node.clone(),
            producers: participant.producers.clone(),
            data_producers: participant.data_producers.clone(),
        };
        let Some(former) = self.roster.told.insert(name.clone(), told.clone()) else {
            let joined = ParticipantJoined { participant };
            return self.notify_all(Some(&name), &RtcEvent::ParticipantJoined(Box::new(joined)));
        };
        if former == told {
            return;
        }
        if (former.publication, &former.node) != (told.publication, &told.node) {
            // It is there anew, or at another node: what it said of itself may differ.
            let joined = ParticipantJoined { participant };
            self.notify_all(Some(&name), &RtcEvent::ParticipantJoined(Box::new(joined)));
        }
        let media = changes(&name, &former.producers, &told.producers);
        for event in
            media.into_iter().chain(data_changes(&name, &former.data_producers, &told.data_producers))
        {
            self.notify_all(Some(&name), &event);
        }
    }
}

/// What has changed of what one sends.
fn changes(name: &StreamName, former: &[ClaimedProducer], now: &[ClaimedProducer]) -> Vec<RtcEvent> {
    let mut events = Vec::new();
    for gone in former.iter().filter(|former| !now.iter().any(|own| own.id == former.id)) {
        let closed = ProducerClosed { participant: name.clone(), producer_id: gone.id };
        events.push(RtcEvent::ProducerClosed(closed));
    }
    for own in now {
        let (participant, producer_id) = (name.clone(), own.id);
        match former.iter().find(|former| former.id == own.id).map(|former| former.paused) {
            None => {
                let new = NewProducer { participant, producer: own.clone() };
                events.push(RtcEvent::NewProducer(Box::new(new)));
            }
            Some(false) if own.paused => {
                let paused = ProducerPaused { participant, producer_id, by: None };
                events.push(RtcEvent::ProducerPaused(paused));
            }
            Some(true) if !own.paused => {
                events.push(RtcEvent::ProducerResumed(ProducerResumed { participant, producer_id }));
            }
            Some(_) => {}
        }
    }
    events
}

/// What has changed of what messages one sends.
fn data_changes(name: &StreamName, former: &[DataProducer], now: &[DataProducer]) -> Vec<RtcEvent> {
    let lacks = |all: &[DataProducer], own: &DataProducer| !all.iter().any(|other| other.id == own.id);
    let gone = former.iter().filter(|own| lacks(now, own)).map(|own| {
        let closed = DataProducerClosed { participant: name.clone(), data_producer_id: own.id };
        RtcEvent::DataProducerClosed(closed)
    });
    let new = now.iter().filter(|own| lacks(former, own)).map(|own| {
        let new = NewDataProducer { participant: name.clone(), data_producer: own.clone() };
        RtcEvent::NewDataProducer(Box::new(new))
    });
    gone.chain(new).collect()
}
