//! The logs of other JetStream domains, which the server copies into one that the monitor reads.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config as StreamConfig, External, Source};
use serde::Deserialize;

use super::super::Broker;
use super::read::EventsError;
use crate::config::Events;
use crate::protocol::ids::NodeName;

/// How well the log of another domain is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The domain.
    pub domain: String,
    /// Since when nothing came from there, not even a sign of life; none if there never was any.
    pub silent: Option<Duration>,
}

/// What the server tells of a stream's sources, as far as the library doesn't.
#[derive(Debug, Deserialize)]
struct StreamInfo {
    #[serde(default)]
    sources: Vec<SourceInfo>,
}

#[derive(Debug, Deserialize)]
struct SourceInfo {
    /// In nanoseconds; negative where nothing came yet.
    active: i64,
    external: Option<Elsewhere>,
}

#[derive(Debug, Deserialize)]
struct Elsewhere {
    api: String,
}

impl Broker {
    /// The name of the log that is read: the own one, or that of all domains.
    pub(super) fn log_read(&self) -> String {
        let subjects = &self.inner.subjects;
        if self.inner.domains.is_empty() { subjects.events_stream() } else { subjects.all_events_stream() }
    }

    /// The log of all domains.
    pub(super) fn all_events_config(&self, events: &Events) -> StreamConfig {
        let name = self.inner.subjects.events_stream();
        let own = Source { name: name.clone(), ..Source::default() };
        let other = |domain: &NodeName| Source { external: Some(api(domain)), ..own.clone() };
        StreamConfig {
            name: self.log_read(),
            subjects: Vec::new(),
            sources: Some(std::iter::once(own.clone()).chain(self.inner.domains.iter().map(other)).collect()),
            description: Some(
                "the logs of all JetStream domains of Headwater, copied by its monitor".to_owned(),
            ),
            ..self.events_config(events)
        }
    }

    /// How well other domains' logs are heard.
    ///
    /// # Errors
    /// [`EventsError`] where the own one can't be asked.
    pub async fn sources_heard(&self) -> Result<Vec<Heard>, EventsError> {
        let jetstream = &self.inner.jetstream;
        let asked = format!("STREAM.INFO.{}", self.log_read());
        let info: StreamInfo = jetstream.request(asked, &()).await.map_err(EventsError::new)?;
        Ok(info.sources.into_iter().filter_map(SourceInfo::heard).collect())
    }
}

/// Where a domain's JetStream is asked. (The library's own field for domains would reach the server, which knows none.)
fn api(domain: &NodeName) -> External {
    External { api_prefix: format!("$JS.{domain}.API"), delivery_prefix: None }
}

impl Broker {
    /// Has the server copy a domain's log anew, from where it was, if that one answers: by itself it waits up to two
    /// minutes before it looks again.
    ///
    /// # Errors
    /// [`EventsError`] where either can't be asked.
    pub async fn hear_again(&self, domain: &str, events: &Events) -> Result<(), EventsError> {
        let mut there = jetstream::with_domain(self.inner.client.clone(), domain);
        there.set_timeout(self.inner.request_timeout);
        there.get_stream(self.inner.subjects.events_stream()).await.map_err(EventsError::new)?;
        let all = self.all_events_config(events);
        let mut without = all.clone();
        let its = Some(format!("$JS.{domain}.API"));
        let others = without.sources.iter_mut();
        others.for_each(|sources| {
            sources.retain(|source| source.external.as_ref().map(|it| it.api_prefix.clone()) != its);
        });
        for config in [without, all] {
            self.inner.jetstream.update_stream(config).await.map_err(EventsError::new)?;
        }
        Ok(())
    }
}

impl SourceInfo {
    fn heard(self) -> Option<Heard> {
        let domain = self.external?.api.strip_prefix("$JS.")?.strip_suffix(".API")?.to_owned();
        Some(Heard { domain, silent: u64::try_from(self.active).ok().map(Duration::from_nanos) })
    }
}
