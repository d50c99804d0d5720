//! One end of a pipe, whichever way media flows.

use std::net::{IpAddr, Ipv4Addr};

use mediasoup::pipe_transport::PipeTransportStat;
use mediasoup::prelude::{
    ListenInfo, PipeTransport, PipeTransportOptions, PipeTransportRemoteParameters, Protocol, Router,
    TransportGeneric,
};
use mediasoup::types::data_structures::SctpState;

use super::engine::{Engine, worker_error};
use super::{MediaError, PipeEnd, buffers};
use crate::places::Place;
use crate::telemetry::Counted;

/// A pipe transport. Dropping it closes it, once what it carries is dropped too.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) transport: PipeTransport,
    /// What the other end is told to send to.
    told: IpAddr,
    /// The address of its socket, whatever is announced.
    listen: IpAddr,
    connected: bool,
    _counted: Option<[Counted; 2]>,
    /// Its place among the pipes to other nodes.
    _place: Option<Place>,
}

impl Pipe {
    /// An end that faces another node, in the configured port range.
    pub(super) async fn open(
        router: &Router,
        engine: &Engine,
        direction: &'static str,
        srtp: bool,
        rtx: bool,
    ) -> Result<Self, MediaError> {
        let config = &engine.pipe;
        let mut options = PipeTransportOptions::new(ListenInfo {
            ip: config.listen,
            port_range: Some(config.ports.first..=config.ports.last),
            send_buffer_size: buffers::asked(config.send_buffer),
            recv_buffer_size: buffers::asked(config.receive_buffer),
            ..loopback(Protocol::Udp)
        });
        options.enable_srtp = srtp;
        options.enable_rtx = rtx;
        options.enable_sctp = true;
        let place = match direction {
            "out" => Some(engine.outlet_place()?),
            _ => None,
        };
        let pipes = engine.metrics.pipes.get_or_create_owned(&[("direction", direction)]);
        let counted = [Counted::new(&pipes), Counted::new(&engine.metrics.pipe_ports_used)];
        let pipe = Self::new(router, options, engine.told().pipe.of(config.listen), Some(counted)).await?;
        Ok(Self { _place: place, ..pipe })
    }

    /// An end that faces another router of this node: plain, because it never leaves the machine.
    pub(super) async fn open_local(router: &Router) -> Result<Self, MediaError> {
        let listen = loopback(Protocol::Udp);
        let told = listen.ip;
        Self::new(router, PipeTransportOptions::new(listen), told, None).await
    }

    async fn new(
        router: &Router,
        options: PipeTransportOptions,
        told: IpAddr,
        counted: Option<[Counted; 2]>,
    ) -> Result<Self, MediaError> {
        let listen = options.listen_info.ip;
        let transport = router.create_pipe_transport(options).await.map_err(worker_error)?;
        Ok(Self { transport, told, listen, connected: false, _counted: counted, _place: None })
    }

    /// Where this end listens and sends from, and its key.
    pub(super) fn end(&self) -> PipeEnd {
        let port = self.transport.tuple().local_port();
        PipeEnd { ip: self.told, port, srtp: self.transport.srtp_parameters() }
    }

    /// Connects to the other end. A pipe transport connects once: again is no error.
    pub(super) async fn connect(&mut self, to: &PipeEnd) -> Result<(), MediaError> {
        if self.connected {
            return Ok(());
        }
        if self.transport.srtp_parameters().is_some() != to.srtp.is_some() {
            return Err(MediaError::SrtpMismatch);
        }
        if self.listen.is_ipv4() != to.ip.is_ipv4() {
            // It would count as connected, and no packet would ever arrive.
            return Err(MediaError::AddressFamily { own: self.listen, other: to.ip });
        }
        let remote =
            PipeTransportRemoteParameters { ip: to.ip, port: to.port, srtp_parameters: to.srtp.clone() };
        self.transport.connect(remote).await.map_err(worker_error)?;
        self.connected = true;
        Ok(())
    }

    pub(super) async fn stats(&self) -> Option<PipeTransportStat> {
        self.transport.get_stats().await.ok()?.pop()
    }
}

/// Whether messages can pass a pipe: its ends have found each other.
pub(super) fn is_associated(stat: &PipeTransportStat) -> bool {
    stat.sctp_state == Some(SctpState::Connected)
}

pub(super) fn loopback(protocol: Protocol) -> ListenInfo {
    ListenInfo {
        protocol,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        announced_address: None,
        expose_internal_ip: false,
        port: None,
        port_range: None,
        flags: None,
        send_buffer_size: None,
        recv_buffer_size: None,
    }
}
