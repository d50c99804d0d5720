//! The session API (see [`crate::protocol::rtc`]): for browsers over a WebSocket, for application servers over NATS.

mod admit;
mod servers;
mod socket;

use chrono::Utc;
use uuid::Uuid;

use super::{App, ice};
use crate::protocol::ids::{RoomId, SessionId};
use crate::protocol::refusal::{Code, Refusal};
use crate::protocol::rtc::{Enter, May, RtcReply, RtcRequest};
use crate::room::{Entrance, Listener, Pass};

pub use servers::answer_servers;
pub(super) use socket::routes;

/// Begins a session, and has `listener` told what happens.
pub(crate) async fn enter(
    app: &App,
    room: RoomId,
    enter: Enter,
    (may, pass): (May, Pass),
    listener: Listener,
) -> Result<RtcReply, Refusal> {
    refuse(enter.excess())?;
    let Enter { name, app_data, .. } = enter;
    let entrance = Entrance { session: SessionId(Uuid::new_v4()), name, app_data, may, pass };
    app.rooms.enter(room, entrance, listener).await.map(|reply| complete(app, reply))
}

/// Asks a session's room.
pub(crate) async fn ask(
    app: &App,
    room: RoomId,
    session: SessionId,
    request: RtcRequest,
) -> Result<RtcReply, Refusal> {
    refuse(request.excess())?;
    app.rooms.rtc(room, session, request).await.map(|reply| complete(app, reply))
}

/// What no room has to know to answer: what the node's routers carry, and its STUN and TURN servers.
fn complete(app: &App, mut reply: RtcReply) -> RtcReply {
    match &mut reply {
        RtcReply::Entered(entered) => {
            entered.router_rtp_capabilities = app.carries();
            entered.ice_servers = ice::servers(&app.ctx.config.webrtc.ice_servers, Utc::now());
        }
        RtcReply::Capabilities(capabilities) => *capabilities = app.carries(),
        _ => {}
    }
    reply
}

/// Refuses what is larger than is taken.
fn refuse(excess: Option<&str>) -> Result<(), Refusal> {
    excess.map_or(Ok(()), |what| Err(Refusal::new(Code::TooLarge, what)))
}
