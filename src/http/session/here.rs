//! What a session of this node answers, whichever node its client reached.

use std::time::Duration;

use axum::http::StatusCode;

use super::listeners::{Facts, Hearing, ListenError};
use crate::config::Action;
use crate::http::problem::Problem;
use crate::http::sdp::{CounterAnswer, Description, Fragment, counter_answer, restart_fragment};
use crate::http::{App, FRAGMENT, elsewhere};
use crate::protocol::presence::Phase;
use crate::protocol::session::{
    EndSession, HearSession, Heard, ListenToSession, Listening, LookAtSession, PatchKind, PatchSession,
    SessionAnswer, SessionAt, SessionReply, SessionRequest, StopListening,
};
use crate::room::{Answered, Patch, Patched};

/// The answer; a refusal is one too.
pub(super) async fn answer(app: &App, request: SessionRequest) -> SessionReply {
    let answered = match request {
        SessionRequest::LookAtSession(LookAtSession { at }) => look(app, at).await,
        SessionRequest::EndSession(EndSession { at }) => end(app, at).await,
        SessionRequest::PatchSession(patch) => match patch.kind {
            PatchKind::Fragment => fragment(app, patch).await,
            PatchKind::Answer => counter(app, patch).await,
        },
        SessionRequest::ListenToSession(ListenToSession { at, events }) => {
            match app.listeners.open(at, events.into()).await {
                Ok(listener) => return SessionReply::Listening(Listening { listener }),
                Err(error) => Err(error.into()),
            }
        }
        SessionRequest::HearSession(HearSession { at, listener }) => {
            match app.listeners.find(at.clone(), listener).await {
                Some(hearing) => return SessionReply::Heard(heard(app, &at, &hearing).await),
                None => Err(no_listener()),
            }
        }
        SessionRequest::StopListening(StopListening { at, listener }) => {
            if app.listeners.close(at, listener).await {
                Ok(plain(StatusCode::OK))
            } else {
                Err(no_listener())
            }
        }
    };
    SessionReply::Answer(answered.unwrap_or_else(SessionAnswer::from))
}

fn no_listener() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "nobody listens here: POST to the session's events first")
}

/// How the session's stream is now, and where its viewer may go on.
async fn heard(app: &App, at: &SessionAt, hearing: &Hearing) -> Heard {
    let Facts { active, viewers } = *hearing.facts.borrow();
    let draining = *app.ctx.phase.borrow() == Phase::Draining;
    let url = if draining {
        let me = &app.ctx.me.node;
        let ways = elsewhere::ways(app, Action::Watch, &at.room_id, &at.stream, me, at.session).await;
        ways.into_iter().next()
    } else {
        None
    };
    Heard { events: hearing.events.to_vec(), active, viewers, draining, url }
}

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        let detail = error.to_string();
        match error {
            ListenError::Room(error) => error.into(),
            ListenError::OfAll => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).later(AGAIN),
        }
    }
}

/// When to come again to a node that has too many listeners.
const AGAIN: Duration = Duration::from_secs(10);

fn plain(status: StatusCode) -> SessionAnswer {
    SessionAnswer { status: status.as_u16(), ..SessionAnswer::default() }
}

async fn look(
    app: &App,
    SessionAt { room_id, stream, session }: SessionAt,
) -> Result<SessionAnswer, Problem> {
    app.rooms.check(room_id, stream, session).await?;
    Ok(plain(StatusCode::NO_CONTENT))
}

async fn end(app: &App, SessionAt { room_id, stream, session }: SessionAt) -> Result<SessionAnswer, Problem> {
    app.rooms.end(room_id, stream, session).await?;
    Ok(plain(StatusCode::OK))
}

/// Candidates, or a restart of ICE.
async fn fragment(app: &App, patch: PatchSession) -> Result<SessionAnswer, Problem> {
    let PatchSession { at: SessionAt { room_id, stream, session }, if_match, body, .. } = patch;
    let fragment = Fragment::parse(&body)?;
    let patch = Patch { ufrag: fragment.credentials.map(|(ufrag, _)| ufrag), if_match };
    match app.rooms.patch(room_id, stream, session, patch).await? {
        Patched::Trickled => Ok(plain(StatusCode::NO_CONTENT)),
        Patched::Restarted(transport) => Ok(SessionAnswer {
            content_type: Some(FRAGMENT.to_owned()),
            etag: Some(format!("\"{}\"", transport.ice.username_fragment)),
            body: restart_fragment(&transport.ice, &transport.candidates, first_mid(&body)),
            ..plain(StatusCode::OK)
        }),
    }
}

/// A viewer's answer to our counter-offer.
async fn counter(app: &App, patch: PatchSession) -> Result<SessionAnswer, Problem> {
    let PatchSession { at: SessionAt { room_id, stream, session }, body, .. } = patch;
    let answer = Description::parse(&body)?;
    let agreed = app.rooms.check(room_id.clone(), stream.clone(), session).await?;
    let CounterAnswer { dtls, media } = counter_answer(&answer, &agreed)?;
    let answered = Answered { dtls, ufrag: answer.ice()?.0.to_owned(), media };
    app.rooms.connect(room_id, stream, session, answered).await?;
    Ok(plain(StatusCode::NO_CONTENT))
}

/// The first section that a fragment names; browsers number from 0.
fn first_mid(body: &str) -> &str {
    body.lines().find_map(|line| line.trim().strip_prefix("a=mid:")).unwrap_or("0")
}
