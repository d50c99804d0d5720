//! One connection, from the moment that it is taken.

use std::future::{self, Ready};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use axum_server::accept::Accept;
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_http::add_extension::AddExtension;

use super::addresses::Cell;
use super::turned::Reason;
use super::{Door, Inner};
use crate::telemetry::metrics::Counted;

/// For how long a client may take nothing of what it is sent: it is gone, or reads on purpose too slowly.
const TAKES: Duration = Duration::from_secs(60);

/// For how long what still comes is passed over, once all is answered.
const LINGER: Duration = Duration::from_secs(2);

/// What is held for a connection.
#[derive(Debug)]
pub(in crate::http) struct Seat {
    door: Door,
    peer: SocketAddr,
    cell: Option<Cell>,
    since: Instant,
    /// How often a wait for it has begun or ended: odd while it is waited for.
    waits: AtomicUsize,
    /// Sends it away.
    away: CancellationToken,
    _counted: Counted,
}

impl Seat {
    /// Notes that something is waited for. Whoever was waited for the longest goes, where there are too many such.
    pub(super) fn wait(self: &Arc<Self>) {
        let wait = self.waits.fetch_add(1, Ordering::Relaxed) + 1;
        let Inner { waits, means, .. } = &*self.door.0;
        let Ok(Some((oldest, waited))) = waits.force_push((Arc::downgrade(self), wait)) else { return };
        if let Some(oldest) = oldest.upgrade()
            && oldest.waits.load(Ordering::Relaxed) == waited
        {
            means.turned.away(Reason::Silent, Some(oldest.peer.ip()));
            oldest.away.cancel();
        }
    }

    /// Notes that what was waited for is there.
    pub(super) fn heard(&self) {
        let _ = self.waits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waits| {
            (waits % 2 == 1).then_some(waits + 1)
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Inner { open, from, means, .. } = &*self.door.0;
        open.fetch_sub(1, Ordering::Relaxed);
        if let Some(from) = self.cell.and_then(|cell| from.get(cell)) {
            from.fetch_sub(1, Ordering::Relaxed);
        }
        let is_first = self.waits.load(Ordering::Relaxed) == 1;
        if is_first && !self.away.is_cancelled() && self.since.elapsed() >= means.http_header {
            means.turned.away(Reason::Header, Some(self.peer.ip()));
        }
    }
}

impl Door {
    /// A place for a connection.
    fn take_in(&self, peer: SocketAddr) -> Result<Arc<Seat>, Reason> {
        let Inner { means, open, from, .. } = &*self.0;
        let limits = *means.limits.borrow();
        let cell = self.cell(Some(peer.ip()));
        // Counted first, and given back with the seat if it was too much.
        let all = open.fetch_add(1, Ordering::Relaxed);
        let beside =
            cell.and_then(|cell| from.get(cell)).map_or(0, |from| from.fetch_add(1, Ordering::Relaxed));
        let seat = Arc::new(Seat {
            door: self.clone(),
            peer,
            cell,
            since: Instant::now(),
            waits: AtomicUsize::new(0),
            away: CancellationToken::new(),
            _counted: Counted::new(&means.connections),
        });
        let beside = usize::try_from(beside).unwrap_or(usize::MAX);
        if limits.connections_per_address > 0 && beside >= limits.connections_per_address {
            return Err(Reason::ConnectionsPerAddress);
        }
        if all >= limits.connections.min(means.most) {
            return Err(Reason::Connections);
        }
        seat.wait();
        Ok(seat)
    }

