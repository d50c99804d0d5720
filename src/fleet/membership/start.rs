//! A start: is the name free, who is there, and all that one neighbour has heard. Never longer than four seconds.

use std::time::{Duration, Instant};

use super::fetch::is_answer;
use super::{Effect, Membership};
use crate::fleet::directory::Key;
use crate::protocol::claim::Claim;
use crate::protocol::directory::{Claims, GetClaims, Place, Whose};
use crate::protocol::ids::Peer;
use crate::protocol::presence::Phase;

/// The whole start.
const LIMIT: Duration = Duration::from_secs(4);
/// How long another process of our name has to answer.
const PROBE: Duration = Duration::from_millis(600);
/// How long the neighbours of the own region have to say that they are there: one of several is chosen.
const NEAR: Duration = Duration::from_millis(200);
/// How long any neighbour has.
const ANY: Duration = Duration::from_millis(600);
/// How long a neighbour has for a page.
const PAGE: Duration = Duration::from_secs(1);
/// How many neighbours are asked.
const TRIES: usize = 3;

/// How far a start has come.
#[derive(Debug, Default)]
pub(super) struct Start {
    /// When the bus was there first; none before.
    since: Option<Instant>,
    is_probed: bool,
    /// Whether the neighbours of the own region have had their time.
    has_looked_near: bool,
    reading: Reading,
    tried: Vec<Peer>,
}

#[derive(Debug, Default)]
enum Reading {
    /// Who is there?
    #[default]
    Gathering,
    /// A neighbour was asked for what is behind that place.
    Asked { from: Peer, after: Option<Place>, until: Instant },
    /// All was read, or nobody can be asked.
    Done,
}

impl Start {
    /// The bus is there; whether that is for the first time.
    pub(super) fn connected(&mut self, now: Instant) -> bool {
        let is_first = self.since.is_none();
        self.since.get_or_insert(now);
        is_first
    }

    /// Who goes by our name has answered, or nobody has.
    pub(super) fn probed(&mut self) {
        self.is_probed = true;
    }

    /// When it goes on though nothing is heard.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        let probe = (!self.is_probed).then_some(since + PROBE);
        let reading = match self.reading {
            Reading::Gathering => Some(since + if self.has_looked_near { ANY } else { NEAR }),
            Reading::Asked { until, .. } => Some(until),
            Reading::Done => None,
        };
        [probe, reading, Some(since + LIMIT)].into_iter().flatten().min()
    }

    fn ask(&mut self, from: Peer, after: Option<Place>, me: &Peer, now: Instant) -> Effect {
        let request = GetClaims { from: me.clone(), of: Whose::All, after: after.clone() };
        self.reading = Reading::Asked { from: from.clone(), after, until: now + PAGE };
        Effect::Fetch { from, request }
    }
}

impl Membership {
    /// What time or the last input made possible.
    pub(super) fn go_on_starting(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(start) = &mut self.start else { return };
        let Some(since) = start.since else { return };
        let passed = now.saturating_duration_since(since);
        start.is_probed |= passed >= PROBE;
        start.has_looked_near |= passed >= NEAR;
        if matches!(start.reading, Reading::Asked { until, .. } if until <= now) {
            start.reading = Reading::Gathering;
        }
        if matches!(start.reading, Reading::Gathering) {
            self.choose_neighbour(passed, now, effects);
        }
        let is_over = |start: &Start| start.is_probed && matches!(start.reading, Reading::Done);
        if passed >= LIMIT || self.start.as_ref().is_some_and(is_over) {
            self.start = None;
            self.say(now, effects);
            effects.push(Effect::Serving);
        }
    }

    fn choose_neighbour(&mut self, passed: Duration, now: Instant, effects: &mut Vec<Effect>) {
        let Some(start) = &mut self.start else { return };
        let settled =
            self.fleet.present(now).filter(|node| node.phase == Phase::Serving).map(|node| &node.peer);
        let others = settled.filter(|peer| peer.node != self.me.node && !start.tried.contains(peer));
        let (near, far): (Vec<_>, Vec<_>) = others.cloned().partition(|peer| peer.region == self.me.region);
        let choice = match near.is_empty() {
            false if passed >= NEAR => near,
            true if passed >= ANY => far,
            _ => return,
        };
        match self.chance.one_of(choice) {
            Some(neighbour) if start.tried.len() < TRIES => {
                start.tried.push(neighbour.clone());
                effects.push(start.ask(neighbour, None, &self.me, now));
            }
            _ => start.reading = Reading::Done,
        }
    }

