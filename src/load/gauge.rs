//! Processor time and memory of servers and of this process, looked at now and then.

use std::time::{Duration, Instant};

use super::proc::{self, Busy, Usage};
use super::servers::Server;

/// What this process's threads that carry sessions are called.
pub(super) const THREAD: &str = "load-";

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) at: Instant,
    /// Of each server, in their order.
    pub(super) servers: Vec<Usage>,
    pub(super) own: Usage,
    /// Of each thread that carries sessions.
    pub(super) threads: Vec<Duration>,
    pub(super) machine: Option<Busy>,
}

impl Look {
    /// Reads some files of a few kilobytes.
    pub(super) fn now(servers: &[Server]) -> Self {
        Self {
            at: Instant::now(),
            servers: servers.iter().map(|server| proc::usage(&proc::family(server.pid))).collect(),
            own: proc::usage(&[std::process::id()]),
            threads: proc::threads(THREAD),
            machine: proc::busy(),
        }
    }

    /// Cores in use by each thread since `before`, 0 to 1.
    pub(super) fn shares(&self, before: &Self) -> Vec<f64> {
        let time = self.at.saturating_duration_since(before.at);
        self.threads.iter().zip(&before.threads).map(|(now, then)| cores(*now, *then, time)).collect()
    }
}

/// How many cores were in use.
pub(super) fn cores(now: Duration, before: Duration, time: Duration) -> f64 {
    let used = now.saturating_sub(before).as_secs_f64();
    if time.is_zero() { 0.0 } else { used / time.as_secs_f64() }
}

/// Processor time for each packet, in microseconds; none where there was none.
pub(super) fn micros_each(cpu: Duration, packets: u64) -> Option<f64> {
    (packets > 0).then(|| cpu.as_secs_f64() * 1_000_000.0 / packets as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_becomes_cores_and_costs() {
        let s = Duration::from_secs;
        assert_eq!(cores(s(25), s(10), s(10)), 1.5);
        assert_eq!((cores(s(1), s(2), s(1)), cores(s(2), s(1), s(0))), (0.0, 0.0));
        assert_eq!((micros_each(s(1), 100_000), micros_each(s(1), 0)), (Some(10.0), None));
    }
}
