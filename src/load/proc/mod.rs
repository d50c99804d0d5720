//! What the system tells of processes, threads and sockets (proc(5)). Linux alone; elsewhere nothing is known.

mod sockets;
mod usage;

pub(super) use sockets::{drops, listener};
pub(super) use usage::{Busy, Usage, busy, family, name, threads, usage};
