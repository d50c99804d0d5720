//! Drives one `Rtc`, which does no input or output itself: sockets, a timer, and the order of calls it wants.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig, RtcError};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::time::Sleep;

use super::packet::RtpHeader;
use super::succession::{Succession, Turn};

/// More than a datagram on an Ethernet holds.
const DATAGRAM: usize = 2048;

/// A WebRTC connection and the UDP sockets it uses.
pub(super) struct Connection {
    pub(super) rtc: Rtc,
    sockets: Vec<Socket>,
    remote: Vec<Candidate>,
    timer: Pin<Box<Sleep>>,
    succession: Succession,
    depth: Depth,
    buffer: Box<[u8]>,
}

struct Socket {
    udp: UdpSocket,
    local: SocketAddr,
}

/// How far what is received is looked into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// All of it, as a player does who shows it.
    #[default]
    Frames,
    /// The headers, which SRTP leaves readable: a fraction of the work, and no frames are known. What is lost is not
    /// asked for, no bandwidth is estimated, and reports to the server name no loss.
    Headers,
}

/// A datagram that went in or out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub(super) at: Instant,
    pub(super) header: RtpHeader,
    pub(super) bytes: usize,
}

/// Who is told what [`Connection::drain`] finds.
pub(super) trait Observer {
    /// Something happened on the connection.
    fn event(&mut self, event: Event);
    /// An RTP packet was handed to the network.
    fn sent(&mut self, _packet: Packet) {}
}

/// Wants to know nothing.
struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _event: Event) {}
}

impl Connection {
    pub(super) fn new(config: RtcConfig, depth: Depth) -> Connection {
        Connection {
            rtc: config.build(Instant::now()),
            sockets: Vec::new(),
            remote: Vec::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            succession: Succession::default(),
            depth,
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        }
    }

    /// Opens a socket on the local address from which `remote` is reached, unless there is one.
    pub(super) async fn reach(&mut self, remote: SocketAddr) -> io::Result<()> {
        let ip = local_ip(remote).await?;
        if self.sockets.iter().any(|socket| socket.local.ip() == ip) {
            return Ok(());
        }
        let udp = UdpSocket::bind((ip, 0)).await?;
        let local = udp.local_addr()?;
        let candidate = Candidate::host(local, Protocol::Udp).map_err(io::Error::other)?;
        self.rtc.add_local_candidate(candidate);
        self.sockets.push(Socket { udp, local });
        Ok(())
    }

    /// Opens the sockets for the server that `url` names, so that our own description has candidates.
    pub(super) async fn reach_host(&mut self, url: &reqwest::Url) {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(mut found) = tokio::net::lookup_host((host, port)).await else {
            return;
        };
        if let Some(address) = found.next() {
            // Not fatal: what counts are the candidates of the answer.
            if let Err(error) = self.reach(address).await {
                tracing::debug!(%error, %address, "no socket towards the server yet");
            }
        }
    }

