use super::*;
use crate::fleet::samples::{PATIENCE, Timeline, beat, claim, peer, presence};
use crate::protocol::ids::PublicationId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(super) fn about() -> Profile {
    Profile {
        limits: Limits::default(),
        pushes: Rooms::default(),
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        version: "0".to_owned(),
        public_url: String::new(),
    }
}

/// A node whose start hasn't begun.
pub(super) fn starting(node: &str, process: u128, region: &str) -> Membership {
    Membership::new(peer(node, process, region), about(), PATIENCE, process as u64)
}

/// A few nodes and the bus between them, in virtual time. Messages take up to 60 ms, in any order.
struct Net {
    at: Timeline,
    now: u64,
    nodes: Vec<Membership>,
    cut: Vec<bool>,
    /// What is on its way: to which node, by when it arrives and a number.
    wire: BTreeMap<(u64, u64), (usize, Input)>,
    sent: u64,
    chance: Chance,
    /// One of so many messages is lost, and one is doubled; none if 0.
    lossy: u64,
    /// All else that came out, with its node.
    told: Vec<(usize, Effect)>,
    fetches: usize,
    /// The highest term of each stream that each node was told of.
    heard: BTreeMap<(usize, Key), u64>,
}

impl Net {
    fn new(nodes: usize, seed: u64) -> Self {
        let mut net = Self {
            at: Timeline::new(),
            now: 0,
            nodes: (0..nodes).map(|n| starting(&format!("n{n}"), n as u128 + 1, "x")).collect(),
            cut: vec![false; nodes],
            wire: BTreeMap::new(),
            sent: 0,
            chance: Chance::new(seed),
            lossy: 0,
            told: Vec::new(),
            fetches: 0,
            heard: BTreeMap::new(),
        };
        for node in 0..nodes {
            net.put(node, Input::Connected);
        }
        net.run(3_000);
        assert!(net.nodes.iter().all(Membership::is_serving));
        net
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now += 10;
            while self.wire.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
                let (_, (to, input)) = self.wire.pop_first().unwrap();
                if !self.cut[to] || matches!(input, Input::Fetched { page: Err(()), .. }) {
                    self.put(to, input);
                }
            }
            for node in 0..self.nodes.len() {
                let offset = self.now + node as u64 * 130;
                if offset.is_multiple_of(1_000) {
                    self.put(node, Input::Beat { phase: Phase::Serving, load: Load::default() });
                }
                if offset.is_multiple_of(200) {
                    self.put(node, Input::Tick);
                }
            }
        }
    }

    fn put(&mut self, node: usize, input: Input) {
        if let Input::Claimed(claim) = &input {
            let key = (node, (claim.room_id.clone(), claim.stream.clone()));
            let highest = self.heard.entry(key).or_default();
            *highest = claim.term.max(*highest);
        }
        for effect in self.nodes[node].handle(input, self.at.ms(self.now)) {
            match effect {
                Effect::Say(presence) => self.broadcast(node, true, &Input::Heard(Arc::new(presence))),
                Effect::Publish(claim) => self.broadcast(node, false, &Input::Claimed(claim)),
                Effect::Fetch { from, request } => self.ask(node, from, &request),
                Effect::ProbeName => self.send(node, Input::NameProbed(None)),
                other => self.told.push((node, other)),
            }
        }
    }

    fn broadcast(&mut self, from: usize, itself: bool, input: &Input) {
        for to in (0..self.nodes.len()).filter(|to| itself || *to != from) {
            let (lost, doubled) = (self.one_in(self.lossy), self.one_in(self.lossy));
            if self.cut[from] || lost {
                continue;
            }
            self.send(to, input.clone());
            if doubled {
                self.send(to, input.clone());
            }
        }
    }

    fn ask(&mut self, node: usize, from: Peer, request: &GetClaims) {
        self.fetches += 1;
        let asked = self
            .nodes
            .iter()
            .position(|node| node.me == from)
            .filter(|asked| !self.cut[*asked] && !self.cut[node]);
        let answer = asked.map(|asked| self.nodes[asked].page(request, 1_500));
        self.send(node, Input::Fetched { from, of: request.of, page: answer.ok_or(()) });
    }

    fn send(&mut self, to: usize, input: Input) {
        self.sent += 1;
        let delay = self.chance.within(Duration::from_millis(60)).as_millis() as u64;
        self.wire.insert((self.now + delay, self.sent), (to, input));
    }

    fn one_in(&mut self, times: u64) -> bool {
        times > 0 && self.chance.within(Duration::from_millis(times)).is_zero()
    }

    fn heal(&mut self, node: usize) {
        self.cut[node] = false;
        self.put(node, Input::Connected);
    }

    /// Killed and started at once, as another process.
    fn restart(&mut self, node: usize) {
        let process = self.sent as u128 + 1_000;
        self.nodes[node] = starting(&format!("n{node}"), process, "x");
        self.wire.retain(|_, (to, _)| *to != node);
        self.heard.retain(|(of, _), _| *of != node);
        self.cut[node] = false;
        self.put(node, Input::Connected);
    }

    /// A room of the node takes a publisher.
    fn publish(&mut self, node: usize, stream: &str) {
        let (room, name) = ("r".parse().unwrap(), stream.parse().unwrap());
        let term = self.nodes[node].look_up(&room, &name).map_or(1, |notice| notice.next_term());
        let heard = self.heard.get(&(node, (room, name))).copied().unwrap_or(0);
        assert!(term > heard, "a term exceeds all that was heard");
        self.sent += 1;
        let publication = PublicationId(Uuid::from_u128(u128::from(self.sent)));
        self.put(node, Input::Own(Claim { publication, ..claim("r", stream, "other", term, 0) }));
    }

    fn own(&self, node: usize) -> Vec<Claim> {
        let request = GetClaims { from: peer("other", 99, "x"), of: Whose::Own, after: None };
        self.nodes[node].page(&request, usize::MAX).claims
    }

    /// All that all nodes claim is what each of them has heard.
    fn agree(&self) -> Result<(), String> {
        let mut truth: Vec<Claim> = (0..self.nodes.len()).flat_map(|node| self.own(node)).collect();
        truth.sort_by_key(|claim| (claim.stream.clone(), claim.origin.incarnation));
        let request = GetClaims { from: peer("other", 99, "x"), of: Whose::All, after: None };
        for node in &self.nodes {
            let heard = node.page(&request, usize::MAX).claims;
            if heard != truth {
                return Err(format!("{} has {heard:#?}\n not {truth:#?}", node.me.node));
            }
        }
        Ok(())
    }

    fn claims_of(&self, node: usize, stream: &str) -> Vec<Arc<Claim>> {
        let notice = self.nodes[node].look_up(&"r".parse().unwrap(), &stream.parse().unwrap());
        notice.map(|notice| notice.claims).unwrap_or_default()
    }
}

