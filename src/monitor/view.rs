//! What people and programs are shown: made from the state, never stored. Bitrates are in bit/s of
//! media.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::protocol::claim::{ClaimedProducer, EndReason};
use crate::protocol::event::{Event, Quality, Warning};
use crate::protocol::ids::{Incarnation, NodeName, PipeId, PublicationId, Region, RoomId, StreamName};
use crate::protocol::presence::{Load, Role};

/// The moment that a view shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// The sequence number of the last event folded in; 0 before the first.
    pub sequence: u64,
    /// When that event was stored.
    pub time: Option<DateTime<Utc>>,
}

/// The fleet: `GET /api/fleet`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetView {
    /// The moment that is shown.
    pub at: Moment,
    /// Ordered by name.
    pub regions: Vec<RegionView>,
    /// How media crosses between regions now; ordered by from and to.
    pub links: Vec<LinkView>,
    /// Sums over the whole fleet.
    pub totals: Totals,
    /// What went wrong lately, newest first; at most 200.
    pub problems: Vec<Problem>,
}

/// A region and what it carries now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionView {
    /// Its name.
    pub region: Region,
    /// Ordered by name; nodes that are gone too, until they are forgotten.
    pub nodes: Vec<NodeView>,
    /// Live streams published here.
    pub streams: u32,
    /// Viewers connected here.
    pub viewers: u32,
    /// Bits per second that its publishers send.
    pub published: u64,
    /// Bits per second that its viewers are sent: an estimate from the samples.
    pub watched: u64,
}

/// A node by the process that was heard of last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeView {
    /// Its name.
    pub node: NodeName,
    /// Its datacenter.
    pub region: Region,
    /// That process.
    pub incarnation: Incarnation,
    /// How it is.
    pub condition: Condition,
    /// What it may be used for; empty until it has told.
    pub roles: Vec<Role>,
    /// Its program's version; empty until it has told.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub heard_at: DateTime<Utc>,
    /// How much it carried when it last told.
    pub load: Load,
    /// Where publishers and viewers reach it; empty until it has told.
    pub public_url: String,
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// It takes streams and viewers.
    Serving,
    /// It takes nothing new.
    Draining,
    /// It has said its last word.
    Stopped,
    /// It fell silent without one.
    Lost,
}

/// The open pipes from one region to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    /// The region of the sending ends.
    pub from: Region,
    /// The region of the receiving ends.
    pub to: Region,
    /// Open pipes.
    pub pipes: u32,
    /// Streams that they carry: a stream counts once for each pipe.
    pub streams: u32,
    /// Bits per second.
    pub bitrate: u64,
}

/// Sums over the fleet: first what is now, then what was counted since the log begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Nodes that serve or drain.
    pub nodes: u32,
    /// Rooms with a live stream.
    pub rooms: u32,
    /// Live streams.
    pub streams: u32,
    /// Viewers.
    pub viewers: u32,
    /// Pipes, open or being opened.
    pub pipes: u32,
    /// Streams ever started.
    pub streams_started: u64,
    /// Viewers that ever joined.
    pub viewers_joined: u64,
    /// Pipes ever opened.
    pub pipes_opened: u64,
    /// Pipes, and attempts at one, that ever failed.
    pub pipes_failed: u64,
    /// Events folded in, each once.
    pub events: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Events of an unknown type or version.
    pub skipped: u64,
    /// Events that nodes could not keep while the bus was away.
    pub dropped: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// When.
    pub time: DateTime<Utc>,
    /// The type of the event that told it, as `pipe.failed`.
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// What happened and what to look at, for a person.
    pub text: String,
    /// The room that it befell; none where it befell a node.
    pub room: Option<RoomId>,
    /// The node that told it.
    pub node: NodeName,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Somebody may have noticed it, or soon will.
    Warning,
    /// Somebody was cut off or turned away.
    Error,
}

/// What to list: the query of `GET /api/rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoomsQuery {
    /// Part of the room's name, in any case; empty for all.
    pub search: String,
    /// Only rooms with a live stream, or viewers who wait for one to come back, or only the others; all
    /// where none.
    pub live: Option<bool>,
    /// Only rooms that this node carries; all where none.
    pub node: Option<NodeName>,
    /// In which order.
    pub sort: RoomSort,
    /// How many to leave out first.
    pub offset: usize,
    /// How many to list at most.
    pub limit: usize,
}

impl Default for RoomsQuery {
    fn default() -> Self {
        Self {
            search: String::new(),
            live: None,
            node: None,
            sort: RoomSort::default(),
            offset: 0,
            limit: 100,
        }
    }
}

/// The order of a list of rooms. Those alike are ordered by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RoomSort {
    /// Most viewers first.
    #[default]
    Viewers,
    /// By name.
    Name,
    /// Longest live first, then those that are over, the latest first.
    Age,
}

/// A list of rooms: `GET /api/rooms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomsView {
    /// The moment that is shown.
    pub at: Moment,
    /// How many rooms match, listed or not.
    pub total: usize,
    /// Those of this page.
    pub rooms: Vec<RoomLine>,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomLine {
    /// Its name.
    pub room: RoomId,
    /// Whether a stream of it is live.
    pub live: bool,
    /// Its live streams.
    pub streams: u32,
    /// Its viewers on all nodes.
    pub viewers: u32,
    /// Nodes that carry it.
    pub nodes: u32,
    /// Regions of those nodes.
    pub regions: u32,
    /// Hops of its deepest tree; 0 where no other node carries it.
    pub depth: u8,
    /// Bits per second that its publishers send.
    pub bitrate: u64,
    /// Nodes where its live streams are published, ordered by name.
    pub origins: Vec<NodeName>,
    /// When the oldest of its live streams started.
    pub since: Option<DateTime<Utc>>,
    /// When something last happened in it.
    pub changed_at: DateTime<Utc>,
    /// Its problems of the last hour.
    pub problems: u32,
}

