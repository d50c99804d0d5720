//! The monitor: every room's history, live and at any past moment.
//!
//! [`fold`] makes a state of events, [`show`] makes views of the state; both are pure. [`projection`]
//! folds the log as it grows, [`past`] folds it up to a moment; [`api`] serves both.

mod api;
pub mod fold;
mod past;
mod process;
mod projection;
mod show;
pub mod snapshot;
mod sources;
pub mod text;
pub mod view;

pub use process::{Monitor, StartError};
