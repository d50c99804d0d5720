//! Snapshots of what was made of the events, kept beside them.

use std::time::Duration;

use async_nats::jetstream::object_store::{Config as StoreConfig, ObjectStore};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;

use super::super::Broker;
use super::read::{EventsError, Span};
use crate::config::Events;

/// How long the store may take: whoever reads an object while another deletes it would wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stored snapshot: all events up to this place are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snapshot {
    /// The place in the log of the last event in it.
    pub sequence: u64,
    /// When that event was stored.
    pub time: DateTime<Utc>,
}

/// The store of snapshots.
pub struct Snapshots(ObjectStore);

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens the store of snapshots, which is created where there is none.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn snapshots(&self, events: &Events) -> Result<Snapshots, EventsError> {
        let bucket = self.inner.subjects.snapshots_bucket();
        if let Ok(store) = self.inner.jetstream.get_object_store(&bucket).await {
            return Ok(Snapshots(store));
        }
        let config = StoreConfig {
            bucket,
            description: Some("what Headwater's monitor made of the events, to start from".to_owned()),
            max_age: events.retention,
            storage: self.storage(),
            num_replicas: self.inner.config.replicas,
            compression: true,
            max_bytes: -1,
            ..StoreConfig::default()
        };
        let store = self.inner.jetstream.create_object_store(config).await.map_err(EventsError::new)?;
        Ok(Snapshots(store))
    }
}

impl Snapshots {
    /// The snapshots that are there, oldest first.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn list(&self) -> Result<Vec<Snapshot>, EventsError> {
        in_time(async {
            let mut objects = self.0.list().await.map_err(EventsError::new)?;
            let mut all = Vec::new();
            while let Some(object) = objects.next().await {
                all.extend(Snapshot::named(&object.map_err(EventsError::new)?.name));
            }
            all.sort();
            Ok(all)
        })
        .await
    }

    /// The bytes of a snapshot.
    ///
    /// # Errors
    /// [`EventsError`], also where it is gone.
    pub async fn get(&self, snapshot: Snapshot) -> Result<Vec<u8>, EventsError> {
        in_time(async {
            let mut object = self.0.get(snapshot.name()).await.map_err(EventsError::new)?;
            let mut bytes = Vec::with_capacity(object.info.size);
            object.read_to_end(&mut bytes).await.map_err(EventsError::new)?;
            Ok(bytes)
        })
        .await
    }

    /// Stores a snapshot.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn put(&self, snapshot: Snapshot, bytes: &[u8]) -> Result<(), EventsError> {
        let mut bytes = bytes;
        self.0.put(snapshot.name().as_str(), &mut bytes).await.map_err(EventsError::new)?;
        Ok(())
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`EventsError`].
    pub async fn delete(&self, snapshot: Snapshot) -> Result<(), EventsError> {
        self.0.delete(snapshot.name()).await.map_err(EventsError::new)
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, EventsError>>) -> Result<T, EventsError> {
    let late = |_| EventsError::new("the store of snapshots does not answer");
    tokio::time::timeout(PATIENCE, work).await.map_err(late)?
}

impl Snapshot {
    /// Whether it was made of this log, not of another one that was there before.
    pub fn is_of(&self, log: &Span) -> bool {
        self.sequence <= log.last.0 && self.time >= log.created
    }

    /// Its name in the store, so that a list tells all.
    fn name(self) -> String {
        format!("{}-{}", self.sequence, self.time.timestamp_millis())
    }

    fn named(name: &str) -> Option<Self> {
        let (sequence, millis) = name.split_once('-')?;
        let time = DateTime::from_timestamp_millis(millis.parse().ok()?)?;
        Some(Self { sequence: sequence.parse().ok()?, time })
    }
}
