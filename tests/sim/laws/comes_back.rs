//! Within five seconds of the last fault's end each viewer of a live stream, on every node, has media of
//! the owner.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::protocol::data::ProducerKind;
use headwater::protocol::ids::ProducerId;

use crate::media::Codec;
use crate::users::Where;
use crate::world::{Mid, World};

const WITHIN: Duration = Duration::from_secs(5);
/// Media that arrived within this long is there.
const FRESH: Duration = Duration::from_millis(800);

impl World {
    pub(super) fn law_comes_back(&self) -> Result<(), String> {
        if self.calm() < WITHIN {
            return Ok(());
        }
        let mut flowing = BTreeMap::new();
        for id in 0..self.clients.len() {
            let viewer = &self.clients[id];
            if viewer.publishes || !viewer.wants {
                continue;
            }
            let flows = flowing.entry((&viewer.room, &viewer.stream)).or_insert_with(|| self.flows(id));
            let Some(producers) = flows else { continue };
            if self.now - viewer.since < self.patience(producers) || self.calm() < self.patience(producers) {
                continue;
            }
            let Some(pid) = viewer.pid() else {
                if viewer.state != Where::Pausing || self.can_be_served(id) {
                    return Err(self.story_of(id, "is not let in"));
                }
                continue;
            };
            let mid = self.nodes[pid].mid;
            // What its node can't take, no viewer there gets.
            let of_ear = |kind: ProducerKind| viewer.ear.map_or(!kind.is_data(), |ear| ear == kind);
            let wanted = producers.iter().filter(|(_, codec)| of_ear(codec.kind()));
            let mut taken = wanted.filter(|(_, codec)| self.takes(mid, *codec)).peekable();
            if taken.peek().is_none() {
                continue;
            }
            for (producer, codec) in taken {
                let got = viewer.got.get(codec.kind());
                if !got.is_some_and(|(of, at)| of == producer && self.now - *at <= FRESH) {
                    return Err(self.story_of(id, &format!("gets no {codec:?} of its owner")));
                }
            }
        }
        Ok(())
    }

    /// What the owner of a viewer's stream has sent for long enough; none where nothing must arrive.
    fn flows(&self, id: usize) -> Option<Vec<(ProducerId, Codec)>> {
        let viewer = &self.clients[id];
        let stream = (viewer.room.clone(), viewer.stream.clone());
        let mut live = self.truth.live(&stream);
        let owner = live.next()?;
        if live.next().is_some() {
            return None;
        }
        let publisher = &self.clients[owner.client];
        let patience = self.patience(&owner.sends);
        let long = |since| self.now.saturating_sub(since) >= patience;
        let flows = !publisher.muted && publisher.is_up() && long(publisher.sends_since);
        if !flows || owner.paused || !long(owner.since) || !long(owner.paused_at) {
            return None;
        }
        Some(owner.sends.clone())
    }

    /// A relay that lacks a codec is passed over only once its share hasn't become the whole, one after the other.
    fn patience(&self, producers: &[(ProducerId, Codec)]) -> Duration {
        let everywhere = |codec: &Codec| match codec {
            Codec::Opus | Codec::Messages => true,
            Codec::Video(video) => self.common.contains(video),
        };
        let all = producers.iter().all(|(_, codec)| everywhere(codec));
        // Where nodes feed few others, one that has room is found from the top of the tree downwards.
        if all && self.wide { WITHIN } else { WITHIN * 2 }
    }

    fn takes(&self, mid: Mid, codec: Codec) -> bool {
        match codec {
            Codec::Opus | Codec::Messages => true,
            Codec::Video(video) => self.machines[mid].codecs.contains(&video),
        }
    }

    /// Whether some node that serves could take the viewer.
    fn can_be_served(&self, id: usize) -> bool {
        let Some(producers) = self.flows(id) else { return false };
        self.machines.iter().any(|machine| {
            let serves = machine.process.is_some_and(|pid| !self.nodes[pid].is_draining());
            let takes = producers.iter().all(|(_, codec)| self.takes(machine.mid, *codec));
            serves && takes && machine.has(headwater::protocol::presence::Role::Edge)
        })
    }

    fn story_of(&self, id: usize, what: &str) -> String {
        let viewer = &self.clients[id];
        let stream = (viewer.room.clone(), viewer.stream.clone());
        let owner = self.truth.live(&stream).next().map(|own| self.nodes[own.pid].name());
        let at = match viewer.pid() {
            Some(pid) => self.nodes[pid].name(),
            None => "no node".to_owned(),
        };
        format!(
            "viewer {id} of {}/{} at {at} ({:?}) {what}, {owner:?}; calm for {:?}, it wants it since {:?}; got {:?}",
            stream.0,
            stream.1,
            viewer.state,
            self.calm(),
            viewer.since,
            viewer.got,
        )
    }
}
