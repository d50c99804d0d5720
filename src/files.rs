//! How many files, sockets among them, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many it may have open now: the soft limit, which is low for the sake of old programs.
pub(crate) fn allowed() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises that to `wanted`, as far as the hard limit permits; answers how many it may have open then.
///
/// # Errors
/// If the system refuses what its own limit permits.
pub(crate) fn allow(wanted: u64) -> rustix::io::Result<u64> {
    let limits = getrlimit(Resource::Nofile);
    let soft = allowed();
    let permitted = limits.maximum.map_or(wanted, |hard| hard.min(wanted));
    if soft < permitted {
        setrlimit(Resource::Nofile, Rlimit { current: Some(permitted), ..limits })?;
    }
    Ok(soft.max(permitted))
}
