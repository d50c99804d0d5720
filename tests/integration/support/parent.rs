//! A parent that the test plays: a node's real edge asks it to join, and takes what it says about the pipe.

use headwater::node::Node;
use headwater::protocol::claim::Claim;
use headwater::protocol::data::ProducerKind;
use headwater::protocol::edge::{
    ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, Done, GetRemoteRouterInfo,
    RemotePipeTransport,
};
use headwater::protocol::ids::{Peer, PipeId, ProducerId, RouterId, Token};
use headwater::protocol::origin::{CarriedProducer, CarriedStream, Join, Joined};
use headwater::protocol::refusal::Code;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fleet::{heard_of, knock_at};
use super::rogue::Rogue;

/// A parent of one edge, for a room's first stream of one audio producer.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) rogue: Rogue,
    pub(crate) edge: Peer,
    /// What the edge made for its join.
    pub(crate) token: Token,
    pub(crate) pipe: PipeId,
    pub(crate) claim: Claim,
    router: RouterId,
    /// Whoever waits at the edge, and what answers its further joins.
    _tasks: JoinSet<()>,
}

impl Parent {
    /// Claims a stream and returns when a viewer at `edge` has made that ask for it.
    pub(crate) async fn of(edge: &Node, nats: &str, room: &str) -> Self {
        let mut rogue = Rogue::connect(nats, "parent", "west").await;
        let mut joins = rogue.asked_as_origin(room).await;
        rogue.live().await;
        let claim = rogue.claim_of(room, 1, &[(ProducerId(Uuid::new_v4()), ProducerKind::Audio)]);
        rogue.claim(claim.clone()).await;
        heard_of(edge, room).await;
        let mut tasks = JoinSet::new();
        let url = format!("{}/whep/{room}", edge.public_url());
        tasks.spawn(async move {
            knock_at(&url).await;
        });
        let pipe = PipeId(Uuid::now_v7());
        let carried = CarriedStream {
            instead: Vec::new(),
            stream: claim.stream.clone(),
            publication: claim.publication,
            path: vec![rogue.peer().node.clone()],
            viewers: 0,
            producers: vec![CarriedProducer { id: claim.producers[0].id, paused: false, flowing: false }],
        };
        let answer = move |_: &Join| Joined { pipe_id: pipe, revision: 1, streams: vec![carried.clone()] };
        let token = joins.next(&answer).await.token;
        tasks.spawn(async move {
            loop {
                joins.next(&answer).await;
            }
        });
        let (edge, router) = (edge.peer().clone(), RouterId(Uuid::new_v4()));
        Self { rogue, edge, token, pipe, claim, router, _tasks: tasks }
    }

    pub(crate) fn info(&self) -> GetRemoteRouterInfo {
        GetRemoteRouterInfo { room_id: self.claim.room_id.clone(), token: self.token }
    }

    pub(crate) fn create(&self, srtp: bool) -> CreateRemotePipeTransport {
        CreateRemotePipeTransport {
            room_id: self.claim.room_id.clone(),
            token: self.token,
            router_id: self.router,
            pipe_id: self.pipe,
            from: self.rogue.peer().clone(),
            srtp,
            rtx: srtp,
        }
    }

    pub(crate) fn connect(&self) -> ConnectRemotePipeTransport {
        ConnectRemotePipeTransport {
            room_id: self.claim.room_id.clone(),
            token: self.token,
            router_id: self.router,
            pipe_id: self.pipe,
            ip: "127.0.0.1".parse().unwrap(),
            port: 9,
            srtp_parameters: None,
        }
    }

    pub(crate) fn produce(&self) -> CreatePipeProducer {
        CreatePipeProducer {
            room_id: self.claim.room_id.clone(),
            token: self.token,
            router_id: self.router,
            pipe_id: self.pipe,
            revision: 1,
            stream: self.claim.stream.clone(),
            publication: self.claim.publication,
            path: vec![self.rogue.peer().node.clone()],
            of: 1,
            id: self.claim.producers[0].id,
            kind: ProducerKind::Audio,
            rtp_parameters: serde_json::from_value(serde_json::json!({
                "codecs": [{"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2,
                            "parameters": {}, "rtcpFeedback": []}],
                "headerExtensions": [], "encodings": [{"ssrc": 4242}], "rtcp": {"reducedSize": true}
            }))
            .unwrap(),
            paused: false,
            label: String::new(),
            app_data: serde_json::Map::new(),
            data: None,
        }
    }

    /// Opens the pipe, plain, as far as its media.
    pub(crate) async fn open(&self) -> Result<(), Code> {
        let _: RemotePipeTransport = self.rogue.ask_edge(&self.edge, self.create(false)).await?;
        let _: Done = self.rogue.ask_edge(&self.edge, self.connect()).await?;
        let _: Done = self.rogue.ask_edge(&self.edge, self.produce()).await?;
        Ok(())
    }
}
