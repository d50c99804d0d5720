//! What a message costs a room: as much in one of 5,000 viewers, or of 200 streams, as in a small one. Compared within one
//! run, as the figures themselves are the machine's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use headwater::config::Config;
use headwater::fleet::Fleet;
use headwater::protocol::edge::RemotePipeTransport;
use headwater::protocol::ids::{Peer, PipeId, ProducerId, SessionId, StreamName, Token};
use headwater::protocol::media::PipeEnd;
use headwater::protocol::origin::{CarriedProducer, Join, PipeHeld};
use headwater::protocol::rtp::MimeTypeVideo;
use headwater::room::core::{
    Answer, Change, Core, Done, Effect, Input, Mint, Moment, Pass, PublishRequest, Ticket, ToldOf,
    WatchRequest,
};

use crate::dice::{Dice, mint};
use crate::media::{Codec, Produced, RoomMedia, dtls};

/// How much more a message may cost in the large room: what is looked up in a tree of a hundred times as many is a few
/// steps further down, and further away in memory; what goes through all of them costs a hundred times as much.
const MOST: f64 = 12.0;
/// The best of so many rounds counts, of so many messages each: whatever else the machine does is in the others.
const ROUNDS: usize = 40;
const MESSAGES: usize = 20;

/// An origin's room with its media, and nobody else.
struct Origin {
    core: Core,
    media: RoomMedia,
    fleet: Fleet,
    mint: Mint,
    dice: Dice,
    now: Instant,
    tickets: u64,
    streams: Vec<StreamName>,
    children: Vec<Fed>,
}

/// A node that is fed.
struct Fed {
    peer: Peer,
    token: Token,
    joins: u64,
    pipe: PipeId,
    revision: u64,
}

fn peer(dice: &mut Dice, name: &str) -> Peer {
    let incarnation = headwater::protocol::ids::Incarnation(dice.id());
    Peer { node: name.parse().unwrap(), incarnation, region: "near".parse().unwrap() }
}

fn end() -> PipeEnd {
    PipeEnd { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 40_000, srtp: None }
}

