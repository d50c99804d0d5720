//! What one process has of a room, by its own word.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::protocol::claim::{ClaimedProducer, EndReason, Rank};
use crate::protocol::event::{
    Deed, Event, PipeHere, Quality, RoomSummary, StreamEnded, StreamHere, Warning, WarningKind, What,
};
use crate::protocol::ids::{NodeName, Peer, PipeId, PublicationId, Region, StreamName};

/// A process's part of a room. It only moves forward: an event older than the last one that was applied
/// changes nothing, and a summary repairs what was missed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The node that it is of.
    pub(crate) node: NodeName,
    /// Its datacenter.
    pub(crate) region: Region,
    /// Whether a process of the node that came later has a part too.
    pub(crate) superseded: bool,
    /// When the latest of its events was stored.
    pub(crate) heard_at: DateTime<Utc>,
    /// The last event that was applied.
    applied: u64,
    /// What is here, by name.
    pub(crate) streams: Vec<StreamHere>,
    /// By what it is sent on, by id.
    pub(crate) pipes: Vec<Pipe>,
    /// The last publication of each stream that is over here, by name.
    pub(crate) ended: Vec<Ended>,
    /// All viewers of the streams.
    pub(crate) viewers: u32,
    /// Viewers whose stream was on its way when that was last told.
    pub(crate) waiting: u32,
}

/// A pipe as its sending end tells it, and how it was opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pipe {
    /// The pipe.
    pub(crate) here: PipeHere,
    /// Which attempt it is; 0 where that wasn't told.
    pub(crate) attempt: u32,
    /// How long opening it took, in microseconds.
    pub(crate) setup_us: Option<u64>,
}

/// A publication that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Its stream.
    pub(crate) stream: StreamName,
    /// Its term and the publication: the higher came later, whoever had it.
    pub(crate) rank: Rank,
    /// Why it is over.
    pub(crate) reason: EndReason,
    /// When it started.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub(crate) ended_at: DateTime<Utc>,
}

/// The publication, if the stream is published here rather than piped or waited for.
pub(crate) fn published(here: &StreamHere) -> Option<PublicationId> {
    here.publication.filter(|_| here.path.is_empty())
}

/// What decides between the publications of a stream, if it is published here. Ids alone have no order.
pub(crate) fn rank(here: &StreamHere) -> Option<Rank> {
    published(here).map(|publication| (here.term, publication))
}

impl Part {
    /// A part with nothing in it.
    pub(crate) fn new(source: &Peer, stored: DateTime<Utc>) -> Self {
        Self {
            node: source.node.clone(),
            region: source.region.clone(),
            superseded: false,
            heard_at: stored,
            applied: 0,
            streams: Vec::new(),
            pipes: Vec::new(),
            ended: Vec::new(),
            viewers: 0,
            waiting: 0,
        }
    }

