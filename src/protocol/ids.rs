//! Names that people choose and ids that nodes make.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name, in bytes.
pub const MAX_NAME: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {MAX_NAME} characters of A-Z, a-z, 0-9, '_' and '-'")]
pub struct NameError {
    what: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Cow<'_, str>", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Ord for $type {
            /// That of the texts; a name is mostly compared with a copy of itself, whose text is the same one.
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits = (1..=MAX_NAME).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if fits { Ok(Self(text.into())) } else { Err(NameError { what: $what }) }
            }
        }

        impl TryFrom<Cow<'_, str>> for $type {
            type Error = NameError;

            fn try_from(text: Cow<'_, str>) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})
            }
        }
    };
}

name!(
    /// A room: what viewers join; a single NATS token.
    RoomId,
    "a room name"
);
name!(
    /// One publisher's stream in a room; `main` unless named.
    StreamName,
    "a stream name"
);
name!(
    /// A node of the fleet.
    NodeName,
    "a node name"
);
name!(
    /// The datacenter label of a node.
    Region,
    "a region"
);

macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $type(pub Uuid);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// One process start of a node (uuid v7): fences a restarted node from its former self.
    Incarnation
);
id!(
    /// One attempt at a pipe between two nodes for one room (uuid v7).
    PipeId
);
id!(
    /// One publication of a stream (uuid v4, so that no clock is in it): from a publisher's connection
    /// to its end.
    PublicationId
);
id!(
    /// What an edge made for a join and told that parent alone (uuid v4): it proves, in every message
    /// about the pipe, that the two asked each other.
    Token
);
id!(
    /// One session (uuid v4): unguessable. Of WHIP and WHEP it is part of the address; of the session API whoever knows it
    /// acts for it. Each of its connections has one, too.
    SessionId
);
id!(
    /// A mediasoup router.
    RouterId
);
id!(
    /// A mediasoup producer; a pipe producer keeps the id of the original.
    ProducerId
);
id!(
    /// What a participant is sent of a producer.
    ConsumerId
);

impl StreamName {
    /// The first of all names in their order.
    pub fn first() -> Self {
        Self("-".into())
    }
}

impl Default for StreamName {
    fn default() -> Self {
        Self("main".into())
    }
}

/// A node as its peers know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Its process start.
    pub incarnation: Incarnation,
    /// Its datacenter.
    pub region: Region,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_one_nats_token() {
        for bad in ["", "a b", "a.b", "*", ">", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<RoomId>().is_err(), "{bad:?}");
        }
        assert_eq!("Room_1-a".parse::<RoomId>().unwrap().as_str(), "Room_1-a");
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_a_clear_error(text in ".{0,80}") {
            match text.parse::<StreamName>() {
                Ok(name) => prop_assert_eq!(name.as_str(), text),
                Err(error) => prop_assert!(error.to_string().contains("1 to 64")),
            }
        }
    }
}
