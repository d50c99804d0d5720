//! How media flows: from publishers through pipes to viewers, while every link on the way is up. Reports come
//! back on the same way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use headwater::protocol::data::ProducerKind;
use headwater::protocol::ids::{PipeId, ProducerId, RoomId};
use headwater::protocol::media::PipeEnd;
use headwater::protocol::rtp::{SrtpCryptoSuite, SrtpParameters};

use crate::media::Codec;
use crate::room::Room;
use crate::world::{At, Mid, Pid, World};

/// What a publisher sends at most, each on its own.
const MEDIA: usize = 3;
/// How often the receiving end of a pipe reports: with video among what it gets, and without.
const REPORTS: (Duration, Duration) = (Duration::from_millis(1_000), Duration::from_millis(5_000));
/// Bytes of a report.
const REPORT: u64 = 60;
/// A gap that is longer than this is one; and how long media flows until it was measured.
const FLOWS: At = At::from_millis(600);
const SEEN: At = At::from_millis(1_250);

/// When media last arrived, or would have if its publisher weren't muted or paused, and since when so without a gap.
#[derive(Debug, Default, Clone, Copy)]
pub struct Flow {
    since: At,
    last: At,
    /// The same of bytes.
    heard_since: At,
    heard: At,
}

/// Whether messages can pass a pipe.
#[derive(Debug, Default, Clone, Copy)]
pub struct Association {
    /// When packets could last pass both ways.
    passed: Option<At>,
    /// It was given up.
    over: bool,
}

impl Association {
    /// How long a worker waits for an answer of the other end.
    const PATIENCE: At = At::from_secs(20);

    /// Packets can pass both ways now, or can't.
    pub fn tries(&mut self, passes: bool, now: At) {
        self.over |= self.passed.is_some_and(|at| now - at > Self::PATIENCE);
        if passes && !self.over {
            self.passed = Some(now);
        }
    }

    /// Whether there is one, as far as this end knows.
    pub fn is_there(&self) -> bool {
        self.passed.is_some() && !self.over
    }

    /// Whether a message passes now.
    pub fn passes(&self, now: At) -> bool {
        !self.over && self.passed == Some(now)
    }
}

/// What flows in a step.
#[derive(Debug, Clone, Copy)]
struct Packets {
    producer: ProducerId,
    codec: Codec,
    /// None of a publisher that is muted or paused: the way is tried all the same.
    size: u64,
}

/// Where packets come from.
struct Sender {
    mid: Mid,
    address: (IpAddr, u16),
    told: IpAddr,
    /// Of each medium that is sent.
    ssrcs: [Option<u32>; MEDIA],
}

impl Flow {
    fn note(&mut self, now: At, packets: Packets) {
        if now.saturating_sub(self.last) > FLOWS {
            self.since = now;
        }
        self.last = now;
        if packets.size > 0 {
            if now.saturating_sub(self.heard) > FLOWS {
                self.heard_since = now;
            }
            self.heard = now;
        }
    }

    /// Whether bytes have arrived for so long, rather than nothing because of a muted publisher.
    pub fn is_heard(&self, now: At) -> bool {
        now.saturating_sub(self.heard) <= FLOWS && self.heard.saturating_sub(self.heard_since) >= SEEN
    }

    /// Whether media has flowed until now for so long that everybody must have seen it.
    pub fn is_steady(&self, now: At) -> bool {
        now.saturating_sub(self.last) <= FLOWS && self.last.saturating_sub(self.since) >= SEEN
    }
}

/// Bytes of the checks and reports that come from whoever lives, whether it is muted or not.
pub const CHECK: u64 = 20;

impl World {
    /// A pipe end of its own port; others are told where it is, which may be wrong.
    pub fn pipe_end(&mut self, mid: Mid, pid: Pid, id: &RoomId, room: &Room, pipe: PipeId) -> PipeEnd {
        let known = room.media.inlets.get(&pipe).map(|inlet| inlet.end.clone());
        if let Some(end) = known {
            return end;
        }
        let machine = &mut self.machines[mid];
        machine.next_port = machine.next_port.checked_add(1).unwrap_or(40_000);
        let (ip, port) = (machine.ip, machine.next_port);
        let told = machine.wrong_ip.unwrap_or(ip);
        self.bus.ports.insert((ip, port), (pid, id.clone(), pipe));
        let srtp =
            Some(SrtpParameters { crypto_suite: SrtpCryptoSuite::AeadAes256Gcm, key_base64: String::new() });
        PipeEnd { ip: told, port, srtp }
    }

