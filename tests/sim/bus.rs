//! The message bus: what is published reaches who is connected, in its sender's order; what is asked is
//! answered, refused by the server where nobody listens, or never.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use headwater::protocol::claim::Claim;
use headwater::protocol::directory::{Claims, GetClaims};
use headwater::protocol::edge::{EdgeReply, EdgeRequest};
use headwater::protocol::ids::{Incarnation, NodeName};
use headwater::protocol::origin::{OriginReply, OriginRequest};
use headwater::protocol::presence::Presence;
use headwater::protocol::refusal::Refusal;
use headwater::room::core::Failure;

use crate::jobs::{Job, JobId};
use crate::plan::Plan;
use crate::world::{At, Event, Mid, Pid, World};

/// As `broker/call.rs` has them.
const PATIENCE: Duration = Duration::from_secs(2);
const NO_RESPONDERS_RETRY: Duration = Duration::from_millis(100);
const BUSY_RETRY: Duration = Duration::from_millis(50);
const TRIES: u32 = 3;

pub type CallId = u64;
pub type Reply = Result<Replied, Refusal>;
pub type Outcome = Result<Replied, Failure>;

/// What all nodes say.
#[derive(Debug, Clone)]
pub enum Heard {
    Presence(Arc<Presence>),
    Claim(Arc<Claim>),
}

/// What one node asks another.
#[derive(Debug, Clone)]
pub enum Question {
    Edge(Incarnation, EdgeRequest),
    Origin(Incarnation, OriginRequest),
    Claims(GetClaims),
}

#[derive(Debug, Clone)]
pub enum Replied {
    Edge(EdgeReply),
    Origin(OriginReply),
    Claims(Claims),
}

#[derive(Debug)]
pub struct Call {
    from: Pid,
    to: NodeName,
    question: Question,
    deadline: At,
    tries: u32,
    job: JobId,
    part: usize,
}

/// A machine's connection. Faults are counted, as several may hold at once.
#[derive(Debug, Default, Clone)]
pub struct Line {
    /// Whether its client believes that it is connected.
    pub connected: bool,
    pub cut: u32,
    pub deaf: u32,
    pub dumb: u32,
    pub slow: At,
    pub loss: u64,
    /// Since when nothing is heard on it, and when something was last wrong with it.
    pub still_since: Option<At>,
    pub bad_until: At,
}

/// Two regions that don't reach each other; whether the servers know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub between: [usize; 2],
    pub known: bool,
}

#[derive(Debug, Default)]
pub struct Bus {
    pub gone: u32,
    pub lines: Vec<Line>,
    pub cuts: Vec<Cut>,
    pub parted_until: At,
    pub doubles: u64,
    pub late_replies: u64,
    calls: BTreeMap<CallId, Call>,
    last_call: CallId,
    pub jobs: BTreeMap<JobId, Job>,
    pub last_job: JobId,
    /// When the last message between two machines arrives.
    order: HashMap<(Mid, Mid), At>,
    /// Which pipe end listens where, and between which machines packets are dropped.
    pub ports: crate::media::Ports,
    pub udp: Vec<(Mid, Mid)>,
    /// Messages that each machine sent, and how many signs of life are among them.
    pub sent: Vec<u64>,
    pub beats: u64,
}

impl Bus {
    pub fn new(plan: &Plan) -> Self {
        let count = plan.machines.len();
        let line = Line { connected: true, ..Line::default() };
        Self { lines: vec![line; count], sent: vec![0; count], ..Self::default() }
    }

    pub fn caller(&self, call: CallId) -> Option<Pid> {
        self.calls.get(&call).map(|call| call.from)
    }

    /// Calls and jobs that have not ended.
    pub fn pending(&self) -> usize {
        self.calls.len() + self.jobs.len()
    }

    /// A process is gone with all that it asked.
    pub fn forget(&mut self, pid: Pid) {
        self.calls.retain(|_, call| call.from != pid);
        self.jobs.retain(|_, job| job.pid != pid);
    }

    fn is_up(&self, mid: Mid) -> bool {
        self.gone == 0 && self.lines[mid].cut == 0
    }
}

impl World {
    pub fn are_parted(&self, a: Mid, b: Mid, known: bool) -> bool {
        let (a, b) = (self.machines[a].region_no, self.machines[b].region_no);
        self.bus
            .cuts
            .iter()
            .any(|cut| (cut.known || !known) && (cut.between == [a, b] || cut.between == [b, a]))
    }

    /// When a message that is sent now arrives; none if it never does.
    fn transit(&mut self, from: Mid, to: Mid) -> Option<At> {
        let (out, into) = (&self.bus.lines[from], &self.bus.lines[to]);
        let goes = self.bus.is_up(from) && self.bus.is_up(to) && out.connected && into.connected;
        let loss = if from == to { 0 } else { out.loss.max(into.loss) };
        let slow = out.slow + into.slow;
        if !goes || out.dumb > 0 || into.deaf > 0 || self.are_parted(from, to, false) {
            return None;
        }
        if loss > 0 && self.dice.chance(loss) {
            return None;
        }
        let far = self.machines[from].region_no != self.machines[to].region_no;
        let mut takes = if far { self.dice.micros(15_000, 60_000) } else { self.dice.micros(150, 1_500) };
        if slow > Duration::ZERO {
            takes += self.dice.millis(0, slow.as_millis() as u64 + 1);
        }
        let last = self.bus.order.entry((from, to)).or_default();
        *last = (self.now + takes).max(*last + Duration::from_micros(1));
        Some(*last)
    }

