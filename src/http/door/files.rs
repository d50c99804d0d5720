//! For how many connections the system lets this process have files.

use crate::files;

/// What the service's unit permits too: enough for all that the limits permit by default.
const ENOUGH: u64 = 65_536;

/// For how many connections of a listener there are files; the rest is for pipes, media over TCP and the other listener.
pub(super) fn connections() -> usize {
    let files = files::allow(ENOUGH).unwrap_or_else(|error| {
        tracing::warn!(%error, "the number of open files can't be raised");
        files::allowed()
    });
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
