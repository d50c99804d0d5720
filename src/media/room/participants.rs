//! What participants by the session API send and are sent.

use mediasoup::prelude::TransportGeneric;
use serde_json::Value;

use super::RoomMedia;
use crate::media::engine::worker_error;
use crate::media::levels::Levels;
use crate::media::receiver::{Receiver, listed};
use crate::media::session::Needs;
use crate::media::uplink::Uplink;
use crate::media::{FeedId, MediaError, ProducerInfo, TransportInfo, session};
use crate::protocol::data::ProducerKind;
use crate::protocol::ids::{ConsumerId, ProducerId, SessionId};
use crate::protocol::media::{Receive, Tuning};
use crate::protocol::rtc::{Consumed, GetStats, Produce, RtcReply};
use crate::protocol::rtp::DtlsParameters;

impl RoomMedia {
    /// Opens a connection by which a participant is to send.
    ///
    /// # Errors
    /// [`MediaError::Worker`].
    pub async fn open_sending(
        &mut self,
        session: SessionId,
        sctp: bool,
    ) -> Result<TransportInfo, MediaError> {
        let uplink =
            Uplink::opened(&self.home, self.worker, &self.engine, session, sctp, &self.events).await?;
        let info = uplink.info(&self.engine);
        self.uplinks.insert(session, uplink);
        Ok(info)
    }

    /// Opens a connection of that id by which a participant is to be sent what others send.
    ///
    /// # Errors
    /// [`MediaError::Worker`].
    pub async fn open_receiving(&mut self, id: SessionId, sctp: bool) -> Result<TransportInfo, MediaError> {
        let worker = self.engine.worker_for_viewer(&self.workers())?;
        let spread = self.spread_like_home(worker).await?;
        let needs = Needs { estimate: true, sctp };
        let transport =
            session::open(self.router(spread), worker, &self.engine, id, needs, &self.events).await?;
        let info = session::info(&transport, &self.engine);
        self.receivers.insert(id, Receiver::new(transport, spread, self.engine.share_load(worker)));
        Ok(info)
    }

    /// Tells a connection of a participant who may connect.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::Worker`].
    pub async fn connect_link(&self, id: SessionId, dtls: DtlsParameters) -> Result<(), MediaError> {
        session::connect(self.connection(id).ok_or(MediaError::UnknownSession)?, dtls).await
    }

    /// Closes a connection by which a participant is sent, and the router that served it if it was the last one there.
    pub fn close_receiving(&mut self, id: SessionId) {
        if let Some(receiver) = self.receivers.remove(&id) {
            let spread = receiver.spread;
            drop(receiver);
            self.close_if_unused(spread);
            self.sweep_messages();
        }
    }

    /// Takes a producer of a participant.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::Unsupported`], [`MediaError::Worker`].
    pub async fn produce(
        &mut self,
        session: SessionId,
        produce: &Produce,
    ) -> Result<ProducerInfo, MediaError> {
        let uplink = self.uplinks.get_mut(&session).ok_or(MediaError::UnknownSession)?;
        let info = uplink.add(produce, &self.engine, &self.events).await?;
        if let Some(levels) = &self.levels
            && info.kind == ProducerKind::Audio
            && let Some(producer) = uplink.producer(info.id)
        {
            levels.add(producer.id()).await;
        }
        Ok(info)
    }

    /// Measures from now on how loud publishers and participants are, or no more.
    pub async fn measure_levels(&mut self, on: bool) {
        self.levels = None;
        if !on {
            return;
        }
        match Levels::open(&self.home, &self.events).await {
            Ok(levels) => {
                for audio in self.uplinks.values().flat_map(Uplink::audios) {
                    levels.add(audio).await;
                }
                self.levels = Some(levels);
            }
            Err(error) => tracing::warn!(%error, "how loud participants are isn't measured"),
        }
    }

    /// Closes a producer of a participant.
    pub fn close_producer(&mut self, session: SessionId, id: ProducerId) {
        if self.uplinks.get_mut(&session).is_some_and(|uplink| uplink.remove(id)) {
            self.forget(FeedId(id.0));
            self.sweep_messages();
        }
    }

    /// Sends a participant what comes of a producer.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::UnknownProducer`], [`MediaError::Unsupported`] where it can't take it.
    pub async fn consume(&mut self, receive: &Receive) -> Result<RtcReply, MediaError> {
        if receive.producer.kind.is_data() {
            let consumed = self.consume_data(receive).await?;
            return Ok(RtcReply::DataConsumed(Box::new(consumed)));
        }
        let consumed = self.consume_media(receive).await?;
        Ok(RtcReply::Consumed(Box::new(consumed)))
    }

    async fn consume_media(&mut self, receive: &Receive) -> Result<Consumed, MediaError> {
        let feed = self.feed_of(receive.producer.id).ok_or(MediaError::UnknownProducer)?;
        let receiver = self.receivers.get_mut(&receive.by).ok_or(MediaError::UnknownSession)?;
        let spread = receiver.spread.and_then(|index| self.spreads.get_mut(index)?.as_mut());
        match spread {
            Some(spread) => {
                let local = spread.stand_in(feed, &self.engine, &self.events).await?;
                receiver.consume(&spread.router, receive, (feed, local), &self.events).await
            }
            None => receiver.consume(&self.home, receive, (feed, feed), &self.events).await,
        }
    }

    /// Changes how a participant is sent something.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::UnknownConsumer`], [`MediaError::Worker`].
    pub async fn tune(&self, by: SessionId, id: ConsumerId, tuning: Tuning) -> Result<(), MediaError> {
        self.receivers.get(&by).ok_or(MediaError::UnknownSession)?.tune(id, tuning).await
    }

    /// Sends a participant something no more.
    pub fn close_consumer(&mut self, by: SessionId, id: ConsumerId) {
        if let Some(receiver) = self.receivers.get_mut(&by) {
            receiver.close(id);
            self.sweep_messages();
        }
    }

    /// mediasoup's figures of a connection, a producer or a consumer of a session.
    ///
    /// # Errors
    /// [`MediaError::UnknownSession`], [`MediaError::UnknownProducer`], [`MediaError::UnknownConsumer`].
    pub async fn stats(
        &self,
        session: SessionId,
        by: Option<SessionId>,
        of: &GetStats,
    ) -> Result<Vec<Value>, MediaError> {
        if let Some(id) = of.consumer_id {
            let receiver = by.and_then(|by| self.receivers.get(&by)).ok_or(MediaError::UnknownConsumer)?;
            return receiver.stats(id).await;
        }
        let stats = match (of.producer_id, of.transport_id) {
            (Some(id), _) => {
                let uplink = self.uplinks.get(&session).ok_or(MediaError::UnknownProducer)?;
                if let Some(producer) = uplink.messages(id) {
                    return producer.get_stats().await.map(listed).map_err(worker_error)?;
                }
                let producer = uplink.producer(id).ok_or(MediaError::UnknownProducer)?;
                producer.get_stats().await.map(listed)
            }
            (None, Some(id)) => {
                let connection = self.connection(id).ok_or(MediaError::UnknownSession)?;
                connection.get_stats().await.map(listed)
            }
            (None, None) => {
                let why = "name a transportId, a producerId or a consumerId".to_owned();
                return Err(MediaError::Unsupported(why));
            }
        };
        stats.map_err(worker_error)?
    }
}
