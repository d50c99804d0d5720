use super::*;
use uuid::Uuid;

const STEP: Duration = Duration::from_millis(500);

/// A publisher that is measured twice a second.
struct Bench {
    health: Health,
    now: Instant,
    producers: Vec<ProducerInfo>,
    flows: HashMap<ProducerId, ProducerFlow>,
    uplink: UplinkFlow,
    told: Vec<News>,
    looking: bool,
}

const AUDIO: usize = 0;
const VIDEO: usize = 1;

impl Bench {
    fn new(codec: &str) -> Self {
        let now = Instant::now();
        let producer = |kind, number, mime_type: &str| ProducerInfo {
            id: ProducerId(Uuid::from_u128(number)),
            kind,
            mime_type: mime_type.to_owned(),
            encodings: 1,
            paused: false,
            label: String::new(),
            app_data: Default::default(),
            channel: None,
        };
        let producers =
            vec![producer(ProducerKind::Audio, 1, "audio/opus"), producer(ProducerKind::Video, 2, codec)];
        Self {
            health: Health::new(now),
            now,
            producers,
            flows: HashMap::new(),
            uplink: UplinkFlow::default(),
            told: Vec::new(),
            looking: false,
        }
    }

    fn flow(&mut self, track: usize) -> &mut ProducerFlow {
        self.flows.entry(self.producers[track].id).or_default()
    }

    /// So many seconds, in each step of which `change` happens.
    fn lasts(&mut self, seconds: u32, mut change: impl FnMut(&mut Self, u32)) {
        for step in 0..seconds * 2 {
            change(self, step);
            self.now += STEP;
            self.health.measure(&self.producers, &self.flows, &self.uplink, self.now);
            if let Some(on) = self.health.inspection(self.now) {
                self.looking = on;
            }
            self.told.extend(self.health.news(self.now, DateTime::default()));
        }
    }

    /// Both tracks flow, with a key frame in each such step.
    fn plays(&mut self, seconds: u32, key_frame: impl Fn(u32) -> bool) {
        self.lasts(seconds, |bench, step| {
            bench.flow(AUDIO).bytes += 4_000;
            bench.flow(VIDEO).bytes += 60_000;
            bench.flow(VIDEO).key_frames += u64::from(key_frame(step));
            // Reports.
            bench.uplink.strays += 100;
            if bench.looking {
                bench.flow(VIDEO).inspected += 60;
            }
        });
    }

    fn kinds(&self) -> Vec<WarningKind> {
        self.health.warnings().into_iter().map(|warning| warning.kind).collect()
    }
}

#[test]
fn a_publisher_that_sends_what_it_should_is_not_warned_of() {
    let mut bench = Bench::new("video/VP8");
    bench.plays(120, |step| step % 4 == 0);
    assert_eq!(bench.told, []);
    // A browser sends a key frame when it is asked for one, and never by itself.
    let mut bench = Bench::new("video/VP8");
    bench.plays(10, |step| step == 0);
    for _ in 0..3 {
        bench.plays(30, |_| false);
        bench.flow(VIDEO).requests += 1;
        bench.plays(1, |step| step == 1);
    }
    assert_eq!(bench.told, []);
}

#[test]
fn a_muted_publisher_is_not_warned_of() {
    let mut bench = Bench::new("video/VP8");
    bench.plays(20, |step| step % 4 == 0);
    bench.flow(VIDEO).requests += 1;
    bench.lasts(60, |bench, _| bench.uplink.strays += 60);
    bench.plays(20, |step| step % 4 == 0);
    assert_eq!(bench.told, []);
}

#[test]
fn a_track_of_which_nothing_ever_came_is_told_until_it_comes() {
    let mut bench = Bench::new("video/VP8");
    let sound = |bench: &mut Bench, _| bench.flow(AUDIO).bytes += 4_000;
    bench.lasts(9, sound);
    assert_eq!(bench.told, []);
    bench.lasts(2, sound);
    assert_eq!(bench.kinds(), [WarningKind::NoMedia]);
    let [News::Begins(_, detail)] = &bench.told[..] else { panic!("{:?}", bench.told) };
    assert!(detail.contains("no video has"), "{detail}");
    bench.plays(2, |_| true);
    assert!(matches!(bench.told[1..], [News::Over(WarningKind::NoMedia, _)]), "{:?}", bench.told);
}

