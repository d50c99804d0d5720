//! The media of a room without its core: a test does what the core would, step by step.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use headwater::config::Config;
use headwater::http::sdp::{
    Description, LocalTransport, answer_publish, answer_watch, publish_media, watch_media,
};
use headwater::media::{
    Counts, Engine, Measured, MediaEvent, Piped, ProducerInfo, RoomMedia, TransportInfo, WorkerId,
};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::ids::{PipeId, ProducerId, SessionId};
use headwater::telemetry::Metrics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::web::Site;

/// As often as a room's task looks.
const LOOK: Duration = Duration::from_millis(250);

type Work = Box<dyn for<'a> FnOnce(&'a mut Room) -> BoxFuture<'a, ()> + Send>;

/// A room's media, and a WHIP and WHEP endpoint for it.
#[derive(Debug)]
pub(crate) struct Station {
    room: Handle,
    site: Site,
    _deaths: mpsc::Receiver<WorkerId>,
    _task: JoinSet<()>,
}

/// What a station's task owns.
pub(crate) struct Room {
    pub(crate) media: RoomMedia,
    /// The stream that is here.
    pub(crate) sources: Vec<ProducerInfo>,
    /// A video with layers that is sent no more.
    layers: Vec<ProducerInfo>,
    pub(crate) viewers: Vec<SessionId>,
}

#[derive(Clone)]
struct Handle {
    works: mpsc::Sender<Work>,
    engine: Arc<Engine>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Station {
    /// With so many workers, each of which takes its share of the viewers.
    pub(crate) async fn start(workers: usize) -> Self {
        let mut config = Config::default();
        config.media.workers = workers;
        config.media.spread_slack = 0;
        config.webrtc.port = 0;
        headwater::telemetry::log::start(&config.log).unwrap();
        let (deaths, dead) = mpsc::channel(4);
        let limits = watch::channel(config.limits).1;
        let engine =
            Engine::start(&config, limits, &Arc::new(Metrics::new()), deaths).await.expect("workers");
        let engine = Arc::new(engine);
        let (events, told) = mpsc::channel(256);
        let media = RoomMedia::open(Arc::clone(&engine), events).await.expect("a router");
        let (works, inbox) = mpsc::channel(64);
        let mut task = JoinSet::new();
        task.spawn(run(
            Room { media, sources: Vec::new(), layers: Vec::new(), viewers: Vec::new() },
            inbox,
            told,
        ));
        let room = Handle { works, engine };
        let routes = Router::new()
            .route("/", get(async || Html("<!doctype html><title>station</title>")))
            .route("/whip", post(whip))
            .route("/whip/layers", post(whip_layers))
            .route("/whep", post(whep))
            .route("/whep/estimated", post(whep_estimated))
            .route("/session/{id}", delete(end))
            .with_state(room.clone());
        Self { room, site: Site::serve(routes).await, _deaths: dead, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.site.url())
    }

    /// What the core would do.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Room) -> BoxFuture<'a, T> + Send + 'static,
    ) -> T {
        self.room.with(work).await
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.with(|room| async { room.media.counts() }.boxed()).await
    }

    pub(crate) async fn measured(&self) -> Measured {
        self.with(|room| room.media.measure().boxed()).await
    }

    pub(crate) async fn ids(&self) -> Vec<ProducerId> {
        self.with(|room| async { room.sources.iter().map(|source| source.id).collect() }.boxed()).await
    }

    /// A pipe to another station, with nothing on it yet.
    pub(crate) async fn pipe_to(&self, child: &Self) -> PipeId {
        let pipe = PipeId(Uuid::new_v4());
        let own = self.with(move |room| room.media.open_outlet(pipe).boxed()).await.expect("an outlet");
        let srtp = own.srtp.is_some();
        let other = child.with(move |room| room.media.open_inlet(pipe, srtp, true).boxed()).await;
        let other = other.expect("an inlet");
        let connected =
            self.with(move |room| async move { room.media.connect_outlet(pipe, &other).await }.boxed());
        connected.await.expect("connected");
        let connected =
            child.with(move |room| async move { room.media.connect_inlet(pipe, &own).await }.boxed());
        connected.await.expect("connected");
        pipe
    }

    /// Sends all that is here on a pipe, anew where it means something else than before.
    pub(crate) async fn send(&self, pipe: PipeId, child: &Self) {
        let sent = self.with(move |room| {
            async move {
                let mut sent = Vec::new();
                for source in &room.sources {
                    sent.push(room.media.send(pipe, source.id).await.expect("sent"));
                }
                sent
            }
            .boxed()
        });
        let sent: Vec<Piped> = sent.await;
        child
            .with(move |room| {
                async move {
                    for piped in sent {
                        let info = room.media.receive(pipe, &piped).await.expect("received");
                        room.sources.retain(|known| known.id != info.id);
                        room.sources.push(info);
                    }
                    room.sources.sort_by_key(|source| (source.kind, source.id));
                }
                .boxed()
            })
            .await;
    }

