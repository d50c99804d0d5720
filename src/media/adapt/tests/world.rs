//! A link with a queue, a viewer behind it and a publisher in front of it, in virtual time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::media::adapt::controller::{Controller, Direction, Observation, Switch};
use crate::media::adapt::ladder::Rate;
use crate::media::adapt::link::Counters;
use crate::media::adapt::{CALM, RESTLESS};
use crate::protocol::media::Layers;

/// Chance that its seed decides (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub(super) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn within(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.part()
    }
}

/// What a link is like; bits per second, seconds.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) capacity: f64,
    /// The most that waits, in seconds at the capacity.
    pub(super) queue: f64,
    /// One way, without a queue.
    pub(super) delay: f64,
    /// What is lost whatever is sent.
    pub(super) loss: f64,
    /// How often the viewer reports.
    pub(super) reports: f64,
    /// Whether the viewer asks for what is lost, and gets it.
    pub(super) nack: bool,
    /// Whether reports tell a round trip.
    pub(super) round_trip: bool,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    bytes: f64,
    sent: f64,
    frame: u64,
    repeated: u8,
}

/// What happened in a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Second {
    /// Packets sent and lost.
    pub(super) sent: f64,
    pub(super) lost: f64,
    /// Bits per second of the layers that were wanted at its end.
    pub(super) wanted: f64,
    pub(super) layers: Option<Layers>,
    pub(super) trying: bool,
    pub(super) switches: usize,
    pub(super) downs: usize,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) link: Link,
    /// Bits per second of each picture in full; 0 is off.
    pub(super) pictures: Vec<f64>,
    pub(super) temporal: bool,
    pub(super) controller: Controller,
    pub(super) now: f64,
    pub(super) muted: bool,
    dice: Dice,
    start: Instant,
    look: f64,
    /// What is sent, and what will be when its key frame has come.
    sent: Option<Layers>,
    awaited: Option<(f64, Layers)>,
    frame: u64,
    /// The last key frame: with it nobody asks for anything before it.
    key_frame: u64,
    frames_at: f64,
    queue: VecDeque<Packet>,
    queued: f64,
    /// Losses that the viewer will ask for.
    asked: VecDeque<(f64, Packet)>,
    counters: Counters,
    /// Since the last report.
    interval: (f64, f64),
    reported_at: f64,
    /// Reports on their way.
    reports: VecDeque<(f64, f64, f64, Option<f64>, f64)>,
    jitter: f64,
    arrival: Option<(f64, f64, u64)>,
    pub(super) second: Second,
}

const TICK: f64 = 0.01;
const SIZE: f64 = 1_100.0;

impl World {
    pub(super) fn new(seed: u64, link: Link, pictures: &[f64], temporal: bool) -> Self {
        Self {
            link,
            pictures: pictures.to_vec(),
            temporal,
            controller: Controller::new(1e6),
            now: 0.0,
            muted: false,
            dice: Dice(seed),
            start: Instant::now(),
            look: 0.0,
            sent: None,
            awaited: None,
            frame: 0,
            key_frame: 0,
            frames_at: 0.0,
            queue: VecDeque::new(),
            queued: 0.0,
            asked: VecDeque::new(),
            counters: Counters::default(),
            interval: (0.0, 0.0),
            reported_at: 0.0,
            reports: VecDeque::new(),
            jitter: 0.0,
            arrival: None,
            second: Second::default(),
        }
    }

    pub(super) fn rates(&self) -> Vec<Rate> {
        let parts: &[f64] = if self.temporal { &[0.45, 0.65, 1.0] } else { &[1.0] };
        let pictures = self.pictures.iter().enumerate().filter(|(_, full)| **full > 0.0);
        let of = |(spatial, full): (usize, &f64)| {
            let full = *full;
            parts.iter().enumerate().map(move |(temporal, part)| Rate {
                layers: Layers { spatial: spatial as u8, temporal: temporal as u8 },
                bitrate: (full * part) as u64,
            })
        };
        pictures.flat_map(of).collect()
    }

    fn rate(&self, layers: Layers) -> f64 {
        let rates = self.rates();
        rates.iter().find(|rate| rate.layers == layers).map_or(0.0, |rate| rate.bitrate as f64)
    }

    /// Lets so many seconds pass; what happened in each.
    pub(super) fn run(&mut self, seconds: u32) -> Vec<Second> {
        let mut all = Vec::new();
        for _ in 0..seconds {
            self.second = Second::default();
            for _ in 0..(1.0 / TICK) as u32 {
                self.tick();
            }
            let state = self.controller.state().0;
            self.second.layers = self.controller.wanted();
            self.second.trying = state == crate::protocol::media::AdaptState::Trying;
            self.second.wanted = self.second.layers.map_or(0.0, |layers| self.rate(layers));
            all.push(self.second);
        }
        all
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.send();
        self.deliver();
        self.report();
        if self.now >= self.look {
            self.observe();
        }
    }