/// A room: `GET /api/rooms/<room>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    /// The moment that is shown.
    pub at: Moment,
    /// Its name.
    pub room: RoomId,
    /// Whether a stream of it is live.
    pub live: bool,
    /// Ordered by name; those that are over too, until they are forgotten.
    pub streams: Vec<StreamTree>,
    /// Its viewers on all nodes.
    pub viewers: u32,
    /// Viewers beside them that are not served yet, as their stream is on its way to their node.
    pub waiting: u32,
    /// The moderators who let nobody new in; none where the room is open.
    #[serde(default)]
    pub locked_by: Vec<StreamName>,
    /// What was counted in it.
    pub counters: RoomCounters,
    /// Its problems, newest first; at most 50.
    pub problems: Vec<Problem>,
}

/// What was counted in a room since it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomCounters {
    /// Viewers that joined.
    pub viewers_joined: u64,
    /// Viewers that left.
    pub viewers_left: u64,
    /// Seconds that the viewers who left had been there, in sum.
    pub viewer_seconds: u64,
    /// Bytes of media received from publishers, of streams that are over.
    pub published_bytes: u64,
    /// Bytes of media sent by pipes that are closed.
    pub piped_bytes: u64,
    /// Bytes of media sent to the viewers who left.
    pub watched_bytes: u64,
    /// The most viewers at once, in the order of the log; those of a node that vanished count until it
    /// is back or closes the room.
    pub peak_viewers: u32,
    /// Streams started.
    pub streams_started: u64,
    /// Pipes opened.
    pub pipes_opened: u64,
    /// Pipes, and attempts at one, that failed.
    pub pipes_failed: u64,
    /// Times that a stream came back to viewers who had kept waiting.
    pub recoveries: u64,
}

/// A stream and the nodes that it reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamTree {
    /// Its name.
    pub stream: StreamName,
    /// The publication that holds, or the last one that did; none where only waiting viewers are known.
    pub publication: Option<PublicationId>,
    /// Whether it can be watched.
    pub live: bool,
    /// Why it is over; none while it is live, or where nothing is known of it. `lost` is no end: its origin
    /// isn't heard, and with the next word of that it is live again.
    pub ended: Option<EndReason>,
    /// When the publication started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was over, or its origin was last heard.
    pub ended_at: Option<DateTime<Utc>>,
    /// What its publisher sends.
    pub producers: Vec<ClaimedProducer>,
    /// Bits per second that its publisher sends.
    pub bitrate: u64,
    /// Whether it is live, its publisher is connected, and no media comes from it.
    #[serde(default)]
    pub muted: bool,
    /// Whether it is what a participant sends, who came by the session API.
    #[serde(default)]
    pub participant: bool,
    /// What is wrong with what its publisher sends now.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Its viewers on all nodes.
    pub viewers: u32,
    /// Hops of the deepest node that it has reached.
    pub depth: u8,
    /// Pipes that cross between two regions.
    pub crossings: u32,
    /// The origin; none while it is gone.
    pub tree: Option<TreeNode>,
    /// Nodes whose viewers wait for the stream to come back, or whose parent isn't known; ordered by
    /// name.
    pub apart: Vec<TreeNode>,
}

/// A node in a stream's tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeNode {
    /// Its name.
    pub node: NodeName,
    /// Its datacenter.
    pub region: Region,
    /// What it is in this tree.
    pub role: TreeRole,
    /// How far it is from the origin; from the root where it is apart.
    pub hops: u8,
    /// How the node is.
    pub condition: Condition,
    /// Its viewers of the stream; 0 once it is gone.
    pub viewers: u32,
    /// Bits per second that arrive; 0 where no media has arrived yet.
    pub bitrate: u64,
    /// Packets lost on the way here so far.
    pub lost: u64,
    /// What its viewers get.
    pub quality: Quality,
    /// The pipe by which the stream comes here; none at the origin, or where it isn't known.
    pub pipe: Option<PipeView>,
    /// Ordered by name.
    pub children: Vec<TreeNode>,
}

/// What a node is in a stream's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TreeRole {
    /// The stream is published here.
    Origin,
    /// It passes the stream on.
    Relay,
    /// It passes it to viewers only.
    Edge,
}

/// The pipe to a node in a tree, as its sending end has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipeView {
    /// The pipe.
    pub pipe: PipeId,
    /// Whether it carries media.
    pub open: bool,
    /// Since when it is there.
    pub since: DateTime<Utc>,
    /// Bits per second of all the streams that it carries.
    pub bitrate: u64,
    /// How long opening it took, in microseconds; none until it is open, or where its opening wasn't
    /// told.
    pub setup_us: Option<u64>,
    /// Which attempt in a row it is, from 1; 0 where its opening wasn't told.
    pub attempt: u32,
}

/// A page of a room's history, in the order of the log: `GET /api/rooms/<room>/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventsPage {
    /// Ascending by sequence.
    pub events: Vec<Recorded>,
    /// The sequence of the first of them.
    pub first: Option<u64>,
    /// The sequence of the last of them.
    pub last: Option<u64>,
    /// Whether there are further ones in the direction that was asked for.
    pub more: bool,
}

/// An event as it lies in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Its number in the log.
    pub sequence: u64,
    /// When it was stored.
    pub stored: DateTime<Utc>,
    /// The event; none where its type or version is unknown.
    pub event: Option<Event>,
    /// What happened, as one plain sentence.
    pub text: String,
    /// How bad it is; none where it is no problem.
    pub severity: Option<Severity>,
}
