//! What must run for as long as the node does: where it ends, the node has failed.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::drain::Duty;

/// Runs the node's tasks and notes the first that fails. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    tracker: TaskTracker,
    duty: Duty,
    failed: Arc<watch::Sender<Option<String>>>,
    /// Ends the tasks that end for nothing else.
    stop: CancellationToken,
    /// From here on tasks may end.
    stopping: CancellationToken,
}

impl Supervisor {
    /// Tasks are owned by `tracker`; a node that has failed takes nothing new, which is its `duty`.
    pub(super) fn new(tracker: TaskTracker, duty: Duty, stop: CancellationToken) -> Self {
        let (failed, stopping) = (Arc::new(watch::Sender::new(None)), CancellationToken::new());
        Self { tracker, duty, failed, stop, stopping }
    }

    /// Runs what must not end before the node's last tasks do, and is then ended with them.
    pub(super) fn must_run_on(&self, what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.must_run(what, async move { stop.run_until_cancelled(work).await.unwrap_or_default() });
    }

    /// Runs what must not end before the node stops.
    pub(super) fn must_run(&self, what: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let supervisor = self.clone();
        self.tracker.spawn(async move {
            match AssertUnwindSafe(work).catch_unwind().await {
                Ok(()) => supervisor.fail(format!("{what}: ended by itself")),
                Err(panic) => supervisor.fail(format!("{what}: panicked: {}", words(&*panic))),
            }
        });
    }

    /// The node can't go on; the first reason holds. Nothing if it is being stopped anyway.
    pub(super) fn fail(&self, reason: String) {
        if self.stopping.is_cancelled() {
            return;
        }
        let news = self.failed.send_if_modified(|known| {
            let news = known.is_none();
            known.get_or_insert_with(|| reason.clone());
            news
        });
        if news {
            tracing::error!(reason, "the node has failed: it takes nothing new");
            self.duty.end();
        }
    }

    /// From here on tasks end because they are to.
    pub(super) fn stopping(&self) {
        self.stopping.cancel();
    }

    /// Why the node failed, once it has.
    pub(super) fn failed(&self) -> impl Future<Output = String> + Send + use<> {
        let mut failed = self.failed.subscribe();
        async move {
            let reason = failed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            match reason {
                Some(reason) => reason,
                // The node was stopped, and had not failed.
                None => std::future::pending().await,
            }
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::presence::Phase;

    fn supervisor() -> (Supervisor, watch::Receiver<Phase>) {
        let duty = Duty::new();
        let phase = duty.phase();
        (Supervisor::new(TaskTracker::new(), duty, CancellationToken::new()), phase)
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_fails_the_node_and_the_first_reason_holds() {
        let (supervisor, phase) = supervisor();
        let failed = supervisor.failed();
        supervisor.must_run("the rooms", async { panic!("by test {}", 7) });
        assert_eq!(failed.await, "the rooms: panicked: by test 7");
        assert_eq!(*phase.borrow(), Phase::Draining);
        supervisor.must_run("the fleet", async {});
        supervisor.tracker.close();
        supervisor.tracker.wait().await;
        assert_eq!(supervisor.failed().await, "the rooms: panicked: by test 7");
    }

    #[tokio::test]
    async fn a_node_that_stops_does_not_fail() {
        let (supervisor, phase) = supervisor();
        supervisor.stopping();
        supervisor.must_run("the rooms", async {});
        supervisor.tracker.close();
        supervisor.tracker.wait().await;
        assert_eq!(*phase.borrow(), Phase::Serving);
        assert_eq!(supervisor.failed().now_or_never(), None);
    }
}
