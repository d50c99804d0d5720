//! Host names that are announced, looked up again and again: what they stand for may change.

use std::sync::Arc;
use std::time::Duration;

use crate::room::Context;

/// As often as DNS records of addresses that move are usually renewed.
const LOOK: Duration = Duration::from_secs(60);

/// Keeps what is told of the listeners right. Never ends.
pub(super) async fn follow(ctx: Arc<Context>) {
    ctx.metrics.announced_current.set(1);
    if !ctx.engine.tells_names() {
        return std::future::pending().await;
    }
    let mut looks = tokio::time::interval(LOOK);
    // They were looked up at the start.
    looks.tick().await;
    loop {
        looks.tick().await;
        let looked = ctx.engine.look_up_again().await;
        let before = ctx.metrics.announced_current.set(i64::from(looked.is_ok()));
        match looked {
            Err(error) if before == 1 => {
                tracing::warn!(%error, "announced host names can't be looked up: told is what they were");
            }
            Ok(()) if before == 0 => tracing::info!("announced host names are looked up again"),
            _ => {}
        }
    }
}