    /// Shows all viewers what is here now.
    pub(crate) async fn show(&self) {
        self.with(|room| {
            async {
                for session in &room.viewers {
                    room.media.show(*session, &room.sources).await.expect("shown");
                }
            }
            .boxed()
        })
        .await;
    }
}

impl Handle {
    async fn with<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Room) -> BoxFuture<'a, T> + Send + 'static,
    ) -> T {
        let (sender, answer) = oneshot::channel();
        let work: Work = Box::new(move |room| {
            async move {
                let _ = sender.send(work(room).await);
            }
            .boxed()
        });
        assert!(self.works.send(work).await.is_ok(), "the station is there");
        answer.await.expect("it is done")
    }
}

async fn run(mut room: Room, mut inbox: mpsc::Receiver<Work>, mut events: mpsc::Receiver<MediaEvent>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            work = inbox.recv() => match work {
                Some(work) => work(&mut room).await,
                None => return,
            },
            Some(event) = events.recv() => match event {
                MediaEvent::FirstPacket(feed) => room.media.first_packet(feed).await,
                MediaEvent::Moved(session) => room.media.moved(session).await,
                _ => {}
            },
            _ = look.tick() => {
                room.media.look().await;
                room.media.adapt(true).await;
            }
        }
    }
}

async fn whip(State(handle): State<Handle>, offer: String) -> Response {
    publish(&handle, &offer, |room, producers| room.sources = producers).await
}

async fn whip_layers(State(handle): State<Handle>, offer: String) -> Response {
    publish(&handle, &offer, |room, producers| {
        room.layers = producers;
        room.layers.retain(|producer| producer.kind == ProducerKind::Video);
    })
    .await
}

async fn publish(
    handle: &Handle,
    offer: &str,
    keep: impl FnOnce(&mut Room, Vec<ProducerInfo>) + Send + 'static,
) -> Response {
    let offer = Description::parse(offer).expect("an offer");
    let media = publish_media(&offer, handle.engine.capabilities()).expect("a publisher's");
    let (offered, dtls) = (media.clone(), offer.dtls().expect("a fingerprint"));
    let published = handle.with(move |room| {
        async move {
            let session = SessionId(Uuid::new_v4());
            let (transport, producers) = room.media.publish(session, offered, dtls).await.expect("published");
            keep(room, producers);
            transport
        }
        .boxed()
    });
    let answer = answer_publish(&offer, &media, &local(published.await)).expect("an answer");
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/sdp")], answer).into_response()
}

async fn whep(State(handle): State<Handle>, offer: String) -> Response {
    watch(&handle, &offer, |room| room.sources.clone()).await
}

/// The viewer's bandwidth is estimated, as of one whose stream has layers; it is sent the same as others.
async fn whep_estimated(State(handle): State<Handle>, offer: String) -> Response {
    watch(&handle, &offer, |room| [room.layers.clone(), room.sources.clone()].concat()).await
}

async fn watch(
    handle: &Handle,
    offer: &str,
    sources: impl FnOnce(&Room) -> Vec<ProducerInfo> + Send + 'static,
) -> Response {
    let offer = Description::parse(offer).expect("an offer");
    let (wanted, dtls) = (watch_media(&offer).expect("a viewer's"), offer.dtls().expect("a fingerprint"));
    let session = SessionId(Uuid::new_v4());
    let watched = handle.with(move |room| {
        async move {
            let sources = sources(room);
            let watched = room.media.watch(session, wanted, Some(dtls), &sources).await.expect("watched");
            room.viewers.push(session);
            watched
        }
        .boxed()
    });
    let (transport, media) = watched.await;
    let answer = answer_watch(&offer, &media, &local(transport), "main").expect("an answer");
    let at = format!("/session/{}", session.0);
    let headers = [(header::CONTENT_TYPE, "application/sdp"), (header::LOCATION, at.as_str())];
    (StatusCode::CREATED, headers, answer).into_response()
}

/// A viewer leaves. Else its transport would stay, and another that comes from the same port would be taken for it.
async fn end(State(handle): State<Handle>, Path(id): Path<Uuid>) -> StatusCode {
    let left = handle.with(move |room| {
        async move {
            room.viewers.retain(|viewer| viewer.0 != id);
            room.media.unwatch(SessionId(id)).await;
        }
        .boxed()
    });
    left.await;
    StatusCode::OK
}

fn local(TransportInfo { ice, candidates, dtls, .. }: TransportInfo) -> LocalTransport {
    LocalTransport { ice, candidates, dtls }
}
