//! Which other domains' logs are heard, and which have fallen silent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::view::{Problem, Severity};
use crate::broker::Broker;
use crate::broker::events::Heard;
use crate::config::Config;
use crate::protocol::ids::NodeName;

/// How often the server is asked.
const ASK: Duration = Duration::from_secs(2);
/// A log of which nothing comes for so long isn't heard: the server gives a sign of life each second.
const SILENCE: TimeDelta = TimeDelta::seconds(6);

/// When each domain's log was heard last; none if it never was since the start.
pub(super) type Sources = BTreeMap<String, Option<DateTime<Utc>>>;

/// How long the server has to copy a log again before it is told to again.
const AGAIN: Duration = Duration::from_secs(15);

/// Looks after the logs of `config.monitor.domains` until `stop`.
pub(super) async fn look(
    broker: Broker,
    config: Config,
    seen: watch::Sender<Sources>,
    stop: CancellationToken,
) {
    let domains = config.monitor.domains.iter();
    seen.send_replace(domains.map(|domain| (domain.to_string(), None)).collect());
    let asking = async {
        // At the start it has just been told.
        let mut told: BTreeMap<_, _> =
            seen.borrow().keys().map(|domain| (domain.clone(), Instant::now())).collect();
        loop {
            // While the own log can't be asked, what was heard last stands.
            if let Ok(heard) = broker.sources_heard().await {
                seen.send_modify(|sources| heard.into_iter().for_each(|heard| note(sources, heard)));
                let now = Utc::now();
                let sources = seen.borrow().clone();
                for domain in
                    sources.iter().filter(|(_, heard)| is_silent(**heard, now)).map(|(domain, _)| domain)
                {
                    let lately = told.get(domain).is_some_and(|told: &Instant| told.elapsed() < AGAIN);
                    if !lately && broker.hear_again(domain, &config.events).await.is_ok() {
                        tracing::info!(domain, "a log that was silent is copied anew");
                        told.insert(domain.clone(), Instant::now());
                    }
                }
            }
            tokio::time::sleep(ASK).await;
        }
    };
    stop.run_until_cancelled(asking).await;
}

fn note(sources: &mut Sources, heard: Heard) {
    let silent = heard.silent.and_then(|silent| TimeDelta::from_std(silent).ok());
    let at = silent.and_then(|silent| Utc::now().checked_sub_signed(silent));
    if let (Some(known), Some(at)) = (sources.get_mut(&heard.domain), at) {
        *known = Some(at);
    }
}

/// Whether a log isn't heard.
pub(super) fn is_silent(heard: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    heard.is_none_or(|heard| now.signed_duration_since(heard) > SILENCE)
}

/// What isn't heard, in words.
pub(super) fn problems(sources: &Sources, now: DateTime<Utc>, monitor: &NodeName) -> Vec<Problem> {
    let silent = sources.iter().filter(|(_, heard)| is_silent(**heard, now));
    let problem = |(domain, heard): (&String, &Option<DateTime<Utc>>)| {
        let since = match heard {
            Some(heard) => format!("since {}", heard.format("%H:%M:%S UTC")),
            None => "yet".to_owned(),
        };
        Problem {
            time: heard.unwrap_or(now),
            kind: "log.unheard".to_owned(),
            severity: Severity::Warning,
            text: format!(
                "The log of the JetStream domain {domain} has not been heard {since}: what happens there is shown \
                 later. Look at the link between the sites, and at NATS there."
            ),
            room: None,
            node: monitor.clone(),
        }
    };
    silent.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_silent_is_told_and_one_that_is_heard_is_not() {
        let now = Utc::now();
        let ago = |seconds| Some(now - TimeDelta::seconds(seconds));
        let sources = [("east", ago(1)), ("west", ago(60)), ("north", None)];
        let sources = sources.map(|(domain, heard)| (domain.to_owned(), heard)).into();
        let told: Vec<_> = problems(&sources, now, &"monitor".parse().unwrap());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].text.contains("domain north has not been heard yet"), "{told:?}");
        assert!(told[1].text.contains("domain west has not been heard since"), "{told:?}");
        assert_eq!(told[1].time, ago(60).unwrap());
    }
}
