//! An operator's wish that a node takes nothing new, carried to that node.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::Duty;
use crate::broker::{CallError, DrainAsked};
use crate::protocol::drain::{Drain, DrainRequest, Left, SetDrain};
use crate::protocol::ids::NodeName;
use crate::protocol::presence::Phase;
use crate::protocol::refusal::{Code, Refusal};
use crate::room::Context;
use crate::telemetry::Metrics;

/// Why a node does not do what an operator wants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// Nobody of that name is there.
    #[error("no node {0} is there")]
    NoNode(NodeName),
    /// It can't.
    #[error("{0}")]
    Refused(String),
    /// It gave no answer.
    #[error("{0}; what it does is not known")]
    Unanswered(CallError),
}

/// Carries operators' wishes, and answers those that reach this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DrainHandle {
    ctx: Arc<Context>,
    duty: Duty,
}

/// What this node still has.
pub fn left(metrics: &Metrics) -> Left {
    let count = |gauge: i64| u32::try_from(gauge).unwrap_or(0);
    Left {
        streams: count(metrics.streams.get()),
        viewers: count(metrics.viewers.get()),
        children: count(metrics.pipes.get_or_create(&[("direction", "out")]).get()),
    }
}

impl DrainHandle {
    /// A handle to what this node is to do, and to all others.
    pub fn new(ctx: Arc<Context>, duty: Duty) -> Self {
        Self { ctx, duty }
    }

    /// Asks a node, which may be this one.
    ///
    /// # Errors
    /// [`DrainError`].
    pub async fn ask(&self, node: &NodeName, request: DrainRequest) -> Result<Drain, DrainError> {
        if *node == self.ctx.me.node {
            return self.obey(&request).map_err(|refusal| DrainError::Refused(refusal.reason));
        }
        let fleet = self.ctx.fleet();
        let peer = fleet.peer(node, Instant::now()).ok_or_else(|| DrainError::NoNode(node.clone()))?;
        self.ctx.broker.call_drain(peer, request).await.map_err(|error| match error {
            CallError::Refused(refusal) if refusal.code == Code::Draining => {
                DrainError::Refused(refusal.reason)
            }
            error => DrainError::Unanswered(error),
        })
    }

    /// Answers what other nodes ask of this one, for as long as the node hears them.
    pub async fn answer(self, mut asked: mpsc::Receiver<DrainAsked>) {
        while let Some(DrainAsked { request, reply }) = asked.recv().await {
            let _ = reply.send(self.obey(&request));
        }
    }

    /// How this node stands.
    pub fn here(&self) -> Drain {
        // What the parts of the node see may be a moment behind.
        let phase = match *self.ctx.phase.borrow() {
            _ if self.duty.ends() || self.duty.is_wished() => Phase::Draining,
            Phase::Starting => Phase::Starting,
            _ => Phase::Serving,
        };
        Drain {
            node: self.ctx.me.node.clone(),
            phase,
            by_operator: self.duty.is_wished(),
            ends: self.duty.ends(),
            left: left(&self.ctx.metrics),
        }
    }

    fn obey(&self, request: &DrainRequest) -> Result<Drain, Refusal> {
        if let DrainRequest::SetDrain(SetDrain { draining }) = request {
            if !draining {
                self.may_serve()?;
            }
            if self.duty.wish(*draining) {
                let Left { streams, viewers, children } = left(&self.ctx.metrics);
                match draining {
                    true => tracing::warn!(streams, viewers, children, "an operator drains this node"),
                    false => tracing::info!("an operator has this node take everything again"),
                }
            }
        }
        Ok(self.here())
    }

    /// Whether the node can take everything again.
    fn may_serve(&self) -> Result<(), Refusal> {
        let me = &self.ctx.me;
        if self.duty.ends() {
            let reason = format!("{} is on its way out: start it anew once it has ended", me.node);
            return Err(Refusal::new(Code::Draining, reason));
        }
        let fleet = self.ctx.fleet();
        let mut successors = fleet.present(Instant::now()).filter(|other| {
            other.peer.node == me.node
                && other.peer.incarnation != me.incarnation
                && matches!(other.phase, Phase::Starting | Phase::Serving)
        });
        if successors.next().is_some() && self.duty.is_wished() {
            let reason = format!("another process named {} is there by now: stop this one", me.node);
            return Err(Refusal::new(Code::Draining, reason));
        }
        Ok(())
    }
}
