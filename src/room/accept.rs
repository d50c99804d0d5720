//! An edge's side of a pipe: the four messages, and their undoing.

use std::collections::BTreeSet;
use std::time::Instant;

use chrono::Utc;

use super::state::{Inlet, Parent, Room, Source, Via};
use crate::media::{MediaError, PipeEnd, Piped};
use crate::protocol::edge::{
    ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, Done, EdgeReply, EdgeRequest,
    RemotePipeTransport, RemoteRouterInfo,
};
use crate::protocol::ids::{NodeName, PipeId, ProducerId, StreamName};
use crate::protocol::refusal::{Code, Refusal};

impl Room {
    /// Answers what the upstream end of a pipe asks.
    pub(super) async fn accept(&mut self, request: EdgeRequest) -> Result<EdgeReply, Refusal> {
        if self.stop_by.is_some() {
            return Err(Refusal::new(Code::Draining, "this node is stopping"));
        }
        match request {
            EdgeRequest::GetRemoteRouterInfo(_) => {
                Ok(EdgeReply::RouterInfo(RemoteRouterInfo { remote_router_id: self.media.router_id() }))
            }
            EdgeRequest::CreateRemotePipeTransport(request) => self.create_pipe_transport(request).await,
            EdgeRequest::ConnectRemotePipeTransport(request) => self.connect_pipe_transport(request).await,
            EdgeRequest::CreatePipeProducer(request) => self.create_pipe_producer(*request).await,
            EdgeRequest::PausePipeProducer(r) => self.pause_pipe_producer(r.pipe_id, r.id, true).await,
            EdgeRequest::ResumePipeProducer(r) => self.pause_pipe_producer(r.pipe_id, r.id, false).await,
            EdgeRequest::ClosePipeProducer(r) => {
                self.parent_of(r.pipe_id)?;
                self.close_pipe_producer(r.pipe_id, r.id);
                Ok(DONE)
            }
            EdgeRequest::ClosePipe(r) => {
                // Unknown is no error: it is closed, as was asked.
                if let Ok(parent) = self.parent_of(r.pipe_id) {
                    tracing::info!(%parent, pipe = %r.pipe_id, reason = r.reason, "pipe closed");
                    self.forget_parent(&parent);
                }
                Ok(DONE)
            }
        }
    }

    async fn create_pipe_transport(
        &mut self,
        request: CreateRemotePipeTransport,
    ) -> Result<EdgeReply, Refusal> {
        let node = request.from.node.clone();
        let now = Instant::now();
        let other = self.parents.get(&node).and_then(|parent| parent.pipe.as_ref()).map(|pipe| pipe.id);
        if other.is_some_and(|other| other != request.pipe_id) {
            // One pipe per pair of nodes and room: a new attempt replaces the former.
            self.close_inlet(&node);
        }
        let end = self.media.open_inlet(request.pipe_id, request.srtp, request.rtx).await.map_err(refusal)?;
        let parent = self.parents.entry(node).or_insert_with(|| Parent::new(now));
        parent.peer = Some(request.from);
        parent.leaving = false;
        if parent.pipe.is_none() {
            parent.pipe = Some(Inlet {
                id: request.pipe_id,
                opened: now,
                opened_at: Utc::now(),
                connected: false,
                bytes: 0,
                heard: now,
            });
        }
        Ok(EdgeReply::PipeTransport(RemotePipeTransport {
            ip: end.ip,
            port: end.port,
            srtp_parameters: end.srtp,
        }))
    }

    async fn connect_pipe_transport(
        &mut self,
        request: ConnectRemotePipeTransport,
    ) -> Result<EdgeReply, Refusal> {
        let node = self.parent_of(request.pipe_id)?;
        let to = PipeEnd { ip: request.ip, port: request.port, srtp: request.srtp_parameters };
        self.media.connect_inlet(request.pipe_id, &to).await.map_err(refusal)?;
        if let Some(pipe) = self.parents.get_mut(&node).and_then(|parent| parent.pipe.as_mut()) {
            pipe.connected = true;
            pipe.heard = Instant::now();
            tracing::info!(parent = %node, pipe = %request.pipe_id, ip = %request.ip, port = request.port, "pipe connected");
        }
        Ok(DONE)
    }

