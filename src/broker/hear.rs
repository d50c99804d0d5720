//! What all nodes say of themselves: presences and claims, each speaker's in its own order.

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use super::{Broker, ConnectError, SUBSCRIBE_AGAIN};
use crate::fleet::FleetNews;
use crate::protocol::codec::DecodeError;

/// How many claims are read at most before the presence that follows them.
const CLAIMS_AHEAD: usize = 4096;

/// Subscriptions to what all nodes say.
#[derive(Debug)]
pub struct Hearing {
    broker: Broker,
    presences: Subscriber,
    claims: Subscriber,
}

/// Why something heard is skipped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Disbelief {
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// It speaks in another's name than its subject's, which is the one that NATS lets its speaker use.
    #[error("it names another than its subject")]
    Speaker,
    /// Its parts have sizes that no honest node sends.
    #[error("its parts are too many or too long")]
    Unsound,
}

impl Disbelief {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Speaker => "speaker",
            Self::Unsound => "unsound",
        }
    }
}

impl Broker {
    /// Begins to hear what all nodes say; whatever this node says from now on it hears, too.
    ///
    /// # Errors
    /// [`ConnectError::Closed`].
    pub async fn hear(&self) -> Result<Hearing, ConnectError> {
        let subjects = &self.inner.subjects;
        let claims = self.inner.client.subscribe(subjects.claims()).await?;
        let presences = self.inner.client.subscribe(subjects.presences()).await?;
        Ok(Hearing { broker: self.clone(), presences, claims })
    }
}

impl Hearing {
    /// Reads until the receiver of `news` is dropped; subscriptions that end are made again.
    pub async fn read(mut self, news: mpsc::Sender<FleetNews>) {
        loop {
            tokio::select! {
                () = news.closed() => return,
                () = self.read_once(&news) => {}
            }
            tracing::warn!("the fleet is no longer heard; subscribing again");
            tokio::time::sleep(SUBSCRIBE_AGAIN).await;
            match self.broker.hear().await {
                Ok(again) => self = again,
                Err(error) => tracing::debug!(%error, "the fleet can't be heard"),
            }
        }
    }

    async fn read_once(&mut self, news: &mpsc::Sender<FleetNews>) {
        loop {
            tokio::select! {
                claim = self.claims.next() => match claim {
                    Some(claim) => self.broker.heard_claim(&claim, news),
                    None => return,
                },
                presence = self.presences.next() => match presence {
                    Some(presence) => {
                        // What came before a presence is counted in its digest: it is read before it.
                        for _ in 0..CLAIMS_AHEAD {
                            let Some(Some(claim)) = self.claims.next().now_or_never() else { break };
                            self.broker.heard_claim(&claim, news);
                        }
                        self.broker.heard_presence(&presence, news);
                    }
                    None => return,
                },
            }
        }
    }
}

impl Broker {
    fn heard_claim(&self, message: &Message, news: &mpsc::Sender<FleetNews>) {
        self.heard("claim", message, self.believed_claim(message).map(FleetNews::Claim), news);
    }

    fn heard_presence(&self, message: &Message, news: &mpsc::Sender<FleetNews>) {
        self.heard("presence", message, self.believed_presence(message).map(FleetNews::Presence), news);
    }

    /// Passes on what is believed. What a full channel loses, digests find and the next presence repairs.
    fn heard(
        &self,
        what: &'static str,
        message: &Message,
        heard: Result<FleetNews, Disbelief>,
        news: &mpsc::Sender<FleetNews>,
    ) {
        let result = match heard {
            Ok(heard) => match news.try_send(heard) {
                Ok(()) => "ok",
                Err(_) => "dropped",
            },
            Err(why) => {
                tracing::debug!(subject = %message.subject, %why, "{what} skipped");
                if !matches!(why, Disbelief::Unreadable(_)) {
                    self.count_refused(why.kind());
                }
                why.kind()
            }
        };
        self.count_received(what, result);
    }
}
