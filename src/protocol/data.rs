//! Messages beside media: data channels (RFC 8831), as mediasoup's data producers carry them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::claim::MAX_LABEL;
use super::rtp::{MediaKind, SctpStreamParameters};

/// What a producer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProducerKind {
    /// Sound.
    Audio,
    /// A picture.
    Video,
    /// Messages: what mediasoup calls a data producer.
    Data,
}

/// How messages are delivered. Ordered ones all arrive; of the others some may be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Whether they come in their order, and all of them.
    pub ordered: bool,
    /// After how many milliseconds one that is not ordered is sent again no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_packet_life_time: Option<u16>,
    /// How often one that is not ordered is sent again at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retransmits: Option<u16>,
    /// The subprotocol, in the words of whoever made the channel: at most 64 bytes.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub protocol: Box<str>,
}

/// What a pipe carries of a data producer. The messages are sealed with the producer's key all the way from its origin
/// (AES-256-GCM), because SRTP protects media alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipedData {
    /// The SCTP stream of the pipe.
    pub stream_id: u16,
    /// What opens the messages.
    pub key: SealKey,
    /// How they are delivered.
    #[serde(flatten)]
    pub channel: Channel,
}

/// What seals the messages of a data producer; written as base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealKey(pub [u8; 32]);

impl ProducerKind {
    /// Audio or video; none for messages.
    pub fn media(self) -> Option<MediaKind> {
        match self {
            Self::Audio => Some(MediaKind::Audio),
            Self::Video => Some(MediaKind::Video),
            Self::Data => None,
        }
    }

    /// Whether it sends messages, which may not come for long where all is well.
    pub fn is_data(self) -> bool {
        self == Self::Data
    }

    /// The kind as it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Data => "data",
        }
    }
}

impl From<MediaKind> for ProducerKind {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

impl Channel {
    /// How the messages of an SCTP stream are delivered.
    pub fn new(stream: SctpStreamParameters, protocol: &str) -> Self {
        Self {
            ordered: stream.ordered,
            max_packet_life_time: stream.max_packet_life_time,
            max_retransmits: stream.max_retransmits,
            protocol: protocol.into(),
        }
    }

    /// The same on an SCTP stream of that number.
    pub fn on(&self, stream_id: u16) -> SctpStreamParameters {
        let mut stream = SctpStreamParameters::new_ordered(stream_id);
        stream.ordered = self.ordered;
        stream.max_packet_life_time = self.max_packet_life_time;
        stream.max_retransmits = self.max_retransmits;
        stream
    }

    /// Whether it makes sense: what is ordered is never given up, and what isn't by one measure at most.
    pub fn is_sound(&self) -> bool {
        let limits =
            usize::from(self.max_packet_life_time.is_some()) + usize::from(self.max_retransmits.is_some());
        self.protocol.len() <= MAX_LABEL && limits <= usize::from(!self.ordered)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl Serialize for SealKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for SealKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("a key is 32 bytes of base64"))
    }
}

impl JsonSchema for SealKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SealKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "32 bytes of base64."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_never_given_up() {
        let channel = |ordered, life: Option<u16>, times: Option<u16>| Channel {
            ordered,
            max_packet_life_time: life,
            max_retransmits: times,
            protocol: "".into(),
        };
        assert!(channel(true, None, None).is_sound() && channel(false, None, None).is_sound());
        assert!(channel(false, Some(100), None).is_sound() && channel(false, None, Some(0)).is_sound());
        assert!(!channel(true, None, Some(1)).is_sound() && !channel(false, Some(1), Some(1)).is_sound());
        assert!(!Channel { protocol: "x".repeat(65).into(), ..channel(true, None, None) }.is_sound());
    }

    #[test]
    fn a_key_is_written_as_base64_and_shown_to_nobody() {
        let key = SealKey([7; 32]);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<SealKey>(&text).unwrap(), key);
        assert!(serde_json::from_str::<SealKey>("\"c2hvcnQ=\"").is_err());
        assert_eq!(format!("{key:?}"), "SealKey(…)");
    }
}
