//! A session that another node has: the client's request goes there over NATS, and the answer comes back.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::super::App;
use super::super::problem::Problem;
use super::here;
use crate::broker::{CallError, SessionAsked};
use crate::protocol::ids::{NodeName, Peer};
use crate::protocol::refusal::Code;
use crate::protocol::session::{MAX_BODY, SessionReply, SessionRequest};
use crate::telemetry::Trace;

/// When to come again where a node can't be asked now.
const AGAIN: Duration = Duration::from_secs(2);

/// Answers what clients ask of this node's sessions by way of other nodes, for as long as these are heard.
pub async fn answer_others(app: App, mut asked: mpsc::Receiver<SessionAsked>) {
    while let Some(SessionAsked { request, trace, reply }) = asked.recv().await {
        let span =
            tracing::info_span!(parent: None, "session", node = %app.ctx.me.node, trace_id = %trace.id());
        let app = app.clone();
        let tracker = app.ctx.tracker.clone();
        tracker.spawn(
            async move {
                // The other node may have given up: then no one needs the answer.
                let _ = reply.send(Ok(here::answer(&app, request).await));
            }
            .instrument(span),
        );
    }
}

/// Whether another process of that name is there.
pub(super) fn is_known(app: &App, node: &NodeName) -> bool {
    !processes(app, node).is_empty()
}

/// The other processes of a name that are there: two for a while where one drains and its successor has come.
fn processes(app: &App, node: &NodeName) -> Vec<Peer> {
    let present = app.ctx.fleet();
    let others = present.present(Instant::now()).map(|presence| &presence.peer);
    others.filter(|peer| peer.node == *node && peer.incarnation != app.ctx.me.incarnation).cloned().collect()
}

/// What the node answers that has the session.
pub(super) async fn answer(
    app: &App,
    node: &NodeName,
    request: SessionRequest,
    trace: Trace,
) -> Result<SessionReply, Problem> {
    if !request.is_sound() {
        let detail = format!(
            "a request that goes on to node {node}, which has the session, has at most {MAX_BODY} bytes"
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let mut last = Err(absent(app, node));
    for peer in processes(app, node) {
        last = app
            .ctx
            .broker
            .call_session(&peer, request.clone(), trace)
            .await
            .map_err(|error| problem(node, error));
        if last.as_ref().is_ok_and(|reply| !reply.is_not_found()) {
            break;
        }
    }
    tracing::debug!(%node, trace_id = %trace.id(), name = request.name(), ok = last.is_ok(), "a session of another node was asked");
    last
}

/// No process of that name is there, as far as this node can tell.
fn absent(app: &App, node: &NodeName) -> Problem {
    if !app.ctx.broker.is_connected() {
        return unreachable(node, "this node has no connection to NATS");
    }
    if !app.ctx.fleet().is_settled(Instant::now()) {
        return unreachable(node, "this node does not know yet who is there");
    }
    gone(node)
}

fn gone(node: &NodeName) -> Problem {
    let detail =
        format!("node {node}, which had the session, is gone, and the session with it: connect again");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

fn unreachable(node: &NodeName, why: &str) -> Problem {
    let detail =
        format!("node {node}, which has the session, can't be asked now: {why}; ask again, or ask that node");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).later(AGAIN)
}

fn problem(node: &NodeName, error: CallError) -> Problem {
    match error {
        CallError::NoResponders(_) => gone(node),
        CallError::Refused(refusal) if refusal.code == Code::TooLarge => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("node {node}, which has the session, says: {}", refusal.reason),
        ),
        other => unreachable(node, &other.to_string()),
    }
}
