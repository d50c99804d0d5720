//! The streams that are here, published or piped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::protocol::claim::ClaimedProducer;
use crate::protocol::ids::{NodeName, PipeId, ProducerId, PublicationId, StreamName};
use crate::protocol::media::{Measured, ProducerInfo};

/// Media that was last seen to arrive within this long flows: less than an edge waits before it asks, though
/// what arrived is seen up to half a second late.
const FLOWS: Duration = Duration::from_millis(800);

/// The streams that are here.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sources: BTreeMap<StreamName, Source>,
    /// When bytes of each producer last arrived.
    traffic: BTreeMap<ProducerId, Traffic>,
}

/// A stream that is here.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) publication: PublicationId,
    /// The nodes from the origin to this one, without this one.
    pub(super) path: Vec<NodeName>,
    pub(super) producers: Vec<ProducerInfo>,
    /// Producers that this node can't take: the others flow.
    pub(super) refused: BTreeSet<ProducerId>,
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

#[derive(Debug)]
struct Traffic {
    bytes: u64,
    heard: Instant,
}

impl Source {
    pub(super) fn is_complete(&self) -> bool {
        self.producers.len() + self.refused.len() >= self.of
    }

    pub(super) fn has(&self, producer: ProducerId) -> bool {
        self.producers.iter().any(|own| own.id == producer)
    }

    pub(super) fn claimed(&self) -> Vec<ClaimedProducer> {
        self.producers.iter().map(ClaimedProducer::from).collect()
    }
}

impl Sources {
    pub(super) fn get(&self, stream: &StreamName) -> Option<&Source> {
        self.sources.get(stream)
    }

    pub(super) fn get_mut(&mut self, stream: &StreamName) -> Option<&mut Source> {
        self.sources.get_mut(stream)
    }

    pub(super) fn insert(&mut self, stream: StreamName, source: Source) {
        self.sources.insert(stream, source);
    }

    pub(super) fn remove(&mut self, stream: &StreamName) -> Option<Source> {
        let source = self.sources.remove(stream)?;
        for producer in &source.producers {
            self.traffic.remove(&producer.id);
        }
        Some(source)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&StreamName, &Source)> {
        self.sources.iter()
    }

    /// The streams that come by a pipe.
    pub(super) fn via(&self, pipe: PipeId) -> impl Iterator<Item = (&StreamName, &Source)> {
        self.sources.iter().filter(move |(_, source)| source.via == Via::Pipe(pipe))
    }

    /// The pipe by which a stream comes, if it does.
    pub(super) fn pipe_of(&self, stream: &StreamName) -> Option<PipeId> {
        match self.sources.get(stream)?.via {
            Via::Pipe(pipe) => Some(pipe),
            Via::Publisher => None,
        }
    }

    /// The stream that a producer belongs to.
    pub(super) fn of_producer(&self, id: ProducerId) -> Option<(&StreamName, &Source)> {
        self.sources.iter().find(|(_, source)| source.has(id))
    }

    pub(super) fn measure(&mut self, measured: &Measured, now: Instant) {
        for (id, bytes) in &measured.producers {
            let traffic = self.traffic.entry(*id).or_insert(Traffic { bytes: 0, heard: now });
            if traffic.bytes != *bytes {
                *traffic = Traffic { bytes: *bytes, heard: now };
            } else if *bytes == 0 {
                // Nothing ever came: that it is new is no sign of life.
                traffic.heard = now.checked_sub(FLOWS * 2).unwrap_or(now);
            }
        }
        self.traffic.retain(|id, _| measured.producers.contains_key(id));
    }

    /// Whether media of a producer arrives here now.
    pub(super) fn is_flowing(&self, id: ProducerId, now: Instant) -> bool {
        self.traffic.get(&id).is_some_and(|traffic| now.saturating_duration_since(traffic.heard) <= FLOWS)
    }
}
