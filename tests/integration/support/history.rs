//! Random but realistic histories of a fleet: the same for the same seed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests of several crates mount it, and one that can't go on fails"
)]

use chrono::{DateTime, TimeDelta, Utc};
use headwater::protocol::claim::{ClaimedProducer, EndReason};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::event::*;
use headwater::protocol::ids::*;
use headwater::protocol::presence::{Load, Phase, Role};
use uuid::{Builder, Uuid};

const REGIONS: [&str; 4] = ["eu-west", "eu-north", "us-east", "ap-south"];

/// At least `events` events, in the order of the log: about nine of ten are viewers that come and go, and
/// summaries. Each source numbers its own from 1.
pub fn history(seed: u64, events: usize, rooms: usize, nodes: usize) -> Vec<Event> {
    let mut fleet = Fleet::new(seed, rooms.max(1), nodes.max(2));
    while fleet.events.len() < events {
        fleet.step();
    }
    fleet.events
}

struct Node {
    peer: Peer,
    started_at: DateTime<Utc>,
    next: u64,
}

/// A node of a room: the origin first, if there is one.
struct Seat {
    node: usize,
    /// Nodes from the origin; empty at the origin, and while it waits.
    path: Vec<usize>,
    pipe: Option<(PipeId, DateTime<Utc>)>,
    viewers: u32,
}

struct Room {
    id: RoomId,
    publication: Option<(PublicationId, DateTime<Utc>)>,
    /// Of that publication, or of the last one.
    term: u64,
    seats: Vec<Seat>,
}

struct Fleet {
    random: u64,
    now: DateTime<Utc>,
    nodes: Vec<Node>,
    rooms: Vec<Room>,
    events: Vec<Event>,
}

impl Fleet {
    fn new(seed: u64, rooms: usize, nodes: usize) -> Self {
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let mut fleet = Self { random: seed, now, nodes: Vec::new(), rooms: Vec::new(), events: Vec::new() };
        for number in 0..nodes {
            let region = REGIONS[number % REGIONS.len()];
            let peer = Peer {
                node: format!("{region}-{}", number / REGIONS.len() + 1).parse().unwrap(),
                incarnation: Incarnation(fleet.draw()),
                region: region.parse().unwrap(),
            };
            fleet.nodes.push(Node { peer, started_at: fleet.now, next: 1 });
            fleet.tell_node(number, What::NodeStarted);
        }
        for number in 0..rooms {
            let id = format!("room-{number}").parse().unwrap();
            fleet.rooms.push(Room { id, publication: None, term: 0, seats: Vec::new() });
        }
        fleet
    }

    fn step(&mut self) {
        let room = self.below(self.rooms.len());
        match self.below(1000) {
            0..450 => self.join(room),
            450..750 => self.leave(room),
            750..900 => self.summarize(room),
            900..910 => {
                let node = self.below(self.nodes.len());
                self.tell_node(node, What::NodeSummary);
            }
            910..930 => self.publish(room),
            930..937 => self.unpublish(room),
            937..967 => self.attach(room),
            967..982 => self.repair(room),
            982..990 => self.detach(room),
            990..998 => self.trouble(room),
            998 => self.pause(room),
            // The more rooms a node carries, the rarer it goes for each event.
            _ => match self.below(2 + self.rooms.len() / 100) {
                0 => self.crash(),
                1 => self.stop(),
                _ => {}
            },
        }
    }

    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A v7 id, later than all before it: only pipes have them, as the order of others means nothing.
    fn mint(&mut self) -> Uuid {
        self.now += TimeDelta::milliseconds(1);
        let (a, b) = (self.next().to_le_bytes(), self.next().to_le_bytes());
        let mut random = [0; 10];
        random[..8].copy_from_slice(&a);
        random[8..].copy_from_slice(&b[..2]);
        Builder::from_unix_timestamp_millis(self.now.timestamp_millis() as u64, &random).into_uuid()
    }

    /// A v4 id.
    fn draw(&mut self) -> Uuid {
        let (high, low) = (self.next(), self.next());
        Builder::from_random_bytes(Uuid::from_u64_pair(high, low).into_bytes()).into_uuid()
    }

    fn tell(&mut self, node: usize, subject: About, what: What) {
        let passed = self.below(20_000) as i64;
        self.now += TimeDelta::microseconds(passed);
        let (time, teller) = (self.now, &mut self.nodes[node]);
        self.events.push(Event { id: teller.next, time, source: teller.peer.clone(), subject, what });
        teller.next += 1;
    }

    fn tell_room(&mut self, node: usize, room: usize, what: What) {
        let subject = About::Room(self.rooms[room].id.clone());
        self.tell(node, subject, what);
    }

