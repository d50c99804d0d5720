//! A node: one process on a machine, its place in the fleet, its rooms, and how it begins and ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use headwater::config::Config;
use headwater::fleet::{self, Fleet, Membership, Profile};
use headwater::protocol::claim::EndReason;
use headwater::protocol::directory::{Claims, GetClaims, Whose};
use headwater::protocol::event::What;
use headwater::protocol::ids::{Incarnation, NodeName, Peer, Region, RoomId};
use headwater::protocol::presence::{Load, Phase, Role};
use headwater::protocol::rtp::MimeTypeVideo;

use crate::bus::{CallId, Heard, Question, Replied};
use crate::plan;
use crate::room::{Knock, Room};
use crate::world::{Event, Mid, Pid, World};

/// As `fleet/task.rs` has it.
const TICK: Duration = Duration::from_millis(200);
/// What waits at most for a process that is stopped.
const HELD: usize = 100_000;

/// Where a node runs.
pub struct Machine {
    pub mid: Mid,
    pub name: NodeName,
    pub region: Region,
    pub region_no: usize,
    pub ip: IpAddr,
    /// Where others are told to send media, if that is wrong.
    pub wrong_ip: Option<IpAddr>,
    pub next_port: u16,
    /// How far its wall clock is off, in milliseconds.
    pub skew: i64,
    pub config: Arc<Config>,
    pub codecs: Vec<MimeTypeVideo>,
    /// Whether it is there from the beginning.
    pub starts: bool,
    /// Whether it hears nobody.
    pub speaks_only: bool,
    pub process: Option<Pid>,
}

/// One process.
pub struct Node {
    pub pid: Pid,
    pub mid: Mid,
    pub me: Peer,
    pub membership: Membership,
    /// The fleet as the rooms see it: renewed with each tick.
    pub view: Arc<Fleet>,
    pub rooms: BTreeMap<RoomId, Option<Box<Room>>>,
    pub phase: Phase,
    pub serving: bool,
    pub alive: bool,
    pub frozen: bool,
    /// Whether its rooms were told to end.
    pub stopping: bool,
    pub held: Vec<Event>,
    pub lives: u64,
    /// Which log its events go to.
    pub log: u64,
    pub started: std::time::Duration,
    pub ended: Option<Duration>,
}

impl Machine {
    /// Those of a plan; who is in the same region has its name in common.
    pub fn all(plans: &[plan::Machine]) -> Vec<Self> {
        let regions = plans.iter().map(|plan| plan.region);
        let regions: BTreeMap<usize, Region> =
            regions.map(|no| (no, format!("r{no}").parse().unwrap())).collect();
        let machines = plans.iter().enumerate();
        machines.map(|(mid, plan)| Self::new(mid, plan, regions[&plan.region].clone())).collect()
    }

    fn new(mid: Mid, plan: &plan::Machine, region: Region) -> Self {
        let mut config = Config::default();
        config.node.name = plan.name.parse().unwrap();
        config.node.region = region;
        config.node.roles.clone_from(&plan.roles);
        config.media.takeover_pause = plan.takeover_pause;
        config.limits.children = plan.children;
        if plan.pushed {
            config.rooms.push = "*".parse().unwrap();
        }
        config.timeouts.drain = Duration::from_secs(10);
        // What is left is looked for soon after the end of a story.
        config.timeouts.ice_consent = Duration::from_secs(15);
        Self {
            mid,
            name: config.node.name.clone(),
            region: config.node.region.clone(),
            region_no: plan.region,
            ip: IpAddr::V4(Ipv4Addr::new(10, plan.region as u8, (mid >> 8) as u8, (mid & 255) as u8)),
            wrong_ip: None,
            next_port: 40_000,
            skew: plan.skew,
            config: Arc::new(config),
            codecs: plan.codecs.clone(),
            starts: plan.starts,
            speaks_only: plan.speaks_only,
            process: None,
        }
    }

    pub fn label(&self) -> String {
        format!("{}({})", self.name, self.region)
    }

    pub fn has(&self, role: Role) -> bool {
        self.config.node.roles.contains(&role)
    }
}

impl Node {
    pub fn name(&self) -> String {
        format!("{}#{}", self.me.node, self.pid)
    }

    pub fn hold(&mut self, event: Event) {
        if self.held.len() < HELD {
            self.held.push(event);
        }
    }

    /// Whether it takes nothing new.
    pub fn is_draining(&self) -> bool {
        self.phase != Phase::Serving || !self.serving
    }

    pub fn open_rooms(&self) -> impl Iterator<Item = (&RoomId, &Room)> {
        self.rooms.iter().filter_map(|(id, room)| Some((id, room.as_deref()?)))
    }

    fn load(&self) -> Load {
        let mut load = Load { rooms: self.rooms.len() as u32, ..Load::default() };
        for (_, room) in self.open_rooms() {
            load.streams += room.media.uplinks.len() as u32;
            load.viewers += room.media.viewers.len() as u32;
            load.pipes += (room.media.inlets.len() + room.media.outlets.len()) as u32;
        }
        load
    }
}

