//! What happens next, as the dice say.

use std::collections::BTreeMap;
use std::time::Duration;

use super::crew::Crew;
use super::dice::Dice;
use super::machines::{COUNT, Machines};
use super::{STREAMS, VIEWERS};

/// So many nodes are left alone at any time.
const LEFT: usize = 4;

/// What has happened so far, and how often.
#[derive(Debug, Default)]
pub(super) struct Story {
    acts: BTreeMap<&'static str, usize>,
}

impl Story {
    /// One more thing happens.
    pub(super) async fn goes_on(
        &mut self,
        at: Duration,
        dice: &mut Dice,
        machines: &mut Machines,
        crew: &mut Crew,
    ) {
        machines.look().await;
        let (node, other, stream) = (dice.below(COUNT), dice.below(COUNT), dice.below(STREAMS));
        let (short, both) = (Duration::from_millis(1_000 + dice.below(7_000) as u64), dice.below(2) == 0);
        let spare = machines.running() > LEFT;
        let (act, done) = match dice.below(10) {
            0 | 1 => ("node killed", spare && machines.signal(node, "KILL", short)),
            2 | 3 => ("node drained", spare && machines.signal(node, "TERM", short)),
            4 => ("datacenters cut off", machines.part(short)),
            5 => ("media dropped", machines.drop_media([node, other], both, short)),
            6 => ("NATS away", machines.stop_bus(short)),
            7 => {
                crew.publish(stream, node);
                ("publisher moved", true)
            }
            _ => {
                crew.watch(stream, node);
                if crew.viewers().len() > VIEWERS {
                    crew.one_leaves();
                }
                ("viewer changed", true)
            }
        };
        if done {
            println!("{:>7.1} s {act}: node {node} and {other}, room-{stream}, {short:?}", at.as_secs_f64());
            *self.acts.entry(act).or_default() += 1;
        }
    }

    pub(super) fn print(&self) {
        println!("{:?}", self.acts);
    }
}
