//! What each kind of NATS user may say and hear. The servers' configuration is made of this
//! (`headwater nats-config`), and nothing else in the project lists it.

use super::ids::NodeName;
use super::subjects::Subjects;

/// What nodes are asked, as the last token of `node.<node>.…`.
const ASKED: [&str; 4] = ["directory", "gate", "drain", "session"];
/// What a node says of itself, as the last token of `node.<node>.…`.
const SAID: [&str; 3] = ["presence", "bars", "event"];

/// What a user may do; all else is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Where it may publish, by what that is for.
    pub publish: Vec<(&'static str, Vec<String>)>,
    /// Where it may subscribe.
    pub subscribe: Vec<String>,
    /// Whether it may answer what it was asked, wherever the asker wants the answer.
    pub answers: bool,
}

/// Where JetStream is asked: of a domain, or of the one that the server belongs to.
fn api(domain: Option<&str>) -> String {
    domain.map_or_else(|| "$JS.API".to_owned(), |domain| format!("$JS.{domain}.API"))
}

/// The inbox of a user, which no other user may read.
pub fn inbox(user: &NodeName) -> String {
    format!("_INBOX_{user}")
}

impl Subjects {
    /// A node's: it asks anybody, and answers and speaks for itself alone.
    pub fn rights_of_node(&self, node: &NodeName, domain: Option<&str>) -> Rights {
        let (api, log) = (api(domain), self.events_stream());
        let mut asks = vec![self.pattern("room.*.edge.*"), self.pattern("room.*.origin.*")];
        asks.extend(ASKED.map(|asked| self.pattern(&format!("node.*.{asked}"))));
        let mut says = SAID.map(|said| self.pattern(&format!("node.{node}.{said}"))).to_vec();
        says.extend(
            [
                format!("room.*.stream.*.{node}"),
                format!("room.*.event.{node}"),
                format!("room.*.level.{node}"),
                format!("room.*.session.{node}.*"),
            ]
            .map(|it| self.pattern(&it)),
        );
        let mut hears = vec![self.edges_of(node), self.origins_of(node), self.rtc_of(node)];
        hears.extend(ASKED.map(|asked| self.pattern(&format!("node.{node}.{asked}"))));
        hears.extend([self.presences(), self.all_bars(), self.claims(), self.pattern("room.*.level.*")]);
        hears.extend([format!("{}.>", inbox(node)), "$SRV.>".to_owned()]);
        Rights {
            publish: vec![
                (
                    "Asks any node about any room, for claims, about sessions, and for what operators want of it.",
                    asks,
                ),
                ("Asks whether a session may start (auth.callout).", self.questions()),
                ("Speaks for itself alone: signs of life, bars, claims to streams, what happened.", says),
                (
                    "Creates the log of events where there is none; can't read, change or delete it.",
                    vec![format!("{api}.STREAM.INFO.{log}"), format!("{api}.STREAM.CREATE.{log}")],
                ),
            ],
            subscribe: hears,
            answers: true,
        }
    }