impl World {
    /// A process starts on a machine.
    pub fn start(&mut self, mid: Mid) {
        if self.machines[mid].process.is_some() {
            return;
        }
        let pid = self.nodes.len();
        let millis = self.wall(mid).timestamp_millis() as u64;
        let incarnation = Incarnation(self.dice.id_at(millis));
        let machine = &self.machines[mid];
        let me = Peer { node: machine.name.clone(), incarnation, region: machine.region.clone() };
        let profile = Profile {
            roles: machine.config.node.roles.clone(),
            version: "simulated".to_owned(),
            public_url: String::new(),
            limits: machine.config.limits.told(),
            pushes: machine.config.rooms.clone(),
        };
        let seed = self.dice.next();
        let membership = Membership::new(me.clone(), profile, machine.config.timeouts.presence, seed);
        let view = Arc::new(membership.fleet().clone());
        self.nodes.push(Node {
            pid,
            mid,
            me,
            membership,
            view,
            rooms: BTreeMap::new(),
            phase: Phase::Serving,
            serving: false,
            alive: true,
            frozen: false,
            stopping: false,
            held: Vec::new(),
            lives: 0,
            log: self.log.number,
            started: self.now,
            ended: None,
        });
        self.machines[mid].process = Some(pid);
        self.tell(|| format!("{} starts", self.nodes[pid].name()));
        if self.bus.lines[mid].connected {
            self.connected(pid);
        }
        let (tick, beat) = (self.dice.millis(0, 200), self.dice.millis(0, 1_000));
        self.later(tick, Event::Tick(pid));
        self.later(beat, Event::Beat(pid));
    }

    pub fn connected(&mut self, pid: Pid) {
        if self.nodes[pid].alive && !self.nodes[pid].frozen {
            self.member(pid, fleet::Input::Connected);
        }
    }

    /// Tells a node's membership something and carries out what it wants.
    pub fn member(&mut self, pid: Pid, input: fleet::Input) {
        let now = self.instant();
        let effects = self.nodes[pid].membership.handle(input, now);
        for effect in effects {
            match effect {
                fleet::Effect::Say(mut presence) => {
                    presence.beat.every_ms = self.pace(pid).as_millis() as u32;
                    self.publish(pid, &Heard::Presence(Arc::new(presence)));
                }
                fleet::Effect::Publish(claim) => self.publish(pid, &Heard::Claim(Arc::new(claim))),
                fleet::Effect::Fetch { from, request } => self.job_fetch(pid, from, request),
                fleet::Effect::ProbeName => self.job_probe(pid),
                fleet::Effect::Notice(notice) => {
                    let room = notice.room.clone();
                    self.later(Duration::ZERO, Event::Notice(pid, room, notice.stream));
                }
                fleet::Effect::Carry(room) => self.knock(pid, &room, Knock::Carry),
                fleet::Effect::Returned => self.show(pid),
                fleet::Effect::NodeLost(lost) => self.record_lost(pid, lost),
                fleet::Effect::NameTaken(other) => {
                    self.tell(|| {
                        format!("{} finds its name taken by {}", self.nodes[pid].name(), other.incarnation)
                    });
                    self.stop(pid);
                }
                fleet::Effect::NameShared(_) => {}
                fleet::Effect::Serving => {
                    self.tell(|| format!("{} serves", self.nodes[pid].name()));
                    self.nodes[pid].serving = true;
                    self.record_node(pid, What::NodeStarted);
                }
            }
        }
    }

    /// Shows a node's rooms who is there.
    fn show(&mut self, pid: Pid) {
        let node = &mut self.nodes[pid];
        if let Some(fleet) = node.membership.take_fleet() {
            node.view = fleet;
        }
    }

    pub fn tick(&mut self, pid: Pid) {
        self.member(pid, fleet::Input::Tick);
        self.show(pid);
        let node = &mut self.nodes[pid];
        if node.stopping && node.rooms.is_empty() {
            return self.over(pid);
        }
        // One that hears nobody has nothing to do but to speak.
        if !self.machines[self.nodes[pid].mid].speaks_only || !self.nodes[pid].serving {
            self.later(TICK, Event::Tick(pid));
        }
    }

    pub fn beat(&mut self, pid: Pid) {
        let (phase, load) = (self.nodes[pid].phase, self.nodes[pid].load());
        self.member(pid, fleet::Input::Beat { phase, load });
        if !self.machines[self.nodes[pid].mid].speaks_only || self.shared {
            self.tell_summary(pid);
        }
        let jitter = self.dice.millis(0, 20);
        self.later(self.pace(pid) + jitter, Event::Beat(pid));
    }

    /// How long after a sign of life the next one comes: that depends on how many nodes there are.
    fn pace(&self, pid: Pid) -> Duration {
        self.nodes[self.eyes(pid)].membership.beat_every()
    }

