//! A service of the operator's own that is asked whether a session may start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::{AuthError, SetupError};
use crate::broker::Broker;
use crate::client::{cause, connections};
use crate::config::{self, OnTimeout, Webhook};
use crate::protocol::admission::{Authorize, Verdict};
use crate::telemetry::Metrics;

/// The largest answer, in bytes, and the longest reason of it that is passed on, in characters.
const MAX_BYTES: usize = 64 * 1024;
const MAX_REASON: usize = 256;

/// Asks the service.
#[derive(Debug)]
pub struct Callout {
    config: config::Callout,
    way: Way,
    places: Semaphore,
    metrics: Arc<Metrics>,
    /// Whether it was told that no answers come.
    failing: AtomicBool,
}

#[derive(Debug)]
enum Way {
    Nats(Broker),
    Http(Webhook, reqwest::Client),
}

impl Callout {
    /// A callout of this configuration.
    ///
    /// # Errors
    /// [`SetupError::Client`].
    pub fn new(
        config: &config::Callout,
        broker: &Broker,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        let way = match &config.webhook {
            None => Way::Nats(broker.clone()),
            Some(webhook) => {
                let client = connections(|builder| builder.timeout(config.timeout));
                Way::Http(webhook.clone(), client.map_err(|error| SetupError::Client(cause(&error)))?)
            }
        };
        let places = Semaphore::new(config.at_once);
        let (config, metrics) = (config.clone(), Arc::clone(metrics));
        Ok(Self { config, way, places, metrics, failing: AtomicBool::new(false) })
    }

    /// What the service says; where it says nothing, as configured.
    ///
    /// # Errors
    /// [`AuthError::Denied`], [`AuthError::Unasked`].
    pub async fn ask(&self, question: &Authorize) -> Result<Verdict, AuthError> {
        let (result, why) = match self.in_time(question).await {
            Ok(verdict) => return self.answered(verdict),
            Err(no_answer) => no_answer,
        };
        self.count(result);
        let allow = self.config.on_timeout == OnTimeout::Allow;
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%why, allow, "whether sessions may start can't be asked");
        }
        match allow {
            true => Ok(Verdict { allow, reason: None, expires_at: None }),
            false => Err(AuthError::Unasked),
        }
    }

    fn answered(&self, verdict: Verdict) -> Result<Verdict, AuthError> {
        self.count(if verdict.allow { "allowed" } else { "denied" });
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("whether sessions may start can be asked again");
        }
        let expired = verdict.expires_at.is_some_and(|at| at <= chrono::Utc::now());
        if verdict.allow && !expired {
            return Ok(verdict);
        }
        let words =
            |reason: String| reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect::<String>();
        Err(AuthError::Denied(verdict.reason.map(words).filter(|reason| !reason.trim().is_empty())))
    }

    /// The answer; or why there is none, for metrics and for people.
    async fn in_time(&self, question: &Authorize) -> Result<Verdict, (&'static str, String)> {
        let until = Instant::now() + self.config.timeout;
        let place = timeout_at(until, self.places.acquire()).await;
        let busy = || ("busy", "too many questions are open (auth.callout.at_once)".to_owned());
        let _place = place.ok().and_then(Result::ok).ok_or_else(busy)?;
        match timeout_at(until, self.asked(question)).await {
            Ok(answer) => answer.map_err(|why| ("failed", why)),
            Err(_) => Err(("timeout", "no answer came in time".to_owned())),
        }
    }

    async fn asked(&self, question: &Authorize) -> Result<Verdict, String> {
        match &self.way {
            Way::Nats(broker) => broker.authorize(question).await.map_err(|error| error.to_string()),
            Way::Http(webhook, client) => post(webhook, client, question).await,
        }
    }

    fn count(&self, result: &'static str) {
        self.metrics.callouts.get_or_create(&[("result", result)]).inc();
    }
}

async fn post(webhook: &Webhook, client: &reqwest::Client, question: &Authorize) -> Result<Verdict, String> {
    let json = serde_json::to_vec(question).map_err(|error| error.to_string())?;
    let mut request = client.post(webhook.url.clone()).header("content-type", "application/json").body(json);
    if let Some(token) = &webhook.token {
        request = request.bearer_auth(token.expose());
    }
    let response = request.send().await.map_err(|error| cause(&error))?;
    let status = response.status();
    let body = body(response, MAX_BYTES).await?;
    let verdict = serde_json::from_slice::<Verdict>(&body);
    match status {
        // A service that says no by its status need not say it again.
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
            let reason = verdict.ok().and_then(|verdict| verdict.reason);
            Ok(Verdict { allow: false, reason, expires_at: None })
        }
        status if status.is_success() => {
            verdict.map_err(|error| format!("its answer can't be read: {error}"))
        }
        status => Err(format!("it answered {status}")),
    }
}

/// A body, as long as it isn't longer than that.
pub(super) async fn body(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))? {
        if body.len() + chunk.len() > most {
            return Err(format!("its answer is longer than {most} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
