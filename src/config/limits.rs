//! How much a node takes and how long it waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::presence;

/// How much a node takes. May change while it runs, [`Limits::FIXED`] apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Rooms carried at once.
    pub rooms: usize,
    /// Viewers connected at once.
    pub viewers: usize,
    /// Streams published here at once.
    pub streams: usize,
    /// Streams of one room published here at once.
    pub streams_per_room: usize,
    /// Participants of one room that are here by the session API at once.
    pub participants_per_room: usize,
    /// What one of them may send at once.
    pub producers_per_participant: usize,
    /// What one of them may be sent at once.
    pub consumers_per_participant: usize,
    /// Publishers that may have an answer and not be connected yet. They are no streams.
    pub connecting: usize,
    /// Viewers of one room that may wait for streams to arrive.
    pub waiting: usize,
    /// Nodes that a room is sent to from here: further ones are told to ask those.
    pub children: usize,
    /// Pipes to other nodes at once, of all rooms.
    pub outlets: usize,
    /// Bits of media that may go out each second, to viewers and other nodes; 0 is without limit. Reached, nothing new is
    /// taken.
    pub bits_out: u64,
    /// Producers taken from one pipe.
    pub producers_per_pipe: usize,
    /// Bytes of a message from another node.
    pub message_bytes: usize,
    /// Bytes of an HTTP body.
    pub body_bytes: usize,
    /// Messages that may wait in a room's inbox.
    pub inbox: usize,
    /// Ways to number the codecs of what is sent among the viewers of a room on a worker.
    pub payload_layouts: usize,
    /// HTTP connections open at once; a quarter of what it is at the start may be such that ask nothing.
    pub connections: usize,
    /// Those of them from one address (IPv6: one /64); 0 is without limit. Proxies that are trusted and this machine
    /// are not counted, here and below.
    pub connections_per_address: usize,
    /// HTTP requests from one address each second, and ten times as many at once; 0 is without limit.
    pub requests_per_address: u32,
    /// Those of them that are to start a session, likewise.
    pub sessions_per_address: u32,
}

/// How long a node waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For another node's reply.
    #[serde(with = "humantime_serde")]
    pub request: Duration,
    /// For a stream to arrive that a viewer asked for.
    #[serde(with = "humantime_serde")]
    pub join: Duration,
    /// For a publisher or viewer to connect after its answer.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// For a pipe to connect.
    #[serde(with = "humantime_serde")]
    pub pipe_connect: Duration,
    /// For a publisher whose packets can't be used, as they belong to none of its tracks. One that sends nothing is
    /// muted, and stays as long as its connection lives.
    #[serde(with = "humantime_serde")]
    pub publisher_silence: Duration,
    /// For a publisher or viewer from whom nothing arrives at all: no media, no report, no check (RFC 7675).
    #[serde(with = "humantime_serde")]
    pub ice_consent: Duration,
    /// How long an edge keeps a pipe that no one watches.
    #[serde(with = "humantime_serde")]
    pub pipe_idle: Duration,
    /// How long a room stays with nothing in it.
    #[serde(with = "humantime_serde")]
    pub room_idle: Duration,
    /// How long a session of the session API lasts of which nothing is heard.
    #[serde(with = "humantime_serde")]
    pub session: Duration,
    /// How often an edge renews its lease on a pipe.
    #[serde(with = "humantime_serde")]
    pub lease_renewal: Duration,
    /// How long a pipe outlives its last renewal when nothing comes back from the edge either.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How long a node may be silent on the bus before it counts as absent, where it says that it is there each second;
    /// in proportion longer in a fleet of more than 1,000, where signs of life come less often.
    #[serde(with = "humantime_serde")]
    pub presence: Duration,
    /// What a viewer is told to wait before it asks again.
    #[serde(with = "humantime_serde")]
    pub retry_after: Duration,
    /// How long a node that was told to stop waits for its publishers, its viewers and the nodes that pull from it.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// For the TLS handshake of an HTTP connection, and anew for the whole header of each of its requests: one without
    /// requests is closed after it.
    #[serde(with = "humantime_serde")]
    pub http_header: Duration,
    /// For the whole body of an HTTP request.
    #[serde(with = "humantime_serde")]
    pub http_body: Duration,
}

impl Limits {
    /// The keys that are read at the start alone: what goes by them is made then.
    pub const FIXED: [&'static str; 3] = ["message_bytes", "body_bytes", "inbox"];

    /// What other nodes are told of it.
    pub fn told(&self) -> presence::Limits {
        let count = |limit: usize| Some(u32::try_from(limit).unwrap_or(u32::MAX));
        presence::Limits {
            viewers: count(self.viewers),
            streams: count(self.streams),
            rooms: count(self.rooms),
            outlets: count(self.outlets),
            bits_out: Some(self.bits_out).filter(|bits| *bits > 0),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rooms: 10_000,
            viewers: 5_000,
            streams: 1_000,
            streams_per_room: 64,
            participants_per_room: 200,
            producers_per_participant: 16,
            consumers_per_participant: 500,
            connecting: 256,
            waiting: 500,
            children: 200,
            outlets: 4_000,
            bits_out: 0,
            producers_per_pipe: 256,
            message_bytes: 64 * 1024,
            body_bytes: 256 * 1024,
            inbox: 1_024,
            payload_layouts: 128,
            connections: 16_000,
            connections_per_address: 4_000,
            requests_per_address: 1_000,
            sessions_per_address: 100,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(2),
            join: Duration::from_secs(5),
            connect: Duration::from_secs(15),
            pipe_connect: Duration::from_secs(10),
            publisher_silence: Duration::from_secs(30),
            ice_consent: Duration::from_secs(30),
            pipe_idle: Duration::from_secs(10),
            room_idle: Duration::from_secs(10),
            session: Duration::from_secs(30),
            lease_renewal: Duration::from_secs(5),
            lease: Duration::from_secs(20),
            presence: Duration::from_millis(2_500),
            retry_after: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            http_header: Duration::from_secs(20),
            http_body: Duration::from_secs(10),
        }
    }
}
