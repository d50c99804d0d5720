//! How often a room is looked at: what is in it says so. Pure; the room's task and the simulator both go by it.

use std::time::{Duration, Instant};

use super::Core;

/// How often a room is looked at in which something goes on, or may begin any moment.
const BUSY: Duration = Duration::from_millis(250);
/// And one in which nothing flows and nobody waits for what should: found out are who is gone, and who sends again. No
/// less often than a look tells of silence (`sessions.rs`).
const QUIET: Duration = Duration::from_secs(4);
/// Who has sent nothing for so long is muted, and all that is due soon after a change has been told.
const SETTLED: Duration = Duration::from_secs(20);
/// As many viewers are all looked at with each measurement.
const FEW: usize = 8;
/// And what became of a room in which nothing is left.
const LEFT: Duration = Duration::from_secs(2);
/// In a busy room media is measured with every second look,
const MEASURED: u32 = 2;
/// and sessions whose event was lost are looked for, and viewers try higher layers, with every eighth.
const SESSIONS: u32 = 8;

/// How much goes on in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Busy,
    /// Publishers that have sent nothing for long, watched by nobody, here or elsewhere; or a few viewers of what nobody
    /// publishes.
    Quiet,
    /// Nothing is left: the room is over then.
    Left(Instant),
}

/// When a room was looked at, and how often. One that has just opened is looked at at once.
#[derive(Debug, Default)]
pub struct Rhythm {
    looked: Option<Instant>,
    looks: u32,
}

/// What belongs to a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Media is measured.
    pub measures: bool,
    /// Sessions are looked for whose connection came or went unheard.
    pub sessions: bool,
    /// Viewers may try higher layers.
    pub tries: bool,
}

impl Rhythm {
    /// When the room is to be looked at next. To be asked again after each input, as that may bring it forward.
    pub fn next(&self, core: &Core, now: Instant) -> Instant {
        let Some(looked) = self.looked else { return now };
        match core.pace(now) {
            Pace::Busy => looked + BUSY,
            Pace::Quiet => looked + QUIET,
            Pace::Left(until) => until,
        }
    }

    /// It is looked at now: what belongs to that.
    pub fn look(&mut self, core: &Core, now: Instant) -> Look {
        self.looked = Some(now);
        self.looks = self.looks.wrapping_add(1);
        let is_busy = core.pace(now) == Pace::Busy;
        let turn = |every| !is_busy || self.looks.is_multiple_of(every);
        Look { measures: turn(MEASURED), sessions: turn(SESSIONS), tries: turn(SESSIONS) }
    }
}

