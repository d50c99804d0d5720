//! What a seed stands for: a fleet, those who use it, and what happens to both. Drawn before anything runs, so
//! that a story can be told again with less in it.

use std::time::Duration;

use headwater::protocol::data::ProducerKind;
use headwater::protocol::presence::Role;
use headwater::protocol::rtp::MimeTypeVideo;

use crate::dice::Dice;
use crate::media::Codec;
use crate::users::ClientId;
use crate::world::{At, Mid};

#[derive(Debug, Clone)]
pub struct Plan {
    /// Whether nodes that hear nobody see the fleet as the first one does, and are used as any.
    pub shared: bool,
    pub seed: u64,
    pub machines: Vec<Machine>,
    pub clients: Vec<Client>,
    pub steps: Vec<Step>,
    /// When everyone goes home, and when the world ends.
    pub last_orders: At,
    pub ends: At,
}

#[derive(Debug, Clone)]
pub struct Machine {
    pub name: String,
    pub region: usize,
    pub roles: Vec<Role>,
    pub codecs: Vec<MimeTypeVideo>,
    pub takeover_pause: Duration,
    pub skew: i64,
    pub starts: bool,
    /// Whether it says what it is and hears nobody: one of very many.
    pub speaks_only: bool,
    /// Nodes that it feeds at most.
    pub children: usize,
    /// Whether streams come to it though nobody watches them.
    pub pushed: bool,
}

#[derive(Debug, Clone)]
pub struct Client {
    pub publishes: bool,
    /// What it is sent as a participant, of a stream that others watch whole.
    pub ear: Option<ProducerKind>,
    pub room: String,
    pub stream: String,
    pub machine: Mid,
    pub codecs: Vec<Codec>,
    pub returns: bool,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub at: At,
    pub action: Action,
    /// Until it heals, where it is a fault.
    pub lasts: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Comes(ClientId),
    Goes(ClientId, bool),
    Mutes(ClientId, bool),
    /// An operator pauses the stream of a publisher, or has it go on.
    Pauses(ClientId, bool),
    /// A publisher sends other codecs from its next connection on.
    Codecs(ClientId, Vec<Codec>),
    /// The connection to the bus is cut, and the node's client knows.
    Cut(Mid),
    /// It is cut and nobody knows; or in one direction only.
    HalfOpen(Mid),
    Deaf(Mid),
    Dumb(Mid),
    Slow(Mid, Duration),
    Loses(Mid, u64),
    Parts(usize, usize, bool),
    BusGone,
    Doubles(u64),
    LateReplies(u64),
    /// A process is killed; the next one starts as long after as this lasts, or never.
    Kill(Mid, bool),
    Freeze(Mid),
    /// A second process of a name starts on another machine.
    Twin(Mid),
    Drain(Mid),
    Worker(Mid),
    /// Packets from one machine to another are dropped, or both ways.
    Udp(Mid, Mid, bool),
    WrongAddress(Mid),
    Clock(Mid, i64),
    NoLog,
    /// The log is lost and begun anew.
    NewLog,
}

