//! The task that owns the bars: it hears of them, tells of them, and ends what has come with a barred token.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::bars::{Bars, Heard, MOST, PAGE};
use super::handle::{Command, GateError, GateHandle};
use crate::broker::{Broker, GateNews};
use crate::fleet::{BEAT, beat_every};
use crate::protocol::gate::{
    Bar, BarsDigest, BarsPage, GateReply, GateRequest, GetBars, Kicked, SetBars, TokenKey,
};
use crate::protocol::ids::Peer;
use crate::protocol::refusal::Refusal;
use crate::room::{Context, RoomsHandle};

/// So many signs of life to one summary of the bars for other nodes, while there are any: two seconds, and longer in a
/// fleet of more than 1,000.
const SAY: u32 = 2;
/// Wishes of operators that may wait.
const INBOX: usize = 256;

/// The bars of this node, and who acts on them.
#[derive(Debug)]
pub struct Gate {
    ctx: Arc<Context>,
    rooms: RoomsHandle,
    bars: Bars,
    view: watch::Sender<Arc<Bars>>,
    commands: mpsc::Receiver<Command>,
    /// Bars on their way from another node: one at a time.
    fetching: JoinSet<Vec<Bar>>,
    /// Whether it was said that there are too many bars.
    told_full: bool,
}

impl Gate {
    /// A gate that keeps nobody out, and a handle to it; nothing happens until [`Gate::run`].
    pub fn new(ctx: Arc<Context>, rooms: RoomsHandle) -> (Self, GateHandle) {
        let (sender, commands) = mpsc::channel(INBOX);
        let (view, seen) = watch::channel(Arc::new(Bars::default()));
        let handle = GateHandle::new(Arc::clone(&ctx), rooms.clone(), sender, seen);
        let (bars, fetching) = (Bars::default(), JoinSet::new());
        (Self { ctx, rooms, bars, view, commands, fetching, told_full: false }, handle)
    }

    /// Runs for as long as the node hears others.
    pub async fn run(mut self, mut news: mpsc::Receiver<GateNews>) {
        let mut say = tokio::time::interval(BEAT * SAY);
        loop {
            tokio::select! {
                Some(command) = self.commands.recv() => self.command(command),
                news = news.recv() => match news {
                    Some(GateNews::Asked(request, reply)) => self.asked(request, reply),
                    Some(GateNews::Heard(digest)) => self.heard(digest),
                    None => return,
                },
                Some(fetched) = self.fetching.join_next() => self.fetched(fetched.unwrap_or_default()),
                _ = say.tick() => {
                    let nodes = self.ctx.fleet().present(Instant::now()).count();
                    say.reset_after(beat_every(nodes) * SAY);
                    self.say().await;
                }
            }
        }
    }

    fn command(&mut self, command: Command) {
        let now = Utc::now();
        match command {
            Command::Bar(token, until, answer) => {
                let bar = self.bars.next(token, until);
                let result = match self.take(bar.clone(), now) {
                    Heard::Full => Err(GateError::Full),
                    _ => Ok(bar),
                };
                self.show();
                let _ = answer.send(result);
            }
            Command::Lift(token, answer) => {
                let lifted = self.bars.lift(&token, now).ok_or(GateError::NoBar);
                if let Ok(bar) = &lifted {
                    self.take(bar.clone(), now);
                    self.show();
                }
                let _ = answer.send(lifted);
            }
        }
    }

