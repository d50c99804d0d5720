//! The upstream side of a pipe: an edge joins, its pipe is opened in two round trips, kept up to
//! date, and closed.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::Utc;
use futures_util::future;
use uuid::Uuid;

use super::accept::refusal;
use super::message::JobDone;
use super::plan::{PipeChange, backoff, pipe_changes};
use super::state::{Child, Outlet, Room, Source};
use crate::broker::{Broker, CallError};
use crate::media::{PipeEnd, Piped};
use crate::protocol::edge::{
    ClosePipe, ClosePipeProducer, ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport,
    GetRemoteRouterInfo, PausePipeProducer, RemotePipeTransport, ResumePipeProducer,
};
use crate::protocol::ids::{NodeName, PipeId, ProducerId, RoomId};
use crate::protocol::origin::{CarriedProducer, CarriedStream, Join, Joined, Leave};
use crate::protocol::refusal::{Code, Refusal};
use crate::telemetry::Trace;

impl Room {
    /// An edge joins, or renews its lease. The answer only says yes; the pipe is opened meanwhile.
    pub(super) async fn join(&mut self, join: Join, trace: Trace) -> Result<Joined, Refusal> {
        let now = Instant::now();
        let node = join.from.node.clone();
        let known = self.children.contains_key(&node);
        if self.stop_by.is_some() || (self.ctx.is_draining() && !known) {
            return Err(Refusal::new(Code::Draining, "this node takes no new edges"));
        }
        let here = |stream| self.sources.contains_key(stream) || self.live(stream, now).is_some();
        if !join.streams.iter().any(here) {
            return Err(Refusal::new(Code::UnknownStream, "none of these streams is live here"));
        }
        let loops = |stream| self.sources.get(stream).is_some_and(|source| source.path.contains(&node));
        if join.streams.iter().all(loops) {
            return Err(Refusal::new(Code::Loop, "these streams come from the asking node"));
        }
        let former = self.children.get(&node).is_some_and(|child| {
            // A restarted edge, or one that lost its end, needs a new pipe.
            let lost = join.pipe_id.is_none() && child.pipe.as_ref().is_some_and(|pipe| pipe.connected);
            child.peer.incarnation != join.from.incarnation || lost
        });
        if former {
            self.close_outlet(&node, "the edge joined anew", false);
        }
        let child = self.children.entry(node.clone()).or_insert_with(|| Child {
            peer: join.from.clone(),
            wanted: join.streams.clone(),
            renewed: now,
            pipe: None,
            failures: 0,
            retry_at: now,
            trace,
        });
        child.peer = join.from;
        child.wanted = join.streams;
        child.renewed = now;
        let pipe = match &child.pipe {
            Some(pipe) => pipe.id,
            None => match self.open_pipe(&node, trace).await {
                Ok(pipe) => pipe,
                Err(refusal) => {
                    self.children.remove(&node);
                    return Err(refusal);
                }
            },
        };
        Ok(Joined { pipe_id: pipe, streams: self.carried(&node) })
    }

    pub(super) fn leave(&mut self, leave: &Leave) {
        let node = &leave.from.node;
        let same =
            self.children.get(node).is_some_and(|child| child.peer.incarnation == leave.from.incarnation);
        if same {
            tracing::info!(child = %node, reason = leave.reason, "edge left");
            self.close_outlet(node, "the edge left", false);
            self.children.remove(node);
        }
    }

    /// Round trip 1: asks for the child's router and its end of the pipe, both at once, while our own
    /// end is created.
    pub(super) async fn open_pipe(&mut self, node: &NodeName, trace: Trace) -> Result<PipeId, Refusal> {
        let pipe = PipeId(Uuid::now_v7());
        let settings = &self.ctx.config.pipe;
        let (broker, room, child) = (self.ctx.broker.clone(), self.id.clone(), node.clone());
        let create = CreateRemotePipeTransport {
            room_id: room.clone(),
            router_id: self.media.router_id(),
            pipe_id: pipe,
            from: self.ctx.me.clone(),
            srtp: settings.srtp,
            rtx: settings.rtx,
        };
        self.job(async move {
            let (info, remote) = future::join(
                broker.call_edge(&child, GetRemoteRouterInfo { room_id: room }, trace),
                broker.call_edge(&child, create, trace),
            )
            .await;
            JobDone::PipeOffered { child, pipe, result: info.and(remote) }
        });
        let end = match self.media.open_outlet(pipe).await {
            Ok(end) => end,
            Err(error) => {
                self.tell_closed(node.clone(), pipe, "the upstream end could not be opened");
                return Err(refusal(error));
            }
        };
        let now = Instant::now();
        if let Some(child) = self.children.get_mut(node) {
            child.pipe = Some(Outlet {
                id: pipe,
                end,
                opened: now,
                opened_at: Utc::now(),
                connected: false,
                in_flight: true,
                told: BTreeMap::new(),
                bytes: 0,
                heard: now,
            });
        }
        self.record_opening(node, pipe);
        Ok(pipe)
    }

