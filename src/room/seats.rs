//! The places that a node has for publishers and viewers. The door gives them, before anything is begun for
//! whoever comes, so that a limit holds however many come at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, watch};

use crate::config::Limits;
use crate::places::{Place, Places};
use crate::protocol::ids::{RoomId, SessionId, StreamName};
use crate::telemetry::{Counted, Metrics};

/// For how long it is remembered that a session was there, and of how many.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
const MANY: usize = 4_096;
/// Ends that the door has not noted yet.
const UNREAD: usize = 1_024;

/// The places, for the door and for every room.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    viewers: Places,
    streams: Places,
    connecting: Places,
    metrics: Arc<Metrics>,
    ended: mpsc::Sender<Session>,
    ends: broadcast::Sender<SessionId>,
}

/// A session, and what it was for.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) room: RoomId,
    pub(super) stream: StreamName,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    place: Place,
    counted: Counted,
    session: Session,
    ended: mpsc::Sender<Session>,
    ends: broadcast::Sender<SessionId>,
}

/// The sessions that are over.
#[derive(Debug)]
pub(super) struct Past {
    ended: mpsc::Receiver<Session>,
    sessions: HashMap<SessionId, Session>,
    /// In the order of their ends.
    order: VecDeque<(Instant, SessionId)>,
}

impl Seats {
    pub(super) fn new(limits: &watch::Receiver<Limits>, metrics: &Arc<Metrics>) -> (Self, Past) {
        let places = |limit| Places::new(limits.clone(), limit);
        let (ended, past) = mpsc::channel(UNREAD);
        let seats = Self {
            viewers: places(|limits| limits.viewers),
            streams: places(|limits| limits.streams),
            connecting: places(|limits| limits.connecting),
            metrics: Arc::clone(metrics),
            ended,
            ends: broadcast::channel(UNREAD).0,
        };
        (seats, Past { ended: past, sessions: HashMap::new(), order: VecDeque::new() })
    }

    /// Where the end of each session is told.
    pub(super) fn ends(&self) -> broadcast::Sender<SessionId> {
        self.ends.clone()
    }

    /// A place for a viewer, or the limit that is reached.
    pub(super) fn viewer(&self, session: Session) -> Result<Seat, &'static str> {
        let place = self.viewers.take().ok_or("viewers")?;
        Ok(self.seat(place, Counted::new(&self.metrics.viewers), session))
    }

    /// A place for a publisher that has yet to connect, or the limit that is reached.
    pub(super) fn publisher(&self, session: Session) -> Result<Seat, &'static str> {
        if !self.streams.are_left() {
            return Err("streams");
        }
        let place = self.connecting.take().ok_or("connecting")?;
        Ok(self.seat(place, Counted::new(&self.metrics.connecting), session))
    }

    fn seat(&self, place: Place, counted: Counted, session: Session) -> Seat {
        Seat { place, counted, session, ended: self.ended.clone(), ends: self.ends.clone() }
    }

    /// A publisher has connected: it takes a place among the streams in place of its own. False where none is left.
    pub(super) fn connected(&self, seat: &mut Seat) -> bool {
        let Some(place) = self.streams.take() else { return false };
        seat.place = place;
        seat.counted = Counted::new(&self.metrics.streams);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // What isn't remembered is answered as a session that never was.
        let _ = self.ended.try_send(self.session.clone());
        // Where nobody wants to know, nobody is told.
        let _ = self.ends.send(self.session.id);
    }
}

impl Past {
    /// Notes who has ended, and forgets whose end was long ago.
    pub(super) fn note(&mut self, now: Instant) {
        while let Ok(session) = self.ended.try_recv() {
            self.order.push_back((now, session.id));
            self.sessions.insert(session.id, session);
        }
        while let Some((at, id)) = self.order.front().copied() {
            if self.order.len() <= MANY && now.saturating_duration_since(at) <= REMEMBERED {
                break;
            }
            self.order.pop_front();
            self.sessions.remove(&id);
        }
    }

    /// Whether this session was there until not long ago: whoever ends it once more has what it asks for.
    pub(super) fn has(&self, room: &RoomId, stream: &StreamName, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.room == *room && session.stream == *stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn seats(limit: usize) -> (Seats, Past) {
        let limits = Limits { viewers: limit, streams: limit, connecting: 2 * limit, ..Limits::default() };
        Seats::new(&watch::channel(limits).1, &Arc::new(Metrics::new()))
    }

    fn session(number: u128) -> Session {
        let (room, stream) = ("news".parse().unwrap(), "main".parse().unwrap());
        Session { id: SessionId(Uuid::from_u128(number)), room, stream }
    }

    #[test]
    fn who_has_not_connected_takes_no_stream_s_place() {
        let (seats, _past) = seats(1);
        let mut first = seats.publisher(session(1)).unwrap();
        let mut second = seats.publisher(session(2)).unwrap();
        assert_eq!(seats.publisher(session(3)).err(), Some("connecting"));
        assert!(seats.connected(&mut second) && !seats.connected(&mut first));
        assert_eq!(seats.publisher(session(3)).err(), Some("streams"));
        drop(second);
        assert!(seats.connected(&mut first));
    }

    #[test]
    fn a_session_is_remembered_for_some_minutes_and_only_where_it_was() {
        let (seats, mut past) = seats(1);
        let now = Instant::now();
        let Session { id, room, stream } = session(1);
        let seat = seats.viewer(session(1)).unwrap();
        past.note(now);
        assert!(!past.has(&room, &stream, id));
        drop(seat);
        past.note(now);
        assert!(past.has(&room, &stream, id));
        assert!(!past.has(&"other".parse().unwrap(), &stream, id));
        past.note(now + REMEMBERED * 2);
        assert!(!past.has(&room, &stream, id));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let (seats, mut past) = seats(1);
        let now = Instant::now();
        for number in 0..2 * MANY as u128 {
            drop(seats.viewer(session(number)).unwrap());
            past.note(now);
        }
        assert_eq!((past.order.len(), past.sessions.len()), (MANY, MANY));
    }
}
