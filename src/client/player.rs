//! A WHEP player that decodes nothing, but knows what a decoder would get.

use std::time::Duration;

use reqwest::Url;
use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Depth};
use super::http::{Http, Reply, TURN, parse_url};
use super::receiving::Receiving;
use super::report::millis;
use super::session::{Absent, Session};
use super::whep::{self, Taken};
use super::{ClientError, ConnectionState, WatchReport, links, offer};

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// The WHEP endpoint.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Ask for audio.
    pub audio: bool,
    /// Ask for video.
    pub video: bool,
    /// Where the stream is not live yet (409), ask again as `Retry-After` says, for so long in all.
    pub retry_until_live: Option<Duration>,
    /// Where too much comes from this address (429), ask again as `Retry-After` says, for so long in all.
    pub in_turn: Option<Duration>,
    /// Ask the server to make the offer (`Prefer: counter-offer`); one that cannot may still answer ours.
    pub counter_offer: bool,
    /// How far what comes is looked into.
    pub depth: Depth,
    /// How long each picture was on its way, where the publisher stamps them ([`PublishOptions::stamped`]).
    ///
    /// [`PublishOptions::stamped`]: super::PublishOptions::stamped
    pub delays: Option<mpsc::Sender<Duration>>,
    /// Shared HTTP connections; `None` opens its own.
    pub http: Option<Http>,
}

impl WatchOptions {
    /// Audio and video, if live now.
    #[must_use]
    pub fn new(url: impl Into<String>) -> WatchOptions {
        WatchOptions {
            url: url.into(),
            token: None,
            audio: true,
            video: true,
            retry_until_live: None,
            in_turn: Some(TURN),
            counter_offer: false,
            depth: Depth::Frames,
            delays: None,
            http: None,
        }
    }
}

