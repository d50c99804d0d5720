//! Why sessions did not come to be, or ended, counted by reason.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::client::ClientError;

/// So many reasons are told apart; a server that words each refusal anew doesn't fill the memory.
const REASONS: usize = 30;
const OTHERS: &str = "other reasons";

/// How often each reason was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Outcomes(pub BTreeMap<String, u64>);

impl Outcomes {
    pub(super) fn add(&mut self, reason: &str) {
        let known = self.0.contains_key(reason) || self.0.len() < REASONS;
        *self.0.entry(if known { reason } else { OTHERS }.to_owned()).or_default() += 1;
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The most frequent first.
    pub(super) fn most(&self) -> Vec<(&str, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }
}

/// Why a session did not come to be, in words that are the same for all to which the same happened.
pub(super) fn reason(error: &ClientError) -> String {
    match error {
        ClientError::Refused { status, title, .. } => format!("{status} {title}").trim_end().to_owned(),
        ClientError::NotLive { .. } => "409 not live".to_owned(),
        ClientError::Unreachable { reason, .. } => format!("unreachable: {reason}"),
        ClientError::Redirects { .. } => "redirected too often".to_owned(),
        ClientError::Protocol { reason, .. } => (*reason).to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_of_two_rooms_is_one_reason() {
        let refused = |room: &str| ClientError::Refused {
            url: format!("http://a/whep/{room}"),
            status: 503,
            title: "Too many viewers".to_owned(),
            detail: Some(format!("{room} has 5")),
        };
        let mut outcomes = Outcomes::default();
        outcomes.add("unreachable: connection refused");
        for room in ["a", "b"] {
            outcomes.add(&reason(&refused(room)));
        }
        assert_eq!(outcomes.most(), [("503 Too many viewers", 2), ("unreachable: connection refused", 1)]);
        assert_eq!(serde_json::to_value(&outcomes).unwrap()["503 Too many viewers"], 2);
    }

    #[test]
    fn reasons_without_end_are_put_together() {
        let mut outcomes = Outcomes::default();
        (0..1000).for_each(|number| outcomes.add(&number.to_string()));
        assert_eq!((outcomes.0.len(), outcomes.total()), (REASONS + 1, 1000));
        assert_eq!(outcomes.most()[0].0, OTHERS);
    }
}