impl Origin {
    fn new(streams: usize, viewers: usize, children: usize) -> Self {
        let mut dice = Dice::new(1);
        let mut config = Config::default();
        config.limits.streams_per_room = streams.max(1);
        config.limits.children = children + 1;
        config.limits.producers_per_pipe = streams * 2;
        let (me, now) = (peer(&mut dice, "origin"), Instant::now());
        let fleet = Fleet::new(me.clone(), Duration::from_millis(2_500));
        let router = headwater::protocol::ids::RouterId(dice.id());
        let core = Core::new("room".parse().unwrap(), me, router, Arc::new(config), now);
        let mint = Mint::new(dice.wide(), mint);
        let (media, tickets) = (RoomMedia::default(), 0);
        let names = (0..streams).map(|n| format!("s{n}").parse().unwrap()).collect();
        let mut origin =
            Self { core, media, fleet, mint, dice, now, tickets, streams: names, children: Vec::new() };
        for stream in origin.streams.clone() {
            origin.publish(stream);
        }
        for n in 0..children {
            origin.feed(&format!("edge-{n}"));
        }
        for _ in 0..viewers {
            origin.watch();
        }
        origin.look();
        origin
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Handles an input and all that follows; returns how long the core took for all of that.
    fn handle(&mut self, input: Input) -> Duration {
        let (mut inputs, mut took) = (VecDeque::from([input]), Duration::ZERO);
        while let Some(input) = inputs.pop_front() {
            let wall = DateTime::UNIX_EPOCH;
            let (fleet, mint) = (&self.fleet, &mut self.mint);
            let mut m = Moment { now: self.now, wall, fleet, draining: false, log: 0, mint };
            let began = Instant::now();
            let effects = self.core.handle(input, &mut m);
            took += began.elapsed();
            let done: Vec<_> = effects.into_iter().filter_map(|effect| self.carry(effect)).collect();
            inputs.extend(done.into_iter().map(Input::Done));
        }
        took
    }

    fn carry(&mut self, effect: Effect) -> Option<Done> {
        let media = &mut self.media;
        Some(match effect {
            Effect::OpenUplink(request) => {
                let codecs = [Codec::Opus, Codec::Video(MimeTypeVideo::Vp8)];
                let producers = codecs.map(|codec| Produced::new(ProducerId(self.dice.id()), codec));
                Done::UplinkOpened(request.session, media.publish(request.session, 0, producers.into()))
            }
            Effect::Seat(session) => Done::Seated(session, true),
            Effect::OpenViewer(request, producers) => {
                Done::ViewerOpened(request.session, media.watch(request.session, 0, &producers))
            }
            Effect::CloseViewer(session) => {
                media.viewers.remove(&session);
                Done::ViewerClosed(session, 0)
            }
            Effect::OpenOutlet(token, pipe) => {
                Done::OutletOpened(token, pipe, media.open_outlet(pipe, end()))
            }
            Effect::Offer(offer) => {
                let remote = RemotePipeTransport { ip: end().ip, port: end().port, srtp_parameters: None };
                Done::Offered(offer.create.token, offer.create.pipe_id, Ok(remote))
            }
            Effect::Send(token, pipe, _, producers) => {
                let sent = producers.into_iter().map(|producer| (producer, media.send(pipe, producer)));
                Done::Sending(token, pipe, Ok(()), sent.collect())
            }
            Effect::Tell(tell) => {
                let told = tell.changes.iter().map(|(_, change)| match change {
                    Change::Create(create) => ToldOf::Create(create.id),
                    Change::Close(id, _) => ToldOf::Close(*id),
                    Change::Pause(id) => ToldOf::Pause(*id),
                    Change::Resume(id) => ToldOf::Resume(*id),
                });
                Done::Told(tell.token, tell.pipe, Ok(()), told.map(|told| (told, Ok(()))).collect())
            }
            Effect::Answer(_, Answer::Joined(joined)) => {
                let joined = joined.unwrap();
                let fed = self.children.last_mut().filter(|fed| fed.joins == 1);
                fed.into_iter().for_each(|fed| fed.pipe = joined.pipe_id);
                return None;
            }
            _ => return None,
        })
    }

    fn publish(&mut self, stream: StreamName) {
        let (ticket, session) = (self.ticket(), SessionId(self.dice.id()));
        let (ufrag, pass) = (String::new(), Pass::default());
        let request = PublishRequest { session, stream, offered: Vec::new(), dtls: dtls(), ufrag, pass };
        self.handle(Input::Publish(ticket, request));
        self.handle(Input::Connected(session));
    }

    /// A viewer comes and connects: what that cost, and its session.
    fn watch(&mut self) -> (Duration, SessionId, StreamName) {
        let (ticket, session) = (self.ticket(), SessionId(self.dice.id()));
        let stream = self.dice.pick(&self.streams);
        let request = WatchRequest {
            session,
            stream: stream.clone(),
            wanted: Vec::new(),
            dtls: Some(dtls()),
            ufrag: String::new(),
            trace: crate::room::trace(),
            pass: Pass::default(),
        };
        let took = self.handle(Input::Watch(ticket, request)) + self.handle(Input::Connected(session));
        (took, session, stream)
    }

    /// A viewer comes and goes.
    fn come_and_go(&mut self) -> Duration {
        let (took, session, stream) = self.watch();
        let ticket = self.ticket();
        took + self.handle(Input::End(ticket, session, stream))
    }

    /// A child joins for all streams, and takes its pipe.
    fn feed(&mut self, name: &str) {
        let peer = peer(&mut self.dice, name);
        let (token, pipe) = (Token(self.dice.id()), PipeId(self.dice.id()));
        self.children.push(Fed { peer, token, joins: 0, pipe, revision: 0 });
        let last = self.children.len() - 1;
        self.join(last, 0, self.streams.len());
        self.children[last].revision = self.streams.len() as u64 * 2;
    }

    /// A child wants the first so many streams, as it has told so far or not.
    fn join(&mut self, child: usize, viewers: u32, streams: usize) -> Duration {
        let fed = &mut self.children[child];
        fed.joins += 1;
        let wanted: BTreeSet<_> = self.streams.iter().take(streams).cloned().collect();
        let producers = self.media.uplinks.values().flat_map(|uplink| &uplink.producers);
        let producers = producers.map(|own| CarriedProducer { id: own.id, paused: false, flowing: true });
        let held = PipeHeld {
            pipe_id: fed.pipe,
            revision: fed.revision,
            producers: producers.collect(),
            refused: Vec::new(),
        };
        let join = Join {
            room_id: "room".parse().unwrap(),
            from: fed.peer.clone(),
            token: fed.token,
            number: fed.joins,
            viewers: wanted.iter().map(|stream| (stream.clone(), viewers)).collect::<BTreeMap<_, _>>(),
            streams: wanted,
            only: BTreeMap::new(),
            pipe: (fed.joins > 1).then_some(held),
        };
        let ticket = self.ticket();
        self.handle(Input::Join(ticket, join, crate::room::trace()))
    }

    /// A child renews its join with another number of viewers.
    fn renew(&mut self) -> Duration {
        let (child, viewers) = (self.dice.below(self.children.len()), self.dice.below(100) as u32);
        self.join(child, viewers, self.streams.len())
    }

    fn look(&mut self) -> Duration {
        self.now += Duration::from_millis(250);
        let measured = self.media.measure();
        self.handle(Input::Look(Some(measured)))
    }

    /// What one of a kind of message costs, at best.
    fn cost(&mut self, mut one: impl FnMut(&mut Self) -> Duration) -> f64 {
        let mut round = || (0..MESSAGES).map(|_| one(self)).sum::<Duration>().as_secs_f64();
        (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min) * 1e6 / MESSAGES as f64
    }
}

/// Tells what a message costs in a small room and in a large one, and whether that is too much.
fn compare(what: &str, small: f64, large: f64) {
    println!("{what}: {small:.1} µs and {large:.1} µs, {:.1} times as much", large / small);
    assert!(large < small * MOST, "{what}: {small} µs in a small room, {large} µs in a large one");
}

/// Compares rooms of a few and of very many.
pub fn run() {
    let (mut small, mut large) = (Origin::new(1, 50, 2), Origin::new(1, 5_000, 2));
    let cost = |room: &mut Origin| room.cost(Origin::come_and_go);
    compare("a viewer that comes and goes among 50 and 5,000", cost(&mut small), cost(&mut large));
    let cost = |room: &mut Origin| room.cost(Origin::renew);
    compare("a child's renewal among 50 and 5,000 viewers", cost(&mut small), cost(&mut large));
    let (mut small, mut large) = (Origin::new(1, 0, 2), Origin::new(1, 0, 200));
    compare("a child's renewal among 2 and 200", cost(&mut small), cost(&mut large));
    let cost = |room: &mut Origin| room.cost(Origin::come_and_go);
    compare("a viewer that comes and goes with 2 and 200 children", cost(&mut small), cost(&mut large));
    let (mut small, mut large) = (Origin::new(2, 50, 50), Origin::new(200, 50, 50));
    compare("a viewer with 50 children and 2 or 200 streams", cost(&mut small), cost(&mut large));
    let cost = |room: &mut Origin| {
        let streams = room.streams.len() as f64;
        room.cost(Origin::renew) / streams
    };
    compare("of a renewal by 50 children a stream of 2 or of 200", cost(&mut small), cost(&mut large));
}
