//! The monitor's page with a large fleet: how evenly it draws while things happen.

use std::time::Duration;

use headwater::config::Config;
use headwater::protocol::codec;
use headwater::protocol::event::Event;
use headwater::protocol::subjects::Subjects;

use crate::support::browser::Browser;
use crate::support::monitors;
use crate::support::nats::NatsServer;
use crate::table::{self, Samples};

const LIMIT: Duration = Duration::from_secs(60);
/// Ten events each tenth of a second: what a fleet of this size tells, and more.
const BURST: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Notes the time of each frame, and how long each new drawing took.
const WATCH: &str = "(() => {
    const seen = { gaps: [], draws: [], last: performance.now(), drawn: {} };
    window.seen = seen;
    const frame = (now) => {
        seen.gaps.push(now - seen.last);
        seen.last = now;
        for (const [view, took] of Object.entries(window.headwater.drawn)) {
            if (seen.drawn[view] !== took) seen.draws.push(took);
            seen.drawn[view] = took;
        }
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
})()";

/// Shows the log's fleet in a browser and lets `further` happen in it.
pub(crate) async fn run(nats: &NatsServer, config: Config, further: &[Event]) {
    let monitor = monitors::start(config).await;
    let browser = Browser::start().await;
    let page = browser.page(&monitor.url()).await;
    page.set_viewport(1400, 1000).await;
    page.wait_for("document.querySelectorAll('[data-node]').length > 0", LIMIT).await;
    page.wait_for("document.querySelectorAll('[data-room]').length > 0", LIMIT).await;
    page.eval::<()>(WATCH).await;
    let (client, subjects) = (nats.client().await, Subjects::new("").unwrap());
    let mut pace = tokio::time::interval(PAUSE);
    for burst in further.chunks(BURST) {
        pace.tick().await;
        for event in burst {
            let payload = codec::encode::<Event>(event).unwrap();
            client.publish(subjects.event(&event.subject, &event.source.node), payload.into()).await.unwrap();
        }
    }
    let nodes: usize = page.eval("document.querySelectorAll('[data-node]').length").await;
    table::value("nodes that the monitor's page shows", nodes as f64, "", 1);
    let gaps: Vec<f64> = page.eval("window.seen.gaps.slice(1)").await;
    gaps.into_iter().collect::<Samples>().print("between frames of the page, 100 events/s");
    let draws: Vec<f64> = page.eval("window.seen.draws").await;
    draws.into_iter().collect::<Samples>().print("drawing the fleet, or its rooms, once");
    monitor.stop().await;
}
