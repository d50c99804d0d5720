//! Asking processes for the claims that we lack: few at once, never all nodes at the same moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Chance, Effect, Membership};
use crate::fleet::Word;
use crate::fleet::directory::Key;
use crate::protocol::claim::Claim;
use crate::protocol::directory::{Claims, GetClaims, Place, Whose};
use crate::protocol::ids::{Incarnation, NodeName, Peer};

/// How many are asked at once.
const AT_ONCE: usize = 4;
/// How long is waited, at most, for claims that are still on their way.
const JITTER: Duration = Duration::from_millis(500);
/// The first and the longest wait after a failure: few are asked at once, so that is no burden. With it, and what an answer
/// may take, whoever hears nothing for a while is known again within three seconds of hearing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(500));
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many beats of a process may be overtaken by its claims before it is asked all the same.
const OVERTAKEN: u8 = 5;

/// The processes of which we lack something.
#[derive(Debug, Default)]
pub(super) struct Fetches(BTreeMap<(NodeName, Incarnation), Debt>);

/// What is known of a process that we lack claims of.
#[derive(Debug)]
struct Debt {
    peer: Peer,
    state: State,
    /// Fetches that failed, or didn't help, since it last was as it says.
    failures: u32,
    overtaken: u8,
}

#[derive(Debug)]
enum State {
    /// Its next beat decides.
    Doubted,
    /// It is asked then, if it still differs.
    Waiting { at: Instant },
    /// It was asked for what is behind that place.
    Asked { after: Option<Place>, until: Instant },
}

impl Fetches {
    /// A process's beat was compared to what we hold of it.
    pub(super) fn compared(&mut self, peer: &Peer, word: Word, now: Instant, chance: &mut Chance) {
        if word == Word::Same {
            self.forget(peer);
            return;
        }
        let debt = self.0.entry(key(peer)).or_insert_with(|| Debt::new(peer));
        debt.overtaken = if word == Word::Behind { debt.overtaken.saturating_add(1) } else { 0 };
        let is_certain = word == Word::Differs || debt.overtaken >= OVERTAKEN;
        if is_certain && matches!(debt.state, State::Doubted) {
            debt.state = State::Waiting { at: now + chance.within(JITTER) };
        }
    }

    /// Nothing is lacked of a process, or it is gone.
    pub(super) fn forget(&mut self, peer: &Peer) {
        self.0.remove(&key(peer));
    }

    /// Forgets all but those.
    pub(super) fn keep(&mut self, known: impl Fn(&Peer) -> bool) {
        self.0.retain(|_, debt| known(&debt.peer));
    }

    /// The bus is back: what failed for want of it counts for nothing, and no answer of before comes.
    pub(super) fn try_again(&mut self, now: Instant, chance: &mut Chance) {
        for debt in self.0.values_mut() {
            debt.failures = 0;
            if !matches!(debt.state, State::Doubted) {
                debt.state = State::Waiting { at: now + chance.within(JITTER) };
            }
        }
    }

    /// When the next one is to be asked, or has had its time.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_full = self.asked() >= AT_ONCE;
        let times = self.0.values().filter_map(|debt| match debt.state {
            State::Waiting { at } if !is_full => Some(at),
            State::Asked { until, .. } => Some(until),
            _ => None,
        });
        times.min()
    }

    /// Gives up those that don't answer.
    fn expire(&mut self, now: Instant, chance: &mut Chance) {
        for debt in self.0.values_mut() {
            if matches!(debt.state, State::Asked { until, .. } if until <= now) {
                debt.failed(now, chance);
            }
        }
    }

    /// The next one whose time has come, if there is room for it.
    fn next(&self, now: Instant) -> Option<Peer> {
        if self.asked() >= AT_ONCE {
            return None;
        }
        let waiting = self.0.values().filter_map(|debt| match debt.state {
            State::Waiting { at } if at <= now => Some((at, &debt.peer)),
            _ => None,
        });
        waiting.min_by_key(|(at, _)| *at).map(|(_, peer)| peer.clone())
    }

    /// How far a process was asked that has answered; none if it wasn't asked.
    fn asked_after(&self, peer: &Peer) -> Option<Option<Place>> {
        match &self.0.get(&key(peer))?.state {
            State::Asked { after, .. } => Some(after.clone()),
            _ => None,
        }
    }

    fn debt(&mut self, peer: &Peer) -> Option<&mut Debt> {
        self.0.get_mut(&key(peer))
    }

    fn asked(&self) -> usize {
        self.0.values().filter(|debt| matches!(debt.state, State::Asked { .. })).count()
    }
}

