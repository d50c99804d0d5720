//! The sending end of a pipe.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use mediasoup::pipe_transport::PipeTransportStat;
use mediasoup::prelude::{
    Consumer, ConsumerOptions, ListenInfo, PipeTransport, PipeTransportOptions,
    PipeTransportRemoteParameters, Protocol, Router, RtpCapabilities, Transport, TransportGeneric,
};

use super::engine::{Engine, worker_error};
use super::{MediaError, PipeEnd, Piped};
use crate::protocol::ids::ProducerId;
use crate::telemetry::Counted;

/// A pipe transport and what it sends. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Outlet {
    consumers: HashMap<ProducerId, Consumer>,
    transport: PipeTransport,
    connected: bool,
    _counted: Option<[Counted; 2]>,
}

impl Outlet {
    /// An end that faces another node, in the configured port range.
    pub(super) async fn open(
        router: &Router,
        engine: &Engine,
        srtp: bool,
        rtx: bool,
    ) -> Result<Self, MediaError> {
        let options = pipe_options(engine, srtp, rtx);
        Self::new(router, options, Some(counted(engine, "out"))).await
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
        Ok(Self { consumers: HashMap::new(), transport, connected: false, _counted: counted })
    }

    pub(super) fn end(&self) -> Result<PipeEnd, MediaError> {
        end_of(&self.transport)
    }

    /// Connects to the receiving end. A pipe transport connects once: again is no error.
    pub(super) async fn connect(&mut self, to: &PipeEnd) -> Result<(), MediaError> {
        connect(&self.transport, &mut self.connected, to).await
    }

    /// Starts sending a producer of this router. Again is no error.
    pub(super) async fn send(&mut self, id: ProducerId) -> Result<Piped, MediaError> {
        if !self.consumers.contains_key(&id) {
            let source = id.to_string().parse().map_err(|_| MediaError::UnknownProducer)?;
            // A pipe consumer takes everything: it needs no capabilities.
            let options = ConsumerOptions::new(source, RtpCapabilities::default());
            let consumer = self.transport.consume(options).await.map_err(|error| match error {
                mediasoup::prelude::ConsumeError::ProducerNotFound(_) => MediaError::UnknownProducer,
                other => MediaError::Worker(other.to_string()),
            })?;
            self.consumers.insert(id, consumer);
        }
        self.sent(id).ok_or(MediaError::UnknownProducer)
    }

    /// What is sent of a producer, with its state of now.
    pub(super) fn sent(&self, id: ProducerId) -> Option<Piped> {
        self.consumers.get(&id).map(|consumer| Piped {
            id,
            kind: consumer.kind(),
            rtp_parameters: consumer.rtp_parameters().clone(),
            paused: consumer.producer_paused(),
        })
    }

    pub(super) fn stop_sending(&mut self, id: ProducerId) {
        self.consumers.remove(&id);
    }

    /// Asks for a key frame of a producer that this outlet sends.
    pub(super) async fn request_key_frame(&self, id: ProducerId) {
        if let Some(consumer) = self.consumers.get(&id) {
            let _ = consumer.request_key_frame().await;
        }
    }

    pub(super) async fn stats(&self) -> Option<PipeTransportStat> {
        self.transport.get_stats().await.ok()?.pop()
    }
}

pub(super) fn pipe_options(engine: &Engine, srtp: bool, rtx: bool) -> PipeTransportOptions {
    let pipe = &engine.pipe;
    let mut options = PipeTransportOptions::new(ListenInfo {
        ip: pipe.listen,
        announced_address: pipe.announced.map(|ip| ip.to_string()),
        port_range: Some(pipe.ports.first..=pipe.ports.last),
        ..loopback(Protocol::Udp)
    });
    options.enable_srtp = srtp;
    options.enable_rtx = rtx;
    options
}

/// Counts an end that faces another node, and its port.
pub(super) fn counted(engine: &Engine, direction: &'static str) -> [Counted; 2] {
    let metrics = &engine.metrics;
    let pipes = metrics.pipes.get_or_create_owned(&[("direction", direction)]);
    [Counted::new(&pipes), Counted::new(&metrics.pipe_ports_used)]
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

pub(super) fn end_of(transport: &PipeTransport) -> Result<PipeEnd, MediaError> {
    let tuple = transport.tuple();
    let ip = tuple.local_address().parse();
    Ok(PipeEnd {
        ip: ip.map_err(|_| MediaError::Worker("a pipe listens on no address".to_owned()))?,
        port: tuple.local_port(),
        srtp: transport.srtp_parameters(),
    })
}

pub(super) async fn connect(
    transport: &PipeTransport,
    connected: &mut bool,
    to: &PipeEnd,
) -> Result<(), MediaError> {
    if *connected {
        return Ok(());
    }
    if transport.srtp_parameters().is_some() != to.srtp.is_some() {
        return Err(MediaError::SrtpMismatch);
    }
    let remote = PipeTransportRemoteParameters { ip: to.ip, port: to.port, srtp_parameters: to.srtp.clone() };
    transport.connect(remote).await.map_err(worker_error)?;
    *connected = true;
    Ok(())
}
