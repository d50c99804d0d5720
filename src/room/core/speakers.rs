//! Who speaks: each node tells how loud those are whose sound it takes, and every node that has participants puts that
//! together, so that all come to the same active speaker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::effect::Effect;
use super::{Core, Moment};
use crate::protocol::ids::{NodeName, ProducerId, StreamName};
use crate::protocol::rtc::{ActiveSpeaker, Level, Levels, MOST, RtcEvent, Speaking, Volume, Volumes};

/// What a node said is forgotten where it says nothing more.
const STALE: Duration = Duration::from_secs(2);
/// How often sessions are told at most.
const OFTEN: Duration = Duration::from_millis(400);
/// What is taken here is silent where nothing was heard of it for so long: workers tell twice a second, and silence once.
const SILENT_FOR: Duration = Duration::from_millis(700);
/// How much of a mean is what was heard last.
const WEIGHT: f32 = 0.3;
/// Below this, in dBov, a mean is silence, and so is where nothing was heard.
const SILENT: f32 = -80.0;
const SILENCE: f32 = -100.0;
/// The volume of what wasn't heard last.
const UNHEARD: i8 = i8::MIN + 1;

/// How loud everybody is.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    /// The means of what is taken here.
    own: BTreeMap<ProducerId, f32>,
    measured: Option<Instant>,
    nodes: BTreeMap<NodeName, (Instant, Vec<Level>)>,
    active: Option<StreamName>,
    /// When sessions were last told, and whether something has changed since.
    told: Option<Instant>,
    untold: bool,
    /// Whether levels are measured here, and others' heard.
    pub(super) measures: bool,
    pub(super) hears: bool,
}

impl Speakers {
    /// What was heard here in the last half second, with what was before: the loudest first.
    fn measure(&mut self, heard: &[(ProducerId, i8)], now: Instant) -> Vec<Level> {
        self.measured = Some(now);
        for (id, _) in heard {
            self.own.entry(*id).or_insert(SILENCE);
        }
        for (id, mean) in &mut self.own {
            let last =
                heard.iter().find(|(own, _)| own == id).map_or(SILENCE, |(_, volume)| f32::from(*volume));
            *mean += WEIGHT * (last - *mean);
        }
        self.own.retain(|_, mean| *mean > SILENT);
        let level = |(id, mean): (&ProducerId, &f32)| {
            let volume = heard.iter().find(|(own, _)| own == id).map_or(UNHEARD, |(_, volume)| *volume);
            Level { producer_id: *id, volume, mean: rounded(*mean) }
        };
        let mut levels: Vec<_> = self.own.iter().map(level).collect();
        levels.sort_by_key(|level| (std::cmp::Reverse(level.mean), level.producer_id));
        levels.truncate(MOST);
        levels
    }

    fn hear(&mut self, node: NodeName, levels: Vec<Level>, now: Instant) {
        let is_news = !levels.is_empty() || self.nodes.contains_key(&node);
        self.untold |= is_news;
        self.nodes.insert(node, (now, levels));
        self.lapse(now);
    }

    /// Forgets who says nothing more.
    fn lapse(&mut self, now: Instant) {
        let before = self.nodes.len();
        self.nodes.retain(|_, (at, levels)| !levels.is_empty() && now.saturating_duration_since(*at) < STALE);
        self.untold |= self.nodes.len() < before;
    }

    /// Whether somebody was heard here, and isn't any more, though no word of silence came.
    fn has_fallen_silent(&self, now: Instant) -> bool {
        let is_late = |at| now.saturating_duration_since(at) >= SILENT_FOR;
        !self.own.is_empty() && self.measured.is_some_and(is_late)
    }

    /// What sessions are to be told now, if anything is: how loud those are that were heard last, the loudest first.
    fn news(&mut self, now: Instant) -> Option<Vec<Level>> {
        let is_due = self.told.is_none_or(|at| now.saturating_duration_since(at) >= OFTEN);
        if !self.untold || !is_due {
            return None;
        }
        (self.told, self.untold) = (Some(now), false);
        let all = self.nodes.values().flat_map(|(_, levels)| levels);
        let mut heard: Vec<_> = all.filter(|level| level.volume > UNHEARD).copied().collect();
        heard.sort_by_key(|level| (std::cmp::Reverse(level.volume), level.producer_id));
        heard.truncate(MOST);
        Some(heard)
    }

