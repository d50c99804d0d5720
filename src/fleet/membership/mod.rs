//! A node among its fleet, as a value: input and `now` go in, effects come out.
//!
//! It says that this node is there, hears who else is, folds what they claim, and asks for what it misses.

mod clean;
mod fetch;
mod push;
mod rival;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::directory::Key;
use super::{BEAT, Directory, Fleet, Notice, beat_every};
use crate::config::Rooms;
use crate::protocol::claim::{Claim, EndReason};
use crate::protocol::directory::{Claims, GetClaims, Whose};
use crate::protocol::ids::{Peer, RoomId, StreamName};
use crate::protocol::presence::{Beat, Limits, Load, Phase, Presence, Role};
use clean::Absences;
use fetch::Fetches;
use push::Pushed;
use rival::Rivals;
use start::Start;

/// How long a node that starts may wait for the signs of life of all, in a fleet of up to a hundred.
const GREETING: Duration = Duration::from_millis(100);
/// How soon after its last word a node speaks again because others return.
const SPACED: Duration = Duration::from_millis(250);

/// What a node says of itself that hardly ever changes.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What it does.
    pub roles: Vec<Role>,
    /// Its program's version.
    pub version: String,
    /// Where publishers and viewers reach it.
    pub public_url: String,
    /// How much it takes.
    pub limits: Limits,
    /// Which rooms are pushed to it.
    pub pushes: Rooms,
}

/// What a node hears, and what its rooms want of it.
#[derive(Debug, Clone)]
pub enum Input {
    /// A sign of life, this node's own among them.
    Heard(Arc<Presence>),
    /// What another node says of its own stream: on its own subject, and sound.
    Claimed(Claim),
    /// The bus is there, for the first time or again.
    Connected,
    /// Time has passed: to be said every 200 ms, or when [`Membership::due`] says.
    Tick,
    /// A sign of life is due: to be said as often as [`Membership::beat_every`] says, and at once when the phase changes.
    Beat {
        /// What the node does: [`Phase::Serving`] is told as starting until it can.
        phase: Phase,
        /// How much it carries.
        load: Load,
    },
    /// From now on this node takes so much: told with the next sign of life.
    Limits(Limits),
    /// A room here claims a stream, changes that or ends it. Origin and revision are filled in.
    Own(Claim),
    /// A room's task is gone, and with it what it had.
    RoomGone(RoomId),
    /// The answer to [`Effect::Fetch`].
    Fetched {
        /// Who was asked.
        from: Peer,
        /// For what.
        of: Whose,
        /// The answer; none came otherwise.
        page: Result<Claims, ()>,
    },
    /// The answer to [`Effect::ProbeName`]; none where nobody answered.
    NameProbed(Option<Claims>),
    /// A room here is to be told what is claimed in it.
    Follow(RoomId),
    /// And no longer.
    Unfollow(RoomId),
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say that this node is there.
    Say(Presence),
    /// Publish a claim of this node.
    Publish(Claim),
    /// Ask a node for claims and bring back [`Input::Fetched`].
    Fetch {
        /// Whom.
        from: Peer,
        /// For what.
        request: GetClaims,
    },
    /// Ask whoever goes by our own name for its claims and bring back [`Input::NameProbed`].
    ProbeName,
    /// Tell a room that is followed.
    Notice(Notice),
    /// A process that was lost is there again: rooms are to see that at once.
    Returned,
    /// Record that a process has fallen silent.
    NodeLost(Peer),
    /// Another process serves under our name: this one must end.
    NameTaken(Peer),
    /// Another process serves under our name, as this one has for long: people must know.
    NameShared(Peer),
    /// A room is pushed here: it is to be opened.
    Carry(RoomId),
    /// The start is over: the directory is as complete as it can be.
    Serving,
}

/// A node among its fleet.
#[derive(Debug)]
pub struct Membership {
    me: Peer,
    profile: Profile,
    chance: Chance,
    fleet: Fleet,
    /// Whether the fleet has changed since it was last taken.
    is_news: bool,
    directory: Directory,
    followed: BTreeSet<RoomId>,
    pushed: Pushed,
    /// None once it is over.
    start: Option<Start>,
    fetches: Fetches,
    rivals: Rivals,
    absences: Absences,
    /// What this node does, and how much it carries, as it was last told.
    phase: Phase,
    load: Load,
    /// Signs of life so far, and changes to own claims.
    number: u64,
    revision: u64,
    /// How many were there at the last sign of life, and after what time the next is due.
    nodes: u32,
    every: Duration,
    /// When a node that starts or returns is to be answered, and when this one last spoke.
    greet_at: Option<Instant>,
    said_at: Option<Instant>,
}

