//! How many sockets this process may have.

use super::LoadError;
use crate::files;

/// Beside the sessions: the system's own, and connections for HTTP, of which each thread keeps some.
const BESIDE: u64 = 256;

/// Raises the limit, as far as the system permits, so that so many sessions fit.
pub(super) fn allow(sessions: usize) -> Result<(), LoadError> {
    let needed = needed(sessions);
    let allowed = files::allow(needed)
        .map_err(|error| LoadError::System { what: "raising the number of sockets", source: error.into() })?;
    if allowed < needed { Err(LoadError::Descriptors { needed, allowed }) } else { Ok(()) }
}

/// A UDP socket each, and at worst an HTTP connection while it begins or ends.
fn needed(sessions: usize) -> u64 {
    let sessions = u64::try_from(sessions).unwrap_or(u64::MAX);
    sessions.saturating_mul(2).saturating_add(BESIDE)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    use super::*;

    #[test]
    fn what_fits_is_allowed_and_what_does_not_is_told() {
        allow(10).unwrap();
        // No system allows as many as there are numbers.
        let hard = getrlimit(Resource::Nofile).maximum;
        match allow(usize::MAX) {
            Err(error @ LoadError::Descriptors { .. }) => {
                assert!(error.to_string().contains("ulimit -n"), "{error}");
            }
            other => assert!(hard.is_none(), "{other:?}"),
        }
    }
}
