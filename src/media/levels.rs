//! How loud the sound is that a room takes from its publishers and participants.

use std::num::NonZeroU16;

use mediasoup::audio_level_observer::{AudioLevelObserver, AudioLevelObserverOptions};
use mediasoup::prelude::{ProducerId as Native, Router};
use mediasoup::rtp_observer::{RtpObserver, RtpObserverAddProducerOptions};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::engine::worker_error;
use super::{MediaError, MediaEvent};
use crate::protocol::ids::ProducerId;
use crate::protocol::rtc::MOST;

/// How often it is told, in milliseconds, and from which level on, in dBov.
const EVERY_MS: u16 = 500;
const THRESHOLD: i8 = -70;

/// What measures. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Levels(AudioLevelObserver);

impl Levels {
    pub(super) async fn open(router: &Router, events: &mpsc::Sender<MediaEvent>) -> Result<Self, MediaError> {
        let mut options = AudioLevelObserverOptions::default();
        options.max_entries = u16::try_from(MOST).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        (options.threshold, options.interval) = (THRESHOLD, EVERY_MS);
        let observer = router.create_audio_level_observer(options).await.map_err(worker_error)?;
        let volumes = events.clone();
        observer
            .on_volumes(move |heard| {
                let id = |id: Native| ProducerId(Uuid::from(id));
                let heard = heard.iter().map(|one| (id(one.producer.id()), one.volume)).collect();
                let _ = volumes.try_send(MediaEvent::Volumes(heard));
            })
            .detach();
        let silence = events.clone();
        observer.on_silence(move || drop(silence.try_send(MediaEvent::Volumes(Vec::new())))).detach();
        Ok(Self(observer))
    }

    /// Measures a producer of the router as well, until that ends.
    pub(super) async fn add(&self, producer: Native) {
        // One that has ended meanwhile has no level.
        let _ = self.0.add_producer(RtpObserverAddProducerOptions::new(producer)).await;
    }
}
