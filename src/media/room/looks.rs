//! What is seen of a room's media, and what follows from it without anybody asking.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use futures_util::future::join_all;

use super::RoomMedia;
use crate::media::inlet::Inlet;
use crate::media::receiver::Receiver;
use crate::media::spread::Spread;
use crate::media::uplink::Uplink;
use crate::media::viewer::Viewer;
use crate::media::{Counts, FeedId, Measured, ViewerFlow, adapt, session};
use crate::protocol::ids::{PipeId, ProducerId, SessionId};

impl RoomMedia {
    /// Finds what an event told that was lost, and closes what has lingered long enough.
    pub async fn look(&mut self) {
        let inlets = self.inlets.values().flat_map(Inlet::arrived);
        let spreads = self.spreads.iter().flatten().flat_map(Spread::arrived);
        let arrived: Vec<_> = inlets.chain(spreads).collect();
        for feed in arrived {
            self.first_packet(feed).await;
        }
        for session in self.moving.iter().copied().collect::<Vec<_>>() {
            self.moved(session).await;
        }
        self.let_go(Instant::now());
    }

    /// Closes what was replaced, once nobody is sent it or its time is over: first who is sent it, then itself.
    fn let_go(&mut self, now: Instant) {
        for outlet in self.outlets.values_mut() {
            outlet.let_go(now);
        }
        let meant: HashSet<_> =
            self.inlets.iter().flat_map(|(pipe, inlet)| self.meant(*pipe, inlet)).collect();
        for (index, spread) in self.spreads.iter_mut().enumerate() {
            let Some(spread) = spread else { continue };
            let viewers = || self.viewers.values().filter(|viewer| viewer.spread == Some(index));
            let receivers = || self.receivers.values().filter(|receiver| receiver.spread == Some(index));
            let unused = |feed: &FeedId| {
                let published = self.uplinks.values().any(|it| it.producer(ProducerId(feed.0)).is_some());
                !published
                    && !meant.contains(feed)
                    && !viewers().any(|viewer| viewer.is_sent(*feed))
                    && !receivers().any(|receiver| receiver.is_sent(*feed))
            };
            let unused: Vec<_> = spread.homes().filter(unused).collect();
            unused.into_iter().for_each(|feed| spread.stop(feed));
        }
        let former = self.inlets.values().flat_map(|inlet| inlet.former(now));
        let over: Vec<_> = former.filter(|(feed, is_late)| *is_late || !self.is_sent(*feed)).collect();
        for (feed, _) in over {
            self.inlets.values_mut().for_each(|inlet| inlet.close(feed));
            self.forget(feed);
        }
    }

    /// What producers mean, of that which a pipe brings.
    fn meant(&self, pipe: PipeId, inlet: &Inlet) -> impl Iterator<Item = FeedId> {
        let ids = inlet.ids().filter(move |id| self.comes_by.get(id) == Some(&pipe));
        ids.filter_map(|id| inlet.feed_of(id))
    }

    /// Whether anyone is sent a feed.
    fn is_sent(&self, feed: FeedId) -> bool {
        self.viewers.values().any(|viewer| viewer.is_sent(feed))
            || self.receivers.values().any(|receiver| receiver.is_sent(feed))
            || self.outlets.values().any(|outlet| outlet.is_sent(feed))
    }

    /// The first packet of a feed has arrived: only now a key-frame request can reach its source. Again, or of one
    /// that has ended, is no error.
    pub async fn first_packet(&mut self, feed: FeedId) {
        for inlet in self.inlets.values_mut() {
            if inlet.first_packet_seen(feed).await {
                return self.request_key_frames(feed).await;
            }
        }
        for (index, spread) in self.spreads.iter_mut().enumerate() {
            let Some(spread) = spread else { continue };
            let Some(home) = spread.home_of(feed) else { continue };
            if spread.first_packet_seen(feed).await {
                for viewer in self.viewers.values().filter(|viewer| viewer.spread == Some(index)) {
                    viewer.request_key_frame(home).await;
                }
                for receiver in self.receivers.values().filter(|receiver| receiver.spread == Some(index)) {
                    receiver.request_key_frame(home).await;
                }
            }
        }
    }