const SECOND: Duration = Duration::from_secs(1);

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut plan = Self {
            shared: false,
            seed,
            machines: Vec::new(),
            clients: Vec::new(),
            steps: Vec::new(),
            last_orders: SECOND * 225,
            ends: SECOND * 300,
        };
        plan.draw_fleet(&mut dice);
        plan.draw_clients(&mut dice);
        plan.draw_faults(&mut dice);
        plan.steps.sort_by_key(|step| step.at);
        plan
    }

    /// The same, in a fleet whose nodes feed few others in one story of four, and to which streams are pushed in one of eight.
    pub fn draw_narrow(seed: u64) -> Self {
        let mut plan = Self::draw(seed);
        let mut dice = Dice::new(seed ^ 0x6e61_7272_6f77);
        if dice.chance(25) {
            for machine in &mut plan.machines {
                machine.children = 4 + dice.below(4);
                // One that may not pass on what it has takes a place from all others.
                machine.roles = vec![Role::Origin, Role::Edge, Role::Relay];
                machine.codecs = vec![MimeTypeVideo::Vp8, MimeTypeVideo::H264, MimeTypeVideo::AV1];
            }
        }
        if dice.chance(12) {
            plan.machines.iter_mut().for_each(|machine| machine.pushed = true);
        }
        plan
    }

    /// The same, and half of all stories have participants.
    pub fn draw_mixed(seed: u64) -> Self {
        let mut plan = Self::draw_narrow(seed);
        plan.draw_ears();
        plan
    }

    fn draw_fleet(&mut self, dice: &mut Dice) {
        let nodes = 3 + dice.below(10);
        let regions = 1 + dice.below(3.min(nodes - 1));
        let skewed = dice.chance(40);
        for n in 0..nodes {
            let all = vec![Role::Origin, Role::Edge, Role::Relay];
            let roles = match dice.below(10) {
                _ if n < 2 => all,
                0 => vec![Role::Edge],
                1 => vec![Role::Origin, Role::Edge],
                2 => vec![Role::Relay],
                _ => all,
            };
            let mut codecs = vec![MimeTypeVideo::Vp8, MimeTypeVideo::H264, MimeTypeVideo::AV1];
            if dice.chance(10) {
                codecs.pop();
            }
            let two_hours = 7_200_000;
            self.machines.push(Machine {
                name: format!("n{n}"),
                region: if n < regions { n } else { dice.below(regions) },
                roles,
                codecs,
                takeover_pause: SECOND * 60,
                skew: if skewed { dice.below(2 * two_hours) as i64 - two_hours as i64 } else { 0 },
                starts: true,
                speaks_only: false,
                children: 200,
                pushed: false,
            });
        }
    }

    /// Publishers and viewers of a few streams, and when they come and go.
    fn draw_clients(&mut self, dice: &mut Dice) {
        let nodes = self.machines.len();
        let rooms = 1 + dice.below(2);
        for room in 0..rooms {
            for stream in 0..1 + dice.below(3) {
                let stream = if stream == 0 { "main".to_owned() } else { format!("s{stream}") };
                let name = format!("room-{room}");
                for n in 0..1 + dice.below(3) {
                    let publisher = Client {
                        publishes: true,
                        ear: None,
                        room: name.clone(),
                        stream: stream.clone(),
                        machine: dice.below(nodes),
                        codecs: draw_codecs(dice),
                        returns: dice.chance(70),
                    };
                    self.clients.push(publisher);
                    self.draw_publisher(dice, n == 0);
                }
                for _ in 0..1 + dice.below(5) {
                    let viewer = Client {
                        publishes: false,
                        ear: None,
                        room: name.clone(),
                        stream: stream.clone(),
                        machine: dice.below(nodes),
                        codecs: Vec::new(),
                        returns: true,
                    };
                    self.clients.push(viewer);
                    self.draw_viewer(dice);
                }
            }
        }
    }

    /// Some of those who watch are participants: drawn for itself, so that all else of a seed is what it was.
    fn draw_ears(&mut self) {
        let mut dice = Dice::new(self.seed ^ 0x6561_7273);
        if dice.chance(50) {
            return;
        }
        for client in self.clients.iter_mut().filter(|client| !client.publishes) {
            client.ear = match dice.below(4) {
                0 => Some(ProducerKind::Audio),
                1 => Some(ProducerKind::Video),
                _ => None,
            };
        }
        if dice.chance(50) {
            self.draw_messages(&mut dice);
        }
    }

    /// Some publishers send messages, too, which some participants alone are sent.
    fn draw_messages(&mut self, dice: &mut Dice) {
        let publishers =
            self.clients.iter_mut().filter(|client| client.publishes).map(|client| &mut client.codecs);
        let later = self.steps.iter_mut().filter_map(|step| match &mut step.action {
            Action::Codecs(_, codecs) => Some(codecs),
            _ => None,
        });
        for codecs in publishers.chain(later) {
            if dice.chance(60) {
                codecs.push(Codec::Messages);
            }
        }
        for client in self.clients.iter_mut().filter(|client| client.ear.is_some()) {
            if dice.chance(30) {
                client.ear = Some(ProducerKind::Data);
            }
        }
    }

    fn draw_publisher(&mut self, dice: &mut Dice, first: bool) {
        let id = self.clients.len() - 1;
        let mut at = if first { dice.millis(4_000, 20_000) } else { dice.millis(30_000, 190_000) };
        self.step(at, Action::Comes(id), Duration::ZERO);
        for _ in 0..dice.below(4) {
            at += dice.millis(5_000, 60_000);
            let pause = dice.millis(500, 45_000);
            let (begin, end) = match dice.below(4) {
                0 => (Action::Mutes(id, true), Action::Mutes(id, false)),
                1 => (Action::Pauses(id, true), Action::Pauses(id, false)),
                2 => (Action::Codecs(id, draw_codecs(dice)), Action::Comes(id)),
                _ => (Action::Goes(id, dice.chance(50)), Action::Comes(id)),
            };
            if at + pause >= self.last_orders {
                break;
            }
            if matches!(begin, Action::Codecs(..)) {
                self.step(at, Action::Goes(id, true), Duration::ZERO);
            }
            self.step(at, begin, Duration::ZERO);
            at += pause;
            self.step(at, end, Duration::ZERO);
        }
    }

    fn draw_viewer(&mut self, dice: &mut Dice) {
        let id = self.clients.len() - 1;
        let mut at = dice.millis(4_000, 60_000);
        self.step(at, Action::Comes(id), Duration::ZERO);
        for _ in 0..dice.below(3) {
            at += dice.millis(10_000, 90_000);
            let pause = dice.millis(500, 30_000);
            if at + pause >= self.last_orders {
                break;
            }
            self.step(at, Action::Goes(id, dice.chance(60)), Duration::ZERO);
            at += pause;
            self.step(at, Action::Comes(id), Duration::ZERO);
        }
    }

    /// Some faults at a time, then calm, and so on.
    fn draw_faults(&mut self, dice: &mut Dice) {
        let mut at = dice.millis(15_000, 40_000);
        while at < SECOND * 185 {
            let mut healed = at;
            for _ in 0..1 + dice.below(3) {
                let begins = at + dice.millis(0, 6_000);
                let lasts = match dice.below(4) {
                    0 => dice.millis(200, 2_500),
                    1 | 2 => dice.millis(2_000, 12_000),
                    _ => dice.millis(10_000, 45_000),
                };
                let lasts = lasts.min((SECOND * 205).saturating_sub(begins));
                let action = self.draw_fault(dice);
                self.step(begins, action, lasts);
                healed = healed.max(begins + lasts);
            }
            at = healed + dice.millis(9_000, 22_000);
        }
    }

    fn draw_fault(&mut self, dice: &mut Dice) -> Action {
        let nodes = self.machines.iter().filter(|machine| machine.starts).count();
        let mid = dice.below(nodes);
        let other = (mid + 1 + dice.below(nodes - 1)) % nodes;
        let regions = 1 + self.machines.iter().map(|machine| machine.region).max().unwrap_or(0);
        match dice.below(30) {
            0 | 1 => Action::Cut(mid),
            2 | 3 => Action::HalfOpen(mid),
            4 => Action::Deaf(mid),
            5 => Action::Dumb(mid),
            6 => Action::Slow(mid, dice.millis(50, 1_500)),
            7 => Action::Loses(mid, 5 + dice.below(60) as u64),
            8..=10 if regions > 1 => {
                let a = dice.below(regions);
                Action::Parts(a, (a + 1 + dice.below(regions - 1)) % regions, dice.chance(50))
            }
            11 | 12 => Action::BusGone,
            13 => Action::Doubles(10 + dice.below(60) as u64),
            14 => Action::LateReplies(10 + dice.below(60) as u64),
            15..=17 => Action::Kill(mid, dice.chance(80)),
            18 | 19 => Action::Freeze(mid),
            20 => self.draw_twin(mid),
            21 | 22 => Action::Drain(mid),
            23 => Action::Worker(mid),
            24 | 25 => Action::Udp(mid, other, dice.chance(50)),
            26 => Action::WrongAddress(mid),
            27 => Action::Clock(mid, dice.below(14_400_000) as i64 - 7_200_000),
            28 => Action::NoLog,
            29 => Action::NewLog,
            _ => Action::Cut(mid),
        }
    }

    fn draw_twin(&mut self, mid: Mid) -> Action {
        let twin = Machine { starts: false, ..self.machines[mid].clone() };
        self.machines.push(twin);
        Action::Twin(self.machines.len() - 1)
    }

    fn step(&mut self, at: At, action: Action, lasts: Duration) {
        self.steps.push(Step { at, action, lasts });
    }
}

fn draw_codecs(dice: &mut Dice) -> Vec<Codec> {
    let video = Codec::Video(dice.pick(&[MimeTypeVideo::Vp8, MimeTypeVideo::H264, MimeTypeVideo::AV1]));
    match dice.below(6) {
        0 => vec![Codec::Opus],
        1 => vec![video],
        _ => vec![Codec::Opus, video],
    }
}
