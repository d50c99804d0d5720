//! The state as bytes, so that a monitor needn't read the whole log to go on.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::fold::State;

/// The version of the format: raised whenever the state changes its shape.
const VERSION: u16 = 2;

#[derive(Serialize, Deserialize)]
struct Snapshot<T> {
    version: u16,
    state: T,
}

/// Why a state can't be written or read. The log holds all, so reading that from its begin is always a
/// way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The state could not be written.
    #[error("the snapshot can't be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// The bytes are no snapshot.
    #[error("the snapshot is damaged, read the log from its begin: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
    /// Bytes follow the snapshot.
    #[error("the snapshot is damaged, read the log from its begin: {0} bytes follow it")]
    Trailing(usize),
    /// Another version of the format.
    #[error("the snapshot is of format {0} and not {VERSION}, read the log from its begin")]
    Version(u16),
}

/// The bytes of a state.
///
/// # Errors
/// [`SnapshotError::Encode`].
pub fn encode(state: &State) -> Result<Vec<u8>, SnapshotError> {
    // With names, as events leave out fields that are empty.
    Ok(rmp_serde::to_vec_named(&Snapshot { version: VERSION, state })?)
}

/// The state in `bytes`.
///
/// # Errors
/// [`SnapshotError`], never a panic.
pub fn decode(bytes: &[u8]) -> Result<State, SnapshotError> {
    // The version is read first, so that another one fails as such and not as malformed.
    let header: Snapshot<IgnoredAny> = read(bytes)?;
    if header.version != VERSION {
        return Err(SnapshotError::Version(header.version));
    }
    let snapshot: Snapshot<State> = read(bytes)?;
    Ok(snapshot.state)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SnapshotError> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes);
    let value = T::deserialize(&mut deserializer)?;
    let rest = deserializer.get_ref().len();
    if rest > 0 { Err(SnapshotError::Trailing(rest)) } else { Ok(value) }
}