    /// Opens the sockets for all the candidates in the server's description.
    ///
    /// Fails where none of them can be reached from here.
    pub(super) async fn reach_candidates(&mut self, sdp: &str) -> io::Result<()> {
        self.remote = candidates(sdp);
        let mut failure = None;
        for address in self.remote.iter().map(Candidate::addr).collect::<Vec<_>>() {
            if let Err(error) = self.reach(address).await {
                tracing::debug!(%error, %address, "no way to a candidate of the server");
                failure = Some(error);
            }
        }
        match failure {
            Some(error) if self.sockets.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells the Rtc what time it is, without which ICE does not begin, and media that was written is not sent.
    pub(super) fn tick(&mut self) -> Result<(), RtcError> {
        self.rtc.handle_input(Input::Timeout(Instant::now()))
    }

    /// Tries the server's candidates anew: ICE gives up those that fail, and has then nothing left to come back to.
    pub(super) fn retry_ice(&mut self) {
        for candidate in &self.remote {
            self.rtc.add_remote_candidate(candidate.clone());
        }
    }

    /// Empties the Rtc of datagrams and events, as it wants after each change, and sets the timer.
    pub(super) fn drain(&mut self, observer: &mut impl Observer) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    let at = at.into();
                    if self.timer.deadline() != at {
                        self.timer.as_mut().reset(at);
                    }
                    return Ok(());
                }
                Output::Transmit(datagram) => {
                    let Some(socket) = self.sockets.iter().find(|socket| socket.local == datagram.source)
                    else {
                        continue;
                    };
                    // UDP may lose it anyway, so what cannot go now is lost here.
                    if let Err(error) = socket.udp.try_send_to(&datagram.contents, datagram.destination) {
                        tracing::trace!(%error, to = %datagram.destination, "datagram not sent");
                        continue;
                    }
                    if let Some(header) = RtpHeader::peek(&datagram.contents) {
                        let bytes = datagram.contents.len();
                        observer.sent(Packet { at: Instant::now(), header, bytes });
                    }
                }
                Output::Event(event) => observer.event(event),
            }
        }
    }

    /// Waits for a datagram or the timer and feeds it in; drain afterwards.
    ///
    /// Returns the RTP packet, if it was one. Nothing is lost where this is cancelled.
    pub(super) async fn step(&mut self) -> Result<Option<Packet>, RtcError> {
        let Connection { rtc, sockets, timer, buffer, succession, depth, .. } = self;
        tokio::select! {
            biased;
            (bytes, source, destination) = receive(sockets, buffer) => {
                let datagram = buffer.get(..bytes).unwrap_or_default();
                let at = Instant::now();
                let header = RtpHeader::peek(datagram);
                let packet = header.map(|header| Packet { at, header, bytes });
                match header.map(|header| succession.see(header)) {
                    Some(Turn::Over) => return Ok(None),
                    // From the first one on the Rtc knows the stream, and sends the reports that show this side alive.
                    Some(Turn::Next) if *depth == Depth::Headers => return Ok(packet),
                    _ => {}
                }
                let Ok(received) = Receive::new(Protocol::Udp, source, destination, datagram) else {
                    return Ok(None);
                };
                rtc.handle_input(Input::Receive(at, received))?;
                Ok(packet)
            }
            () = timer => {
                rtc.handle_input(Input::Timeout(Instant::now()))?;
                Ok(None)
            }
        }
    }

    /// Says goodbye: RTCP BYE and DTLS close_notify.
    pub(super) fn close(&mut self) {
        let closed = self.rtc.close().and_then(|()| self.drain(&mut Nobody));
        if let Err(error) = closed {
            tracing::debug!(%error, "connection not closed in good order");
        }
    }
}

/// The UDP candidates in a session description, each once.
fn candidates(sdp: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for line in sdp.lines().filter(|line| line.starts_with("a=candidate:")) {
        let candidate = line.trim().strip_prefix("a=").and_then(|line| Candidate::from_sdp_string(line).ok());
        found.extend(
            candidate.filter(|new| {
                new.proto() == Protocol::Udp && !found.iter().any(|old| old.addr() == new.addr())
            }),
        );
    }
    found
}

/// Asks the routing table by connecting a socket, which sends nothing.
async fn local_ip(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { [0u8; 4].into() } else { [0u8; 16].into() };
    let probe = UdpSocket::bind((any, 0)).await?;
    probe.connect(remote).await?;
    Ok(probe.local_addr()?.ip())
}

async fn receive(sockets: &[Socket], buffer: &mut [u8]) -> (usize, SocketAddr, SocketAddr) {
    poll_fn(|context| {
        for socket in sockets {
            // An error is about a datagram sent before, so the next one is waited for.
            loop {
                let mut buffer = ReadBuf::new(buffer);
                match socket.udp.poll_recv_from(context, &mut buffer) {
                    Poll::Ready(Ok(source)) => {
                        return Poll::Ready((buffer.filled().len(), source, socket.local));
                    }
                    Poll::Ready(Err(error)) => tracing::trace!(%error, "datagram not received"),
                    Poll::Pending => break,
                }
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_socket_for_each_local_address() {
        let mut connection = Connection::new(super::super::offer::receiving(), Depth::Frames);
        connection.reach("127.0.0.1:9".parse().unwrap()).await.unwrap();
        connection.reach("127.0.0.1:10".parse().unwrap()).await.unwrap();
        let locals: Vec<IpAddr> = connection.sockets.iter().map(|socket| socket.local.ip()).collect();
        assert_eq!(locals, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn finds_the_udp_candidates() {
        let sdp = "v=0\r\n\
            a=candidate:a 1 udp 1076302079 127.0.0.1 40001 typ host\r\n\
            a=candidate:b 1 tcp 1076276479 127.0.0.1 40001 typ host tcptype passive\r\n\
            a=candidate:a 1 udp 1076302079 127.0.0.1 40001 typ host\r\n";
        let found: Vec<SocketAddr> = candidates(sdp).iter().map(Candidate::addr).collect();
        assert_eq!(found, ["127.0.0.1:40001".parse().unwrap()]);
    }
}