    fn tell_node(&mut self, node: usize, what: fn(NodeSummary) -> What) {
        let Node { peer, started_at, .. } = &self.nodes[node];
        let summary = NodeSummary {
            roles: vec![Role::Origin, Role::Edge, Role::Relay],
            version: "0.1.0".into(),
            phase: Phase::Serving,
            started_at: *started_at,
            load: Load { rooms: 7, streams: 3, viewers: 120, pipes: 9, cpu: 0.25, ..Load::default() },
            public_url: format!("https://{}.example.net", peer.node),
            every_ms: 10_000,
        };
        let subject = About::Node(peer.node.clone());
        self.tell(node, subject, what(summary));
    }

    fn peer(&self, node: usize) -> Peer {
        self.nodes[node].peer.clone()
    }

    fn producers(&mut self, paused: bool) -> Vec<ClaimedProducer> {
        [(ProducerKind::Audio, "audio/opus", 1), (ProducerKind::Video, "video/VP8", 3)]
            .map(|(kind, mime, encodings)| ClaimedProducer {
                id: ProducerId(self.draw()),
                kind,
                mime_type: mime.into(),
                paused,
                encodings,
                label: Box::default(),
                app_data: Default::default(),
                channel: None,
            })
            .into()
    }

    fn publish(&mut self, room: usize) {
        if self.rooms[room].publication.is_some() {
            return self.join(room);
        }
        let (node, id) = (self.below(self.nodes.len()), PublicationId(self.draw()));
        let at = self.now;
        let state = &mut self.rooms[room];
        state.publication = Some((id, at));
        state.term += 1;
        let term = state.term;
        let known = state.seats.iter().position(|seat| seat.node == node);
        let viewers = known.map_or(0, |known| state.seats.remove(known).viewers);
        state.seats.insert(0, Seat { node, path: Vec::new(), pipe: None, viewers });
        let (stream, takeover) = (StreamName::default(), self.below(20) == 0);
        let producers = self.producers(false);
        let what = StreamStarted { stream, term, publication: id, producers, takeover, participant: false };
        self.tell_room(node, room, What::StreamStarted(what));
        for _ in 0..self.below(4) {
            self.attach(room);
        }
    }

    fn pause(&mut self, room: usize) {
        let Some((publication, _)) = self.rooms[room].publication else { return };
        let (origin, producers) = (self.rooms[room].seats[0].node, self.producers(true));
        let (stream, term) = (StreamName::default(), self.rooms[room].term);
        let what = StreamChanged { stream, term, publication, producers };
        self.tell_room(origin, room, What::StreamChanged(what));
    }

    fn unpublish(&mut self, room: usize) {
        let Some((publication, since)) = self.rooms[room].publication.take() else { return };
        let origin = self.rooms[room].seats.remove(0);
        let reasons = [EndReason::Unpublished, EndReason::Disconnected, EndReason::Silent, EndReason::Closed];
        let reason = reasons[self.below(reasons.len())];
        let what = StreamEnded {
            stream: StreamName::default(),
            term: self.rooms[room].term,
            publication,
            reason,
            duration_ms: (self.now - since).num_milliseconds() as u64,
            bytes: self.next() % 1_000_000_000,
        };
        self.tell_room(origin.node, room, What::StreamEnded(what));
        for seat in std::mem::take(&mut self.rooms[room].seats) {
            self.close_pipe(room, &seat, false);
            self.tell_room(seat.node, room, What::RoomClosed(RoomClosed { duration_ms: 60_000 }));
        }
        self.tell_room(origin.node, room, What::RoomClosed(RoomClosed { duration_ms: 60_000 }));
    }

    /// A further node fetches the stream, from the origin or a relay.
    fn attach(&mut self, room: usize) {
        let node = self.below(self.nodes.len());
        let state = &self.rooms[room];
        if state.publication.is_none() || state.seats.iter().any(|seat| seat.node == node) {
            return;
        }
        self.rooms[room].seats.push(Seat { node, path: Vec::new(), pipe: None, viewers: 0 });
        let last = self.rooms[room].seats.len() - 1;
        self.open_pipe(room, last);
    }