    /// Whether nothing is here now.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.pipes.is_empty()
    }

    /// Takes an event of the process about this room.
    pub(crate) fn apply(&mut self, stored: DateTime<Utc>, event: &Event) {
        self.heard_at = stored;
        if event.id <= self.applied {
            return;
        }
        self.applied = event.id;
        let time = event.time;
        match &event.what {
            What::StreamStarted(it) => {
                self.publish(&it.stream, (it.term, it.publication), &it.producers);
                if let Some(here) = self.stream(&it.stream) {
                    (here.started_at, here.participant) = (Some(time), it.participant);
                }
            }
            What::StreamChanged(it) => self.publish(&it.stream, (it.term, it.publication), &it.producers),
            What::StreamEnded(it) => self.end(it, time),
            What::StreamWarning(it) => {
                let (kind, since, detail) = (it.kind, time, it.detail.clone());
                self.warn(&it.stream, it.publication, kind, Some(Warning { kind, since, detail }));
            }
            What::StreamCleared(it) => self.warn(&it.stream, it.publication, it.kind, None),
            What::RoomModerated(it) => self.moderate(&it.by, it.deed),
            What::PipeOpening(it) => {
                if let Some(pipe) = self.pipe(it.pipe, &it.to, time) {
                    pipe.attempt = it.attempt;
                }
            }
            What::PipeOpened(it) => {
                if let Some(pipe) = self.pipe(it.pipe, &it.to, time) {
                    pipe.attempt = it.attempt;
                    pipe.setup_us = Some(it.setup_us);
                    pipe.here.open = true;
                    pipe.here.streams.clone_from(&it.streams);
                }
            }
            What::PipeFailed(it) => self.pipes.retain(|pipe| pipe.here.pipe != it.pipe),
            What::PipeClosed(it) => self.pipes.retain(|pipe| pipe.here.pipe != it.pipe),
            What::ViewerJoined(it) => self.watch(&it.stream, it.viewers),
            What::ViewerLeft(it) => self.watch(&it.stream, it.viewers),
            What::RoomSummary(it) => self.replace(it, time),
            What::RoomClosed(_) => self.replace(&RoomSummary::default(), time),
            _ => return,
        }
        self.viewers = self.streams.iter().fold(0, |sum, here| sum.saturating_add(here.viewers));
    }

    /// The entry of a stream, made if need be as one that is waited for.
    fn stream(&mut self, stream: &StreamName) -> Option<&mut StreamHere> {
        let at = match self.streams.binary_search_by(|here| here.stream.cmp(stream)) {
            Ok(at) => at,
            Err(at) => {
                self.streams.insert(at, awaited(stream.clone(), 0));
                at
            }
        };
        self.streams.get_mut(at)
    }

    /// Within one process the latest word holds.
    fn publish(&mut self, stream: &StreamName, (term, publication): Rank, producers: &[ClaimedProducer]) {
        let Some(here) = self.stream(stream) else { return };
        if published(here) != Some(publication) {
            let viewers = here.viewers;
            *here = awaited(stream.clone(), viewers);
            here.publication = Some(publication);
        }
        here.term = term;
        here.producers = producers.to_vec();
        self.ended.retain(|ended| ended.stream != *stream);
    }

    /// A warning of a publication that is here begins, or is over.
    fn warn(
        &mut self,
        stream: &StreamName,
        publication: PublicationId,
        kind: WarningKind,
        warning: Option<Warning>,
    ) {
        let here = self.streams.iter_mut().find(|here| here.stream == *stream);
        if let Some(here) = here.filter(|here| published(here) == Some(publication)) {
            here.warnings.retain(|known| known.kind != kind);
            here.warnings.extend(warning);
        }
    }

    /// A moderator that is here locks the room, or does no longer.
    fn moderate(&mut self, by: &StreamName, deed: Deed) {
        let own = self.streams.iter_mut().find(|here| here.stream == *by && published(here).is_some());
        match (own, deed) {
            (Some(here), Deed::Locked) => here.locks = true,
            (Some(here), Deed::Unlocked) => here.locks = false,
            _ => {}
        }
    }

    fn end(&mut self, it: &StreamEnded, time: DateTime<Utc>) {
        let lasted = i64::try_from(it.duration_ms).ok().and_then(TimeDelta::try_milliseconds);
        let mut started_at = lasted.and_then(|lasted| time.checked_sub_signed(lasted));
        if let Ok(at) = self.streams.binary_search_by(|here| here.stream.cmp(&it.stream))
            && let Some(here) = self.streams.get_mut(at)
            && let Some(publication) = published(here)
        {
            if publication != it.publication {
                // That of one whose place another took here.
                return;
            }
            started_at = here.started_at.or(started_at);
            if here.viewers > 0 {
                *here = awaited(it.stream.clone(), here.viewers);
            } else {
                self.streams.remove(at);
            }
        }
        let (stream, rank, reason) = (it.stream.clone(), (it.term, it.publication), it.reason);
        self.keep(Ended { stream, rank, reason, started_at, ended_at: time });
    }

    fn keep(&mut self, over: Ended) {
        match self.ended.binary_search_by(|ended| ended.stream.cmp(&over.stream)) {
            Ok(at) => {
                if let Some(ended) = self.ended.get_mut(at)
                    && ended.rank < over.rank
                {
                    *ended = over;
                }
            }
            Err(at) => self.ended.insert(at, over),
        }
    }

    fn watch(&mut self, stream: &StreamName, viewers: u32) {
        let Some(here) = self.stream(stream) else { return };
        here.viewers = viewers;
        if viewers == 0 && here.publication.is_none() {
            self.streams.retain(|here| here.stream != *stream);
        }
    }

    /// The entry of a pipe, made if need be as one that is being opened.
    fn pipe(&mut self, id: PipeId, to: &Peer, time: DateTime<Utc>) -> Option<&mut Pipe> {
        let at = match self.pipes.binary_search_by(|pipe| pipe.here.pipe.cmp(&id)) {
            Ok(at) => at,
            Err(at) => {
                let (to, streams) = (to.clone(), Vec::new());
                let here = PipeHere { pipe: id, to, open: false, since: time, streams, bitrate: 0 };
                self.pipes.insert(at, Pipe { here, attempt: 0, setup_us: None });
                at
            }
        };
        self.pipes.get_mut(at)
    }

    fn replace(&mut self, all: &RoomSummary, time: DateTime<Utc>) {
        let over: Vec<Ended> = self.streams.iter().filter_map(|here| vanished(here, all, time)).collect();
        self.waiting = all.waiting;
        self.streams.clone_from(&all.streams);
        self.streams.sort_by(|a, b| a.stream.cmp(&b.stream));
        self.streams.dedup_by(|a, b| a.stream == b.stream);
        for over in over {
            self.keep(over);
        }
        let streams = &self.streams;
        self.ended.retain(|ended| {
            !streams.iter().any(|here| here.stream == ended.stream && published(here).is_some())
        });
        let opened = std::mem::take(&mut self.pipes);
        self.pipes = all.pipes.iter().map(|here| Pipe::remember(here, &opened)).collect();
        self.pipes.sort_by_key(|pipe| pipe.here.pipe);
        self.pipes.dedup_by_key(|pipe| pipe.here.pipe);
    }
}

