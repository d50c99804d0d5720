//! Messages beside media. Participants send and are sent them over SCTP; what passes between nodes goes over the SCTP of
//! pipes, sealed by its origin and opened where it is handed out ([`seal`]).
//!
//! Nothing of that is there before somebody at another router or node wants the messages: participants at a producer's
//! own router are sent them by the worker alone.

mod line;
mod seal;

use std::collections::HashMap;

use mediasoup::prelude::{
    DataConsumer, DataConsumerOptions, DataProducerId, DataProducerOptions, DirectTransport,
    DirectTransportOptions, Router, Transport,
};
use mediasoup::transport::{ConsumeDataError, ProduceDataError};
use uuid::Uuid;

pub(super) use line::Results;
use line::{Goal, Line, Origin};
pub(super) use seal::SEALED;

use super::MediaError;
use super::engine::worker_error;
use crate::protocol::data::{Channel, PipedData, SealKey};
use crate::protocol::ids::{PipeId, ProducerId};

/// The messages of a room. What is dropped is closed.
#[derive(Debug)]
pub(super) struct Messages {
    lines: HashMap<ProducerId, Line>,
    /// By which this process takes and gives messages, one in each router that has any (an index of the spreads; none is
    /// the home router).
    doors: HashMap<Option<usize>, DirectTransport>,
    results: Results,
}

impl Messages {
    pub(super) fn new(results: Results) -> Self {
        Self { lines: HashMap::new(), doors: HashMap::new(), results }
    }

    pub(super) fn has(&self, id: ProducerId) -> bool {
        self.lines.contains_key(&id)
    }

    /// A producer of this node's own.
    pub(super) fn add(&mut self, id: ProducerId, channel: Channel) -> Result<(), MediaError> {
        self.lines.insert(id, Line::new(seal::key()?, channel, true, &self.results)?);
        Ok(())
    }

    /// A producer that a pipe brings as `native`.
    pub(super) async fn hear(
        &mut self,
        id: ProducerId,
        pipe: PipeId,
        (piped, native): (&PipedData, DataProducerId),
        home: &Router,
    ) -> Result<(), MediaError> {
        let line = match self.lines.get(&id) {
            Some(line) if line.key != piped.key => {
                return Err(MediaError::Unsupported("its messages are sealed with another key".to_owned()));
            }
            Some(line) if line.hears(Origin::Pipe(pipe)) => return Ok(()),
            Some(_) => None,
            None => Some(Line::new(piped.key, piped.channel.clone(), false, &self.results)?),
        };
        let source = self.take(home, native).await?;
        if let Some(line) = line {
            self.lines.insert(id, line);
        }
        if let Some(line) = self.lines.get_mut(&id) {
            line.hear(Origin::Pipe(pipe), source);
        }
        Ok(())
    }

