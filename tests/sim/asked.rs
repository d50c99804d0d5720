//! What somebody asks for here is asked of another node at once: nobody waits for the next look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use headwater::config::Config;
use headwater::fleet::{Fleet, Notice};
use headwater::protocol::claim::{Claim, ClaimedProducer, StreamState};
use headwater::protocol::data::{Channel, ProducerKind};
use headwater::protocol::ids::{
    Incarnation, Peer, PipeId, ProducerId, PublicationId, RouterId, SessionId, StreamName,
};
use headwater::protocol::origin::{Join, Joined};
use headwater::protocol::presence::{Beat, Phase, Presence, Role};
use headwater::protocol::rtc::{Consume, ConsumeData, CreateWebRtcTransport, Direction, May, RtcRequest};
use headwater::protocol::rtp::{RtpCapabilities, SctpStreamParameters};
use headwater::room::Entrance;
use headwater::room::core::{Core, Done, Effect, Input, Mint, Moment, Pass, Ticket};

use crate::dice::{Dice, mint};

/// A room at a node, and the origin of its only stream: a participant who talks and writes.
struct Edge {
    core: Core,
    fleet: Fleet,
    mint: Mint,
    now: Instant,
    tickets: u64,
}

impl Edge {
    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let (wall, fleet, mint) = (DateTime::UNIX_EPOCH, &self.fleet, &mut self.mint);
        self.core.handle(input, &mut Moment { now: self.now, wall, fleet, draining: false, log: 0, mint })
    }

    /// What a participant's request leads to, of joins.
    fn asks(&mut self, session: SessionId, request: RtcRequest) -> Vec<Join> {
        self.tickets += 1;
        let effects = self.handle(Input::Rtc(Ticket(self.tickets), session, Box::new(request)));
        effects.into_iter().filter_map(join).collect()
    }
}

fn join(effect: Effect) -> Option<Join> {
    match effect {
        Effect::Join(_, join, _) => Some(join),
        _ => None,
    }
}

fn peer(dice: &mut Dice, name: &str) -> Peer {
    let incarnation = Incarnation(dice.id());
    Peer { node: name.parse().unwrap(), incarnation, region: name.parse().unwrap() }
}

fn presence(peer: &Peer) -> Arc<Presence> {
    Arc::new(Presence {
        peer: peer.clone(),
        roles: vec![Role::Origin, Role::Edge],
        version: String::new(),
        phase: Phase::Serving,
        load: Default::default(),
        limits: Default::default(),
        public_url: String::new(),
        beat: Beat { number: 1, every_ms: 1_000, ..Beat::default() },
    })
}

fn producer(id: ProducerId, kind: ProducerKind) -> ClaimedProducer {
    let channel = Channel::new(SctpStreamParameters::new_ordered(1), "");
    ClaimedProducer {
        id,
        kind,
        mime_type: if kind.is_data() { String::new() } else { "audio/opus".to_owned() },
        paused: false,
        encodings: 1,
        label: Box::default(),
        app_data: Default::default(),
        channel: kind.is_data().then(|| Box::new(channel)),
    }
}

#[test]
fn what_a_participant_asks_for_is_asked_of_the_origin_at_once() {
    let mut dice = Dice::new(1);
    let (now, me, origin) = (Instant::now(), peer(&mut dice, "edge"), peer(&mut dice, "origin"));
    let mut fleet = Fleet::new(me.clone(), Duration::from_millis(2_500));
    assert!(fleet.hear(presence(&me), now) && fleet.hear(presence(&origin), now));
    let core = Core::new("room".parse().unwrap(), me, RouterId(dice.id()), Arc::new(Config::default()), now);
    let mut edge = Edge { core, fleet, mint: Mint::new(dice.wide(), mint), now, tickets: 0 };
    let (stream, room): (StreamName, headwater::protocol::ids::RoomId) =
        ("ann".parse().unwrap(), "room".parse().unwrap());
    let [voice, text] = [ProducerId(dice.id()), ProducerId(dice.id())];
    let claim = Claim {
        room_id: room.clone(),
        stream: stream.clone(),
        term: 1,
        publication: PublicationId(dice.id()),
        origin: origin.clone(),
        revision: 1,
        state: StreamState::Live,
        flowing: true,
        takeover: false,
        producers: vec![producer(voice, ProducerKind::Audio), producer(text, ProducerKind::Data)],
        path: Vec::new(),
        started_at: DateTime::UNIX_EPOCH,
        participant: true,
        locks: false,
        app_data: Default::default(),
    };
    let claims = vec![Arc::new(claim)];
    let notice = Notice { room, stream: stream.clone(), claims, term: 1, since: Some(now), ended: None };
    edge.handle(Input::Notice(notice));
    let session = SessionId(dice.id());
    let may = May { publish: true, subscribe: true, moderate: false };
    let (name, app_data) = ("ben".parse().unwrap(), Default::default());
    edge.handle(Input::Enter(Ticket(0), Entrance { session, name, app_data, may, pass: Pass::default() }));
    let receives = CreateWebRtcTransport { direction: Direction::Recv, sctp: true };
    assert!(
        edge.asks(session, RtcRequest::CreateWebRtcTransport(receives)).is_empty(),
        "nothing is wanted yet"
    );

    let takes = Some(RtpCapabilities::default());
    let consume = Consume { producer_id: voice, rtp_capabilities: takes, paused: false };
    let first = edge.asks(session, RtcRequest::Consume(consume));
    let only = |ids: &[ProducerId]| BTreeMap::from([(stream.clone(), ids.iter().copied().collect())]);
    let of = |joins: &[Join]| joins.iter().map(|join| join.only.clone()).collect::<Vec<_>>();
    assert_eq!(of(&first), [only(&[voice])]);

    // One question at a time: what is wanted meanwhile is asked for with the answer, and else at once.
    let answer = Joined { pipe_id: PipeId(dice.id()), revision: 0, streams: Vec::new() };
    let streams = BTreeSet::from([stream.clone()]);
    let answered = Done::Joined(origin.incarnation, first[0].token, streams, Ok(answer));
    assert_eq!(edge.handle(Input::Done(answered)).into_iter().filter_map(join).count(), 0);
    let more = edge.asks(session, RtcRequest::ConsumeData(ConsumeData { data_producer_id: text }));
    assert_eq!(of(&more), [only(&[voice, text])]);
}
