//! The JSON Schemas of all messages, as they are committed under `schemas/`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{admission, claim, directory, drain, edge, event, gate, origin, presence, refusal, rtc, session};

/// Every message's file name and schema.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("getRemoteRouterInfo", of::<edge::GetRemoteRouterInfo>()),
        ("getRemoteRouterInfo.reply", of::<edge::RemoteRouterInfo>()),
        ("createRemotePipeTransport", of::<edge::CreateRemotePipeTransport>()),
        ("createRemotePipeTransport.reply", of::<edge::RemotePipeTransport>()),
        ("connectRemotePipeTransport", of::<edge::ConnectRemotePipeTransport>()),
        ("createPipeProducer", of::<edge::CreatePipeProducer>()),
        ("pausePipeProducer", of::<edge::PausePipeProducer>()),
        ("resumePipeProducer", of::<edge::ResumePipeProducer>()),
        ("closePipeProducer", of::<edge::ClosePipeProducer>()),
        ("closePipe", of::<edge::ClosePipe>()),
        ("done.reply", of::<edge::Done>()),
        ("join", of::<origin::Join>()),
        ("join.reply", of::<origin::Joined>()),
        ("leave", of::<origin::Leave>()),
        ("claim", of::<claim::Claim>()),
        ("getClaims", of::<directory::GetClaims>()),
        ("getClaims.reply", of::<directory::Claims>()),
        ("authorize", of::<admission::Authorize>()),
        ("authorize.reply", of::<admission::Verdict>()),
        ("kick", of::<gate::Kick>()),
        ("kick.reply", of::<gate::Kicked>()),
        ("mute", of::<gate::Mute>()),
        ("setBars", of::<gate::SetBars>()),
        ("getBars", of::<gate::GetBars>()),
        ("getBars.reply", of::<gate::BarsPage>()),
        ("bars", of::<gate::BarsDigest>()),
        ("setDrain", of::<drain::SetDrain>()),
        ("getDrain", of::<drain::GetDrain>()),
        ("drain.reply", of::<drain::Drain>()),
        ("lookAtSession", of::<session::LookAtSession>()),
        ("endSession", of::<session::EndSession>()),
        ("patchSession", of::<session::PatchSession>()),
        ("session.reply", of::<session::SessionAnswer>()),
        ("listenToSession", of::<session::ListenToSession>()),
        ("listenToSession.reply", of::<session::Listening>()),
        ("hearSession", of::<session::HearSession>()),
        ("hearSession.reply", of::<session::Heard>()),
        ("stopListening", of::<session::StopListening>()),
        ("presence", of::<presence::Presence>()),
        ("event", of::<event::Event>()),
        ("rtc", of::<rtc::RtcAsked>()),
        ("rtc.reply", of::<rtc::RtcReply>()),
        ("rtc.event", of::<rtc::RtcEvent>()),
        ("levels", of::<rtc::Levels>()),
        ("refusal", of::<refusal::Refusal>()),
    ]
}

fn of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

pub(super) fn media_kind(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"enum": ["audio", "video"]})
}

pub(super) fn srtp_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup SrtpParameters; keyBase64 is the key and salt.",
        "type": ["object", "null"],
        "properties": {
            "cryptoSuite": {"enum": [
                "AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
            ]},
            "keyBase64": {"type": "string"}
        },
        "required": ["cryptoSuite", "keyBase64"]
    })
}

pub(super) fn rtp_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup RtpParameters.",
        "type": "object",
        "properties": {
            "mid": {"type": ["string", "null"]},
            "codecs": {"type": "array", "minItems": 1, "items": {
                "type": "object",
                "properties": {
                    "mimeType": {"type": "string"},
                    "payloadType": {"type": "integer", "minimum": 0, "maximum": 127},
                    "clockRate": {"type": "integer", "minimum": 1},
                    "channels": {"type": "integer", "minimum": 1},
                    "parameters": {"type": "object"},
                    "rtcpFeedback": {"type": "array", "items": {
                        "type": "object",
                        "properties": {"type": {"type": "string"}, "parameter": {"type": "string"}},
                        "required": ["type"]
                    }}
                },
                "required": ["mimeType", "payloadType", "clockRate"]
            }},
            "headerExtensions": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "uri": {"type": "string"},
                    "id": {"type": "integer", "minimum": 1, "maximum": 14},
                    "encrypt": {"type": "boolean"}
                },
                "required": ["uri", "id"]
            }},
            "encodings": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "ssrc": {"type": "integer"},
                    "rid": {"type": "string"},
                    "rtx": {"type": "object", "properties": {"ssrc": {"type": "integer"}}},
                    "scalabilityMode": {"type": "string"},
                    "maxBitrate": {"type": "integer"}
                }
            }},
            "rtcp": {"type": "object", "properties": {
                "cname": {"type": "string"}, "reducedSize": {"type": "boolean"}
            }}
        },
        "required": ["codecs", "encodings"]
    })
}

pub(super) fn rtp_capabilities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup RtpCapabilities.",
        "type": ["object", "null"],
        "properties": {
            "codecs": {"type": "array", "items": {"type": "object", "required": ["kind", "mimeType", "clockRate"]}},
            "headerExtensions": {"type": "array", "items": {"type": "object", "required": ["uri", "preferredId"]}}
        }
    })
}

pub(super) fn dtls_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup DtlsParameters.",
        "type": "object",
        "properties": {
            "role": {"enum": ["auto", "client", "server"]},
            "fingerprints": {"type": "array", "items": {
                "type": "object",
                "properties": {"algorithm": {"type": "string"}, "value": {"type": "string"}},
                "required": ["algorithm", "value"]
            }}
        },
        "required": ["fingerprints"]
    })
}

pub(super) fn sctp_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup SctpParameters.",
        "type": ["object", "null"],
        "properties": {
            "port": {"type": "integer"},
            "OS": {"type": "integer"},
            "MIS": {"type": "integer"},
            "maxMessageSize": {"type": "integer"}
        }
    })
}

pub(super) fn sctp_stream_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup SctpStreamParameters.",
        "type": "object",
        "properties": {
            "streamId": {"type": "integer", "minimum": 0, "maximum": 65535},
            "ordered": {"type": "boolean"},
            "maxPacketLifeTime": {"type": ["integer", "null"]},
            "maxRetransmits": {"type": ["integer", "null"]}
        },
        "required": ["streamId", "ordered"]
    })
}

pub(super) fn ice_parameters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "mediasoup IceParameters.",
        "type": "object",
        "properties": {
            "usernameFragment": {"type": "string"},
            "password": {"type": "string"},
            "iceLite": {"type": "boolean"}
        },
        "required": ["usernameFragment", "password"]
    })
}

pub(super) fn any_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"description": "mediasoup IceCandidate.", "type": "array", "items": {"type": "object"}})
}
