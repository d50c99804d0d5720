//! The streams that are here, published or piped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::protocol::claim::ClaimedProducer;
use crate::protocol::ids::{NodeName, PipeId, ProducerId, PublicationId, StreamName};
use crate::protocol::media::{Measured, ProducerFlow, ProducerInfo};

/// Media that was last seen to arrive within this long flows: less than an edge waits before it asks, though
/// what arrived is seen up to half a second late.
const FLOWS: Duration = Duration::from_millis(800);

/// A producer of which nothing has arrived for longer is muted.
const MUTED: Duration = Duration::from_secs(3);

/// The streams that are here.
#[derive(Debug, Default)]
pub(super) struct Sources {
    sources: BTreeMap<StreamName, Source>,
    /// What has arrived of each producer.
    traffic: BTreeMap<ProducerId, Traffic>,
    /// Raised whenever one of them may have changed.
    changes: u64,
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

/// What has arrived of a producer: that it is there proves nothing.
#[derive(Debug)]
pub(super) struct Traffic {
    flow: ProducerFlow,
    /// Since when it is expected.
    pub(super) expected: Instant,
    /// Its first packet, its first key frame, its last packet.
    pub(super) first: Option<Instant>,
    pub(super) key_frame: Option<Instant>,
    pub(super) last: Option<Instant>,
}

impl Source {
    pub(super) fn is_complete(&self) -> bool {
        self.producers.len() + self.refused.len() >= self.of
    }

    pub(super) fn has(&self, producer: ProducerId) -> bool {
        self.producers.iter().any(|own| own.id == producer)
    }

    pub(super) fn has_messages(&self) -> bool {
        self.producers.iter().any(|own| own.kind.is_data())
    }

    /// What a viewer is sent, which has one section for each kind: a camera rather than a screen.
    pub(super) fn shown(&self) -> Vec<ProducerInfo> {
        let media = self.producers.iter().filter(|own| !own.kind.is_data());
        let mut shown: Vec<&ProducerInfo> = media.collect();
        shown.sort_by_key(|own| (own.kind, rank(&own.label), own.id));
        shown.dedup_by_key(|own| own.kind);
        shown.into_iter().cloned().collect()
    }

    pub(super) fn claimed(&self) -> Vec<ClaimedProducer> {
        self.producers.iter().map(ClaimedProducer::from).collect()
    }
}

/// Which of several producers of a kind a viewer is sent: the lowest.
fn rank(label: &str) -> u8 {
    match label {
        "camera" | "microphone" | "" => 0,
        _ => 1,
    }
}

impl Sources {
    pub(super) fn get(&self, stream: &StreamName) -> Option<&Source> {
        self.sources.get(stream)
    }

    pub(super) fn get_mut(&mut self, stream: &StreamName) -> Option<&mut Source> {
        self.changes += 1;
        self.sources.get_mut(stream)
    }

    /// Raised whenever a stream may have changed that is here.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn insert(&mut self, stream: StreamName, source: Source) {
        self.changes += 1;
        self.sources.insert(stream, source);
    }

    pub(super) fn remove(&mut self, stream: &StreamName) -> Option<Source> {
        let source = self.sources.remove(stream)?;
        self.changes += 1;
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

    /// Whether a stream is here in full by that pipe.
    pub(super) fn is_complete_via(&self, stream: &StreamName, pipe: PipeId) -> bool {
        self.get(stream).is_some_and(|source| source.via == Via::Pipe(pipe) && source.is_complete())
    }

    /// The stream that a producer belongs to.
    pub(super) fn of_producer(&self, id: ProducerId) -> Option<(&StreamName, &Source)> {
        self.sources.iter().find(|(_, source)| source.has(id))
    }

    pub(super) fn measure(&mut self, measured: &Measured, now: Instant) {
        for (id, flow) in &measured.producers {
            let traffic = self.traffic.entry(*id).or_insert(Traffic {
                flow: ProducerFlow::default(),
                expected: now,
                first: None,
                key_frame: None,
                last: None,
            });
            if traffic.flow.bytes != flow.bytes {
                traffic.first.get_or_insert(now);
                traffic.last = Some(now);
            }
            if flow.key_frames > 0 {
                traffic.key_frame.get_or_insert(now);
            }
            traffic.flow = *flow;
        }
        self.traffic.retain(|id, _| measured.producers.contains_key(id));
    }

    /// What has arrived of a producer; none before it was measured.
    pub(super) fn traffic(&self, id: ProducerId) -> Option<&Traffic> {
        self.traffic.get(&id)
    }

    /// Whether media of a producer arrives here now.
    pub(super) fn is_flowing(&self, id: ProducerId, now: Instant) -> bool {
        let last = self.traffic.get(&id).and_then(|traffic| traffic.last);
        last.is_some_and(|last| now.saturating_duration_since(last) <= FLOWS)
    }

    /// Whether media of a producer has arrived so lately that it isn't muted: sound may pause for a moment.
    pub(super) fn has_flowed_lately(&self, id: ProducerId, now: Instant) -> bool {
        let last = self.traffic.get(&id).and_then(|traffic| traffic.last);
        last.is_some_and(|last| now.saturating_duration_since(last) <= MUTED)
    }

    /// Whether media of a stream arrives here now.
    pub(super) fn stream_flows(&self, stream: &StreamName, now: Instant) -> bool {
        let source = self.sources.get(stream);
        source.is_some_and(|source| source.producers.iter().any(|own| self.is_flowing(own.id, now)))
    }
}
