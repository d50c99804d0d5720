//! The connection of one publisher or viewer.

use mediasoup::prelude::{Router, WebRtcTransport, WebRtcTransportOptions, WebRtcTransportRemoteParameters};
use mediasoup_types::data_structures::{DtlsState, IceState};
use tokio::sync::mpsc;

use super::callbacks::watch_connection;
use super::engine::{Engine, WorkerId, worker_error};
use super::{MediaError, MediaEvent, TransportInfo};
use crate::protocol::ids::SessionId;
use crate::protocol::rtp::DtlsParameters;

/// Opens a connection on the worker's listener.
pub(super) async fn open(
    router: &Router,
    worker: WorkerId,
    engine: &Engine,
    session: SessionId,
    events: &mpsc::Sender<MediaEvent>,
) -> Result<WebRtcTransport, MediaError> {
    let mut options = WebRtcTransportOptions::new_with_server(engine.server(worker)?);
    options.prefer_udp = true;
    options.enable_tcp = engine.webrtc.tcp;
    options.initial_available_outgoing_bitrate = u64::from(engine.webrtc.initial_bitrate);
    options.max_incoming_bitrate =
        Some(u64::from(engine.webrtc.max_publish_bitrate)).filter(|limit| *limit > 0);
    let consent = engine.timeouts.ice_consent.as_secs().clamp(1, 255);
    options.ice_consent_timeout = u8::try_from(consent).unwrap_or(u8::MAX);
    let transport = router.create_webrtc_transport(options).await.map_err(worker_error)?;
    watch_connection(&transport, session, events);
    Ok(transport)
}

/// Tells the connection who may connect.
pub(super) async fn connect(transport: &WebRtcTransport, dtls: DtlsParameters) -> Result<(), MediaError> {
    let remote = WebRtcTransportRemoteParameters { dtls_parameters: dtls };
    transport.connect(remote).await.map_err(worker_error)
}

pub(super) fn info(transport: &WebRtcTransport) -> TransportInfo {
    TransportInfo {
        ice: transport.ice_parameters().clone(),
        candidates: transport.ice_candidates().clone(),
        dtls: transport.dtls_parameters(),
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

/// New ICE credentials for the same connection (RFC 9725 section 4.3.3).
pub(super) async fn restart_ice(transport: &WebRtcTransport) -> Result<TransportInfo, MediaError> {
    let ice = transport.restart_ice().await.map_err(worker_error)?;
    Ok(TransportInfo { ice, ..info(transport) })
}
