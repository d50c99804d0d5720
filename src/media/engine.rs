//! The workers of a node, for as long as the process lives.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use mediasoup::prelude::{
    ListenInfo, Protocol, Router, RouterOptions, RtpCapabilitiesFinalized, RtpCodecCapability, WebRtcServer,
    WebRtcServerListenInfos, WebRtcServerOptions, Worker, WorkerManager, WorkerSettings,
};
use mediasoup::worker::{CreateRouterError, CreateWebRtcServerError, WorkerLogLevel};
use tokio::sync::{mpsc, watch};

use super::announced::{AnnouncedError, Told};
use super::{MediaError, buffers, codecs};
use crate::config::{Announced, Config, Limits, Pipe, WebRtc};
use crate::places::{Place, Places};
use crate::telemetry::Metrics;

/// The workers, their listeners and what they are set up with. Dropped last, off the runtime:
/// dropping it waits for the worker threads.
#[derive(Debug)]
pub struct Engine {
    workers: Vec<ArcSwap<Slot>>,
    manager: WorkerManager,
    codecs: Vec<RtpCodecCapability>,
    capabilities: RtpCapabilitiesFinalized,
    /// Workers started so far.
    started: AtomicU64,
    deaths: mpsc::Sender<WorkerId>,
    told: ArcSwap<Told>,
    pub(super) webrtc: WebRtc,
    pub(super) pipe: Pipe,
    pub(super) key_frame_delay_ms: u32,
    /// The limits as they are now.
    pub(super) limits: watch::Receiver<Limits>,
    /// Places for pipes to other nodes.
    outlets: Places,
    spread_slack: usize,
    pub(super) metrics: Arc<Metrics>,
}

/// A worker: its place, and which of those that had the place in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerId {
    /// The place.
    pub index: usize,
    /// The worker's number among all that were started, from 1.
    pub generation: u64,
}

#[derive(Debug)]
struct Slot {
    id: WorkerId,
    server: WebRtcServer,
    worker: Worker,
    viewers: Arc<AtomicUsize>,
    dead: Arc<AtomicBool>,
}

