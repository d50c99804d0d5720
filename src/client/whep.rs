//! WHEP (draft-ietf-wish-whep): as WHIP, and a stream may not be live yet, or the server may offer instead.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode, Url};

use super::ClientError;
use super::http::{Http, Reply, Request};
use super::session::Session;

/// How the server took the offer.
pub(super) enum Taken {
    /// The body is the SDP answer.
    Answer(Session, Reply),
    /// The body is an SDP offer of the server's own, to be answered with [`Session::answer`].
    CounterOffer(Session, Reply),
}

/// Posts `offer`, again and again while the stream is not live and `patience` lasts.
pub(super) async fn watch(
    http: &Http,
    url: Url,
    token: Option<&str>,
    offer: &str,
    counter_offer: bool,
    patience: Option<Duration>,
    in_turn: Option<Duration>,
) -> Result<Taken, ClientError> {
    let request = Request { method: Method::POST, url, token, sdp: Some(offer), counter_offer };
    let started = Instant::now();
    loop {
        let reply = http.send_in_turn(&request, in_turn).await?;
        match reply.status {
            StatusCode::CREATED | StatusCode::OK => {
                return Ok(Taken::Answer(Session::new(http, token, &reply), reply));
            }
            StatusCode::NOT_ACCEPTABLE if reply.is_sdp() && reply.location().is_some() => {
                return Ok(Taken::CounterOffer(Session::new(http, token, &reply), reply));
            }
            StatusCode::CONFLICT if patience.is_some() => {
                let wait = reply.retry_after();
                if patience.is_some_and(|patience| started.elapsed() + wait > patience) {
                    let (title, detail) = reply.problem();
                    return Err(ClientError::NotLive {
                        url: reply.url.to_string(),
                        detail: Some(detail.unwrap_or(title)),
                    });
                }
                tracing::debug!(url = %reply.url, ?wait, "not live yet");
                tokio::time::sleep(wait).await;
            }
            _ => return Err(reply.refused()),
        }
    }
}
