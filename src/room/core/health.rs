//! Whether what a publisher sends can be watched: facts and time in, warnings out. Each is told when it begins and
//! when it is over.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::protocol::data::ProducerKind;
use crate::protocol::event::{Warning, WarningKind};
use crate::protocol::ids::ProducerId;
use crate::protocol::media::{ProducerFlow, ProducerInfo, UplinkFlow};

/// How long the first packet, and then the first key frame, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Further apart than this key frames are too rare: whoever joins waits for the next one.
const INTERVAL: Duration = Duration::from_secs(4);
/// What is measured now and then is measured late.
const LATE: Duration = Duration::from_millis(600);
/// A request that is answered within this long is one that the encoder heeds.
const PROMPT: Duration = Duration::from_secs(2);
/// Media that was last seen to arrive within this long flows.
const FLOWS: Duration = Duration::from_secs(2);
/// Twice in a row is no chance.
const TWICE: u32 = 2;
/// So many bits per second that belong to no track are media: reports and checks are fewer.
const STRAY: u64 = 8_000;
/// Over how long they are measured, and how soon: the handshake is none.
const STRAYS: Duration = Duration::from_secs(2);
const HANDSHAKE: Duration = Duration::from_secs(3);
/// For how long packets are looked at, at first and later; and the pause between.
const FIRST_LOOK: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_secs(30);
/// So often pictures come out of order where there are B-frames, and so many packets show that there are none.
const DISORDER: u64 = 3;
const ENOUGH: u64 = 30;

/// How a publisher's media is.
#[derive(Debug)]
pub(super) struct Health {
    since: Instant,
    tracks: BTreeMap<ProducerId, Track>,
    strays: Strays,
    looks: Looks,
    warnings: BTreeMap<WarningKind, Begun>,
}

/// A track of a publisher.
#[derive(Debug)]
struct Track {
    kind: ProducerKind,
    h264: bool,
    paused: bool,
    flow: ProducerFlow,
    first: Option<Instant>,
    last: Option<Instant>,
    /// The last key frame since media flows without a pause.
    key: Option<Instant>,
    /// Since when a key frame is asked for that doesn't come.
    asked: Option<Instant>,
    /// Key frames in a row that came soon enough, or didn't.
    soon: u32,
    late: u32,
    /// Whether key frames are too rare.
    rare: bool,
}

/// What arrives and belongs to no track.
#[derive(Debug)]
struct Strays {
    since: Instant,
    bytes: u64,
    /// Measurements in a row that showed media, or none.
    media: u32,
    none: u32,
}

/// When packets are looked at.
#[derive(Debug, Default)]
struct Looks {
    /// Since when, with the counts of then.
    began: Option<(Instant, u64, u64)>,
    /// When the last look ended.
    ended: Option<Instant>,
    b_frames: bool,
}

#[derive(Debug)]
struct Begun {
    since: Instant,
    at: DateTime<Utc>,
    detail: String,
}