    /// Round trip 2: connects our end, then has the child connect and take every producer, all at once.
    pub(super) async fn pipe_offered(
        &mut self,
        node: NodeName,
        pipe: PipeId,
        result: Result<RemotePipeTransport, CallError>,
    ) {
        let Some(outlet) = self.outlet(&node, pipe) else {
            // Closed meanwhile: whatever the child opened for it is closed too.
            return self.tell_closed(node, pipe, "the attempt was given up");
        };
        let own = outlet.end.clone();
        let remote = match result {
            Ok(remote) => PipeEnd { ip: remote.ip, port: remote.port, srtp: remote.srtp_parameters },
            Err(error) => return self.pipe_failed(&node, pipe, &error),
        };
        if let Err(error) = self.media.connect_outlet(pipe, &remote).await {
            return self.pipe_failed(&node, pipe, &CallError::Refused(refusal(error)));
        }
        let connect = ConnectRemotePipeTransport {
            room_id: self.id.clone(),
            router_id: self.media.router_id(),
            pipe_id: pipe,
            ip: own.ip,
            port: own.port,
            srtp_parameters: own.srtp,
        };
        self.change_pipe(&node, pipe, Some(connect)).await;
    }

    /// Tells a child what changed: with `connect` first where the pipe is being opened.
    pub(super) async fn change_pipe(
        &mut self,
        node: &NodeName,
        pipe: PipeId,
        connect: Option<ConnectRemotePipeTransport>,
    ) {
        let desired = self.desired_of(node);
        let Some(outlet) = self.outlet(node, pipe) else { return };
        let changes = pipe_changes(&desired, &outlet.told);
        if changes.is_empty() && connect.is_none() {
            return;
        }
        let mut creates = BTreeMap::new();
        for change in &changes {
            match change {
                // The sending side closes first (DESIGN: close order).
                PipeChange::Close(id) => self.media.stop_sending(pipe, *id),
                PipeChange::Create(id) => match self.media.send(pipe, *id).await {
                    Ok(piped) => drop(creates.insert(*id, piped)),
                    Err(error) => {
                        tracing::debug!(producer = %id, %error, "producer not piped")
                    }
                },
                PipeChange::Pause(_) | PipeChange::Resume(_) => {}
            }
        }
        let calls = Calls {
            broker: self.ctx.broker.clone(),
            room: self.id.clone(),
            child: node.clone(),
            pipe,
            trace: self.children.get(node).map_or_else(Trace::start, |child| child.trace),
        };
        let creates =
            creates.into_iter().filter_map(|(id, piped)| Some((id, self.create_message(pipe, piped)?)));
        let creates: BTreeMap<_, _> = creates.collect();
        let Some(outlet) = self.outlet(node, pipe) else { return };
        outlet.in_flight = true;
        for change in &changes {
            match change {
                PipeChange::Close(id) => drop(outlet.told.remove(id)),
                PipeChange::Create(id) => {
                    if let Some(create) = creates.get(id) {
                        outlet.told.insert(*id, create.paused);
                    }
                }
                PipeChange::Pause(id) => drop(outlet.told.insert(*id, true)),
                PipeChange::Resume(id) => drop(outlet.told.insert(*id, false)),
            }
        }
        self.job(calls.make(connect, changes, creates));
    }

    fn create_message(&self, pipe: PipeId, piped: Piped) -> Option<CreatePipeProducer> {
        let (stream, source) = self.sources.iter().find(|(_, source)| has(source, piped.id))?;
        let mut path = source.path.clone();
        path.push(self.ctx.me.node.clone());
        Some(CreatePipeProducer {
            room_id: self.id.clone(),
            router_id: self.media.router_id(),
            pipe_id: pipe,
            stream: stream.clone(),
            publication: source.publication,
            path,
            of: u8::try_from(source.of).unwrap_or(u8::MAX),
            id: piped.id,
            kind: piped.kind,
            rtp_parameters: piped.rtp_parameters,
            paused: piped.paused,
            app_data: serde_json::Map::new(),
        })
    }