    /// Chooses the layers of viewers without a bandwidth estimate, of each about once a second. `may_try` tells
    /// whether they may try higher ones now: those of a room together, as each needs a key frame of everybody's.
    pub async fn adapt(&mut self, may_try: bool) {
        let now = Instant::now();
        let due: Vec<_> = self
            .viewers
            .iter()
            .filter_map(|(session, viewer)| Some((*session, viewer.adapts_from(now)?)))
            .collect();
        let mut rates = HashMap::new();
        for (_, home) in &due {
            if !rates.contains_key(home)
                && let Some(producer) = self.producer(*home)
            {
                rates.insert(*home, adapt::rates(producer).await);
            }
        }
        let due: HashMap<_, _> = due.into_iter().collect();
        let looks = self.viewers.iter_mut().filter_map(|(session, viewer)| {
            let home = *due.get(session)?;
            Some(viewer.adapt(home, rates.get(&home)?, may_try, &self.engine.metrics, now))
        });
        join_all(looks).await;
    }

    /// Asks for a key frame of a feed of the home router, for all that it is sent to.
    async fn request_key_frames(&self, feed: FeedId) {
        for outlet in self.outlets.values() {
            outlet.request_key_frame(feed).await;
        }
        for spread in self.spreads.iter().flatten() {
            spread.request_key_frame(feed).await;
        }
        for viewer in self.viewers.values().filter(|viewer| viewer.spread.is_none()) {
            viewer.request_key_frame(feed).await;
        }
        for receiver in self.receivers.values().filter(|receiver| receiver.spread.is_none()) {
            receiver.request_key_frame(feed).await;
        }
    }

    /// What flows now through publishers and pipes. All are asked at once: each answer is a worker's.
    pub async fn measure(&mut self) -> Measured {
        let turns = self.turns.take(|session| self.viewers.contains_key(session));
        let viewers = turns.iter().filter_map(|session| self.viewers.get_key_value(session));
        let (uplinks, viewers, outlets, inlets) = tokio::join!(
            join_all(self.uplinks.iter_mut().map(async |(id, uplink)| (*id, uplink.flow().await))),
            join_all(viewers.map(async |(id, viewer)| (*id, session::flow(&viewer.transport).await))),
            join_all(self.outlets.iter().map(async |(id, outlet)| (*id, outlet.flow().await))),
            join_all(self.inlets.iter().map(async |(id, inlet)| (*id, inlet.flow().await))),
        );
        let mut measured = Measured::default();
        let given = |(id, flow): (_, Option<_>)| Some((id, flow?));
        for (session, (flow, passing, producers)) in uplinks.into_iter().filter_map(given) {
            measured.uplinks.insert(session, flow);
            measured.sessions.insert(session, passing);
            measured.producers.extend(producers);
        }
        measured.sessions.extend(viewers.into_iter().filter_map(|(id, flow)| Some((id, flow?))));
        measured.outlets.extend(outlets.into_iter().filter_map(|(id, flow)| Some((id, flow?))));
        for (pipe, (flow, producers)) in inlets {
            measured.inlets.extend(flow.map(|flow| (pipe, flow)));
            for (id, flow) in producers {
                match self.comes_by.get(&id) == Some(&pipe) {
                    true => _ = measured.producers.insert(id, flow),
                    false => _ = measured.coming.insert((pipe, id), flow),
                }
            }
        }
        measured
    }

    /// Looks at each packet of a publisher's videos, or no more.
    pub async fn inspect(&self, session: SessionId, on: bool) {
        if let Some(uplink) = self.uplinks.get(&session) {
            uplink.inspect(on).await;
        }
    }

    /// What a viewer is sent now.
    pub async fn viewer_flow(&self, session: SessionId) -> Option<ViewerFlow> {
        let viewer = self.viewers.get(&session)?;
        let (bitrate, estimate) = viewer.bitrates().await.unwrap_or_default();
        Some(ViewerFlow { bitrate, estimate, layer: viewer.layer(), adapted: viewer.adapted() })
    }

    #[cfg(test)]
    pub(in crate::media) fn paused_in_spreads(&self) -> Vec<bool> {
        self.spreads.iter().flatten().flat_map(Spread::paused).collect()
    }

    /// How many routers, connections, producers and consumers the room holds: for tests and operators.
    pub fn counts(&self) -> Counts {
        Counts {
            routers: 1 + self.spreads.iter().flatten().count(),
            transports: self.uplinks.len()
                + self.viewers.len()
                + self.receivers.len()
                + self.inlets.len()
                + self.outlets.len(),
            producers: self.uplinks.values().map(Uplink::producer_count).sum::<usize>()
                + self.inlets.values().map(Inlet::producer_count).sum::<usize>(),
            consumers: self.viewers.values().map(Viewer::consumer_count).sum::<usize>()
                + self.receivers.values().map(Receiver::consumer_count).sum::<usize>(),
        }
    }
}
