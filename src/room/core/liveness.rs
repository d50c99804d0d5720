//! When a peer is lost. Pure: facts and time in, a verdict out.
//!
//! A silent bus tears nothing down, and media alone may pause. Both ends of a pipe have a rhythm of their
//! own: an inlet hears media as long as it isn't muted, an outlet hears receiver reports as long as it
//! sends (RFC 3550 section 6.2: mediasoup's come each 0.5 to 1.5 s with video, 2.5 to 7.5 s without).

use std::time::{Duration, Instant};

/// How long media that flowed may be away before it counts as silent.
pub(super) const MEDIA: Duration = Duration::from_millis(1_500);
/// Media that is away for so long is asked after; and a parent whose place nobody answers at is lost by then.
const DOUBT: Duration = Duration::from_secs(1);
/// How long reports may be away while something is sent.
const REPORTS: Duration = Duration::from_secs(10);
/// How long a node may be silent on a bus that works before it is lost though nothing is sent to it.
const FORSAKEN: Duration = Duration::from_secs(60);
/// How recent what was sent last must be for a report to be due.
const SENDING: Duration = Duration::from_secs(2);

/// How long a pipe may be without its association, which is there within two round trips, and without media.
const APART: Duration = Duration::from_secs(4);

/// What is known of the node at a pipe's other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bus {
    /// It is heard, or nothing can be heard at all.
    Heard,
    /// It is silent on a bus that works, since its last sign of life.
    Silent,
    /// It has said that it stopped, or another process has its name and it is silent.
    Over,
}

/// The receiving end of a pipe.
#[derive(Debug, Clone, Copy)]
pub(super) struct InletFacts {
    /// Whether its other end has told its address.
    pub(super) connected: bool,
    pub(super) opened: Instant,
    /// When media last arrived.
    pub(super) heard: Instant,
    /// Whether it carries a producer that isn't paused.
    pub(super) expects: bool,
    /// Whether the parent has said that nothing arrives there either: the stream is muted.
    pub(super) muted: bool,
    /// Whether another node that is heard has all that should come by it.
    pub(super) replaceable: bool,
    /// Whether nobody listened there any more when it was last asked: its connection to the bus is gone.
    pub(super) gone: bool,
    pub(super) bus: Bus,
}

/// Whether messages can pass a pipe: they need its ends to be associated by SCTP (RFC 9260 section 4). A worker gives up an
/// association that has got no answer for long, and never tries again.
#[derive(Debug)]
pub(super) struct Association {
    /// Since when there is none; none while there is.
    apart: Option<Instant>,
}

/// The sending end of a pipe.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutletFacts {
    /// Whether the child has taken it.
    pub(super) connected: bool,
    pub(super) opened: Instant,
    /// When a report last arrived.
    pub(super) heard: Instant,
    /// When it last sent media, and since when it has done so without a longer pause.
    pub(super) sent: Option<(Instant, Instant)>,
    /// When the child last renewed its join.
    pub(super) renewed: Instant,
    /// When the child was last heard on the bus, or nobody could be.
    pub(super) seen: Instant,
    /// Whether nothing that the child wants is here.
    pub(super) idle: bool,
    /// Whether this node hears itself on the bus, and has for a while.
    pub(super) settled: bool,
    pub(super) bus: Bus,
}

impl InletFacts {
    /// Whether nothing has arrived for longer than media that flows may be away.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > MEDIA
    }

    /// Whether its parent is to be asked what became of the media.
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.heard) > DOUBT;
        self.connected && self.expects && silent && self.bus == Bus::Heard
    }

    /// Whether the parent is lost: it never connected, or its signs of life **and** its media are gone.
    pub(super) fn is_lost(&self, connect: Duration, now: Instant) -> bool {
        if !self.connected {
            return self.bus == Bus::Over || now.saturating_duration_since(self.opened) > connect;
        }
        match self.bus {
            // Heard it was until a moment ago; that nobody listens there is known sooner than its silence.
            Bus::Heard => self.gone && !self.muted && self.is_doubtful(now),
            // One that is paused or muted flows as little elsewhere: nothing is lost by going there.
            Bus::Silent => self.is_silent(now) && (self.replaceable || (self.expects && !self.muted)),
            Bus::Over => self.is_silent(now),
        }
    }
}

