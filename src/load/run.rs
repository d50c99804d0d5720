//! A run from its first publisher to its report: ramp, steady phase, end.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::crew::{Crew, Event, Task};
use super::gauge::Look;
use super::plan::{LoadError, LoadOptions, Plan};
use super::report::{Ending, LoadReport, Span};
use super::servers::{Server, find};
use super::tally::Flow;
use super::timing::Timing;
use super::{descriptors, proc};
use crate::client::{Depth, Http, PublishOptions, PublishStats, WatchOptions, WatchReport};

/// How often conditions are looked at that no event tells of.
const TICK: Duration = Duration::from_millis(200);
/// How often processes are looked at, and progress is told.
const LOOK: Duration = Duration::from_secs(1);
/// How long publishers may take to be on air.
const ON_AIR: Duration = Duration::from_secs(20);
/// How long the last viewers may take to get media, beyond what they wait for a stream.
const SETTLE: Duration = Duration::from_secs(15);
/// How long leaving may take, and how much longer for each hundred sessions.
const END: Duration = Duration::from_secs(10);
/// Delays that wait to be counted.
const DELAYS: usize = 8192;

/// What a run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Publishers begin.
    #[default]
    Publishing,
    /// Viewers come.
    Ramp,
    /// All have been asked in; the last ones get their media.
    Settling,
    /// All watch.
    Steady,
    /// All leave.
    Ending,
}

/// How a run goes, about once a second.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How far the phase is, 0 to 1.
    pub done: f64,
    /// Viewers that have an answer and are there.
    pub viewers: usize,
    /// Viewers that were refused, or couldn't get there.
    pub refused: usize,
    /// Publishers that are there.
    pub publishers: usize,
    /// What came since the last time.
    pub flow: Flow,
    /// Of each server that was found: its name, cores in use, and memory in bytes.
    pub servers: Vec<(String, f64, u64)>,
    /// Cores that this process uses.
    pub own: f64,
}

/// Loads the servers as `options` say, until all is done or `stop`.
///
/// All sessions are deleted at the end, within seconds; those whose server doesn't answer are left to it.
///
/// # Errors
///
/// [`LoadError`] where it couldn't begin. What servers refuse later is part of the report.
pub async fn run(
    options: LoadOptions,
    progress: watch::Sender<Progress>,
    stop: CancellationToken,
) -> Result<LoadReport, LoadError> {
    let plan = Plan::new(&options)?;
    descriptors::allow(options.viewers + options.publishers)?;
    reachable(&plan, options.token.as_deref()).await?;
    let servers = find(&plan.servers, &options.pids).await;
    let (crew, told) = Crew::start(options.threads)?;
    let (delay_sender, delays) = mpsc::channel(DELAYS);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look = Look::now(&servers);
    let run = Run {
        viewers: plan.viewers.iter().map(|_| Session::Waiting).collect(),
        publishers: plan.publishers.iter().map(|_| Session::Waiting).collect(),
        begun: look.clone(),
        last: (look, Flow::default()),
        told: Told { events: told, delays, tick },
        lateness: Timing::new(),
        delays: Timing::new(),
        asked: None,
        answered: None,
        phase: (Phase::default(), Instant::now(), Duration::ZERO),
        options,
        plan,
        servers,
        crew,
        delay_sender,
        progress,
    };
    run.whole(&stop).await
}

/// One answer of any kind from each server, before anything is started.
async fn reachable(plan: &Plan, token: Option<&str>) -> Result<(), LoadError> {
    let unreachable = |error: crate::client::ClientError| LoadError::Unreachable(error.to_string());
    let http = Http::new().map_err(unreachable)?;
    let used =
        |server: usize| plan.publishers.iter().chain(&plan.viewers).find(|place| place.server == server);
    for place in (0..plan.servers.len()).filter_map(used) {
        http.probe(&place.url, token).await.map_err(unreachable)?;
    }
    Ok(())
}

/// A viewer or publisher.
#[derive(Debug)]
pub(super) enum Session<T> {
    /// Its turn is still to come.
    Waiting,
    /// No answer yet.
    Asked,
    Refused(String),
    There(watch::Receiver<T>),
    /// It ended, or was ended.
    Gone(Box<T>),
}

impl<T: Clone> Session<T> {
    /// What it tells, or told last.
    pub(super) fn report(&self) -> Option<T> {
        self.read(T::clone)
    }

    /// A part of that.
    fn read<R>(&self, part: impl FnOnce(&T) -> R) -> Option<R> {
        match self {
            Session::There(report) => Some(part(&report.borrow())),
            Session::Gone(report) => Some(part(report)),
            _ => None,
        }
    }

    /// Whether it is as it is to be: there, and `complete`, or refused.
    fn is_settled(&self, complete: impl Fn(&T) -> bool) -> bool {
        match self {
            Session::Waiting | Session::Asked => false,
            Session::There(report) => complete(&report.borrow()),
            Session::Refused(_) | Session::Gone(_) => true,
        }
    }

    fn is_there(&self) -> bool {
        matches!(self, Session::There(_))
    }
}

