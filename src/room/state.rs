//! What a room knows. Only its task changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::context::Context;
use super::message::{Answer, JobDone, Message, WatchRequest, Watching};
use super::summary::Said;
use crate::media::{Measured, PipeEnd, ProducerInfo, RoomMedia};
use crate::protocol::announcement::Announcement;
use crate::protocol::event::ViewerId;
use crate::protocol::ids::{
    NodeName, Peer, PipeId, ProducerId, PublicationId, RoomId, SessionId, StreamName,
};
use crate::telemetry::{Counted, Trace};

/// A room on this node.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) ctx: Arc<Context>,
    pub(super) media: RoomMedia,
    /// Where jobs report back.
    pub(super) inbox: mpsc::Sender<Message>,
    /// Publishers of this node, by stream.
    pub(super) publications: BTreeMap<StreamName, Publication>,
    /// Publishers that are still connecting.
    pub(super) connecting: BTreeMap<SessionId, Publication>,
    /// Ends that the registry must still be told.
    pub(super) endings: BTreeMap<StreamName, Writing>,
    /// What the registry says of this room's streams.
    pub(super) registry: BTreeMap<StreamName, Known>,
    /// The streams that are here, published or piped.
    pub(super) sources: BTreeMap<StreamName, Source>,
    /// The nodes that we pull from, or that send to us.
    pub(super) parents: BTreeMap<NodeName, Parent>,
    /// The nodes that pull from us.
    pub(super) children: BTreeMap<NodeName, Child>,
    pub(super) viewers: BTreeMap<SessionId, Viewer>,
    /// Viewers whose stream is on its way.
    pub(super) waiting: Vec<Waiting>,
    /// The ICE session of every publisher and viewer.
    pub(super) ice: BTreeMap<SessionId, IceSession>,
    /// When a stream was last wanted here.
    pub(super) wanted_at: BTreeMap<StreamName, Instant>,
    /// Since when streams are gone that viewers wait for.
    pub(super) gone_since: BTreeMap<StreamName, Instant>,
    /// What the log was last told of all that is here, and which log that was.
    pub(super) said: Option<Said>,
    pub(super) told_log: u64,
    pub(super) opened: Instant,
    pub(super) measured: Measured,
    pub(super) measured_at: Option<Instant>,
    pub(super) empty_since: Option<Instant>,
    /// Set once the room is told to stop: when it gives up on what is left to say.
    pub(super) stop_by: Option<Instant>,
}

/// The registry's last word on a stream.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) epoch: u64,
    pub(super) announcement: Announcement,
}

/// A publisher of this node.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) id: PublicationId,
    pub(super) session: SessionId,
    pub(super) stream: StreamName,
    pub(super) producers: Vec<ProducerInfo>,
    pub(super) started_at: DateTime<Utc>,
    /// Since when it is connecting, or connected.
    pub(super) since: Instant,
    /// When media last arrived.
    pub(super) heard: Instant,
    pub(super) bytes: u64,
    pub(super) bitrate: u64,
    pub(super) key_frames: KeyFrameWindow,
    pub(super) writing: Writing,
    pub(super) _counted: Counted,
}

/// Where counting the requests for key frames began.
#[derive(Debug)]
pub(super) struct KeyFrameWindow {
    pub(super) since: Instant,
    pub(super) requests: u64,
}

/// How far the registry has been told of something.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// What it was last told, with its epoch.
    pub(super) written: Option<(u64, Announcement)>,
    pub(super) written_at: Option<Instant>,
    /// What it should be told; only set for ends.
    pub(super) wanted: Option<Announcement>,
    /// The epoch that another writer was found at.
    pub(super) found: Option<u64>,
    pub(super) in_flight: bool,
    pub(super) retry_at: Option<Instant>,
}

/// A stream that is here.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) publication: PublicationId,
    /// The nodes from the origin to this one, without this one.
    pub(super) path: Vec<NodeName>,
    pub(super) producers: Vec<ProducerInfo>,
    /// How many producers the stream has when it is complete.
    pub(super) of: usize,
    pub(super) via: Via,
}

/// Where a stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    Publisher,
    Pipe(PipeId),
}