    /// The ends of pipes try to reach each other, whether anything is sent or not.
    fn associate(&mut self) {
        let now = self.now;
        let mut reached = BTreeSet::new();
        for node in self.nodes.iter().filter(|node| node.alive && !node.frozen) {
            for room in node.rooms.values().flatten().filter(|room| !room.media.dead) {
                for outlet in room.media.outlets.values() {
                    let Some(to) = outlet.to else { continue };
                    let from = Sender {
                        mid: node.mid,
                        address: (self.machines[node.mid].ip, outlet.end.port),
                        told: outlet.end.ip,
                        ssrcs: [None; MEDIA],
                    };
                    reached
                        .extend(self.reaches(to, &from).filter(|(_, returns)| *returns).map(|(end, _)| end));
                }
            }
        }
        for (pid, node) in self.nodes.iter_mut().enumerate() {
            for (id, room) in &mut node.rooms {
                for (pipe, inlet) in room.iter_mut().flat_map(|room| &mut room.media.inlets) {
                    inlet.association.tries(reached.contains(&(pid, id.clone(), *pipe)), now);
                }
            }
        }
    }

    /// The end of a pipe that takes what is sent to it from there, and whether what it says comes back.
    fn reaches(&self, to: (IpAddr, u16), from: &Sender) -> Option<((Pid, RoomId, PipeId), bool)> {
        let (pid, id, pipe) = self.bus.ports.get(&to).cloned()?;
        let node = &self.nodes[pid];
        let (goes, returns) = (self.udp(from.mid, node.mid), self.udp(node.mid, from.mid));
        if !node.alive || node.frozen || !goes {
            return None;
        }
        let room = node.rooms.get(&id)?.as_ref().filter(|room| !room.media.dead)?;
        let inlet = room.media.inlets.get(&pipe)?;
        // A connected pipe takes packets from its other end's address alone.
        let expected = inlet.from == Some((from.told, from.address.1)) && from.told == from.address.0;
        (inlet.end.port == to.1 && expected).then_some(((pid, id, pipe), returns))
    }

    /// Media moves by one step.
    pub fn flow(&mut self) {
        self.associate();
        let mut begins = Vec::new();
        for pid in 0..self.nodes.len() {
            let node = &mut self.nodes[pid];
            if !node.alive || node.frozen {
                continue;
            }
            for (id, place) in &mut node.rooms {
                let Some(room) = place else { continue };
                room.media.still();
                if room.media.dead {
                    continue;
                }
                for (session, viewer) in &mut room.media.viewers {
                    if self.clients[viewer.client].has(*session) {
                        viewer.received += CHECK;
                    }
                }
                for (session, uplink) in &mut room.media.uplinks {
                    let client = &self.clients[uplink.client];
                    // A client that came back sends on its new session alone.
                    if !client.has(*session) {
                        continue;
                    }
                    uplink.received += CHECK;
                    if uplink.up != Some(true) || !client.is_up() {
                        continue;
                    }
                    let mut sent = Vec::with_capacity(MEDIA);
                    for own in &mut uplink.producers {
                        let size = if client.muted { 0 } else { own.codec.size() };
                        own.bytes += size;
                        uplink.bytes += size;
                        uplink.bitrate += size * 8 * 4;
                        let size = if own.paused { 0 } else { size };
                        sent.push(Packets { producer: own.id, codec: own.codec, size });
                    }
                    begins.push((pid, id.clone(), sent));
                }
            }
        }
        for (pid, room, packets) in begins {
            self.pour(pid, room, &packets);
        }
    }