/// A running player. Dropping it stops it at once, but leaves the session to the server's timeout.
#[derive(Debug)]
pub struct Player {
    session: Session,
    /// Endpoints to go on at.
    ways: Vec<Url>,
    /// Where the session's events are asked for.
    events: Option<Url>,
    report: watch::Receiver<WatchReport>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Player {
    /// Negotiates a session and starts to receive; returns when both descriptions are applied.
    ///
    /// # Errors
    ///
    /// [`ClientError`] where the server refuses or cannot be reached; nothing keeps running then.
    pub async fn start(options: WatchOptions) -> Result<Player, ClientError> {
        let url = parse_url(&options.url)?;
        let http = options.http.clone().map_or_else(Http::new, Ok)?;
        let token = options.token.as_deref();
        let mut connection = Connection::new(offer::receiving(), options.depth);
        connection.reach_host(&url).await;
        let mut changes = connection.rtc.sdp_api();
        let mut mids = Vec::new();
        for (wanted, kind) in [(options.audio, MediaKind::Audio), (options.video, MediaKind::Video)] {
            if wanted {
                mids.push(changes.add_media(kind, Direction::RecvOnly, None, None, None));
            }
        }
        let (offer, pending) = changes.apply().ok_or(ClientError::Nothing)?;
        let sdp = options.depth.describe(&offer.to_sdp_string());
        let (patience, in_turn) = (options.retry_until_live, options.in_turn);

        let (session, reply, applied) =
            match whep::watch(&http, url, token, &sdp, options.counter_offer, patience, in_turn).await? {
                Taken::Answer(session, reply) => {
                    let applied = accept(&mut connection.rtc, pending, &mids, &reply);
                    (session, reply, applied)
                }
                Taken::CounterOffer(session, reply) => {
                    let applied = answer(&mut connection.rtc, &session, &reply, options.depth).await;
                    (session, reply, applied)
                }
            };
        let reached = match applied {
            Ok(()) => connection.reach_candidates(&reply.body).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        if let Err(error) = reached {
            // The server believes in a session that will never be used.
            if let Err(error) = session.delete().await {
                tracing::debug!(%error, "session left to the server");
            }
            return Err(error);
        }
        Ok(Player::run(connection, mids, session, &reply, options.delays))
    }

    fn run(
        connection: Connection,
        mids: Vec<Mid>,
        session: Session,
        reply: &Reply,
        delays: Option<mpsc::Sender<Duration>>,
    ) -> Player {
        let report = WatchReport {
            route: reply.route(),
            answer_ms: Some(millis(reply.asked, reply.asked + reply.took)),
            ..Default::default()
        };
        let (sender, receiver) = watch::channel(report);
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(Receiving::new(connection, &mids, reply.asked, sender, delays).run(stop.clone()));
        let (ways, events) = (links::ways(reply), links::events(reply));
        Player { session, ways, events, report: receiver, stop, task }
    }

    /// The report as it changes: at each first time of something, and some four times a second.
    #[must_use]
    pub fn report(&self) -> watch::Receiver<WatchReport> {
        self.report.clone()
    }

    /// Endpoints to go on at when the server dies, as it named them.
    pub(super) fn ways(&self) -> Vec<Url> {
        self.ways.clone()
    }

    /// Where the session's events are asked for.
    pub(super) fn events(&self) -> Option<Url> {
        self.events.clone()
    }

    /// See [`Session::is_there`].
    pub(super) async fn is_there(&self) -> Result<Vec<Url>, Absent> {
        self.session.is_there().await
    }

    /// Deletes the session, ends the player and returns its last report.
    ///
    /// A server that does not confirm the DELETE is logged: there is nothing else a player could do.
    pub async fn stop(mut self) -> WatchReport {
        let was_over = self.report.borrow().state == ConnectionState::Disconnected;
        if let Err(error) = self.session.delete().await {
            tracing::warn!(%error, "session not deleted");
        }
        self.stop.cancel();
        self.task.join_next().await;
        let mut report = self.report.borrow().clone();
        if !was_over {
            // Most servers close the connection at the DELETE, but it was we who ended it.
            report.reason = Some("stopped".into());
        }
        report
    }
}

impl Depth {
    /// Our description without the streams that the library names for each m-line, though this side sends none, and
    /// without the feedback that isn't given at this depth.
    fn describe(self, sdp: &str) -> String {
        let streams = |line: &str| line.starts_with("a=ssrc") || line.starts_with("a=msid:");
        let feedback = |line: &str| {
            line.ends_with(" transport-cc")
                || line.contains("transport-wide-cc")
                || line.contains("abs-send-time")
        };
        let lines = sdp.lines().filter(|line| !streams(line) && (self == Depth::Frames || !feedback(line)));
        lines.flat_map(|line| [line, "\r\n"]).collect()
    }
}

/// Takes the server's answer.
fn accept(rtc: &mut Rtc, pending: SdpPendingOffer, mids: &[Mid], reply: &Reply) -> Result<(), ClientError> {
    let answer = SdpAnswer::from_sdp_string(&reply.body)?;
    rtc.sdp_api().accept_answer(pending, answer)?;
    let receives = |mid: &Mid| rtc.media(*mid).is_some_and(|media| media.direction().is_receiving());
    if mids.iter().any(receives) {
        Ok(())
    } else {
        let codecs = rtc.codec_config().params().iter().map(|params| params.spec().codec.to_string());
        Err(ClientError::Codecs(codecs.collect::<Vec<_>>().join(", ")))
    }
}

/// Takes the server's own offer and sends it our answer.
async fn answer(rtc: &mut Rtc, session: &Session, reply: &Reply, depth: Depth) -> Result<(), ClientError> {
    let offer = SdpOffer::from_sdp_string(&reply.body)?;
    let answer = rtc.sdp_api().accept_offer(offer)?;
    session.answer(&depth.describe(&answer.to_sdp_string())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_offers_no_streams() {
        let offer =
            "v=0\r\na=msid-semantic: WMS\r\na=msid:a b\r\na=ssrc:1 cname:x\r\na=ssrc-group:FID 1 2\r\n";
        assert_eq!(Depth::Frames.describe(offer), "v=0\r\na=msid-semantic: WMS\r\n");
    }

    #[test]
    fn who_reads_headers_alone_promises_no_estimation() {
        let mut rtc = offer::receiving().build(std::time::Instant::now());
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let offer = changes.apply().unwrap().0.to_sdp_string();
        let [whole, headers] = [Depth::Frames, Depth::Headers].map(|depth| depth.describe(&offer));
        for feedback in ["transport-cc", "transport-wide-cc", "abs-send-time"] {
            assert!(whole.contains(feedback) && !headers.contains(feedback), "{feedback}");
        }
        assert!(headers.contains("a=rtcp-fb:96 nack\r\n") && headers.contains("sdes:mid"), "{headers}");
    }
}
