//! Messages are bounded: in calm, each node sends little; after a fault, not much more.

use std::time::Duration;

use crate::world::World;

/// From then on it is calm.
const SETTLED: Duration = Duration::from_secs(12);

/// For how long a stream's beginning or end is felt.
const LATELY: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Quiet {
    before: Vec<u64>,
}

impl World {
    /// Looks once a second.
    pub(super) fn law_quiet(&mut self) -> Result<(), String> {
        let sent = self.bus.sent.clone();
        let before = std::mem::replace(&mut self.laws.quiet.before, sent.clone());
        let machines = self.machines.len() as u64;
        let clients = self.clients.len() as u64;
        let calm = self.calm() >= SETTLED;
        let changes = self.truth.changes_since(self.now.saturating_sub(LATELY));
        for (mid, (sent, before)) in sent.iter().zip(before).enumerate() {
            let messages = sent - before;
            // A beat; renewals and probes of each room with each other node; what users do right now, and a new tree
            // for each stream that has begun or ended.
            let users = 4 * clients + 8 * machines * changes;
            let most =
                if calm { 10 + 3 * machines + users } else { 40 + 30 * machines + 30 * clients + users };
            if messages > most {
                let why = format!("{} sent {messages} messages in a second", self.machines[mid].label());
                return Err(why);
            }
        }
        Ok(())
    }
}
