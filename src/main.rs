//! The `headwater` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Also what the media workers allocate by: it gives back what a crowd needed once that has left.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    headwater::cli::main()
}
