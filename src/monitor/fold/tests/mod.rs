//! What holds for every history, and what a user would notice of small ones.

mod fleet;
#[path = "../../../../tests/integration/support/history.rs"]
mod history;
mod laws;
mod life;
mod owner;