    /// A pipe brings a producer no more, or brings it anew.
    pub(super) fn deafen(&mut self, id: ProducerId, pipe: PipeId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.deafen(Origin::Pipe(pipe));
        }
    }

    /// What a pipe is to send of a producer: sealed, and always the same whichever way it comes here.
    pub(super) async fn sealed(
        &mut self,
        id: ProducerId,
        home: &Router,
    ) -> Result<DataProducerId, MediaError> {
        self.reach(id, Goal::Pipes, home, home).await
    }

    /// What a participant at this router is to be sent of a producer: always the same whichever way it comes here.
    pub(super) async fn clear(
        &mut self,
        id: ProducerId,
        (spread, router): (Option<usize>, &Router),
        home: &Router,
    ) -> Result<DataProducerId, MediaError> {
        self.reach(id, Goal::Router(spread), router, home).await
    }

    async fn reach(
        &mut self,
        id: ProducerId,
        goal: Goal,
        router: &Router,
        home: &Router,
    ) -> Result<DataProducerId, MediaError> {
        let line = self.lines.get(&id).ok_or(MediaError::UnknownProducer)?;
        if let Some(reached) = line.goal(goal) {
            return Ok(reached);
        }
        if line.is_own && !line.hears(Origin::Publisher) {
            let source = self.take(home, native(id)?).await?;
            self.line(id)?.hear(Origin::Publisher, source);
        }
        let spread = match goal {
            Goal::Router(spread) => spread,
            Goal::Pipes => None,
        };
        let door = self.door(spread, router).await?;
        let producer = door.produce_data(DataProducerOptions::new_direct()).await.map_err(not_produced)?;
        let reached = producer.id();
        self.line(id)?.open(goal, producer).await;
        Ok(reached)
    }

    fn line(&mut self, id: ProducerId) -> Result<&mut Line, MediaError> {
        self.lines.get_mut(&id).ok_or(MediaError::UnknownProducer)
    }

    /// Has this process hear what a data producer of the home router sends.
    async fn take(&mut self, home: &Router, native: DataProducerId) -> Result<DataConsumer, MediaError> {
        let door = self.door(None, home).await?;
        door.consume_data(DataConsumerOptions::new_direct(native, None)).await.map_err(not_consumed)
    }

    async fn door(&mut self, spread: Option<usize>, router: &Router) -> Result<DirectTransport, MediaError> {
        if let Some(door) = self.doors.get(&spread) {
            return Ok(door.clone());
        }
        let door =
            router.create_direct_transport(DirectTransportOptions::default()).await.map_err(worker_error)?;
        self.doors.insert(spread, door.clone());
        Ok(door)
    }

    /// What tells how a producer's messages are carried.
    pub(super) fn carried(&self, id: ProducerId) -> Option<(SealKey, &Channel)> {
        self.lines.get(&id).map(|line| (line.key, &line.channel))
    }

    /// Forgets producers that are not here any more, and what only they needed.
    pub(super) fn retain(&mut self, is_here: impl Fn(ProducerId) -> bool) {
        self.lines.retain(|id, _| is_here(*id));
        if self.lines.is_empty() {
            self.doors.clear();
        }
    }

    /// A further router is closed.
    pub(super) fn close_router(&mut self, spread: usize) {
        self.lines.values_mut().for_each(|line| line.close(Goal::Router(Some(spread))));
        self.doors.remove(&Some(spread));
    }

    /// How a data consumer of a participant or pipe is to be made of `native`.
    pub(super) fn options(native: DataProducerId, channel: &Channel) -> DataConsumerOptions {
        match (channel.ordered, channel.max_packet_life_time, channel.max_retransmits) {
            (true, ..) => DataConsumerOptions::new_sctp_ordered(native),
            (false, _, Some(times)) => {
                DataConsumerOptions::new_sctp_unordered_with_retransmits(native, times)
            }
            // Where none is to be given up: after a minute it doesn't matter.
            (false, life, None) => {
                DataConsumerOptions::new_sctp_unordered_with_life_time(native, life.unwrap_or(u16::MAX))
            }
        }
    }

    /// Counts what a data consumer can't send because too much waits already.
    pub(super) fn watch(&self, consumer: &DataConsumer) {
        let full = self.results.get_or_create_owned(&[("result", "full")]);
        consumer.on_sctp_send_buffer_full(move || _ = full.inc()).detach();
    }
}

/// The id as mediasoup has it, which is made from its text alone.
pub(super) fn native(id: ProducerId) -> Result<DataProducerId, MediaError> {
    id.0.to_string().parse().map_err(|_| MediaError::UnknownProducer)
}

/// The id of a data producer as everybody knows it.
pub(super) fn known_as(native: DataProducerId) -> ProducerId {
    ProducerId(Uuid::from(native))
}

pub(super) fn not_consumed(error: ConsumeDataError) -> MediaError {
    match error {
        ConsumeDataError::DataProducerNotFound(_) => MediaError::UnknownProducer,
        ConsumeDataError::Request(error) => worker_error(error),
        other => MediaError::Unsupported(other.to_string()),
    }
}

pub(super) fn not_produced(error: ProduceDataError) -> MediaError {
    match error {
        ProduceDataError::Request(error) => worker_error(error),
        other => MediaError::Unsupported(other.to_string()),
    }
}