    /// A monitor's: it reads the log of its own domain and those of `others`, looks after them, and keeps its
    /// snapshots.
    pub fn rights_of_monitor(&self, monitor: &NodeName, domain: Option<&str>, others: &[&str]) -> Rights {
        let (api_of, bucket) = (api, self.snapshots_bucket());
        let (api, store) = (api(domain), format!("OBJ_{bucket}"));
        let own = vec![
            self.pattern(&format!("room.*.event.{monitor}")),
            self.pattern(&format!("node.{monitor}.event")),
        ];
        let mut logs = Vec::new();
        for log in [self.events_stream(), self.all_events_stream()] {
            logs.push(format!("{api}.STREAM.*.{log}"));
            logs.extend(["", ".>"].map(|rest| format!("{api}.CONSUMER.*.{log}{rest}")));
            logs.push(format!("{api}.CONSUMER.MSG.NEXT.{log}.*"));
        }
        let snapshots = vec![
            format!("$O.{bucket}.>"),
            format!("{api}.STREAM.*.{store}"),
            format!("{api}.STREAM.MSG.GET.{store}"),
            format!("{api}.DIRECT.GET.{store}.>"),
            format!("{api}.CONSUMER.*.{store}"),
            format!("{api}.CONSUMER.*.{store}.>"),
            format!("$JS.FC.{store}.>"),
        ];
        let log = self.events_stream();
        let far = |other: &&str| {
            ["INFO", "PURGE"].map(|verb| format!("{}.STREAM.{verb}.{log}", api_of(Some(other))))
        };
        let mut publish = vec![
            ("Tells that a room was forgotten.", own),
            ("Reads the log of events, and looks after it.", logs),
            ("Keeps its snapshots beside it.", snapshots),
        ];
        if !others.is_empty() {
            publish.push((
                "Sees whether the other logs are there, and forgets a room in them too.",
                others.iter().flat_map(far).collect(),
            ));
        }
        Rights { publish, subscribe: vec![format!("{}.>", inbox(monitor))], answers: false }
    }

    /// Of people and dashboards: they look at the fleet and at what it claims, and look after JetStream.
    pub fn rights_of_operator(&self, domains: &[&str]) -> Rights {
        let mut log = vec!["$JS.API.>".to_owned()];
        log.extend(domains.iter().map(|domain| format!("{}.>", api(Some(domain)))));
        let [rooms, nodes] = self.events();
        let hears = [self.claims(), rooms, nodes, self.presences(), self.all_bars()];
        let asks =
            ["$SRV.PING", "$SRV.INFO", "$SRV.STATS"].map(|verb| [verb.to_owned(), format!("{verb}.>")]);
        Rights {
            publish: vec![("Asks which nodes there are.", asks.concat()), ("Looks after JetStream.", log)],
            subscribe: hears.into_iter().chain(["$JS.EVENT.>".to_owned(), "_INBOX.>".to_owned()]).collect(),
            answers: false,
        }
    }

    /// Of a service that says whether a session may start.
    pub fn rights_of_callout(&self) -> Rights {
        Rights { publish: Vec::new(), subscribe: self.questions(), answers: true }
    }

    /// Of an application server: it acts for participants at any node, and hears what happens in their sessions.
    pub fn rights_of_application(&self, application: &NodeName) -> Rights {
        Rights {
            publish: vec![("Acts for participants.", vec![self.pattern("room.*.session.*")])],
            subscribe: vec![self.pattern("room.*.session.*.*"), format!("{}.>", inbox(application))],
            answers: false,
        }
    }

    /// Where services are asked whether a session may start.
    fn questions(&self) -> Vec<String> {
        use super::admission::Action;
        [Action::Publish, Action::Watch, Action::Moderate].map(|action| self.authorize(action)).to_vec()
    }
}

impl Rights {
    /// Whether the user may publish on a subject, answers aside.
    pub fn may_publish(&self, subject: &str) -> bool {
        self.publish.iter().flat_map(|(_, patterns)| patterns).any(|pattern| matches(pattern, subject))
    }

    /// Whether the user may subscribe to a subject.
    pub fn may_hear(&self, subject: &str) -> bool {
        self.subscribe.iter().any(|pattern| matches(pattern, subject))
    }
}

