//! What happens: recorded by every node, read by the monitor.
//!
//! [`Recorder`] keeps the order of what a node records and loses nothing while the bus is away, up to
//! a limit. Readers get events in the order of the log, from any sequence number. Snapshots of what
//! was made of them are kept beside them.

mod outbox;
mod read;
mod record;
mod snapshots;
mod sources;
mod trouble;

use async_nats::jetstream::stream::{Compression, Config as StreamConfig, DiscardPolicy};

use super::Broker;
use crate::config::Events;

pub use read::{EventsError, Logged, Reading, Span, Start};
pub use record::{Recorder, Recording};
pub use snapshots::{Snapshot, Snapshots};
pub use sources::Heard;

impl Broker {
    fn events_config(&self, events: &Events) -> StreamConfig {
        StreamConfig {
            name: self.inner.subjects.events_stream(),
            subjects: self.inner.subjects.events().to_vec(),
            max_age: events.retention,
            max_bytes: i64::try_from(events.max_bytes).unwrap_or(i64::MAX),
            // Monitoring never stops the fleet: a full log forgets its beginning.
            discard: DiscardPolicy::Old,
            duplicate_window: events.retention.min(record::DUPLICATES),
            num_replicas: self.inner.config.replicas,
            storage: self.storage(),
            compression: Some(Compression::S2),
            allow_direct: true,
            description: Some("all that happened in the rooms and nodes of Headwater".to_owned()),
            ..StreamConfig::default()
        }
    }
}
