//! `headwater solo`: a node and its own NATS server, in one command.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use url::{Host, Url};

use super::Signals;
use super::nats::NatsServer;
use super::node::Options;
use crate::config::{Config, Nats};
use crate::monitor::Monitor;
use crate::node::Node;
use crate::telemetry::log;

/// Flags of `headwater solo`; each wins over the environment and the file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// The nats-server program to start; else the one in PATH.
    #[arg(long, env = "NATS_SERVER", value_name = "PROGRAM")]
    nats_server: Option<PathBuf>,
    /// Where it keeps its data.
    #[arg(long, env = "HEADWATER_STORE", value_name = "FOLDER", default_value = "headwater-data")]
    store: PathBuf,
    /// Run the monitor too, on monitor.listen.
    #[arg(long)]
    monitor: bool,
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.options.config()?;
        let listen = listen(&config.nats)?;
        log::start(&config.log).context("log.filter")?;
        let mut nats = NatsServer::start(self.nats_server.as_deref(), &self.store, listen).await?;
        let result = self.serve(config, &mut nats).await;
        nats.stop().await;
        result
    }

    async fn serve(&self, config: Config, nats: &mut NatsServer) -> anyhow::Result<ExitCode> {
        let monitor = match self.monitor {
            true => Some(Monitor::start(config.clone()).await.context("monitor")?),
            false => None,
        };
        let node = Node::start(config).await?;
        let (url, store) = (node.public_url(), self.store.display());
        println!("pages    {url}");
        println!("publish  {url}/whip/<room>   watch {url}/whep/<room>");
        if let Some(monitor) = &monitor {
            println!("monitor  {}", monitor.url());
        }
        println!("NATS     {}   (data in {store})", nats.url());
        let mut signals = Signals::new();
        let failed = tokio::select! {
            () = signals.next() => None,
            reason = node.failed() => Some(reason),
            () = nats.keep() => None,
        };
        let ended = async {
            if failed.is_none() {
                node.drain().await;
            }
            node.stop().await;
            if let Some(monitor) = monitor {
                monitor.stop().await;
            }
        };
        let code = signals.stopped(ended).await;
        match failed {
            Some(reason) => bail!(reason),
            None => Ok(code),
        }
    }
}

/// Where its own NATS server listens: on the one address of loopback that `nats.urls` names.
fn listen(nats: &Nats) -> anyhow::Result<SocketAddr> {
    let [url] = nats.urls.as_slice() else {
        bail!(
            "nats.urls names several servers: `headwater solo` starts one of its own; see `headwater node`"
        );
    };
    let parsed = Url::parse(url).with_context(|| format!("nats.urls: {url}"))?;
    let ip = match parsed.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain("localhost")) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        // What is no special scheme keeps its host as it was written.
        Some(Host::Domain(name)) => name.parse().ok(),
        None => None,
    };
    let Some(ip) = ip.filter(IpAddr::is_loopback) else {
        bail!(
            "nats.urls is {url}: `headwater solo` starts a NATS server of its own on loopback, such as \
             nats://127.0.0.1:4222; for another server, see `headwater node`"
        );
    };
    let guarded = nats.user.is_some() || nats.password.is_some() || nats.token.is_some();
    if guarded || nats.credentials.is_some() || nats.tls.is_some() {
        bail!(
            "the NATS server of `headwater solo` takes no credentials and no TLS: leave them out of [nats]"
        );
    }
    Ok(SocketAddr::new(ip, parsed.port().unwrap_or(4222)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(urls: &[&str]) -> anyhow::Result<SocketAddr> {
        listen(&Nats { urls: urls.iter().map(ToString::to_string).collect(), ..Nats::default() })
    }

    #[test]
    fn its_server_listens_where_the_configuration_looks_for_it() {
        for (url, address) in [
            ("nats://127.0.0.1:4222", "127.0.0.1:4222"),
            ("nats://localhost", "127.0.0.1:4222"),
            ("nats://[::1]:4333", "[::1]:4333"),
        ] {
            assert_eq!(of(&[url]).unwrap(), address.parse().unwrap(), "{url}");
        }
    }

    #[test]
    fn another_server_is_refused_with_what_to_do() {
        for urls in [&["nats://10.0.0.1:4222"][..], &["nats://nats.example.org"], &["nats://a", "nats://b"]] {
            let error = of(urls).unwrap_err().to_string();
            assert!(error.contains("headwater node"), "{urls:?}: {error}");
        }
        let guarded = Nats { user: Some("me".to_owned()), ..Nats::default() };
        assert!(listen(&guarded).unwrap_err().to_string().contains("credentials"));
    }
}
