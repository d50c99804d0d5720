//! What a viewer is sent on one of its sections: make before break.
//!
//! A video begins with a key frame, which takes its time. So what was sent before goes on beside it until the first
//! packet of what replaces it has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mediasoup::consumer::{ConsumerTraceEventType, ConsumerType};
use mediasoup::prelude::Consumer;

use super::{FeedId, LINGER};
use crate::protocol::ids::ProducerId;

/// What is sent on a section. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Section {
    now: Sent,
    /// What is sent until `now` is.
    before: Option<Before>,
    /// Whether packets of `now` are still traced.
    traced: bool,
}

/// A consumer, and what it sends.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) of: ProducerId,
    /// The feed of the home router.
    pub(super) feed: FeedId,
    pub(super) consumer: Consumer,
}

#[derive(Debug)]
struct Before {
    sent: Sent,
    /// Whether its successor has sent a packet.
    succeeded: Arc<AtomicBool>,
    until: Instant,
}

/// What became of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// What it was, or nothing that matters.
    Same,
    /// What was sent before is over; what replaces it is of the same producer, or of another.
    Moved { same_producer: bool },
}

/// The most that a consumer can weigh when mediasoup shares out what a connection can take.
const HEAVIEST: u8 = u8::MAX;

impl Section {
    pub(super) fn new(now: Sent) -> Self {
        Self { now, before: None, traced: false }
    }

    /// What replaces what is sent, made but paused: from here on packets are traced, and `sends` tells of the first.
    pub(super) async fn replace(&mut self, next: Sent, sends: Arc<AtomicBool>, now: Instant) {
        let sent = std::mem::replace(&mut self.now, next);
        // What has never sent anything has nothing to go on with: what was before it does.
        let before = self.before.take().filter(|before| !before.is_over(now)).map(|before| before.sent);
        let before = Before { sent: before.unwrap_or(sent), succeeded: sends, until: now + LINGER };
        if is_layered(&self.now.consumer) {
            // The estimate is shared out anew: what comes begins with the layers that it will have.
            let _ = before.sent.consumer.set_priority(1).await;
            let _ = self.now.consumer.set_priority(HEAVIEST).await;
        }
        self.before = Some(before);
        self.traced = true;
        // Where these fail the consumer has ended, or what was before goes when its time is over.
        let _ = self.now.consumer.enable_trace_event(vec![ConsumerTraceEventType::Rtp]).await;
        let _ = self.now.consumer.resume().await;
    }

    /// Goes back to what is still sent, if that is this feed.
    pub(super) fn go_back_to(&mut self, feed: FeedId) -> bool {
        match self.before.take_if(|before| before.sent.feed == feed) {
            Some(before) => {
                self.now = before.sent;
                self.traced = false;
                true
            }
            None => false,
        }
    }

    /// Closes what was sent before, if it is its time.
    pub(super) fn settle(&mut self, now: Instant) -> Became {
        match self.before.take_if(|before| before.is_over(now)) {
            Some(before) => Became::Moved { same_producer: before.sent.of == self.now.of },
            None => Became::Same,
        }
    }

    /// Traces packets no more, once nothing waits for one.
    pub(super) async fn quiet(&mut self) {
        if self.before.is_none() && std::mem::take(&mut self.traced) {
            let _ = self.now.consumer.enable_trace_event(Vec::new()).await;
        }
    }

    /// A feed has ended; answers whether anything is left.
    pub(super) fn stop(&mut self, feed: FeedId) -> bool {
        self.before.take_if(|before| before.sent.feed == feed);
        if self.now.feed != feed {
            return true;
        }
        let before = self.before.take().filter(|before| !before.succeeded.load(Ordering::Relaxed));
        self.traced = false;
        before.map(|before| self.now = before.sent).is_some()
    }

    /// What is shown last.
    pub(super) fn latest(&self) -> &Sent {
        &self.now
    }

    /// What is sent: while something waits to begin, what was before.
    pub(super) fn lasting(&self) -> &Sent {
        self.before.as_ref().map_or(&self.now, |before| &before.sent)
    }

    pub(super) fn is_moving(&self) -> bool {
        self.before.is_some() || self.traced
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Sent> {
        std::iter::once(&self.now).chain(self.before.as_ref().map(|before| &before.sent))
    }
}

impl Before {
    fn is_over(&self, now: Instant) -> bool {
        self.succeeded.load(Ordering::Relaxed) || self.until <= now
    }
}

fn is_layered(consumer: &Consumer) -> bool {
    matches!(consumer.r#type(), ConsumerType::Simulcast | ConsumerType::Svc)
}