    fn open_pipe(&mut self, room: usize, seat: usize) {
        let parent = match self.below(3) {
            0 => self.below(self.rooms[room].seats.len()),
            _ => 0,
        };
        let placed = |at: usize, seat: &Seat| at == 0 || (seat.path.len() == 1 && seat.pipe.is_some());
        let parent = if placed(parent, &self.rooms[room].seats[parent]) { parent } else { 0 };
        let (from, to) = (self.rooms[room].seats[parent].node, self.rooms[room].seats[seat].node);
        if from == to {
            return;
        }
        let mut path = self.rooms[room].seats[parent].path.clone();
        path.push(from);
        let (peer, hop) = (self.peer(to), path.len() as u8);
        let mut attempt = 1;
        loop {
            let pipe = PipeId(self.mint());
            let since = self.now;
            let opening = PipeOpening { pipe, to: peer.clone(), attempt, hop };
            self.tell_room(from, room, What::PipeOpening(opening));
            if self.below(10) == 0 {
                let (reason, detail) = ("timeout".into(), format!("{} did not answer in time", peer.node));
                let failed =
                    PipeFailed { pipe, to: peer.clone(), attempt, reason, detail, duration_ms: 2_000 };
                self.tell_room(from, room, What::PipeFailed(failed));
                attempt += 1;
                continue;
            }
            let (streams, setup_us) = (vec![StreamName::default()], 2_000 + self.next() % 200_000);
            let opened = PipeOpened { pipe, to: peer, attempt, hop, streams, setup_us };
            self.tell_room(from, room, What::PipeOpened(opened));
            let seat = &mut self.rooms[room].seats[seat];
            (seat.path, seat.pipe) = (path, Some((pipe, since)));
            return;
        }
    }

    fn close_pipe(&mut self, room: usize, seat: &Seat, lost: bool) {
        let (Some((pipe, since)), Some(parent)) = (seat.pipe, seat.path.last()) else { return };
        let what = PipeClosed {
            pipe,
            to: self.peer(seat.node),
            reason: if lost { "it has fallen silent" } else { "no longer needed" }.into(),
            lost,
            duration_ms: (self.now - since).num_milliseconds() as u64,
            bytes: self.next() % 1_000_000_000,
        };
        self.tell_room(*parent, room, What::PipeClosed(what));
    }

    /// A node without viewers lets the stream go.
    fn detach(&mut self, room: usize) {
        let seats = &self.rooms[room].seats;
        let feeds = |node| seats.iter().any(|seat| seat.path.contains(&node));
        let Some(at) = seats.iter().skip(1).position(|seat| seat.viewers < 3 && !feeds(seat.node)) else {
            return self.attach(room);
        };
        let seat = self.rooms[room].seats.remove(at + 1);
        self.close_pipe(room, &seat, false);
        self.tell_room(seat.node, room, What::RoomClosed(RoomClosed { duration_ms: 60_000 }));
    }

    /// A waiting node gets the stream back.
    fn repair(&mut self, room: usize) {
        if self.rooms[room].publication.is_none() {
            return self.publish(room);
        }
        let seats = &self.rooms[room].seats;
        let Some(at) = seats.iter().skip(1).position(|seat| seat.path.is_empty()) else { return };
        self.open_pipe(room, at + 1);
        let (node, viewers) = (self.rooms[room].seats[at + 1].node, self.rooms[room].seats[at + 1].viewers);
        let (stream, gap_ms) = (StreamName::default(), 500 + self.next() % 20_000);
        self.tell_room(node, room, What::StreamRecovered(StreamRecovered { stream, gap_ms, viewers }));
    }

    fn join(&mut self, room: usize) {
        if self.rooms[room].seats.is_empty() {
            return self.publish(room);
        }
        let at = self.below(self.rooms[room].seats.len());
        self.rooms[room].seats[at].viewers += 1;
        let Seat { node, viewers, .. } = self.rooms[room].seats[at];
        let (stream, viewer, warm) = (StreamName::default(), ViewerId(self.draw()), viewers > 1);
        let join_us = if warm { 5_000 } else { 60_000 } + self.next() % 100_000;
        self.tell_room(
            node,
            room,
            What::ViewerJoined(ViewerJoined { stream, viewer, warm, join_us, viewers }),
        );
    }

    fn leave(&mut self, room: usize) {
        let Some(at) = self.rooms[room].seats.iter().position(|seat| seat.viewers > 0) else {
            return self.join(room);
        };
        self.rooms[room].seats[at].viewers -= 1;
        let Seat { node, viewers, .. } = self.rooms[room].seats[at];
        let (stream, viewer) = (StreamName::default(), ViewerId(self.draw()));
        let reason = [LeaveReason::Left, LeaveReason::Disconnected][self.below(2)];
        let duration_ms = self.next() % 600_000;
        self.tell_room(
            node,
            room,
            What::ViewerLeft(ViewerLeft { stream, viewer, reason, duration_ms, bytes: 1_000, viewers }),
        );
    }

