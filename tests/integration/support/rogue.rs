//! A process that speaks the protocol by itself, with credentials of its own: to be believed where it says
//! what a node may say, and refused where it doesn't.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use futures_util::StreamExt;
use headwater::fleet::digest::Digest;
use headwater::protocol::claim::{Claim, ClaimedProducer, StreamState};
use headwater::protocol::codec::{self, Addressed, Reply};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::directory::{Claims, GetClaims};
use headwater::protocol::edge::{EdgeCall, EdgeRequest};
use headwater::protocol::ids::{Incarnation, Peer, ProducerId, PublicationId};
use headwater::protocol::origin::{Join, Joined, OriginReply, OriginRequest};
use headwater::protocol::presence::{Beat, Limits, Load, Phase, Presence, Role};
use headwater::protocol::refusal::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fleet::SOON;
use super::wait::eventually;

const LIMIT: usize = 1 << 20;

/// Such a process. It says nothing until it is told to.
#[derive(Debug)]
pub(crate) struct Rogue {
    client: Client,
    peer: Peer,
    claims: watch::Sender<Vec<Claim>>,
    /// What NATS has refused it.
    violations: watch::Receiver<Vec<String>>,
    tasks: JoinSet<()>,
}

impl Rogue {
    /// Connects without credentials.
    pub(crate) async fn connect(url: &str, name: &str, region: &str) -> Self {
        Self::connect_with(url, name, region, ConnectOptions::new()).await
    }

    /// Connects with these credentials.
    pub(crate) async fn connect_with(url: &str, name: &str, region: &str, options: ConnectOptions) -> Self {
        let (told, violations) = watch::channel(Vec::new());
        let client = options
            .custom_inbox_prefix(format!("_INBOX_{name}"))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    told.send_modify(|violations: &mut Vec<String>| violations.push(error.to_string()));
                }
                async {}
            })
            .connect(url)
            .await
            .expect("the rogue connects");
        let peer = Peer {
            node: name.parse().expect("a name"),
            incarnation: Incarnation(Uuid::now_v7()),
            region: region.parse().expect("a region"),
        };
        Self { client, peer, claims: watch::Sender::new(Vec::new()), violations, tasks: JoinSet::new() }
    }

    /// The connection, for what is no message of the protocol.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// A claim to a room's first stream, with these producers.
    pub(crate) fn claim_of(&self, room: &str, term: u64, producers: &[(ProducerId, ProducerKind)]) -> Claim {
        let claimed = |(id, kind): &(ProducerId, ProducerKind)| ClaimedProducer {
            id: *id,
            kind: *kind,
            mime_type: if *kind == ProducerKind::Audio { "audio/opus" } else { "video/VP8" }.to_owned(),
            paused: false,
            encodings: 1,
            label: Box::default(),
            app_data: Default::default(),
            channel: None,
        };
        Claim {
            room_id: room.parse().expect("a room"),
            stream: "main".parse().expect("a stream"),
            term,
            publication: PublicationId(Uuid::new_v4()),
            origin: self.peer.clone(),
            revision: self.claims.borrow().len() as u64 + 1,
            state: StreamState::Live,
            flowing: true,
            takeover: false,
            producers: producers.iter().map(claimed).collect(),
            path: Vec::new(),
            started_at: chrono::Utc::now(),
            participant: false,
            locks: false,
            app_data: Default::default(),
        }
    }

    /// Says a claim once, and stands by it in its signs of life.
    pub(crate) async fn claim(&self, claim: Claim) {
        let subject = format!("room.{}.stream.{}.{}", claim.room_id, claim.stream, self.peer.node);
        self.claims.send_modify(|claims| claims.push(claim.clone()));
        self.say(&subject, &claim).await;
    }

    /// Says something, wherever.
    pub(crate) async fn say(&self, subject: &str, message: &impl Serialize) {
        let bytes = codec::encode(message).expect("bytes");
        self.client.publish(subject.to_owned(), bytes.into()).await.expect("it is sent");
        self.client.flush().await.expect("it is on its way");
    }

    /// What it would say of itself now.
    pub(crate) fn presence(&self, number: u64) -> Presence {
        presence(&self.peer, number, &self.claims.borrow())
    }

    /// Gives signs of life from now on, and its claims to whoever asks, as a node does.
    pub(crate) async fn live(&mut self) {
        let (client, peer) = (self.client.clone(), self.peer.clone());
        let directory = format!("node.{}.directory", peer.node);
        let mut asked = client.subscribe(directory).await.expect("a subscription");
        let claims = self.claims.subscribe();
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            let subject = format!("node.{}.presence", peer.node);
            let mut number = 0;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        number += 1;
                        let presence = presence(&peer, number, &claims.borrow());
                        let bytes = codec::encode(&presence).expect("bytes");
                        let _ = client.publish(subject.clone(), bytes.into()).await;
                    }
                    Some(message) = asked.next() => {
                        let claims = claims.borrow().clone();
                        let beat = beat(number, &claims);
                        let from = peer.clone();
                        let page = Claims { from, phase: Phase::Serving, beat, claims, next: None };
                        if codec::decode::<GetClaims>(&message.payload, LIMIT).is_ok() {
                            answer(&client, &message, &Reply::Ok(page)).await;
                        }
                    }
                }
            }
        });
    }

    /// Asks an edge.
    pub(crate) async fn ask_edge<C: EdgeCall>(&self, edge: &Peer, call: C) -> Result<C::Reply, Code> {
        let request: EdgeRequest = call.into();
        let subject = format!("room.{}.edge.{}", request.room(), edge.node);
        self.ask(&subject, &Addressed { to: edge.incarnation, request }).await
    }

    /// Asks an origin or relay.
    pub(crate) async fn ask_origin<R: DeserializeOwned>(
        &self,
        origin: &Peer,
        request: impl Into<OriginRequest>,
    ) -> Result<R, Code> {
        let request: OriginRequest = request.into();
        let subject = format!("room.{}.origin.{}", request.room(), origin.node);
        self.ask(&subject, &Addressed { to: origin.incarnation, request }).await
    }

    /// Asks anything of anybody.
    pub(crate) async fn ask<R: DeserializeOwned>(
        &self,
        subject: &str,
        request: &impl Serialize,
    ) -> Result<R, Code> {
        ask(&self.client, subject, codec::encode(request).expect("bytes")).await
    }

    /// What nodes ask of it as an origin of this room from now on.
    pub(crate) async fn asked_as_origin(&self, room: &str) -> Joins {
        let subject = format!("room.{room}.origin.{}", self.peer.node);
        let asked = self.client.subscribe(subject).await.expect("a subscription");
        self.client.flush().await.expect("the server knows of it");
        Joins { client: self.client.clone(), asked }
    }

    /// Waits until NATS has refused it something on this subject.
    pub(crate) async fn is_refused(&self, subject: &str) {
        eventually(SOON, format!("{subject} is refused"), || async {
            let violations = self.violations.borrow().clone();
            // The server tells it with the subject in quotes.
            let told = violations.iter().any(|violation| violation.contains(&format!("\"{subject}\"")));
            if told { Ok(()) } else { Err(violations) }
        })
        .await;
    }
}

