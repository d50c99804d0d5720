//! Damaged offers, all the way to answers: against a real worker, which must never be the first to see what is
//! wrong with them.

use std::path::Path;
use std::sync::Arc;

use headwater::config::Config;
use headwater::http::sdp::{
    Description, LocalTransport, answer_publish, answer_watch, counter_answer, counter_offer, publish_media,
    watch_media,
};
use headwater::media::{Engine, MediaError, Medium, RoomMedia, TransportInfo};
use headwater::protocol::ids::SessionId;
use headwater::protocol::media::ProducerInfo;
use headwater::telemetry::Metrics;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::Dice;

/// Every recorded offer.
pub(super) fn recorded() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src/http/sdp/offers", "tests/integration/offers"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let paths =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "sdp"));
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Damage that leaves a description readable: lines and numbers of other offers.
pub(super) fn damage_lines(dice: &mut Dice, bytes: &[u8], others: &[Vec<u8>]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    for _ in 0..=dice.roll() % 6 {
        let at = dice.roll() % lines.len();
        let other = String::from_utf8_lossy(&others[dice.roll() % others.len()]);
        let other: Vec<_> = other.lines().collect();
        let other = other[dice.roll() % other.len()].to_owned();
        match dice.roll() % 6 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => lines.insert(at, other),
            3 => lines[at] = other,
            4 => {
                let to = dice.roll() % lines.len();
                lines.swap(at, to);
            }
            _ => {
                let numbers = [
                    "0",
                    "1",
                    "35",
                    "63",
                    "72",
                    "96",
                    "100",
                    "101",
                    "111",
                    "127",
                    "128",
                    "255",
                    "256",
                    "4294967295",
                ];
                let number = numbers[dice.roll() % numbers.len()];
                let words = lines[at].split_inclusive(|char: char| !char.is_ascii_digit());
                let words: Vec<_> = words.map(str::to_owned).collect();
                let chosen = dice.roll() % words.len().max(1);
                let changed = words.iter().enumerate().map(|(index, word)| {
                    let digits = word.trim_end_matches(|char: char| !char.is_ascii_digit());
                    match index == chosen && !digits.is_empty() {
                        true => word.replacen(digits, number, 1),
                        false => word.clone(),
                    }
                });
                lines[at] = changed.collect();
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\r\n") + "\r\n"
}

/// A room with a stream, on a worker of its own.
pub(super) struct Stage {
    engine: Arc<Engine>,
    room: RoomMedia,
    sources: Vec<ProducerInfo>,
    _kept: (mpsc::Receiver<headwater::media::WorkerId>, mpsc::Receiver<headwater::media::MediaEvent>),
}

impl Stage {
    pub(super) async fn open(stream: &str) -> Self {
        let mut config = Config::default();
        config.media.workers = 1;
        config.webrtc.port = 0;
        let (deaths, dead) = mpsc::channel(4);
        let limits = watch::channel(config.limits).1;
        let engine =
            Arc::new(Engine::start(&config, limits, &Arc::new(Metrics::new()), deaths).await.unwrap());
        let (events, heard) = mpsc::channel(64);
        let mut room = RoomMedia::open(Arc::clone(&engine), events).await.unwrap();
        let offer = Description::parse(stream).unwrap();
        let media = publish_media(&offer, engine.capabilities()).unwrap();
        let (_, sources) = room.publish(session(), media, offer.dtls().unwrap()).await.unwrap();
        Self { engine, room, sources, _kept: (dead, heard) }
    }

    /// Does with an offer what a node does; a refusal is fine, an error of the worker is not. Answers how often it
    /// was taken.
    pub(super) async fn negotiate(&mut self, text: &str) -> u64 {
        let Ok(offer) = Description::parse(text) else { return 0 };
        let mut taken = 0;
        if let Ok(media) = publish_media(&offer, self.engine.capabilities()) {
            let id = session();
            let published = self.room.publish(id, media.clone(), offer.dtls().unwrap()).await;
            if let Some((transport, _)) = told(published, text) {
                let answer = answer_publish(&offer, &media, &local(&transport)).unwrap();
                consistent(text, &answer);
                taken += 1;
            }
            self.room.unpublish(id);
        }
        if let Ok(wanted) = watch_media(&offer) {
            let id = session();
            let watched = self.room.watch(id, wanted, Some(offer.dtls().unwrap()), &self.sources).await;
            if let Some((transport, media)) = told(watched, text) {
                let answer = answer_watch(&offer, &media, &local(&transport), "main").unwrap();
                consistent(text, &answer);
                assert!(media.iter().any(|medium: &Medium| !medium.agreed.codecs.is_empty()), "{text}");
                // Whatever we could offer instead has to be a description too.
                Description::parse(&counter_offer(&media, &local(&transport), "main")).unwrap();
                let _ = counter_answer(&offer, &media);
                taken += 1;
            }
            self.room.unwatch(id).await;
        }
        taken
    }
}

fn told<T>(result: Result<T, MediaError>, text: &str) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(MediaError::Unsupported(_)) => None,
        Err(error) => panic!("{error} of\n{text}"),
    }
}

fn local(transport: &TransportInfo) -> LocalTransport {
    LocalTransport {
        ice: transport.ice.clone(),
        candidates: transport.candidates.clone(),
        dtls: transport.dtls.clone(),
    }
}

fn session() -> SessionId {
    SessionId(Uuid::new_v4())
}

/// An answer has the m-lines and the numbers of its offer.
fn consistent(offer: &str, answer: &str) {
    Description::parse(answer).unwrap_or_else(|error| panic!("{error} in\n{answer}"));
    let heads = |text: &str| {
        let lines = text
            .lines()
            .map(str::trim)
            .filter_map(|line| line.strip_prefix("m=").or_else(|| line.strip_prefix("M=")));
        let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        words.collect::<Vec<_>>()
    };
    let (offered, answered) = (heads(offer), heads(answer));
    assert_eq!(offered.len(), answered.len(), "{answer}\nto\n{offer}");
    for (offered, answered) in offered.iter().zip(&answered) {
        assert_eq!(offered.first(), answered.first());
        assert!(answered.iter().skip(3).all(|format| offered.contains(format)), "{answer}\nto\n{offer}");
    }
}
