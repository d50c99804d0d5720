//! The commands, a file each.

mod clip;
mod config;
mod dev;
mod load;
mod monitor;
mod monitoring;
mod nats;
mod nats_config;
mod node;
mod operating;
mod publish;
mod reload;
mod schema;
mod solo;
mod tied;
mod watch;

use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use monitoring::{events, fleet, forget, room, rooms, top};
use operating::{bar, drain, kick};

use crate::config::Log;
use crate::telemetry::log;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nmediasoup ",
    env!("HEADWATER_MEDIASOUP_VERSION"),
    ", worker built from sources of: ",
    include_str!(env!("HEADWATER_WORKER_SOURCES")),
);

/// WebRTC with back to source: publish a stream to any node, watch it on any other.
#[derive(Debug, Parser)]
#[command(name = "headwater", version = VERSION.trim_ascii_end(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node of a fleet.
    Node(node::Args),
    /// Run one node by itself, with a NATS server of its own.
    Solo(solo::Args),
    /// Run the process that shows what happens in the fleet, now and in the past.
    Monitor(monitor::Args),
    /// Run a whole fleet on this machine: NATS, three nodes, a monitor, a test stream and two viewers.
    Dev(dev::Args),
    /// Show the fleet live: nodes, rooms and the tree of each room.
    Top(top::Args),
    /// Print the fleet: regions, nodes, links between regions, problems.
    Fleet(fleet::Args),
    /// List rooms.
    Rooms(rooms::Args),
    /// Print a room and the tree of nodes that each of its streams reaches.
    Room(room::Args),
    /// Print what happened, and follow it.
    Events(events::Args),
    /// Delete a room's history.
    Forget(forget::Args),
    /// End a viewer's or publisher's session, wherever in the fleet it is.
    Kick(kick::Args),
    /// Keep a token out for a while on all nodes, let it in again, or list who is kept out.
    Bar(bar::Args),
    /// Have a node take nothing new: it goes on with what it has, until it is undrained or stopped.
    Drain(drain::Args),
    /// Have a node take everything again.
    Undrain(drain::Undo),
    /// Publish a stream by WHIP.
    Publish(publish::Args),
    /// Watch a stream by WHEP and measure it.
    Watch(watch::Args),
    /// Have many watch and publish at once, and measure how they and the servers fare.
    Load(load::Args),
    /// Print the effective configuration, secrets hidden.
    Config(config::Args),
    /// Write the configuration of NATS servers, with a user for each node that has just enough rights.
    NatsConfig(nats_config::Args),
    /// Write the JSON Schemas of all messages.
    Schema(schema::Args),
    /// Run a program that ends with this one's parent.
    #[command(hide = true)]
    Tied(tied::Args),
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Node(args) => args.run().await,
            Command::Solo(args) => args.run().await,
            Command::Monitor(args) => args.run().await,
            Command::Dev(args) => args.run().await,
            Command::Top(args) => args.run().await,
            Command::Fleet(args) => args.run().await,
            Command::Rooms(args) => args.run().await,
            Command::Room(args) => args.run().await,
            Command::Events(args) => args.run().await,
            Command::Forget(args) => args.run().await,
            Command::Kick(args) => args.run().await,
            Command::Bar(args) => args.run().await,
            Command::Drain(args) => args.run().await,
            Command::Undrain(args) => args.run().await,
            Command::Publish(args) => args.run().await,
            Command::Watch(args) => args.run().await,
            Command::Load(args) => args.run().await,
            Command::Config(args) => args.run(),
            Command::NatsConfig(args) => args.run(),
            Command::Schema(args) => args.run(),
            Command::Tied(args) => args.run(),
        }
    });
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("headwater: {error:#}");
    ExitCode::FAILURE
}

/// Starts logging for a command whose output is for people: warnings only, unless asked for more.
fn quiet_log(filter: Option<String>) -> anyhow::Result<()> {
    let filter = filter.unwrap_or_else(|| "warn".to_owned());
    Ok(log::start(&Log { filter: Some(filter), ..Log::default() })?)
}

/// Waits as long as a command is to run; for ever where no time is given.
async fn elapsed(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() {
    Signals::new().next().await;
}

/// Ctrl-C and SIGTERM from the moment on that this is made: none is missed between two waits.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let received = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if received { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Stops as asked; a second signal ends the program at once, whatever still runs.
    async fn stopped(mut self, stop: impl Future<Output = ()>) -> ExitCode {
        tokio::select! {
            () = stop => ExitCode::SUCCESS,
            () = self.next() => {
                tracing::warn!("second signal: exiting now");
                // Not by returning: what is dropped then waits for its threads.
                std::process::exit(SECOND_SIGNAL)
            }
        }
    }
}

/// The exit code after a second signal: what was to be ended may not be.
const SECOND_SIGNAL: i32 = 1;
