//! Where the node is in its life, as its own parts see it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::presence::Phase;
use crate::room::Context;

/// The phases that are counted.
const NAMES: [(Phase, &str); 3] =
    [(Phase::Starting, "starting"), (Phase::Serving, "serving"), (Phase::Draining, "draining")];

/// After what time without NATS from the start on the node serves alone: nobody can be asked for anything.
pub(super) const ALONE: Duration = Duration::from_secs(3);

/// Makes the node's phase of what is wanted (serving, draining) and of whether its name is known to be free;
/// `alone` is [`ALONE`].
pub(super) async fn tell(
    mut wanted: watch::Receiver<Phase>,
    mut serving: watch::Receiver<bool>,
    mut connected: watch::Receiver<bool>,
    phase: watch::Sender<Phase>,
    alone: Duration,
) {
    let waited = async move { tokio::time::timeout(alone, connected.wait_for(|up| *up)).await.is_err() };
    tokio::pin!(waited);
    let (mut is_waiting, mut is_alone) = (true, false);
    loop {
        let now = match *wanted.borrow_and_update() {
            Phase::Serving if !*serving.borrow_and_update() && !is_alone => Phase::Starting,
            wanted => wanted,
        };
        phase.send_if_modified(|known| std::mem::replace(known, now) != now);
        tokio::select! {
            unreached = &mut waited, if is_waiting => {
                (is_waiting, is_alone) = (false, unreached);
                if is_alone {
                    tracing::warn!("nats can't be reached: this node serves alone until it can");
                }
            }
            Ok(()) = wanted.changed() => {}
            Ok(()) = serving.changed() => {}
            // A node that is gone changes nothing any more.
            else => std::future::pending().await,
        }
    }
}

/// Counts the phase that the node is in.
pub(super) async fn count(ctx: Arc<Context>) {
    let mut phase = ctx.phase.clone();
    loop {
        let now = *phase.borrow_and_update();
        for (known, name) in NAMES {
            ctx.metrics.phase.get_or_create(&[("phase", name)]).set(i64::from(known == now));
        }
        if phase.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told {
        wanted: watch::Sender<Phase>,
        serving: watch::Sender<bool>,
        connected: watch::Sender<bool>,
        phase: watch::Receiver<Phase>,
    }

    /// What is told, and the work that tells it.
    fn told() -> (Told, impl Future<Output = ()>) {
        let (wanted, seen_wanted) = watch::channel(Phase::Serving);
        let (serving, seen_serving) = watch::channel(false);
        let (connected, seen_connected) = watch::channel(false);
        let (telling, phase) = watch::channel(Phase::Starting);
        let work = tell(seen_wanted, seen_serving, seen_connected, telling, SHORT);
        (Told { wanted, serving, connected, phase }, work)
    }

    const SHORT: Duration = Duration::from_millis(100);

    async fn is(told: &mut Told, phase: Phase) {
        let told = told.phase.wait_for(|now| *now == phase);
        tokio::time::timeout(100 * SHORT, told).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn it_serves_once_its_name_is_known_to_be_free_and_drains_when_told() {
        let (mut told, work) = told();
        let story = async {
            told.connected.send_replace(true);
            tokio::time::sleep(3 * SHORT).await;
            is(&mut told, Phase::Starting).await;
            told.serving.send_replace(true);
            is(&mut told, Phase::Serving).await;
            told.wanted.send_replace(Phase::Draining);
            is(&mut told, Phase::Draining).await;
        };
        tokio::select! { () = story => {}, () = work => {} }
    }

    #[tokio::test]
    async fn without_nats_it_serves_alone() {
        let (mut told, work) = told();
        let story = async {
            is(&mut told, Phase::Starting).await;
            is(&mut told, Phase::Serving).await;
            told.connected.send_replace(true);
            tokio::time::sleep(SHORT).await;
            is(&mut told, Phase::Serving).await;
        };
        tokio::select! { () = story => {}, () = work => {} }
    }
}
