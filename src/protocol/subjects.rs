//! Every NATS subject, built and parsed in one place.

use std::fmt;

use super::admission::Action;
use super::event::About;
use super::ids::{NodeName, RoomId, SessionId, StreamName};

/// The subjects of one fleet, under its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    prefix: String,
}

/// Why a prefix is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a subject prefix is up to 4 tokens of A-Z, a-z, 0-9, '_' and '-', joined by '.'")]
pub struct PrefixError;

/// A subject taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `room.<room>.edge.<node>`
    Edge(RoomId, NodeName),
    /// `room.<room>.origin.<node>`
    Origin(RoomId, NodeName),
    /// `room.<room>.stream.<stream>.<node>`
    Claim(RoomId, StreamName, NodeName),
    /// `room.<room>.session.<node>`
    Rtc(RoomId, NodeName),
    /// `room.<room>.level.<node>`
    Level(RoomId, NodeName),
    /// `node.<node>.presence`
    Presence(NodeName),
    /// `node.<node>.directory`
    Directory(NodeName),
    /// `node.<node>.gate`
    Gate(NodeName),
    /// `node.<node>.session`
    Session(NodeName),
    /// `node.<node>.bars`
    Bars(NodeName),
    /// `node.<node>.drain`
    Drain(NodeName),
    /// `room.<room>.event.<node>`
    RoomEvent(RoomId, NodeName),
    /// `node.<node>.event`
    NodeEvent(NodeName),
}

impl Subjects {
    /// The subjects under `prefix`, which may be empty.
    ///
    /// # Errors
    /// [`PrefixError`] if the prefix could not stand in a subject.
    pub fn new(prefix: &str) -> Result<Self, PrefixError> {
        let prefix = prefix.trim_end_matches('.');
        if prefix.is_empty() {
            return Ok(Self { prefix: String::new() });
        }
        let tokens: Vec<_> = prefix.split('.').collect();
        if tokens.len() > 4 || tokens.iter().any(|token| token.parse::<NodeName>().is_err()) {
            return Err(PrefixError);
        }
        Ok(Self { prefix: format!("{prefix}.") })
    }

    /// Where an edge is asked about a room.
    pub fn edge(&self, room: &RoomId, node: &NodeName) -> String {
        self.under(format_args!("room.{room}.edge.{node}"))
    }

    /// Where an origin or relay is asked about a room.
    pub fn origin(&self, room: &RoomId, node: &NodeName) -> String {
        self.under(format_args!("room.{room}.origin.{node}"))
    }

    /// All that is asked of a node as an edge.
    pub fn edges_of(&self, node: &NodeName) -> String {
        self.under(format_args!("room.*.edge.{node}"))
    }

    /// All that is asked of a node as an origin or relay.
    pub fn origins_of(&self, node: &NodeName) -> String {
        self.under(format_args!("room.*.origin.{node}"))
    }

    /// Where a node claims a stream.
    pub fn claim(&self, room: &RoomId, stream: &StreamName, node: &NodeName) -> String {
        self.under(format_args!("room.{room}.stream.{stream}.{node}"))
    }

    /// Where all nodes claim all streams.
    pub fn claims(&self) -> String {
        self.under(format_args!("room.*.stream.*.*"))
    }

    /// All that application servers ask of a node's sessions.
    pub fn rtc_of(&self, node: &NodeName) -> String {
        self.under(format_args!("room.*.session.{node}"))
    }

    /// Where application servers ask about sessions of a room.
    pub fn rtc(&self, room: &RoomId, node: &NodeName) -> String {
        self.under(format_args!("room.{room}.session.{node}"))
    }

    /// Where a session's application server is told what happens.
    pub fn rtc_event(&self, room: &RoomId, node: &NodeName, session: SessionId) -> String {
        self.under(format_args!("room.{room}.session.{node}.{session}"))
    }

    /// Where a node tells how loud its participants of a room are.
    pub fn level(&self, room: &RoomId, node: &NodeName) -> String {
        self.under(format_args!("room.{room}.level.{node}"))
    }

    /// Where all nodes tell how loud their participants of a room are.
    pub fn levels_of(&self, room: &RoomId) -> String {
        self.under(format_args!("room.{room}.level.*"))
    }

    /// Where a node is asked for claims.
    pub fn directory(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.directory"))
    }