    fn send(&mut self) {
        if let Some((at, layers)) = self.awaited
            && self.now >= at
            && self.rate(layers) > 0.0
        {
            (self.sent, self.awaited) = (Some(layers), None);
            self.frame += 1;
            self.key_frame = self.frame;
            // A key frame is several times as big.
            self.emit(self.rate(layers) / 30.0 / 8.0 * 6.0);
        }
        if self.now < self.frames_at || self.muted {
            return;
        }
        self.frames_at = (self.frames_at + 1.0 / 30.0).max(self.now);
        let Some(layers) = self.sent else { return };
        self.frame += 1;
        let bytes = self.rate(layers) / 30.0 / 8.0 * self.dice.within(0.5, 1.5);
        self.emit(bytes);
        // The sound goes the same way.
        self.enqueue(Packet { bytes: 160.0 * 50.0 / 30.0, sent: self.now, frame: 0, repeated: 9 });
    }

    fn emit(&mut self, mut bytes: f64) {
        while bytes > 0.0 {
            let packet =
                Packet { bytes: bytes.min(SIZE) + 60.0, sent: self.now, frame: self.frame, repeated: 0 };
            bytes -= SIZE;
            self.counters.packets += 1;
            self.counters.bytes += packet.bytes as u64;
            self.second.sent += 1.0;
            self.interval.0 += 1.0;
            self.enqueue(packet);
        }
    }

    fn enqueue(&mut self, packet: Packet) {
        let full = (self.queued + packet.bytes) * 8.0 > self.link.capacity * self.link.queue;
        let lost = full || self.dice.part() < self.link.loss;
        if !lost {
            self.queued += packet.bytes;
            self.queue.push_back(packet);
        } else if packet.frame > 0 {
            if packet.repeated == 0 {
                self.second.lost += 1.0;
                self.interval.1 += 1.0;
            }
            if self.link.nack && packet.repeated < 5 {
                self.asked.push_back((self.now + self.link.delay * 2.0 + 0.03, packet));
            }
        }
    }

    fn deliver(&mut self) {
        while self.asked.front().is_some_and(|(at, _)| self.now >= *at) {
            let Some((_, packet)) = self.asked.pop_front() else { break };
            self.counters.nacked += 1;
            self.enqueue(Packet { repeated: packet.repeated + 1, ..packet });
        }
        let mut budget = self.link.capacity / 8.0 * TICK;
        while let Some(packet) = self.queue.front_mut() {
            if packet.bytes > budget {
                packet.bytes -= budget;
                self.queued -= budget;
                break;
            }
            budget -= packet.bytes;
            let part = 1.0 - budget / (self.link.capacity / 8.0 * TICK);
            self.queued -= packet.bytes;
            let packet = *packet;
            self.queue.pop_front();
            self.arrive(packet, self.now + self.link.delay + TICK * part);
        }
    }

    /// RFC 3550 section 6.4.1, by the first packets of frames as browsers do.
    fn arrive(&mut self, packet: Packet, at: f64) {
        if packet.frame == self.key_frame {
            self.asked.retain(|(_, asked)| asked.frame >= packet.frame);
        }
        if packet.frame == 0 || packet.repeated > 0 {
            return;
        }
        if let Some((sent, arrived, frame)) = self.arrival {
            if frame == packet.frame {
                return;
            }
            let late = ((at - arrived) - (packet.sent - sent)).abs();
            self.jitter += (late - self.jitter) / 16.0;
        }
        self.arrival = Some((packet.sent, at, packet.frame));
    }

    fn report(&mut self) {
        if self.now >= self.reported_at && self.counters.packets > 0 {
            let (expected, lost) = std::mem::take(&mut self.interval);
            let fraction = if expected > 0.0 { lost / expected } else { 0.0 };
            let queue = self.queued * 8.0 / self.link.capacity;
            let trip = self.link.round_trip.then_some(self.link.delay * 2.0 + queue);
            self.reports.push_back((self.now + self.link.delay, fraction, lost, trip, self.jitter));
            self.reported_at = self.now + self.link.reports * self.dice.within(0.5, 1.5);
        }
        while self.reports.front().is_some_and(|report| self.now >= report.0) {
            let Some((_, fraction, lost, trip, jitter)) = self.reports.pop_front() else { break };
            self.counters.fraction = fraction;
            self.counters.lost += lost as i64;
            self.counters.round_trip = trip.map(Duration::from_secs_f64);
            self.counters.jitter = Duration::from_secs_f64(jitter);
        }
    }

    fn observe(&mut self) {
        let looks = (self.now / RESTLESS.as_secs_f64()).round() as u64;
        let rates = if self.muted { Vec::new() } else { self.rates() };
        let seen = Observation {
            rates: &rates,
            sent: self.sent,
            counters: self.counters,
            may_try: looks.is_multiple_of(8),
        };
        let now = self.start + Duration::from_secs_f64(self.now);
        let switch = self.controller.observe(&seen, now);
        let next = if self.controller.is_restless() { RESTLESS } else { CALM };
        self.look =
            ((self.now + next.as_secs_f64()) / RESTLESS.as_secs_f64()).floor() * RESTLESS.as_secs_f64();
        if let Some(switch @ Switch { to, direction }) = switch {
            self.second.switches += 1;
            self.second.downs += usize::from(direction == Direction::Down);
            if self.sent.is_some_and(|sent| sent.spatial == to.spatial) {
                (self.sent, self.awaited) = (Some(to), None);
            } else {
                if switch.is_relief() {
                    // Nothing more of it is sent, nor repeated.
                    self.sent = None;
                    self.asked.clear();
                }
                let wait = self.dice.within(0.05, 0.6) + self.link.delay;
                self.awaited = Some((self.now + wait, to));
            }
        }
    }
}
