//! A publisher or viewer that sends what a test says, packet by packet: no checks, no reports, no key frames.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::SdpAnswer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, Ssrc};
use str0m::{Candidate, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fleet::http;

/// What is sent; it may change at any moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Pictures, 25 a second.
    pub(crate) video: bool,
    /// A key frame after so many pictures, and on request; none where never.
    pub(crate) key_frames: Option<u64>,
    /// Whether each third picture is to be shown before its predecessor.
    pub(crate) b_frames: bool,
    /// Whether the video goes by another SSRC than at first.
    pub(crate) other_ssrc: bool,
    /// ICE checks, once connected.
    pub(crate) checks: bool,
    /// RTCP.
    pub(crate) reports: bool,
    /// Packets for each picture.
    pub(crate) packets: u64,
}

/// What has come back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) connected: bool,
    /// RTP packets received.
    pub(crate) packets: u64,
    /// DTLS alerts received, once connected: the other end says farewell.
    pub(crate) alerts: u64,
    /// Packets of media sent.
    pub(crate) sent: u64,
}

/// A publisher or viewer; silent for good once dropped.
#[derive(Debug)]
pub(crate) struct Raw {
    script: watch::Sender<Script>,
    pub(crate) heard: watch::Receiver<Heard>,
    /// The address of its session.
    pub(crate) session: String,
    _task: JoinSet<()>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            video: true,
            key_frames: Some(25),
            b_frames: false,
            other_ssrc: false,
            checks: true,
            reports: true,
            packets: 1,
        }
    }
}

impl Raw {
    pub(crate) async fn publish(url: &str, codec: Codec, script: Script) -> Self {
        Self::start(url, codec, Direction::SendOnly, script, |offer| offer).await
    }

    /// As [`Raw::publish`], with an offer that is changed before it is sent.
    pub(crate) async fn publish_with(
        url: &str,
        codec: Codec,
        script: Script,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        Self::start(url, codec, Direction::SendOnly, script, change).await
    }

    pub(crate) async fn watch(url: &str, script: Script) -> Self {
        Self::start(url, Codec::Vp8, Direction::RecvOnly, script, |offer| offer).await
    }

    async fn start(
        url: &str,
        codec: Codec,
        direction: Direction,
        script: Script,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let mut config = Rtc::builder().clear_codecs().set_rtp_mode(true);
        match codec {
            Codec::H264 => config.codec_config().add_h264(
                Pt::new_with_value(102),
                Some(Pt::new_with_value(103)),
                true,
                0x42e01f,
            ),
            _ => config.codec_config().enable_vp8(true),
        }
        // It goes on whatever becomes of its own checks.
        config.set_max_stun_retransmits(10_000);
        let mut rtc = config.build(Instant::now());
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = udp.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        let offer = change(offer.to_sdp_string());
        let request = http().post(url).header("content-type", "application/sdp").body(offer);
        let response = request.send().await.unwrap();
        let status = response.status();
        let session = response.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        let answer = response.text().await.unwrap();
        assert_eq!(status, 201, "{answer}");
        let base: reqwest::Url = url.parse().unwrap();
        let session = base.join(&session.unwrap()).unwrap().to_string();
        rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();
        let (script, scripts) = watch::channel(script);
        let (told, heard) = watch::channel(Heard::default());
        let mut task = JoinSet::new();
        let connection = Connection { rtc, udp, local, mid, scripts, told, heard: Heard::default() };
        task.spawn(connection.run(codec, direction == Direction::SendOnly));
        Self { script, heard, session, _task: task }
    }

    /// Goes on in another way.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        self.script.send_modify(change);
    }

    pub(crate) fn heard(&self) -> Heard {
        *self.heard.borrow()
    }
}

struct Connection {
    rtc: Rtc,
    udp: UdpSocket,
    local: SocketAddr,
    mid: Mid,
    scripts: watch::Receiver<Script>,
    told: watch::Sender<Heard>,
    heard: Heard,
}

/// A picture's numbers.
#[derive(Default)]
struct Pictures {
    number: u64,
    packet: u64,
    wanted: bool,
    ssrc_changed: bool,
}