impl Membership {
    /// A node that has heard nothing yet; `seed` decides all that is left to chance.
    pub fn new(me: Peer, profile: Profile, patience: Duration, seed: u64) -> Self {
        Self {
            fleet: Fleet::new(me.clone(), patience),
            me,
            profile,
            chance: Chance::new(seed),
            is_news: true,
            directory: Directory::default(),
            followed: BTreeSet::new(),
            pushed: Pushed::default(),
            start: Some(Start::default()),
            fetches: Fetches::default(),
            rivals: Rivals::default(),
            absences: Absences::default(),
            phase: Phase::Serving,
            load: Load::default(),
            number: 0,
            revision: 0,
            nodes: 0,
            every: BEAT,
            greet_at: None,
            said_at: None,
        }
    }

    /// Takes an input in; what is to be done comes out.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut changed = BTreeSet::new();
        match input {
            Input::Heard(presence) => changed.extend(self.heard(presence, now, &mut effects)),
            Input::Claimed(claim) => changed.extend(self.claimed(claim, now)),
            Input::Connected => self.connected(now, &mut effects),
            Input::Tick => changed.extend(self.tick(now, &mut effects)),
            Input::Beat { phase, load } => {
                (self.phase, self.load) = (phase, load);
                let nodes = self.fleet.present(now).count();
                (self.nodes, self.every) = (u32::try_from(nodes).unwrap_or(u32::MAX), beat_every(nodes));
                self.say(now, &mut effects);
            }
            Input::Limits(limits) => self.profile.limits = limits,
            Input::Own(claim) => changed.extend(self.own(claim, now, &mut effects)),
            Input::RoomGone(room) => {
                for claim in self.directory.claims_in(&room, &self.me) {
                    changed.extend(self.own(claim.ended(EndReason::Media), now, &mut effects));
                }
            }
            Input::Fetched { from, of: Whose::Own, page } => {
                changed.extend(self.fetched(&from, page, now, &mut effects));
            }
            Input::Fetched { from, of: Whose::All, page } => {
                changed.extend(self.read(&from, page, now, &mut effects));
            }
            Input::NameProbed(answer) => self.name_probed(answer, &mut effects),
            Input::Follow(room) => {
                self.followed.insert(room);
            }
            Input::Unfollow(room) => {
                self.followed.remove(&room);
            }
        }
        self.go_on_starting(now, &mut effects);
        self.fetch_due(now, &mut effects);
        self.note_pushed(&changed);
        let told = changed.into_iter().filter(|(room, _)| self.followed.contains(room));
        effects.extend(told.filter_map(|(room, stream)| self.look_up(&room, &stream)).map(Effect::Notice));
        effects
    }

    /// A page of claims, at most about so many bytes.
    pub fn page(&self, request: &GetClaims, max_bytes: usize) -> Claims {
        let (claims, next) = self.directory.page(request.of, &self.me, request.after.as_ref(), max_bytes);
        Claims { from: self.me.clone(), phase: self.said_phase(), beat: self.beat(), claims, next }
    }

    /// All that is known of a room's streams.
    pub fn known(&self, room: &RoomId) -> Vec<Notice> {
        self.directory.known(room)
    }

    /// All that is known of a stream; none if nothing ever was.
    pub fn look_up(&self, room: &RoomId, stream: &StreamName) -> Option<Notice> {
        self.directory.look_up(room, stream)
    }

    /// Who is there.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// A copy of who is there, if anything was heard since the last.
    pub fn take_fleet(&mut self) -> Option<Arc<Fleet>> {
        std::mem::take(&mut self.is_news).then(|| Arc::new(self.fleet.clone()))
    }

    /// What all nodes claim.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether the start is over.
    pub fn is_serving(&self) -> bool {
        self.start.is_none()
    }

    /// What this node says of itself now.
    pub fn presence(&self) -> Presence {
        let Profile { roles, version, public_url, limits, .. } = self.profile.clone();
        let (peer, phase, load) = (self.me.clone(), self.said_phase(), self.load.clone());
        Presence { peer, roles, version, phase, load, limits, public_url, beat: self.beat() }
    }

    /// How long after a sign of life the next [`Input::Beat`] is due.
    pub fn beat_every(&self) -> Duration {
        self.every
    }

    /// When the next [`Input::Tick`] has something to do; a later one does it later.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let fetch = if self.may_fetch(now) { self.fetches.due() } else { None };
        let start = self.start.as_ref().and_then(Start::due);
        [self.greet_at, fetch, start].into_iter().flatten().min()
    }

    /// A process gave a sign of life.
    fn heard(&mut self, presence: Arc<Presence>, now: Instant, effects: &mut Vec<Effect>) -> Vec<Key> {
        let is_new = self.fleet.process(&presence.peer).is_none();
        if !self.fleet.hear(Arc::clone(&presence), now) {
            return Vec::new();
        }
        self.is_news = true;
        if self.is_me(&presence.peer) {
            return Vec::new();
        }
        let returns = self.absences.heard(&presence.peer);
        self.meet_rival(&presence.peer, presence.phase, presence.beat.number, effects);
        if is_new && presence.phase == Phase::Starting {
            self.greet(now, now);
        } else if returns {
            // It may have missed this node as well. Where a whole region returns, one word reaches many.
            self.greet(self.said_at.map_or(now, |said| said + SPACED), now);
        }
        let told_otherwise =
            self.directory.process(&presence.peer).is_some_and(|told| *told != presence.peer);
        if presence.phase == Phase::Stopped || told_otherwise {
            self.fetches.forget(&presence.peer);
            return self.directory.forget(&presence.peer);
        }
        let word = self.directory.compare(&presence.peer, &presence.beat);
        self.fetches.compared(&presence.peer, word, now, &mut self.chance);
        if !returns {
            return Vec::new();
        }
        // What it claims holds again: who waits for that is told.
        effects.push(Effect::Returned);
        self.directory.streams_of(&presence.peer)
    }

    /// Says soon that this node is there, to one that waits for that.
    fn greet(&mut self, earliest: Instant, now: Instant) {
        if self.greet_at.is_none() {
            // So that it doesn't hear more than 1,000 in a second of these either.
            let greeting = GREETING.max(Duration::from_millis(self.nodes.into()));
            self.greet_at = Some((now + self.chance.within(greeting)).max(earliest));
        }
    }

    /// Another node says something of its own stream.
    fn claimed(&mut self, claim: Claim, now: Instant) -> Option<Key> {
        if self.is_me(&claim.origin) || !claim.is_sound() {
            return None;
        }
        let is_void = self.fleet.is_void(&claim.origin, now);
        if is_void { self.directory.hear_term(&claim) } else { self.directory.hear(claim, now) }
    }

    /// This node says something of its own stream.
    fn own(&mut self, claim: Claim, now: Instant, effects: &mut Vec<Effect>) -> Option<Key> {
        self.revision += 1;
        let claim = Claim { origin: self.me.clone(), revision: self.revision, ..claim };
        effects.push(Effect::Publish(claim.clone()));
        self.directory.hear(claim, now)
    }

    fn connected(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(start) = &mut self.start
            && start.connected(now)
        {
            effects.push(Effect::ProbeName);
        }
        self.fetches.try_again(now, &mut self.chance);
        self.say(now, effects);
    }

    fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) -> Vec<Key> {
        if self.greet_at.is_some_and(|at| at <= now) {
            self.say(now, effects);
        }
        self.tell_lost(now, effects);
        if self.start.is_none() && self.phase == Phase::Serving {
            self.carry_pushed(now, effects);
        }
        self.clean(now)
    }

    /// Says that this node is there.
    fn say(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.number += 1;
        self.greet_at = None;
        self.said_at = Some(now);
        effects.push(Effect::Say(self.presence()));
    }

    fn beat(&self) -> Beat {
        let digest = self.directory.digest(&self.me);
        Beat {
            number: self.number,
            revision: self.revision,
            claims: digest.count,
            digest: digest.sum,
            every_ms: self.every.as_millis().try_into().unwrap_or(u32::MAX),
        }
    }

    /// What it does, but for what it can't do yet.
    fn said_phase(&self) -> Phase {
        if self.phase == Phase::Serving && self.start.is_some() { Phase::Starting } else { self.phase }
    }

    fn is_me(&self, peer: &Peer) -> bool {
        peer.incarnation == self.me.incarnation && peer.node == self.me.node
    }
}
