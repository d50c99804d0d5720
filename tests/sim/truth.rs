//! What is really so: who publishes what, on which process, and which publication knew of which.

use std::collections::{BTreeMap, BTreeSet};

use headwater::protocol::claim::{Claim, EndReason};
use headwater::protocol::event::{StreamEnded, What};
use headwater::protocol::ids::{Incarnation, ProducerId, PublicationId, RoomId, StreamName};
use headwater::room::core::Effect;

use crate::media::{Codec, Uplink};
use crate::room::Room;
use crate::users::ClientId;
use crate::world::{At, Pid, World};

pub type Stream = (RoomId, StreamName);

/// A publication that is or was.
#[derive(Debug)]
pub struct Publication {
    pub id: PublicationId,
    pub pid: Pid,
    pub client: ClientId,
    pub sends: Vec<(ProducerId, Codec)>,
    /// Those that its origin had heard of when it started.
    pub knew: BTreeSet<PublicationId>,
    pub term: u64,
    pub since: At,
    pub ended: Option<At>,
    pub paused: bool,
    pub paused_at: At,
}

#[derive(Debug, Default)]
pub struct Truth {
    pub streams: BTreeMap<Stream, Vec<Publication>>,
    known: BTreeMap<(Pid, Stream), BTreeSet<PublicationId>>,
    /// What the input that is being handled begins.
    beginning: Vec<Stream>,
    /// Claims that each process has heard, whatever it made of them.
    pub claims_heard: u64,
}

impl Truth {
    pub fn heard(&mut self, _by: Incarnation, _claim: &Claim) {
        self.claims_heard += 1;
    }

    /// A room was told of these publications.
    pub fn knows(&mut self, pid: Pid, room: &RoomId, stream: &StreamName, publications: Vec<PublicationId>) {
        self.known.entry((pid, (room.clone(), stream.clone()))).or_default().extend(publications);
    }

    pub fn live(&self, stream: &Stream) -> impl Iterator<Item = &Publication> {
        self.streams.get(stream).into_iter().flatten().filter(|own| own.ended.is_none())
    }

    /// How many publications have begun or ended since then.
    pub fn changes_since(&self, then: At) -> u64 {
        let changes = |own: &Publication| u64::from(own.since >= then) + u64::from(own.ended >= Some(then));
        self.streams.values().flatten().map(changes).sum()
    }

    pub fn find(&self, stream: &Stream, id: PublicationId) -> Option<&Publication> {
        self.streams.get(stream)?.iter().find(|own| own.id == id)
    }

    pub fn of_producer(&self, producer: ProducerId) -> Option<(&Stream, &Publication)> {
        self.streams.iter().find_map(|(stream, all)| {
            all.iter()
                .rev()
                .find(|own| own.sends.iter().any(|(id, _)| *id == producer))
                .map(|own| (stream, own))
        })
    }

    /// Whether another publication of the stream is there, or begins right now.
    pub fn is_disputed(&self, stream: &Stream) -> bool {
        self.live(stream).count() > 1 || self.beginning.contains(stream)
    }

    pub fn is_origin(&self, pid: Pid, room: &RoomId, stream: &StreamName) -> bool {
        self.live(&(room.clone(), stream.clone())).any(|own| own.pid == pid)
    }

    /// Whether one publication comes after another: its origin knew of it, or of one that did.
    pub fn follows(&self, stream: &Stream, later: PublicationId, former: PublicationId) -> bool {
        let mut open = vec![later];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some(publication) = self.find(stream, id) else { continue };
            if publication.knew.contains(&former) {
                return true;
            }
            open.extend(publication.knew.iter().filter(|id| seen.insert(**id)));
        }
        false
    }

    pub fn process_gone(&mut self, pid: Pid) {
        for publication in self.streams.values_mut().flatten().filter(|own| own.pid == pid) {
            publication.ended.get_or_insert(At::ZERO);
        }
    }
}