/// The joins that a [`Rogue`] is asked.
#[derive(Debug)]
pub(crate) struct Joins {
    client: Client,
    asked: Subscriber,
}

impl Joins {
    /// The next one, which is answered with this pipe's id.
    pub(crate) async fn next(&mut self, joined: impl Fn(&Join) -> Joined) -> Join {
        loop {
            let asked = tokio::time::timeout(SOON, self.asked.next()).await.expect("a join in time");
            let message = asked.expect("the connection is there");
            let request =
                codec::decode::<Addressed<OriginRequest>>(&message.payload, LIMIT).expect("a request");
            if let OriginRequest::Join(join) = request.request {
                answer(&self.client, &message, &Reply::Ok(OriginReply::Joined(joined(&join)))).await;
                return join;
            }
        }
    }
}

/// Asks with bytes as they are.
pub(crate) async fn ask<R: DeserializeOwned>(
    client: &Client,
    subject: &str,
    payload: Vec<u8>,
) -> Result<R, Code> {
    let reply = client.request(subject.to_owned(), payload.into()).await.expect("an answer");
    match codec::decode::<Reply<R>>(&reply.payload, LIMIT).expect("a reply") {
        Reply::Ok(reply) => Ok(reply),
        Reply::Error(refusal) => Err(refusal.code),
    }
}

async fn answer(client: &Client, message: &Message, reply: &impl Serialize) {
    let to = message.reply.clone().expect("a subject for the reply");
    let _ = client.publish(to, codec::encode(reply).expect("bytes").into()).await;
}

fn presence(peer: &Peer, number: u64, claims: &[Claim]) -> Presence {
    Presence {
        peer: peer.clone(),
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: Phase::Serving,
        load: Load::default(),
        limits: Limits::default(),
        public_url: "http://127.0.0.1:9".to_owned(),
        beat: beat(number, claims),
    }
}

fn beat(number: u64, claims: &[Claim]) -> Beat {
    let mut digest = Digest::default();
    claims.iter().for_each(|claim| digest.add(claim));
    let revision = claims.iter().map(|claim| claim.revision).max().unwrap_or(0);
    Beat { number, revision, claims: digest.count, digest: digest.sum, every_ms: 1_000 }
}
