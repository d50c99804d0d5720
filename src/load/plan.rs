//! What is to be done: how many, how fast, and who goes where.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::client::Clip;

/// What a load run does.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// How many watch.
    pub viewers: usize,
    /// How fast they come.
    pub rate: Rate,
    /// How many publish. None: others do.
    pub publishers: usize,
    /// Over how many rooms these are spread, `<name>-1` and on.
    pub rooms: usize,
    /// What the rooms' names begin with.
    pub name: String,
    /// How long all watch, once all are there.
    pub steady: Duration,
    /// Where to publish, by turns. See [`LoadOptions::whep`].
    pub whip: Vec<String>,
    /// Where to watch, by turns: `{room}` and `{stream}` in it are replaced, and an address without a path is a
    /// Headwater node's.
    pub whep: Vec<String>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// What is published.
    pub clip: Arc<Clip>,
    /// Publish all layers of the clip.
    pub simulcast: bool,
    /// Ask servers to make the offer.
    pub counter_offer: bool,
    /// How long a viewer asks again where the stream is not live yet.
    pub wait: Duration,
    /// One viewer in so many reads all that it gets, the others headers. At least one does.
    pub sample: usize,
    /// How many threads carry the sessions; 0: one for each core.
    pub threads: usize,
    /// Processes to measure beside those that listen where the viewers go.
    pub pids: Vec<u32>,
}

/// Why a load run can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// A server doesn't answer at all.
    #[error("{0}; is the server running, and is this its address? Nothing was started")]
    Unreachable(String),
    /// Nobody could publish.
    #[error("no publisher got in, so there is nothing to watch: {0}")]
    Publishers(String),
    /// The system allows too few sockets.
    #[error(
        "{needed} files and sockets are needed and {allowed} allowed: run `ulimit -n {needed}` before, where the \
         administrator's limit permits it (/etc/security/limits.conf, LimitNOFILE= of a service), or ask for fewer \
         viewers"
    )]
    Descriptors {
        /// How many.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// The system refused something that is always there.
    #[error("{what}: {source}")]
    System {
        /// What was done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How fast sessions begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    per_second: f64,
}

impl Rate {
    /// So many a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.per_second
    }

    /// When the session of this number begins, counted from 0.
    #[must_use]
    pub fn due(self, number: usize) -> Duration {
        Duration::try_from_secs_f64(number as f64 / self.per_second).unwrap_or(Duration::MAX)
    }
}

impl FromStr for Rate {
    type Err = String;

    /// Such as `50/s`, `50`, `0.5/s` or `90/m`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" | "min" => 60.0,
            _ => return Err(format!("{text}: write it like 50/s or 90/m")),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number > 0.0 => Ok(Self { per_second: number / seconds }),
            _ => Err(format!("{text}: it is no number above 0; write it like 50/s or 90/m")),
        }
    }
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Feed {
    room: String,
    stream: String,
}

/// Where to go for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: String,
    /// Which of the servers that is.
    pub(super) server: usize,
}

/// All places, by the number of the session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) publishers: Vec<Place>,
    pub(super) viewers: Vec<Place>,
    /// Scheme, host and port of each server, each once.
    pub(super) servers: Vec<Url>,
}

