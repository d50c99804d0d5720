//! All that a room has in the workers of this node.

mod looks;
mod messages;
mod participants;
mod pipes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use mediasoup::prelude::{Producer, Router, RtpCodecParameters, WebRtcTransport};
use mediasoup::producer::ProducerType;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::adapt::{self, Adaptation};
use super::engine::{Engine, WorkerId};
use super::inlet::{Inlet, set_paused};
use super::levels::Levels;
use super::messages::Messages;
use super::outlet::Outlet;
use super::receiver::Receiver;
use super::session::Needs;
use super::spread::Spread;
use super::uplink::Uplink;
use super::viewer::Viewer;
use super::{FeedId, MediaError, MediaEvent, Medium, ProducerInfo, TransportInfo, layout, session};
use crate::protocol::ids::{PipeId, ProducerId, RouterId, SessionId};
use crate::protocol::rtp::DtlsParameters;

/// The routers, connections and pipes of one room. Owned by the room's task alone; fields are
/// declared children first, so that dropping it closes in the right order.
#[derive(Debug)]
pub struct RoomMedia {
    viewers: HashMap<SessionId, Viewer>,
    receivers: HashMap<SessionId, Receiver>,
    outlets: HashMap<PipeId, Outlet>,
    /// What measures how loud publishers and participants are, where that is asked for.
    levels: Option<Levels>,
    /// Never reordered while viewers refer to them by index; unused ones are set to none.
    spreads: Vec<Option<Spread>>,
    uplinks: HashMap<SessionId, Uplink>,
    inlets: HashMap<PipeId, Inlet>,
    /// The pipe by which a producer comes, of those that bring it: what it means.
    comes_by: HashMap<ProducerId, PipeId>,
    messages: Messages,
    home: Router,
    worker: WorkerId,
    /// The viewers to whom something is sent in place of something else.
    moving: HashSet<SessionId>,
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
            receivers: HashMap::new(),
            outlets: HashMap::new(),
            levels: None,
            spreads: Vec::new(),
            uplinks: HashMap::new(),
            inlets: HashMap::new(),
            comes_by: HashMap::new(),
            messages: Messages::new(engine.metrics.data_messages.clone()),
            home,
            worker,
            moving: HashSet::new(),
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
        if let Some(levels) = &self.levels {
            for audio in uplink.audios() {
                levels.add(audio).await;
            }
        }
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
        let codecs: Vec<_> = sources
            .iter()
            .filter_map(|source| Some((source.kind.media()?, self.codec_of(source.id)?)))
            .collect();
        layout::check(&wanted, &codecs, self.engine.capabilities())?;
        let chooses = sources.iter().any(|source| self.is_layered(source.id));
        let wanted = if chooses { wanted } else { adapt::without_estimate(wanted) };
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
        let needs = Needs { estimate, sctp: false };
        let transport = session::open(router, worker, &self.engine, session, needs, &self.events).await?;
        let connection = transport.clone();
        let connected = async {
            match dtls {
                Some(dtls) => session::connect(&connection, dtls).await,
                None => Ok(()),
            }
        };
        let viewer =
            Viewer::new(session, transport, spread, media, adaptation, self.engine.share_load(worker));
        self.viewers.insert(session, viewer);
        self.turns.add(session);
        // Asked at once, as neither waits for the other.
        let (connected, shown) = tokio::join!(connected, self.show(session, sources));
        connected.and(shown)?;
        let viewer = self.viewers.get(&session).ok_or(MediaError::UnknownSession)?;
        Ok((session::info(&viewer.transport, &self.engine), viewer.media.clone()))
    }

    /// Sends a viewer these sources, in place of what it was sent on the same sections before: that goes on until
    /// they have begun.
    ///
    /// # Errors
    /// [`MediaError::Unsupported`] if its session can't carry one of them, though another session might.
    pub async fn show(&mut self, session: SessionId, sources: &[ProducerInfo]) -> Result<(), MediaError> {
        // Where many are shown something, the first of them are sent both for no longer than it takes.
        self.settle();
        for source in sources {
            let codec = self.codec_of(source.id).ok_or(MediaError::UnknownProducer)?;
            let viewer = self.viewers.get(&session).ok_or(MediaError::UnknownSession)?;
            let capabilities = self.router(viewer.spread).rtp_capabilities();
            let Some(medium) = viewer.media.iter().find(|medium| Some(medium.kind) == source.kind.media())
            else {
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
            let (id, mid) = (source.id, medium.mid.clone());
            let feed = self.feed_of(id).ok_or(MediaError::UnknownProducer)?;
            let viewer = self.viewers.get_mut(&session).ok_or(MediaError::UnknownSession)?;
            let spread = viewer.spread.and_then(|index| self.spreads.get_mut(index)?.as_mut());
            match spread {
                Some(spread) => {
                    let local = spread.stand_in(feed, &self.engine, &self.events).await?;
                    viewer.send(&spread.router, &mid, (id, feed, local), &self.events).await?;
                }
                None => viewer.send(&self.home, &mid, (id, feed, feed), &self.events).await?,
            }
            if viewer.is_moving() {
                self.moving.insert(session);
            }
        }
        Ok(())
    }

    /// The codec of a producer of the home router.
    fn codec_of(&self, producer: ProducerId) -> Option<RtpCodecParameters> {
        self.producer(self.feed_of(producer)?)?.rtp_parameters().codecs.first().cloned()
    }

    fn is_layered(&self, producer: ProducerId) -> bool {
        let producer = self.feed_of(producer).and_then(|feed| self.producer(feed));
        producer.is_some_and(|producer| producer.r#type() != ProducerType::Simple)
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
        if here.by_ref().count() >= self.engine.limits.borrow().payload_layouts {
            return Err(MediaError::TooManyLayouts);
        }
        let codecs = match at_home {
            Some(_) => self.engine.codecs(),
            None => layout::number(wanted, sources, home)?,
        };
        let spread = Spread::open(&self.home, &self.engine, worker, codecs).await?;
        let agreed = layout::agree(wanted, sources, &spread.router.rtp_capabilities());
        Ok((Some(self.keep(spread)), agreed))
    }

    /// A router on a worker that numbers its codecs as the home router does: that one, or a further one (an index of the
    /// spreads).
    async fn spread_like_home(&mut self, worker: WorkerId) -> Result<Option<usize>, MediaError> {
        if worker == self.worker {
            return Ok(None);
        }
        let home = self.engine.capabilities();
        let like = |spread: &Spread| {
            spread.worker == worker && spread.router.rtp_capabilities().codecs == home.codecs
        };
        if let Some(index) = self.spreads.iter().position(|spread| spread.as_ref().is_some_and(like)) {
            return Ok(Some(index));
        }
        let spread = Spread::open(&self.home, &self.engine, worker, self.engine.codecs()).await?;
        Ok(Some(self.keep(spread)))
    }

    /// Keeps a further router, in the first place that is free.
    fn keep(&mut self, spread: Spread) -> usize {
        let free = self.spreads.iter().position(Option::is_none).unwrap_or(self.spreads.len());
        if free == self.spreads.len() {
            self.spreads.push(None);
        }
        if let Some(place) = self.spreads.get_mut(free) {
            *place = Some(spread);
        }
        free
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
        let receivers = self.receivers.iter().map(|(id, receiver)| (*id, &receiver.transport));
        uplinks
            .chain(viewers)
            .chain(receivers)
            .filter_map(|(id, transport)| Some((id, session::is_up(transport)?)))
            .collect()
    }

    fn connection(&self, session: SessionId) -> Option<&WebRtcTransport> {
        let uplink = self.uplinks.get(&session).map(|uplink| &uplink.transport);
        let viewer = || self.viewers.get(&session).map(|viewer| &viewer.transport);
        let receiver = || self.receivers.get(&session).map(|receiver| &receiver.transport);
        uplink.or_else(viewer).or_else(receiver)
    }

    /// Closes a publisher's connection.
    pub fn unpublish(&mut self, session: SessionId) {
        if let Some(uplink) = self.uplinks.remove(&session) {
            for producer in uplink.producers() {
                self.forget(FeedId(producer.id.0));
            }
            self.sweep_messages();
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
            && self.receivers.values().all(|receiver| receiver.spread != spread)
            && let Some(place) = self.spreads.get_mut(index)
        {
            *place = None;
            self.messages.close_router(index);
        }
    }

    /// Pauses or resumes a producer, by whichever way it comes.
    ///
    /// # Errors
    /// [`MediaError::UnknownProducer`], [`MediaError::Worker`].
    pub async fn set_paused(&mut self, producer: ProducerId, paused: bool) -> Result<(), MediaError> {
        if let Some(done) = self.pause_messages(producer, paused).await {
            return done;
        }
        self.feed_of(producer).ok_or(MediaError::UnknownProducer)?;
        let piped = self.inlets.values().flat_map(|inlet| inlet.feeds_of(producer));
        let feeds: Vec<_> = self.published(producer).into_iter().chain(piped).collect();
        for feed in feeds {
            set_paused(self.producer(feed).ok_or(MediaError::UnknownProducer)?, paused).await?;
            self.pause_spreads(feed, paused).await?;
        }
        Ok(())
    }

    async fn pause_spreads(&self, feed: FeedId, paused: bool) -> Result<(), MediaError> {
        for spread in self.spreads.iter().flatten() {
            spread.set_paused(feed, paused).await?;
        }
        Ok(())
    }

    /// What a producer means now.
    fn feed_of(&self, id: ProducerId) -> Option<FeedId> {
        self.published(id).or_else(|| self.inlets.get(self.comes_by.get(&id)?)?.feed_of(id))
    }

    /// A producer of a publisher is a feed of its own name.
    fn published(&self, id: ProducerId) -> Option<FeedId> {
        self.uplinks.values().any(|uplink| uplink.producer(id).is_some()).then_some(FeedId(id.0))
    }

    fn producer(&self, feed: FeedId) -> Option<&Producer> {
        let uplink = self.uplinks.values().find_map(|uplink| uplink.producer(ProducerId(feed.0)));
        uplink.or_else(|| self.inlets.values().find_map(|inlet| inlet.producer(feed)))
    }

    /// A feed has ended: closes all that came from it.
    fn forget(&mut self, feed: FeedId) {
        for viewer in self.viewers.values_mut() {
            viewer.stop(feed);
        }
        for receiver in self.receivers.values_mut() {
            receiver.stop(feed);
        }
        for outlet in self.outlets.values_mut() {
            outlet.stop(feed);
        }
        for spread in self.spreads.iter_mut().flatten() {
            spread.stop(feed);
        }
    }

    /// Closes what viewers were sent before, where what replaces it is sent.
    fn settle(&mut self) {
        let now = Instant::now();
        for session in &self.moving {
            self.viewers.get_mut(session).into_iter().for_each(|viewer| viewer.settle(now));
        }
    }

    /// A viewer was sent the first packet of what replaces something. Again, or of one that has ended, is no error.
    pub async fn moved(&mut self, session: SessionId) {
        // Of all: where many move at once, some events find no place.
        self.settle();
        if let Some(viewer) = self.viewers.get_mut(&session) {
            viewer.quiet().await;
        }
        if self.viewers.get(&session).is_none_or(|viewer| !viewer.is_moving()) {
            self.moving.remove(&session);
        }
    }
}
