//! Two NATS servers that gateways join, in networks of their own.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::nats::NatsServer;
use super::wait::eventually;

/// How long servers may take to find each other.
const TOGETHER: Duration = Duration::from_secs(20);
/// Connections that have died without a word are noticed within three of these, as in the files that we deploy.
pub(crate) const PINGS: &str = "ping_interval: \"1s\"\nping_max: 2\n";

/// The gateway section of the server number `me` of those that are reached so, which listens here.
pub(crate) fn gateway(me: usize, listen: &str, reached: &[(&str, String)]) -> String {
    let others = reached.iter().map(|(name, url)| format!("    {{name: {name}, url: \"nats://{url}\"}}\n"));
    let (others, (name, url)) = (others.collect::<String>(), &reached[me]);
    format!(
        "{PINGS}gateway {{\n  name: {name}\n  listen: \"{listen}\"\n  advertise: \"{url}\"\n  \
         reject_unknown: true\n  gateways: [\n{others}  ]\n}}\n"
    )
}

/// Waits until a request from one server's client is answered by the other's.
pub(crate) async fn crosses(from: &NatsServer, to: &NatsServer) {
    let (asking, answering) = (from.client().await, to.client().await);
    let subject = asking.new_inbox();
    let mut asked = answering.subscribe(subject.clone()).await.expect("a subscription");
    answering.flush().await.expect("the server knows of it");
    let mut answers = JoinSet::new();
    answers.spawn(async move {
        while let Some(message) = asked.next().await {
            if let Some(reply) = message.reply {
                let _ = answering.publish(reply, "".into()).await;
            }
        }
    });
    eventually(TOGETHER, "messages cross", || async {
        let request = asking.request(subject.clone(), "".into());
        match tokio::time::timeout(Duration::from_millis(500), request).await {
            Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err("no answer".to_owned()),
        }
    })
    .await;
}
