//! What crosses the network for a room or a node: some calls at once, and one result. As `room/carry.rs` and
//! `fleet/task.rs` do it.

use std::collections::BTreeSet;

use headwater::fleet;
use headwater::protocol::directory::{GetClaims, Whose};
use headwater::protocol::edge::{
    ClosePipe, ClosePipeProducer, EdgeReply, EdgeRequest, PausePipeProducer, RemotePipeTransport,
    ResumePipeProducer,
};
use headwater::protocol::ids::{Incarnation, Peer, PipeId, RoomId, StreamName, Token};
use headwater::protocol::origin::{Join, Joined, Leave, OriginReply, OriginRequest};
use headwater::room::core::{Change, Done, Failure, Input, Offer, Tell, ToldOf};

use crate::bus::{Outcome, Question, Replied};
use crate::world::{Pid, World};

pub type JobId = u64;

#[derive(Debug)]
pub struct Job {
    pub pid: Pid,
    room: Option<(RoomId, u64)>,
    work: Work,
    parts: Vec<Option<Outcome>>,
}

#[derive(Debug)]
enum Work {
    Offer(Token, PipeId),
    Tell(Token, PipeId, bool, Vec<ToldOf>),
    TellClosed,
    Join(Incarnation, Token, BTreeSet<StreamName>),
    Leave(Incarnation, Token),
    Fetch(Peer, Whose),
    Probe,
}

impl World {
    fn job(&mut self, pid: Pid, room: Option<(RoomId, u64)>, work: Work, calls: Vec<(Peer, Question)>) {
        self.bus.last_job += 1;
        let id = self.bus.last_job;
        let parts = calls.iter().map(|_| None).collect();
        self.bus.jobs.insert(id, Job { pid, room, work, parts });
        for (part, (to, question)) in calls.into_iter().enumerate() {
            self.call(pid, &to.node, question, id, part);
        }
    }

    pub fn job_offer(&mut self, pid: Pid, room: (RoomId, u64), offer: Offer) {
        let Offer { to, info, create, .. } = offer;
        let work = Work::Offer(create.token, create.pipe_id);
        let edge = |request: EdgeRequest| (to.clone(), Question::Edge(to.incarnation, request));
        let calls = vec![edge(info.into()), edge(create.into())];
        self.job(pid, Some(room), work, calls);
    }

    pub fn job_tell(&mut self, pid: Pid, room: (RoomId, u64), tell: Tell) {
        let Tell { to, token, pipe, connect, changes, .. } = tell;
        let edge = |request: EdgeRequest| (to.clone(), Question::Edge(to.incarnation, request));
        let connects = connect.is_some();
        let mut calls: Vec<_> = connect.into_iter().map(|connect| edge(connect.into())).collect();
        let mut of = Vec::new();
        for (revision, change) in changes {
            let (room_id, pipe_id) = (room.0.clone(), pipe);
            let (told, request): (_, EdgeRequest) = match change {
                Change::Create(create) => (ToldOf::Create(create.id), (*create).into()),
                Change::Close(id, of) => (
                    ToldOf::Close(id),
                    ClosePipeProducer { room_id, token, pipe_id, revision, id, of }.into(),
                ),
                Change::Pause(id) => {
                    (ToldOf::Pause(id), PausePipeProducer { room_id, token, pipe_id, revision, id }.into())
                }
                Change::Resume(id) => {
                    (ToldOf::Resume(id), ResumePipeProducer { room_id, token, pipe_id, revision, id }.into())
                }
            };
            of.push(told);
            calls.push(edge(request));
        }
        self.job(pid, Some(room), Work::Tell(token, pipe, connects, of), calls);
    }

    pub fn job_closed(&mut self, pid: Pid, to: Peer, close: ClosePipe) {
        let question = Question::Edge(to.incarnation, close.into());
        self.job(pid, None, Work::TellClosed, vec![(to, question)]);
    }

    pub fn job_join(&mut self, pid: Pid, room: (RoomId, u64), to: Peer, join: Join) {
        let work = Work::Join(to.incarnation, join.token, join.streams.clone());
        let question = Question::Origin(to.incarnation, OriginRequest::Join(join));
        self.job(pid, Some(room), work, vec![(to, question)]);
    }

    pub fn job_leave(&mut self, pid: Pid, room: (RoomId, u64), to: Peer, leave: Leave) {
        let work = Work::Leave(to.incarnation, leave.token);
        let question = Question::Origin(to.incarnation, OriginRequest::Leave(leave));
        self.job(pid, Some(room), work, vec![(to, question)]);
    }

    pub fn job_fetch(&mut self, pid: Pid, from: Peer, request: GetClaims) {
        let work = Work::Fetch(from.clone(), request.of);
        self.job(pid, None, work, vec![(from, Question::Claims(request))]);
    }

    pub fn job_probe(&mut self, pid: Pid) {
        let me = self.nodes[pid].me.clone();
        let request = GetClaims { from: me.clone(), of: Whose::Own, after: None };
        self.job(pid, None, Work::Probe, vec![(me, Question::Claims(request))]);
    }

    /// One of a job's calls has ended; with the last one the job is done.
    pub fn job_part(&mut self, id: JobId, part: usize, outcome: Outcome) {
        let Some(job) = self.bus.jobs.get_mut(&id) else { return };
        job.parts[part] = Some(outcome);
        if job.parts.iter().any(Option::is_none) {
            return;
        }
        let Some(Job { pid, room, work, parts }) = self.bus.jobs.remove(&id) else { return };
        if !self.nodes[pid].alive {
            return;
        }
        let mut parts = parts.into_iter().flatten();
        let mut next = || parts.next().expect("as many answers as questions");
        let done = match work {
            Work::Offer(token, pipe) => {
                let (info, remote) = (next(), next());
                Done::Offered(token, pipe, info.and(remote).and_then(transport))
            }
            Work::Tell(token, pipe, connects, of) => {
                let connected = if connects { next().map(drop) } else { Ok(()) };
                let told = of.into_iter().map(|of| (of, next().map(drop))).collect();
                Done::Told(token, pipe, connected, told)
            }
            Work::Join(id, token, streams) => Done::Joined(id, token, streams, next().and_then(joined)),
            Work::Leave(id, token) => Done::Left(id, token),
            Work::TellClosed => return,
            Work::Fetch(from, of) => {
                let page = match next() {
                    Ok(Replied::Claims(page)) => Ok(page),
                    _ => Err(()),
                };
                return self.member(pid, fleet::Input::Fetched { from, of, page });
            }
            Work::Probe => {
                let answer = match next() {
                    Ok(Replied::Claims(page)) => Some(page),
                    _ => None,
                };
                return self.member(pid, fleet::Input::NameProbed(answer));
            }
        };
        if let Some((room, life)) = room {
            self.input(pid, &room, Some(life), Input::Done(done));
        }
    }
}

fn transport(replied: Replied) -> Result<RemotePipeTransport, Failure> {
    match replied {
        Replied::Edge(EdgeReply::PipeTransport(remote)) => Ok(remote),
        other => Err(Failure::Broken(format!("{other:?}"))),
    }
}

fn joined(replied: Replied) -> Result<Joined, Failure> {
    match replied {
        Replied::Origin(OriginReply::Joined(joined)) => Ok(joined),
        other => Err(Failure::Broken(format!("{other:?}"))),
    }
}