impl Source {
    pub(super) fn is_complete(&self) -> bool {
        self.producers.len() >= self.of
    }
}

/// A node that sends to us.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) peer: Option<Peer>,
    /// The pipe by which it sends; none until it has asked for our end.
    pub(super) pipe: Option<Inlet>,
    /// What it was last asked for.
    pub(super) asked: BTreeSet<StreamName>,
    pub(super) in_flight: bool,
    pub(super) leaving: bool,
    pub(super) failures: u32,
    pub(super) next_join: Instant,
    pub(super) since: Instant,
}

/// Our end of a pipe that receives.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) id: PipeId,
    pub(super) opened: Instant,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) connected: bool,
    pub(super) bytes: u64,
    pub(super) heard: Instant,
}

/// A node that pulls from us.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) peer: Peer,
    pub(super) wanted: BTreeSet<StreamName>,
    pub(super) renewed: Instant,
    pub(super) pipe: Option<Outlet>,
    pub(super) failures: u32,
    pub(super) retry_at: Instant,
    /// The trace of the request that it came with.
    pub(super) trace: Trace,
}

/// Our end of a pipe that sends.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) id: PipeId,
    pub(super) end: PipeEnd,
    pub(super) opened: Instant,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) connected: bool,
    /// Whether the child is being told something: one change at a time keeps their order.
    pub(super) in_flight: bool,
    /// What the child was told of, and whether it was told that it is paused.
    pub(super) told: BTreeMap<ProducerId, bool>,
    pub(super) bytes: u64,
    pub(super) heard: Instant,
}

/// A viewer of this node.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Its name in events.
    pub(super) id: ViewerId,
    pub(super) stream: StreamName,
    pub(super) since: Instant,
    pub(super) connected: bool,
    /// The producers that it is being sent.
    pub(super) showing: Vec<ProducerId>,
    pub(super) _counted: Counted,
}

/// The ICE session of a publisher or viewer.
#[derive(Debug)]
pub(super) struct IceSession {
    /// The other side's user fragment.
    pub(super) remote_ufrag: String,
    /// Our user fragment, which is the ETag.
    pub(super) etag: String,
}

/// A viewer whose stream is on its way.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: WatchRequest,
    pub(super) answer: Answer<Watching>,
    pub(super) since: Instant,
}

impl Room {
    pub(super) fn new(
        id: RoomId,
        ctx: Arc<Context>,
        media: RoomMedia,
        inbox: mpsc::Sender<Message>,
        registry: BTreeMap<StreamName, Known>,
    ) -> Self {
        Self {
            id,
            ctx,
            media,
            inbox,
            publications: BTreeMap::new(),
            connecting: BTreeMap::new(),
            endings: BTreeMap::new(),
            registry,
            sources: BTreeMap::new(),
            parents: BTreeMap::new(),
            children: BTreeMap::new(),
            viewers: BTreeMap::new(),
            waiting: Vec::new(),
            ice: BTreeMap::new(),
            wanted_at: BTreeMap::new(),
            gone_since: BTreeMap::new(),
            said: None,
            told_log: 0,
            opened: Instant::now(),
            measured: Measured::default(),
            measured_at: None,
            empty_since: None,
            stop_by: None,
        }
    }

    /// Runs what crosses the network outside the room's task; its result comes back by the inbox.
    pub(super) fn job(&self, work: impl Future<Output = JobDone> + Send + 'static) {
        let inbox = self.inbox.clone();
        let job = async move {
            let done = work.await;
            // A room that has ended needs no result.
            let _ = inbox.send(Message::Job(done)).await;
        };
        self.ctx.tracker.spawn(job.in_current_span());
    }

    /// Says something to another node whose answer changes nothing here.
    pub(super) fn tell(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.ctx.tracker.spawn(work.in_current_span());
    }

    /// The live announcement of a stream whose origin is not known to be gone.
    pub(super) fn live(&self, stream: &StreamName, now: Instant) -> Option<&Announcement> {
        let known = self.registry.get(stream)?;
        let live =
            known.announcement.is_live() && !self.ctx.fleet().is_absent(&known.announcement.origin, now);
        live.then_some(&known.announcement)
    }
}