/// What is waited for.
#[derive(Debug)]
struct Told {
    events: mpsc::Receiver<Event>,
    delays: mpsc::Receiver<Duration>,
    tick: Interval,
}

#[derive(Debug)]
struct Run {
    options: LoadOptions,
    plan: Plan,
    servers: Vec<Server>,
    crew: Crew,
    told: Told,
    delay_sender: mpsc::Sender<Duration>,
    progress: watch::Sender<Progress>,
    viewers: Vec<Session<WatchReport>>,
    publishers: Vec<Session<PublishStats>>,
    begun: Look,
    last: (Look, Flow),
    lateness: Timing,
    delays: Timing,
    /// When the first viewer was asked in, and when the last one got its answer.
    asked: Option<Instant>,
    answered: Option<Instant>,
    /// The phase, since when it is, and how long it is to be.
    phase: (Phase, Instant, Duration),
}

impl Run {
    async fn whole(mut self, stop: &CancellationToken) -> Result<LoadReport, LoadError> {
        let begun = stop.run_until_cancelled(self.begin()).await;
        let steady = match begun {
            Some(Ok(())) => self.steady(stop).await,
            // Interrupted on the way.
            None => None,
            Some(Err(error)) => {
                self.leave().await;
                self.crew.end();
                return Err(error);
            }
        };
        let ending = Ending {
            interrupted: stop.is_cancelled(),
            ramp: self.asked.zip(self.answered).map_or(Duration::ZERO, |(asked, answered)| answered - asked),
            // While the sockets are still open.
            socket_drops: proc::drops(),
        };
        let lateness = self.lateness.quantiles();
        self.leave().await;
        let report = LoadReport::new(
            &self.options,
            &self.plan,
            &self.servers,
            (&self.viewers, &self.publishers),
            steady,
            (&self.begun, ending),
            (lateness, self.delays.quantiles()),
        );
        self.crew.end();
        Ok(report)
    }

    /// Publishers, then viewers, until the last one has its media or can't have it.
    async fn begin(&mut self) -> Result<(), LoadError> {
        let publishers = self.plan.publishers.len();
        self.enter(Phase::Publishing, self.options.rate.due(publishers));
        self.ramp(publishers, Self::begin_publisher).await;
        let on_air =
            |run: &Self| run.publishers.iter().all(|publisher| publisher.is_settled(PublishStats::connected));
        self.attend(Instant::now() + ON_AIR, on_air).await;
        if publishers > 0 && !self.publishers.iter().any(Session::is_there) {
            let refused = self.publishers.iter().find_map(|publisher| match publisher {
                Session::Refused(reason) => Some(reason.clone()),
                _ => None,
            });
            return Err(LoadError::Publishers(refused.unwrap_or_else(|| "nobody answers them".to_owned())));
        }
        let viewers = self.plan.viewers.len();
        self.enter(Phase::Ramp, self.options.rate.due(viewers));
        self.ramp(viewers, Self::begin_viewer).await;
        let patience = SETTLE + self.options.wait;
        self.enter(Phase::Settling, patience);
        let settled = |run: &Self| {
            run.viewers.iter().enumerate().all(|(number, viewer)| {
                let sampled = Plan::is_sampled(number, run.options.sample);
                viewer.is_settled(|report| has_media(report, sampled))
            })
        };
        self.attend(Instant::now() + patience, settled).await;
        Ok(())
    }

    /// Begins so many sessions, each at its time.
    async fn ramp(&mut self, count: usize, begin: fn(&mut Self, usize) -> Option<Task>) {
        let start = Instant::now();
        for number in 0..count {
            let due = start + self.options.rate.due(number);
            if due > Instant::now() {
                self.attend(due, |_| false).await;
            }
            if let Some(task) = begin(self, number) {
                self.crew.begin(task).await;
            }
        }
    }

    fn begin_publisher(&mut self, number: usize) -> Option<Task> {
        let place = self.plan.publishers.get(number)?;
        let mut options = PublishOptions::new(place.url.clone(), self.options.clip.clone());
        options.token.clone_from(&self.options.token);
        options.simulcast = self.options.simulcast;
        // Who is refused is counted.
        options.in_turn = None;
        options.stamped = true;
        *self.publishers.get_mut(number)? = Session::Asked;
        Some(Task::Publish(number, Box::new(options)))
    }

    fn begin_viewer(&mut self, number: usize) -> Option<Task> {
        let place = self.plan.viewers.get(number)?;
        let mut options = WatchOptions::new(place.url.clone());
        options.token.clone_from(&self.options.token);
        options.counter_offer = self.options.counter_offer;
        options.in_turn = None;
        options.retry_until_live = (!self.options.wait.is_zero()).then_some(self.options.wait);
        if Plan::is_sampled(number, self.options.sample) {
            options.delays = Some(self.delay_sender.clone());
        } else {
            options.depth = Depth::Headers;
        }
        *self.viewers.get_mut(number)? = Session::Asked;
        self.asked.get_or_insert_with(Instant::now);
        Some(Task::Watch(number, Box::new(options)))
    }

