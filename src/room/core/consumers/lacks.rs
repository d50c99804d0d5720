//! What participants asked for and don't get: that may go on for ever, so it is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::effect::{Effect, Figure};
use super::super::{Core, Moment};
use super::{Consumer, Consuming, State};
use crate::protocol::ids::{ProducerId, StreamName};

/// What a participant lacks for so long is told.
const LONG: Duration = Duration::from_secs(10);

/// Since when a participant lacks what it asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lacked {
    since: Instant,
    told: bool,
}

impl Consuming {
    /// The producers that are lacked, and since when.
    pub(in crate::room::core) fn lacked(&self) -> impl Iterator<Item = (&StreamName, ProducerId, Instant)> {
        let lacked = |consumer: &Consumer| consumer.lacked.map(|lacked| lacked.since);
        self.consumers.values().filter_map(move |it| Some((&it.stream, it.producer, lacked(it)?)))
    }
}

impl Core {
    /// Whose messages can't pass the pipe that should bring them.
    fn barred(&self) -> BTreeSet<ProducerId> {
        let inlets = self.upstream.parents.values().filter_map(|parent| parent.inlet.as_ref());
        let apart = inlets.filter(|inlet| !inlet.association.is_there());
        let producers = apart.flat_map(|inlet| self.sources.via(inlet.id)).flat_map(|(_, it)| &it.producers);
        producers.filter(|producer| producer.kind.is_data()).map(|producer| producer.id).collect()
    }

    /// Tells what participants have lacked for long: once, and when it comes after all.
    pub(in crate::room::core) fn tell_of_lacks(&mut self, m: &Moment<'_>) {
        let (mut lacked, barred) = (Vec::new(), self.barred());
        for (_, attendant) in self.participants.iter_mut() {
            for consumer in attendant.consuming.consumers.values_mut() {
                if consumer.state == State::Open && !barred.contains(&consumer.producer) {
                    if consumer.lacked.take().is_some_and(|it| it.told) {
                        let (participant, stream, producer) =
                            (&attendant.name, &consumer.stream, consumer.producer);
                        tracing::info!(%participant, %stream, %producer, "what a participant lacked comes again");
                    }
                    continue;
                }
                let it = consumer.lacked.get_or_insert(Lacked { since: m.now, told: false });
                if !it.told && m.now.saturating_duration_since(it.since) >= LONG {
                    it.told = true;
                    lacked.push((attendant.name.clone(), consumer.stream.clone(), consumer.producer));
                }
            }
        }
        for (participant, stream, producer) in lacked {
            let origin_heard = !self.known.is_unheard(&stream, m);
            tracing::warn!(%participant, %stream, %producer, origin_heard, "what a participant asked for does not come");
            self.out.push(Effect::Count(Figure::Consumer("lacked")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::super::{Entrance, Input, Mint, Pass, Ticket};
    use super::*;
    use crate::config::Config;
    use crate::fleet::samples::{PATIENCE, claim, peer};
    use crate::fleet::{Fleet, Notice};
    use crate::protocol::ids::RouterId;
    use crate::protocol::ids::SessionId;
    use crate::protocol::rtc::{Consume, CreateWebRtcTransport, Direction, May, RtcRequest};
    use crate::protocol::rtp::RtpCapabilities;

    const SESSION: SessionId = SessionId(Uuid::from_u128(7));

    #[test]
    fn what_does_not_come_for_long_is_told_once_and_shown() {
        let start = Instant::now();
        let me = peer("me", 1, "west");
        let mut config = Config::default();
        config.timeouts.join = Duration::from_secs(60);
        let room = "news".parse().unwrap();
        let mut core = Core::new(room, me.clone(), RouterId(Uuid::nil()), Arc::new(config), start);
        let ann = claim("news", "ann", "other", 1, 1);
        let (stream, wanted) = (ann.stream.clone(), ann.producers[0].id);
        let (room, claims) = (ann.room_id.clone(), vec![Arc::new(ann)]);
        core.learn(Notice { room, stream, claims, term: 1, since: Some(start), ended: None });
        let fleet = Fleet::new(me, PATIENCE);
        let mut mint = Mint::new(0, |state| {
            *state += 1;
            *state
        });
        let (wall, mint) = (DateTime::default(), &mut mint);
        let mut m = Moment { now: start, wall, fleet: &fleet, draining: false, log: 1, mint };
        let may = May { publish: false, subscribe: true, moderate: false };
        let name = "ben".parse().unwrap();
        let entrance =
            Entrance { session: SESSION, name, app_data: Default::default(), may, pass: Pass::default() };
        core.handle(Input::Enter(Ticket(1), entrance), &mut m);
        let create = CreateWebRtcTransport { direction: Direction::Recv, sctp: false };
        let rtp_capabilities = Some(RtpCapabilities::default());
        let consume = Consume { producer_id: wanted, rtp_capabilities, paused: false };
        let asks = [RtcRequest::CreateWebRtcTransport(create), RtcRequest::Consume(consume)];
        for (ticket, request) in (2..).zip(asks) {
            core.handle(Input::Rtc(Ticket(ticket), SESSION, Box::new(request)), &mut m);
        }
        let mut told = Vec::new();
        for looks in 0..80 {
            let passed = looks * Duration::from_millis(250);
            m.now = start + passed;
            let effects = core.handle(Input::Look(None), &mut m);
            let lacked = |effect: &Effect| matches!(effect, Effect::Count(Figure::Consumer("lacked")));
            told.extend(effects.iter().filter(|effect| lacked(effect)).map(|_| passed));
        }
        assert_eq!(told, [LONG]);
        let view =
            core.view(Vec::new(), Default::default(), |_| None, &Moment { now: start + 2 * LONG, ..m });
        let [ben] = &view.participants[..] else { panic!("{view:?}") };
        let lacks: Vec<_> =
            ben.lacks.iter().map(|lack| (lack.stream.as_str(), lack.producer, lack.for_ms)).collect();
        assert_eq!((ben.consumers, lacks), (1, vec![("ann", wanted, 20_000)]));
    }
}
