//! All that a room has in the workers of this node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use mediasoup::prelude::{Producer, Router, RtpCodecParameters, WebRtcTransport};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::adapt::{self, Adaptation};
use super::engine::{Engine, WorkerId};
use super::inlet::{Inlet, set_paused};
use super::outlet::Outlet;
use super::pipe::Pipe;
use super::spread::Spread;
use super::uplink::{Uplink, describe};
use super::viewer::Viewer;
use super::{
    Counts, Measured, MediaError, MediaEvent, Medium, PipeEnd, PipeFlow, Piped, ProducerInfo, TransportInfo,
    ViewerFlow, layout, native, session,
};
use crate::protocol::ids::{PipeId, ProducerId, RouterId, SessionId};
use crate::protocol::rtp::DtlsParameters;

/// The routers, connections and pipes of one room. Owned by the room's task alone; fields are
/// declared children first, so that dropping it closes in the right order.
#[derive(Debug)]
pub struct RoomMedia {
    viewers: HashMap<SessionId, Viewer>,
    outlets: HashMap<PipeId, Outlet>,
    /// Never reordered while viewers refer to them by index; unused ones are set to none.
    spreads: Vec<Option<Spread>>,
    uplinks: HashMap<SessionId, Uplink>,
    inlets: HashMap<PipeId, Inlet>,
    home: Router,
    worker: WorkerId,
    /// Which viewers are looked at next.
    turns: session::Turns,
    engine: Arc<Engine>,
    events: mpsc::Sender<MediaEvent>,
}

impl RoomMedia {
    /// Opens the room's home router on the lightest worker that is alive.
    ///
    /// # Errors
    /// [`MediaError::Worker`].
    pub async fn open(engine: Arc<Engine>, events: mpsc::Sender<MediaEvent>) -> Result<Self, MediaError> {
        let worker = engine.lightest()?;
        let home = engine.home_router(worker).await?;
        Ok(Self {
            viewers: HashMap::new(),
            outlets: HashMap::new(),
            spreads: Vec::new(),
            uplinks: HashMap::new(),
            inlets: HashMap::new(),
            home,
            worker,
            turns: session::Turns::default(),
            engine,
            events,
        })
    }

    /// The home router.
    pub fn router_id(&self) -> RouterId {
        RouterId(Uuid::from(self.home.id()))
    }

    /// The workers that the room is on, its home first.
    pub fn workers(&self) -> Vec<WorkerId> {
        let spreads = self.spreads.iter().flatten().map(|spread| spread.worker);
        std::iter::once(self.worker).chain(spreads).collect()
    }