    /// What happens while all watch; none where it was interrupted before.
    async fn steady(&mut self, stop: &CancellationToken) -> Option<Span> {
        self.enter(Phase::Steady, self.options.steady);
        self.lateness.clear();
        self.delays.clear();
        let (before, flows, sent) = self.span();
        let end = Instant::now() + self.options.steady;
        stop.run_until_cancelled(self.attend(end, |_| false)).await;
        let (after, flows_after, sent_after) = self.span();
        Some(Span { looks: (before, after), flows: (flows, flows_after), sent: (sent, sent_after) })
    }

    /// What is so far: processes, what came from each server, and packets that publishers sent.
    fn span(&self) -> (Look, Vec<Flow>, u64) {
        let mut flows = vec![Flow::default(); self.plan.servers.len()];
        for (viewer, place) in self.viewers.iter().zip(&self.plan.viewers) {
            if let Some(flow) = flows.get_mut(place.server) {
                *flow = viewer.read(|report| flow.with(report)).unwrap_or(*flow);
            }
        }
        let sent = self.publishers.iter().filter_map(|publisher| publisher.read(|stats| stats.packets)).sum();
        (Look::now(&self.servers), flows, sent)
    }

    /// Viewers first, so that none of them sees the publishers go.
    async fn leave(&mut self) {
        let sessions = self.viewers.len() + self.publishers.len();
        let patience = END + Duration::from_secs(sessions as u64 / 100);
        self.enter(Phase::Ending, patience);
        let end = Instant::now() + patience;
        self.crew.dismiss_viewers();
        self.attend(end, |run| {
            !run.viewers.iter().any(|viewer| matches!(viewer, Session::Asked | Session::There(_)))
        })
        .await;
        self.crew.dismiss();
        self.attend(end, |run| run.told.events.is_closed() && run.told.events.is_empty()).await;
    }

    /// Takes what comes until then, or until it is `done`.
    async fn attend(&mut self, until: Instant, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            tokio::select! {
                Some(event) = self.told.events.recv() => self.note(event),
                Some(delay) = self.told.delays.recv() => self.delays.add(delay),
                _ = self.told.tick.tick() => self.look(),
                () = tokio::time::sleep_until(until.into()) => return,
            }
        }
    }

    fn note(&mut self, event: Event) {
        if matches!(event, Event::Watching(..) | Event::NotWatching(..)) {
            self.answered = Some(Instant::now());
        }
        match event {
            Event::Late(late) => self.lateness.add(late),
            Event::Watching(number, report) => put(&mut self.viewers, number, Session::There(report)),
            Event::Watched(number, report) => put(&mut self.viewers, number, Session::Gone(report)),
            Event::NotWatching(number, reason) => put(&mut self.viewers, number, Session::Refused(reason)),
            Event::Publishing(number, stats) => put(&mut self.publishers, number, Session::There(stats)),
            Event::Published(number, stats) => put(&mut self.publishers, number, Session::Gone(stats)),
            Event::NotPublishing(number, reason) => {
                put(&mut self.publishers, number, Session::Refused(reason))
            }
        }
    }

    fn enter(&mut self, phase: Phase, long: Duration) {
        self.phase = (phase, Instant::now(), long);
        self.tell();
    }

    fn look(&mut self) {
        if self.last.0.at.elapsed() >= LOOK {
            self.tell();
        }
    }

    /// Tells how it goes.
    fn tell(&mut self) {
        let look = Look::now(&self.servers);
        let sum =
            |sum: Flow, viewer: &Session<WatchReport>| viewer.read(|report| sum.with(report)).unwrap_or(sum);
        let flow = self.viewers.iter().fold(Flow::default(), sum);
        let (before, flow_before) = std::mem::replace(&mut self.last, (look.clone(), flow));
        let time = look.at - before.at;
        let (phase, since, long) = self.phase;
        let servers = self.servers.iter().zip(look.servers.iter().zip(&before.servers));
        let cores = super::gauge::cores;
        self.progress.send_replace(Progress {
            phase,
            done: (since.elapsed().as_secs_f64() / long.as_secs_f64().max(0.001)).min(1.0),
            viewers: self.viewers.iter().filter(|viewer| viewer.is_there()).count(),
            refused: self.viewers.iter().filter(|viewer| matches!(viewer, Session::Refused(_))).count(),
            publishers: self.publishers.iter().filter(|publisher| publisher.is_there()).count(),
            flow: flow.since(flow_before, time),
            servers: servers
                .map(|(server, (now, then))| {
                    (server.name.clone(), cores(now.cpu, then.cpu, time), now.memory)
                })
                .collect(),
            own: cores(look.own.cpu, before.own.cpu, time),
        });
    }
}

fn put<T>(sessions: &mut [Session<T>], number: usize, state: Session<T>) {
    if let Some(session) = sessions.get_mut(number) {
        *session = state;
    }
}

/// Whether a viewer has what it came for: who reads headers alone, packets.
pub(super) fn has_media(report: &WatchReport, sampled: bool) -> bool {
    if !sampled {
        return report.packets > 0;
    }
    let video = report.video.packets == 0 || report.has_video();
    report.packets > 0 && video
}
