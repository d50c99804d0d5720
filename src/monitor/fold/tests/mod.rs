//! What holds for every history, and what a user would notice of small ones.

#[path = "../../../../tests/integration/support/history.rs"]
mod history;
mod laws;
mod life;