#[test]
fn a_restarted_nodes_former_claims_vanish_and_its_terms_stay() {
    let mut net = Net::new(3, 1);
    net.publish(0, "main");
    net.publish(0, "other");
    net.run(1_000);
    assert_eq!(net.claims_of(2, "main").len(), 1);
    net.restart(0);
    net.run(1_500);
    assert_eq!(net.claims_of(2, "main").len(), 1, "it may not be silent yet");
    net.publish(0, "main");
    net.run(PATIENCE.as_millis() as u64 + 1_500);
    let claims = net.claims_of(2, "main");
    assert_eq!((claims.len(), claims[0].term), (1, 2));
    assert!(net.claims_of(2, "other").is_empty());
    net.agree().unwrap();
}

#[test]
fn a_cut_off_origins_claims_hold_again_at_once() {
    let mut net = Net::new(3, 2);
    net.publish(0, "main");
    net.run(2_000);
    net.cut[0] = true;
    net.run(25_000);
    let origin = net.nodes[0].me.clone();
    assert!(net.nodes[1].fleet().is_absent(&origin, net.at.ms(net.now)));
    assert!(
        !net.nodes[0].fleet().is_absent(&net.nodes[1].me, net.at.ms(net.now)),
        "it hears nobody, itself neither"
    );
    let (before, told) = (net.fetches, net.told.clone());
    let lost = told.iter().filter(|(_, told)| *told == Effect::NodeLost(origin.clone()));
    assert_eq!(lost.count(), 2, "told, and once more by another");
    net.heal(0);
    net.run(100);
    assert!(!net.nodes[1].fleet().is_absent(&origin, net.at.ms(net.now)));
    assert_eq!(net.claims_of(1, "main").len(), 1);
    net.run(5_000);
    let since = &net.told[told.len()..];
    assert_eq!(net.fetches, before, "nothing was read");
    assert!(since.iter().all(|(_, told)| *told == Effect::Returned) && since.len() == 2, "{since:?}");
    net.agree().unwrap();
}

