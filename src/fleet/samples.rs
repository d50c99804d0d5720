//! What the tests of this folder are made of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use uuid::Uuid;

use crate::protocol::claim::{Claim, ClaimedProducer, StreamState};
use crate::protocol::data::ProducerKind;
use crate::protocol::ids::{Incarnation, Peer, ProducerId, PublicationId};
use crate::protocol::presence::{Beat, Limits, Load, Phase, Presence, Role};

/// How long a node may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2_500);

/// Virtual time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline(Instant);

impl Timeline {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn ms(self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

pub(crate) fn peer(node: &str, process: u128, region: &str) -> Peer {
    Peer {
        node: node.parse().unwrap(),
        incarnation: Incarnation(Uuid::from_u128(process)),
        region: region.parse().unwrap(),
    }
}

pub(crate) fn presence(node: &str, process: u128, region: &str) -> Presence {
    Presence {
        peer: peer(node, process, region),
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        version: "0".to_owned(),
        phase: Phase::Serving,
        load: Load::default(),
        limits: Limits::default(),
        public_url: String::new(),
        beat: Beat::default(),
    }
}

/// The same, as the sign of life of that number.
pub(crate) fn beat(mut presence: Presence, number: u64) -> Arc<Presence> {
    presence.beat.number = number;
    Arc::new(presence)
}

/// A live claim; its publication is that of its origin and term.
pub(crate) fn claim(room: &str, stream: &str, node: &str, term: u64, revision: u64) -> Claim {
    let of_node: u128 =
        node.bytes().fold(0_u128, |sum, byte| sum.wrapping_mul(31).wrapping_add(u128::from(byte)));
    let producer = |kind, mime_type: &str, id| ClaimedProducer {
        id: ProducerId(Uuid::from_u128(id)),
        kind,
        mime_type: mime_type.to_owned(),
        paused: false,
        encodings: 1,
        label: Box::default(),
        app_data: Default::default(),
        channel: None,
    };
    Claim {
        room_id: room.parse().unwrap(),
        stream: stream.parse().unwrap(),
        term,
        publication: PublicationId(Uuid::from_u128(of_node << 64 | u128::from(term))),
        origin: peer(node, of_node, "x"),
        revision,
        state: StreamState::Live,
        flowing: true,
        takeover: false,
        producers: vec![
            producer(ProducerKind::Audio, "audio/opus", 1),
            producer(ProducerKind::Video, "video/VP8", 2),
        ],
        path: Vec::new(),
        started_at: DateTime::UNIX_EPOCH,
        participant: false,
        locks: false,
        app_data: Default::default(),
    }
}
