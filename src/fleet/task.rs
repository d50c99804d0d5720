//! The fleet's task: brings a [`Membership`] what happens, and carries out what it decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::handle::Command;
use super::heartbeat::Cpu;
use super::{BEAT, Effect, Fleet, FleetHandle, Heartbeat, Input, Membership, NoticeSender, Profile, mailbox};
use crate::broker::Broker;
use crate::config::Limits;
use crate::protocol::claim::Claim;
use crate::protocol::directory::{Claims, GetClaims, Whose};
use crate::protocol::event::{NodeSummary, What};
use crate::protocol::ids::{Peer, RoomId};
use crate::protocol::presence::{Phase, Presence};

/// How often time passes, and the rooms get a fresh view: a large fleet beats thousands of times a second.
const TICK: Duration = Duration::from_millis(200);
/// What may wait of the rooms' commands.
const INBOX: usize = 1_024;

/// What the broker hears for the fleet's task, checked: nobody speaks for another.
#[derive(Debug)]
pub enum FleetNews {
    /// A node gave a sign of life.
    Presence(Presence),
    /// A node says something of its own stream.
    Claim(Claim),
    /// A node asks for claims.
    Asked(GetClaims, oneshot::Sender<Claims>),
}

/// Why the task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// Another process serves under this node's name.
    NameTaken(Peer),
}

/// What the fleet's task needs.
#[derive(Debug)]
pub struct FleetConfig {
    /// The way to the others.
    pub broker: Broker,
    /// This node's figures.
    pub heartbeat: Heartbeat,
    /// This node.
    pub me: Peer,
    /// What hardly ever changes of it.
    pub profile: Profile,
    /// How much it takes, as that changes.
    pub limits: watch::Receiver<Limits>,
    /// How long a node may be silent.
    pub patience: Duration,
    /// What a page of claims may take, in bytes.
    pub message_bytes: usize,
    /// Decides what is left to chance.
    pub seed: u64,
    /// What the broker hears.
    pub news: mpsc::Receiver<FleetNews>,
    /// Where the rooms see who is there.
    pub view: watch::Sender<Arc<Fleet>>,
    /// Set once the start is over.
    pub serving: watch::Sender<bool>,
    /// Where the rooms go that are pushed here.
    pub carry: mpsc::Sender<RoomId>,
}

/// The fleet's task, to be run.
#[derive(Debug)]
pub struct FleetTask {
    broker: Broker,
    heartbeat: Heartbeat,
    me: Peer,
    message_bytes: usize,
    limits: watch::Receiver<Limits>,
    news: mpsc::Receiver<FleetNews>,
    view: watch::Sender<Arc<Fleet>>,
    serving: watch::Sender<bool>,
    carry: mpsc::Sender<RoomId>,
    membership: Membership,
    commands: mpsc::Receiver<Command>,
    followers: BTreeMap<RoomId, NoticeSender>,
    /// Questions to other nodes, which come back as input.
    jobs: JoinSet<Input>,
    cpu: Cpu,
    name_taken: Option<Peer>,
}

/// The fleet's task and its handle.
pub fn fleet(config: FleetConfig) -> (FleetHandle, FleetTask) {
    let FleetConfig {
        broker,
        heartbeat,
        me,
        profile,
        limits,
        patience,
        message_bytes,
        seed,
        news,
        view,
        serving,
        carry,
    } = config;
    let (sender, commands) = mpsc::channel(INBOX);
    let task = FleetTask {
        broker,
        heartbeat,
        membership: Membership::new(me.clone(), profile, patience, seed),
        me,
        message_bytes,
        limits,
        news,
        view,
        serving,
        carry,
        commands,
        followers: BTreeMap::new(),
        jobs: JoinSet::new(),
        cpu: Cpu::new(),
        name_taken: None,
    };
    (FleetHandle::new(sender), task)
}

impl FleetTask {
    /// Runs until `stop`, or until the name is found taken; its last word is that it stopped.
    pub async fn run(&mut self, stop: CancellationToken) -> Ended {
        let mut connected = self.broker.connected();
        connected.mark_changed();
        let (mut beat, mut tick) = (every(BEAT), every(TICK));
        let mut summary = every(self.heartbeat.summary);
        summary.reset();
        while self.name_taken.is_none() {
            let due = self.membership.due(Instant::now());
            tokio::select! {
                // In this order, so that a node that drains and stops at once still tells both, and a
                // talkative fleet holds up nothing.
                biased;
                Ok(()) = self.heartbeat.phase.changed() => {
                    let is_draining = *self.heartbeat.phase.borrow_and_update() == Phase::Draining;
                    self.beat().await;
                    self.record(if is_draining { What::NodeDraining } else { What::NodeUndrained });
                }
                Ok(()) = self.limits.changed() => {
                    let told = self.limits.borrow_and_update().told();
                    self.handle(Input::Limits(told)).await;
                    self.beat().await;
                }
                () = stop.cancelled() => break,
                _ = beat.tick() => {
                    self.heartbeat.metrics.cpu.set(self.cpu.share());
                    self.beat().await;
                    beat.reset_after(self.membership.beat_every());
                }
                _ = tick.tick() => self.tick().await,
                () = until(due) => self.handle(Input::Tick).await,
                _ = summary.tick() => self.record(What::NodeSummary),
                Ok(()) = connected.changed() => {
                    if *connected.borrow_and_update() {
                        self.handle(Input::Connected).await;
                    }
                }
                Some(command) = self.commands.recv() => self.obey(command).await,
                Some(done) = self.jobs.join_next() => {
                    if let Ok(input) = done {
                        self.handle(input).await;
                    }
                }
                Some(news) = self.news.recv() => self.hear(news).await,
            }
        }
        self.stop().await
    }