impl Connection {
    async fn run(mut self, codec: Codec, publishes: bool) {
        let mut pictures = Pictures { wanted: true, ..Pictures::default() };
        let mut tick = tokio::time::interval(Duration::from_millis(40));
        let mut buffer = vec![0; 2048];
        self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
        loop {
            let timeout = self.drain(&mut pictures);
            let script = *self.scripts.borrow();
            self.told.send_replace(self.heard);
            tokio::select! {
                received = self.udp.recv_from(&mut buffer) => {
                    let Ok((bytes, source)) = received else { continue };
                    let datagram = &buffer[..bytes];
                    match datagram.first() {
                        Some(21) if self.heard.connected => self.heard.alerts += 1,
                        Some(128..=191) if !is_report(datagram) => self.heard.packets += 1,
                        _ => {}
                    }
                    let Ok(received) = Receive::new(Protocol::Udp, source, self.local, datagram) else {
                        continue;
                    };
                    let _ = self.rtc.handle_input(Input::Receive(Instant::now(), received));
                }
                () = tokio::time::sleep_until(timeout.into()) => {
                    let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
                }
                _ = tick.tick() => {
                    if publishes && self.heard.connected && script.video {
                        self.picture(codec, script, &mut pictures);
                    }
                }
            }
        }
    }

    /// Sends what is to be sent, as far as the script lets it; answers when to go on.
    fn drain(&mut self, pictures: &mut Pictures) -> Instant {
        let script = *self.scripts.borrow();
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return at.max(Instant::now() + Duration::from_millis(1)),
                Ok(Output::Transmit(datagram)) => {
                    let is_check = datagram.contents.first().is_some_and(|first| *first < 2);
                    let held = self.heard.connected
                        && ((is_check && !script.checks)
                            || (is_report(&datagram.contents) && !script.reports));
                    if !held {
                        let _ = self.udp.try_send_to(&datagram.contents, datagram.destination);
                    }
                }
                Ok(Output::Event(str0m::Event::Connected)) => self.heard.connected = true,
                Ok(Output::Event(str0m::Event::KeyframeRequest(_))) => pictures.wanted = true,
                Ok(Output::Event(_)) => {}
                Err(_) => return Instant::now() + Duration::from_secs(3600),
            }
        }
    }

    fn picture(&mut self, codec: Codec, script: Script, pictures: &mut Pictures) {
        let payload_type = Pt::new_with_value(if codec == Codec::H264 { 102 } else { 96 });
        if script.other_ssrc && !pictures.ssrc_changed {
            pictures.ssrc_changed = true;
            let (ssrc, rtx): (Ssrc, Ssrc) = (0x1234_5678.into(), 0x1234_5679.into());
            self.rtc.direct_api().reset_stream_tx(self.mid, None, ssrc, Some(rtx));
        }
        let key = match script.key_frames {
            Some(interval) => {
                pictures.number.is_multiple_of(interval) || std::mem::take(&mut pictures.wanted)
            }
            None => false,
        };
        // Shown in the order 0 2 1 3 5 4.
        let shown = match (script.b_frames, pictures.number % 3) {
            (true, 1) => pictures.number + 1,
            (true, 2) => pictures.number - 1,
            _ => pictures.number,
        };
        for packet in 0..script.packets {
            let mut direct = self.rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(self.mid, None) else { return };
            pictures.packet += 1;
            let time = u32::try_from(shown * 3_600 % (1 << 32)).unwrap();
            let payload = payload(codec, key, packet == 0);
            let values = ExtensionValues { mid: Some(self.mid), ..ExtensionValues::default() };
            let write = str0m::rtp::RtpWrite::new(
                payload_type,
                pictures.packet.into(),
                time,
                Instant::now(),
                payload,
            )
            .marker(packet + 1 == script.packets)
            .ext_vals(values)
            .nackable(true);
            stream.write_rtp(write);
            self.heard.sent += 1;
            self.drain(pictures);
        }
        pictures.number += 1;
    }
}

fn is_report(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

/// What begins a picture, or goes on with it, and then noise.
fn payload(codec: Codec, key: bool, first: bool) -> Vec<u8> {
    let mut payload = vec![0x55; 1_100];
    match codec {
        Codec::H264 => payload[0] = 0x41,
        _ => payload[..2].copy_from_slice(&[if first { 0x10 } else { 0 }, u8::from(!key || !first)]),
    }
    payload
}