    /// The media of a publisher goes on from a node to its viewers and down its pipes.
    fn pour(&mut self, pid: Pid, room: RoomId, packets: &[Packets]) {
        let mut next = vec![(pid, room, [true; MEDIA])];
        let mut steps = 0;
        while let Some((pid, id, comes)) = next.pop() {
            steps += 1;
            if steps > 1_000 + self.nodes.len() {
                return self.breaks("bounded", "media goes round in circles");
            }
            let now = self.now;
            let node = &mut self.nodes[pid];
            let mid = node.mid;
            let Some(Some(room)) = node.rooms.get_mut(&id) else { continue };
            if !node.alive || node.frozen || room.media.dead {
                continue;
            }
            let coming = || packets.iter().zip(comes).enumerate().filter(|(_, (_, comes))| *comes);
            let coming = || coming().map(|(place, (packets, _))| (place, packets));
            for viewer in room.media.viewers.values_mut().filter(|viewer| viewer.up == Some(true)) {
                for (_, Packets { producer, codec, size }) in coming().filter(|(_, own)| own.size > 0) {
                    if viewer.shows.get(codec.kind()) == Some(producer) {
                        viewer.bytes += size;
                        self.clients[viewer.client].gets(codec.kind(), *producer, now);
                    }
                }
            }
            for receiver in room.media.receivers.values() {
                let heard = |own: &&Packets| own.size > 0 || own.codec == Codec::Messages;
                for Packets { producer, codec, .. } in coming().map(|(_, own)| own).filter(heard) {
                    if receiver.consumers.values().any(|of| of == producer) {
                        self.clients[receiver.client].gets(codec.kind(), *producer, now);
                    }
                }
            }
            let mut sent = Vec::new();
            for (pipe, outlet) in &mut room.media.outlets {
                let Some(to) = outlet.to else { continue };
                let mut ssrcs = [None; MEDIA];
                for (place, Packets { producer, size, .. }) in coming() {
                    let Some(ssrc) = outlet.sends.get(producer) else { continue };
                    ssrcs[place] = Some(*ssrc);
                    outlet.bytes += size;
                    outlet.bitrate += size * 8 * 4;
                }
                let address = (self.machines[mid].ip, outlet.end.port);
                if ssrcs.iter().any(Option::is_some) {
                    sent.push((*pipe, to, Sender { mid, address, told: outlet.end.ip, ssrcs }));
                }
            }
            for (pipe, to, from) in sent {
                let Some((pid2, id2, goes_on, reports)) = self.arrive(to, &from, packets) else { continue };
                let outlet = self.nodes[pid].rooms.get_mut(&id).and_then(Option::as_mut);
                if let Some(outlet) = outlet.and_then(|room| room.media.outlets.get_mut(&pipe)) {
                    for (packets, _) in packets.iter().zip(from.ssrcs).filter(|(_, ssrc)| ssrc.is_some()) {
                        outlet.arrived.entry(packets.producer).or_default().note(now, *packets);
                    }
                    if reports {
                        outlet.reports += REPORT;
                        outlet.reported = now;
                    }
                }
                if goes_on.contains(&true) {
                    next.push((pid2, id2, goes_on));
                }
            }
        }
    }

    /// Media arrives at the other end of a pipe, if it does: the process, the room, what of it goes on there, and
    /// whether a report comes back.
    fn arrive(
        &mut self,
        to: (IpAddr, u16),
        from: &Sender,
        packets: &[Packets],
    ) -> Option<(Pid, RoomId, [bool; MEDIA], bool)> {
        let ((pid, id, pipe), returns) = self.reaches(to, from)?;
        let now = self.now;
        let room = self.nodes[pid].rooms.get_mut(&id)?.as_mut()?;
        let inlet = room.media.inlets.get_mut(&pipe)?;
        let (mut goes_on, mut reports) = ([false; MEDIA], false);
        for (place, (packets, ssrc)) in packets.iter().zip(from.ssrcs).enumerate() {
            let Some(ssrc) = ssrc else { continue };
            if packets.codec == Codec::Messages && !inlet.association.passes(now) {
                continue;
            }
            inlet.bytes += packets.size;
            inlet.bitrate += packets.size * 8 * 4;
            if now >= inlet.report_at && packets.size > 0 {
                let has_video =
                    inlet.producers.values().any(|other| other.codec.kind() == ProducerKind::Video);
                inlet.report_at = now + if has_video { REPORTS.0 } else { REPORTS.1 };
                reports = returns;
            }
            let received = inlet.producers.get_mut(&packets.producer);
            if let Some(received) = received.filter(|received| received.ssrc == ssrc) {
                received.bytes += packets.size;
                received.arrived.note(now, *packets);
                let is_shown = room.media.current.get(&packets.producer) == Some(&pipe);
                goes_on[place] = is_shown && (packets.size == 0 || !received.paused);
            }
        }
        Some((pid, id, goes_on, reports))
    }

    /// Whether packets pass from one machine to another.
    fn udp(&self, from: Mid, to: Mid) -> bool {
        !self.bus.udp.contains(&(from, to))
    }
}
