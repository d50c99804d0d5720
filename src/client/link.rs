//! Whether a connection is up, from what the Rtc tells about ICE, DTLS and its end.

use std::time::{Duration, Instant};

use str0m::{Event, IceConnectionState, RtcError};

use super::report::{ConnectionState, millis};

/// How long a server that went silent is tried again: as long as ICE consent lasts (RFC 7675 §5.1).
const PATIENCE: Duration = Duration::from_secs(30);

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Link {
    asked: Instant,
    pub(super) state: ConnectionState,
    pub(super) reason: Option<String>,
    pub(super) connected_ms: Option<f64>,
    pub(super) rtt_ms: Option<f64>,
    /// The server ended the connection.
    pub(super) over: bool,
    silent_since: Option<Instant>,
}

impl Link {
    /// `asked` is when the POST was sent.
    pub(super) fn new(asked: Instant) -> Link {
        Link {
            asked,
            state: ConnectionState::Connecting,
            reason: None,
            connected_ms: None,
            rtt_ms: None,
            over: false,
            silent_since: None,
        }
    }

    /// Takes an event that is about the connection; true where the state is another now.
    pub(super) fn see(&mut self, event: &Event, at: Instant) -> bool {
        let before = self.state;
        match event {
            Event::Connected => {
                self.connected_ms.get_or_insert(millis(self.asked, at));
                self.connected();
            }
            // Before the first time, DTLS is still to come.
            Event::IceConnectionStateChange(state) if state.is_connected() && self.connected_ms.is_some() => {
                self.connected();
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.disconnected("the server does not answer (ICE)");
                self.silent_since.get_or_insert(at);
            }
            Event::Closed => self.over = true,
            Event::PeerStats(stats) => {
                let pair = stats.selected_candidate_pair.as_ref();
                let rtt = pair.and_then(|pair| pair.current_round_trip_time);
                self.rtt_ms = rtt.map(|rtt| rtt.as_secs_f64() * 1000.0);
            }
            _ => {}
        }
        self.state != before
    }

    /// Whether it is worth trying ICE anew.
    pub(super) fn is_silent(&self, at: Instant) -> bool {
        self.silent_since.is_some_and(|since| at.saturating_duration_since(since) < PATIENCE)
    }

    /// The last word on this connection.
    pub(super) fn end(&mut self, ended: Result<(), RtcError>) {
        match ended {
            Err(error) => self.disconnected(&self.explain(&error)),
            Ok(()) if self.over => self.disconnected("closed by the server"),
            Ok(()) => self.disconnected("stopped"),
        }
    }

    /// What an error means to whoever reads it.
    fn explain(&self, error: &RtcError) -> String {
        match error {
            RtcError::Dtls(error) if error.to_string().contains("timeout") => format!(
                "no encrypted connection ({error}): the server takes up ICE and doesn't answer in time then; it has \
                 too much to do, or packets get lost"
            ),
            // The one handshake that fails with sound servers: GStreamer's `webrtcbin` has an RSA key, for which our
            // DTLS has no signatures, and so it presents no certificate at all.
            RtcError::Dtls(error) if self.connected_ms.is_none() => format!(
                "no encrypted connection ({error}): this client takes ECDSA certificates, as browsers make them; \
                 a server whose certificate is RSA, as GStreamer's is, can't be used with it"
            ),
            _ => error.to_string(),
        }
    }

    fn connected(&mut self) {
        self.state = ConnectionState::Connected;
        self.reason = None;
        self.silent_since = None;
    }

    fn disconnected(&mut self, reason: &str) {
        self.state = ConnectionState::Disconnected;
        self.reason = Some(reason.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_server_may_come_back() {
        let asked = Instant::now();
        let at = |ms| asked + Duration::from_millis(ms);
        let ice = |state| Event::IceConnectionStateChange(state);
        let mut link = Link::new(asked);
        assert!(!link.see(&ice(IceConnectionState::Completed), at(10)), "no DTLS yet");
        assert!(link.see(&Event::Connected, at(20)));
        assert!(link.see(&ice(IceConnectionState::Disconnected), at(5000)));
        assert!(link.is_silent(at(34_000)) && !link.is_silent(at(36_000)));
        assert!(link.see(&ice(IceConnectionState::Connected), at(20_000)));
        assert_eq!((link.connected_ms, link.reason.as_deref()), (Some(20.0), None));
        assert!(!link.is_silent(at(20_000)));
        link.see(&Event::Closed, at(30_000));
        link.end(Ok(()));
        assert_eq!(link.reason.as_deref(), Some("closed by the server"));
    }
}
