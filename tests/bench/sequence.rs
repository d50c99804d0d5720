//! The source design's four messages, strictly one after the other, as an origin would send them.

use std::time::{Duration, Instant};

use headwater::node::Node;
use headwater::protocol::codec::{self, Reply};
use headwater::protocol::edge::{
    ClosePipe, ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, EdgeCall,
    EdgeRequest, GetRemoteRouterInfo, RemotePipeTransport,
};
use headwater::protocol::ids::{Peer, PipeId, ProducerId, PublicationId, RoomId, RouterId};
use headwater::protocol::rtp::{MediaKind, RtpParameters};
use serde_json::json;
use uuid::Uuid;

use crate::joins::RUNS;
use crate::support::nats::NatsServer;
use crate::table::Samples;

/// What one message after the other takes.
pub(crate) struct Sequence {
    /// From the first request to the fourth reply.
    pub(crate) messages: Samples,
    /// A second producer on the same pipe.
    pub(crate) further: Samples,
}

/// A client without a router that speaks for an origin which the edge hears of.
struct Origin {
    nats: async_nats::Client,
    peer: Peer,
    room: RoomId,
    subject: String,
    router: RouterId,
    pipe: PipeId,
    publication: PublicationId,
}

pub(crate) async fn measure(nats: &NatsServer, origin: &Node, edge: &Node) -> Sequence {
    let client = nats.client().await;
    let (mut messages, mut further) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let room = format!("sequence-{run}");
        let origin = Origin {
            nats: client.clone(),
            peer: origin.peer().clone(),
            subject: format!("room.{room}.edge.{}", edge.peer().node),
            room: room.parse().expect("a room's name"),
            router: RouterId(Uuid::new_v4()),
            pipe: PipeId(Uuid::now_v7()),
            publication: PublicationId(Uuid::now_v7()),
        };
        messages.push(origin.open().await);
        let asked = Instant::now();
        origin.produce(2).await;
        further.push(asked.elapsed());
        origin.close().await;
    }
    Sequence { messages: messages.into_iter().collect(), further: further.into_iter().collect() }
}

impl Origin {
    async fn open(&self) -> Duration {
        let asked = Instant::now();
        self.ask(GetRemoteRouterInfo { room_id: self.room.clone() }).await;
        let create = CreateRemotePipeTransport {
            room_id: self.room.clone(),
            router_id: self.router,
            pipe_id: self.pipe,
            from: self.peer.clone(),
            srtp: true,
            rtx: true,
        };
        let remote: RemotePipeTransport = self.ask(create).await;
        let connect = ConnectRemotePipeTransport {
            room_id: self.room.clone(),
            router_id: self.router,
            pipe_id: self.pipe,
            ip: remote.ip,
            // Nothing is sent: the discard port stands in for a media worker's.
            port: 9,
            srtp_parameters: remote.srtp_parameters,
        };
        self.ask(connect).await;
        self.produce(1).await;
        asked.elapsed()
    }

    async fn produce(&self, ssrc: u32) {
        let create = CreatePipeProducer {
            room_id: self.room.clone(),
            router_id: self.router,
            pipe_id: self.pipe,
            stream: "main".parse().expect("a stream's name"),
            publication: self.publication,
            path: vec![self.peer.node.clone()],
            of: 2,
            id: ProducerId(Uuid::new_v4()),
            kind: MediaKind::Audio,
            rtp_parameters: audio(ssrc),
            paused: false,
            app_data: serde_json::Map::new(),
        };
        self.ask(create).await;
    }

    async fn close(&self) {
        let close =
            ClosePipe { room_id: self.room.clone(), pipe_id: self.pipe, reason: "measured".to_owned() };
        self.ask(close).await;
    }

    async fn ask<C: EdgeCall>(&self, call: C) -> C::Reply {
        let request: EdgeRequest = call.into();
        let payload = codec::encode(&request).expect("a message");
        let reply = self.nats.request(self.subject.clone(), payload.into()).await;
        let reply = reply.expect("the edge answers");
        match codec::decode::<Reply<C::Reply>>(&reply.payload, 65536).expect("a reply") {
            Reply::Ok(reply) => reply,
            Reply::Error(refusal) => panic!("{} was refused: {refusal}", request.name()),
        }
    }
}

fn audio(ssrc: u32) -> RtpParameters {
    let parameters = json!({
        "codecs": [{
            "mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
            "parameters": {}, "rtcpFeedback": []
        }],
        "headerExtensions": [], "encodings": [{"ssrc": ssrc}], "rtcp": {"reducedSize": true}
    });
    serde_json::from_value(parameters).expect("RTP parameters")
}