    /// A child was told; what failed is told again, or the pipe is given up.
    pub(super) fn pipe_changed(
        &mut self,
        node: &NodeName,
        pipe: PipeId,
        changes: &[PipeChange],
        result: Result<(), CallError>,
    ) {
        let Some(outlet) = self.outlet(node, pipe) else { return };
        outlet.in_flight = false;
        let opening = !outlet.connected;
        match result {
            Ok(()) => {
                outlet.connected = true;
                let elapsed = outlet.opened.elapsed();
                let failures =
                    self.children.get_mut(node).map_or(0, |child| std::mem::take(&mut child.failures));
                if opening {
                    let metrics = &self.ctx.metrics;
                    metrics.pipe_setups.get_or_create(&[("result", "ok")]).inc();
                    metrics.pipe_setup_seconds.observe(elapsed.as_secs_f64());
                    let elapsed_us = elapsed.as_micros();
                    tracing::info!(child = %node, %pipe, elapsed_us, "pipe open");
                    self.record_opened(node, failures + 1, elapsed);
                }
            }
            // The child has lost the pipe or the room, or the pipe never came to be.
            Err(error) if opening || is_unknown(&error) => self.pipe_failed(node, pipe, &error),
            // The bus is silent: the pipe goes on, and the child is told again later.
            Err(error) => {
                tracing::warn!(child = %node, %pipe, %error, "edge not told; trying again");
                for change in changes {
                    match change {
                        PipeChange::Create(id) => drop(outlet.told.remove(id)),
                        PipeChange::Close(id) | PipeChange::Pause(id) => drop(outlet.told.insert(*id, false)),
                        PipeChange::Resume(id) => drop(outlet.told.insert(*id, true)),
                    }
                }
                self.retry_child_later(node);
            }
        }
    }

    fn pipe_failed(&mut self, node: &NodeName, pipe: PipeId, error: &CallError) {
        tracing::warn!(child = %node, %pipe, %error, "pipe failed");
        self.ctx.metrics.pipe_setups.get_or_create(&[("result", error.kind())]).inc();
        self.record_failed(node, pipe, error.kind(), error.to_string());
        self.abandon_outlet(node, "the pipe failed");
        if matches!(error, CallError::NoResponders(_)) || is_unknown(error) {
            self.children.remove(node);
        } else {
            self.retry_child_later(node);
        }
    }

    fn retry_child_later(&mut self, node: &NodeName) {
        if let Some(child) = self.children.get_mut(node) {
            child.failures += 1;
            child.retry_at = Instant::now() + backoff(child.failures);
        }
    }

    /// Closes our end of a child's pipe, then tells the child, and the log.
    pub(super) fn close_outlet(&mut self, node: &NodeName, reason: &'static str, lost: bool) {
        if let Some((child, pipe)) =
            self.children.get(node).and_then(|child| Some((child, child.pipe.as_ref()?)))
        {
            self.record_closed(child, pipe, reason, lost);
        }
        self.abandon_outlet(node, reason);
    }

    fn abandon_outlet(&mut self, node: &NodeName, reason: &'static str) {
        let Some(pipe) = self.children.get_mut(node).and_then(|child| child.pipe.take()) else { return };
        self.media.close_outlet(pipe.id);
        self.tell_closed(node.clone(), pipe.id, reason);
    }

    fn tell_closed(&self, node: NodeName, pipe: PipeId, reason: &'static str) {
        let (broker, room) = (self.ctx.broker.clone(), self.id.clone());
        self.tell(async move {
            let close = ClosePipe { room_id: room, pipe_id: pipe, reason: reason.to_owned() };
            if let Err(error) = broker.call_edge(&node, close, Trace::start()).await {
                // The edge's own look finds a dead pipe as well.
                tracing::debug!(child = %node, %pipe, %error, "edge not told of a closed pipe");
            }
        });
    }

    /// What a child should have, and whether it is paused.
    fn desired_of(&self, node: &NodeName) -> BTreeMap<ProducerId, bool> {
        let Some(child) = self.children.get(node) else { return BTreeMap::new() };
        self.sources
            .iter()
            .filter(|(stream, source)| child.wanted.contains(stream) && !source.path.contains(node))
            .flat_map(|(_, source)| source.producers.iter().map(|producer| (producer.id, producer.paused)))
            .collect()
    }

