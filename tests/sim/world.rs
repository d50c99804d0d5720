//! The world: virtual time, what is going to happen, and everything that it happens to.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use headwater::protocol::ids::{NodeName, RoomId, SessionId, StreamName};
use headwater::protocol::rtp::MimeTypeVideo;
use headwater::room::core::{Failure, Input};

use crate::bus::{Bus, CallId, Heard, Question, Reply};
use crate::dice::Dice;
use crate::laws::{Broken, Laws};
use crate::log::Log;
use crate::node::{Machine, Node};
use crate::plan::{self, Plan, Step};
use crate::queue::Queue;
use crate::truth::Truth;
use crate::users::{Client, ClientId, Epoch};

/// Virtual time since the world began.
pub type At = Duration;
/// A process, by the order in which they started.
pub type Pid = usize;
/// A machine, by its place in the plan.
pub type Mid = usize;

/// How often media moves, and the laws look.
pub const STEP: Duration = Duration::from_millis(250);
/// More inputs of one process than this at one moment are a circle.
const AT_ONCE: u32 = 1_000;

/// What is going to happen.
#[derive(Debug)]
pub enum Event {
    /// A process's own timers.
    Tick(Pid),
    Beat(Pid),
    Look(Pid, RoomId, u64),
    /// A draining process's patience is over.
    Deadline(Pid),
    /// What the bus brings.
    Heard(Pid, Heard),
    Asked(Pid, CallId, Box<Question>),
    Answered(CallId, u32, Box<Reply>),
    Again(CallId, u32),
    Fails(CallId, Failure),
    Online(Mid),
    /// The directory's word for a room.
    Notice(Pid, RoomId, StreamName),
    /// Users.
    Try(ClientId, Epoch),
    Arrives(Pid, ClientId, Epoch),
    GivesUp(ClientId, Epoch),
    Connects(Pid, RoomId, u64, SessionId, ClientId, Epoch),
    Loses(ClientId, Epoch),
    Vanishes(Pid, RoomId, u64, SessionId),
    Ends(Pid, RoomId, SessionId, ClientId),
    /// The plan.
    Begin(usize),
    Heal(usize),
    Start(Mid),
    LastOrders,
    /// Media moves and the laws look.
    Step,
}

/// Everything.
pub struct World {
    pub now: At,
    base: Instant,
    queue: Queue,
    pub dice: Dice,
    pub steps: Vec<Step>,
    pub ends: At,
    pub last_orders: At,
    pub machines: Vec<Machine>,
    /// Those that go by a name.
    pub named: BTreeMap<NodeName, Vec<Mid>>,
    /// How many of them hear what all say: the first ones.
    pub ears: usize,
    /// The video codecs that all of them take.
    pub common: Vec<MimeTypeVideo>,
    /// Whether all of them may feed many others.
    pub wide: bool,
    /// Whether the others see the fleet and its streams as the first node does, and are used as any node.
    pub shared: bool,
    pub nodes: Vec<Node>,
    pub bus: Bus,
    pub clients: Vec<Client>,
    pub log: Log,
    pub truth: Truth,
    pub laws: Laws,
    /// Faults that have not healed, and when the last one did or the last one began.
    pub faults: u32,
    pub healed: At,
    pub broken: Option<Broken>,
    pub handled: u64,
    /// What a room is about to handle, while one does: kept, as it is none mostly.
    pub inputs: VecDeque<Input>,
    at_once: (At, Pid, u32),
    /// Whether what happens is printed.
    pub tells: bool,
}

fn common(machines: &[plan::Machine]) -> Vec<MimeTypeVideo> {
    let all = [MimeTypeVideo::Vp8, MimeTypeVideo::H264, MimeTypeVideo::AV1];
    all.into_iter().filter(|codec| machines.iter().all(|machine| machine.codecs.contains(codec))).collect()
}