    /// Where a service is asked whether a session may start.
    pub fn authorize(&self, action: Action) -> String {
        self.under(format_args!("auth.{}", action.as_str()))
    }

    /// Where a node is asked to send someone out, and told of bars.
    pub fn gate(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.gate"))
    }

    /// Where a node is asked by clients of its sessions that came by another node.
    pub fn session(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.session"))
    }

    /// Where a node sums up the bars that it knows.
    pub fn bars(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.bars"))
    }

    /// Where all nodes sum up their bars.
    pub fn all_bars(&self) -> String {
        self.under(format_args!("node.*.bars"))
    }

    /// Where a node is asked to take nothing new, or to take everything again.
    pub fn drain(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.drain"))
    }

    /// Where a node gives its sign of life.
    pub fn presence(&self, node: &NodeName) -> String {
        self.under(format_args!("node.{node}.presence"))
    }

    /// Where all nodes give their signs of life.
    pub fn presences(&self) -> String {
        self.under(format_args!("node.*.presence"))
    }

    /// Where a node tells what happens.
    pub fn event(&self, about: &About, source: &NodeName) -> String {
        match about {
            About::Room(room) => self.under(format_args!("room.{room}.event.{source}")),
            About::Node(_) => self.under(format_args!("node.{source}.event")),
        }
    }

    /// Where all that happens is told.
    pub fn events(&self) -> [String; 2] {
        [self.under(format_args!("room.*.event.*")), self.under(format_args!("node.*.event"))]
    }

    /// Where all that happens in a room is told.
    pub fn events_of(&self, room: &RoomId) -> String {
        self.under(format_args!("room.{room}.event.*"))
    }

    /// The name of the JetStream stream that keeps the events of this fleet.
    pub fn events_stream(&self) -> String {
        self.stored("EVENTS")
    }

    /// The name of the JetStream stream into which a monitor copies the logs of all domains.
    pub fn all_events_stream(&self) -> String {
        self.stored("ALL_EVENTS")
    }

    /// The name of the object store that keeps the monitor's snapshots.
    pub fn snapshots_bucket(&self) -> String {
        self.stored("SNAPSHOTS")
    }

    /// A name in JetStream, different for every prefix: names may hold no dots, so a dot becomes `_`, and
    /// for the eye lower-case letters become capitals. What would then be taken for another is marked: a
    /// capital by a `u` before it, and `_` is written `s`. So `a.b`, `a_b`, `A_B` begin `A_B_`, `AsB_`, `uAsuB_`.
    fn stored(&self, what: &str) -> String {
        let mut name = String::with_capacity(2 * self.prefix.len() + 24);
        for letter in self.prefix.chars() {
            match letter {
                '.' => name.push('_'),
                '_' => name.push('s'),
                capital if capital.is_ascii_uppercase() => name.extend(['u', capital]),
                other => name.push(other.to_ascii_uppercase()),
            }
        }
        name + "HEADWATER_" + what
    }

    /// What `subject` is; none if it is not of this fleet or not well formed.
    pub fn parse(&self, subject: &str) -> Option<Subject> {
        let mut tokens = subject.strip_prefix(&self.prefix)?.split('.');
        let parsed = match (tokens.next()?, tokens.next()?, tokens.next()?) {
            ("room", room, "edge") => Subject::Edge(room.parse().ok()?, tokens.next()?.parse().ok()?),
            ("room", room, "origin") => Subject::Origin(room.parse().ok()?, tokens.next()?.parse().ok()?),
            ("room", room, "stream") => {
                Subject::Claim(room.parse().ok()?, tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?)
            }
            ("room", room, "level") => Subject::Level(room.parse().ok()?, tokens.next()?.parse().ok()?),
            ("room", room, "session") => Subject::Rtc(room.parse().ok()?, tokens.next()?.parse().ok()?),
            ("room", room, "event") => Subject::RoomEvent(room.parse().ok()?, tokens.next()?.parse().ok()?),
            ("node", node, "presence") => Subject::Presence(node.parse().ok()?),
            ("node", node, "directory") => Subject::Directory(node.parse().ok()?),
            ("node", node, "gate") => Subject::Gate(node.parse().ok()?),
            ("node", node, "session") => Subject::Session(node.parse().ok()?),
            ("node", node, "bars") => Subject::Bars(node.parse().ok()?),
            ("node", node, "drain") => Subject::Drain(node.parse().ok()?),
            ("node", node, "event") => Subject::NodeEvent(node.parse().ok()?),
            _ => return None,
        };
        tokens.next().is_none().then_some(parsed)
    }