#[test]
fn the_bus_gone_for_all_means_nothing_and_nothing_is_read_again() {
    let mut net = Net::new(5, 3);
    (0..5).for_each(|node| net.publish(node, &format!("s{node}")));
    net.run(2_000);
    net.cut = vec![true; 5];
    net.run(60_000);
    let (before, told) = (net.fetches, net.told.len());
    net.publish(4, "new");
    net.run(100);
    (0..5).for_each(|node| net.heal(node));
    net.run(2_000);
    assert_eq!(net.told.len(), told);
    assert!(net.fetches <= before + 4, "one question a node, for what is new");
    net.agree().unwrap();
}

#[test]
fn an_absent_nodes_claims_are_kept_for_an_hour_and_its_terms_for_longer() {
    let mut net = Net::new(2, 8);
    net.publish(0, "main");
    net.run(2_000);
    net.cut[0] = true;
    net.run(59 * 60_000);
    assert_eq!(net.claims_of(1, "main").len(), 1);
    net.run(2 * 60_000);
    assert!(net.claims_of(1, "main").is_empty());
    net.publish(1, "main");
    assert_eq!(net.claims_of(1, "main")[0].term, 2);
    net.heal(0);
    net.run(3_000);
    net.agree().unwrap();
    assert_eq!(net.claims_of(1, "main").len(), 2, "both live: the room of the lower one ends it");
}

#[test]
fn only_followed_rooms_are_told_and_once_for_each_stream() {
    let (at, mut node) = (Timeline::new(), starting("me", 1, "x"));
    let other = claim("r", "main", "a", 1, 1);
    assert!(node.handle(Input::Claimed(other.clone()), at.ms(0)).is_empty());
    node.handle(Input::Follow(other.room_id.clone()), at.ms(1));
    assert_eq!(node.known(&other.room_id)[0].since, Some(at.ms(0)));
    assert!(node.handle(Input::Claimed(other.clone()), at.ms(2)).is_empty(), "doubled");
    let effects = node.handle(Input::Own(claim("r", "main", "me", 2, 0)), at.ms(3));
    assert!(matches!(&effects[..], [Effect::Publish(claim), Effect::Notice(notice)]
        if claim.revision == 1 && claim.origin == node.me && notice.claims.len() == 2 && notice.claims[0].term == 2));
    let last = Presence { phase: Phase::Stopped, peer: other.origin.clone(), ..presence("a", 1, "x") };
    let effects = node.handle(Input::Heard(beat(last, 9)), at.ms(4));
    assert!(matches!(&effects[..], [Effect::Notice(notice)] if notice.claims.len() == 1));
    assert!(
        node.handle(Input::Claimed(Claim { revision: 2, ..other.clone() }), at.ms(5)).is_empty(),
        "it has stopped"
    );
    node.handle(Input::Unfollow(other.room_id.clone()), at.ms(6));
    assert_eq!(node.handle(Input::Own(claim("r", "main", "me", 3, 0)), at.ms(7)).len(), 1);
}

#[test]
fn what_a_lost_room_claimed_is_ended() {
    let (at, mut node) = (Timeline::new(), starting("me", 1, "x"));
    for (room, stream) in [("r", "a"), ("r", "b"), ("s", "c")] {
        node.handle(Input::Own(claim(room, stream, "me", 1, 0)), at.ms(0));
    }
    let effects = node.handle(Input::RoomGone("r".parse().unwrap()), at.ms(1));
    let ended = |effect: &Effect| matches!(effect, Effect::Publish(claim) if claim.ended(EndReason::Media).state == claim.state);
    assert!(effects.len() == 2 && effects.iter().all(ended));
    assert_eq!(node.directory().claims(), 1);
    assert_eq!(node.presence().beat.revision, 5);
}

#[test]
fn a_rogues_hearsay_is_corrected_by_the_origin() {
    let mut net = Net::new(3, 4);
    net.publish(0, "main");
    net.run(1_000);
    let truth = net.own(0).remove(0);
    let forged = Claim { term: 9, revision: u64::MAX, flowing: false, ..truth.clone() };
    let invented = Claim { stream: "invented".parse().unwrap(), ..forged.clone() };
    net.restart(2);
    for claim in [forged, invented] {
        net.nodes[2].directory.hear_say(claim, net.at.ms(net.now));
    }
    net.run(5_000);
    assert_eq!(*net.claims_of(2, "main")[0], truth);
    net.agree().unwrap();
}

