//! The sending end of a pipe: opened in two round trips, kept up to date, and compared with its edge.

use std::collections::BTreeMap;

use super::children::{Child, Outlet, Setup};
use super::effect::{Answer, Change, Effect, Figure, Offer, Tell};
use super::input::{Failure, ToldOf};
use super::{Core, Moment, refusal};
use crate::protocol::edge::{
    ConnectRemotePipeTransport, CreatePipeProducer, CreateRemotePipeTransport, GetRemoteRouterInfo,
    RemotePipeTransport,
};
use crate::protocol::event::{PipeRefused, What};
use crate::protocol::ids::{PipeId, ProducerId, Token};
use crate::protocol::media::{MediaError, PipeEnd, Piped};
use crate::protocol::refusal::Code;

/// `desired − told`: what a child must be told so that it has these producers in these states. Ends come
/// first: an id that ended must be free before anything new is created.
pub(super) fn pipe_changes(
    desired: &BTreeMap<ProducerId, bool>,
    told: &BTreeMap<ProducerId, bool>,
) -> Vec<ToldOf> {
    let closed = told.keys().filter(|id| !desired.contains_key(id)).map(|id| ToldOf::Close(*id));
    let others = desired.iter().filter_map(|(id, paused)| match (told.get(id), paused) {
        (None, _) => Some(ToldOf::Create(*id)),
        (Some(false), true) => Some(ToldOf::Pause(*id)),
        (Some(true), false) => Some(ToldOf::Resume(*id)),
        _ => None,
    });
    closed.chain(others).collect()
}

impl Core {
    /// Round trip 1: asks for the child's router and its end of the pipe, both at once, while our own end
    /// is opened.
    pub(super) fn open_pipe(&mut self, token: Token, m: &mut Moment<'_>) {
        let Some(child) = self.downstream.get(token) else { return };
        let pipe = PipeId(m.mint.id());
        let (to, trace) = (child.peer.clone(), child.trace);
        self.downstream.set_outlet(token, Outlet::new(pipe, m));
        let offer = Offer {
            to,
            info: GetRemoteRouterInfo { room_id: self.id.clone(), token },
            create: CreateRemotePipeTransport {
                room_id: self.id.clone(),
                token,
                router_id: self.router,
                pipe_id: pipe,
                from: self.me.clone(),
                srtp: self.config.pipe.srtp,
                rtx: self.config.pipe.rtx,
            },
            trace,
        };
        self.out.push(Effect::Offer(Box::new(offer)));
        self.out.push(Effect::OpenOutlet(token, pipe));
        self.record_opening(token, pipe);
    }

    pub(super) fn outlet_opened(
        &mut self,
        token: Token,
        pipe: PipeId,
        result: Result<PipeEnd, MediaError>,
        m: &mut Moment<'_>,
    ) {
        if self.outlet(token, pipe).is_none() {
            return self.out.push(Effect::CloseOutlet(pipe));
        }
        let ticket = self.downstream.get_mut(token).and_then(|child| child.ticket.take());
        match result {
            Ok(end) => {
                self.downstream.set_up(token, Setup::Offered(end));
                if let Some(ticket) = ticket {
                    self.answer_joined(ticket, token, m);
                }
            }
            Err(error) => {
                let mut refusal = refusal(&error);
                tracing::warn!(%refusal, "pipe not opened");
                if matches!(error, MediaError::NoPorts | MediaError::NoOutlets)
                    && let Some(child) = self.downstream.get(token)
                {
                    refusal.candidates = self.full(&child.peer, child.wanted(), "", m).candidates;
                }
                self.record_over(token, "our end of the pipe could not be opened", false, m);
                self.abandon_outlet(token, "the upstream end could not be opened");
                if let Some(ticket) = ticket {
                    self.downstream.remove(token);
                    self.out.push(Effect::Answer(ticket, Answer::Joined(Err(refusal))));
                } else if let Some(child) = self.downstream.get_mut(token) {
                    child.retry_later(m.now);
                }
            }
        }
    }

    /// Round trip 2: connects our end and starts sending, then has the child connect and take every producer.
    pub(super) fn offered(
        &mut self,
        token: Token,
        pipe: PipeId,
        result: Result<RemotePipeTransport, Failure>,
        m: &mut Moment<'_>,
    ) {
        // Closed meanwhile: whatever the child opened for it was told to close, too.
        let Some(outlet) = self.outlet(token, pipe) else { return };
        let Setup::Offered(end) = outlet.setup().clone() else { return };
        match result {
            Ok(remote) => {
                self.downstream.set_up(token, Setup::Connecting(end));
                let to = PipeEnd { ip: remote.ip, port: remote.port, srtp: remote.srtp_parameters };
                let producers = self.missing(token);
                self.out.push(Effect::Send(token, pipe, Some(to), producers));
            }
            Err(failure) => self.pipe_failed(token, &failure, m),
        }
    }

