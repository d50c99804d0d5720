//! The connection of one publisher or viewer.

use std::collections::VecDeque;

use mediasoup::prelude::{
    Router, TransportGeneric, WebRtcTransport, WebRtcTransportOptions, WebRtcTransportRemoteParameters,
};
use mediasoup_types::data_structures::{DtlsState, IceState};
use tokio::sync::mpsc;

use super::callbacks::watch_connection;
use super::engine::{Engine, WorkerId, worker_error};
use super::messages::SEALED;
use super::{MediaError, MediaEvent, SessionFlow, TransportInfo};
use crate::protocol::ids::SessionId;
use crate::protocol::rtp::DtlsParameters;

/// What a connection is to do beside carrying media.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// Whether mediasoup is to estimate its bandwidth.
    pub(super) estimate: bool,
    /// Whether messages pass as well.
    pub(super) sctp: bool,
}

/// Opens a connection on the worker's listener.
pub(super) async fn open(
    router: &Router,
    worker: WorkerId,
    engine: &Engine,
    session: SessionId,
    Needs { estimate, sctp }: Needs,
    events: &mpsc::Sender<MediaEvent>,
) -> Result<WebRtcTransport, MediaError> {
    let mut options = WebRtcTransportOptions::new_with_server(engine.server(worker)?);
    options.enable_bwe = estimate;
    options.enable_sctp = sctp;
    options.prefer_udp = true;
    options.enable_tcp = engine.webrtc.tcp;
    options.initial_available_outgoing_bitrate = u64::from(engine.webrtc.initial_bitrate);
    options.max_incoming_bitrate =
        Some(u64::from(engine.webrtc.max_publish_bitrate)).filter(|limit| *limit > 0);
    // The room decides what is life: some clients send media all the time and checks hardly ever.
    options.ice_consent_timeout = 0;
    let transport = router.create_webrtc_transport(options).await.map_err(worker_error)?;
    watch_connection(&transport, session, events);
    Ok(transport)
}

/// Tells the connection who may connect.
pub(super) async fn connect(transport: &WebRtcTransport, dtls: DtlsParameters) -> Result<(), MediaError> {
    let remote = WebRtcTransportRemoteParameters { dtls_parameters: dtls };
    transport.connect(remote).await.map_err(worker_error)
}

pub(super) fn info(transport: &WebRtcTransport, engine: &Engine) -> TransportInfo {
    let told = engine.told().webrtc;
    let mut candidates = transport.ice_candidates().clone();
    for candidate in &mut candidates {
        if let Ok(listen) = candidate.address.parse() {
            candidate.address = told.of(listen).to_string();
        }
    }
    let sctp = transport.sctp_parameters().map(|mut sctp| {
        // What goes on to other nodes grows by what seals it.
        sctp.max_message_size = sctp.max_message_size.saturating_sub(SEALED);
        sctp
    });
    TransportInfo {
        ice: transport.ice_parameters().clone(),
        candidates,
        dtls: transport.dtls_parameters(),
        sctp,
    }
}

/// Whether the connection stands; none while it is being made.
pub(super) fn is_up(transport: &WebRtcTransport) -> Option<bool> {
    if transport.ice_state() == IceState::Disconnected {
        return Some(false);
    }
    match transport.dtls_state() {
        DtlsState::New | DtlsState::Connecting => None,
        DtlsState::Connected => Some(true),
        DtlsState::Failed | DtlsState::Closed => Some(false),
    }
}

/// What passes over the connection.
pub(super) async fn flow(transport: &WebRtcTransport) -> Option<SessionFlow> {
    let stat = transport.get_stats().await.ok()?.pop()?;
    Some(SessionFlow { received: stat.bytes_received, sent: stat.rtp_bytes_sent })
}

/// Whose turn it is to be looked at: everyone's within so many looks, however many they are.
#[derive(Debug, Default)]
pub(super) struct Turns(VecDeque<SessionId>);

impl Turns {
    /// Within so many looks everyone has been looked at.
    const LOOKS: usize = 8;
    /// So few are all looked at each time.
    const FEW: usize = 8;

    pub(super) fn add(&mut self, session: SessionId) {
        self.0.push_back(session);
    }

    /// Those that are next; who is not `there` any more is forgotten.
    pub(super) fn take(&mut self, there: impl Fn(&SessionId) -> bool) -> Vec<SessionId> {
        let many = (self.0.len() / Self::LOOKS + 1).max(Self::FEW).min(self.0.len());
        let mut taken: Vec<_> = self.0.drain(..many).collect();
        taken.retain(there);
        self.0.extend(&taken);
        taken
    }
}

/// New ICE credentials for the same connection (RFC 9725 section 4.3.3).
pub(super) async fn restart_ice(
    transport: &WebRtcTransport,
    engine: &Engine,
) -> Result<TransportInfo, MediaError> {
    let ice = transport.restart_ice().await.map_err(worker_error)?;
    Ok(TransportInfo { ice, ..info(transport, engine) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use uuid::Uuid;

    #[test]
    fn everyone_has_a_turn_and_who_has_gone_is_forgotten() {
        let sessions: Vec<_> = (0..100).map(|number| SessionId(Uuid::from_u128(number))).collect();
        let mut turns = Turns::default();
        sessions.iter().for_each(|session| turns.add(*session));
        let looked: BTreeSet<_> = (0..Turns::LOOKS).flat_map(|_| turns.take(|_| true)).collect();
        assert_eq!(looked.len(), 100);
        for _ in 0..3 * Turns::LOOKS {
            turns.take(|session| *session == sessions[7]);
        }
        assert_eq!(turns.take(|_| true), [sessions[7]]);
    }
}