    /// A subject or pattern under the prefix.
    pub(super) fn pattern(&self, pattern: &str) -> String {
        self.under(format_args!("{pattern}"))
    }

    fn under(&self, subject: fmt::Arguments<'_>) -> String {
        format!("{}{subject}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_in_jetstream_tell_prefixes_apart_and_plain_ones_look_plain() {
        let name = |prefix: &str| Subjects::new(prefix).unwrap().events_stream();
        assert_eq!(name(""), "HEADWATER_EVENTS");
        assert_eq!(name("live"), "LIVE_HEADWATER_EVENTS");
        assert_eq!(name("a.b-2"), "A_B-2_HEADWATER_EVENTS");
        assert_eq!(name("a_b"), "AsB_HEADWATER_EVENTS");
        assert_eq!(name("A_B"), "uAsuB_HEADWATER_EVENTS");
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed(
            room in "[A-Za-z0-9_-]{1,64}",
            other in "[A-Za-z0-9_-]{1,64}",
            prefix in "([a-z]{1,5}(\\.[a-z]{1,5}){0,2})?",
        ) {
            let subjects = Subjects::new(&prefix).unwrap();
            let room: RoomId = room.parse().unwrap();
            let room2 = room.clone();
            let node: NodeName = other.parse().unwrap();
            let stream: StreamName = other.parse().unwrap();
            prop_assert_eq!(
                subjects.parse(&subjects.edge(&room, &node)),
                Some(Subject::Edge(room.clone(), node.clone()))
            );
            prop_assert_eq!(
                subjects.parse(&subjects.origin(&room, &node)),
                Some(Subject::Origin(room.clone(), node.clone()))
            );
            prop_assert_eq!(
                subjects.parse(&subjects.claim(&room, &stream, &node)),
                Some(Subject::Claim(room, stream, node.clone()))
            );
            prop_assert_eq!(
                subjects.parse(&subjects.directory(&node)),
                Some(Subject::Directory(node.clone()))
            );
            prop_assert_eq!(
                subjects.parse(&subjects.presence(&node)),
                Some(Subject::Presence(node.clone()))
            );
            prop_assert_eq!(subjects.parse(&subjects.gate(&node)), Some(Subject::Gate(node.clone())));
            let (rtc, session) = (subjects.rtc(&room2, &node), SessionId(uuid::Uuid::nil()));
            prop_assert_eq!(subjects.parse(&rtc), Some(Subject::Rtc(room2.clone(), node.clone())));
            let level = subjects.level(&room2, &node);
            prop_assert_eq!(subjects.parse(&level), Some(Subject::Level(room2.clone(), node.clone())));
            prop_assert_eq!(subjects.parse(&subjects.rtc_event(&room2, &node, session)), None);
            prop_assert_eq!(subjects.parse(&subjects.session(&node)), Some(Subject::Session(node.clone())));
            prop_assert_eq!(subjects.parse(&subjects.bars(&node)), Some(Subject::Bars(node.clone())));
            prop_assert_eq!(subjects.parse(&subjects.drain(&node)), Some(Subject::Drain(node.clone())));
            let about = About::Room(room2.clone());
            prop_assert_eq!(
                subjects.parse(&subjects.event(&about, &node)),
                Some(Subject::RoomEvent(room2, node.clone()))
            );
            let about = About::Node(node.clone());
            prop_assert_eq!(subjects.parse(&subjects.event(&about, &node)), Some(Subject::NodeEvent(node)));
        }

        #[test]
        fn no_two_prefixes_share_a_name_in_jetstream(
            one in "[a-cA-C0_us-]{1,4}(\\.[a-cA-C0_us-]{1,4}){0,3}",
            two in "[a-cA-C0_us-]{1,4}(\\.[a-cA-C0_us-]{1,4}){0,3}",
        ) {
            let (a, b) = (Subjects::new(&one).unwrap(), Subjects::new(&two).unwrap());
            prop_assert_eq!(one == two, a.events_stream() == b.events_stream());
            prop_assert_eq!(one == two, a.snapshots_bucket() == b.snapshots_bucket());
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            prop_assert!(a.events_stream().chars().all(allowed));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,100}") {
            let _ = Subjects::new("fleet").unwrap().parse(&text);
            let _ = Subjects::new(&text);
        }
    }
}