    async fn create_pipe_producer(&mut self, request: CreatePipeProducer) -> Result<EdgeReply, Refusal> {
        self.parent_of(request.pipe_id)?;
        if request.path.contains(&self.ctx.me.node) {
            return Err(Refusal::new(Code::Loop, "this node is on the stream's path already"));
        }
        let known = self.sources.get(&request.stream);
        let replaces = known.is_some_and(|source| {
            source.publication != request.publication || source.via != Via::Pipe(request.pipe_id)
        });
        if replaces {
            if known.is_some_and(|source| source.publication > request.publication) {
                return Err(Refusal::new(Code::UnknownStream, "a newer publication of the stream is here"));
            }
            if self.publications.contains_key(&request.stream) {
                return Err(Refusal::new(Code::Loop, "this node is the stream's origin"));
            }
            self.drop_source(&request.stream);
        }
        let piped = Piped {
            id: request.id,
            kind: request.kind,
            rtp_parameters: request.rtp_parameters,
            paused: request.paused,
        };
        let producer = self.media.receive(request.pipe_id, &piped).await.map_err(refusal)?;
        tracing::debug!(stream = %request.stream, producer = %request.id, codec = producer.mime_type, "pipe producer created");
        let source = self.sources.entry(request.stream.clone()).or_insert_with(|| Source {
            publication: request.publication,
            path: request.path,
            producers: Vec::new(),
            of: usize::from(request.of),
            via: Via::Pipe(request.pipe_id),
        });
        source.producers.retain(|known| known.id != producer.id);
        source.producers.push(producer);
        source.producers.sort_by_key(|producer| (producer.kind, producer.id));
        if source.is_complete() {
            self.source_complete(&request.stream).await;
        }
        Ok(DONE)
    }

    pub(super) async fn pause_pipe_producer(
        &mut self,
        pipe: PipeId,
        id: ProducerId,
        paused: bool,
    ) -> Result<EdgeReply, Refusal> {
        self.parent_of(pipe)?;
        self.media.set_paused(id, paused).await.map_err(refusal)?;
        for source in self.sources.values_mut().filter(|source| source.via == Via::Pipe(pipe)) {
            for producer in source.producers.iter_mut().filter(|producer| producer.id == id) {
                producer.paused = paused;
            }
        }
        Ok(DONE)
    }

    pub(super) fn close_pipe_producer(&mut self, pipe: PipeId, id: ProducerId) {
        self.media.stop_receiving(pipe, id);
        let on_pipe = |source: &Source| source.via == Via::Pipe(pipe);
        for source in self.sources.values_mut().filter(|source| on_pipe(source)) {
            source.producers.retain(|producer| producer.id != id);
        }
        let empty: Vec<StreamName> = self
            .sources
            .iter()
            .filter(|(_, source)| on_pipe(source) && source.producers.is_empty())
            .map(|(stream, _)| stream.clone())
            .collect();
        for stream in empty {
            self.drop_source(&stream);
        }
    }

    /// Closes our end of a parent's pipe; viewers stay and wait.
    pub(super) fn close_inlet(&mut self, node: &NodeName) {
        let Some(parent) = self.parents.get_mut(node) else { return };
        let Some(pipe) = parent.pipe.take() else { return };
        parent.asked = BTreeSet::new();
        parent.next_join = Instant::now();
        let streams: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.via == Via::Pipe(pipe.id))
            .map(|(stream, _)| stream.clone())
            .collect();
        for stream in streams {
            self.drop_source(&stream);
        }
        self.media.close_inlet(pipe.id);
    }

    /// A parent's pipe is gone. One that is being asked is kept until it has answered.
    pub(super) fn forget_parent(&mut self, node: &NodeName) {
        self.close_inlet(node);
        if self.parents.get(node).is_some_and(|parent| !parent.in_flight) {
            self.parents.remove(node);
        }
    }

    fn parent_of(&self, pipe: PipeId) -> Result<NodeName, Refusal> {
        let of = |parent: &Parent| parent.pipe.as_ref().is_some_and(|own| own.id == pipe);
        let parent = self.parents.iter().find(|(_, parent)| of(parent)).map(|(node, _)| node.clone());
        parent.ok_or_else(|| Refusal::new(Code::UnknownPipe, "this node does not have that pipe"))
    }
}

impl Parent {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            peer: None,
            pipe: None,
            asked: BTreeSet::new(),
            in_flight: false,
            leaving: false,
            failures: 0,
            next_join: now,
            since: now,
        }
    }
}

const DONE: EdgeReply = EdgeReply::Done(Done {});

pub(super) fn refusal(error: MediaError) -> Refusal {
    let code = match &error {
        MediaError::NoPorts => Code::NoPorts,
        MediaError::UnknownPipe => Code::UnknownPipe,
        MediaError::UnknownProducer => Code::UnknownProducer,
        _ => Code::Media,
    };
    Refusal::new(code, error.to_string())
}
