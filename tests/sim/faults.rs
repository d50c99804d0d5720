//! What goes wrong, and how it heals.

use std::time::Duration;

use crate::bus::Cut;
use crate::plan::Action;
use crate::world::{Event, Mid, STEP, World};

/// How long after a process has started the fleet may take to know it.
const STARTS: Duration = Duration::from_millis(2_500);

impl World {
    pub fn begin(&mut self, index: usize) {
        let step = self.steps[index].clone();
        if self.users_do(&step.action) {
            return;
        }
        self.tell(|| format!("--- {:?} for {:.1} s", step.action, step.lasts.as_secs_f64()));
        self.faults += 1;
        let mut lasts = step.lasts;
        match step.action {
            Action::Cut(mid) => {
                self.bus.lines[mid].cut += 1;
                self.line_changed(mid);
            }
            Action::HalfOpen(mid) => {
                self.bus.lines[mid].deaf += 1;
                self.bus.lines[mid].dumb += 1;
            }
            Action::Deaf(mid) => self.bus.lines[mid].deaf += 1,
            Action::Dumb(mid) => self.bus.lines[mid].dumb += 1,
            Action::Slow(mid, by) => self.bus.lines[mid].slow += by,
            Action::Loses(mid, share) => self.bus.lines[mid].loss = share,
            Action::Parts(a, b, known) => self.bus.cuts.push(Cut { between: [a, b], known }),
            Action::BusGone => {
                self.bus.gone += 1;
                (0..self.machines.len()).for_each(|mid| self.line_changed(mid));
            }
            Action::Doubles(share) => self.bus.doubles = share,
            Action::LateReplies(share) => self.bus.late_replies = share,
            Action::Kill(mid, again) => {
                if let Some(pid) = self.machines[mid].process {
                    self.end_process(pid);
                }
                if again {
                    self.later(lasts, Event::Start(mid));
                }
                lasts = if again { lasts + STARTS } else { Duration::from_secs(2) };
            }
            Action::Freeze(mid) => {
                if let Some(pid) = self.machines[mid].process {
                    self.freeze(pid);
                }
            }
            Action::Twin(mid) => {
                self.start(mid);
                lasts = lasts.max(STARTS);
            }
            Action::Drain(mid) => {
                if let Some(pid) = self.machines[mid].process {
                    self.drain(pid);
                }
                // Its successor starts once it is gone.
                lasts = lasts.max(Duration::from_secs(14));
            }
            Action::Worker(mid) => {
                if let Some(pid) = self.machines[mid].process.filter(|pid| !self.nodes[*pid].frozen) {
                    let rooms: Vec<_> = self.nodes[pid].rooms.keys().cloned().collect();
                    rooms.iter().for_each(|room| self.worker_dies(pid, room));
                }
                lasts = Duration::from_secs(1);
            }
            Action::Udp(from, to, both) => {
                self.bus.udp.push((from, to));
                if both {
                    self.bus.udp.push((to, from));
                }
            }
            Action::WrongAddress(mid) => {
                self.machines[mid].wrong_ip = Some("10.255.255.255".parse().unwrap());
            }
            Action::Clock(mid, skew) => self.machines[mid].skew = skew,
            Action::NoLog => self.log.away += 1,
            Action::NewLog => self.log.begin_anew(),
            _ => {}
        }
        self.later(lasts, Event::Heal(index));
    }

    pub fn heal(&mut self, index: usize) {
        let step = self.steps[index].clone();
        self.tell(|| format!("--- {:?} heals", step.action));
        match step.action {
            Action::Cut(mid) => {
                self.bus.lines[mid].cut -= 1;
                self.line_changed(mid);
            }
            Action::HalfOpen(mid) => {
                self.bus.lines[mid].deaf -= 1;
                self.bus.lines[mid].dumb -= 1;
                self.reconnects(mid);
            }
            Action::Deaf(mid) => {
                self.bus.lines[mid].deaf -= 1;
                self.reconnects(mid);
            }
            Action::Dumb(mid) => {
                self.bus.lines[mid].dumb -= 1;
                self.reconnects(mid);
            }
            Action::Slow(mid, by) => self.bus.lines[mid].slow -= by,
            Action::Loses(mid, _) => self.bus.lines[mid].loss = 0,
            Action::Parts(a, b, known) => {
                let cut = Cut { between: [a, b], known };
                if let Some(at) = self.bus.cuts.iter().position(|other| *other == cut) {
                    self.bus.cuts.swap_remove(at);
                }
            }
            Action::BusGone => {
                self.bus.gone -= 1;
                (0..self.machines.len()).for_each(|mid| self.line_changed(mid));
            }
            Action::Doubles(_) => self.bus.doubles = 0,
            Action::LateReplies(_) => self.bus.late_replies = 0,
            Action::Freeze(mid) => {
                if let Some(pid) = self.machines[mid].process {
                    self.thaw(pid);
                }
            }
            Action::Twin(mid) => self.twin_ends(mid),
            Action::Drain(mid) => self.later(Duration::ZERO, Event::Start(mid)),
            Action::Udp(from, to, both) => {
                self.packets_pass((from, to));
                if both {
                    self.packets_pass((to, from));
                }
            }
            Action::WrongAddress(mid) => self.machines[mid].wrong_ip = None,
            Action::NoLog => self.log.away -= 1,
            _ => {}
        }
        self.faults -= 1;
        // What it left may need a moment of its own: a reconnect, a start.
        let rests = match step.action {
            Action::Cut(_) | Action::BusGone => STEP * 2,
            Action::Drain(_) => STARTS,
            // A pipe that was opened just before is given up first, and its origin asked again after a while.
            Action::WrongAddress(_) => STEP * 4,
            _ => Duration::ZERO,
        };
        self.healed = self.healed.max(self.now + rests);
    }

    /// A connection that was dead may be found dead and made anew, or just go on.
    fn reconnects(&mut self, mid: Mid) {
        if self.bus.lines[mid].connected && self.dice.chance(50) {
            self.bus.lines[mid].connected = false;
            self.line_changed(mid);
        }
    }

    fn packets_pass(&mut self, way: (Mid, Mid)) {
        if let Some(at) = self.bus.udp.iter().position(|other| *other == way) {
            self.bus.udp.swap_remove(at);
        }
    }

    /// A second process of a name must have ended by itself, where it could hear the first.
    fn twin_ends(&mut self, mid: Mid) {
        if let Some(pid) = self.machines[mid].process {
            self.end_process(pid);
        }
    }

    /// What users do is no fault.
    fn users_do(&mut self, action: &Action) -> bool {
        match action {
            Action::Comes(client) => self.comes(*client),
            Action::Goes(client, politely) => self.goes(*client, *politely),
            Action::Mutes(client, muted) => {
                let now = self.now;
                let client = &mut self.clients[*client];
                (client.muted, client.sends_since) = (*muted, now);
            }
            Action::Pauses(client, paused) => {
                let (room, stream) =
                    (self.clients[*client].room.clone(), self.clients[*client].stream.clone());
                self.operator(&room, &stream, *paused);
            }
            Action::Codecs(client, codecs) => self.clients[*client].codecs.clone_from(codecs),
            _ => return false,
        }
        self.tell(|| format!("{action:?}"));
        true
    }
}
