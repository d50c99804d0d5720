//! Both ends of a pipe compare all that they have, with each renewal: what was lost on the way is repaired.

use std::time::Instant;

use super::liveness::Bus;
use super::{Core, Moment};
use crate::protocol::ids::{PipeId, ProducerId};
use crate::protocol::origin::{CarriedProducer, CarriedStream, Joined, PipeHeld};

impl Core {
    /// What this node has from a pipe: told with each renewal.
    pub(super) fn held(&self, pipe: PipeId, now: Instant) -> Option<PipeHeld> {
        let inlet = self.upstream.of_pipe(pipe)?.inlet.as_ref()?;
        let moves = &self.upstream.moves;
        let here = self.sources.via(pipe).chain(moves.via(pipe)).map(|(_, source)| source);
        let producers = here.chain(moves.lingering(pipe)).flat_map(|source| &source.producers);
        let carried = producers.map(|producer| CarriedProducer {
            id: producer.id,
            paused: producer.paused,
            flowing: self.sources.is_flowing(producer.id, now),
        });
        Some(PipeHeld {
            pipe_id: pipe,
            revision: inlet.revision,
            producers: carried.collect(),
            refused: inlet.refused.iter().copied().collect(),
        })
    }

    /// Compares with the parent: what it no longer has ends here, pauses are taken over, and media that it
    /// gets but that doesn't come shows that the way between is broken.
    pub(super) fn compare(&mut self, joined: &Joined, m: &mut Moment<'_>) {
        let pipe = joined.pipe_id;
        let Some(parent) = self.upstream.of_pipe(pipe) else { return };
        let Some(inlet) = &parent.inlet else { return };
        let probed = inlet.probed;
        let silent = inlet.facts(true, false, false, Bus::Heard).is_silent(m.now);
        if joined.revision < inlet.revision {
            // Told of a later change already: the answer is older than that.
            return;
        }
        // What doesn't come there either is no longer promised here, whatever else this pipe brings.
        let flows = |carried: &&CarriedStream| carried.producers.iter().any(|it| it.flowing && !it.paused);
        let muted = joined.streams.iter().filter(|carried| !carried.producers.is_empty() && !flows(carried));
        self.upstream.take_back(muted.map(|carried| &carried.stream));
        let (mut ended, mut paused, mut flowing) = (Vec::new(), Vec::new(), Vec::new());
        for (stream, source) in self.sources.via(pipe) {
            let carried = joined.streams.iter().find(|carried| carried.stream == *stream);
            let has = |id: &ProducerId| carried.is_some_and(|c| c.producers.iter().any(|p| p.id == *id));
            ended.extend(source.refused.iter().filter(|id| !has(id)));
            for producer in &source.producers {
                let there = carried.and_then(|c| c.producers.iter().find(|p| p.id == producer.id));
                match there {
                    None => ended.push(producer.id),
                    Some(there) => {
                        if there.flowing && !there.paused {
                            flowing.push(stream.clone());
                        }
                        if there.paused != producer.paused {
                            paused.push((producer.id, there.paused));
                        }
                    }
                }
            }
        }
        for id in ended {
            self.close_pipe_producer(pipe, id, None, m);
        }
        for (id, is_paused) in paused {
            self.set_producer_paused(pipe, id, is_paused, m.now);
        }
        if !silent || probed.is_none() {
            return;
        }
        let flows = !flowing.is_empty();
        self.upstream.promise(flowing.into_iter(), m.now);
        if let Some(inlet) = self.upstream.inlet_mut(pipe) {
            inlet.muted = !flows;
            inlet.accused = flows.then(|| inlet.accused.unwrap_or(m.now));
        }
    }
}