    /// Another node asks. What takes rooms to answer, is answered aside.
    fn asked(&mut self, request: GateRequest, reply: oneshot::Sender<Result<GateReply, Refusal>>) {
        let rooms = self.rooms.clone();
        match request {
            GateRequest::Kick(kick) => self.aside(async move {
                // Dropping the reply says that this node is busy.
                if let Ok(ended) = rooms.kick(kick.room_id, kick.whom, kick.by).await {
                    let _ = reply.send(Ok(GateReply::Kicked(Kicked { ended })));
                }
            }),
            GateRequest::Mute(mute) => self.aside(async move {
                let muted = rooms.mute(mute).await;
                let _ =
                    reply.send(muted.map(|()| GateReply::Kicked(Kicked::default())).map_err(Refusal::from));
            }),
            GateRequest::SetBars(SetBars { bars }) => {
                let out = self.take_all(bars.into_iter().take(PAGE));
                self.aside(async move {
                    let ended = send_out(&rooms, out).await;
                    let _ = reply.send(Ok(GateReply::Kicked(Kicked { ended })));
                });
            }
            GateRequest::GetBars(GetBars { after }) => {
                let _ = reply.send(Ok(GateReply::Bars(self.bars.page(after.as_ref()))));
            }
        }
    }

    /// Another node has summed up its bars: where they differ from what is known here, it is asked for them.
    fn heard(&mut self, digest: BarsDigest) {
        if (digest.count, digest.digest) != self.bars.digest() && self.fetching.is_empty() {
            self.fetching.spawn(fetch(self.ctx.broker.clone(), digest.from));
        }
    }

    fn fetched(&mut self, bars: Vec<Bar>) {
        let out = self.take_all(bars.into_iter());
        let rooms = self.rooms.clone();
        if !out.is_empty() {
            self.aside(async move { drop(send_out(&rooms, out).await) });
        }
    }

    /// Takes bars of another node; answers the tokens that are kept out from now on.
    fn take_all(&mut self, bars: impl Iterator<Item = Bar>) -> Vec<TokenKey> {
        let now = Utc::now();
        let sound = bars.filter(|bar| bar.token.is_sound());
        let out = sound.filter_map(|bar| {
            let token = bar.token.clone();
            (self.take(bar, now) == Heard::New).then_some(token)
        });
        let out = out.collect();
        self.show();
        out
    }

    fn take(&mut self, bar: Bar, now: DateTime<Utc>) -> Heard {
        let heard = self.bars.hear(bar, now);
        if heard == Heard::Full && !std::mem::replace(&mut self.told_full, true) {
            tracing::warn!(most = MOST, "there are too many bars: further ones are not taken");
        }
        heard
    }

    /// Shows the bars to who asks whether a token is kept out.
    fn show(&self) {
        self.view.send_replace(Arc::new(self.bars.clone()));
        let holding = self.bars.holding(Utc::now()).count();
        self.ctx.metrics.bars.set(i64::try_from(holding).unwrap_or(i64::MAX));
    }

    async fn say(&mut self) {
        let before = self.bars.digest().0;
        if before == 0 {
            return;
        }
        self.bars.forget(Utc::now());
        let (count, digest) = self.bars.digest();
        if count != before {
            self.told_full = false;
            self.show();
        }
        if count > 0 {
            let from = self.ctx.me.clone();
            self.ctx.broker.say_bars(&BarsDigest { from, count, digest }).await;
        }
    }

    fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let tracker: &TaskTracker = &self.ctx.tracker;
        tracker.spawn(work);
    }
}

async fn send_out(rooms: &RoomsHandle, tokens: Vec<TokenKey>) -> Vec<crate::protocol::gate::EndedSession> {
    let mut ended = Vec::new();
    for token in tokens {
        ended.extend(rooms.kick_all(token).await);
    }
    ended
}

/// All bars of another node, as far as it tells them: the next digest repairs the rest.
async fn fetch(broker: Broker, from: Peer) -> Vec<Bar> {
    let (mut bars, mut after) = (Vec::new(), None);
    while bars.len() < MOST {
        let request = GateRequest::GetBars(GetBars { after });
        match broker.call_gate(&from, request).await {
            Ok(GateReply::Bars(BarsPage { bars: page, next })) => {
                bars.extend(page.into_iter().take(PAGE));
                after = next;
            }
            Ok(GateReply::Kicked(_)) => break,
            Err(error) => {
                tracing::debug!(node = %from.node, %error, "bars not fetched");
                break;
            }
        }
        if after.is_none() {
            break;
        }
    }
    bars
}
