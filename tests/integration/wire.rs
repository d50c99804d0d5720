//! The wire: golden bytes of every message, and schemas without drift.

use std::collections::BTreeMap;
use std::path::Path;

use headwater::protocol::admission::{Action, Authorize, Opaque, Verdict};
use headwater::protocol::claim::{Claim, ClaimedProducer, EndReason, StreamState};
use headwater::protocol::codec::{self, Addressed, Reply};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::directory::{Claims, GetClaims, Place, Whose};
use headwater::protocol::drain::{Drain, DrainRequest, GetDrain, Left, SetDrain};
use headwater::protocol::edge::{
    ClosePipe, ClosePipeProducer, ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport,
    Done, EdgeReply, EdgeRequest, GetRemoteRouterInfo, PausePipeProducer, RemotePipeTransport,
    RemoteRouterInfo, ResumePipeProducer,
};
use headwater::protocol::event::{About, Event, ViewerId};
use headwater::protocol::gate::{
    Bar, BarsDigest, BarsPage, EndedSession, GateReply, GateRequest, GetBars, Kick, Kicked, Mute, SetBars,
    TokenKey, Whom,
};
use headwater::protocol::ids::{
    Incarnation, Peer, PipeId, ProducerId, PublicationId, RouterId, SessionId, Token,
};
use headwater::protocol::origin::{
    CarriedProducer, CarriedStream, Join, Joined, Leave, OriginReply, OriginRequest, PipeHeld,
};
use headwater::protocol::presence::{Beat, Limits, Load, Phase, Presence, Role};
use headwater::protocol::refusal::{Code, Refusal};
use headwater::protocol::rtc::{
    Consume, Level, Levels, Produced, ProducerClosed, RtcAsked, RtcEvent, RtcReply, RtcRequest,
};
use headwater::protocol::rtp::{RtpParameters, SrtpParameters};
use headwater::protocol::schema;
use headwater::protocol::session::{
    EndSession, HearSession, Heard, ListenToSession, Listening, LookAtSession, PatchKind, PatchSession,
    SessionAnswer, SessionAt, SessionEvent, SessionReply, SessionRequest, StopListening,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::support::events::one_of_each;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/golden.txt");
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");

fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn peer() -> Peer {
    Peer {
        node: "west-1".parse().unwrap(),
        incarnation: Incarnation(uuid(1)),
        region: "west".parse().unwrap(),
    }
}

fn rtp_parameters() -> RtpParameters {
    serde_json::from_value(serde_json::json!({
        "codecs": [{
            "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90000, "parameters": {},
            "rtcpFeedback": [
                {"type": "nack", "parameter": ""}, {"type": "nack", "parameter": "pli"},
                {"type": "ccm", "parameter": "fir"}
            ]
        }],
        "headerExtensions": [{"uri": "urn:3gpp:video-orientation", "id": 8, "encrypt": false}],
        "encodings": [{"ssrc": 1234, "rtx": {"ssrc": 1235}}],
        "rtcp": {"cname": "abc", "reducedSize": true}
    }))
    .unwrap()
}

fn srtp() -> SrtpParameters {
    serde_json::from_value(serde_json::json!({
        "cryptoSuite": "AEAD_AES_256_GCM",
        "keyBase64": "YTdjcDBvY2JoMGY5YXNlNDc0eDJsdGgwaWRvNnJsamRrdG16aWVpZHphdHo="
    }))
    .unwrap()
}

/// Encodes a message, proves that decoding gives it back, and answers its bytes in hex.
fn hex<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) -> String {
    let bytes = codec::encode(message).unwrap();
    assert_eq!(&codec::decode::<T>(&bytes, 65536).unwrap(), message);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reply(message: impl Serialize) -> String {
    let bytes = codec::encode(&Reply::Ok(message)).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is asked of a node names the process that is meant.
fn addressed<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(request: T) -> String {
    hex(&Addressed { to: Incarnation(uuid(7)), request })
}

fn edge(request: impl Into<EdgeRequest>) -> String {
    addressed::<EdgeRequest>(request.into())
}

fn origin(request: impl Into<OriginRequest>) -> String {
    addressed::<OriginRequest>(request.into())
}

fn gate(request: GateRequest) -> String {
    addressed::<GateRequest>(request)
}

fn session(request: SessionRequest) -> String {
    addressed::<SessionRequest>(request)
}

fn events() -> impl Iterator<Item = (&'static str, String)> {
    one_of_each(&peer(), uuid).into_iter().map(|what| {
        let name = what.name();
        let subject = match name.split_once('.') {
            Some(("node" | "limit" | "worker" | "events" | "token", _)) => {
                About::Node("west-1".parse().unwrap())
            }
            _ => About::Room("ch-11".parse().unwrap()),
        };
        let time = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let event = Event { id: 42, time, source: peer(), subject, what };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["type"], name, "its name is the type on the wire");
        (name, hex(&event))
    })
}

fn messages() -> BTreeMap<&'static str, String> {
    let room = || "ch-11".parse().unwrap();
    let router = RouterId(uuid(2));
    let pipe = PipeId(uuid(3));
    let id = ProducerId(uuid(4));
    let publication = PublicationId(uuid(5));
    let ip = "192.0.2.7".parse().unwrap();
    let token = Token(uuid(6));
    let carried = CarriedProducer { id, paused: false, flowing: true };
    let beat = Beat { number: 90, revision: 12, claims: 3, digest: 0x0123_4567_89ab_cdef, every_ms: 1_000 };
    let claim = Claim {
        room_id: room(),
        stream: "main".parse().unwrap(),
        term: 3,
        publication,
        origin: peer(),
        revision: 12,
        state: StreamState::Live,
        flowing: true,
        takeover: true,
        producers: vec![ClaimedProducer {
            id,
            kind: ProducerKind::Video,
            mime_type: "video/VP8".to_owned(),
            paused: false,
            encodings: 3,
            label: Box::default(),
            app_data: Default::default(),
            channel: None,
        }],
        path: Vec::new(),
        started_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        participant: false,
        locks: false,
        app_data: Default::default(),
    };
    let bar = Bar {
        token: TokenKey::Id("t-42".to_owned()),
        until: "2026-01-02T03:04:05Z".parse().unwrap(),
        lifted: false,
        version: 1,
    };
    let ended = EndedSession {
        node: "west-1".parse().unwrap(),
        room_id: room(),
        stream: "main".parse().unwrap(),
        viewer: Some(ViewerId(uuid(9))),
        token: Some(bar.token.clone()),
    };
    let place = || Place { room_id: room(), stream: "main".parse().unwrap(), origin: Incarnation(uuid(1)) };
    let at = || SessionAt { room_id: room(), stream: "main".parse().unwrap(), session: SessionId(uuid(10)) };
    let requests = BTreeMap::from([
        ("getRemoteRouterInfo", edge(GetRemoteRouterInfo { room_id: room(), token })),
        (
            "getRemoteRouterInfo.reply",
            reply(EdgeReply::RouterInfo(RemoteRouterInfo { remote_router_id: router })),
        ),
        (
            "createRemotePipeTransport",
            edge(CreateRemotePipeTransport {
                room_id: room(),
                token,
                router_id: router,
                pipe_id: pipe,
                from: peer(),
                srtp: true,
                rtx: true,
            }),
        ),
        (
            "createRemotePipeTransport.reply",
            reply(EdgeReply::PipeTransport(RemotePipeTransport {
                ip,
                port: 40000,
                srtp_parameters: Some(srtp()),
            })),
        ),
        (
            "connectRemotePipeTransport",
            edge(ConnectRemotePipeTransport {
                room_id: room(),
                token,
                router_id: router,
                pipe_id: pipe,
                ip,
                port: 40001,
                srtp_parameters: Some(srtp()),
            }),
        ),
        (
            "createPipeProducer",
            edge(CreatePipeProducer {
                room_id: room(),
                token,
                router_id: router,
                pipe_id: pipe,
                revision: 5,
                stream: "main".parse().unwrap(),
                publication,
                path: vec!["west-1".parse().unwrap()],
                of: 2,
                id,
                kind: ProducerKind::Video,
                rtp_parameters: rtp_parameters(),
                paused: false,
                label: "camera".to_owned(),
                app_data: serde_json::Map::new(),
                data: None,
            }),
        ),
        (
            "pausePipeProducer",
            edge(PausePipeProducer { room_id: room(), token, pipe_id: pipe, revision: 6, id }),
        ),
        (
            "resumePipeProducer",
            edge(ResumePipeProducer { room_id: room(), token, pipe_id: pipe, revision: 6, id }),
        ),
        (
            "closePipeProducer",
            edge(ClosePipeProducer { room_id: room(), token, pipe_id: pipe, revision: 6, id, of: Some(1) }),
        ),
        (
            "closePipe",
            edge(ClosePipe { room_id: room(), token, pipe_id: pipe, reason: "the edge left".to_owned() }),
        ),
        ("done.reply", reply(EdgeReply::Done(Done {}))),
        (
            "join",
            origin(Join {
                room_id: room(),
                from: peer(),
                token,
                number: 1,
                streams: ["main".parse().unwrap()].into(),
                only: [("main".parse().unwrap(), [id].into())].into(),
                viewers: [("main".parse().unwrap(), 40)].into(),
                pipe: Some(PipeHeld {
                    pipe_id: pipe,
                    revision: 6,
                    producers: vec![carried.clone()],
                    refused: vec![ProducerId(uuid(8))],
                }),
            }),
        ),
        (
            "join.reply",
            reply(OriginReply::Joined(Joined {
                pipe_id: pipe,
                revision: 6,
                streams: vec![CarriedStream {
                    instead: vec![peer()],
                    stream: "main".parse().unwrap(),
                    publication,
                    path: Vec::new(),
                    viewers: 1_000,
                    producers: vec![carried],
                }],
            })),
        ),
        (
            "leave",
            origin(Leave {
                room_id: room(),
                from: peer(),
                token,
                reason: "nothing is watched here".to_owned(),
            }),
        ),
        ("claim", hex(&claim)),
        ("claim ended", hex(&claim.ended(EndReason::Unpublished))),
        ("getClaims", hex(&GetClaims { from: peer(), of: Whose::All, after: Some(place()) })),
        (
            "getClaims.reply",
            reply(Claims {
                from: peer(),
                phase: Phase::Serving,
                beat,
                claims: vec![claim.clone()],
                next: Some(place()),
            }),
        ),
        (
            "authorize",
            hex(&Authorize {
                node: "west-1".parse().unwrap(),
                action: Action::Publish,
                room_id: room(),
                stream: "main".parse().unwrap(),
                claims: serde_json::json!({"sub": "ada", "actions": ["publish"]}).as_object().cloned(),
                token_name: Some("desk".to_owned()),
                token: Some(Opaque("opaque".to_owned())),
                address: Some(ip),
                user_agent: Some("OBS".to_owned()),
            }),
        ),
        (
            "authorize.reply",
            hex(&Verdict {
                allow: false,
                reason: Some("not paid".to_owned()),
                expires_at: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            }),
        ),
        (
            "kick",
            gate(GateRequest::Kick(Kick {
                room_id: room(),
                whom: Whom::Viewer(ViewerId(uuid(9))),
                by: Some("chair".parse().unwrap()),
            })),
        ),
        ("kick.reply", reply(GateReply::Kicked(Kicked { ended: vec![ended] }))),
        (
            "mute",
            gate(GateRequest::Mute(Mute {
                room_id: room(),
                stream: "main".parse().unwrap(),
                producer: id,
                by: Some("chair".parse().unwrap()),
            })),
        ),
        (
            "rtc",
            hex(&RtcAsked {
                session: Some(SessionId(uuid(10))),
                request: RtcRequest::Consume(Consume {
                    producer_id: id,
                    rtp_capabilities: None,
                    paused: true,
                }),
            }),
        ),
        (
            "levels",
            hex(&Levels {
                room_id: room(),
                from: peer(),
                levels: vec![Level { producer_id: id, volume: -30, mean: -42 }],
            }),
        ),
        ("rtc.reply", reply(RtcReply::Produced(Produced { id }))),
        (
            "rtc.event",
            hex(&RtcEvent::ProducerClosed(ProducerClosed {
                participant: "main".parse().unwrap(),
                producer_id: id,
            })),
        ),
        ("setBars", gate(GateRequest::SetBars(SetBars { bars: vec![bar.clone()] }))),
        ("getBars", gate(GateRequest::GetBars(GetBars { after: Some(bar.token.clone()) }))),
        (
            "getBars.reply",
            reply(GateReply::Bars(BarsPage { next: Some(bar.token.clone()), bars: vec![bar] })),
        ),
        ("bars", hex(&BarsDigest { from: peer(), count: 3, digest: 0x0123_4567_89ab_cdef })),
        ("setDrain", addressed(DrainRequest::SetDrain(SetDrain { draining: true }))),
        ("getDrain", addressed(DrainRequest::GetDrain(GetDrain {}))),
        (
            "drain.reply",
            reply(Drain {
                node: "west-1".parse().unwrap(),
                phase: Phase::Draining,
                by_operator: true,
                ends: false,
                left: Left { streams: 1, viewers: 2, children: 3 },
            }),
        ),
        ("lookAtSession", session(SessionRequest::LookAtSession(LookAtSession { at: at() }))),
        ("endSession", session(SessionRequest::EndSession(EndSession { at: at() }))),
        (
            "patchSession",
            session(SessionRequest::PatchSession(PatchSession {
                at: at(),
                kind: PatchKind::Fragment,
                if_match: Some("*".to_owned()),
                body: "a=ice-ufrag:abcd\r\n".to_owned(),
            })),
        ),
        (
            "session.reply",
            reply(SessionReply::Answer(SessionAnswer {
                status: 200,
                content_type: Some("application/trickle-ice-sdpfrag".to_owned()),
                etag: Some("\"abcd\"".to_owned()),
                retry_after: Some(2),
                body: "a=ice-lite\r\n".to_owned(),
            })),
        ),
        (
            "listenToSession",
            session(SessionRequest::ListenToSession(ListenToSession {
                at: at(),
                events: SessionEvent::ALL.to_vec(),
            })),
        ),
        ("listenToSession.reply", reply(SessionReply::Listening(Listening { listener: uuid(11) }))),
        ("hearSession", session(SessionRequest::HearSession(HearSession { at: at(), listener: uuid(11) }))),
        (
            "hearSession.reply",
            reply(SessionReply::Heard(Heard {
                events: vec![SessionEvent::Active, SessionEvent::Reconnect],
                active: true,
                viewers: Some(3),
                draining: true,
                url: Some("https://west-2.example.com/whep/ch-11/main".to_owned()),
            })),
        ),
        (
            "stopListening",
            session(SessionRequest::StopListening(StopListening { at: at(), listener: uuid(11) })),
        ),
        (
            "presence",
            hex(&Presence {
                peer: peer(),
                roles: vec![Role::Origin, Role::Edge, Role::Relay],
                version: "0.1.0".to_owned(),
                phase: Phase::Serving,
                load: Load {
                    rooms: 1,
                    streams: 2,
                    viewers: 3,
                    pipes: 4,
                    outlets: 3,
                    free_ports: Some(996),
                    bits_out: 2_500_000,
                    cpu: 0.5,
                },
                limits: Limits {
                    viewers: Some(5_000),
                    streams: Some(1_000),
                    rooms: Some(10_000),
                    outlets: Some(4_000),
                    bits_out: None,
                },
                public_url: "https://west-1.example.com".to_owned(),
                beat,
            }),
        ),
        (
            "refusal",
            hex::<Reply<RemoteRouterInfo>>(&Reply::Error(Refusal::new(Code::Busy, "the inbox is full"))),
        ),
    ]);
    requests.into_iter().chain(events()).collect()
}

#[test]
fn every_message_has_its_golden_bytes() {
    let text: String = messages().iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        text == golden,
        "the bytes of a message changed; if that is meant, raise codec::VERSION or make the change \
         additive, and run with UPDATE_GOLDEN=1.\n--- now\n{text}\n--- golden\n{golden}"
    );
}

#[test]
fn every_schema_is_committed_as_generated() {
    let all = schema::all();
    for (name, schema) in &all {
        let path = format!("{SCHEMAS}/{name}.json");
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let generated = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
        assert!(committed == generated, "{path} is not as generated: run `make schemas`");
    }
    for file in std::fs::read_dir(Path::new(SCHEMAS)).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(stem) = name.strip_suffix(".json") {
            assert!(all.iter().any(|(known, _)| known == &stem), "{name} has no message any more");
        }
    }
    // Every message has golden bytes, and the other way round.
    for (name, _) in all.iter().filter(|(name, _)| *name != "event") {
        assert!(messages().contains_key(name), "{name} has no golden bytes");
    }
}
