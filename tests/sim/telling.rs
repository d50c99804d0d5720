//! Telling what a room is told and what it wants, for whoever looks at a story.

use headwater::protocol::event::What;
use headwater::protocol::ids::RoomId;
use headwater::room::core::{Answer, Done, Effect, Input};

use crate::world::{Pid, World};

/// An input in a few words; none for those that come all the time.
pub fn input(input: &Input) -> Option<String> {
    Some(match input {
        Input::Look(_) | Input::Connected(_) | Input::Done(Done::Paused(..)) => return None,
        Input::Notice(notice) => {
            let claims = notice.claims.iter();
            let claims = claims
                .map(|claim| format!("{}@{} term {}", claim.publication, claim.origin.node, claim.term));
            format!("notice {}: {:?}", notice.stream, claims.collect::<Vec<_>>())
        }
        Input::Join(_, join, _) => format!(
            "join of {} for {:?}, token {}, pipe {:?}",
            join.from.node,
            join.streams,
            join.token,
            join.pipe.as_ref().map(|pipe| pipe.pipe_id)
        ),
        Input::Leave(_, leave) => format!("leave of {}: {}", leave.from.node, leave.reason),
        Input::Edge(_, request) => format!("{} with token {}", request.name(), request.token()),
        Input::Done(Done::Joined(_, token, streams, result)) => match result {
            Ok(joined) => format!("joined {token} for {streams:?}: pipe {}", joined.pipe_id),
            Err(failure) => format!("not joined {token} for {streams:?}: {failure}"),
        },
        Input::Done(Done::Offered(token, pipe, result)) => {
            format!("offered {token} {pipe}: {:?}", result.as_ref().err())
        }
        Input::Done(Done::Told(token, pipe, connected, told)) => {
            let told: Vec<_> =
                told.iter().map(|(of, result)| format!("{of:?} {:?}", result.as_ref().err())).collect();
            format!("told {token} {pipe}: {:?} {told:?}", connected.as_ref().err())
        }
        Input::Done(Done::Received(_, request, result)) => {
            format!("received {} {:?}", request.id, result.as_ref().err())
        }
        Input::Done(_) => return None,
        other => {
            let text = format!("{other:?}");
            text.chars().take(60).collect()
        }
    })
}

/// An effect in a few words; none for those that only follow.
fn effect(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Join(to, join, _) => format!("ask {} for {:?} (token {})", to.node, join.streams, join.token),
        Effect::Leave(to, leave) => format!("leave {}: {}", to.node, leave.reason),
        Effect::Offer(offer) => format!("offer {} to {}", offer.create.pipe_id, offer.to.node),
        Effect::Tell(tell) => {
            format!("tell {} of {}: {} changes", tell.to.node, tell.pipe, tell.changes.len())
        }
        Effect::TellClosed(to, close) => {
            format!("tell {} that {} is closed: {}", to.node, close.pipe_id, close.reason)
        }
        Effect::Answer(_, Answer::Edge(Err(refusal)) | Answer::Joined(Err(refusal))) => {
            format!("refuse: {refusal}")
        }
        Effect::CloseOutlet(pipe) => format!("close outlet {pipe}"),
        Effect::CloseInlet(pipe) => format!("close inlet {pipe}"),
        Effect::StopReceiving(pipe, id) => format!("stop receiving {id} on {pipe}"),
        Effect::StopSending(pipe, id) => format!("stop sending {id} on {pipe}"),
        Effect::Receive(_, request) => format!("receive {} on {}", request.id, request.pipe_id),
        Effect::Claim(claim) => format!(
            "claim {} term {} {:?} flowing {}",
            claim.publication, claim.term, claim.state, claim.flowing
        ),
        Effect::Record(What::ViewerLeft(left)) => format!("(viewer.left: {:?})", left.reason),
        Effect::Record(what) => format!("({})", what.name()),
        _ => return None,
    })
}

impl World {
    pub fn tell_effects(&self, pid: Pid, id: &RoomId, said: &Option<String>, effects: &[Effect]) {
        if !self.tells {
            return;
        }
        let effects: Vec<_> = effects.iter().filter_map(effect).collect();
        if said.is_some() || !effects.is_empty() {
            let said = said.as_deref().unwrap_or("look");
            self.tell(|| format!("{} {id}: {said} -> {effects:?}", self.nodes[pid].name()));
        }
    }
}