    fn summarize(&mut self, room: usize) {
        if self.rooms[room].seats.is_empty() {
            return self.publish(room);
        }
        let at = self.below(self.rooms[room].seats.len());
        let producers = self.producers(false);
        let bitrate = 1_000_000 + self.next() % 2_000_000;
        let state = &self.rooms[room];
        let seat = &state.seats[at];
        let origin = state.publication.is_some() && at == 0;
        let here = origin || !seat.path.is_empty();
        let stream = StreamHere {
            stream: StreamName::default(),
            term: if here && state.publication.is_some() { state.term } else { 0 },
            publication: state.publication.filter(|_| here).map(|(id, _)| id),
            path: seat.path.iter().map(|node| self.nodes[*node].peer.node.clone()).collect(),
            started_at: state.publication.filter(|_| origin).map(|(_, since)| since),
            producers: if here { producers } else { Vec::new() },
            bitrate: if here { bitrate } else { 0 },
            lost: seat.path.len() as u64 * 3,
            viewers: seat.viewers,
            muted: false,
            participant: false,
            locks: false,
            warnings: Vec::new(),
            quality: Quality {
                sampled: seat.viewers.min(8),
                bitrate,
                least_estimate: Some(bitrate / 2),
                layers: vec![1, 2, 3],
            },
        };
        let below = state.seats.iter().filter(|below| below.path.last() == Some(&seat.node));
        let pipe = |below: &Seat| {
            let (pipe, since) = below.pipe?;
            let (to, streams) = (self.peer(below.node), vec![StreamName::default()]);
            Some(PipeHere { pipe, to, open: true, since, streams, bitrate })
        };
        let pipes = below.filter_map(pipe).collect();
        let (node, waiting) = (seat.node, 0);
        let what = RoomSummary { streams: vec![stream], pipes, waiting };
        self.tell_room(node, room, What::RoomSummary(what));
    }

    fn trouble(&mut self, room: usize) {
        let node = self.below(self.nodes.len());
        let stream = StreamName::default();
        let subject = About::Node(self.nodes[node].peer.node.clone());
        match self.below(6) {
            0 => self.tell(
                node,
                subject,
                What::LimitHit(LimitHit { limit: "limits.viewers".into(), times: 3 }),
            ),
            1 => self.tell(node, subject, What::WorkerDied(WorkerDied { worker: 0 })),
            2 => self.tell(node, subject, What::EventsDropped(EventsDropped { count: 12 })),
            3 => {
                let burst = KeyFrameBurst { stream, requests: 40, within_ms: 10_000 };
                self.tell_room(node, room, What::KeyFrameBurst(burst));
            }
            kind => {
                let (reason, detail) = ("limit".into(), "the node has no room for more".into());
                let turned = Turned { room: None, stream, reason, detail, times: 3 };
                let what =
                    if kind == 4 { What::ViewerRejected(turned) } else { What::PublisherRejected(turned) };
                self.tell_room(node, room, what);
            }
        }
    }

    /// A node vanishes, others notice, and it comes back as a new process.
    fn crash(&mut self) {
        let node = self.below(self.nodes.len());
        for room in 0..self.rooms.len() {
            self.leave_room(room, node, true);
        }
        let (lost, teller) = (self.peer(node), (node + 1) % self.nodes.len());
        let subject = About::Node(self.nodes[teller].peer.node.clone());
        self.tell(teller, subject, What::NodeLost(NodeLost { lost }));
        self.start(node);
    }

    /// A node takes its leave and comes back as a new process.
    fn stop(&mut self) {
        let node = self.below(self.nodes.len());
        self.tell_node(node, What::NodeDraining);
        for room in 0..self.rooms.len() {
            if self.leave_room(room, node, false) {
                self.tell_room(node, room, What::RoomClosed(RoomClosed { duration_ms: 60_000 }));
            }
        }
        self.tell_node(node, What::NodeStopped);
        self.start(node);
    }

    /// Those below wait from now on.
    fn leave_room(&mut self, room: usize, node: usize, lost: bool) -> bool {
        let Some(at) = self.rooms[room].seats.iter().position(|seat| seat.node == node) else { return false };
        let seat = self.rooms[room].seats.remove(at);
        if self.rooms[room].publication.is_some() && at == 0 {
            self.rooms[room].publication = None;
        }
        self.close_pipe(room, &seat, lost);
        for other in self.rooms[room].seats.iter_mut().filter(|other| other.path.contains(&node)) {
            (other.path, other.pipe) = (Vec::new(), None);
        }
        true
    }

    fn start(&mut self, node: usize) {
        let incarnation = Incarnation(self.draw());
        let returned = &mut self.nodes[node];
        returned.peer.incarnation = incarnation;
        (returned.next, returned.started_at) = (1, self.now);
        self.tell_node(node, What::NodeStarted);
    }
}