    pub fn heard(&mut self, pid: Pid, heard: Heard) {
        let input = match heard {
            Heard::Presence(presence) => fleet::Input::Heard(presence),
            Heard::Claim(claim) => {
                self.truth.heard(self.nodes[pid].me.incarnation, &claim);
                fleet::Input::Claimed((*claim).clone())
            }
        };
        self.member(pid, input);
    }

    /// Another node asks: what is meant for another process is left to that.
    pub fn asked(&mut self, pid: Pid, call: CallId, question: Question) {
        let me = self.nodes[pid].me.incarnation;
        match question {
            Question::Claims(request) if request.from.incarnation != me => {
                let limit = self.machines[self.nodes[pid].mid].config.limits.message_bytes;
                let page = self.page(pid, &request, limit);
                self.reply(pid, call, Ok(Replied::Claims(page)));
            }
            Question::Claims(_) => {}
            Question::Edge(to, _) | Question::Origin(to, _) if to != me => {}
            question => self.remote(pid, call, question),
        }
    }

    /// What a node answers; one that hears nobody has it from a whole one of its region.
    fn page(&self, pid: Pid, request: &GetClaims, limit: usize) -> Claims {
        let own = self.nodes[pid].membership.page(request, limit);
        let machine = &self.machines[self.nodes[pid].mid];
        if !machine.speaks_only || request.of == Whose::Own {
            return own;
        }
        let mut whole =
            self.machines[..self.ears].iter().filter(|other| other.region_no == machine.region_no);
        let Some(heard) = whole.find_map(|other| Some(&self.nodes[other.process?].membership)) else {
            return own;
        };
        let Claims { claims, next, .. } = heard.page(request, limit);
        Claims { claims, next, ..own }
    }

    /// A node is told to stop: it takes nothing new, and ends after a while.
    pub fn drain(&mut self, pid: Pid) {
        if !self.nodes[pid].alive || self.nodes[pid].phase != Phase::Serving {
            return;
        }
        self.nodes[pid].phase = Phase::Draining;
        let load = self.nodes[pid].load();
        self.member(pid, fleet::Input::Beat { phase: Phase::Draining, load });
        self.record_node(pid, What::NodeDraining);
        let patience = self.machines[self.nodes[pid].mid].config.timeouts.drain;
        self.later(patience, Event::Deadline(pid));
    }

    /// A node ends all its rooms; once they are over, so is the process.
    pub fn stop(&mut self, pid: Pid) {
        if !self.nodes[pid].alive || self.nodes[pid].stopping {
            return;
        }
        self.nodes[pid].stopping = true;
        if self.nodes[pid].phase == Phase::Serving {
            self.nodes[pid].phase = Phase::Draining;
        }
        for room in self.nodes[pid].rooms.keys().cloned().collect::<Vec<_>>() {
            self.input(pid, &room, None, headwater::room::core::Input::Stop(EndReason::Drained));
        }
    }

    /// The last word of a process.
    fn over(&mut self, pid: Pid) {
        let load = self.nodes[pid].load();
        self.member(pid, fleet::Input::Beat { phase: Phase::Stopped, load });
        if self.nodes[pid].serving {
            self.record_node(pid, What::NodeStopped);
        }
        self.last_store(pid);
        self.end_process(pid);
    }

    /// A process is gone, as by a signal that can't be caught.
    pub fn end_process(&mut self, pid: Pid) {
        if !self.nodes[pid].alive {
            return;
        }
        self.tell(|| format!("{} is gone", self.nodes[pid].name()));
        let (mid, now) = (self.nodes[pid].mid, self.now);
        let node = &mut self.nodes[pid];
        (node.alive, node.frozen, node.ended) = (false, false, Some(now));
        node.held = Vec::new();
        node.rooms = BTreeMap::new();
        self.machines[mid].process = None;
        self.truth.process_gone(pid);
        self.log.forget(pid);
        self.bus.forget(pid);
        for client in 0..self.clients.len() {
            if self.clients[client].is_at(pid) {
                let (after, epoch) = (self.dice.millis(300, 4_000), self.clients[client].epoch);
                self.later(after, Event::Loses(client, epoch));
            }
        }
    }

    /// SIGSTOP: nothing of the process runs, its media neither.
    pub fn freeze(&mut self, pid: Pid) {
        if !self.nodes[pid].alive {
            return;
        }
        self.nodes[pid].frozen = true;
        for client in 0..self.clients.len() {
            if self.clients[client].is_at(pid) {
                let (after, epoch) = (self.dice.millis(5_000, 20_000), self.clients[client].epoch);
                self.later(after, Event::GivesUp(client, epoch));
            }
        }
    }

    /// SIGCONT.
    pub fn thaw(&mut self, pid: Pid) {
        if self.nodes[pid].alive && self.nodes[pid].frozen {
            self.nodes[pid].frozen = false;
            self.release(pid);
        }
    }
}
