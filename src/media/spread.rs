//! A further router of a room on this node: on another worker, or with other payload types.
//!
//! It is fed from the home router once, over a local pipe, whatever the number of its viewers.

use std::collections::HashMap;

use mediasoup::prelude::{Router, RtpCodecCapability};
use tokio::sync::mpsc;

use super::engine::{Engine, WorkerId};
use super::inlet::Inlet;
use super::outlet::Outlet;
use super::pipe::Pipe;
use super::{FeedId, MediaError, MediaEvent};
use crate::protocol::ids::ProducerId;

/// A further router and the local pipe that feeds it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Spread {
    /// The feeds here that stand for the home router's.
    stands_for: HashMap<FeedId, FeedId>,
    outlet: Outlet,
    inlet: Inlet,
    pub(super) router: Router,
    pub(super) worker: WorkerId,
}

impl Spread {
    pub(super) async fn open(
        home: &Router,
        engine: &Engine,
        worker: WorkerId,
        codecs: Vec<RtpCodecCapability>,
    ) -> Result<Self, MediaError> {
        let router = engine.router(worker, codecs).await?;
        let mut here = Pipe::open_local(home).await?;
        let mut there = Pipe::open_local(&router).await?;
        here.connect(&there.end()).await?;
        there.connect(&here.end()).await?;
        let (outlet, inlet) = (Outlet::new(here), Inlet::new(there));
        Ok(Self { stands_for: HashMap::new(), outlet, inlet, router, worker })
    }

    /// What stands here for a feed of the home router; it is piped over if it isn't yet.
    pub(super) async fn stand_in(
        &mut self,
        home: FeedId,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<FeedId, MediaError> {
        if let Some(own) = self.stands_for.get(&home) {
            return Ok(*own);
        }
        let id = local(home);
        let piped = self.outlet.send(id, home).await?;
        let received = self.inlet.receive(id, &piped, engine, events).await;
        match received {
            Ok(own) => self.stands_for.insert(home, own),
            Err(_) => {
                self.outlet.stop_sending(id);
                None
            }
        };
        received
    }

    /// Closes what stands for a feed of the home router: the sender first.
    pub(super) fn stop(&mut self, home: FeedId) {
        if self.stands_for.remove(&home).is_some() {
            self.outlet.stop_sending(local(home));
            self.inlet.stop_receiving(local(home));
        }
    }

    /// The feeds of the home router that something stands for here.
    pub(super) fn homes(&self) -> impl Iterator<Item = FeedId> {
        self.stands_for.keys().copied()
    }

    /// The feed of the home router that one here stands for.
    pub(super) fn home_of(&self, own: FeedId) -> Option<FeedId> {
        self.stands_for.iter().find(|(_, stand_in)| **stand_in == own).map(|(home, _)| *home)
    }

    pub(super) async fn first_packet_seen(&mut self, own: FeedId) -> bool {
        self.inlet.first_packet_seen(own).await
    }

    /// The feeds here whose first packet has arrived and was not seen yet.
    pub(super) fn arrived(&self) -> impl Iterator<Item = FeedId> {
        self.inlet.arrived()
    }

    /// Pauses or resumes what stands for a feed of the home router, if anything does: a pipe's consumer follows
    /// its producer by itself, the producer at the other end doesn't.
    pub(super) async fn set_paused(&self, home: FeedId, paused: bool) -> Result<(), MediaError> {
        match self.stands_for.get(&home) {
            Some(own) => self.inlet.set_paused(*own, paused).await,
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn paused(&self) -> impl Iterator<Item = bool> {
        self.stands_for.values().filter_map(|own| Some(self.inlet.producer(*own)?.paused()))
    }

    pub(super) async fn request_key_frame(&self, home: FeedId) {
        self.outlet.request_key_frame(home).await;
    }
}

/// The name of a feed on the local pipe, where each goes by itself.
fn local(home: FeedId) -> ProducerId {
    ProducerId(home.0)
}
