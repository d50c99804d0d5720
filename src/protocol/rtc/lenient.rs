//! RTP parameters as people write them: what mediasoup lets out in JavaScript may be let out here too.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::protocol::rtp::{RtpCapabilities, RtpParameters, SctpStreamParameters};

pub(super) fn rtp_parameters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RtpParameters, D::Error> {
    read(deserializer, |all| {
        each(all, "codecs", |codec| {
            complete(codec, [("parameters", json!({})), ("rtcpFeedback", json!([]))])
        });
        each(all, "headerExtensions", |extension| complete(extension, [("encrypt", json!(false))]));
        complete(all, [("headerExtensions", json!([])), ("encodings", json!([{}])), ("rtcp", json!({}))]);
        if let Some(Value::Object(rtcp)) = all.get_mut("rtcp") {
            complete(rtcp, [("reducedSize", json!(true))]);
            // As mediasoup-client sends it where there is no sound; the worker takes no empty one.
            rtcp.retain(|key, value| key != "cname" || value.as_str() != Some(""));
        }
    })
}

pub(super) fn rtp_capabilities<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RtpCapabilities>, D::Error> {
    let capabilities = read(deserializer, |all| {
        each(all, "codecs", |codec| {
            let kind = codec.get("mimeType").and_then(Value::as_str).and_then(|mime| mime.split('/').next());
            let kind = json!(kind.unwrap_or_default().to_ascii_lowercase());
            complete(codec, [("kind", kind), ("parameters", json!({})), ("rtcpFeedback", json!([]))]);
        });
        each(all, "headerExtensions", |extension| {
            complete(extension, [("preferredEncrypt", json!(false)), ("direction", json!("sendrecv"))]);
        });
        complete(all, [("codecs", json!([])), ("headerExtensions", json!([]))]);
    })?;
    Ok(Some(capabilities))
}

pub(super) fn sctp_stream_parameters<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SctpStreamParameters, D::Error> {
    read(deserializer, |all| {
        let gives_up = ["maxPacketLifeTime", "maxRetransmits"]
            .map(|limit| all.get(limit).is_some_and(|it| !it.is_null()));
        complete(all, [("ordered", json!(!gives_up.contains(&true)))]);
    })
}

fn read<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
    complete: impl Fn(&mut Map<String, Value>),
) -> Result<T, D::Error> {
    let mut all = Map::<String, Value>::deserialize(deserializer)?;
    complete(&mut all);
    serde_json::from_value(Value::Object(all)).map_err(D::Error::custom)
}

fn each(all: &mut Map<String, Value>, list: &str, change: impl Fn(&mut Map<String, Value>)) {
    let items = all.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut).for_each(change);
}

fn complete<const N: usize>(one: &mut Map<String, Value>, defaults: [(&str, Value); N]) {
    for (key, value) in defaults {
        one.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Consume, Produce, ProduceData};
    use serde_json::json;
    use uuid::Uuid;

    #[test]
    fn what_mediasoup_does_not_need_needs_not_be_there() {
        let produce = json!({ "transportId": Uuid::nil(), "kind": "video", "rtpParameters": {
            "codecs": [{ "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000 }],
            "headerExtensions": [{ "uri": "urn:ietf:params:rtp-hdrext:sdes:mid", "id": 1 }],
            "encodings": [{ "ssrc": 1 }], "rtcp": { "cname": "" } } });
        let produce: Produce = serde_json::from_value(produce).unwrap();
        assert_eq!(produce.rtp_parameters.codecs.len(), 1);
        assert_eq!(produce.rtp_parameters.rtcp.cname, None);
        let consume = json!({ "producerId": Uuid::nil(), "rtpCapabilities": {
            "codecs": [{ "mimeType": "audio/opus", "preferredPayloadType": 111, "clockRate": 48000, "channels": 2 }] } });
        let consume: Consume = serde_json::from_value(consume).unwrap();
        assert_eq!(consume.rtp_capabilities.unwrap().codecs.len(), 1);
        let bare: Consume = serde_json::from_value(json!({ "producerId": Uuid::nil() })).unwrap();
        assert!(bare.rtp_capabilities.is_none());
    }

    #[test]
    fn messages_are_ordered_unless_some_may_be_given_up() {
        for (parameters, ordered) in [
            (json!({ "streamId": 1 }), true),
            (json!({ "streamId": 1, "maxRetransmits": null }), true),
            (json!({ "streamId": 1, "maxRetransmits": 0 }), false),
            (json!({ "streamId": 1, "ordered": false }), false),
        ] {
            let produce = json!({ "transportId": Uuid::nil(), "sctpStreamParameters": parameters });
            let produce: ProduceData = serde_json::from_value(produce).unwrap();
            assert_eq!(produce.sctp_stream_parameters.ordered, ordered);
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for parameters in
            [json!(7), json!({}), json!({ "codecs": 7 }), json!({ "codecs": [{ "mimeType": "x" }] })]
        {
            let produce = json!({ "transportId": Uuid::nil(), "kind": "video", "rtpParameters": parameters });
            assert!(serde_json::from_value::<Produce>(produce).is_err());
        }
    }
}
