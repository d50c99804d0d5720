//! Who waits for an answer of the room.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::core::{Answer, Entrance, Input, PublishRequest, Ticket, WatchRequest};
use super::error::RoomError;
use super::message::{Message, Patched, Published, Reply, RtcAnswer, Watching};
use crate::broker::InboundBody;
use crate::media::{Medium, RoomMedia};
use crate::protocol::edge::{Done, EdgeReply};
use crate::protocol::gate::EndedSession;
use crate::protocol::ids::SessionId;
use crate::protocol::origin::{OriginReply, OriginRequest};
use crate::protocol::refusal::Refusal;
use crate::protocol::rtc::{Nothing, RtcReply};

/// Who waits, by ticket.
#[derive(Debug, Default)]
pub(super) struct Replies {
    waiting: BTreeMap<Ticket, Waiting>,
    last: u64,
}

#[derive(Debug)]
enum Waiting {
    Publish(SessionId, Reply<Published>),
    Watch(SessionId, Reply<Watching>),
    Done(Reply<()>),
    Check(Reply<Vec<Medium>>),
    Kick(Reply<Vec<EndedSession>>),
    Patch(Reply<Patched>),
    Rtc(Option<SessionId>, RtcAnswer),
    Edge(oneshot::Sender<Result<EdgeReply, Refusal>>),
    Origin(oneshot::Sender<Result<OriginReply, Refusal>>),
}

impl Replies {
    fn ticket(&mut self, waiting: Waiting) -> Ticket {
        self.last += 1;
        self.waiting.insert(Ticket(self.last), waiting);
        Ticket(self.last)
    }

    pub(super) fn publish(&mut self, request: PublishRequest, reply: Reply<Published>) -> Input {
        Input::Publish(self.ticket(Waiting::Publish(request.session, reply)), request)
    }

    pub(super) fn watch(&mut self, request: WatchRequest, reply: Reply<Watching>) -> Input {
        Input::Watch(self.ticket(Waiting::Watch(request.session, reply)), request)
    }

    pub(super) fn enter(&mut self, entrance: Entrance, reply: RtcAnswer) -> Input {
        Input::Enter(self.ticket(Waiting::Rtc(Some(entrance.session), reply)), entrance)
    }

    /// A message as the core takes it; none for those that are not its matter.
    pub(super) fn input(&mut self, message: Message) -> Option<Input> {
        Some(match message {
            Message::End(session, stream, reply) => {
                Input::End(self.ticket(Waiting::Done(reply)), session, stream)
            }
            Message::Connect(session, stream, answered, reply) => {
                Input::Connect(self.ticket(Waiting::Done(reply)), session, stream, answered)
            }
            Message::Patch(session, stream, patch, reply) => {
                Input::Patch(self.ticket(Waiting::Patch(reply)), session, stream, patch)
            }
            Message::Check(session, stream, reply) => {
                Input::Check(self.ticket(Waiting::Check(reply)), session, stream)
            }
            Message::Rtc(session, request, reply) => {
                Input::Rtc(self.ticket(Waiting::Rtc(None, reply)), session, request)
            }
            Message::Mute(mute, reply) => Input::Mute(self.ticket(Waiting::Done(reply)), mute),
            Message::SetPaused(stream, paused, reply) => {
                Input::SetPaused(self.ticket(Waiting::Done(reply)), stream, paused)
            }
            Message::Kick(whom, by, reply) => Input::Kick(self.ticket(Waiting::Kick(reply)), whom, by),
            Message::Remote(InboundBody::Edge(request, reply), _) => {
                Input::Edge(self.ticket(Waiting::Edge(reply)), request)
            }
            Message::Remote(InboundBody::Origin(request, reply), trace) => {
                let ticket = self.ticket(Waiting::Origin(reply));
                match request {
                    OriginRequest::Join(join) => Input::Join(ticket, join, trace),
                    OriginRequest::Leave(leave) => Input::Leave(ticket, leave),
                }
            }
            Message::Levels(levels) => Input::Levels(levels),
            Message::Stop(reason) => Input::Stop(reason),
            Message::Done(done) => Input::Done(done),
            // Its first look finds the streams that are pushed here.
            Message::Carry => Input::Look(None),
            Message::Publish(request, _, reply) => self.publish(request, reply),
            Message::Watch(request, _, reply) => self.watch(request, reply),
            Message::Enter(entrance, _, _, reply) => self.enter(entrance, reply),
            Message::Listen(..) | Message::Inspect(_) | Message::Status(..) | Message::WorkerDied(_) => {
                return None;
            }
        })
    }

