//! A WHIP publisher that plays a clip in a loop.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clip::Clip;
use super::connection::{Connection, Depth};
use super::http::{Http, Route, TURN, parse_url};
use super::outgoing::{self, Outgoing};
use super::report::{ConnectionState, millis};
use super::sending::Sending;
use super::session::{Absent, Session};
use super::{ClientError, links, offer, whip};

/// What to publish, and where.
#[derive(Debug, Clone)]
pub struct PublishOptions {
    /// The WHIP endpoint.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// The media.
    pub clip: Arc<Clip>,
    /// Publish the clip's audio, if it has any.
    pub audio: bool,
    /// Publish the clip's video, if it has any.
    pub video: bool,
    /// Publish all layers of the clip's video as rids `q`, `h` and `f`, low to high; else the highest alone.
    ///
    /// A clip with one layer sends it under all three rids.
    pub simulcast: bool,
    /// Answer a key-frame request by jumping to the next key frame of the clip.
    pub key_frame_on_request: bool,
    /// Tell in each picture when it was sent, where its codec lets that be done without harm: VP8.
    pub stamped: bool,
    /// Where too much comes from this address (429), ask again as `Retry-After` says, for so long in all.
    pub in_turn: Option<Duration>,
    /// Shared HTTP connections; `None` opens its own.
    pub http: Option<Http>,
}

impl PublishOptions {
    /// Audio and video of `clip`, without simulcast or token.
    #[must_use]
    pub fn new(url: impl Into<String>, clip: Arc<Clip>) -> PublishOptions {
        PublishOptions {
            url: url.into(),
            token: None,
            clip,
            audio: true,
            video: true,
            simulcast: false,
            key_frame_on_request: true,
            stamped: false,
            in_turn: Some(TURN),
            http: None,
        }
    }
}

/// A publisher's view of its session; all times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishStats {
    /// Whether media can flow.
    pub state: ConnectionState,
    /// Why it is disconnected.
    pub reason: Option<String>,
    /// What a Headwater server told about itself.
    #[serde(flatten)]
    pub route: Route,
    /// From the POST to the head of its answer.
    pub answer_ms: Option<f64>,
    /// From the POST to ICE and DTLS being up.
    pub connected_ms: Option<f64>,
    /// RTP packets sent, retransmissions included.
    pub packets: u64,
    /// Bytes of these packets, RTP headers and SRTP tags included.
    pub bytes: u64,
    /// Bits per second over the last second.
    pub bitrate_bps: u64,
    /// Pictures sent, counted once for each layer.
    pub video_frames: u64,
    /// Audio packets sent.
    pub audio_frames: u64,
    /// Requests for a key frame received (PLI and FIR).
    pub key_frame_requests: u64,
    /// Share of packets lost on the way as the server last reported, 0 to 1.
    pub loss_ratio: Option<f32>,
    /// Round trip time of the last ICE check.
    pub rtt_ms: Option<f64>,
}

impl PublishStats {
    /// Whether ICE and DTLS are up.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.state == ConnectionState::Connected
    }
}

/// A running publisher. Dropping it stops the media at once, but leaves the session to the server's timeout.
#[derive(Debug)]
pub struct Publisher {
    session: Session,
    /// Endpoints to go on at.
    ways: Vec<Url>,
    stats: watch::Receiver<PublishStats>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Publisher {
    /// Offers the media and starts to send it; returns when the answer is applied.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the server refuses or cannot be reached; nothing keeps running then.
    pub async fn start(options: PublishOptions) -> Result<Publisher, ClientError> {
        let url = parse_url(&options.url)?;
        let http = options.http.clone().map_or_else(Http::new, Ok)?;
        let mut tracks = Outgoing::choose(&options);
        let codecs: Vec<_> = tracks.iter().map(|track| track.codec).collect();
        if codecs.is_empty() {
            return Err(ClientError::Nothing);
        }
        let mut connection = Connection::new(offer::sending(&codecs), Depth::Frames);
        connection.reach_host(&url).await;
        let (sdp, pending) = outgoing::describe(&mut connection.rtc, &mut tracks)?;
        let (session, reply) =
            whip::publish(&http, url, options.token.as_deref(), &sdp, options.in_turn).await?;

        if let Err(error) = outgoing::apply(&mut connection, pending, &reply.body, &mut tracks).await {
            // The server believes in a session that will never be used.
            if let Err(error) = session.delete().await {
                tracing::debug!(%error, "session left to the server");
            }
            return Err(error);
        }
        let stats = PublishStats {
            route: reply.route(),
            answer_ms: Some(millis(reply.asked, reply.asked + reply.took)),
            ..Default::default()
        };
        let (sender, receiver) = watch::channel(stats);
        let stop = CancellationToken::new();
        let sending = Sending::new(connection, tracks, reply.asked, sender, &options);
        let mut task = JoinSet::new();
        task.spawn(sending.run(stop.clone()));
        Ok(Publisher { session, ways: links::ways(&reply), stats: receiver, stop, task })
    }

    /// The numbers as they change, some four times a second.
    #[must_use]
    pub fn stats(&self) -> watch::Receiver<PublishStats> {
        self.stats.clone()
    }

    /// Endpoints to go on at when the server dies, as it named them.
    pub(super) fn ways(&self) -> Vec<Url> {
        self.ways.clone()
    }

    /// See [`Session::is_there`].
    pub(super) async fn is_there(&self) -> Result<Vec<Url>, Absent> {
        self.session.is_there().await
    }

    /// Deletes the session and ends the media.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the server does not confirm the DELETE; the media has ended all the same.
    pub async fn stop(mut self) -> Result<(), ClientError> {
        let deleted = self.session.delete().await;
        self.stop.cancel();
        self.task.join_next().await;
        deleted
    }
}