    /// The producers that a child should have and was not told of.
    fn missing(&self, token: Token) -> Vec<ProducerId> {
        let Some(child) = self.downstream.get(token) else { return Vec::new() };
        let Some(outlet) = child.outlet() else { return Vec::new() };
        let desired = self.desired_of(child);
        desired
            .into_keys()
            .filter(|id| !outlet.told.contains_key(id) && !outlet.refused.contains(id))
            .collect()
    }

    /// What a child must be told. What it refused counts as told until it is over.
    pub(super) fn changes(&self, child: &Child, outlet: &Outlet) -> Vec<ToldOf> {
        let mut desired = self.desired_of(child);
        // What is told of and not sent (any more) is told of anew.
        desired.retain(|id, _| {
            !outlet.told.contains_key(id) || outlet.sends.contains(id) || outlet.refused.contains(id)
        });
        let mut told = outlet.told.clone();
        for id in &outlet.refused {
            told.insert(*id, desired.get(id).copied().unwrap_or(false));
        }
        pipe_changes(&desired, &told)
    }

    /// Stops sending what is neither wanted nor told of.
    fn stop_vain(&mut self, token: Token) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let desired = self.desired_of(child);
        let vain =
            outlet.sends.iter().filter(|id| !desired.contains_key(id) && !outlet.told.contains_key(id));
        let (pipe, vain): (_, Vec<ProducerId>) = (outlet.id, vain.copied().collect());
        for id in vain {
            self.stop_sending(token, pipe, id);
        }
    }

    fn stop_sending(&mut self, token: Token, pipe: PipeId, id: ProducerId) {
        if let Some(outlet) = self.outlet_mut(token, pipe) {
            outlet.sends.remove(&id);
        }
        self.out.push(Effect::StopSending(pipe, id));
    }

    /// Has what is missing at a child sent to it; then it is told of all changes at once.
    pub(super) fn change_pipe(&mut self, token: Token) {
        self.stop_vain(token);
        let missing = self.missing(token);
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        if self.changes(child, outlet).is_empty() {
            return;
        }
        let pipe = outlet.id;
        if missing.is_empty() {
            self.tell(token, pipe, Vec::new());
        } else {
            if let Some(outlet) = self.outlet_mut(token, pipe) {
                outlet.telling = true;
            }
            self.out.push(Effect::Send(token, pipe, None, missing));
        }
    }

    /// Our end sends: now the child is told.
    pub(super) fn sending(
        &mut self,
        token: Token,
        pipe: PipeId,
        connected: Result<(), MediaError>,
        sent: Vec<(ProducerId, Result<Piped, MediaError>)>,
        m: &mut Moment<'_>,
    ) {
        if self.outlet(token, pipe).is_none() {
            return;
        }
        if let Err(error) = connected {
            return self.pipe_failed(token, &Failure::Refused(refusal(&error)), m);
        }
        let mut piped = Vec::new();
        for (id, result) in sent {
            match result {
                Ok(one) => piped.push(one),
                // Its source ended between deciding and doing, or the worker failed: not before a while.
                Err(error) => {
                    tracing::debug!(producer = %id, %error, "producer not piped");
                    if let Some(child) = self.downstream.get_mut(token) {
                        child.retry_later(m.now);
                    }
                }
            }
        }
        self.tell(token, pipe, piped);
    }

    /// Tells a child all that changed, with `connect` first where the pipe is being opened.
    fn tell(&mut self, token: Token, pipe: PipeId, piped: Vec<Piped>) {
        let Some(child) = self.downstream.get(token) else { return };
        let Some(outlet) = child.outlet() else { return };
        let connect = match outlet.setup() {
            Setup::Connecting(end) => Some(ConnectRemotePipeTransport {
                room_id: self.id.clone(),
                token,
                router_id: self.router,
                pipe_id: pipe,
                ip: end.ip,
                port: end.port,
                srtp_parameters: end.srtp.clone(),
            }),
            _ => None,
        };
        let mut piped: BTreeMap<_, _> = piped.into_iter().map(|piped| (piped.id, piped)).collect();
        let mut changes = Vec::new();
        let mut revision = outlet.revision;
        for change in self.changes(child, outlet) {
            let change = match change {
                ToldOf::Create(id) => {
                    let Some(piped) = piped.remove(&id) else { continue };
                    match self.create_message(child, (token, pipe, revision + 1), piped) {
                        Some(create) => Change::Create(Box::new(create)),
                        None => continue,
                    }
                }
                ToldOf::Close(id) => {
                    let stream = outlet.streams.get(&id);
                    Change::Close(id, stream.and_then(|stream| self.told_of(child, stream)))
                }
                ToldOf::Pause(id) => Change::Pause(id),
                ToldOf::Resume(id) => Change::Resume(id),
            };
            revision += 1;
            changes.push((revision, change));
        }
        // What is sent and no longer wanted is not told of.
        let vain: Vec<ProducerId> = piped.into_keys().collect();
        let (to, trace) = (child.peer.clone(), child.trace);
        for id in vain {
            self.stop_sending(token, pipe, id);
        }
        let Some(outlet) = self.outlet_mut(token, pipe) else { return };
        outlet.telling = connect.is_some() || !changes.is_empty();
        outlet.revision = revision;
        if !outlet.telling {
            return;
        }
        let mut closed = Vec::new();
        for (_, change) in &changes {
            match change {
                Change::Create(create) => {
                    outlet.told.insert(create.id, create.paused);
                    outlet.streams.insert(create.id, create.stream.clone());
                    outlet.sends.insert(create.id);
                    outlet.taken.remove(&create.id);
                }
                Change::Close(id, _) => {
                    outlet.told.remove(id);
                    outlet.streams.remove(id);
                    outlet.taken.remove(id);
                    outlet.refused.remove(id);
                    closed.push(*id);
                }
                Change::Pause(id) => drop(outlet.told.insert(*id, true)),
                Change::Resume(id) => drop(outlet.told.insert(*id, false)),
            }
        }
        // The sending side closes first.
        for id in closed {
            self.stop_sending(token, pipe, id);
        }
        self.out.push(Effect::Tell(Box::new(Tell { to, token, pipe, connect, changes, trace })));
    }

    fn create_message(
        &self,
        child: &Child,
        (token, pipe, revision): (Token, PipeId, u64),
        piped: Piped,
    ) -> Option<CreatePipeProducer> {
        let (stream, source) = self.sources.of_producer(piped.id)?;
        let mut path = source.path.clone();
        path.push(self.me.node.clone());
        let own = source.producers.iter().find(|producer| producer.id == piped.id)?;
        let kind = piped.carried.kind();
        let (rtp_parameters, data) = piped.carried.parts();
        Some(CreatePipeProducer {
            room_id: self.id.clone(),
            token,
            router_id: self.router,
            pipe_id: pipe,
            revision,
            stream: stream.clone(),
            publication: source.publication,
            path,
            of: self.told_of(child, stream)?,
            id: piped.id,
            kind,
            rtp_parameters,
            data,
            paused: own.paused || piped.paused,
            label: own.label.clone(),
            app_data: own.app_data.clone(),
        })
    }

    /// A child was told; what failed is told again, or the pipe is given up.
    pub(super) fn told(
        &mut self,
        token: Token,
        pipe: PipeId,
        connected: Result<(), Failure>,
        told: Vec<(ToldOf, Result<(), Failure>)>,
        m: &mut Moment<'_>,
    ) {
        let Some(outlet) = self.outlet_mut(token, pipe) else { return };
        outlet.telling = false;
        let answered = |result: &Result<(), Failure>| matches!(result, Ok(()) | Err(Failure::Refused(_)));
        if told.iter().any(|(_, result)| answered(result)) {
            outlet.answered = outlet.revision;
        }
        let taken = told.iter().filter_map(|(change, result)| match (change, result) {
            (ToldOf::Create(id), Ok(())) => Some(*id),
            _ => None,
        });
        outlet.taken.extend(taken);
        let opening = !outlet.is_open();
        let gone = |failure: &Failure| {
            matches!(failure, Failure::Refused(refusal)
                if matches!(refusal.code, Code::Unasked | Code::UnknownPipe | Code::UnknownRoom))
        };
        let lost = told.iter().find_map(|(_, result)| result.as_ref().err().filter(|failure| gone(failure)));
        if let Some(failure) = connected.as_ref().err().or(lost) {
            return self.pipe_failed(token, &failure.clone(), m);
        }
        if opening {
            self.opened(token, pipe, m);
        }
        for (change, result) in told {
            if let Err(failure) = result {
                self.change_failed(token, pipe, change, &failure, m);
            }
        }
    }

    fn opened(&mut self, token: Token, pipe: PipeId, m: &Moment<'_>) {
        self.downstream.set_up(token, Setup::Open);
        let Some(child) = self.downstream.get_mut(token) else { return };
        let attempt = std::mem::take(&mut child.failures) + 1;
        let Some(outlet) = child.outlet_mut() else { return };
        outlet.heard = m.now;
        let elapsed = m.now.saturating_duration_since(outlet.opened);
        tracing::info!(child = %child.peer.node, %pipe, elapsed_us = elapsed.as_micros(), "pipe open");
        self.out.push(Effect::Count(Figure::PipeSetup("ok", Some(elapsed))));
        self.record_opened(token, attempt, elapsed);
        self.confirm(token, m);
    }

    fn change_failed(
        &mut self,
        token: Token,
        pipe: PipeId,
        change: ToldOf,
        failure: &Failure,
        m: &mut Moment<'_>,
    ) {
        let refused = match failure {
            Failure::Refused(refusal) => Some(refusal),
            _ => None,
        };
        let Some(child) = self.downstream.get_mut(token) else { return };
        let peer = child.peer.clone();
        let Some(outlet) = child.outlet_mut().filter(|outlet| outlet.id == pipe) else { return };
        match change {
            // It said later that it has it.
            ToldOf::Create(id) if refused.is_some() && outlet.taken.contains(&id) => return,
            ToldOf::Create(id) => {
                outlet.told.remove(&id);
                if let Some(refusal) =
                    refused.filter(|refusal| matches!(refusal.code, Code::Unsupported | Code::Malformed))
                {
                    // Refused alone: the others flow, and asking again changes nothing.
                    outlet.refused.insert(id);
                    tracing::warn!(child = %peer.node, producer = %id, %refusal, "edge can't take a producer");
                    let stream = self.sources.of_producer(id).map(|(stream, _)| stream.clone());
                    outlet.sends.remove(&id);
                    self.out.push(Effect::StopSending(pipe, id));
                    let event = PipeRefused {
                        pipe,
                        to: peer,
                        stream,
                        producer: id,
                        reason: refusal.code.as_str().to_owned(),
                        detail: refusal.reason.clone(),
                    };
                    return self.out.push(Effect::Record(What::PipeRefused(event)));
                }
                if refused.is_some() {
                    outlet.sends.remove(&id);
                    self.out.push(Effect::StopSending(pipe, id));
                }
            }
            // It is closed there already.
            ToldOf::Close(_) if refused.is_some() => return,
            ToldOf::Close(id) | ToldOf::Pause(id) => drop(outlet.told.insert(id, false)),
            ToldOf::Resume(id) => drop(outlet.told.insert(id, true)),
        }
        tracing::debug!(child = %peer.node, %pipe, %failure, "edge not told; trying again");
        if let Some(child) = self.downstream.get_mut(token) {
            child.retry_later(m.now);
        }
    }

    fn outlet(&self, token: Token, pipe: PipeId) -> Option<&Outlet> {
        self.downstream.outlet(token, pipe)
    }

    fn outlet_mut(&mut self, token: Token, pipe: PipeId) -> Option<&mut Outlet> {
        self.downstream.outlet_mut(token).filter(|outlet| outlet.id == pipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn producers() -> impl Strategy<Value = BTreeMap<ProducerId, bool>> {
        let id = (0u128..6).prop_map(|n| ProducerId(Uuid::from_u128(n)));
        proptest::collection::btree_map(id, any::<bool>(), 0..6)
    }

    proptest! {
        #[test]
        fn telling_the_changes_leads_to_what_is_desired(desired in producers(), told in producers()) {
            let mut after = told.clone();
            for change in pipe_changes(&desired, &told) {
                match change {
                    ToldOf::Close(id) => { prop_assert!(after.remove(&id).is_some()); }
                    ToldOf::Create(id) => { prop_assert!(after.insert(id, desired[&id]).is_none()); }
                    ToldOf::Pause(id) => { prop_assert_eq!(after.insert(id, true), Some(false)); }
                    ToldOf::Resume(id) => { prop_assert_eq!(after.insert(id, false), Some(true)); }
                }
            }
            prop_assert_eq!(&after, &desired);
            prop_assert!(pipe_changes(&desired, &after).is_empty());
        }
    }
}
