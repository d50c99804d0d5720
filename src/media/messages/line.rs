//! The messages of one data producer in a room: taken from its publisher, or from the pipes that bring them sealed, and
//! handed to the routers of this node and, sealed, to the pipes that go on from here.

use std::collections::HashMap;

use mediasoup::prelude::{DataConsumer, DataProducer, DataProducerId, DirectDataProducer, WebRtcMessage};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::seal::{Seal, Window};
use crate::media::MediaError;
use crate::protocol::data::{Channel, SealKey};
use crate::protocol::ids::PipeId;
use crate::telemetry::metrics::One;

/// Messages that may wait to be passed on; more than that are lost.
const WAITING: usize = 1024;

/// What became of messages, by `result`.
pub(in crate::media) type Results = Family<One, Counter>;

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Publisher,
    Pipe(PipeId),
}

/// Where messages go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Goal {
    /// Participants, by a router of the room: an index of its spreads; none is the home router.
    Router(Option<usize>),
    /// Other nodes.
    Pipes,
}

/// The messages of one data producer. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) key: SealKey,
    pub(super) channel: Channel,
    /// Whether this node is where the messages begin.
    pub(super) is_own: bool,
    /// What the workers know it by at each goal.
    goals: HashMap<Goal, DataProducerId>,
    sources: HashMap<Origin, DataConsumer>,
    inbox: mpsc::Sender<Told>,
    results: Results,
    _work: JoinSet<()>,
}

/// What the line's task is told.
#[derive(Debug)]
enum Told {
    Clear(u8, Vec<u8>),
    Sealed(Vec<u8>),
    Opened(Goal, DirectDataProducer),
    Closed(Goal),
}

impl Line {
    pub(super) fn new(
        key: SealKey,
        channel: Channel,
        is_own: bool,
        results: &Results,
    ) -> Result<Self, MediaError> {
        let (inbox, told) = mpsc::channel(WAITING);
        let mut work = JoinSet::new();
        work.spawn(pass(Seal::new(key)?, told, results.clone()));
        let (goals, sources) = (HashMap::new(), HashMap::new());
        Ok(Self { key, channel, is_own, goals, sources, inbox, results: results.clone(), _work: work })
    }

    pub(super) fn hears(&self, origin: Origin) -> bool {
        self.sources.contains_key(&origin)
    }

    /// Takes what comes from somewhere, in place of what came from there before.
    pub(super) fn hear(&mut self, origin: Origin, source: DataConsumer) {
        let (inbox, lost) = (self.inbox.clone(), self.results.get_or_create_owned(&[("result", "lost")]));
        let heard = move |message: &WebRtcMessage<'_>| {
            let (kind, payload) = message.clone().into_ppid_and_payload();
            let told = match (origin, u8::try_from(kind)) {
                (Origin::Pipe(_), _) => Told::Sealed(payload.into_owned()),
                (Origin::Publisher, Ok(kind)) => Told::Clear(kind, payload.into_owned()),
                (Origin::Publisher, Err(_)) => return,
            };
            if inbox.try_send(told).is_err() {
                lost.inc();
            }
        };
        source.on_message(heard).detach();
        self.sources.insert(origin, source);
    }

    pub(super) fn deafen(&mut self, origin: Origin) {
        self.sources.remove(&origin);
    }

    pub(super) fn goal(&self, goal: Goal) -> Option<DataProducerId> {
        self.goals.get(&goal).copied()
    }

    /// Hands messages on to there as well.
    pub(super) async fn open(&mut self, goal: Goal, producer: DataProducer) {
        let DataProducer::Direct(direct) = &producer else { return };
        self.goals.insert(goal, producer.id());
        // The task lives as long as this.
        let _ = self.inbox.send(Told::Opened(goal, direct.clone())).await;
    }

    /// Hands them on to there no more.
    pub(super) fn close(&mut self, goal: Goal) {
        if self.goals.remove(&goal).is_some() {
            // Where that is lost, it is closed with the router.
            let _ = self.inbox.try_send(Told::Closed(goal));
        }
    }
}

/// Passes messages on, for as long as there is a line.
async fn pass(seal: Seal, mut told: mpsc::Receiver<Told>, results: Results) {
    let count = |result| results.get_or_create_owned(&[("result", result)]);
    let (sent, received, foreign) = (count("sent"), count("received"), count("foreign"));
    let (mut number, mut window, mut goals) = (0, Window::default(), HashMap::new());
    while let Some(told) = told.recv().await {
        match told {
            Told::Opened(goal, producer) => drop(goals.insert(goal, producer)),
            Told::Closed(goal) => drop(goals.remove(&goal)),
            Told::Clear(kind, payload) => {
                number += 1;
                hand_out(&goals, kind, &payload);
                if let Some(pipes) = goals.get(&Goal::Pipes)
                    && let Some(sealed) = seal.seal(number, kind, &payload)
                {
                    sent.inc();
                    give(pipes, WebRtcMessage::Binary(sealed.into()));
                }
            }
            Told::Sealed(sealed) => match seal.open(&sealed) {
                Some(opened) if window.is_new(opened.number) => {
                    received.inc();
                    hand_out(&goals, opened.kind, &opened.payload);
                    if let Some(pipes) = goals.get(&Goal::Pipes) {
                        sent.inc();
                        give(pipes, WebRtcMessage::Binary(sealed.into()));
                    }
                }
                // It came by two ways, as while a stream is moved.
                Some(_) => {}
                None => _ = foreign.inc(),
            },
        }
    }
}

/// Hands a message to all routers of this node that want it.
fn hand_out(goals: &HashMap<Goal, DirectDataProducer>, kind: u8, payload: &[u8]) {
    for (_, producer) in goals.iter().filter(|(goal, _)| matches!(goal, Goal::Router(_))) {
        if let Ok(message) = WebRtcMessage::new(u32::from(kind), payload.into()) {
            give(producer, message);
        }
    }
}

fn give(to: &DirectDataProducer, message: WebRtcMessage<'_>) {
    // It fails only where the worker has died, which is seen elsewhere.
    let _ = to.send(message, None, None, None);
}