    fn carried(&self, node: &NodeName) -> Vec<CarriedStream> {
        let wanted = self.children.get(node).map(|child| &child.wanted);
        self.sources
            .iter()
            .filter(|(stream, _)| wanted.is_some_and(|wanted| wanted.contains(stream)))
            .map(|(stream, source)| CarriedStream {
                stream: stream.clone(),
                publication: source.publication,
                path: source.path.clone(),
                producers: source
                    .producers
                    .iter()
                    .map(|producer| CarriedProducer { id: producer.id, paused: producer.paused })
                    .collect(),
            })
            .collect()
    }

    /// Opens what pipes are missing and tells children what changed.
    pub(super) async fn plan_children(&mut self, now: Instant) {
        let nodes: Vec<NodeName> = self.children.keys().cloned().collect();
        for node in nodes {
            let Some(child) = self.children.get(&node) else { continue };
            if now < child.retry_at {
                continue;
            }
            match &child.pipe {
                None if !self.desired_of(&node).is_empty() => {
                    let trace = child.trace;
                    if let Err(refusal) = self.open_pipe(&node, trace).await {
                        tracing::warn!(child = %node, %refusal, "pipe not opened");
                        self.retry_child_later(&node);
                    }
                }
                Some(pipe) if pipe.connected && !pipe.in_flight => {
                    let pipe = pipe.id;
                    self.change_pipe(&node, pipe, None).await;
                }
                _ => {}
            }
        }
    }

    fn outlet(&mut self, node: &NodeName, pipe: PipeId) -> Option<&mut Outlet> {
        self.children.get_mut(node)?.pipe.as_mut().filter(|outlet| outlet.id == pipe)
    }
}

/// The calls of one change, made outside the room's task.
struct Calls {
    broker: Broker,
    room: RoomId,
    child: NodeName,
    pipe: PipeId,
    trace: Trace,
}

impl Calls {
    /// Makes all calls at once; they leave, and so arrive, in the order of `changes`.
    async fn make(
        self,
        connect: Option<ConnectRemotePipeTransport>,
        changes: Vec<PipeChange>,
        mut creates: BTreeMap<ProducerId, CreatePipeProducer>,
    ) -> JobDone {
        let connected = async {
            match connect {
                Some(connect) => self.broker.call_edge(&self.child, connect, self.trace).await.map(drop),
                None => Ok(()),
            }
        };
        let told = changes.iter().map(|change| {
            let create = match change {
                PipeChange::Create(id) => creates.remove(id),
                _ => None,
            };
            self.call(*change, create)
        });
        let (connected, told) = future::join(connected, future::join_all(told)).await;
        let result = std::iter::once(connected).chain(told).collect::<Result<(), _>>();
        JobDone::PipeChanged { child: self.child, pipe: self.pipe, changes, result }
    }

    async fn call(&self, change: PipeChange, create: Option<CreatePipeProducer>) -> Result<(), CallError> {
        let (broker, child, trace) = (&self.broker, &self.child, self.trace);
        let (room_id, pipe_id) = (self.room.clone(), self.pipe);
        let result = match (change, create) {
            (PipeChange::Create(_), Some(create)) => broker.call_edge(child, create, trace).await,
            // Its source ended between deciding and doing; the next look finds that.
            (PipeChange::Create(_), None) => return Ok(()),
            (PipeChange::Close(id), _) => {
                broker.call_edge(child, ClosePipeProducer { room_id, pipe_id, id }, trace).await
            }
            (PipeChange::Pause(id), _) => {
                broker.call_edge(child, PausePipeProducer { room_id, pipe_id, id }, trace).await
            }
            (PipeChange::Resume(id), _) => {
                broker.call_edge(child, ResumePipeProducer { room_id, pipe_id, id }, trace).await
            }
        };
        match result {
            // It is closed there already; or the edge has good reasons, and asking again changes none.
            Err(CallError::Refused(refusal))
                if matches!(refusal.code, Code::UnknownProducer | Code::Loop | Code::UnknownStream) =>
            {
                tracing::info!(child = %child, %refusal, "edge refused a change");
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

fn has(source: &Source, producer: ProducerId) -> bool {
    source.producers.iter().any(|own| own.id == producer)
}

fn is_unknown(error: &CallError) -> bool {
    matches!(error, CallError::Refused(refusal) if matches!(refusal.code, Code::UnknownPipe | Code::UnknownRoom))
}