    /// A neighbour answered with a page of all claims, or didn't.
    pub(super) fn read(
        &mut self,
        asked: &Peer,
        page: Result<Claims, ()>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Vec<Key> {
        let Some(start) = &mut self.start else { return Vec::new() };
        let Reading::Asked { from, after, .. } = &start.reading else { return Vec::new() };
        if from != asked {
            return Vec::new();
        }
        let Some(page) = page.ok().filter(|page| is_answer(page, asked, after.as_ref())) else {
            start.reading = Reading::Gathering;
            return Vec::new();
        };
        match page.next {
            next @ Some(_) => effects.push(start.ask(asked.clone(), next, &self.me, now)),
            None => start.reading = Reading::Done,
        }
        let others = page.claims.into_iter().filter(|claim| claim.is_sound() && !self.is_me(&claim.origin));
        let others: Vec<Claim> = others.collect();
        others.into_iter().filter_map(|claim| self.directory.hear_say(claim, now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{about, starting};
    use super::super::{Input, Membership};
    use super::*;
    use crate::fleet::samples::{PATIENCE, Timeline, beat, claim, peer, presence};
    use crate::protocol::presence::Presence;

    fn node() -> Membership {
        Membership::new(peer("me", 1, "x"), about(), PATIENCE, 7)
    }

    fn is_asked(effects: &[Effect], whom: &Peer) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::Fetch { from, request } if from == whom && request.of == Whose::All))
    }

    fn claims(of: &Membership, claims: Vec<Claim>, next: Option<Place>) -> Claims {
        Claims {
            claims,
            next,
            ..of.page(&GetClaims { from: peer("other", 9, "x"), of: Whose::All, after: None }, 0)
        }
    }

    #[test]
    fn alone_it_is_ready_after_a_moment() {
        let (at, mut node) = (Timeline::new(), node());
        assert!(node.handle(Input::Tick, at.ms(0)).is_empty(), "no bus, no start");
        let effects = node.handle(Input::Connected, at.ms(100));
        assert_eq!(effects[0], Effect::ProbeName);
        assert!(matches!(&effects[1], Effect::Say(presence) if presence.phase == Phase::Starting));
        assert!(node.handle(Input::NameProbed(None), at.ms(110)).is_empty());
        assert_eq!(node.due(at.ms(110)), Some(at.ms(300)));
        assert!(node.handle(Input::Tick, at.ms(300)).is_empty());
        assert_eq!(node.due(at.ms(300)), Some(at.ms(700)));
        assert!(node.handle(Input::Tick, at.ms(699)).is_empty());
        let effects = node.handle(Input::Tick, at.ms(700));
        assert!(matches!(&effects[0], Effect::Say(presence) if presence.phase == Phase::Serving));
        assert_eq!(effects[1], Effect::Serving);
        assert!(
            node.is_serving() && node.handle(Input::Connected, at.ms(800)).len() == 1,
            "it says that it is there"
        );
    }

    #[test]
    fn it_reads_all_from_one_neighbour_and_prefers_its_region() {
        let (at, mut node) = (Timeline::new(), node());
        node.handle(Input::Connected, at.ms(0));
        node.handle(Input::NameProbed(None), at.ms(1));
        let (far, near) = (presence("far", 2, "y"), presence("near", 3, "x"));
        for presence in [&far, &near] {
            assert!(node.handle(Input::Heard(beat(presence.clone(), 5)), at.ms(50)).is_empty());
        }
        let effects = node.handle(Input::Tick, at.ms(200));
        assert!(is_asked(&effects, &near.peer), "{effects:?}");
        let (first, second) = (claim("r", "a", "far", 4, 1), claim("r", "b", "far", 1, 2));
        let place = Place {
            room_id: first.room_id.clone(),
            stream: first.stream.clone(),
            origin: first.origin.incarnation,
        };
        let neighbour = starting("near", 3, "x");
        let page = claims(&neighbour, vec![first.clone()], Some(place.clone()));
        let (from, of) = (near.peer.clone(), Whose::All);
        let effects = node.handle(Input::Fetched { from: from.clone(), of, page: Ok(page) }, at.ms(210));
        assert!(matches!(&effects[0], Effect::Fetch { request, .. } if request.after == Some(place)));
        let page = claims(&neighbour, vec![second], None);
        let effects = node.handle(Input::Fetched { from, of, page: Ok(page) }, at.ms(220));
        assert_eq!(effects.last(), Some(&Effect::Serving));
        assert_eq!(node.look_up(&first.room_id, &first.stream).unwrap().next_term(), 5);
    }

    #[test]
    fn neighbours_that_fail_hold_nothing_up() {
        let (at, mut node) = (Timeline::new(), node());
        node.handle(Input::Connected, at.ms(0));
        for n in 2..10 {
            node.handle(Input::Heard(beat(presence(&format!("n{n}"), n, "x"), 5)), at.ms(10));
        }
        let mut asked = Vec::new();
        let mut serving = None;
        for ms in (0..6_000).step_by(100) {
            for effect in node.handle(Input::Tick, at.ms(ms)) {
                match effect {
                    Effect::Fetch { from, .. } => asked.push(from),
                    Effect::Serving => serving = Some(ms),
                    _ => {}
                }
            }
        }
        assert_eq!(asked.len(), TRIES);
        assert!(asked[0] != asked[1] && asked[1] != asked[2] && asked[0] != asked[2]);
        assert!(serving.is_some_and(|ms| ms <= 4_000), "{serving:?}");
    }

    #[test]
    fn a_name_that_is_taken_ends_it() {
        let former = presence("me", 2, "x");
        let answer = |phase, number| {
            let mut claims = claims(&starting("me", 2, "x"), Vec::new(), None);
            (claims.phase, claims.beat.number) = (phase, number);
            Input::NameProbed(Some(claims))
        };
        let heard = |phase, number| Input::Heard(beat(Presence { phase, ..former.clone() }, number));
        let at = Timeline::new();
        for (input, taken) in [
            (answer(Phase::Serving, 1), true),
            (answer(Phase::Starting, 9), true),
            (answer(Phase::Starting, 0), false),
            (answer(Phase::Draining, 90), false),
            (heard(Phase::Serving, 1), true),
            (heard(Phase::Draining, 90), false),
        ] {
            let mut node = node();
            node.handle(Input::Connected, at.ms(0));
            let effects = node.handle(input.clone(), at.ms(10));
            assert_eq!(effects == [Effect::NameTaken(former.peer.clone())], taken, "{input:?}");
        }
    }
}
