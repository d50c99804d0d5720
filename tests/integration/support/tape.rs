//! A viewer that keeps each packet, and tells which pictures and sounds a decoder would have had, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fleet::http;

const VIDEO: u8 = 96;
const AUDIO: u8 = 111;

/// A viewer of Opus and VP8.
#[derive(Debug)]
pub(crate) struct Tape {
    recorded: watch::Receiver<Vec<Packet>>,
    _task: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
struct Packet {
    at: Instant,
    payload_type: u8,
    ssrc: u32,
    number: u16,
    time: u32,
    marker: bool,
    /// Whether a key frame begins with it.
    key: bool,
}

/// When what was stamped so was whole, and could be decoded.
pub(crate) type Played = BTreeMap<u32, Instant>;

impl Tape {
    pub(crate) async fn watch(url: &str) -> Self {
        let mut extensions = ExtensionMap::empty();
        extensions.set(1, Extension::RtpMid);
        let mut config = Rtc::builder().clear_codecs().set_extension_map(extensions).set_rtp_mode(true);
        config.codec_config().enable_opus(true, false);
        config.codec_config().enable_vp8(true);
        let mut rtc = config.build(Instant::now());
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = udp.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        let request = http().post(url).header("content-type", "application/sdp").body(offer.to_sdp_string());
        let answer = request.send().await.unwrap().text().await.unwrap();
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
        let (sender, recorded) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(run(rtc, udp, local, sender));
        Self { recorded, _task: task }
    }

    /// How many streams (SSRCs) of video and of audio there were.
    pub(crate) fn streams(&self) -> (usize, usize) {
        let recorded = self.recorded.borrow();
        let of = |kind| {
            let packets = recorded.iter().filter(|packet: &&Packet| packet.payload_type == kind);
            packets.map(|packet| packet.ssrc).collect::<BTreeSet<_>>().len()
        };
        (of(VIDEO), of(AUDIO))
    }

    /// The pictures that a decoder had.
    pub(crate) fn pictures(&self) -> Played {
        self.played(VIDEO)
    }

    /// The sounds that a decoder had.
    pub(crate) fn sounds(&self) -> Played {
        self.played(AUDIO)
    }

    fn played(&self, kind: u8) -> Played {
        let mut streams = BTreeMap::<u32, Vec<Packet>>::new();
        for packet in self.recorded.borrow().iter().filter(|packet| packet.payload_type == kind) {
            streams.entry(packet.ssrc).or_default().push(*packet);
        }
        let mut played = Played::new();
        for packets in streams.values_mut() {
            for (time, at) in decoded(packets, kind == VIDEO) {
                let first = played.entry(time).or_insert(at);
                *first = at.min(*first);
            }
        }
        played
    }
}

/// What can be decoded of one stream: of video, from a key frame on as long as nothing is missing.
fn decoded(packets: &mut [Packet], video: bool) -> Vec<(u32, Instant)> {
    let origin = packets.first().map_or(0, |packet| packet.number);
    packets.sort_by_key(|packet| packet.number.wrapping_sub(origin) as i16);
    let mut decoded = Vec::new();
    let (mut whole, mut last) = (!video, None::<Packet>);
    for picture in packets.chunk_by(|a, b| a.time == b.time) {
        let follows = |a: &Packet, b: &Packet| b.number == a.number.wrapping_add(1);
        let (first, end) = (picture[0], picture[picture.len() - 1]);
        let complete = picture.windows(2).all(|pair| follows(&pair[0], &pair[1])) && (end.marker || !video);
        whole =
            !video || complete && (first.key || (whole && last.is_some_and(|last| follows(&last, &first))));
        if whole && complete {
            decoded.push((first.time, picture.iter().map(|packet| packet.at).max().unwrap()));
        }
        last = Some(end);
    }
    decoded
}

/// What should have come from `from` on, each `step` of the clock, and didn't.
pub(crate) fn missing(played: &Played, step: u32) -> Vec<u32> {
    let times: Vec<_> = played.keys().copied().collect();
    let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > step);
    gaps.flat_map(|pair| (pair[0] + step..pair[1]).step_by(step as usize)).collect()
}

/// The longest time between two pictures or sounds, in the order in which they came.
pub(crate) fn longest_gap(played: &Played) -> Duration {
    let mut at: Vec<_> = played.values().copied().collect();
    at.sort_unstable();
    at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// How much later than at the other viewer anything came.
pub(crate) fn longest_delay(played: &Played, other: &Played) -> Duration {
    let both = played.iter().filter_map(|(time, at)| Some((at, other.get(time)?)));
    both.map(|(here, there)| here.saturating_duration_since(*there)).max().unwrap_or_default()
}

async fn run(mut rtc: Rtc, udp: UdpSocket, local: SocketAddr, recorded: watch::Sender<Vec<Packet>>) {
    let mut buffer = vec![0; 2048];
    let mut arrived = Instant::now();
    rtc.handle_input(Input::Timeout(arrived)).unwrap();
    loop {
        let timeout = loop {
            match rtc.poll_output() {
                Ok(Output::Timeout(at)) => break at.max(Instant::now() + Duration::from_millis(1)),
                Ok(Output::Transmit(datagram)) => {
                    let _ = udp.try_send_to(&datagram.contents, datagram.destination);
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let header = &packet.header;
                    let packet = Packet {
                        at: arrived,
                        payload_type: *header.payload_type,
                        ssrc: *header.ssrc,
                        number: header.sequence_number,
                        time: header.timestamp,
                        marker: header.marker,
                        key: *header.payload_type == VIDEO && begins_key_frame(&packet.payload),
                    };
                    recorded.send_modify(|recorded| recorded.push(packet));
                }
                Ok(Output::Event(_)) => {}
                Err(_) => return,
            }
        };
        tokio::select! {
            received = udp.recv_from(&mut buffer) => {
                let Ok((bytes, source)) = received else { continue };
                arrived = Instant::now();
                let Ok(received) = Receive::new(Protocol::Udp, source, local, &buffer[..bytes]) else { continue };
                let _ = rtc.handle_input(Input::Receive(arrived, received));
            }
            () = tokio::time::sleep_until(timeout.into()) => {
                let _ = rtc.handle_input(Input::Timeout(Instant::now()));
            }
        }
    }
}

/// RFC 7741 section 4.2: the payload descriptor, then of a frame's first packet the frame's own header.
fn begins_key_frame(payload: &[u8]) -> bool {
    let extended = payload[0] & 0x80 != 0;
    let mut length = 1;
    if extended {
        let (picture, index, layers) = (payload[1] & 0x80, payload[1] & 0x40, payload[1] & 0x30);
        length += 1;
        if picture != 0 {
            length += if payload[length] & 0x80 != 0 { 2 } else { 1 };
        }
        length += usize::from(index != 0) + usize::from(layers != 0);
    }
    payload[0] & 0x1f == 0x10 && payload.get(length).is_some_and(|first| first & 1 == 0)
}