    /// Takes a publisher. Nothing is kept if it fails.
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] if its parameters don't fit, [`MediaError::Worker`].
    pub async fn publish(
        &mut self,
        session: SessionId,
        offered: Vec<Medium>,
        dtls: DtlsParameters,
    ) -> Result<(TransportInfo, Vec<ProducerInfo>), MediaError> {
        let uplink =
            Uplink::open(&self.home, self.worker, &self.engine, session, offered, dtls, &self.events).await?;
        let answer = (uplink.info(&self.engine), uplink.producers());
        self.uplinks.insert(session, uplink);
        Ok(answer)
    }

    /// Takes a viewer and sends it `sources` as far as it takes them.
    ///
    /// Without `dtls` the viewer connects later, by [`RoomMedia::connect_viewer`].
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] if it can take nothing; nothing is kept then.
    pub async fn watch(
        &mut self,
        session: SessionId,
        wanted: Vec<Medium>,
        dtls: Option<DtlsParameters>,
        sources: &[ProducerInfo],
    ) -> Result<(TransportInfo, Vec<Medium>), MediaError> {
        let codecs: Vec<_> =
            sources.iter().filter_map(|source| Some((source.kind, self.codec_of(source.id)?))).collect();
        layout::check(&wanted, &codecs, self.engine.capabilities())?;
        let worker = self.engine.worker_for_viewer(&self.workers())?;
        let (spread, media) = self.router_for(worker, &wanted, &codecs).await?;
        let opened = self.open_viewer(session, spread, worker, media, dtls, sources).await;
        if opened.is_err() {
            self.viewers.remove(&session);
            self.close_if_unused(spread);
        }
        opened
    }

    async fn open_viewer(
        &mut self,
        session: SessionId,
        spread: Option<usize>,
        worker: WorkerId,
        media: Vec<Medium>,
        dtls: Option<DtlsParameters>,
        sources: &[ProducerInfo],
    ) -> Result<(TransportInfo, Vec<Medium>), MediaError> {
        let router = self.router(spread);
        let estimate = adapt::has_estimate(&media, &router.rtp_capabilities());
        let adaptation = (!estimate).then(|| Adaptation::new(self.engine.webrtc.initial_bitrate));
        let transport = session::open(router, worker, &self.engine, session, estimate, &self.events).await?;
        if let Some(dtls) = dtls {
            session::connect(&transport, dtls).await?;
        }
        let viewer = Viewer::new(transport, spread, media, adaptation, self.engine.share_load(worker));
        self.viewers.insert(session, viewer);
        self.turns.add(session);
        self.show(session, sources).await?;
        let viewer = self.viewers.get(&session).ok_or(MediaError::UnknownSession)?;
        Ok((session::info(&viewer.transport, &self.engine), viewer.media.clone()))
    }

    /// Sends a viewer these sources, in place of what it was sent on the same sections before.
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] if its session can't carry one of them, though another session might.
    pub async fn show(&mut self, session: SessionId, sources: &[ProducerInfo]) -> Result<(), MediaError> {
        for source in sources {
            let codec = self.codec_of(source.id).ok_or(MediaError::UnknownProducer)?;
            let viewer = self.viewers.get(&session).ok_or(MediaError::UnknownSession)?;
            let capabilities = self.router(viewer.spread).rtp_capabilities();
            let Some(medium) = viewer.media.iter().find(|medium| medium.kind == source.kind) else {
                continue;
            };
            if viewer.turned_down.contains(&medium.mid) {
                continue;
            }
            if !layout::carries(medium, &codec, &capabilities) {
                if medium.agreed.codecs.is_empty() && !layout::takes(medium, &codec) {
                    continue;
                }
                return Err(MediaError::Unsupported(format!(
                    "m-line {} can't carry {}, which the stream has become: connect again",
                    medium.mid, source.mime_type
                )));
            }
            let mid = medium.mid.clone();
            let viewer = self.viewers.get_mut(&session).ok_or(MediaError::UnknownSession)?;
            let spread = viewer.spread.and_then(|index| self.spreads.get_mut(index)?.as_mut());
            match spread {
                Some(spread) => {
                    let local = spread.producer_for(source.id, &self.engine, &self.events).await?;
                    viewer.send(&spread.router, &mid, source.id, local).await?;
                }
                None => {
                    viewer.send(&self.home, &mid, source.id, native(source.id)?).await?;
                }
            }
        }
        Ok(())
    }

    /// The codec of a producer of the home router.
    fn codec_of(&self, producer: ProducerId) -> Option<RtpCodecParameters> {
        self.producer(producer)?.rtp_parameters().codecs.first().cloned()
    }

    /// The router on a worker that numbers the sources as the viewer does (an index of the spreads; none is
    /// the home router), and what it and the viewer have in common.
    async fn router_for(
        &mut self,
        worker: WorkerId,
        wanted: &[Medium],
        sources: &[layout::Source],
    ) -> Result<(Option<usize>, Vec<Medium>), MediaError> {
        let home = self.engine.capabilities();
        let at_home = layout::fit(wanted, sources, home, home);
        if let Some(agreed) = &at_home
            && worker == self.worker
        {
            return Ok((None, agreed.clone()));
        }
        let spreads = self.spreads.iter().enumerate().filter_map(|(index, s)| Some((index, s.as_ref()?)));
        let mut here = spreads.filter(|(_, spread)| spread.worker == worker);
        let served = here.clone().find_map(|(index, spread)| {
            let agreed = layout::fit(wanted, sources, &spread.router.rtp_capabilities(), home)?;
            Some((Some(index), agreed))
        });
        if let Some(served) = served {
            return Ok(served);
        }
        if here.by_ref().count() >= self.engine.max_layouts {
            return Err(MediaError::TooManyLayouts);
        }
        let codecs = match at_home {
            Some(_) => self.engine.codecs(),
            None => layout::number(wanted, sources, home)?,
        };
        let spread = Spread::open(&self.home, &self.engine, worker, codecs).await?;
        let agreed = layout::agree(wanted, sources, &spread.router.rtp_capabilities());
        let free = self.spreads.iter().position(Option::is_none).unwrap_or(self.spreads.len());
        if free == self.spreads.len() {
            self.spreads.push(None);
        }
        if let Some(place) = self.spreads.get_mut(free) {
            *place = Some(spread);
        }
        Ok((Some(free), agreed))
    }

    fn router(&self, spread: Option<usize>) -> &Router {
        let spread = spread.and_then(|index| self.spreads.get(index)?.as_ref());
        spread.map_or(&self.home, |spread| &spread.router)
    }

    /// Tells a viewer's connection who may connect, and sends no more than what it `accepted` (the answer to a
    /// counter-offer).
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::Worker`] (also if it is connected already).
    pub async fn connect_viewer(
        &mut self,
        session: SessionId,
        dtls: DtlsParameters,
        accepted: Vec<Medium>,
    ) -> Result<(), MediaError> {
        let viewer = self.viewers.get_mut(&session).ok_or(MediaError::UnknownSession)?;
        viewer.narrow(accepted);
        session::connect(&viewer.transport, dtls).await
    }

    /// A viewer's m-lines with what was agreed of them; nothing for a publisher.
    pub fn agreed_with(&self, session: SessionId) -> Vec<Medium> {
        self.viewers.get(&session).map(|viewer| viewer.media.clone()).unwrap_or_default()
    }

    /// New ICE credentials for a publisher's or viewer's connection.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::Worker`].
    pub async fn restart_ice(&self, session: SessionId) -> Result<TransportInfo, MediaError> {
        let connection = self.connection(session).ok_or(MediaError::UnknownSession)?;
        session::restart_ice(connection, &self.engine).await
    }

    /// Whether a publisher's or viewer's connection stands; none while it is being made.
    pub fn is_up(&self, session: SessionId) -> Option<bool> {
        self.connection(session).map_or(Some(false), session::is_up)
    }

    /// The publishers and viewers whose connection was made, and whether it still stands.
    pub fn connections(&self) -> Vec<(SessionId, bool)> {
        let uplinks = self.uplinks.iter().map(|(session, uplink)| (*session, &uplink.transport));
        let viewers = self.viewers.iter().map(|(session, viewer)| (*session, &viewer.transport));
        uplinks.chain(viewers).filter_map(|(id, transport)| Some((id, session::is_up(transport)?))).collect()
    }

    fn connection(&self, session: SessionId) -> Option<&WebRtcTransport> {
        let uplink = self.uplinks.get(&session).map(|uplink| &uplink.transport);
        uplink.or_else(|| self.viewers.get(&session).map(|viewer| &viewer.transport))
    }

    /// Closes a publisher's connection.
    pub fn unpublish(&mut self, session: SessionId) {
        if let Some(uplink) = self.uplinks.remove(&session) {
            for producer in uplink.producers() {
                self.forget(producer.id);
            }
        }
    }

    /// Closes a viewer's connection, and the router that served it if it was the last one there; returns the
    /// bytes of media that it was sent.
    pub async fn unwatch(&mut self, session: SessionId) -> u64 {
        let Some(viewer) = self.viewers.remove(&session) else { return 0 };
        let bytes = viewer.bytes().await;
        let spread = viewer.spread;
        drop(viewer);
        self.close_if_unused(spread);
        bytes
    }

    /// Closes a further router that serves no viewer any more.
    fn close_if_unused(&mut self, spread: Option<usize>) {
        let Some(index) = spread else { return };
        if self.viewers.values().all(|viewer| viewer.spread != spread)
            && let Some(place) = self.spreads.get_mut(index)
        {
            *place = None;
        }
    }

    /// Opens the sending end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`], [`MediaError::Worker`].
    pub async fn open_outlet(&mut self, pipe: PipeId) -> Result<PipeEnd, MediaError> {
        let settings = &self.engine.pipe;
        let own = Pipe::open(&self.home, &self.engine, "out", settings.srtp, settings.rtx).await?;
        let end = own.end();
        self.outlets.insert(pipe, Outlet::new(own));
        Ok(end)
    }

    /// Connects the sending end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::SrtpMismatch`], [`MediaError::Worker`].
    pub async fn connect_outlet(&mut self, pipe: PipeId, to: &PipeEnd) -> Result<(), MediaError> {
        self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.pipe.connect(to).await
    }

    /// Starts sending a producer on a pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::UnknownProducer`], [`MediaError::Worker`].
    pub async fn send(&mut self, pipe: PipeId, producer: ProducerId) -> Result<Piped, MediaError> {
        self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.send(producer).await
    }

    /// Stops sending a producer on a pipe.
    pub fn stop_sending(&mut self, pipe: PipeId, producer: ProducerId) {
        if let Some(outlet) = self.outlets.get_mut(&pipe) {
            outlet.stop_sending(producer);
        }
    }

    /// Closes the sending end of a pipe.
    pub fn close_outlet(&mut self, pipe: PipeId) {
        self.outlets.remove(&pipe);
    }

    /// Opens the receiving end of a pipe. Again is no error.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`], [`MediaError::Worker`].
    pub async fn open_inlet(&mut self, pipe: PipeId, srtp: bool, rtx: bool) -> Result<PipeEnd, MediaError> {
        if let Some(inlet) = self.inlets.get(&pipe) {
            return Ok(inlet.pipe.end());
        }
        let own = Pipe::open(&self.home, &self.engine, "in", srtp, rtx).await?;
        let end = own.end();
        self.inlets.insert(pipe, Inlet::new(own));
        Ok(end)
    }

    /// Connects the receiving end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::SrtpMismatch`], [`MediaError::Worker`].
    pub async fn connect_inlet(&mut self, pipe: PipeId, to: &PipeEnd) -> Result<(), MediaError> {
        self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.pipe.connect(to).await
    }

    /// Takes a producer from a pipe, in place of one of the same id on another pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::Unsupported`], [`MediaError::Worker`].
    pub async fn receive(&mut self, pipe: PipeId, piped: &Piped) -> Result<ProducerInfo, MediaError> {
        let elsewhere =
            self.inlets.iter().any(|(other, inlet)| *other != pipe && inlet.producer(piped.id).is_some());
        if elsewhere {
            self.inlets.iter_mut().filter(|(other, _)| **other != pipe).for_each(|(_, inlet)| {
                inlet.stop_receiving(piped.id);
            });
            self.forget(piped.id);
        }
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        inlet.receive(piped.id, piped, &self.engine, &self.events).await?;
        let producer = inlet.producer(piped.id).ok_or(MediaError::UnknownProducer)?;
        let info = describe(piped.id, producer);
        self.pause_spreads(piped.id, piped.paused).await?;
        Ok(info)
    }

    /// Stops taking a producer from a pipe.
    pub fn stop_receiving(&mut self, pipe: PipeId, producer: ProducerId) {
        let stopped = self.inlets.get_mut(&pipe).is_some_and(|inlet| inlet.stop_receiving(producer));
        if stopped {
            self.forget(producer);
        }
    }

    /// Closes the receiving end of a pipe.
    pub fn close_inlet(&mut self, pipe: PipeId) {
        if let Some(inlet) = self.inlets.remove(&pipe) {
            for producer in inlet.ids().collect::<Vec<_>>() {
                self.forget(producer);
            }
        }
    }

    /// Pauses or resumes a producer, wherever it comes from.
    ///
    /// # Errors
    /// [`MediaError::UnknownProducer`], [`MediaError::Worker`].
    pub async fn set_paused(&mut self, producer: ProducerId, paused: bool) -> Result<(), MediaError> {
        set_paused(self.producer(producer).ok_or(MediaError::UnknownProducer)?, paused).await?;
        self.pause_spreads(producer, paused).await
    }

    async fn pause_spreads(&self, producer: ProducerId, paused: bool) -> Result<(), MediaError> {
        for spread in self.spreads.iter().flatten() {
            spread.set_paused(producer, paused).await?;
        }
        Ok(())
    }

    fn producer(&self, id: ProducerId) -> Option<&Producer> {
        let uplink = self.uplinks.values().find_map(|uplink| uplink.producer(id));
        uplink.or_else(|| self.inlets.values().find_map(|inlet| inlet.producer(id)))
    }

    /// A producer of the home router has ended: closes all that came from it.
    fn forget(&mut self, producer: ProducerId) {
        for viewer in self.viewers.values_mut() {
            viewer.stop_sending(producer);
        }
        for outlet in self.outlets.values_mut() {
            outlet.stop_sending(producer);
        }
        for spread in self.spreads.iter_mut().flatten() {
            spread.stop(producer);
        }
    }

    /// Finds producers whose first packet has arrived though the event that tells it was lost.
    pub async fn look(&mut self) {
        let inlets = self.inlets.values().flat_map(Inlet::arrived);
        let spreads = self.spreads.iter().flatten().flat_map(Spread::arrived);
        let arrived: Vec<_> = inlets.chain(spreads).collect();
        for producer in arrived {
            self.first_packet(producer).await;
        }
    }

    /// The first packet of a producer has arrived: only now a key-frame request can reach its source. Again,
    /// or of a producer that has ended, is no error.
    pub async fn first_packet(&mut self, producer: ProducerId) {
        for inlet in self.inlets.values_mut() {
            if inlet.first_packet_seen(producer).await {
                return self.request_key_frames(producer).await;
            }
        }
        for (index, spread) in self.spreads.iter_mut().enumerate() {
            let Some(spread) = spread else { continue };
            let Some(home) = spread.home_of(producer) else { continue };
            if spread.first_packet_seen(producer).await {
                for viewer in self.viewers.values().filter(|viewer| viewer.spread == Some(index)) {
                    viewer.request_key_frame(home).await;
                }
            }
        }
    }

    /// Chooses the layers of viewers without a bandwidth estimate, of each about once a second. `may_try` tells
    /// whether they may try higher ones now: those of a room together, as each needs a key frame of everybody's.
    pub async fn adapt(&mut self, may_try: bool) {
        let now = Instant::now();
        let due: Vec<_> = self
            .viewers
            .iter()
            .filter_map(|(session, viewer)| Some((*session, viewer.adapts_from(now)?)))
            .collect();
        let mut rates = HashMap::new();
        for (_, home) in &due {
            if !rates.contains_key(home)
                && let Some(producer) = self.producer(*home)
            {
                rates.insert(*home, adapt::rates(producer).await);
            }
        }
        let due: HashMap<_, _> = due.into_iter().collect();
        let looks = self.viewers.iter_mut().filter_map(|(session, viewer)| {
            let home = *due.get(session)?;
            Some(viewer.adapt(home, rates.get(&home)?, may_try, &self.engine.metrics, now))
        });
        join_all(looks).await;
    }

    /// Asks for a key frame of a producer of the home router, for all that it is sent to.
    async fn request_key_frames(&self, producer: ProducerId) {
        for outlet in self.outlets.values() {
            outlet.request_key_frame(producer).await;
        }
        for spread in self.spreads.iter().flatten() {
            spread.request_key_frame(producer).await;
        }
        for viewer in self.viewers.values().filter(|viewer| viewer.spread.is_none()) {
            viewer.request_key_frame(producer).await;
        }
    }

    /// What flows now through publishers and pipes.
    pub async fn measure(&mut self) -> Measured {
        let mut measured = Measured::default();
        for (session, uplink) in &self.uplinks {
            if let Some((flow, passing, producers)) = uplink.flow().await {
                measured.uplinks.insert(*session, flow);
                measured.sessions.insert(*session, passing);
                measured.producers.extend(producers);
            }
        }
        for session in self.turns.take(|session| self.viewers.contains_key(session)) {
            let Some(viewer) = self.viewers.get(&session) else { continue };
            if let Some(flow) = session::flow(&viewer.transport).await {
                measured.sessions.insert(session, flow);
            }
        }
        for (pipe, outlet) in &self.outlets {
            if let Some(stat) = outlet.pipe.stats().await {
                let flow = PipeFlow {
                    bytes_received: stat.bytes_received,
                    bytes_sent: stat.rtp_bytes_sent,
                    bitrate: stat.rtp_send_bitrate,
                    ..PipeFlow::default()
                };
                measured.outlets.insert(*pipe, flow);
            }
        }
        for (pipe, inlet) in &self.inlets {
            let brought = inlet.brought().await;
            if let Some(stat) = inlet.pipe.stats().await {
                let flow = PipeFlow {
                    bytes_received: stat.rtp_bytes_received,
                    bitrate: stat.rtp_recv_bitrate,
                    packets: brought.packets,
                    lost: brought.lost,
                    ..PipeFlow::default()
                };
                measured.inlets.insert(*pipe, flow);
            }
            measured.producers.extend(brought.producers);
        }
        measured
    }

    /// Looks at each packet of a publisher's videos, or no more.
    pub async fn inspect(&self, session: SessionId, on: bool) {
        if let Some(uplink) = self.uplinks.get(&session) {
            uplink.inspect(on).await;
        }
    }

    /// What a viewer is sent now.
    pub async fn viewer_flow(&self, session: SessionId) -> Option<ViewerFlow> {
        let viewer = self.viewers.get(&session)?;
        let (bitrate, estimate) = viewer.bitrates().await.unwrap_or_default();
        Some(ViewerFlow { bitrate, estimate, layer: viewer.layer(), adapted: viewer.adapted() })
    }

    #[cfg(test)]
    pub(super) fn paused_in_spreads(&self) -> Vec<bool> {
        self.spreads.iter().flatten().flat_map(Spread::paused).collect()
    }

    /// How many routers, connections, producers and consumers the room holds: for tests and operators.
    pub fn counts(&self) -> Counts {
        Counts {
            routers: 1 + self.spreads.iter().flatten().count(),
            transports: self.uplinks.len() + self.viewers.len() + self.inlets.len() + self.outlets.len(),
            producers: self.uplinks.values().map(|uplink| uplink.producers().len()).sum::<usize>()
                + self.inlets.values().map(|inlet| inlet.ids().count()).sum::<usize>(),
            consumers: self.viewers.values().map(Viewer::consumer_count).sum(),
        }
    }
}
