//! Damaged messages and session descriptions, for a bounded time: an error is fine, a panic is not.
//!
//! `FUZZ_SECONDS` sets the time (5), `FUZZ_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::panic)]

mod offers;

use std::time::{Duration, Instant};

use headwater::http::sdp::{Description, Fragment, publish_media, watch_media};
use headwater::protocol::claim::Claim;
use headwater::protocol::codec::{self, Addressed, Reply};
use headwater::protocol::directory::{Claims, GetClaims};
use headwater::protocol::edge::{EdgeRequest, RemotePipeTransport};
use headwater::protocol::origin::{Joined, OriginRequest};
use headwater::protocol::presence::Presence;
use headwater::protocol::rtp::RtpCapabilitiesFinalized;

const GOLDEN: &str = include_str!("../integration/golden.txt");

/// A small generator (xorshift64*): a run must be repeatable by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap()
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.roll() % 8 {
            if bytes.is_empty() {
                return;
            }
            let at = self.roll() % bytes.len();
            match self.roll() % 6 {
                0 => bytes[at] = self.roll() as u8,
                1 => bytes[at] ^= 1 << (self.roll() % 8),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, self.roll() as u8),
                4 => bytes.truncate(at),
                _ => {
                    let end = (at + self.roll() % 64).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.roll() % bytes.len();
                    bytes.splice(to..to, piece);
                }
            }
        }
    }
}

fn messages() -> Vec<Vec<u8>> {
    let hex = |line: &str| {
        let digits = line.rsplit(' ').next().unwrap().as_bytes().to_vec();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    GOLDEN.lines().map(hex).collect()
}

fn read_message(bytes: &[u8]) {
    const LIMIT: usize = 65536;
    let _ = codec::decode::<Addressed<EdgeRequest>>(bytes, LIMIT);
    let _ = codec::decode::<Addressed<OriginRequest>>(bytes, LIMIT);
    let _ = codec::decode::<Claim>(bytes, LIMIT);
    let _ = codec::decode::<GetClaims>(bytes, LIMIT);
    let _ = codec::decode::<Reply<Claims>>(bytes, LIMIT);
    let _ = codec::decode::<Presence>(bytes, LIMIT);
    let _ = codec::decode::<Reply<RemotePipeTransport>>(bytes, LIMIT);
    let _ = codec::decode::<Reply<Joined>>(bytes, LIMIT);
}

fn read_offer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Fragment::parse(&text);
    if let Ok(offer) = Description::parse(&text) {
        let _ = (offer.dtls(), offer.ice(), watch_media(&offer));
        let _ = publish_media(&offer, &RtpCapabilitiesFinalized::default());
    }
}

fn begin(what: &str) -> (Dice, Instant, Duration) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("FUZZ_SEED").unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0) | 1;
    println!("{what}: FUZZ_SEED={seed}");
    (Dice(seed), Instant::now(), Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(5)))
}

fn run(what: &str, samples: &[Vec<u8>], read: fn(&[u8])) {
    let (mut dice, started, time) = begin(what);
    let mut runs = 0_u64;
    while started.elapsed() < time {
        let mut bytes = samples[dice.roll() % samples.len()].clone();
        dice.damage(&mut bytes);
        read(&bytes);
        runs += 1;
    }
    println!("{what}: {runs} runs");
    assert!(runs > 1000, "{what}: only {runs} runs");
}

#[test]
fn damaged_messages_never_panic() {
    run("messages", &messages(), read_message);
}

#[test]
fn damaged_session_descriptions_never_panic() {
    run("session descriptions", &offers::recorded(), read_offer);
}

#[tokio::test]
async fn damaged_offers_are_refused_or_answered_by_a_real_worker() {
    let samples = offers::recorded();
    let mut stages = [
        offers::Stage::open(include_str!("../../src/http/sdp/offers/chromium-publish.sdp")).await,
        offers::Stage::open(include_str!("../../src/http/sdp/offers/gstreamer-publish.sdp")).await,
    ];
    let (mut dice, started, time) = begin("offers");
    let (mut runs, mut taken) = (0_u64, 0);
    while started.elapsed() < time {
        let sample = samples[dice.roll() % samples.len()].clone();
        let text = offers::damage_lines(&mut dice, &sample, &samples);
        let number = dice.roll() % stages.len();
        taken += stages[number].negotiate(&text).await;
        runs += 1;
    }
    println!("offers: {runs} runs, {taken} taken");
    assert!(taken > 100, "only {taken} of {runs} were taken");
}
