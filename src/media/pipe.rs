//! One end of a pipe, whichever way media flows.

use std::net::{IpAddr, Ipv4Addr};

use mediasoup::pipe_transport::PipeTransportStat;
use mediasoup::prelude::{
    ListenInfo, PipeTransport, PipeTransportOptions, PipeTransportRemoteParameters, Protocol, Router,
    TransportGeneric,
};

use super::engine::{Engine, worker_error};
use super::{MediaError, PipeEnd};
use crate::telemetry::Counted;

/// A pipe transport. Dropping it closes it, once what it carries is dropped too.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) transport: PipeTransport,
    connected: bool,
    _counted: Option<[Counted; 2]>,
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
            announced_address: config.announced.map(|ip| ip.to_string()),
            port_range: Some(config.ports.first..=config.ports.last),
            ..loopback(Protocol::Udp)
        });
        options.enable_srtp = srtp;
        options.enable_rtx = rtx;
        let pipes = engine.metrics.pipes.get_or_create_owned(&[("direction", direction)]);
        let counted = [Counted::new(&pipes), Counted::new(&engine.metrics.pipe_ports_used)];
        Self::new(router, options, Some(counted)).await
    }

    /// An end that faces another router of this node: plain, because it never leaves the machine.
    pub(super) async fn open_local(router: &Router) -> Result<Self, MediaError> {
        Self::new(router, PipeTransportOptions::new(loopback(Protocol::Udp)), None).await
    }

    async fn new(
        router: &Router,
        options: PipeTransportOptions,
        counted: Option<[Counted; 2]>,
    ) -> Result<Self, MediaError> {
        let transport = router.create_pipe_transport(options).await.map_err(worker_error)?;
        Ok(Self { transport, connected: false, _counted: counted })
    }

    /// Where this end listens and sends from, and its key.
    pub(super) fn end(&self) -> Result<PipeEnd, MediaError> {
        let tuple = self.transport.tuple();
        let ip = tuple.local_address().parse();
        Ok(PipeEnd {
            ip: ip.map_err(|_| MediaError::Worker("a pipe listens on no address".to_owned()))?,
            port: tuple.local_port(),
            srtp: self.transport.srtp_parameters(),
        })
    }

    /// Connects to the other end. A pipe transport connects once: again is no error.
    pub(super) async fn connect(&mut self, to: &PipeEnd) -> Result<(), MediaError> {
        if self.connected {
            return Ok(());
        }
        if self.transport.srtp_parameters().is_some() != to.srtp.is_some() {
            return Err(MediaError::SrtpMismatch);
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
