//! Bytes to messages and back: MessagePack with named fields, ids and addresses as text.

use rmp_serde::config::BytesMode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::ids::Incarnation;
use super::refusal::{Code, Refusal};

/// The protocol's version: raised when a message changes so that an older node would misread it.
pub const VERSION: u16 = 2;

/// How deep a message may nest: bounds the decoder's stack on hostile input.
const MAX_DEPTH: usize = 32;

/// What goes over the wire: a version and one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message<T> {
    /// See [`VERSION`].
    pub version: u16,
    /// The message itself.
    pub message: T,
}

/// A request, and which process of its subject's node is meant: another one of that name stays silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressed<T> {
    /// The process.
    pub to: Incarnation,
    /// What is asked of it.
    pub request: T,
}

/// A reply: what was asked for, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reply<T> {
    /// It was done.
    Ok(T),
    /// It was not done, and nothing has changed.
    Error(Refusal),
}

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not the MessagePack of this message.
    #[error("malformed message: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
    /// The text is not the JSON of this message.
    #[error("malformed message: {0}")]
    Json(#[from] serde_json::Error),
    /// Bytes follow the message.
    #[error("malformed message: {0} bytes follow it")]
    Trailing(usize),
    /// Another version of the protocol.
    #[error("message of protocol version {0}, this node speaks {VERSION}")]
    Version(u16),
    /// More bytes than the configured limit.
    #[error("message of {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes received.
        size: usize,
        /// Bytes accepted.
        limit: usize,
    },
}

impl From<&DecodeError> for Refusal {
    fn from(error: &DecodeError) -> Self {
        let code = match error {
            DecodeError::Malformed(_) | DecodeError::Json(_) | DecodeError::Trailing(_) => Code::Malformed,
            DecodeError::Version(_) => Code::WrongVersion,
            DecodeError::TooLarge { .. } => Code::TooLarge,
        };
        Refusal::new(code, error.to_string())
    }
}

/// The bytes of a message.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = rmp_serde::Serializer::new(&mut bytes)
        .with_struct_map()
        .with_human_readable()
        .with_bytes(BytesMode::Normal);
    Message { version: VERSION, message }.serialize(&mut serializer)?;
    Ok(bytes)
}

/// The message in `bytes`; unknown fields are ignored, at most `limit` bytes are read.
///
/// # Errors
/// [`DecodeError`], never a panic.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { size: bytes.len(), limit });
    }
    // The version is read first, so that a newer message fails as such and not as malformed.
    let header: Message<IgnoredAny> = read(bytes)?;
    if header.version != VERSION {
        return Err(DecodeError::Version(header.version));
    }
    let message: Message<T> = read(bytes)?;
    Ok(message.message)
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// MessagePack, as nodes write.
    MessagePack,
    /// JSON, for those who have no other codec.
    Json,
}

impl Form {
    /// How a message was written: no MessagePack of ours begins like an object of JSON.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.trim_ascii_start().first() {
            Some(b'{') => Self::Json,
            _ => Self::MessagePack,
        }
    }

    /// The bytes of a message.
    ///
    /// # Errors
    /// [`EncodeError`]: those of the message's own serialisation.
    pub fn encode<T: Serialize>(self, message: &T) -> Result<Vec<u8>, EncodeError> {
        Ok(match self {
            Self::MessagePack => encode(message)?,
            Self::Json => serde_json::to_vec(&Message { version: VERSION, message })?,
        })
    }

    /// The message in `bytes`; at most `limit` bytes are read.
    ///
    /// # Errors
    /// [`DecodeError`], never a panic.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
        match self {
            Self::MessagePack => decode(bytes, limit),
            Self::Json => decode_json(bytes, limit),
        }
    }
}

/// Why a message is no bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// As MessagePack.
    #[error(transparent)]
    MessagePack(#[from] rmp_serde::encode::Error),
    /// As JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn decode_json<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { size: bytes.len(), limit });
    }
    let header: Message<IgnoredAny> = serde_json::from_slice(bytes)?;
    if header.version != VERSION {
        return Err(DecodeError::Version(header.version));
    }
    Ok(serde_json::from_slice::<Message<T>>(bytes)?.message)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut deserializer = rmp_serde::Deserializer::new(bytes).with_human_readable();
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer)?;
    let rest = deserializer.get_ref().len();
    if rest > 0 { Err(DecodeError::Trailing(rest)) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::edge::{EdgeRequest, GetRemoteRouterInfo};
    use crate::protocol::ids::Token;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn request() -> EdgeRequest {
        EdgeRequest::GetRemoteRouterInfo(GetRemoteRouterInfo {
            room_id: "ch-11".parse().unwrap(),
            token: Token(Uuid::from_u128(7)),
        })
    }

    #[test]
    fn a_message_of_another_version_is_named_as_such() {
        let bytes = rmp_serde::to_vec_named(&Message { version: 9, message: "?" }).unwrap();
        let error = decode::<EdgeRequest>(&bytes, 1024).unwrap_err();
        assert!(matches!(error, DecodeError::Version(9)), "{error}");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        enum Newer {
            #[serde(rename_all = "camelCase")]
            GetRemoteRouterInfo { room_id: &'static str, token: Uuid, colour: u8 },
        }
        let bytes =
            encode(&Newer::GetRemoteRouterInfo { room_id: "ch-11", token: Uuid::from_u128(7), colour: 3 })
                .unwrap();
        assert_eq!(decode::<EdgeRequest>(&bytes, 1024).unwrap(), request());
    }

    #[test]
    fn size_and_trailing_bytes_are_checked() {
        let mut bytes = encode(&request()).unwrap();
        assert!(matches!(decode::<EdgeRequest>(&bytes, 4), Err(DecodeError::TooLarge { .. })));
        bytes.push(0);
        assert!(matches!(decode::<EdgeRequest>(&bytes, 1024), Err(DecodeError::Trailing(1))));
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<EdgeRequest>(&bytes, 256);
        }

        #[test]
        fn a_damaged_message_is_an_error_and_never_a_panic(at in 0usize..1000, to in any::<u8>()) {
            let mut bytes = encode(&request()).unwrap();
            let index = at % bytes.len();
            bytes[index] = to;
            let _ = decode::<EdgeRequest>(&bytes, 1024);
        }
    }
}