    /// Who waits no longer, and is to be forgotten.
    pub(super) fn hung_up(&mut self) -> Vec<Ticket> {
        let gone = |waiting: &Waiting| match waiting {
            Waiting::Publish(_, reply) => reply.is_closed(),
            Waiting::Watch(_, reply) => reply.is_closed(),
            _ => false,
        };
        let tickets: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| gone(waiting)).map(|(ticket, _)| *ticket).collect();
        for ticket in &tickets {
            self.waiting.remove(ticket);
        }
        tickets
    }

    /// Answers who waits; whose answer nobody takes any more is a session that has gone.
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer, media: &RoomMedia) -> Option<Input> {
        let waiting = self.waiting.remove(&ticket);
        match (waiting?, answer) {
            (Waiting::Publish(session, reply), Answer::Published(transport)) => {
                let gone = reply.send(Ok(Published { transport })).is_err();
                gone.then_some(Input::Disconnected(session))
            }
            (Waiting::Watch(session, reply), Answer::Watching(transport, media, path)) => {
                let gone = reply.send(Ok(Watching { transport, media, path })).is_err();
                gone.then_some(Input::Disconnected(session))
            }
            (Waiting::Publish(_, reply), Answer::Refused(error)) => refused(reply, error),
            (Waiting::Watch(_, reply), Answer::Refused(error)) => refused(reply, error),
            (Waiting::Done(reply), Answer::Refused(error)) => refused(reply, error),
            (Waiting::Check(reply), Answer::Refused(error)) => refused(reply, error),
            (Waiting::Patch(reply), Answer::Refused(error)) => refused(reply, error),
            (Waiting::Rtc(session, reply), Answer::Rtc(result)) => {
                let entered = session.filter(|_| result.is_ok());
                let gone = reply.send(result).is_err();
                entered.filter(|_| gone).map(Input::Gone)
            }
            (Waiting::Rtc(_, reply), Answer::Done) => {
                let _ = reply.send(Ok(RtcReply::Nothing(Nothing {})));
                None
            }
            (Waiting::Rtc(_, reply), Answer::Refused(error)) => {
                let _ = reply.send(Err(error.into()));
                None
            }
            (Waiting::Kick(reply), Answer::Kicked(ended)) => done(reply, ended),
            (Waiting::Done(reply), Answer::Done) => done(reply, ()),
            (Waiting::Check(reply), Answer::Here(session)) => done(reply, media.agreed_with(session)),
            (Waiting::Patch(reply), Answer::Patched(transport)) => {
                done(reply, transport.map_or(Patched::Trickled, Patched::Restarted))
            }
            (Waiting::Edge(reply), Answer::Edge(result)) => {
                let _ = reply.send(result);
                None
            }
            (Waiting::Origin(reply), Answer::Joined(result)) => {
                let _ = reply.send(result.map(OriginReply::Joined));
                None
            }
            (Waiting::Origin(reply), Answer::Left) => {
                let _ = reply.send(Ok(OriginReply::Done(Done {})));
                None
            }
            (waiting, answer) => {
                tracing::error!(?waiting, ?answer, "an answer of another kind than what was asked");
                None
            }
        }
    }
}

/// Whoever asked may be gone; then no one needs the answer.
fn refused<T>(reply: Reply<T>, error: RoomError) -> Option<Input> {
    let _ = reply.send(Err(error));
    None
}

fn done<T>(reply: Reply<T>, value: T) -> Option<Input> {
    let _ = reply.send(Ok(value));
    None
}
