//! The regular look: what has timed out, gone silent or become idle.

use std::time::{Duration, Instant};

use super::error::RoomError;
use super::plan::{PipeFacts, is_lost};
use super::state::{Room, Via};
use crate::protocol::announcement::EndReason;
use crate::protocol::event::{LeaveReason, What};
use crate::protocol::ids::{NodeName, SessionId};

/// How often media is measured.
const MEASURE: Duration = Duration::from_millis(500);

impl Room {
    pub(super) async fn look(&mut self, now: Instant) {
        if self.measured_at.is_none_or(|at| now.duration_since(at) >= MEASURE) {
            self.measure(now).await;
            self.record_bursts(now);
            self.record_summary(now).await;
        }
        self.end_dead_sessions(now).await;
        self.end_silent_publishers(now);
        self.end_lost_pipes(now);
        self.refuse_late(now);
    }

    async fn measure(&mut self, now: Instant) {
        self.measured_at = Some(now);
        self.measured = self.media.measure().await;
        for publication in self.publications.values_mut() {
            if let Some(uplink) = self.measured.uplinks.get(&publication.session) {
                publication.bitrate = uplink.bitrate;
                heard(&mut publication.bytes, &mut publication.heard, uplink.bytes, now);
            }
        }
        for pipe in self.parents.values_mut().filter_map(|parent| parent.pipe.as_mut()) {
            if let Some(flow) = self.measured.inlets.get(&pipe.id) {
                heard(&mut pipe.bytes, &mut pipe.heard, flow.bytes_received, now);
            }
        }
        for pipe in self.children.values_mut().filter_map(|child| child.pipe.as_mut()) {
            if let Some(flow) = self.measured.outlets.get(&pipe.id) {
                heard(&mut pipe.bytes, &mut pipe.heard, flow.bytes_received, now);
            }
        }
    }

    /// Ends sessions whose connection failed or was never made; finds connections whose event was lost.
    async fn end_dead_sessions(&mut self, now: Instant) {
        let patience = self.ctx.config.timeouts.connect;
        let viewers = self.viewers.iter().map(|(session, viewer)| (*session, viewer.since));
        let connecting = self.connecting.values().map(|p| (p.session, p.since));
        let published = self.publications.values().map(|p| (p.session, now));
        let sessions: Vec<(SessionId, Instant)> = viewers.chain(connecting).chain(published).collect();
        for (session, since) in sessions {
            match self.media.is_up(session) {
                Some(true) => self.session_connected(session).await,
                Some(false) => self.session_failed(session, LeaveReason::Disconnected).await,
                None if now.duration_since(since) > patience => {
                    tracing::info!("a publisher or viewer did not connect in time");
                    self.session_failed(session, LeaveReason::NeverConnected).await;
                }
                None => {}
            }
        }
    }

    pub(super) async fn session_connected(&mut self, session: SessionId) {
        if let Some(viewer) = self.viewers.get_mut(&session) {
            viewer.connected = true;
        } else if self.connecting.contains_key(&session) {
            self.publisher_connected(session).await;
        }
    }

    pub(super) async fn session_failed(&mut self, session: SessionId, reason: LeaveReason) {
        if !self.end_viewer(session, reason).await {
            self.end_publisher(session, EndReason::Disconnected);
        }
    }

    fn end_silent_publishers(&mut self, now: Instant) {
        let patience = self.ctx.config.timeouts.publisher_silence;
        let silent: Vec<_> = self
            .publications
            .iter()
            .filter(|(_, publication)| {
                let paused = publication.producers.iter().any(|producer| producer.paused);
                !paused && now.duration_since(publication.heard) > patience
            })
            .map(|(stream, _)| stream.clone())
            .collect();
        for stream in silent {
            self.end_publication(&stream, EndReason::Silent);
        }
    }

    fn end_lost_pipes(&mut self, now: Instant) {
        let fleet = self.ctx.fleet();
        let timeouts = self.ctx.config.timeouts.clone();
        let lost_parents: Vec<NodeName> = self
            .parents
            .iter()
            .filter(|(_, parent)| {
                let Some(pipe) = &parent.pipe else { return false };
                let absent = parent.peer.as_ref().is_some_and(|peer| fleet.is_absent(peer, now));
                let carries = |s: &super::state::Source| {
                    s.via == Via::Pipe(pipe.id) && s.producers.iter().any(|producer| !producer.paused)
                };
                let facts = PipeFacts {
                    absent,
                    expects_media: self.sources.values().any(carries),
                    heard: pipe.heard,
                    opened: pipe.opened,
                    connected: pipe.connected,
                };
                is_lost(facts, timeouts.pipe_connect, now)
            })
            .map(|(node, _)| node.clone())
            .collect();
        for node in lost_parents {
            tracing::warn!(parent = %node, "parent lost: viewers stay and wait for the stream");
            self.forget_parent(&node);
        }
        let lease = timeouts.lease;
        let lost_children: Vec<NodeName> = self
            .children
            .iter()
            .filter(|(_, child)| {
                let absent = fleet.is_absent(&child.peer, now);
                // Without the bus no lease can be renewed, so none runs out; and reports that still
                // come back over the pipe prove that the edge is there.
                let silent = child.pipe.as_ref().is_none_or(|pipe| now.duration_since(pipe.heard) > lease);
                let expired = fleet.is_settled(now) && now.duration_since(child.renewed) > lease && silent;
                let lost = child.pipe.as_ref().is_some_and(|pipe| {
                    let facts = PipeFacts {
                        absent,
                        expects_media: !pipe.told.is_empty(),
                        heard: pipe.heard,
                        opened: pipe.opened,
                        connected: pipe.connected,
                    };
                    is_lost(facts, timeouts.pipe_connect, now)
                });
                expired || lost
            })
            .map(|(node, _)| node.clone())
            .collect();
        for node in lost_children {
            tracing::warn!(child = %node, "edge lost");
            self.close_outlet(&node, "the edge was lost", true);
            self.children.remove(&node);
        }
    }

    fn refuse_late(&mut self, now: Instant) {
        let patience = self.ctx.config.timeouts.join;
        let (late, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| now.duration_since(waiting.since) > patience || waiting.answer.is_closed());
        self.waiting = waiting;
        for waiting in late {
            let error = RoomError::JoinTimeout;
            self.turned(&waiting.request.stream, &error, What::ViewerRejected);
            self.ctx.metrics.joins.get_or_create(&[("result", error.kind())]).inc();
            let _ = waiting.answer.send(Err(error));
        }
    }

    /// Whether the room has nothing left to do, and has had nothing for long enough.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let empty = self.publications.is_empty()
            && self.connecting.is_empty()
            && self.endings.is_empty()
            && self.viewers.is_empty()
            && self.waiting.is_empty()
            && self.children.is_empty()
            && self.parents.is_empty();
        if let Some(stop_by) = self.stop_by {
            return empty || now >= stop_by;
        }
        if !empty {
            self.empty_since = None;
            return false;
        }
        let since = *self.empty_since.get_or_insert(now);
        now.duration_since(since) >= self.ctx.config.timeouts.room_idle
    }
}

/// Notes that more bytes have arrived.
fn heard(bytes: &mut u64, at: &mut Instant, now_bytes: u64, now: Instant) {
    if now_bytes != *bytes {
        *bytes = now_bytes;
        *at = now;
    }
}
