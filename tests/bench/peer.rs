//! A publisher or viewer on a thread of its own, whose packets carry the time at which they were sent.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Client;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::post::{post, session};

/// Between two packets.
pub(crate) const SPACING: Duration = Duration::from_millis(1);
/// Of the 48 kHz clock, in that time.
const TICKS: u32 = 48;
/// Bytes of payload: as much as a packet of video.
pub(crate) const PAYLOAD: usize = 1000;
/// The send time, at the head of a payload.
const STAMP: usize = 8;
/// How long a viewer without packets waits before it looks at its other duties.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a peer's thread shares with the benchmark.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Packets received so far.
    pub(crate) packets: AtomicUsize,
    /// Set to end the thread.
    pub(crate) stop: AtomicBool,
}

/// A negotiated connection that is not up yet.
pub(crate) struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    connected: bool,
    /// How far from the origin the server is.
    pub(crate) hops: usize,
    /// Where the session ends with a DELETE.
    pub(crate) session: String,
    pub(crate) shared: Arc<Shared>,
}

impl Peer {
    /// Offers one audio stream to `url`; audio, because a server paces and thins out none of it.
    pub(crate) async fn negotiate(http: &Client, url: &str, direction: Direction) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let local = socket.local_addr().expect("its address");
        // Numbered as the server does: it leaves out others, and then no packet finds its stream.
        let mut extensions = ExtensionMap::empty();
        extensions.set(1, Extension::RtpMid);
        let config = Rtc::builder().set_rtp_mode(true).clear_codecs();
        let config = config.enable_opus(true, false).set_extension_map(extensions);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("a candidate"));
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, direction, None, None, None);
        let (offer, pending) = changes.apply().expect("an offer");
        let (_, response) = post(http, url, &offer.to_sdp_string()).await;
        let session = session(&response);
        let hops = response.headers().get("headwater-hops");
        let hops = hops.and_then(|hops| hops.to_str().ok()?.parse().ok()).expect("hops");
        let answer = response.text().await.expect("an answer");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer that can be read");
        rtc.sdp_api().accept_answer(pending, answer).expect("an answer that fits");
        let shared = Arc::new(Shared::default());
        Self { rtc, socket, local, mid, connected: false, hops, session, shared }
    }

    /// Sends a packet every [`SPACING`] from when it is connected until it is stopped.
    pub(crate) fn send(mut self, epoch: Instant) {
        self.socket.set_nonblocking(true).expect("a socket that doesn't block");
        let pt = self.rtc.media(self.mid).expect("the stream").remote_pts()[0];
        let mut buffer = [0; 2048];
        let mut due = Instant::now();
        let mut number: u64 = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
                self.take(&buffer[..length], source);
            }
            self.rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes");
            self.drain(|_| {});
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += SPACING;
            if !self.connected {
                continue;
            }
            let mut payload = [0; PAYLOAD];
            let sent = u64::try_from(epoch.elapsed().as_nanos()).expect("a short run");
            payload[..STAMP].copy_from_slice(&sent.to_be_bytes());
            let time = (number as u32).wrapping_mul(TICKS);
            let packet = RtpWrite::new(pt, number.into(), time, Instant::now(), payload);
            let mut api = self.rtc.direct_api();
            api.stream_tx_by_mid(self.mid, None).expect("the stream").write_rtp(packet);
            self.rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes");
            self.drain(|_| {});
            number += 1;
        }
    }

    /// Receives until it is stopped; answers how long each packet took, from before the publisher
    /// encrypted it to the viewer's socket.
    pub(crate) fn receive(mut self, epoch: Instant) -> Vec<Duration> {
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut buffer = [0; 2048];
        let mut latencies = Vec::new();
        while !self.shared.stop.load(Ordering::Relaxed) {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => self.take(&buffer[..length], source),
                Err(_) => self.rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes"),
            }
            self.drain(|packet| latencies.extend(latency(&packet, epoch)));
            self.shared.packets.store(latencies.len(), Ordering::Relaxed);
        }
        latencies
    }

    fn take(&mut self, datagram: &[u8], source: SocketAddr) {
        let at = Instant::now();
        if let Ok(received) = Receive::new(Protocol::Udp, source, self.local, datagram) {
            self.rtc.handle_input(Input::Receive(at, received)).expect("a datagram is taken");
        }
    }

    fn drain(&mut self, mut got: impl FnMut(RtpPacket)) {
        loop {
            match self.rtc.poll_output().expect("the connection lives") {
                Output::Timeout(_) => return,
                Output::Transmit(datagram) => {
                    // What the socket doesn't take is lost, as with any UDP.
                    let _ = self.socket.send_to(&datagram.contents, datagram.destination);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => got(packet),
                Output::Event(_) => {}
            }
        }
    }
}

/// Reads the stamp; `None` where the packet is only padding.
fn latency(packet: &RtpPacket, epoch: Instant) -> Option<Duration> {
    let sent = Duration::from_nanos(u64::from_be_bytes(*packet.payload.first_chunk()?));
    Some(packet.timestamp.saturating_duration_since(epoch).saturating_sub(sent))
}
