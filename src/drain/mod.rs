//! Whether this node takes anything new, and an operator's wish that another does not.
//!
//! [`Duty`] is why it doesn't: an operator's wish, which can be undone, or that the node ends, which can't.
//! The handle carries an operator's wish to any node, and answers those that reach this one.

mod duty;
mod handle;

pub use duty::Duty;
pub use handle::{DrainError, DrainHandle, left};
