//! A client's POST, timed by itself.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, StatusCode};
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};

/// What a viewer of audio and video offers.
pub(crate) fn offer() -> String {
    let config = Rtc::builder().clear_codecs().enable_opus(true, false).enable_vp8(true);
    let mut rtc = config.build(Instant::now());
    let mut changes = rtc.sdp_api();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        changes.add_media(kind, Direction::RecvOnly, None, None, None);
    }
    changes.apply().expect("an offer").0.to_sdp_string()
}

/// Posts an offer; the time is that from the request to the head of the 201.
pub(crate) async fn post(http: &Client, url: &str, offer: &str) -> (Duration, Response) {
    let request = http.post(url).header(CONTENT_TYPE, "application/sdp").body(offer.to_owned());
    let asked = Instant::now();
    let response = request.send().await.expect("an answer");
    let took = asked.elapsed();
    let status = response.status();
    if status != StatusCode::CREATED {
        panic!("{url} answered {status}: {}", response.text().await.unwrap_or_default());
    }
    (took, response)
}

/// The address of the session that a POST made.
pub(crate) fn session(made: &Response) -> String {
    let location = made.headers()[LOCATION].to_str().expect("an address");
    made.url().join(location).expect("an address").into()
}

/// Ends a session.
pub(crate) async fn end(http: &Client, session: &str) {
    let response = http.delete(session).send().await.expect("an answer");
    assert!(response.status().is_success(), "the session ends: {}", response.status());
}
