//! How many files, sockets among them, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the service's unit permits too: enough for all that the limits permit by default.
const ENOUGH: u64 = 65_536;

/// For how many connections of a listener there are files; the rest is for pipes, media over TCP and the other listener.
/// The soft limit, which is low for the sake of old programs, is raised before, as far as the hard one permits.
pub(super) fn connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.map_or(ENOUGH, |hard| hard.min(ENOUGH));
    let soft = limits.current.unwrap_or(u64::MAX);
    let raised = soft < wanted
        && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits })
            .inspect_err(|error| tracing::warn!(%error, "the number of open files can't be raised"))
            .is_ok();
    let files = if raised { wanted } else { soft };
    usize::try_from(files / 4).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_files_for_connections() {
        let most = connections();
        assert!(most > 64, "{most}");
        assert_eq!(most, connections());
    }
}
