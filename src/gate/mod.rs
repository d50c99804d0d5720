//! Who is sent out, and which tokens are kept out for a while, on every node of the fleet alike.
//!
//! [`bars`] is a value: the bars that are known, how two sets of them become one. The task (`task`) owns it,
//! hears other nodes and tells them. The handle carries an operator's wish to every node and gathers what
//! came of it.

pub mod bars;
mod handle;
mod task;

pub use handle::{GateError, GateHandle, Outcome};
pub use task::Gate;
