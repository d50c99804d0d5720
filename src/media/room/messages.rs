//! What participants send and are sent beside media, and what of it passes pipes.

use super::RoomMedia;
use crate::media::messages::{Messages, native};
use crate::media::uplink::describe_messages;
use crate::media::{Carried, MediaError, Piped, ProducerInfo};
use crate::protocol::data::PipedData;
use crate::protocol::ids::{PipeId, ProducerId, SessionId};
use crate::protocol::media::Receive;
use crate::protocol::rtc::{DataConsumed, ProduceData};

impl RoomMedia {
    /// Takes a producer of messages of a participant.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::Worker`].
    pub async fn produce_data(
        &mut self,
        session: SessionId,
        produce: &ProduceData,
    ) -> Result<ProducerInfo, MediaError> {
        let uplink = self.uplinks.get_mut(&session).ok_or(MediaError::UnknownSession)?;
        let info = uplink.add_messages(produce).await?;
        if let Some(channel) = &info.channel {
            self.messages.add(info.id, channel.clone())?;
        }
        Ok(info)
    }

    /// Sends a participant a producer's messages.
    pub(super) async fn consume_data(&mut self, receive: &Receive) -> Result<DataConsumed, MediaError> {
        let id = receive.producer.id;
        let receiver = self.receivers.get_mut(&receive.by).ok_or(MediaError::UnknownSession)?;
        let spread = receiver.spread;
        let is_own = self.uplinks.values().any(|uplink| uplink.messages(id).is_some());
        let source = if is_own && spread.is_none() {
            native(id)?
        } else {
            let further = spread.and_then(|index| self.spreads.get(index)?.as_ref());
            let router = further.map_or(&self.home, |further| &further.router);
            self.messages.clear(id, (spread, router), &self.home).await?
        };
        let (_, channel) = self.messages.carried(id).ok_or(MediaError::UnknownProducer)?;
        let options = Messages::options(source, channel);
        let (consumer, consumed) = receiver.consume_messages(receive, options).await?;
        self.messages.watch(consumer);
        Ok(consumed)
    }

    /// Starts sending a producer's messages on a pipe. Again is no error.
    pub(super) async fn send_messages(&mut self, pipe: PipeId, id: ProducerId) -> Result<Piped, MediaError> {
        let outlet = self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        if !outlet.sends_messages(id) {
            let source = self.messages.sealed(id, &self.home).await?;
            let (_, channel) = self.messages.carried(id).ok_or(MediaError::UnknownProducer)?;
            let consumer = outlet.send_messages(id, Messages::options(source, channel)).await?;
            self.messages.watch(consumer);
        }
        let stream_id = outlet.stream_of(id).ok_or(MediaError::UnknownProducer)?;
        let (key, channel) = self.messages.carried(id).ok_or(MediaError::UnknownProducer)?;
        let carried = Carried::Data(PipedData { stream_id, key, channel: channel.clone() });
        let own = self.uplinks.values().find_map(|uplink| uplink.messages(id));
        Ok(Piped { id, carried, paused: own.is_some_and(|own| own.paused()) })
    }

    /// Takes a producer's messages from a pipe. Others may bring them, too: each message is passed on once.
    pub(super) async fn receive_messages(
        &mut self,
        pipe: PipeId,
        id: ProducerId,
        piped: &PipedData,
    ) -> Result<ProducerInfo, MediaError> {
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        let (native, is_new) = inlet.receive_messages(id, piped).await?;
        if is_new {
            self.messages.deafen(id, pipe);
        }
        let heard = self.messages.hear(id, pipe, (piped, native), &self.home).await;
        if heard.is_err() {
            inlet.stop_receiving(id);
        }
        heard.map(|()| describe_messages(id, piped.channel.clone()))
    }

    /// Pauses or resumes a producer of messages, if it is one: at its source.
    pub(super) async fn pause_messages(
        &self,
        id: ProducerId,
        paused: bool,
    ) -> Option<Result<(), MediaError>> {
        self.messages.carried(id)?;
        let Some(own) = self.uplinks.values().find_map(|uplink| uplink.messages(id)) else {
            return Some(Ok(()));
        };
        let done = if paused { own.pause().await } else { own.resume().await };
        Some(done.map_err(crate::media::engine::worker_error))
    }

    /// Forgets messages that nobody sends, brings or is sent any more.
    pub(super) fn sweep_messages(&mut self) {
        let (uplinks, inlets) = (&self.uplinks, &self.inlets);
        let (outlets, receivers) = (&self.outlets, &self.receivers);
        self.messages.retain(|id| {
            uplinks.values().any(|uplink| uplink.messages(id).is_some())
                || inlets.values().any(|inlet| inlet.brings_messages(id))
                || outlets.values().any(|outlet| outlet.sends_messages(id))
                || receivers.values().any(|receiver| receiver.is_sent_messages(id))
        });
    }
}