impl World {
    /// Sees what an input leads to before it is carried out: an end is judged by what the same input began.
    pub fn foresee(&mut self, pid: Pid, room: &RoomId, effects: &[Effect]) {
        let started = |stream: &StreamName| {
            effects.iter().any(
                |effect| matches!(effect, Effect::Record(What::StreamStarted(it)) if it.stream == *stream),
            )
        };
        self.truth.beginning.clear();
        for effect in effects {
            if let Effect::Record(What::StreamStarted(it)) = effect {
                self.truth.beginning.push((room.clone(), it.stream.clone()));
            }
            let Effect::Record(What::StreamEnded(it)) = effect else { continue };
            if it.reason == EndReason::Replaced && !started(&it.stream) {
                self.replaced(pid, &(room.clone(), it.stream.clone()), it.publication);
            }
        }
    }

    /// Notes what a node says of its own publications.
    pub fn witness(&mut self, pid: Pid, id: &RoomId, room: &Room, what: &What) {
        let now = self.now;
        match what {
            What::StreamStarted(it) => {
                let stream = (id.clone(), it.stream.clone());
                let producers: Vec<_> = it.producers.iter().map(|producer| producer.id).collect();
                let has = |uplink: &&Uplink| uplink.producers.iter().any(|own| producers.contains(&own.id));
                let uplink = room.media.uplinks.values().find(|uplink| has(uplink));
                let client = uplink.map_or(0, |uplink| uplink.client);
                let sends = uplink.into_iter().flat_map(|uplink| &uplink.producers);
                let sends = sends.map(|own| (own.id, own.codec)).collect();
                let knew = self.truth.known.get(&(pid, stream.clone())).cloned().unwrap_or_default();
                let publication = Publication {
                    id: it.publication,
                    pid,
                    client,
                    sends,
                    knew,
                    term: 0,
                    since: now,
                    ended: None,
                    paused: false,
                    paused_at: now,
                };
                self.tell(|| {
                    format!("{} publishes {}/{} as {}", self.nodes[pid].name(), id, it.stream, it.publication)
                });
                self.truth.knows(pid, id, &it.stream, vec![it.publication]);
                self.truth.streams.entry(stream).or_default().push(publication);
            }
            What::StreamChanged(it) => {
                let stream = (id.clone(), it.stream.clone());
                let own = self.truth.streams.entry(stream).or_default().iter_mut();
                for own in own.filter(|own| own.id == it.publication) {
                    own.paused = it.producers.iter().any(|producer| producer.paused);
                    own.paused_at = now;
                }
            }
            What::StreamEnded(it) => {
                self.ends_a_living(id, room, it);
                self.tell(|| {
                    format!("{} ends {}/{}: {}", self.nodes[pid].name(), id, it.stream, it.reason.as_str())
                });
                let stream = (id.clone(), it.stream.clone());
                let own = self.truth.streams.entry(stream).or_default().iter_mut();
                own.filter(|own| own.id == it.publication).for_each(|own| own.ended = Some(now));
            }
            _ => {}
        }
    }

    /// A publisher is ended for its connection: then that must be gone, however long it is muted.
    fn ends_a_living(&mut self, id: &RoomId, room: &Room, it: &StreamEnded) {
        if !matches!(it.reason, EndReason::Disconnected | EndReason::Silent) {
            return;
        }
        let stream = (id.clone(), it.stream.clone());
        let Some(own) = self.truth.live(&stream).find(|own| own.id == it.publication) else { return };
        let client = own.client;
        let sends = |id| own.sends.iter().any(|(sent, _)| *sent == id);
        let of = |uplink: &Uplink| uplink.client == client && uplink.producers.iter().any(|it| sends(it.id));
        let mut sessions = room.media.uplinks.iter().filter(|(_, uplink)| of(uplink));
        if sessions.any(|(session, _)| self.clients[client].has(*session)) {
            let why = format!("{id}/{} is ended though its publisher is connected", it.stream);
            self.breaks("stays", why);
        }
    }

    /// A node claims something: that is where a publication's term is seen.
    pub fn claimed(&mut self, _pid: Pid, claim: &Claim) {
        let stream = (claim.room_id.clone(), claim.stream.clone());
        let own = self.truth.streams.entry(stream).or_default().iter_mut();
        own.filter(|own| own.id == claim.publication).for_each(|own| own.term = claim.term);
    }
}
