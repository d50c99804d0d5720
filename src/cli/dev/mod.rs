//! `headwater dev`: a whole fleet on this machine.

mod table;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::nats::NatsServer;
use super::{elapsed, interrupted, quiet_log};
use crate::client::{Clip, Player, PublishOptions, Publisher, WatchOptions};
use crate::config::{Config, Storage};
use crate::monitor::Monitor;
use crate::node::Node;
use table::Table;

/// Flags of `headwater dev`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End by itself after this time, and fail unless every viewer got audio and video.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// A NATS server that is already there, in place of one that is started.
    #[arg(long, env = "NATS_URL", value_name = "URL")]
    nats: Option<String>,
    /// The nats-server program to start; else the one in PATH.
    #[arg(long, env = "NATS_SERVER", value_name = "PROGRAM")]
    nats_server: Option<PathBuf>,
    /// Where the started server keeps its data; else a folder that is removed at the end.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// The first node's port; the others follow. Taken ports are passed over.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Publish the test clip in three layers (simulcast).
    #[arg(long)]
    simulcast: bool,
    /// What is logged.
    #[arg(long)]
    log: Option<String>,
}

const NODES: [(&str, &str); 3] = [("west-1", "west"), ("east-1", "east"), ("east-2", "east")];
const ROOM: &str = "demo";
/// How long everything may take to come up.
const START: Duration = Duration::from_secs(20);

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(self.log.clone())?;
        let (nats, url) = match &self.nats {
            Some(url) => (None, url.clone()),
            None => {
                let program = self.nats_server.as_deref();
                let server = match &self.store {
                    Some(store) => NatsServer::start(program, store, NatsServer::any_port()?).await?,
                    None => NatsServer::start_temporary(program).await?,
                };
                let url = server.url();
                (Some(server), url)
            }
        };
        let mut nodes = Vec::new();
        for (index, (name, region)) in NODES.into_iter().enumerate() {
            let config = node_config(name, region, &url, self.port, u16::try_from(index)?)?;
            nodes.push(Node::start(config).await.with_context(|| format!("node {name}"))?);
        }
        let monitor = Monitor::start(monitor_config(&url, self.port)?).await.context("monitor")?;
        let result = self.demonstrate(&nodes, &url, &monitor).await;
        // Edges before their sources, so that none looks for a source that has just gone.
        for node in nodes.into_iter().rev() {
            node.stop().await;
        }
        monitor.stop().await;
        if let Some(nats) = nats {
            nats.stop().await;
        }
        result
    }

    async fn demonstrate(&self, nodes: &[Node], nats: &str, monitor: &Monitor) -> anyhow::Result<ExitCode> {
        let [west, edges @ ..] = nodes else { anyhow::bail!("no nodes") };
        ready(nodes).await?;
        let mut options =
            PublishOptions::new(format!("{}/whip/{ROOM}", west.public_url()), Arc::new(Clip::builtin()));
        options.simulcast = self.simulcast;
        let publisher = Publisher::start(options).await.context("publishing the test clip")?;
        let mut players = Vec::new();
        for edge in edges {
            let mut options = WatchOptions::new(format!("{}/whep/{ROOM}", edge.public_url()));
            options.retry_until_live = Some(START);
            let player =
                Player::start(options).await.with_context(|| format!("watching on {}", edge.peer().node))?;
            players.push((edge.peer().node.clone(), player));
        }
        println!("NATS   {nats}");
        for node in nodes {
            let (url, name, region) = (node.public_url(), &node.peer().node, &node.peer().region);
            println!(
                "{name:8} {region:5} watch {url}/watch?room={ROOM}   publish {url}/publish?room={ROOM}   operators {}",
                node.operators_url()
            );
        }
        println!("monitor  {}   (what happens, live and at any past moment)\n", monitor.url());
        let mut table = Table::new();
        let show = async {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                table.show(nodes, ROOM, &players).await;
            }
        };
        let timed = tokio::select! {
            () = elapsed(self.duration) => true,
            () = interrupted() => false,
            () = show => false,
        };
        table.show(nodes, ROOM, &players).await;
        let mut complete = true;
        for (node, player) in players {
            let report = player.stop().await;
            let got = report.has_audio() && report.has_video();
            complete &= got;
            if !got {
                eprintln!(
                    "headwater: the viewer on {node} did not get both audio and video: {:?}",
                    report.reason
                );
            }
        }
        publisher.stop().await?;
        Ok(if complete || !timed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Waits until every node knows the streams, and every other node.
async fn ready(nodes: &[Node]) -> anyhow::Result<()> {
    let all = async {
        for node in nodes {
            let ctx = node.context();
            let knows_all = || {
                let fleet = ctx.fleet();
                nodes.iter().all(|other| fleet.node(&other.peer().node).is_some())
            };
            while ctx.metrics.directory_ready.get() != 1 || !knows_all() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(START, all).await.context("the nodes did not reach NATS; is its JetStream enabled?")
}

fn node_config(name: &str, region: &str, nats: &str, port: u16, index: u16) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.node.name = name.parse()?;
    config.node.region = region.parse()?;
    config.nats.urls = vec![nats.to_owned()];
    config.nats.storage = Storage::Memory;
    config.media.workers = 1;
    config.webrtc.port = 0;
    config.webrtc.listen.extend(address());
    config.http.listen = free(port.saturating_add(index));
    config.operators.listen = free(port.saturating_add(1000 + index));
    Ok(config)
}

fn monitor_config(nats: &str, port: u16) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.nats.urls = vec![nats.to_owned()];
    config.nats.storage = Storage::Memory;
    config.monitor.listen = free(port.saturating_add(1010));
    Ok(config)
}

/// The address that other machines know this one by, if any: Firefox takes no media from loopback.
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // Nothing is sent: the system only chooses where it would be sent from.
    socket.connect((Ipv4Addr::new(198, 51, 100, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// This port if it is free, else any.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