impl Association {
    pub(super) fn new(now: Instant) -> Self {
        Self { apart: Some(now) }
    }

    /// What was found now; before the other end is known there can be none.
    pub(super) fn note(&mut self, associated: bool, connected: bool, now: Instant) {
        self.apart = match self.apart {
            _ if associated => None,
            Some(since) if connected => Some(since),
            _ => Some(now),
        };
    }

    pub(super) fn is_there(&self) -> bool {
        self.apart.is_none()
    }

    /// Whether it won't come about any more, where media was last heard then. What flows isn't cut for the sake of messages.
    pub(super) fn is_broken(&self, heard: Instant, now: Instant) -> bool {
        let lasts = |since: Instant| now.saturating_duration_since(since) >= APART;
        self.apart.is_some_and(lasts) && lasts(heard)
    }
}

impl OutletFacts {
    /// Whether the child is lost: it never took the pipe, or its signs of life **and** its reports are gone,
    /// or it is there and has renewed nothing for the lease.
    pub(super) fn is_lost(&self, connect: Duration, lease: Duration, now: Instant) -> bool {
        let age = |at: Instant| now.saturating_duration_since(at);
        if !self.connected {
            return self.bus == Bus::Over || age(self.opened) > connect;
        }
        // While nothing is sent no report is due, so its absence means nothing.
        let unreported = self.sent.is_some_and(|(last, since)| {
            age(last) <= SENDING && age(since) > REPORTS && age(self.heard) > REPORTS
        });
        let sending = self.sent.is_some_and(|(last, _)| age(last) <= SENDING);
        match self.bus {
            Bus::Over => unreported || !sending,
            // A pipe that carries nothing is no loss; a muted one may be needed any moment.
            Bus::Silent => unreported || self.idle || (!sending && age(self.seen) > FORSAKEN),
            Bus::Heard => self.settled && age(self.renewed) > lease && (unreported || !sending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: Duration = Duration::from_secs(10);
    const LEASE: Duration = Duration::from_secs(20);

    /// An open inlet whose media stopped at `start`, and a moment in which that is silence.
    fn inlet(bus: Bus) -> (InletFacts, Instant) {
        let start = Instant::now();
        let facts = InletFacts {
            connected: true,
            opened: start,
            heard: start,
            expects: true,
            muted: false,
            replaceable: false,
            gone: false,
            bus,
        };
        (facts, start + MEDIA * 2)
    }

    #[test]
    fn a_parent_is_lost_when_its_signs_of_life_and_its_media_are_gone() {
        let (facts, later) = inlet(Bus::Silent);
        assert!(facts.is_lost(CONNECT, later));
        assert!(!InletFacts { heard: later, ..facts }.is_lost(CONNECT, later), "media flows");
        assert!(!InletFacts { bus: Bus::Heard, ..facts }.is_lost(CONNECT, later), "it is heard");
        assert!(!InletFacts { muted: true, ..facts }.is_lost(CONNECT, later), "nothing was to come");
        let paused = InletFacts { expects: false, ..facts };
        assert!(!paused.is_lost(CONNECT, later), "all of it is paused");
        assert!(InletFacts { replaceable: true, ..paused }.is_lost(CONNECT, later), "others have it too");
        assert!(InletFacts { muted: true, bus: Bus::Over, ..facts }.is_lost(CONNECT, later));
    }

    #[test]
    fn where_nobody_listens_any_more_its_last_sign_of_life_is_not_waited_out() {
        let (facts, _) = inlet(Bus::Heard);
        let (soon, doubtful) = (facts.heard + DOUBT, facts.heard + DOUBT + Duration::from_millis(1));
        let gone = InletFacts { gone: true, ..facts };
        assert!(gone.is_lost(CONNECT, doubtful) && !gone.is_lost(CONNECT, soon));
        assert!(!facts.is_lost(CONNECT, doubtful) && facts.is_doubtful(doubtful), "it is asked");
        for flows_as_little in [InletFacts { muted: true, ..gone }, InletFacts { expects: false, ..gone }] {
            assert!(!flows_as_little.is_lost(CONNECT, doubtful + MEDIA));
        }
        assert!(!InletFacts { heard: doubtful, ..gone }.is_lost(CONNECT, doubtful), "media flows");
    }

    #[test]
    fn a_pipe_that_never_connects_is_lost() {
        let (facts, _) = inlet(Bus::Heard);
        let never = InletFacts { connected: false, ..facts };
        assert!(!never.is_lost(CONNECT, facts.opened + CONNECT));
        assert!(never.is_lost(CONNECT, facts.opened + CONNECT + MEDIA));
    }

    /// An outlet that has sent for a minute and last heard a report at its beginning.
    fn outlet(bus: Bus) -> (OutletFacts, Instant) {
        let start = Instant::now();
        let now = start + Duration::from_secs(60);
        let sent = Some((now, start));
        let facts = OutletFacts {
            connected: true,
            opened: start,
            heard: start,
            sent,
            renewed: start,
            seen: start + FORSAKEN,
            idle: false,
            settled: true,
            bus,
        };
        (facts, now)
    }

    #[test]
    fn an_edge_is_lost_when_it_is_silent_on_the_bus_and_reports_nothing_of_what_it_is_sent() {
        let (facts, now) = outlet(Bus::Silent);
        assert!(facts.is_lost(CONNECT, LEASE, now));
        let reports = OutletFacts { heard: now - Duration::from_secs(8), ..facts };
        assert!(!reports.is_lost(CONNECT, LEASE, now), "reports on sound come each 2.5 to 7.5 s");
        let muted = OutletFacts { sent: None, ..facts };
        assert!(!muted.is_lost(CONNECT, LEASE, now), "nothing was sent");
        assert!(
            OutletFacts { seen: now - FORSAKEN - MEDIA, ..muted }.is_lost(CONNECT, LEASE, now),
            "it is gone for good"
        );
        assert!(OutletFacts { idle: true, ..muted }.is_lost(CONNECT, LEASE, now), "nothing can be");
        let began = Some((now, now - Duration::from_secs(3)));
        assert!(!OutletFacts { sent: began, ..facts }.is_lost(CONNECT, LEASE, now), "none is due yet");
    }

    #[test]
    fn an_edge_that_is_there_has_to_renew_unless_it_reports() {
        let (facts, now) = outlet(Bus::Heard);
        assert!(facts.is_lost(CONNECT, LEASE, now));
        assert!(!OutletFacts { heard: now, ..facts }.is_lost(CONNECT, LEASE, now));
        assert!(!OutletFacts { renewed: now, ..facts }.is_lost(CONNECT, LEASE, now));
        assert!(!OutletFacts { settled: false, ..facts }.is_lost(CONNECT, LEASE, now), "the bus is away");
    }

    #[test]
    fn a_pipe_whose_ends_never_associate_is_given_up_unless_media_comes() {
        let start = Instant::now();
        let mut association = Association::new(start);
        association.note(false, false, start + APART);
        assert!(!association.is_broken(start, start + APART + MEDIA), "nobody is there yet");
        association.note(false, true, start + APART * 2);
        assert!(association.is_broken(start, start + APART * 2));
        assert!(!association.is_broken(start + APART * 2, start + APART * 2), "media comes");
        association.note(true, true, start + APART * 2);
        assert!(!association.is_broken(start, start + APART * 9));
        association.note(false, true, start + APART * 9);
        assert!(!association.is_broken(start, start + APART * 9), "it was there until just now");
    }
}