/// A warning that begins or is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Begins(WarningKind, String),
    Over(WarningKind, Duration),
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            tracks: BTreeMap::new(),
            strays: Strays { since: now, bytes: 0, media: 0, none: 0 },
            looks: Looks::default(),
            warnings: BTreeMap::new(),
        }
    }

    /// The warnings that hold, the oldest first.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let mut begun: Vec<_> = self.warnings.iter().collect();
        begun.sort_by_key(|(_, begun)| begun.since);
        let warning = |(kind, it): (&WarningKind, &Begun)| Warning {
            kind: *kind,
            since: it.at,
            detail: it.detail.clone(),
        };
        begun.into_iter().map(warning).collect()
    }

    /// Since when packets arrive that can't be used, if they do.
    pub(super) fn unusable_since(&self) -> Option<Instant> {
        self.warnings.get(&WarningKind::UnknownPackets).map(|begun| begun.since)
    }

    /// What is measured of the publisher now.
    pub(super) fn measure(
        &mut self,
        producers: &[ProducerInfo],
        flows: &HashMap<ProducerId, ProducerFlow>,
        uplink: &UplinkFlow,
        now: Instant,
    ) {
        for producer in producers.iter().filter(|producer| !producer.kind.is_data()) {
            let track = self.tracks.entry(producer.id).or_insert_with(|| Track::new(producer));
            track.paused = producer.paused;
            if let Some(flow) = flows.get(&producer.id) {
                track.measure(*flow, now);
            }
        }
        let missing = self.tracks.values().any(|track| !track.paused && !track.is_flowing(now));
        self.strays.measure(uplink.strays, missing, self.since, now);
    }

    /// Whether packets are to be looked at from now on, or no more; none where that stays as it is.
    pub(super) fn inspection(&mut self, now: Instant) -> Option<bool> {
        let videos = self.tracks.values().filter(|track| track.kind == ProducerKind::Video);
        let flows = videos.clone().any(|track| track.is_flowing(now));
        let (seen, disorder) = videos.fold((0, 0), |(seen, disorder), track| {
            (seen + track.flow.inspected, disorder + track.flow.out_of_order)
        });
        self.looks.plan(flows, seen, disorder, now)
    }

    /// Compares what is with what was told.
    pub(super) fn news(&mut self, now: Instant, wall: DateTime<Utc>) -> Vec<News> {
        let holds = self.holds(now);
        let mut news = Vec::new();
        self.warnings.retain(|kind, begun| {
            let stays = holds.iter().any(|(held, _)| held == kind);
            if !stays {
                news.push(News::Over(*kind, now.saturating_duration_since(begun.since)));
            }
            stays
        });
        for (kind, detail) in holds {
            if let Entry::Vacant(place) = self.warnings.entry(kind) {
                place.insert(Begun { since: now, at: wall, detail: detail.clone() });
                news.push(News::Begins(kind, detail));
            }
        }
        news
    }

    /// What is wrong now, each with words that say what to do.
    fn holds(&self, now: Instant) -> Vec<(WarningKind, String)> {
        let mut holds = Vec::new();
        let playing = || self.tracks.values().filter(|track| !track.paused);
        let age = |at: Instant| now.saturating_duration_since(at);
        if self.strays.are_media() {
            let detail = "packets arrive that belong to none of the stream's tracks: the encoder changed its SSRC, or \
                          sends another than its description says; have it connect again";
            holds.push((WarningKind::UnknownPackets, detail.to_owned()));
        } else if age(self.since) >= PATIENCE {
            let mut missing: Vec<_> =
                playing().filter(|track| track.first.is_none()).map(|track| track.kind.as_str()).collect();
            missing.sort_unstable();
            missing.dedup();
            if !missing.is_empty() {
                let missing = missing.join(" and no ");
                let detail =
                    format!("no {missing} has arrived since the publisher connected: is its source muted?");
                holds.push((WarningKind::NoMedia, detail));
            }
        }
        for track in playing().filter(|track| track.kind == ProducerKind::Video) {
            let without = track.flow.key_frames == 0 && track.is_flowing(now);
            if without && track.first.is_some_and(|first| age(first) >= PATIENCE) {
                holds.push(track.without_key_frame());
            }
            if track.rare && track.is_flowing(now) && track.flow.key_frames > 0 {
                let detail = "key frames are more than 4 s apart, and requests for them aren't answered sooner: whoever \
                              joins, and whoever lost packets, waits for the next one; set the key-frame interval of \
                              the encoder to 1 or 2 s";
                holds.push((WarningKind::KeyFrameInterval, detail.to_owned()));
            }
        }
        if self.looks.b_frames {
            let detail = "pictures come in another order than they are shown in (B-frames): browsers can't play that \
                          smoothly; switch them off (x264: bframes=0, or tune=zerolatency)";
            holds.push((WarningKind::BFrames, detail.to_owned()));
        }
        holds.dedup_by_key(|(kind, _)| *kind);
        holds
    }
}

impl Track {
    fn new(producer: &ProducerInfo) -> Self {
        Self {
            kind: producer.kind,
            h264: producer.mime_type.eq_ignore_ascii_case("video/h264"),
            paused: producer.paused,
            flow: ProducerFlow::default(),
            first: None,
            last: None,
            key: None,
            asked: None,
            soon: 0,
            late: 0,
            rare: false,
        }
    }