/// Whether NATS takes a subject for one of a pattern's.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::event::About;
    use crate::protocol::subjects::Subject;

    /// What becomes of a subject that names a node.
    #[derive(Debug, PartialEq, Eq)]
    enum Kind {
        /// Anybody asks, that node alone hears.
        Asked,
        /// That node alone says it, every node hears.
        Said,
        /// That node alone says it, for the log.
        Logged,
        /// Application servers ask, that node alone hears.
        Served,
    }

    /// A new subject has to be given a kind here, and with it its rights.
    fn kind(subject: &Subject) -> Kind {
        match subject {
            Subject::Edge(..)
            | Subject::Origin(..)
            | Subject::Directory(_)
            | Subject::Gate(_)
            | Subject::Session(_)
            | Subject::Drain(_) => Kind::Asked,
            Subject::Claim(..) | Subject::Level(..) | Subject::Presence(_) | Subject::Bars(_) => Kind::Said,
            Subject::RoomEvent(..) | Subject::NodeEvent(_) => Kind::Logged,
            Subject::Rtc(..) => Kind::Served,
        }
    }

    fn all(subjects: &Subjects, node: &NodeName) -> Vec<String> {
        let room = "news".parse().unwrap();
        let mut all = vec![
            subjects.edge(&room, node),
            subjects.origin(&room, node),
            subjects.claim(&room, &"main".parse().unwrap(), node),
            subjects.rtc(&room, node),
            subjects.level(&room, node),
            subjects.event(&About::Room(room), node),
            subjects.event(&About::Node(node.clone()), node),
        ];
        all.extend(ASKED.iter().chain(&SAID).map(|last| subjects.pattern(&format!("node.{node}.{last}"))));
        all
    }

    #[test]
    fn a_node_asks_everybody_and_answers_and_speaks_for_itself_alone() {
        for prefix in ["", "live", "a.b"] {
            let subjects = Subjects::new(prefix).unwrap();
            let [me, other]: [NodeName; 2] = ["east-1", "east-10"].map(|name| name.parse().unwrap());
            let rights = subjects.rights_of_node(&me, None);
            for (node, mine) in [(&me, true), (&other, false)] {
                for subject in all(&subjects, node) {
                    let kind = subjects.parse(&subject).map_or(Kind::Asked, |subject| kind(&subject));
                    let says = rights.may_publish(&subject);
                    let hears = rights.may_hear(&subject);
                    let expected = match kind {
                        Kind::Asked => (true, mine),
                        Kind::Said => (mine, true),
                        Kind::Logged => (mine, false),
                        Kind::Served => (false, mine),
                    };
                    assert_eq!((says, hears), expected, "{subject}: {kind:?}");
                }
            }
            assert!(rights.may_hear("_INBOX_east-1.x.1") && !rights.may_hear("_INBOX_east-10.x.1"));
            assert!(!rights.may_publish("_INBOX_east-10.x.1"), "but for answers");
            for all in [">", "_INBOX_east-10.>", "room.>", "$JS.API.>"] {
                assert!(!rights.may_publish(all) && !rights.may_hear(all), "{all}");
            }
        }
    }

    #[test]
    fn rights_lie_below_the_prefix_and_in_the_domain() {
        let subjects = Subjects::new("live").unwrap();
        let me: NodeName = "one".parse().unwrap();
        let node = subjects.rights_of_node(&me, Some("west"));
        let monitor = subjects.rights_of_monitor(&me, Some("west"), &["east"]);
        assert!(node.may_publish("$JS.west.API.STREAM.INFO.LIVE_HEADWATER_EVENTS"));
        assert!(!node.may_publish("$JS.west.API.STREAM.DELETE.LIVE_HEADWATER_EVENTS"));
        assert!(monitor.may_publish("$JS.east.API.STREAM.PURGE.LIVE_HEADWATER_EVENTS"));
        assert!(!monitor.may_publish("$JS.east.API.STREAM.DELETE.LIVE_HEADWATER_EVENTS"));
        let ours = |pattern: &String| {
            ["live.", "$JS.west.API.", "$JS.east.API.", "$JS.FC.", "$O.LIVE_", "_INBOX_one.", "$SRV."]
                .iter()
                .any(|start| pattern.starts_with(start))
        };
        for rights in [node, monitor] {
            let patterns = rights.publish.iter().flat_map(|(_, patterns)| patterns).chain(&rights.subscribe);
            for pattern in patterns {
                assert!(ours(pattern), "{pattern}");
            }
        }
    }

    #[test]
    fn a_pattern_matches_as_the_server_does_it() {
        for (pattern, subject, expected) in [
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.c.d", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.*", "a", false),
            ("a.b", "a.*", false),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