#[test]
fn no_key_frame_within_ten_seconds_is_told_until_one_comes() {
    let mut bench = Bench::new("video/VP8");
    bench.plays(10, |_| false);
    assert_eq!(bench.told, []);
    bench.plays(2, |_| false);
    assert_eq!(bench.kinds(), [WarningKind::NoKeyFrame]);
    bench.plays(2, |step| step == 0);
    assert_eq!(bench.kinds(), []);
    let mut bench = Bench::new("video/H264");
    bench.flow(VIDEO).described = true;
    bench.flow(VIDEO).requests = 1;
    bench.plays(12, |_| false);
    assert_eq!(bench.kinds(), [WarningKind::NoParameterSets]);
}

#[test]
fn packets_of_no_track_are_told_while_a_track_is_missing() {
    let mut bench = Bench::new("video/VP8");
    bench.plays(10, |step| step % 4 == 0);
    // The video goes on under another SSRC.
    let stray = |bench: &mut Bench, _| {
        bench.flow(AUDIO).bytes += 4_000;
        bench.uplink.strays += 60_000;
    };
    bench.lasts(10, stray);
    assert_eq!(bench.kinds(), [WarningKind::UnknownPackets]);
    assert!(bench.health.unusable_since().is_some());
    bench.plays(6, |step| step % 4 == 0);
    assert_eq!(bench.kinds(), []);
    // From the beginning on: that is why no media comes.
    let mut bench = Bench::new("video/VP8");
    bench.lasts(20, |bench, _| bench.uplink.strays += 60_000);
    assert_eq!(bench.kinds(), [WarningKind::UnknownPackets]);
}

#[test]
fn key_frames_that_are_too_rare_are_told_if_they_are_not_sent_on_request() {
    let mut bench = Bench::new("video/H264");
    bench.plays(31, |step| step % 20 == 0);
    assert_eq!(bench.kinds(), [WarningKind::KeyFrameInterval], "each 10 s");
    bench.plays(10, |step| step % 4 == 0);
    assert_eq!(bench.kinds(), []);
    let told = bench.told.len();
    bench.flow(VIDEO).requests += 1;
    bench.plays(6, |_| false);
    assert_eq!(bench.kinds(), [WarningKind::KeyFrameInterval], "a request was not answered");
    assert_eq!(bench.told.len(), told + 1);
}

#[test]
fn b_frames_are_told_and_looked_for_again_now_and_then() {
    let mut bench = Bench::new("video/H264");
    let ordered = |bench: &mut Bench| bench.plays(40, |step| step % 4 == 0);
    ordered(&mut bench);
    assert!(!bench.looking, "the first look is over");
    assert_eq!(bench.kinds(), []);
    bench.lasts(60, |bench, step| {
        bench.flow(VIDEO).bytes += 60_000;
        bench.flow(AUDIO).bytes += 4_000;
        bench.flow(VIDEO).key_frames += u64::from(step % 4 == 0);
        if bench.looking {
            bench.flow(VIDEO).inspected += 60;
            bench.flow(VIDEO).out_of_order += 5;
        }
    });
    assert_eq!(bench.kinds(), [WarningKind::BFrames]);
    ordered(&mut bench);
    ordered(&mut bench);
    assert_eq!(bench.kinds(), []);
}

#[test]
fn what_an_operator_paused_is_not_expected() {
    let mut bench = Bench::new("video/VP8");
    bench.producers.iter_mut().for_each(|producer| producer.paused = true);
    bench.lasts(60, |bench, _| bench.uplink.strays += 60);
    assert_eq!(bench.told, []);
}