impl Plan {
    pub(super) fn new(options: &LoadOptions) -> Result<Plan, LoadError> {
        let refused = |reason: &str| Err(LoadError::Options(reason.to_owned()));
        if options.viewers + options.publishers == 0 {
            return refused("there is nobody to start: say how many with --viewers or --publishers");
        }
        if options.viewers > 0 && options.whep.is_empty() {
            return refused("where do the viewers go? Say so with --whep http://127.0.0.1:8080");
        }
        if options.publishers > 0 && options.whip.is_empty() {
            return refused("where do the publishers go? Say so with --whip http://127.0.0.1:8080");
        }
        if options.rooms == 0 {
            return refused("--rooms 0: there has to be a room");
        }
        if options.publishers > 0 && options.publishers < options.rooms {
            return Err(LoadError::Options(format!(
                "{} rooms and {} publishers leave rooms without a stream: ask for as many publishers, or for none \
                 where others publish",
                options.rooms, options.publishers
            )));
        }
        let feeds: Vec<Feed> = (0..options.publishers.max(options.rooms))
            .map(|number| {
                let (turn, room) = (number / options.rooms, number % options.rooms);
                let stream = if turn == 0 { "main".to_owned() } else { format!("s{}", turn + 1) };
                Feed { room: format!("{}-{}", options.name, room + 1), stream }
            })
            .collect();
        let mut servers = Vec::new();
        let mut places = |count, kind, flag, templates: &[String]| {
            if count == 0 {
                return Ok(Vec::new());
            }
            // All servers for a room before the next one, so that each server gets viewers of each.
            let pairs = feeds.iter().flat_map(|feed| templates.iter().map(move |template| (feed, template)));
            let pairs: Vec<_> = if kind == "whip" {
                feeds.iter().zip(templates.iter().cycle()).collect()
            } else {
                pairs.collect()
            };
            let places = pairs.iter().map(|(feed, template)| {
                let url = address(template, kind, flag, feed, &feeds)?;
                let origin = origin(&url);
                let known = servers.iter().position(|known| *known == origin);
                let server = known.unwrap_or_else(|| {
                    servers.push(origin);
                    servers.len() - 1
                });
                Ok(Place { url: url.into(), server })
            });
            let places = places.collect::<Result<Vec<Place>, LoadError>>()?;
            Ok::<_, LoadError>(places.iter().cycle().take(count).cloned().collect::<Vec<_>>())
        };
        let viewers = places(options.viewers, "whep", "--whep", &options.whep)?;
        let publishers = places(options.publishers, "whip", "--whip", &options.whip)?;
        Ok(Plan { publishers, viewers, servers })
    }

    /// Whether the viewer of this number reads all that it gets.
    pub(super) fn is_sampled(number: usize, sample: usize) -> bool {
        number.is_multiple_of(sample.max(1))
    }
}

fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// An endpoint as it was given, for a stream.
fn address(template: &str, kind: &str, flag: &str, feed: &Feed, all: &[Feed]) -> Result<Url, LoadError> {
    let filled = template.replace("{room}", &feed.room).replace("{stream}", &feed.stream);
    let wrong = |reason: String| LoadError::Options(format!("{flag} {template}: {reason}"));
    let mut url =
        Url::parse(&filled).map_err(|error| wrong(format!("{error}; write it like http://host:port")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("write it like http://host:port".to_owned()));
    }
    if url.path() == "/" {
        let stream = if feed.stream == "main" { String::new() } else { format!("/{}", feed.stream) };
        url.set_path(&format!("/{kind}/{}{stream}", feed.room));
        return Ok(url);
    }
    let several = |of: fn(&Feed) -> &str| all.iter().any(|other| of(other) != of(feed));
    if several(|feed| feed.room.as_str()) && !template.contains("{room}") {
        return Err(wrong("there are several rooms: say where their name goes, with {room}".to_owned()));
    }
    if several(|feed| feed.stream.as_str()) && !template.contains("{stream}") {
        return Err(wrong("a room has several streams: say where their name goes, with {stream}".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::load) fn options(
        viewers: usize,
        publishers: usize,
        rooms: usize,
        whip: &str,
        whep: &[&str],
    ) -> LoadOptions {
        LoadOptions {
            viewers,
            rate: "50/s".parse().unwrap(),
            publishers,
            rooms,
            name: "load".to_owned(),
            steady: Duration::ZERO,
            whip: vec![whip.to_owned()],
            whep: whep.iter().map(ToString::to_string).collect(),
            token: None,
            clip: Arc::new(Clip::builtin()),
            simulcast: false,
            counter_offer: false,
            wait: Duration::ZERO,
            sample: 20,
            threads: 0,
            pids: Vec::new(),
        }
    }

    fn urls(places: &[Place]) -> Vec<&str> {
        places.iter().map(|place| place.url.as_str()).collect()
    }

    #[test]
    fn a_ramp_is_even() {
        let rate: Rate = "50/s".parse().unwrap();
        assert_eq!([0, 1, 50].map(|n| rate.due(n).as_millis()), [0, 20, 1000]);
        assert_eq!("90/m".parse::<Rate>().unwrap().due(3), Duration::from_secs(2));
        assert_eq!("0.5".parse::<Rate>().unwrap().due(1), Duration::from_secs(2));
        for wrong in ["0", "-1/s", "x", "50/h", "", "inf"] {
            assert!(wrong.parse::<Rate>().unwrap_err().contains("50/s"), "{wrong}");
        }
    }

    #[test]
    fn viewers_are_spread_over_servers_and_rooms() {
        let plan = Plan::new(&options(5, 2, 2, "http://a:1", &["http://b:1", "http://c:1/"])).unwrap();
        assert_eq!(urls(&plan.publishers), ["http://a:1/whip/load-1", "http://a:1/whip/load-2"]);
        let expected =
            ["b:1/whep/load-1", "c:1/whep/load-1", "b:1/whep/load-2", "c:1/whep/load-2", "b:1/whep/load-1"];
        assert_eq!(urls(&plan.viewers), expected.map(|url| format!("http://{url}")));
        assert_eq!(plan.servers.len(), 3);
        let of = |place: &Place| plan.servers[place.server].as_str();
        assert_eq!((of(&plan.viewers[1]), of(&plan.publishers[0])), ("http://c:1/", "http://a:1/"));
    }

    #[test]
    fn publishers_beyond_the_rooms_are_further_streams() {
        let plan = Plan::new(&options(4, 3, 2, "http://a:1", &["http://a:1"])).unwrap();
        assert_eq!(plan.publishers[2].url, "http://a:1/whip/load-1/s2");
        assert_eq!(plan.viewers[2].url, "http://a:1/whep/load-1/s2");
        assert_eq!((plan.viewers[3].url.as_str(), plan.servers.len()), ("http://a:1/whep/load-1", 1));
    }

    #[test]
    fn other_servers_have_other_paths() {
        let whep = ["http://a:1/{room}/whep"];
        let plan = Plan::new(&options(2, 0, 2, "http://a:1", &whep)).unwrap();
        assert_eq!(urls(&plan.viewers), ["http://a:1/load-1/whep", "http://a:1/load-2/whep"]);
        let plan = Plan::new(&options(1, 0, 1, "", &["https://a/whep/endpoint/7?x=1"])).unwrap();
        assert_eq!(urls(&plan.viewers), ["https://a/whep/endpoint/7?x=1"]);
        assert_eq!(plan.servers[0].as_str(), "https://a/");
    }

    #[test]
    fn what_contradicts_itself_is_told_with_what_to_do() {
        let node = "http://a:1";
        for (options, expected) in [
            (options(0, 0, 1, node, &[node]), "--viewers"),
            (options(1, 0, 1, node, &[]), "--whep"),
            (options(1, 1, 2, node, &[node]), "publishers"),
            (options(1, 0, 0, node, &[node]), "--rooms"),
            (options(2, 0, 2, node, &["http://a/whep/x"]), "{room}"),
            (options(2, 2, 1, "http://a/{room}", &[node]), "{stream}"),
            (options(1, 0, 1, node, &["a:1"]), "http://host:port"),
        ] {
            let error = Plan::new(&options).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn one_viewer_at_least_is_sampled() {
        let sampled = |sample| (0..40).filter(|number| Plan::is_sampled(*number, sample)).count();
        assert_eq!([0, 1, 20, 1000].map(sampled), [40, 40, 2, 1]);
    }
}
