//! Laws of the choice, against simulated links.

mod laws;
mod world;

use serde_json::json;

use super::has_estimate;
use crate::media::Medium;
use crate::protocol::rtp::{MediaKind, RtpCapabilitiesFinalized};

const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";

/// A viewer of video that numbers an extension so.
fn wanted(uri: &str, id: u16, feedback: &str) -> Vec<Medium> {
    let capabilities = serde_json::from_value(json!({
        "codecs": [{"kind": "video", "mimeType": "video/VP8", "preferredPayloadType": 96, "clockRate": 90000,
                    "parameters": {}, "rtcpFeedback": [{"type": feedback, "parameter": ""}]}],
        "headerExtensions": [{"kind": "video", "uri": uri, "preferredId": id, "preferredEncrypt": false,
                              "direction": "sendrecv"}]
    }));
    vec![Medium::taken("0".to_owned(), MediaKind::Video, capabilities.unwrap())]
}

#[test]
fn an_estimate_needs_transport_cc_by_the_routers_number() {
    let router: RtpCapabilitiesFinalized = serde_json::from_value(json!({
        "codecs": [],
        "headerExtensions": [
            {"kind": "video", "uri": ABS_SEND_TIME, "preferredId": 4, "preferredEncrypt": false,
             "direction": "sendrecv"},
            {"kind": "video", "uri": TRANSPORT_CC, "preferredId": 5, "preferredEncrypt": false,
             "direction": "sendrecv"}
        ]
    }))
    .unwrap();
    assert!(has_estimate(&wanted(TRANSPORT_CC, 5, "transport-cc"), &router));
    assert!(!has_estimate(&wanted(TRANSPORT_CC, 3, "transport-cc"), &router), "a number of its own");
    assert!(!has_estimate(&wanted(TRANSPORT_CC, 5, "goog-remb"), &router), "no feedback");
    assert!(!has_estimate(&wanted(ABS_SEND_TIME, 4, "goog-remb"), &router), "Firefox, by chance");
}
