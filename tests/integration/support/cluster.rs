//! Several NATS servers that belong together: a cluster, and two that gateways join.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::chaos::ChaosProxy;
use super::nats::{NatsServer, Recipe, free_port};
use super::wait::eventually;

/// How long servers may take to find each other.
const TOGETHER: Duration = Duration::from_secs(20);
/// Connections that have died without a word are noticed within two of these.
pub(crate) const PINGS: &str = "ping_interval: \"1s\"\nping_max: 2\n";

/// Three servers of one cluster, with JetStream across all of them.
#[derive(Debug)]
pub(crate) struct NatsCluster {
    servers: [NatsServer; 3],
}

impl NatsCluster {
    /// Starts the three and returns when JetStream has a leader.
    pub(crate) async fn start() -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let routes: Vec<_> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let mut servers = ports.map(|port| {
            let config = format!(
                "{PINGS}cluster {{\n  name: test\n  listen: \"127.0.0.1:{port}\"\n  routes: [{}]\n}}\n",
                routes.join(", ")
            );
            NatsServer::stopped(Recipe { config, ..Recipe::default() })
        });
        for server in &mut servers {
            server.restart().await;
        }
        let cluster = Self { servers };
        cluster.has_quorum().await;
        cluster
    }

    /// Where clients may connect, all three.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(NatsServer::url).collect()
    }

    /// One of the three, to stop, restart or pause it.
    pub(crate) fn server(&mut self, number: usize) -> &mut NatsServer {
        &mut self.servers[number]
    }

    /// Waits until JetStream answers on the first server.
    pub(crate) async fn has_quorum(&self) {
        let client = self.servers[0].client().await;
        let mut jetstream = async_nats::jetstream::new(client);
        // Without a leader there is no answer at all.
        jetstream.set_timeout(Duration::from_millis(500));
        eventually(TOGETHER, "JetStream has a leader", || async {
            jetstream.query_account().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}

/// Two servers, `west` and `east`, that gateways join; only the link between them can be cut.
///
/// JetStream, where there is any, is in the east alone.
#[derive(Debug)]
pub(crate) struct Gateways {
    pub(crate) west: NatsServer,
    pub(crate) east: NatsServer,
    /// The way into the west, and the one into the east.
    links: [ChaosProxy; 2],
}

impl Gateways {
    /// Starts both and returns when messages cross.
    pub(crate) async fn start() -> Self {
        let ports = [free_port(), free_port()];
        let links = [proxy(ports[0]).await, proxy(ports[1]).await];
        let urls = [links[0].url(), links[1].url()];
        let config =
            |me: usize| gateway(["west", "east"][me], &format!("127.0.0.1:{}", ports[me]), &urls, me);
        let server =
            |me| NatsServer::stopped(Recipe { config: config(me), jetstream: false, ..Recipe::default() });
        let (mut west, mut east) = (server(0), server(1));
        west.restart().await;
        east.restart().await;
        let gateways = Self { west, east, links };
        gateways.joined().await;
        gateways
    }

    /// Cuts the link: connections across are reset.
    pub(crate) async fn cut(&self) {
        tokio::join!(self.links[0].cut(), self.links[1].cut());
    }

    /// The link is back.
    pub(crate) fn restore(&self) {
        self.links.iter().for_each(ChaosProxy::restore);
    }

    /// Waits until what is said in one region is heard in the other, both ways.
    pub(crate) async fn joined(&self) {
        crosses(&self.west, &self.east).await;
        crosses(&self.east, &self.west).await;
    }
}

/// The gateway section of `west` or `east`, which listens here and is reached by these addresses.
pub(crate) fn gateway(name: &str, listen: &str, reached: &[String; 2], me: usize) -> String {
    format!(
        "{PINGS}gateway {{\n  name: {name}\n  listen: \"{listen}\"\n  advertise: \"{}\"\n  \
         reject_unknown: true\n  gateways: [\n    {{name: west, url: \"nats://{}\"}}\n    \
         {{name: east, url: \"nats://{}\"}}\n  ]\n}}\n",
        reached[me], reached[0], reached[1],
    )
}

async fn proxy(port: u16) -> ChaosProxy {
    ChaosProxy::start(format!("127.0.0.1:{port}")).await
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
