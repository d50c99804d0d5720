//! Media workers that die: their rooms end, and fresh workers take their places.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::media::WorkerId;
use crate::protocol::event::{About, What, WorkerDied};
use crate::room::{Context, RoomsHandle};

/// How often dead workers are looked for though none was told of.
const LOOK: Duration = Duration::from_secs(5);
/// The first and the longest pause before a place that stays empty is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Ends the rooms of dead workers and puts fresh workers in their places, until `stop`.
pub(super) async fn replace(
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    mut deaths: mpsc::Receiver<WorkerId>,
    stop: CancellationToken,
) {
    let mut told = BTreeSet::new();
    let mut pause = AGAIN.0;
    loop {
        let dead = ctx.engine.dead();
        told.retain(|worker| dead.contains(worker));
        let mut empty = false;
        for worker in dead {
            if told.insert(worker) {
                tell(&ctx, &rooms, worker).await;
            }
            if let Err(error) = ctx.engine.revive(worker.index).await {
                tracing::error!(worker = worker.index, %error, "media worker could not be replaced; trying again");
                empty = true;
            }
        }
        let wait = if empty { pause } else { LOOK };
        pause = if empty { (pause * 2).min(AGAIN.1) } else { AGAIN.0 };
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = deaths.recv() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn tell(ctx: &Context, rooms: &RoomsHandle, worker: WorkerId) {
    ctx.metrics.workers_died.inc();
    tracing::error!(worker = worker.index, "media worker died");
    let about = About::Node(ctx.me.node.clone());
    let number = u32::try_from(worker.index).unwrap_or(u32::MAX);
    ctx.events.record(about, What::WorkerDied(WorkerDied { worker: number }));
    rooms.worker_died(worker).await;
}