impl Core {
    fn pace(&self, now: Instant) -> Pace {
        let is_calm = self.leaving.is_empty()
            && self.downstream.is_empty()
            && self.upstream.parents.is_empty()
            && self.stop_by.is_none();
        match self.empty_since {
            _ if !is_calm => Pace::Busy,
            // What is pushed here may come any moment, and needs no word for that.
            Some(_) if self.is_pushed() => Pace::Busy,
            Some(since) if now.saturating_duration_since(since) >= LEFT => {
                Pace::Left(since + self.config.timeouts.room_idle)
            }
            None if self.is_quiet(now) => Pace::Quiet,
            _ => Pace::Busy,
        }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let is_muted = || self.audience.is_empty() && self.publications.are_silent(SETTLED, now);
        let is_awaited = || self.publications.is_empty() && self.audience.rests(FEW, SETTLED, now);
        // A claim of others is settled between nodes within seconds of their being heard, and brings media.
        (is_muted() || is_awaited()) && !self.known.has_others(&self.me)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::input::{Done, Input, PublishRequest, Ticket};
    use super::super::{Effect, Mint, Moment, Pass};
    use super::*;
    use crate::fleet::samples::{PATIENCE, claim, peer};
    use crate::fleet::{Fleet, Notice};
    use crate::protocol::data::ProducerKind;
    use crate::protocol::ids::{ProducerId, RouterId, SessionId};
    use crate::protocol::media::{Measured, ProducerInfo, SessionFlow, TransportInfo, UplinkFlow};
    use crate::protocol::rtp::{DtlsParameters, DtlsRole, IceParameters};

    const STEP: Duration = Duration::from_millis(50);
    const SESSION: SessionId = SessionId(Uuid::from_u128(7));

    /// A room whose task does nothing but look, and how often that was.
    struct Room {
        core: Core,
        rhythm: Rhythm,
        now: Instant,
        uplink: UplinkFlow,
        received: u64,
        looks: u32,
        measured: u32,
    }

    impl Room {
        fn new() -> Self {
            let now = Instant::now();
            let me = peer("me", 1, "west");
            let nobody = RouterId(Uuid::nil());
            let core = Core::new("news".parse().unwrap(), me, nobody, Arc::default(), now);
            let (rhythm, uplink) = (Rhythm::default(), UplinkFlow::default());
            Self { core, rhythm, now, uplink, received: 0, looks: 0, measured: 0 }
        }

        fn handle(&mut self, input: Input) -> Vec<Effect> {
            let fleet = Fleet::new(peer("me", 1, "west"), PATIENCE);
            let random = |state: &mut u128| {
                *state += 1;
                *state
            };
            let mint = &mut Mint::new(u128::from(self.looks) << 32, random);
            let wall = DateTime::default();
            let m = &mut Moment { now: self.now, wall, fleet: &fleet, draining: false, log: 1, mint };
            self.core.handle(input, m)
        }

        /// A publisher comes, connects, and has a place.
        fn publishes(&mut self) {
            let dtls = DtlsParameters { role: DtlsRole::Auto, fingerprints: Vec::new() };
            let ice = IceParameters {
                username_fragment: String::new(),
                password: String::new(),
                ice_lite: Some(true),
            };
            let producer = ProducerInfo {
                id: ProducerId(Uuid::from_u128(1)),
                kind: ProducerKind::Audio,
                mime_type: "audio/opus".to_owned(),
                encodings: 1,
                paused: false,
                label: String::new(),
                app_data: Default::default(),
                channel: None,
            };
            let transport = TransportInfo { ice, candidates: Vec::new(), dtls: dtls.clone(), sctp: None };
            let request = PublishRequest {
                session: SESSION,
                stream: "main".parse().unwrap(),
                offered: Vec::new(),
                dtls,
                ufrag: String::new(),
                pass: Pass::default(),
            };
            self.handle(Input::Publish(Ticket(1), request));
            self.handle(Input::Done(Done::UplinkOpened(SESSION, Ok((transport, vec![producer])))));
            self.handle(Input::Connected(SESSION));
            self.handle(Input::Done(Done::Seated(SESSION, true)));
        }

        fn look(&mut self) {
            let look = self.rhythm.look(&self.core, self.now);
            self.looks += 1;
            let measured = look.measures.then(|| {
                self.measured += 1;
                let mut measured = Measured::default();
                measured.uplinks.insert(SESSION, self.uplink);
                measured.sessions.insert(SESSION, SessionFlow { received: self.received, sent: 0 });
                measured
            });
            self.handle(Input::Look(measured));
        }

        /// So many seconds, in each step of which `change` happens. Answers how often it was looked at, and measured.
        fn lasts(&mut self, seconds: u32, mut change: impl FnMut(&mut Self)) -> (u32, u32) {
            let before = (self.looks, self.measured);
            for _ in 0..seconds * 20 {
                change(self);
                if self.rhythm.next(&self.core, self.now) <= self.now {
                    self.look();
                }
                self.now += STEP;
            }
            (self.looks - before.0, self.measured - before.1)
        }

        fn is_live(&self) -> bool {
            !self.core.is_empty()
        }
    }

    /// Its checks come, and nothing else.
    fn muted(room: &mut Room) {
        room.received += 1;
    }

    fn sends(room: &mut Room) {
        room.received += 100;
        room.uplink.bytes += 100;
    }

    #[test]
    fn a_room_is_looked_at_four_times_a_second_while_something_flows_and_rarely_once_nothing_has_for_long() {
        let mut room = Room::new();
        room.publishes();
        assert_eq!(room.lasts(60, sends), (240, 120));
        assert_eq!(room.lasts(20, muted), (80, 40), "its silence is to be told");
        room.lasts(2, muted);
        assert_eq!(room.lasts(40, muted), (10, 10));
        room.lasts(4, sends);
        assert_eq!(room.lasts(10, sends), (40, 20), "it sends again");
    }

    #[test]
    fn a_publisher_that_is_gone_is_noticed_as_soon_as_its_silence_says() {
        let mut room = Room::new();
        room.publishes();
        room.lasts(60, muted);
        let patience = room.core.config.timeouts.ice_consent;
        room.lasts(u32::try_from(patience.as_secs()).unwrap() - 1, |_| {});
        assert!(room.is_live());
        room.lasts(u32::try_from((2 * QUIET).as_secs()).unwrap(), |_| {});
        assert!(!room.is_live());
    }

    #[test]
    fn who_comes_to_a_room_that_rests_has_it_looked_at_at_once() {
        let mut room = Room::new();
        room.publishes();
        room.lasts(61, muted);
        assert!(room.rhythm.next(&room.core, room.now) > room.now + BUSY);
        let other = Arc::new(claim("news", "main", "other", 1, 1));
        let (room_id, stream) = (other.room_id.clone(), other.stream.clone());
        let since = Some(room.now);
        room.handle(Input::Notice(Notice {
            room: room_id,
            stream,
            claims: vec![other],
            term: 1,
            since,
            ended: None,
        }));
        assert!(room.rhythm.next(&room.core, room.now) <= room.now + BUSY);
    }

    #[test]
    fn a_room_in_which_nothing_is_left_is_looked_at_when_it_is_over() {
        let mut room = Room::new();
        room.publishes();
        room.lasts(5, sends);
        let stream = "main".parse().unwrap();
        room.handle(Input::End(Ticket(2), SESSION, stream));
        let left = room.now;
        room.lasts(3, |_| {});
        let over = left + room.core.config.timeouts.room_idle;
        assert_eq!(room.rhythm.next(&room.core, room.now), over);
        assert!(!room.core.is_over(over - STEP) && room.core.is_over(over));
        room.publishes();
        assert!(room.rhythm.next(&room.core, room.now) <= room.now + BUSY);
    }
}