    /// Ends what the rooms still wanted ended, and says that this was the last.
    async fn stop(&mut self) -> Ended {
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command).await;
        }
        let load = self.heartbeat.load();
        self.handle(Input::Beat { phase: Phase::Stopped, load }).await;
        if self.membership.is_serving() {
            self.record(What::NodeStopped);
        }
        self.name_taken.take().map_or(Ended::Stopped, Ended::NameTaken)
    }

    async fn beat(&mut self) {
        let phase = *self.heartbeat.phase.borrow();
        let load = self.heartbeat.load();
        self.handle(Input::Beat { phase, load }).await;
    }

    async fn tick(&mut self) {
        self.handle(Input::Tick).await;
        self.show();
        let metrics = &self.heartbeat.metrics;
        metrics.directory_ready.set(i64::from(self.membership.is_serving()));
        metrics
            .directory_streams
            .set(i64::try_from(self.membership.directory().streams()).unwrap_or(i64::MAX));
        metrics.name_shared.set(i64::from(self.membership.shares_name(Instant::now())));
        let closed = self.followers.iter().filter(|(_, follower)| follower.is_closed());
        for room in closed.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            self.obey(Command::Unfollow(room)).await;
        }
    }

    /// Shows the rooms who is there, if that has changed.
    fn show(&mut self) {
        if let Some(fleet) = self.membership.take_fleet() {
            self.view.send_replace(fleet);
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Follow(room, answer) => {
                let (sender, receiver) = mailbox();
                self.handle(Input::Follow(room.clone())).await;
                let known = self.membership.known(&room);
                self.followers.insert(room, sender);
                // Who has gone in the meantime is found by its closed mailbox.
                let _ = answer.send((known, receiver));
            }
            // One that is read is its successor's: what is read no longer is found closed, now or soon.
            Command::Unfollow(room) => {
                if self.followers.get(&room).is_none_or(NoticeSender::is_closed) {
                    self.followers.remove(&room);
                    self.handle(Input::Unfollow(room)).await;
                }
            }
            Command::Claim(claim) => self.handle(Input::Own(claim)).await,
            Command::RoomGone(room) => self.handle(Input::RoomGone(room)).await,
            Command::LookUp(room, stream, answer) => {
                let _ = answer.send(self.membership.look_up(&room, &stream));
            }
            Command::Page(request, answer) => {
                let _ = answer.send(self.membership.page(&request, self.message_bytes));
            }
        }
    }

    async fn hear(&mut self, news: FleetNews) {
        match news {
            FleetNews::Presence(presence) => self.handle(Input::Heard(Arc::new(presence))).await,
            FleetNews::Claim(claim) => self.handle(Input::Claimed(claim)).await,
            FleetNews::Asked(request, answer) => {
                let _ = answer.send(self.membership.page(&request, self.message_bytes));
            }
        }
    }

    async fn handle(&mut self, input: Input) {
        for effect in self.membership.handle(input, Instant::now()) {
            self.carry_out(effect).await;
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Say(presence) => self.broker.say_present(&presence).await,
            Effect::Publish(claim) => self.broker.publish_claim(&claim).await,
            Effect::Fetch { from, request } => {
                let (broker, of) = (self.broker.clone(), request.of);
                self.jobs.spawn(async move {
                    let page = broker.get_claims(&from.node, request).await;
                    let page = page.map_err(|error| tracing::debug!(node = %from.node, %error, "no claims"));
                    Input::Fetched { from, of, page }
                });
            }
            Effect::ProbeName => {
                let (broker, me) = (self.broker.clone(), self.me.clone());
                self.jobs.spawn(async move {
                    let (node, of) = (me.node.clone(), Whose::Own);
                    let request = GetClaims { from: me, of, after: None };
                    Input::NameProbed(broker.get_claims(&node, request).await.ok())
                });
            }
            Effect::Notice(notice) => {
                if let Some(follower) = self.followers.get(&notice.room) {
                    follower.send(notice);
                }
            }
            Effect::Returned => self.show(),
            // One that finds no place is told again with the next look.
            Effect::Carry(room) => _ = self.carry.try_send(room),
            Effect::NodeLost(lost) => self.heartbeat.record_lost(&self.me.node, lost),
            Effect::NameTaken(other) => self.name_taken = Some(other),
            Effect::NameShared(other) => {
                tracing::error!(
                    node = %other.node,
                    incarnation = %other.incarnation,
                    "another process serves under this node's name: stop one of the two"
                );
            }
            Effect::Serving => {
                let nodes = self.membership.fleet().present(Instant::now()).count();
                tracing::info!(nodes, streams = self.membership.directory().streams(), "serving");
                self.serving.send_replace(true);
                // Not before: one that finds its name taken was never there.
                self.record(What::NodeStarted);
            }
        }
    }

    fn record(&self, what: fn(NodeSummary) -> What) {
        self.heartbeat.record(self.membership.presence(), what);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