/// One viewer's share of a worker's load; given back when dropped.
#[derive(Debug)]
pub(super) struct LoadShare(Arc<AtomicUsize>);

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A worker thread did not start.
    #[error("media worker did not start: {0}")]
    Worker(#[from] io::Error),
    /// A listener did not start.
    #[error("webrtc.listen {addresses:?} port {port}: {source}; is the port taken?")]
    Listen {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// The port; 0 is any.
        port: u16,
        /// Why.
        source: CreateWebRtcServerError,
    },
    /// It isn't known what to tell of the listeners.
    #[error(transparent)]
    Announced(#[from] AnnouncedError),
    /// The codecs are refused.
    #[error("media.codecs: {0}")]
    Codecs(#[from] CreateRouterError),
}

impl Engine {
    /// Starts the workers and their listeners. Of the configuration's limits those hold that `limits` has by then. Deaths
    /// of workers are told into `deaths`; one that finds no place there is found by [`Engine::dead`].
    ///
    /// # Errors
    /// [`EngineError`] that names the key to change.
    pub async fn start(
        config: &Config,
        limits: watch::Receiver<Limits>,
        metrics: &Arc<Metrics>,
        deaths: mpsc::Sender<WorkerId>,
    ) -> Result<Self, EngineError> {
        let told = Told::look_up(&config.webrtc, &config.pipe).await?;
        buffers::check(config);
        let manager = WorkerManager::new();
        let count = match config.media.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let mut workers = Vec::with_capacity(count);
        let started = AtomicU64::new(0);
        for index in 0..count {
            let id = next_id(&started, index);
            let slot = Slot::start(&manager, &config.webrtc, id, &deaths).await?;
            workers.push(ArcSwap::from_pointee(slot));
        }
        let codecs = codecs::capabilities(&config.media.codecs);
        // A router's capabilities follow from its codecs alone: one is asked for all.
        let capabilities = match workers.first() {
            Some(slot) => {
                let options = RouterOptions::new(codecs.clone());
                slot.load().worker.create_router(options).await?.rtp_capabilities()
            }
            None => RtpCapabilitiesFinalized::default(),
        };
        let ports = i64::try_from(config.pipe.ports.size()).unwrap_or(i64::MAX);
        metrics.pipe_ports.set(ports);
        Ok(Self {
            workers,
            manager,
            codecs,
            capabilities,
            started,
            deaths,
            told: ArcSwap::from_pointee(told),
            webrtc: config.webrtc.clone(),
            pipe: config.pipe.clone(),
            key_frame_delay_ms: u32::try_from(config.media.key_frame_delay.as_millis()).unwrap_or(u32::MAX),
            outlets: Places::new(limits.clone(), |limits| limits.outlets),
            limits,
            spread_slack: config.media.spread_slack,
            metrics: Arc::clone(metrics),
        })
    }

    /// A place among the pipes to other nodes (`limits.outlets`); given back when dropped.
    pub(super) fn outlet_place(&self) -> Result<Place, MediaError> {
        self.outlets.take().ok_or(MediaError::NoOutlets)
    }

    /// What is told of the listeners now.
    pub fn told(&self) -> Told {
        **self.told.load()
    }

    /// Whether that may change: it hangs on host names.
    pub fn tells_names(&self) -> bool {
        let announced = [&self.webrtc.announced, &self.pipe.announced];
        announced.into_iter().flatten().any(Announced::has_names)
    }

    /// Looks the host names up again; who comes from here on is told what they have now.
    ///
    /// # Errors
    /// [`AnnouncedError`] with the key; what was told before stays.
    pub async fn look_up_again(&self) -> Result<(), AnnouncedError> {
        let told = Told::look_up(&self.webrtc, &self.pipe).await?;
        if told != self.told() {
            tracing::info!(?told, "announced addresses have changed");
            self.told.store(Arc::new(told));
        }
        Ok(())
    }

    /// What every room's home router can take and send.
    pub fn capabilities(&self) -> &RtpCapabilitiesFinalized {
        &self.capabilities
    }

    /// The workers, by place.
    pub fn workers(&self) -> Vec<WorkerId> {
        self.workers.iter().map(|place| place.load().id).collect()
    }

    /// Viewers on each worker.
    pub fn loads(&self) -> Vec<usize> {
        self.workers.iter().map(|slot| slot.load().viewers.load(Ordering::Relaxed)).collect()
    }

    /// Puts a fresh worker in the place of a dead one.
    ///
    /// # Errors
    /// [`EngineError`] if it does not start; the place stays dead.
    pub async fn revive(&self, index: usize) -> Result<(), EngineError> {
        if let Some(place) = self.workers.get(index) {
            let id = next_id(&self.started, index);
            let slot = Slot::start(&self.manager, &self.webrtc, id, &self.deaths).await?;
            place.store(Arc::new(slot));
        }
        Ok(())
    }

    /// The workers that are dead and not replaced.
    pub fn dead(&self) -> Vec<WorkerId> {
        let slots = self.workers.iter().map(|place| place.load());
        slots.filter(|slot| slot.dead.load(Ordering::Relaxed)).map(|slot| slot.id).collect()
    }

    /// What the workers hold, by their own count: for tests and operators.
    ///
    /// # Errors
    /// [`MediaError::Worker`] if a worker does not answer.
    pub async fn router_count(&self) -> Result<usize, MediaError> {
        let mut routers = 0;
        for place in &self.workers {
            let worker = place.load().worker.clone();
            routers += worker.dump().await.map_err(worker_error)?.router_ids.len();
        }
        Ok(routers)
    }

    /// The living worker with the fewest viewers, where a new room is at home.
    pub(super) fn lightest(&self) -> Result<WorkerId, MediaError> {
        self.choose(&[])
    }

    /// The worker for a room's next viewer, given the workers that the room is on already.
    pub(super) fn worker_for_viewer(&self, on: &[WorkerId]) -> Result<WorkerId, MediaError> {
        self.choose(on)
    }

    fn choose(&self, on: &[WorkerId]) -> Result<WorkerId, MediaError> {
        let ids = self.workers();
        let loads: Vec<_> = self.workers.iter().map(|place| place.load().load()).collect();
        // A replacement is another worker than the one that the room is on.
        let on: Vec<_> = on.iter().filter(|id| ids.contains(id)).map(|id| id.index).collect();
        let chosen = choose_worker(&loads, &on, self.spread_slack);
        chosen.and_then(|index| ids.get(index).copied()).ok_or_else(no_worker)
    }

    pub(super) async fn home_router(&self, worker: WorkerId) -> Result<Router, MediaError> {
        self.router(worker, self.codecs()).await
    }

    /// The codecs of home routers, as they number them.
    pub(super) fn codecs(&self) -> Vec<RtpCodecCapability> {
        self.codecs.clone()
    }

    pub(super) async fn router(
        &self,
        worker: WorkerId,
        codecs: Vec<RtpCodecCapability>,
    ) -> Result<Router, MediaError> {
        let worker = self.slot(worker)?.worker.clone();
        worker
            .create_router(RouterOptions::new(codecs))
            .await
            .map_err(|error| MediaError::Worker(error.to_string()))
    }

    pub(super) fn server(&self, worker: WorkerId) -> Result<WebRtcServer, MediaError> {
        Ok(self.slot(worker)?.server.clone())
    }

    pub(super) fn share_load(&self, worker: WorkerId) -> Option<LoadShare> {
        let viewers = Arc::clone(&self.slot(worker).ok()?.viewers);
        viewers.fetch_add(1, Ordering::Relaxed);
        Some(LoadShare(viewers))
    }

    /// The worker itself, not one that has taken its place.
    fn slot(&self, worker: WorkerId) -> Result<Arc<Slot>, MediaError> {
        let slot = self.workers.get(worker.index).map(ArcSwap::load_full);
        slot.filter(|slot| slot.id == worker).ok_or_else(|| MediaError::Worker("it is gone".to_owned()))
    }
}

fn next_id(started: &AtomicU64, index: usize) -> WorkerId {
    WorkerId { index, generation: started.fetch_add(1, Ordering::Relaxed) + 1 }
}

fn no_worker() -> MediaError {
    MediaError::Worker("none is alive".to_owned())
}

/// The lightest living worker, unless one that the room is on is nearly as light: every further worker
/// costs the room a copy of its media. A dead one has no load.
fn choose_worker(loads: &[Option<usize>], on: &[usize], slack: usize) -> Option<usize> {
    let lightest = |indexes: &mut dyn Iterator<Item = usize>| {
        indexes.filter_map(|index| Some(((*loads.get(index)?)?, index))).min()
    };
    let (least, any) = lightest(&mut (0..loads.len()))?;
    match lightest(&mut on.iter().copied()) {
        Some((load, near)) if load <= least.saturating_add(slack) => Some(near),
        _ => Some(any),
    }
}

impl Slot {
    async fn start(
        manager: &WorkerManager,
        webrtc: &WebRtc,
        id: WorkerId,
        deaths: &mpsc::Sender<WorkerId>,
    ) -> Result<Self, EngineError> {
        let mut settings = WorkerSettings::default();
        settings.log_level = WorkerLogLevel::Warn;
        settings.log_tags = Vec::new();
        let worker = manager.create_worker(settings).await?;
        let (deaths, dead) = (deaths.clone(), Arc::new(AtomicBool::new(false)));
        let died = Arc::clone(&dead);
        worker
            .on_dead(move |_| {
                died.store(true, Ordering::Relaxed);
                let _ = deaths.try_send(id);
            })
            .detach();
        let offset = u16::try_from(id.index).unwrap_or(u16::MAX);
        let port = (webrtc.port > 0).then(|| webrtc.port.saturating_add(offset));
        let options = WebRtcServerOptions::new(listen_infos(webrtc, port));
        let server = worker.create_webrtc_server(options).await.map_err(|source| EngineError::Listen {
            addresses: webrtc.listen.clone(),
            port: port.unwrap_or(0),
            source,
        })?;
        Ok(Self { id, server, worker, viewers: Arc::new(AtomicUsize::new(0)), dead })
    }

    /// Its viewers; none of a dead worker.
    fn load(&self) -> Option<usize> {
        (!self.dead.load(Ordering::Relaxed)).then(|| self.viewers.load(Ordering::Relaxed))
    }
}

fn listen_infos(webrtc: &WebRtc, port: Option<u16>) -> WebRtcServerListenInfos {
    let protocols: &[Protocol] = if webrtc.tcp { &[Protocol::Udp, Protocol::Tcp] } else { &[Protocol::Udp] };
    let mut infos = webrtc.listen.iter().flat_map(|ip| {
        protocols.iter().map(|protocol| ListenInfo {
            protocol: *protocol,
            ip: *ip,
            // Told by us, who can look it up again.
            announced_address: None,
            expose_internal_ip: false,
            port,
            port_range: None,
            flags: None,
            send_buffer_size: buffers::asked(webrtc.send_buffer).filter(|_| *protocol == Protocol::Udp),
            recv_buffer_size: buffers::asked(webrtc.receive_buffer).filter(|_| *protocol == Protocol::Udp),
        })
    });
    // The configuration has at least one address.
    let first = infos.next().unwrap_or_else(|| super::pipe::loopback(Protocol::Udp));
    infos.fold(WebRtcServerListenInfos::new(first), WebRtcServerListenInfos::insert)
}

pub(super) fn worker_error(error: mediasoup::worker::RequestError) -> MediaError {
    let text = error.to_string();
    if text.contains("no more available ports") { MediaError::NoPorts } else { MediaError::Worker(text) }
}

#[cfg(test)]
mod tests {
    use super::choose_worker;
    use proptest::prelude::*;

    #[test]
    fn a_room_stays_where_it_is_until_that_worker_is_clearly_fuller() {
        assert_eq!(choose_worker(&[Some(3), Some(0), Some(0)], &[0], 5), Some(0));
        assert_eq!(choose_worker(&[Some(6), Some(0), Some(0)], &[0], 5), Some(1));
        assert_eq!(choose_worker(&[Some(6), Some(2), Some(0)], &[0, 1], 5), Some(1));
    }

    #[test]
    fn a_dead_worker_is_not_chosen() {
        assert_eq!(choose_worker(&[None, Some(9)], &[], 5), Some(1));
        assert_eq!(choose_worker(&[None, Some(9)], &[0], 50), Some(1));
        assert_eq!(choose_worker(&[None, None], &[0], 5), None);
    }

    proptest! {
        #[test]
        fn no_worker_is_ever_more_than_the_slack_above_the_lightest(
            loads in proptest::collection::vec(proptest::option::of(0usize..50), 1..8),
            on in proptest::collection::vec(0usize..8, 0..8),
            slack in 0usize..20,
        ) {
            let chosen = choose_worker(&loads, &on, slack);
            let least = loads.iter().flatten().min().copied();
            prop_assert_eq!(chosen.is_some(), least.is_some());
            if let (Some(chosen), Some(least)) = (chosen, least) {
                prop_assert!(loads[chosen].is_some_and(|load| load <= least + slack));
            }
        }
    }
}
