//! The pipes of a room: what it sends to other nodes, and what it takes from them.

use super::RoomMedia;
use crate::media::inlet::Inlet;
use crate::media::outlet::Outlet;
use crate::media::pipe::Pipe;
use crate::media::uplink::describe;
use crate::media::{Carried, FeedId, MediaError, PipeEnd, Piped, ProducerInfo};
use crate::protocol::ids::{PipeId, ProducerId};

impl RoomMedia {
    /// Opens the sending end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`], [`MediaError::Worker`].
    pub async fn open_outlet(&mut self, pipe: PipeId) -> Result<PipeEnd, MediaError> {
        let settings = &self.engine.pipe;
        let own = Pipe::open(&self.home, &self.engine, "out", settings.srtp, settings.rtx).await?;
        let end = own.end();
        self.outlets.insert(pipe, Outlet::new(own));
        Ok(end)
    }

    /// Connects the sending end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::SrtpMismatch`], [`MediaError::Worker`].
    pub async fn connect_outlet(&mut self, pipe: PipeId, to: &PipeEnd) -> Result<(), MediaError> {
        self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.pipe.connect(to).await
    }

    /// Starts sending a producer on a pipe: what it means now. What the pipe was sent of it before lingers.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::UnknownProducer`], [`MediaError::Worker`].
    pub async fn send(&mut self, pipe: PipeId, producer: ProducerId) -> Result<Piped, MediaError> {
        if self.messages.has(producer) {
            return self.send_messages(pipe, producer).await;
        }
        let feed = self.feed_of(producer).ok_or(MediaError::UnknownProducer)?;
        self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.send(producer, feed).await
    }

    /// Stops sending a producer on a pipe.
    pub fn stop_sending(&mut self, pipe: PipeId, producer: ProducerId) {
        if let Some(outlet) = self.outlets.get_mut(&pipe) {
            outlet.stop_sending(producer);
            self.sweep_messages();
        }
    }

    /// Closes the sending end of a pipe.
    pub fn close_outlet(&mut self, pipe: PipeId) {
        self.outlets.remove(&pipe);
        self.sweep_messages();
    }

    /// Opens the receiving end of a pipe. Again is no error.
    ///
    /// # Errors
    /// [`MediaError::NoPorts`], [`MediaError::Worker`].
    pub async fn open_inlet(&mut self, pipe: PipeId, srtp: bool, rtx: bool) -> Result<PipeEnd, MediaError> {
        if let Some(inlet) = self.inlets.get(&pipe) {
            return Ok(inlet.pipe.end());
        }
        let own = Pipe::open(&self.home, &self.engine, "in", srtp, rtx).await?;
        let end = own.end();
        self.inlets.insert(pipe, Inlet::new(own));
        Ok(end)
    }

    /// Connects the receiving end of a pipe.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::SrtpMismatch`], [`MediaError::Worker`].
    pub async fn connect_inlet(&mut self, pipe: PipeId, to: &PipeEnd) -> Result<(), MediaError> {
        self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?.pipe.connect(to).await
    }

    /// Takes a producer from a pipe. If another pipe brings it, nobody is sent what comes by this one before a
    /// [`RoomMedia::switch`]; if this pipe brought it before with other SSRCs, what comes now takes the place of
    /// that, which lingers for those that still are sent it.
    ///
    /// # Errors
    /// [`MediaError::UnknownPipe`], [`MediaError::Unsupported`], [`MediaError::Worker`].
    pub async fn receive(&mut self, pipe: PipeId, piped: &Piped) -> Result<ProducerInfo, MediaError> {
        if let Carried::Data(messages) = &piped.carried {
            return self.receive_messages(pipe, piped.id, messages).await;
        }
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        let feed = inlet.receive(piped.id, piped, &self.engine, &self.events).await?;
        let info = describe(piped.id, inlet.producer(feed).ok_or(MediaError::UnknownProducer)?);
        self.comes_by.entry(piped.id).or_insert(pipe);
        self.pause_spreads(feed, piped.paused).await?;
        Ok(info)
    }

    /// From now on these producers mean what comes of them by this pipe, as far as it brings them. Who is sent what
    /// came by another goes on with that until it is shown or sent them again, or that pipe closes.
    pub fn switch(&mut self, pipe: PipeId, producers: &[ProducerId]) {
        let Some(inlet) = self.inlets.get(&pipe) else { return };
        let brought = producers.iter().filter(|id| inlet.feed_of(**id).is_some());
        self.comes_by.extend(brought.map(|id| (*id, pipe)));
    }

    /// Stops taking a producer from a pipe. If another brings it, it means that one's from now on.
    pub fn stop_receiving(&mut self, pipe: PipeId, producer: ProducerId) {
        if let Some(inlet) = self.inlets.get_mut(&pipe) {
            let ended = inlet.stop_receiving(producer);
            self.ended(pipe, &[producer], &ended);
        }
    }

    /// Closes the receiving end of a pipe.
    pub fn close_inlet(&mut self, pipe: PipeId) {
        if let Some(inlet) = self.inlets.remove(&pipe) {
            let (producers, feeds): (Vec<_>, Vec<_>) = (inlet.ids().collect(), inlet.feeds().collect());
            drop(inlet);
            self.ended(pipe, &producers, &feeds);
        }
    }

    /// A pipe brings these producers no more, whose feeds were these.
    fn ended(&mut self, pipe: PipeId, producers: &[ProducerId], feeds: &[FeedId]) {
        for id in
            producers.iter().filter(|id| self.comes_by.get(id) == Some(&pipe)).copied().collect::<Vec<_>>()
        {
            let other = self.inlets.iter().find(|(_, inlet)| inlet.feed_of(id).is_some());
            match other.map(|(other, _)| *other) {
                Some(other) => _ = self.comes_by.insert(id, other),
                None => _ = self.comes_by.remove(&id),
            }
        }
        feeds.iter().for_each(|feed| self.forget(*feed));
        producers.iter().for_each(|id| self.messages.deafen(*id, pipe));
        self.sweep_messages();
    }
}