    fn is_flowing(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) <= FLOWS)
    }

    fn measure(&mut self, flow: ProducerFlow, now: Instant) {
        if flow.bytes != self.flow.bytes {
            self.first.get_or_insert(now);
            self.last = Some(now);
        }
        let before = std::mem::replace(&mut self.flow, flow);
        if !self.is_flowing(now) || self.paused {
            // Nothing is due; what comes after the pause begins anew.
            (self.key, self.asked) = (None, None);
            return;
        }
        if flow.key_frames > before.key_frames {
            self.key_frame(now);
        } else if flow.requests > before.requests && flow.key_frames > 0 {
            self.asked.get_or_insert(now);
        }
        if self.late >= TWICE
            || self.asked.is_some_and(|at| now.saturating_duration_since(at) > INTERVAL + LATE)
        {
            self.rare = true;
        } else if self.soon >= TWICE {
            self.rare = false;
        }
    }

    fn key_frame(&mut self, now: Instant) {
        let since = |at: Instant| now.saturating_duration_since(at);
        let prompt = self.asked.take().is_some_and(|asked| since(asked) <= PROMPT);
        if let Some(gap) = self.key.replace(now).map(since) {
            (self.soon, self.late) =
                if prompt || gap <= INTERVAL + LATE { (self.soon + 1, 0) } else { (0, self.late + 1) };
        }
    }

    fn without_key_frame(&self) -> (WarningKind, String) {
        if self.h264 && self.flow.described {
            let detail = "no key frame can be decoded: H.264's parameter sets (SPS, PPS) stand in the description only; \
                          send them before each key frame (GStreamer: h264parse config-interval=-1; x264: \
                          repeat-headers=1; FFmpeg: -bsf:v dump_extra)";
            return (WarningKind::NoParameterSets, detail.to_owned());
        }
        let more = match self.h264 {
            true => {
                ", or its H.264 key frames lack their parameter sets (SPS, PPS: GStreamer h264parse config-interval=-1, x264 repeat-headers=1)"
            }
            false => "",
        };
        let detail = format!(
            "video arrives, and no key frame came within 10 s though one was asked for: nobody sees a picture; set the \
             encoder's key-frame interval to 1 or 2 s{more}"
        );
        (WarningKind::NoKeyFrame, detail)
    }
}

impl Strays {
    /// `missing` is whether a track doesn't flow that should: strays may then be what is missing.
    fn measure(&mut self, bytes: u64, missing: bool, connected: Instant, now: Instant) {
        let within = now.saturating_duration_since(self.since);
        if now.saturating_duration_since(connected) < HANDSHAKE || within >= STRAYS {
            let bits = bytes.saturating_sub(self.bytes).saturating_mul(8_000);
            let rate = bits / u64::try_from(within.as_millis()).unwrap_or(u64::MAX).max(1);
            let is_media = missing && rate >= STRAY && within >= STRAYS;
            (self.media, self.none) =
                if is_media { (self.media + 1, 0) } else { (self.media, self.none + 1) };
            if self.none >= TWICE {
                self.media = 0;
            }
            (self.since, self.bytes) = (now, bytes);
        }
    }

    fn are_media(&self) -> bool {
        self.media >= TWICE
    }
}

impl Looks {
    fn plan(&mut self, flows: bool, seen: u64, disorder: u64, now: Instant) -> Option<bool> {
        let since = |at: Instant| now.saturating_duration_since(at);
        match self.began {
            None if flows && self.ended.is_none_or(|at| since(at) >= PAUSE) => {
                self.began = Some((now, seen, disorder));
                Some(true)
            }
            None => None,
            Some((began, seen_then, disorder_then)) => {
                let disordered = disorder.saturating_sub(disorder_then);
                if disordered >= DISORDER {
                    self.b_frames = true;
                }
                if since(began) < self.ended.map_or(FIRST_LOOK, |_| LOOK) {
                    return None;
                }
                if disordered == 0 && seen.saturating_sub(seen_then) >= ENOUGH {
                    self.b_frames = false;
                }
                (self.began, self.ended) = (None, Some(now));
                Some(false)
            }
        }
    }
}

#[cfg(test)]
mod tests;
