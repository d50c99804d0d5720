//! `headwater top`

mod draw;
mod feed;
mod keys;
mod nodes;
mod room;
mod rooms;
mod state;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Connect;
use crate::cli::interrupted;
use feed::News;
use state::Top;

/// How often ages are drawn anew.
const SECOND: Duration = Duration::from_secs(1);

/// Flags of `headwater top`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    connect: Connect,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            anyhow::bail!("top needs a terminal: see `headwater fleet` and `headwater rooms`");
        }
        let api = self.connect.api()?;
        let mut top = Top::new(api.base().to_string());
        let (asks, asked) = watch::channel(top.asked());
        let (news, mut inbox) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(feed::run(api, asked, news));
        let mut screen = Screen::open()?;
        let shown = tokio::select! {
            shown = show(&mut screen, &mut top, &asks, &mut inbox) => shown,
            () = interrupted() => Ok(()),
        };
        drop(screen);
        shown?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn show(
    screen: &mut Screen,
    top: &mut Top,
    asks: &watch::Sender<feed::Asked>,
    inbox: &mut mpsc::Receiver<News>,
) -> io::Result<()> {
    let mut keys = EventStream::new();
    let mut second = tokio::time::interval(SECOND);
    loop {
        screen.terminal.draw(|frame| draw::draw(frame, top, Utc::now()))?;
        tokio::select! {
            key = keys.next() => match key.transpose()? {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    if top.press(key).is_break() {
                        return Ok(());
                    }
                    let asked = top.asked();
                    asks.send_if_modified(|last| std::mem::replace(last, asked.clone()) != asked);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            Some(news) = inbox.recv() => top.hear(news),
            _ = second.tick() => {}
        }
    }
}

/// The terminal while it is drawn on; dropping it, and a panic, give it back as it was.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn open() -> io::Result<Self> {
        Ok(Self { terminal: ratatui::try_init()? })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
