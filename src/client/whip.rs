//! WHIP (RFC 9725): an offer goes out, an answer comes back.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};

use super::ClientError;
use super::http::{Http, Reply, Request};
use super::session::Session;

/// Posts `offer`; the reply's body is the SDP answer.
pub(super) async fn publish(
    http: &Http,
    url: Url,
    token: Option<&str>,
    offer: &str,
    in_turn: Option<Duration>,
) -> Result<(Session, Reply), ClientError> {
    let request = Request { method: Method::POST, url, token, sdp: Some(offer), counter_offer: false };
    let reply = http.send_in_turn(&request, in_turn).await?;
    match reply.status {
        StatusCode::CREATED | StatusCode::OK => Ok((Session::new(http, token, &reply), reply)),
        _ => Err(reply.refused()),
    }
}