    /// Tells all nodes, the speaker among them.
    pub fn publish(&mut self, pid: Pid, heard: &Heard) {
        let from = self.nodes[pid].mid;
        if !self.bus.lines[from].connected {
            return;
        }
        self.bus.sent[from] += 1;
        self.bus.beats += u64::from(matches!(heard, Heard::Presence(_)));
        for to in 0..self.ears {
            let Some(other) = self.machines[to].process else { continue };
            if let Some(at) = self.transit(from, to) {
                self.at(at, Event::Heard(other, heard.clone()));
            }
        }
    }

    /// Asks another node; the job gets the answer as its part.
    pub fn call(&mut self, from: Pid, to: &NodeName, question: Question, job: JobId, part: usize) {
        self.bus.last_call += 1;
        let id = self.bus.last_call;
        let deadline = self.now + PATIENCE;
        let call = Call { from, to: to.clone(), question, deadline, tries: 0, job, part };
        self.bus.calls.insert(id, call);
        self.at(deadline, Event::Fails(id, Failure::Silent));
        self.attempt(id, 0);
    }

    pub fn attempt(&mut self, id: CallId, tries: u32) {
        let Some(call) = self.bus.calls.get_mut(&id) else { return };
        if call.tries != tries {
            return;
        }
        call.tries += 1;
        let (pid, to, question, attempt) = (call.from, call.to.clone(), call.question.clone(), call.tries);
        let from = self.nodes[pid].mid;
        if !self.bus.lines[from].connected {
            return self.later(Duration::ZERO, Event::Fails(id, Failure::Offline));
        }
        self.bus.sent[from] += 1;
        if self.bus.lines[from].dumb > 0 || !self.bus.is_up(from) {
            return;
        }
        // Whoever listens by that name, as far as the servers know.
        let mut listening = false;
        for mid in self.named.get(&to).cloned().unwrap_or_default() {
            let Some(other) = self.machines[mid].process else { continue };
            if !self.bus.is_up(mid) || !self.bus.lines[mid].connected {
                continue;
            }
            if self.are_parted(from, mid, true) {
                continue;
            }
            listening = true;
            if let Some(at) = self.transit(from, mid) {
                self.at(at, Event::Asked(other, id, Box::new(question.clone())));
                if self.bus.doubles > 0 && self.dice.chance(self.bus.doubles) {
                    let again = at + self.dice.millis(1, 400);
                    self.at(again, Event::Asked(other, id, Box::new(question.clone())));
                }
            }
        }
        if !listening && self.bus.lines[from].deaf == 0 {
            let pause = if attempt == 1 { NO_RESPONDERS_RETRY } else { Duration::ZERO };
            match pause.is_zero() {
                true => self.later(Duration::from_micros(300), Event::Fails(id, Failure::Gone)),
                false => self.later(pause, Event::Again(id, attempt)),
            }
        }
    }

    /// An answer leaves for who asked.
    pub fn reply(&mut self, pid: Pid, id: CallId, reply: Reply) {
        let Some(call) = self.bus.calls.get(&id) else { return };
        let (from, to, attempt) = (self.nodes[pid].mid, self.nodes[call.from].mid, call.tries);
        self.bus.sent[from] += 1;
        if let Some(mut at) = self.transit(from, to) {
            if self.bus.late_replies > 0 && self.dice.chance(self.bus.late_replies) {
                at += self.dice.millis(100, 3_000);
            }
            self.at(at, Event::Answered(id, attempt, Box::new(reply)));
        }
    }

    pub fn answered(&mut self, id: CallId, attempt: u32, reply: Reply) {
        let Some(call) = self.bus.calls.get(&id) else { return };
        if call.tries != attempt {
            return;
        }
        match reply {
            Err(refusal) if refusal.code.passes() && call.tries < TRIES => {
                let pause = BUSY_RETRY * call.tries;
                if self.now + pause < call.deadline {
                    let tries = call.tries;
                    return self.later(pause, Event::Again(id, tries));
                }
                self.settle(id, Err(Failure::Refused(refusal)));
            }
            reply => self.settle(id, reply.map_err(Failure::Refused)),
        }
    }

    pub fn settle(&mut self, id: CallId, outcome: Outcome) {
        let Some(call) = self.bus.calls.remove(&id) else { return };
        self.job_part(call.job, call.part, outcome);
    }

    /// Notes since when, and until when, lines are bad: for the laws.
    pub fn note_lines(&mut self) {
        let (now, gone) = (self.now, self.bus.gone > 0);
        if !self.bus.cuts.is_empty() {
            self.bus.parted_until = now;
        }
        for line in &mut self.bus.lines {
            let still = gone || line.cut + line.deaf > 0;
            if line.still_since.is_some() && !still {
                line.bad_until = now;
            }
            line.still_since = still.then(|| line.still_since.unwrap_or(now));
            if line.cut + line.deaf + line.dumb > 0 || line.loss > 0 || !line.slow.is_zero() {
                line.bad_until = now;
            }
        }
    }

    /// A machine's client is connected again.
    pub fn online(&mut self, mid: Mid) {
        if !self.bus.is_up(mid) || self.bus.lines[mid].connected {
            return;
        }
        self.bus.lines[mid].connected = true;
        self.tell(|| format!("{} is connected", self.machines[mid].label()));
        if let Some(pid) = self.machines[mid].process {
            self.connected(pid);
        }
    }

    /// Notes what faults did to a machine's connection.
    pub fn line_changed(&mut self, mid: Mid) {
        if self.bus.is_up(mid) {
            let after = self.dice.millis(20, 500);
            self.later(after, Event::Online(mid));
        } else {
            self.bus.lines[mid].connected = false;
        }
    }
}