impl World {
    pub fn new(plan: &Plan, tells: bool) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            // Room to look back from the first moment.
            base: Instant::now() + Duration::from_secs(24 * 3600),
            queue: Queue::default(),
            dice: Dice::new(plan.seed ^ 0x5eed),
            steps: plan.steps.clone(),
            ends: plan.ends,
            last_orders: plan.last_orders,
            machines: Machine::all(&plan.machines),
            named: BTreeMap::new(),
            ears: plan.machines.iter().take_while(|machine| !machine.speaks_only).count(),
            common: common(&plan.machines),
            wide: plan.machines.iter().all(|machine| machine.children >= 100),
            shared: plan.shared,
            nodes: Vec::new(),
            bus: Bus::new(plan),
            clients: Client::all(&plan.clients),
            log: Log::default(),
            truth: Truth::default(),
            laws: Laws::default(),
            faults: 0,
            healed: Duration::ZERO,
            broken: None,
            handled: 0,
            inputs: VecDeque::new(),
            at_once: (Duration::ZERO, 0, 0),
            tells,
        };
        for mid in 0..world.machines.len() {
            world.named.entry(world.machines[mid].name.clone()).or_default().push(mid);
            if world.machines[mid].starts {
                let after = world.dice.millis(0, 1_500);
                world.later(after, Event::Start(mid));
            }
        }
        for (index, step) in plan.steps.iter().enumerate() {
            world.at(step.at, Event::Begin(index));
        }
        world.at(plan.last_orders, Event::LastOrders);
        world.later(STEP, Event::Step);
        world
    }

    /// Runs to the end, or until a law is broken.
    pub fn run(&mut self) -> Result<(), Broken> {
        self.run_until(self.ends)
    }

    pub fn run_until(&mut self, until: At) -> Result<(), Broken> {
        while let Some((at, event)) = self.queue.pop(until) {
            self.now = at;
            self.happen(event);
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        Ok(())
    }

    pub fn at(&mut self, at: At, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    pub fn later(&mut self, after: Duration, event: Event) {
        self.at(self.now + after, event);
    }

    pub fn instant(&self) -> Instant {
        self.base + self.now
    }

    /// The true wall clock, which no node has.
    pub fn clock(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::from_std(self.now).unwrap()
    }

    /// A machine's idea of it.
    pub fn wall(&self, mid: Mid) -> DateTime<Utc> {
        self.clock() + TimeDelta::milliseconds(self.machines[mid].skew)
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>9.3}  {}", self.now.as_secs_f64(), what());
        }
    }

    /// A law is broken; the first one counts.
    pub fn breaks(&mut self, law: &'static str, why: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Broken { law, why: why.into(), at: self.now });
        }
    }

    /// Whose idea of the fleet a node has.
    pub fn eyes(&self, pid: Pid) -> Pid {
        let shares = self.shared && self.machines[self.nodes[pid].mid].speaks_only;
        self.machines[0].process.filter(|_| shares).unwrap_or(pid)
    }

    /// How long nothing has been wrong.
    pub fn calm(&self) -> Duration {
        if self.faults > 0 { Duration::ZERO } else { self.now.saturating_sub(self.healed) }
    }

    /// A process handles something: too much of it without time passing is a circle.
    pub fn count(&mut self, pid: Pid) {
        self.handled += 1;
        if (self.at_once.0, self.at_once.1) == (self.now, pid) {
            self.at_once.2 += 1;
            if self.at_once.2 > AT_ONCE {
                let name = self.nodes[pid].name();
                self.breaks("quiet", format!("{name} handles more than {AT_ONCE} inputs and no time passes"));
            }
        } else {
            self.at_once = (self.now, pid, 1);
        }
    }

    /// The process that an event is for: one that is stopped takes it later, one that is gone never.
    fn owner(&self, event: &Event) -> Option<Pid> {
        match event {
            Event::Tick(pid)
            | Event::Beat(pid)
            | Event::Look(pid, ..)
            | Event::Deadline(pid)
            | Event::Heard(pid, _)
            | Event::Asked(pid, ..)
            | Event::Notice(pid, ..)
            | Event::Arrives(pid, ..)
            | Event::Connects(pid, ..)
            | Event::Vanishes(pid, ..)
            | Event::Ends(pid, ..) => Some(*pid),
            Event::Answered(call, ..) | Event::Again(call, _) | Event::Fails(call, _) => {
                self.bus.caller(*call)
            }
            _ => None,
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(pid) = self.owner(&event) {
            let node = &mut self.nodes[pid];
            if !node.alive {
                return;
            }
            if node.frozen {
                return node.hold(event);
            }
            self.count(pid);
        }
        match event {
            Event::Tick(pid) => self.tick(pid),
            Event::Beat(pid) => self.beat(pid),
            Event::Look(pid, room, life) => self.look(pid, &room, life),
            Event::Deadline(pid) => self.stop(pid),
            // What was on its way when a line went deaf is not heard either.
            Event::Heard(pid, _) if self.bus.lines[self.nodes[pid].mid].deaf > 0 => {}
            Event::Heard(pid, heard) => self.heard(pid, heard),
            Event::Asked(pid, call, question) => self.asked(pid, call, *question),
            Event::Answered(call, attempt, reply) => self.answered(call, attempt, *reply),
            Event::Again(call, attempt) => self.attempt(call, attempt),
            Event::Fails(call, failure) => self.settle(call, Err(failure)),
            Event::Online(mid) => self.online(mid),
            Event::Notice(pid, room, stream) => self.noticed(pid, &room, &stream),
            Event::Try(client, epoch) => self.tries(client, epoch),
            Event::Arrives(pid, client, epoch) => self.arrives(pid, client, epoch),
            Event::GivesUp(client, epoch) => self.gives_up(client, epoch),
            Event::Connects(pid, room, life, session, client, epoch) => {
                self.connects(pid, &room, life, session, client, epoch);
            }
            Event::Loses(client, epoch) => self.loses(client, epoch),
            Event::Vanishes(pid, room, life, session) => self.vanishes(pid, &room, life, session),
            Event::Ends(pid, room, session, client) => self.ends(pid, &room, session, client),
            Event::Begin(step) => self.begin(step),
            Event::Heal(step) => self.heal(step),
            Event::Start(mid) => self.start(mid),
            Event::LastOrders => {
                for client in 0..self.clients.len() {
                    let politely = self.dice.chance(70);
                    self.goes(client, politely);
                }
            }
            Event::Step => {
                self.note_lines();
                self.listen();
                self.flow();
                self.store();
                self.judge();
                // Rooms measure each half second: more steps would show a crowd nothing.
                self.later(if self.shared { STEP * 2 } else { STEP }, Event::Step);
            }
        }
    }

    /// All that is held for a process that goes on.
    pub fn release(&mut self, pid: Pid) {
        for event in std::mem::take(&mut self.nodes[pid].held) {
            self.later(Duration::ZERO, event);
        }
    }
}
