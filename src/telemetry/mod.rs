//! What a node tells about itself: logs, trace ids and metrics.

pub mod log;
pub mod metrics;
pub mod trace;

pub use metrics::{Counted, Metrics};
pub use trace::Trace;