    fn welcome(&self, stream: TcpStream) -> io::Result<(Guest, Arc<Seat>)> {
        let peer = stream.peer_addr()?;
        let seat = self.take_in(peer).map_err(|reason| {
            self.0.means.turned.away(reason, Some(peer.ip()));
            io::Error::from(io::ErrorKind::ConnectionRefused)
        })?;
        stream.set_nodelay(true)?;
        set_tcp_user_timeout(&stream, u32::try_from(TAKES.as_millis()).unwrap_or(u32::MAX))?;
        let away = Box::pin(seat.away.clone().cancelled_owned());
        Ok((Guest { stream, away, lingers: None, _seat: Arc::clone(&seat) }, seat))
    }
}

/// Takes in who comes to a listener.
#[derive(Debug, Clone)]
pub(in crate::http) struct Porter(pub(in crate::http) Door);

impl<S> Accept<TcpStream, S> for Porter {
    type Stream = Guest;
    /// Requests have their connection's seat among their extensions.
    type Service = AddExtension<S, Arc<Seat>>;
    type Future = Ready<io::Result<(Guest, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        future::ready(self.0.welcome(stream).map(|(guest, seat)| (guest, AddExtension::new(service, seat))))
    }
}

/// Notes that a connection has asked something.
pub(in crate::http) async fn hear(request: Request, next: Next) -> Response {
    if let Some(seat) = request.extensions().get::<Arc<Seat>>() {
        seat.heard();
    }
    next.run(request).await
}

/// A connection whose seat is given back when it closes, and that closes when it is sent away.
#[derive(Debug)]
pub(in crate::http) struct Guest {
    stream: TcpStream,
    away: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until when the client may close, once this side has.
    lingers: Option<Pin<Box<Sleep>>>,
    _seat: Arc<Seat>,
}

impl AsyncRead for Guest {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.away.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Lets the last answer arrive: a socket that is closed while something comes is reset, and what is on its way to the
    /// client with it (RFC 9112 section 9.6). So all that comes is passed over until the client has closed.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingers.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let lingers = this.lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        while lingers.as_mut().poll(cx).is_pending() {
            let mut passed = [0; 8192];
            let mut passed = ReadBuf::new(&mut passed);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut passed));
            if read.is_err() || passed.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::config::{Config, Limits};
    use crate::telemetry::Metrics;

    fn door(set: impl FnOnce(&mut Limits)) -> (Door, watch::Sender<Limits>, Metrics) {
        let mut config = Config::default();
        set(&mut config.limits);
        let (limits, seen) = watch::channel(config.limits);
        let metrics = Metrics::new();
        (Door::new(&config, seen, &metrics), limits, metrics)
    }

    fn comes(door: &Door, ip: &str) -> Result<Arc<Seat>, Reason> {
        door.take_in(SocketAddr::new(ip.parse().unwrap(), 4711))
    }

    #[test]
    fn an_address_has_so_many_connections_and_this_machine_and_proxies_any_number() {
        let (door, limits, metrics) = door(|limits| limits.connections_per_address = 2);
        let mut held: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|ip| comes(&door, ip).unwrap()).into();
        assert_eq!(comes(&door, "2001:db8::3").unwrap_err(), Reason::ConnectionsPerAddress);
        for other in ["127.0.0.1", "::1", "::ffff:127.0.0.2", "10.0.0.1"] {
            held.extend((0..5).map(|_| comes(&door, other).unwrap()));
        }
        held.push(comes(&door, "2001:db8:1::1").unwrap());
        assert_eq!(metrics.http_connections.get(), 23, "who was turned away is not there");
        held.remove(0);
        held.push(comes(&door, "2001:db8::3").unwrap());
        limits.send_modify(|limits| limits.connections_per_address = 0);
        held.extend((0..5).map(|_| comes(&door, "2001:db8::4").unwrap()));
        drop(held);
        assert_eq!(metrics.http_connections.get(), 0);
    }

    #[test]
    fn who_was_waited_for_the_longest_goes_and_who_has_asked_stays() {
        let (door, _limits, _metrics) = door(|limits| limits.connections = 16);
        let seats: Vec<_> = (0..4).map(|_| comes(&door, "127.0.0.1").unwrap()).collect();
        seats[0].heard();
        seats[1].heard();
        seats[1].wait();
        let gone = || -> Vec<_> { seats.iter().map(|seat| seat.away.is_cancelled()).collect() };
        assert_eq!(gone(), [false; 4]);
        let _more: Vec<_> = (0..2).map(|_| comes(&door, "127.0.0.1").unwrap()).collect();
        assert_eq!(gone(), [false, false, true, false], "the second's wait began anew");
        let _more: Vec<_> = (0..10).map(|_| comes(&door, "127.0.0.1").unwrap()).collect();
        assert_eq!(gone(), [false, true, true, true]);
        assert_eq!(comes(&door, "127.0.0.1").unwrap_err(), Reason::Connections);
    }
}