impl Pipe {
    fn remember(here: &PipeHere, known: &[Self]) -> Self {
        let before = known.iter().find(|pipe| pipe.here.pipe == here.pipe);
        Self {
            here: here.clone(),
            attempt: before.map_or(0, |pipe| pipe.attempt),
            setup_us: before.and_then(|pipe| pipe.setup_us),
        }
    }

    /// Whether a stream comes by it; by one that is being opened any may.
    pub(crate) fn carries(&self, stream: &StreamName) -> bool {
        !self.here.open || self.here.streams.contains(stream)
    }
}

/// A stream that viewers wait for.
fn awaited(stream: StreamName, viewers: u32) -> StreamHere {
    StreamHere {
        stream,
        term: 0,
        publication: None,
        path: Vec::new(),
        started_at: None,
        producers: Vec::new(),
        bitrate: 0,
        lost: 0,
        viewers,
        muted: false,
        participant: false,
        locks: false,
        warnings: Vec::new(),
        quality: Quality::default(),
    }
}

/// The end of a publication that a summary has no longer, where its own end wasn't told.
fn vanished(here: &StreamHere, all: &RoomSummary, time: DateTime<Utc>) -> Option<Ended> {
    let rank = rank(here)?;
    let stays = |now: &StreamHere| now.stream == here.stream && published(now) == Some(rank.1);
    if all.streams.iter().any(stays) {
        return None;
    }
    let (stream, started_at) = (here.stream.clone(), here.started_at);
    Some(Ended { stream, rank, reason: EndReason::Unknown, started_at, ended_at: time })
}