#[test]
fn few_are_asked_at_once_and_the_same_word_asks_nothing_anew() {
    let mut net = Net::new(1, 5);
    let at = net.at;
    let mut asked = Vec::new();
    for ms in (3_010..4_900).step_by(10) {
        net.run(10);
        for n in 2..50 {
            let mut presence = presence(&format!("a{n}"), n, "x");
            presence.beat = Beat { number: 1, revision: 3, claims: 2, digest: 7, every_ms: 1_000 };
            asked.extend(net.nodes[0].handle(Input::Heard(Arc::new(presence)), at.ms(ms)));
        }
        asked.extend(net.nodes[0].handle(Input::Tick, at.ms(ms)));
    }
    asked.retain(|effect| matches!(effect, Effect::Fetch { .. }));
    assert_eq!(asked.len() + net.fetches, 4, "none has answered");
}

#[test]
fn of_two_that_started_at_once_the_older_goes_on() {
    let at = Timeline::new();
    let serving = |process, beats| {
        let mut node = starting("me", process, "x");
        node.handle(Input::Connected, at.ms(0));
        node.handle(Input::Tick, at.ms(4_000));
        assert!(node.is_serving());
        while node.number < beats {
            node.handle(Input::Beat { phase: Phase::Serving, load: Load::default() }, at.ms(4_000));
        }
        node
    };
    for (one, other, ends) in [(5, 4, 1), (4, 5, 0), (5, 5, 0), (5, 40, 0), (40, 5, 1)] {
        let mut nodes = [serving(1, one), serving(2, other)];
        let words = [nodes[0].presence(), nodes[1].presence()];
        for (node, peer) in [(0, 1), (1, 0)] {
            let effects = nodes[node].handle(Input::Heard(Arc::new(words[peer].clone())), at.ms(4_001));
            let taken = effects.contains(&Effect::NameTaken(words[peer].peer.clone()));
            assert_eq!(taken, node == ends, "{one} {other} {effects:?}");
        }
    }
    let (mut old, other) = (serving(1, 20), serving(2, 30));
    let word = other.presence();
    let shared = [Effect::NameShared(word.peer.clone())];
    assert_eq!(old.handle(Input::Heard(Arc::new(word.clone())), at.ms(4_001)), shared);
    assert!(old.handle(Input::Heard(beat(word.clone(), 31)), at.ms(5_001)).is_empty(), "told once");
    let mut draining = serving(3, 20);
    draining.handle(Input::Beat { phase: Phase::Draining, load: Load::default() }, at.ms(4_000));
    assert!(draining.handle(Input::Heard(Arc::new(word)), at.ms(4_001)).is_empty(), "its successor");
}

#[test]
fn a_node_that_starts_is_answered_within_a_moment() {
    let mut net = Net::new(2, 6);
    let newcomer = beat(Presence { phase: Phase::Starting, ..presence("new", 77, "x") }, 1);
    let now = net.at.ms(net.now);
    net.nodes[0].handle(Input::Heard(newcomer.clone()), now);
    let due = net.nodes[0].due(now).unwrap();
    assert!(due <= now + GREETING);
    assert!(matches!(&net.nodes[0].handle(Input::Tick, due)[..], [Effect::Say(_)]));
    net.nodes[0].handle(Input::Heard(newcomer), due);
    assert_eq!(net.nodes[0].greet_at, None, "once");
}

#[test]
fn a_node_that_was_lost_and_returns_is_answered_soon_and_not_for_each_of_many() {
    let mut net = Net::new(4, 8);
    net.cut[1] = true;
    net.cut[2] = true;
    let lost = |net: &Net| net.nodes[0].fleet().lost(net.at.ms(net.now)).count();
    net.run(10_000);
    assert_eq!(lost(&net), 2);
    // They are heard again one after the other.
    let word = |net: &Net, node: usize| Arc::new(beat_again(&net.nodes[node]));
    let now = net.at.ms(net.now);
    let said_at = net.nodes[0].said_at.unwrap();
    let (one, other) = (word(&net, 1), word(&net, 2));
    let said = net.nodes[0].handle(Input::Heard(one.clone()), now);
    assert!(said.contains(&Effect::Returned), "{said:?}");
    let due = net.nodes[0].due(now).unwrap();
    assert!(due <= now + GREETING || due == said_at + SPACED, "within a moment, but not twice in one");
    assert!(matches!(&net.nodes[0].handle(Input::Tick, due)[..], [Effect::Say(_)]));
    assert!(!net.nodes[0].handle(Input::Heard(one), due).contains(&Effect::Returned));
    assert_eq!(net.nodes[0].greet_at, None, "once");
    net.nodes[0].handle(Input::Heard(other), due);
    assert!(net.nodes[0].greet_at.unwrap() >= due + SPACED, "its answer has reached that one as well");
}

