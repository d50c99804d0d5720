//! Many viewers and publishers from one process, and what they and the servers make of it.
//!
//! Sessions are those of [`client`](crate::client), shared among a few threads (`crew.rs`), each with a runtime for
//! itself. `run.rs` leads them through ramp, steady phase and end, and looks at the processes (`proc/`) of servers on
//! this machine; `report.rs` is what comes of it. Which viewer goes where (`plan.rs`) and all sums are values.

mod crew;
mod descriptors;
mod gauge;
mod outcome;
mod plan;
mod proc;
mod report;
mod run;
mod servers;
mod table;
mod tally;
mod timing;

pub use outcome::Outcomes;
pub use plan::{LoadError, LoadOptions, Rate};
pub use report::{LoadReport, Own, Publishers, ServerReport, Viewers};
pub use run::{Phase, Progress, run};
pub use tally::{Flow, Pictures};
pub use timing::Quantiles;
