//! Who is sent out, and which tokens are kept out for a while: asked of a node on `node.<node>.gate`, with
//! bars summed up on `node.<node>.bars`.
//!
//! Bars are a set that only grows together: of two bars of one token the one with the higher version holds
//! ([`Bar::rank`]), and one that is lifted stays until it would have ended, so that nobody who missed that
//! brings it back. Whoever hears another digest than its own asks for the bars and merges them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::ViewerId;
use super::ids::{NodeName, Peer, ProducerId, RoomId, StreamName};

/// The longest value of a [`TokenKey`], in bytes.
pub const MAX_KEY: usize = 256;

/// What a token goes by: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TokenKey {
    /// The `jti` of a signed token: that one alone.
    Id(String),
    /// The `sub` of signed tokens: all that this subject has.
    Subject(String),
    /// The name of a configured token (`auth.tokens`).
    Name(String),
}

/// A token is kept out until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bar {
    /// The token.
    pub token: TokenKey,
    /// Until when, by the clocks of all nodes.
    pub until: DateTime<Utc>,
    /// Whether it was lifted before.
    pub lifted: bool,
    /// How often it was changed.
    pub version: u64,
}

/// Who is sent out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Whom {
    /// The viewer that events and rooms name so.
    Viewer(ViewerId),
    /// Whoever publishes this stream.
    Publisher(StreamName),
    /// All that came with this token.
    Token(TokenKey),
}

/// Asks a node to end sessions in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kick {
    /// The room.
    pub room_id: RoomId,
    /// Whose session.
    pub whom: Whom,
    /// The moderator of the room that wants it; none where an operator does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<StreamName>,
}

/// Asks a node to pause a producer of a stream that it has, for everybody, as a moderator wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The producer.
    pub producer: ProducerId,
    /// The moderator; none where its node doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<StreamName>,
}

/// Tells a node of bars, which end what has come with these tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetBars {
    /// The bars.
    pub bars: Vec<Bar>,
}

/// Asks a node for its bars, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetBars {
    /// Goes on behind this one; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TokenKey>,
}

/// What is asked of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GateRequest {
    /// See [`Kick`].
    Kick(Kick),
    /// See [`Mute`].
    Mute(Mute),
    /// See [`SetBars`].
    SetBars(SetBars),
    /// See [`GetBars`].
    GetBars(GetBars),
}

/// Answers [`Kick`], [`Mute`] and [`SetBars`]: what was ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kicked {
    /// The sessions.
    pub ended: Vec<EndedSession>,
}

/// A session that an operator ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndedSession {
    /// The node that had it.
    pub node: NodeName,
    /// The room.
    pub room_id: RoomId,
    /// The stream.
    pub stream: StreamName,
    /// The viewer; none where it was the publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<ViewerId>,
    /// What its token goes by: the narrowest that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenKey>,
}

/// Answers [`GetBars`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BarsPage {
    /// Bars, in the order of their tokens.
    pub bars: Vec<Bar>,
    /// Where the next page begins; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<TokenKey>,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GateReply {
    /// See [`Kicked`].
    Kicked(Kicked),
    /// See [`BarsPage`].
    Bars(BarsPage),
}

/// All bars that a node knows, in a few figures: said every few seconds while there are any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BarsDigest {
    /// Who says this.
    pub from: Peer,
    /// How many.
    pub count: u32,
    /// The sum of their hashes.
    pub digest: u64,
}

impl TokenKey {
    /// How the token is named: `id`, `subject` or `name`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Id(_) => "id",
            Self::Subject(_) => "subject",
            Self::Name(_) => "name",
        }
    }

    /// The value.
    pub fn value(&self) -> &str {
        let (Self::Id(value) | Self::Subject(value) | Self::Name(value)) = self;
        value
    }

    /// The key of a kind and a value; none where there is no such kind or the value is empty or too long.
    pub fn of(kind: &str, value: &str) -> Option<Self> {
        let key = match kind {
            "id" => Self::Id(value.to_owned()),
            "subject" => Self::Subject(value.to_owned()),
            "name" => Self::Name(value.to_owned()),
            _ => return None,
        };
        key.is_sound().then_some(key)
    }

    /// Whether its value has a size that is taken.
    pub fn is_sound(&self) -> bool {
        (1..=MAX_KEY).contains(&self.value().len())
    }
}

impl Bar {
    /// What decides between two bars of one token: the higher holds.
    pub fn rank(&self) -> (u64, bool, DateTime<Utc>) {
        (self.version, self.lifted, self.until)
    }

    /// Whether it keeps its token out now.
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        !self.lifted && now < self.until
    }
}

impl GateRequest {
    /// The message's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kick(_) => "kick",
            Self::Mute(_) => "mute",
            Self::SetBars(_) => "setBars",
            Self::GetBars(_) => "getBars",
        }
    }

    /// Whether its parts have sizes that an honest node sends.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Kick(Kick { whom: Whom::Token(token), .. }) => token.is_sound(),
            Self::Kick(_) | Self::Mute(_) => true,
            Self::SetBars(SetBars { bars }) => bars.iter().all(|bar| bar.token.is_sound()),
            Self::GetBars(GetBars { after }) => after.as_ref().is_none_or(TokenKey::is_sound),
        }
    }
}