/// The next sign of life of a node that others didn't hear for a while.
fn beat_again(node: &Membership) -> Presence {
    let presence = node.presence();
    Presence { beat: Beat { number: presence.beat.number + 1, ..presence.beat }, ..presence }
}

#[derive(Debug, Clone)]
enum Act {
    Publish(u8),
    End(u8),
    Change(u8),
    Cut,
    Heal,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0u8..4).prop_map(Act::Publish),
        3 => (0u8..4).prop_map(Act::End),
        3 => (0u8..4).prop_map(Act::Change),
        1 => Just(Act::Cut),
        2 => Just(Act::Heal),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn after_loss_doubling_cuts_and_restarts_all_agree_within_a_few_beats(
        acts in proptest::collection::vec((0usize..5, act(), 0u64..1_500), 1..40),
        nodes in 3usize..6,
        lossy in 0u64..6,
        seed in any::<u64>(),
    ) {
        let mut net = Net::new(nodes, seed);
        net.lossy = lossy;
        for (node, act, wait) in acts {
            let node = node % nodes;
            let own = |stream: u8| net.own(node).into_iter().find(|claim| claim.stream.as_str() == format!("s{stream}"));
            match act {
                Act::Publish(stream) => net.publish(node, &format!("s{stream}")),
                Act::End(stream) => own(stream).into_iter().for_each(|claim| net.put(node, Input::Own(claim.ended(EndReason::Closed)))),
                Act::Change(stream) => own(stream).into_iter().for_each(|claim| {
                    net.put(node, Input::Own(Claim { flowing: !claim.flowing, ..claim }));
                }),
                Act::Cut => net.cut[node] = true,
                Act::Heal => net.heal(node),
                Act::Restart => net.restart(node),
            }
            net.run(wait);
        }
        net.lossy = 0;
        (0..nodes).filter(|node| net.cut[*node]).collect::<Vec<_>>().into_iter().for_each(|node| net.heal(node));
        net.run(8_000);
        prop_assert_eq!(net.agree(), Ok(()));
        let before = net.fetches;
        net.run(3_000);
        prop_assert_eq!(net.fetches, before, "and then nobody asks");
    }
}

#[test]
fn a_large_fleet_gives_signs_of_life_less_often_and_says_so() {
    let (at, mut node) = (Timeline::new(), starting("me", 1, "x"));
    node.handle(Input::Connected, at.ms(0));
    node.handle(Input::Tick, at.ms(4_000));
    assert!(node.is_serving());
    assert_eq!(node.beat_every(), BEAT);
    for other in 0..2_999 {
        let mut presence = presence(&format!("o{other}"), 100 + other, "x");
        presence.beat = Beat { number: 1, every_ms: 3_000, ..Beat::default() };
        node.handle(Input::Heard(Arc::new(presence)), at.ms(4_000));
    }
    let mine = Presence { beat: Beat { number: 90, ..Beat::default() }, ..node.presence() };
    node.handle(Input::Heard(Arc::new(mine)), at.ms(4_000));
    let said = node.handle(Input::Beat { phase: Phase::Serving, load: Load::default() }, at.ms(4_000));
    assert_eq!(node.beat_every(), Duration::from_secs(3));
    assert!(matches!(&said[0], Effect::Say(presence) if presence.beat.every_ms == 3_000), "{said:?}");
    // It greets who starts at some moment of these three seconds, as 2,999 others do.
    let mut newcomer = presence("new", 99, "x");
    newcomer.phase = Phase::Starting;
    node.handle(Input::Heard(beat(newcomer, 1)), at.ms(4_100));
    let greets = node.due(at.ms(4_100)).unwrap();
    assert!(greets > at.ms(4_200) && greets < at.ms(7_100), "at any moment of three seconds");
}
