//! What is counted, of a room and of a region.

use serde::{Deserialize, Serialize};

use crate::protocol::event::What;

/// Counts of events, each event once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Events of any kind.
    pub events: u64,
    /// Streams started.
    pub streams_started: u64,
    /// Times that a stream came back to viewers who had kept waiting.
    pub recoveries: u64,
    /// Publishers turned away.
    pub publishers_rejected: u64,
    /// Pipes opened.
    pub pipes_opened: u64,
    /// Pipes, and attempts at one, that failed.
    pub pipes_failed: u64,
    /// Producers that the other end of a pipe can't take.
    pub pipes_refused: u64,
    /// Pipes whose media didn't come.
    pub pipes_starved: u64,
    /// Pipes whose other end was lost.
    pub pipes_lost: u64,
    /// Viewers that joined.
    pub viewers_joined: u64,
    /// Viewers that left.
    pub viewers_left: u64,
    /// Viewers turned away.
    pub viewers_rejected: u64,
    /// Milliseconds that the viewers who left had been there, in sum.
    pub viewer_ms: u64,
    /// Bytes of media received from publishers, of streams that are over.
    pub published_bytes: u64,
    /// Bytes of media sent by pipes that are closed.
    pub piped_bytes: u64,
    /// Bytes of media sent to the viewers who left.
    pub watched_bytes: u64,
    /// Times that key frames were asked for unusually often.
    pub key_frame_bursts: u64,
    /// Times that a configured limit was reached.
    pub limits_hit: u64,
    /// Media workers that died.
    pub workers_died: u64,
    /// Events that could not be kept while the bus was away.
    pub dropped: u64,
}

impl Counters {
    /// Counts what happened.
    pub(crate) fn count(&mut self, what: &What) {
        self.events += 1;
        match what {
            What::StreamStarted(_) => self.streams_started += 1,
            What::StreamEnded(ended) => add(&mut self.published_bytes, ended.bytes),
            What::StreamRecovered(_) => self.recoveries += 1,
            What::PublisherRejected(it) => add(&mut self.publishers_rejected, it.times),
            What::PipeOpened(_) => self.pipes_opened += 1,
            What::PipeFailed(_) => self.pipes_failed += 1,
            What::PipeRefused(_) => self.pipes_refused += 1,
            What::PipeStarved(_) => self.pipes_starved += 1,
            What::PipeClosed(closed) => {
                self.pipes_lost += u64::from(closed.lost);
                add(&mut self.piped_bytes, closed.bytes);
            }
            What::ViewerJoined(_) => self.viewers_joined += 1,
            What::ViewerLeft(left) => {
                self.viewers_left += 1;
                add(&mut self.viewer_ms, left.duration_ms);
                add(&mut self.watched_bytes, left.bytes);
            }
            What::ViewerRejected(it) => add(&mut self.viewers_rejected, it.times),
            What::KeyFrameBurst(_) => self.key_frame_bursts += 1,
            What::LimitHit(hit) => add(&mut self.limits_hit, hit.times),
            What::WorkerDied(_) => self.workers_died += 1,
            What::EventsDropped(dropped) => add(&mut self.dropped, dropped.count),
            _ => {}
        }
    }
}

/// What an event claims may be anything: a sum never overflows.
fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}