    /// Who has the highest mean: on every node alike that has heard the same.
    fn loudest(&self) -> Option<ProducerId> {
        let all = self.nodes.values().flat_map(|(_, levels)| levels);
        all.max_by_key(|level| (level.mean, level.producer_id)).map(|level| level.producer_id)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is a mean of such values")]
fn rounded(mean: f32) -> i8 {
    mean.round() as i8
}

impl Core {
    /// Begins and ends to measure how loud everybody is, and to hear it of others: only where participants are.
    pub(super) fn plan_levels(&mut self) {
        let hears = !self.participants.is_empty();
        let measures = self.publications.iter().next().is_some() && (hears || self.known.has_participants());
        if std::mem::replace(&mut self.speakers.hears, hears) != hears {
            (self.speakers.nodes, self.speakers.active) = (BTreeMap::new(), None);
            self.out.push(Effect::HearLevels(hears));
        }
        if std::mem::replace(&mut self.speakers.measures, measures) != measures {
            self.speakers.own.clear();
            self.out.push(Effect::MeasureLevels(measures));
        }
    }

    /// What can be heard of those whose sound is taken here: told to the other nodes until it is silent.
    pub(super) fn measured_levels(&mut self, heard: &[(ProducerId, i8)], m: &Moment<'_>) {
        let were = !self.speakers.own.is_empty();
        let levels = self.speakers.measure(heard, m.now);
        if levels.is_empty() && !were {
            return;
        }
        let levels = Levels { room_id: self.id.clone(), from: self.me.clone(), levels };
        self.out.push(Effect::SayLevels(levels.clone()));
        self.hear_levels(levels, m);
    }

    /// A node has told how loud its participants are.
    pub(super) fn hear_levels(&mut self, levels: Levels, m: &Moment<'_>) {
        if self.participants.is_empty() || !levels.is_sound() {
            return;
        }
        self.speakers.hear(levels.from.node, levels.levels, m.now);
        let active = self.speakers.loudest().and_then(|id| self.found(id, m)).map(|(stream, _)| stream);
        // Where nobody speaks it is whoever did last.
        if active.is_some() && active != self.speakers.active {
            self.speakers.active.clone_from(&active);
            self.notify_all(None, &RtcEvent::ActiveSpeaker(ActiveSpeaker { participant: active }));
        }
        self.tell_volumes(m);
    }

    /// Finds out who is silent whose word of that was lost, and tells what had to wait.
    pub(super) fn look_at_levels(&mut self, m: &Moment<'_>) {
        if self.speakers.has_fallen_silent(m.now) {
            self.measured_levels(&[], m);
        }
        self.speakers.lapse(m.now);
        self.tell_volumes(m);
    }

    fn tell_volumes(&mut self, m: &Moment<'_>) {
        let Some(heard) = self.speakers.news(m.now) else { return };
        let speaking = heard.into_iter().filter_map(|level| {
            let (participant, _) = self.found(level.producer_id, m)?;
            let volume = Volume { producer_id: level.producer_id, volume: level.volume };
            Some(Speaking { participant, volume })
        });
        let volumes = Volumes { volumes: speaking.collect() };
        self.notify_all(None, &RtcEvent::Volumes(volumes));
    }

    /// Somebody isn't there any more: nor is it who spoke last.
    pub(super) fn speaker_left(&mut self, name: &StreamName) {
        if self.speakers.active.take_if(|active| active == name).is_some() {
            self.notify_all(None, &RtcEvent::ActiveSpeaker(ActiveSpeaker { participant: None }));
        }
    }

    /// Who spoke last; none before anybody did, and once it has left.
    pub(super) fn active_speaker(&self) -> Option<&StreamName> {
        self.speakers.active.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn id(number: u128) -> ProducerId {
        ProducerId(Uuid::from_u128(number))
    }

    #[test]
    fn a_word_in_between_makes_nobody_the_speaker_and_going_on_does() {
        let (mut speakers, now) = (Speakers::default(), Instant::now());
        let mut hear = |heard: &[(ProducerId, i8)]| {
            let levels = speakers.measure(heard, now);
            speakers.hear("a".parse().unwrap(), levels, now);
            speakers.loudest()
        };
        for _ in 0..10 {
            hear(&[(id(1), -30)]);
        }
        assert_eq!(hear(&[(id(1), -30), (id(2), -25)]), Some(id(1)), "one word");
        let mut turns = 0;
        while hear(&[(id(2), -25)]) != Some(id(2)) {
            turns += 1;
        }
        assert!((1..5).contains(&turns), "{turns} half seconds");
        let silent = (0..20).map(|_| hear(&[])).last().flatten();
        assert_eq!(silent, None);
    }

    #[test]
    fn a_node_that_says_nothing_more_is_forgotten() {
        let (mut speakers, now) = (Speakers::default(), Instant::now());
        let levels = speakers.measure(&[(id(1), -20)], now);
        speakers.hear("a".parse().unwrap(), levels, now);
        speakers.hear("b".parse().unwrap(), Vec::new(), now + STALE);
        assert_eq!(speakers.loudest(), None);
    }

    #[test]
    fn who_was_heard_here_and_no_word_more_falls_silent_by_itself() {
        let (mut speakers, mut now) = (Speakers::default(), Instant::now());
        for _ in 0..10 {
            speakers.measure(&[(id(1), -20)], now);
            now += Duration::from_millis(500);
            assert!(!speakers.has_fallen_silent(now), "the next word is due");
        }
        let mut last = None;
        for _ in 0..40 {
            now += LOOK;
            if speakers.has_fallen_silent(now) {
                last = Some(speakers.measure(&[], now));
            }
        }
        assert_eq!(last, Some(Vec::new()), "others are told of it to the end");
    }

    /// How often a room is looked at in which something goes on.
    const LOOK: Duration = Duration::from_millis(250);

    proptest! {
        /// Whatever is heard and lost, sessions were told soon what is, and nothing of who says nothing more.
        #[test]
        fn what_sessions_were_told_last_is_what_is(
            heard in proptest::collection::vec((0u8..4, 0u32..8, proptest::option::of(-70i8..0)), 1..40),
        ) {
            let (mut speakers, mut now) = (Speakers::default(), Instant::now());
            let (mut told, mut is, mut since) = (Vec::new(), Vec::new(), 0);
            let last = heard.len() - 1;
            for (number, (node, looks, volume)) in heard.into_iter().enumerate() {
                let node: NodeName = format!("n{node}").parse().unwrap();
                let level = |volume: i8| Level { producer_id: id(u128::from(volume.unsigned_abs())), volume, mean: -30 };
                speakers.hear(node, volume.map(level).into_iter().collect(), now);
                for _ in 0..if number == last { 16 } else { looks } {
                    now += LOOK;
                    speakers.lapse(now);
                    told = speakers.news(now).unwrap_or(told);
                    let mut all: Vec<_> = speakers.nodes.values().flat_map(|(_, levels)| levels.clone()).collect();
                    all.sort_by_key(|level| (std::cmp::Reverse(level.volume), level.producer_id));
                    since = if all == is { since + 1 } else { 0 };
                    is = all;
                    prop_assert!(since < 2 || told == is, "{told:?}, and is {is:?}");
                }
            }
            prop_assert!(told.is_empty(), "nobody says anything any more: {told:?}");
        }

        /// In whatever order nodes are heard, it comes to the same once all were.
        #[test]
        fn all_nodes_come_to_the_same_speaker(means in proptest::collection::vec(-70i8..0, 1..12), turn in 0usize..12) {
            let now = Instant::now();
            let said: Vec<_> = means.iter().enumerate().map(|(n, mean)| {
                let level = Level { producer_id: id(n as u128), volume: -20, mean: *mean };
                (format!("n{}", n % 4).parse::<NodeName>().unwrap(), level)
            }).collect();
            let told = |order: Vec<usize>| {
                let mut speakers = Speakers::default();
                for node in order {
                    let name: NodeName = format!("n{node}").parse().unwrap();
                    let levels = said.iter().filter(|(own, _)| *own == name).map(|(_, level)| *level).collect();
                    speakers.hear(name, levels, now);
                }
                speakers.loudest()
            };
            let other: Vec<_> = (0..4).map(|n| (n + turn) % 4).collect();
            prop_assert_eq!(told((0..4).collect()), told(other));
        }
    }
}