impl Debt {
    fn new(peer: &Peer) -> Self {
        Self { peer: peer.clone(), state: State::Doubted, failures: 0, overtaken: 0 }
    }

    /// Asks it for what is behind a place.
    fn ask(&mut self, me: &Peer, after: Option<Place>, now: Instant) -> Effect {
        self.state = State::Asked { after: after.clone(), until: now + PATIENCE };
        self.overtaken = 0;
        let request = GetClaims { from: me.clone(), of: Whose::Own, after };
        Effect::Fetch { from: self.peer.clone(), request }
    }

    fn failed(&mut self, now: Instant, chance: &mut Chance) {
        let (first, longest) = BACKOFF;
        let backoff = first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(longest);
        self.failures = self.failures.saturating_add(1).min(16);
        self.state = State::Waiting { at: now + backoff + chance.within(JITTER) };
    }
}

impl Membership {
    /// Not before the start is over, because the neighbour's answer may fill in what is lacked, and not while
    /// the bus is away.
    pub(super) fn may_fetch(&self, now: Instant) -> bool {
        self.start.is_none() && self.fleet.hears_itself(now)
    }

    /// Asks those whose time has come, once more comparing before.
    pub(super) fn fetch_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.fetches.expire(now, &mut self.chance);
        if !self.may_fetch(now) {
            return;
        }
        while let Some(peer) = self.fetches.next(now) {
            let last = self.fleet.process(&peer).filter(|_| !self.fleet.is_absent(&peer, now));
            let word = last.map(|last| self.directory.compare(&peer, &last.beat));
            let Some(debt) = self.fetches.debt(&peer) else { return };
            match word {
                Some(Word::Differs) => effects.push(debt.ask(&self.me, None, now)),
                Some(Word::Behind) if debt.overtaken >= OVERTAKEN => {
                    effects.push(debt.ask(&self.me, None, now))
                }
                Some(Word::Behind) => debt.state = State::Doubted,
                Some(Word::Same) | None => self.fetches.forget(&peer),
            }
        }
    }

    /// A process answered with a page of its own claims, or didn't.
    pub(super) fn fetched(
        &mut self,
        asked: &Peer,
        page: Result<Claims, ()>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Vec<Key> {
        let Some(after) = self.fetches.asked_after(asked) else { return Vec::new() };
        let page = page.ok().filter(|page| is_answer(page, asked, after.as_ref()));
        let Some(mut page) = page else {
            if let Some(debt) = self.fetches.debt(asked) {
                debt.failed(now, &mut self.chance);
            }
            return Vec::new();
        };
        page.claims.retain(Claim::is_sound);
        let (next, beat) = (page.next.clone(), page.beat);
        let changed = self.directory.replace(after.as_ref(), page, now);
        let word = self.directory.compare(asked, &beat);
        let Some(debt) = self.fetches.debt(asked) else { return changed };
        match (next, word) {
            (_, Word::Same) => self.fetches.forget(asked),
            (next @ Some(_), _) => effects.push(debt.ask(&self.me, next, now)),
            (None, Word::Behind) => debt.state = State::Doubted,
            (None, Word::Differs) => debt.failed(now, &mut self.chance),
        }
        changed
    }
}

/// Whether a page is the one that was asked for, and leads on.
pub(super) fn is_answer(page: &Claims, asked: &Peer, after: Option<&Place>) -> bool {
    let leads_on = page.next.as_ref().is_none_or(|next| Some(next) > after);
    leads_on && page.from.incarnation == asked.incarnation && page.from.node == asked.node
}

fn key(peer: &Peer) -> (NodeName, Incarnation) {
    (peer.node.clone(), peer.incarnation)
}
