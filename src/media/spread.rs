//! A further router of a room on this node: on another worker, or with other payload types.
//!
//! It is fed from the home router once, over a local pipe, whatever the number of its viewers.

use std::collections::HashMap;

use mediasoup::prelude::{Router, RtpCodecCapability};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::engine::{Engine, WorkerId};
use super::inlet::Inlet;
use super::outlet::Outlet;
use super::pipe::Pipe;
use super::{MediaError, MediaEvent, Piped};
use crate::protocol::ids::ProducerId;

/// A further router and the local pipe that feeds it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Spread {
    /// The producers here that stand for the home router's.
    stands_for: HashMap<ProducerId, ProducerId>,
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

    /// The producer here that stands for one of the home router's; it is piped over if it isn't yet.
    pub(super) async fn producer_for(
        &mut self,
        home: ProducerId,
        engine: &Engine,
        events: &mpsc::Sender<MediaEvent>,
    ) -> Result<mediasoup::prelude::ProducerId, MediaError> {
        let own = match self.stands_for.get(&home) {
            Some(own) => *own,
            None => {
                let piped = self.outlet.send(home).await?;
                // An id of its own: a worker can't hold two producers of one id.
                let own = ProducerId(Uuid::new_v4());
                let received = self.inlet.receive(own, &Piped { id: own, ..piped }, engine, events).await;
                if received.is_err() {
                    self.outlet.stop_sending(home);
                }
                received?;
                self.stands_for.insert(home, own);
                own
            }
        };
        self.inlet.producer(own).map(|producer| producer.id()).ok_or(MediaError::UnknownProducer)
    }

    /// Closes what stands for a producer of the home router: the sender first.
    pub(super) fn stop(&mut self, home: ProducerId) {
        if let Some(own) = self.stands_for.remove(&home) {
            self.outlet.stop_sending(home);
            self.inlet.stop_receiving(own);
        }
    }

    /// The producer of the home router that one here stands for.
    pub(super) fn home_of(&self, own: ProducerId) -> Option<ProducerId> {
        self.stands_for.iter().find(|(_, stand_in)| **stand_in == own).map(|(home, _)| *home)
    }

    pub(super) async fn first_packet_seen(&mut self, own: ProducerId) -> bool {
        self.inlet.first_packet_seen(own).await
    }

    /// The producers here whose first packet has arrived and was not seen yet.
    pub(super) fn arrived(&self) -> impl Iterator<Item = ProducerId> {
        self.inlet.arrived()
    }

    /// Pauses or resumes what stands for a producer of the home router, if anything does: a pipe's consumer
    /// follows its producer by itself, the producer at the other end doesn't.
    pub(super) async fn set_paused(&self, home: ProducerId, paused: bool) -> Result<(), MediaError> {
        match self.stands_for.get(&home) {
            Some(own) => self.inlet.set_paused(*own, paused).await,
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(super) fn paused(&self) -> impl Iterator<Item = bool> {
        self.stands_for.values().filter_map(|own| Some(self.inlet.producer(*own)?.paused()))
    }

    pub(super) async fn request_key_frame(&self, home: ProducerId) {
        self.outlet.request_key_frame(home).await;
    }
}
