//! A further router of a room on this node: on another worker, or with other payload types.
//!
//! It is fed from the home router once, over a local pipe, whatever the number of its viewers.

use std::collections::HashMap;

use mediasoup::prelude::Router;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::callbacks::MediaEvent;
use super::engine::Engine;
use super::inlet::Inlet;
use super::layout::Layout;
use super::outlet::Outlet;
use super::pipe::Pipe;
use super::{MediaError, Piped};
use crate::protocol::ids::ProducerId;

/// A further router and the local pipe that feeds it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Spread {
    /// The producers here that stand for the home router's.
    stands_for: HashMap<ProducerId, ProducerId>,
    outlet: Outlet,
    inlet: Inlet,
    pub(super) router: Router,
    pub(super) worker: usize,
    pub(super) layout: Option<Layout>,
}

impl Spread {
    pub(super) async fn open(
        home: &Router,
        engine: &Engine,
        worker: usize,
        layout: Option<Layout>,
    ) -> Result<Self, MediaError> {
        let router = engine.layout_router(worker, layout.as_ref()).await?;
        let mut here = Pipe::open_local(home).await?;
        let mut there = Pipe::open_local(&router).await?;
        here.connect(&there.end()?).await?;
        there.connect(&here.end()?).await?;
        let (outlet, inlet) = (Outlet::new(here), Inlet::new(there));
        Ok(Self { stands_for: HashMap::new(), outlet, inlet, router, worker, layout })
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
                self.inlet.receive(own, &Piped { id: own, ..piped }, engine, events).await?;
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

    pub(super) async fn first_packet_seen(&self, own: ProducerId) {
        self.inlet.first_packet_seen(own).await;
    }

    pub(super) async fn request_key_frame(&self, home: ProducerId) {
        self.outlet.request_key_frame(home).await;
    }
}
