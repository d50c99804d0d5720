//! The list of sites and nodes, and what in it contradicts itself.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::protocol::ids::{NodeName, Region};
use crate::protocol::subjects::{PrefixError, Subjects};

/// The users that a server has for itself.
const SYSTEM: &str = "sys";

/// All NATS servers of a fleet, and who uses them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// `nats.prefix` of all nodes.
    #[serde(default)]
    pub prefix: String,
    /// How users prove who they are.
    #[serde(default)]
    pub logins: Logins,
    /// Monitors, by `monitor.name`.
    #[serde(default = "monitor")]
    pub monitors: Vec<NodeName>,
    /// Users for people and dashboards.
    #[serde(default)]
    pub operators: Vec<NodeName>,
    /// Users for services that say whether a session may start.
    #[serde(default)]
    pub callouts: Vec<NodeName>,
    /// Users for application servers, which act for participants (the session API).
    #[serde(default)]
    pub applications: Vec<NodeName>,
    /// Where servers keep what is stored.
    #[serde(default = "store")]
    pub store: String,
    /// TLS of all connections; absent is none.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The datacenters.
    pub sites: Vec<Site>,
}

/// How users prove who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Logins {
    /// By a key of their own: the server knows the public half.
    #[default]
    Nkeys,
    /// By a password, or its bcrypt hash, that stands in the server's environment.
    Passwords,
}

/// Files of each server, as its configuration names them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: String,
    /// The authority of all servers' certificates, in PEM.
    pub ca: String,
}

/// The NATS servers of one datacenter, and the nodes that connect to them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name: that of the cluster, of the gateway, and where leaf nodes join sites, of the JetStream domain.
    pub name: Region,
    /// Its servers, each a host name or address that the others reach.
    pub servers: Vec<String>,
    /// The nodes that connect to them.
    pub nodes: Vec<NodeName>,
    /// Whether its servers keep a log of events.
    #[serde(default = "yes")]
    pub jetstream: bool,
    /// The site that it hangs on as a leaf; without one gateways join it to all others that have none.
    #[serde(default)]
    pub leaf_of: Option<Region>,
}

/// Why a list is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// It can't be read.
    #[error("{0}")]
    Unreadable(#[from] toml::de::Error),
    /// The prefix is wrong.
    #[error("prefix: {0}")]
    Prefix(#[from] PrefixError),
    /// It contradicts itself; the text says what to change.
    #[error("{0}")]
    Contradiction(String),
    /// A user's seed is none.
    #[error("the seed of {0} is none: delete its file to get another, or put back what was there")]
    Seed(String),
}

fn monitor() -> Vec<NodeName> {
    "monitor".parse().into_iter().collect()
}

fn store() -> String {
    "/var/lib/nats".to_owned()
}

fn yes() -> bool {
    true
}

impl Fleet {
    /// Reads a list, in TOML.
    ///
    /// # Errors
    /// [`FleetError`] that says what to change.
    pub fn parse(text: &str) -> Result<Self, FleetError> {
        let fleet: Self = toml::from_str(text)?;
        fleet.check()?;
        Ok(fleet)
    }

    pub(super) fn subjects(&self) -> Result<Subjects, FleetError> {
        Ok(Subjects::new(&self.prefix)?)
    }

    pub(super) fn site(&self, name: &Region) -> Option<&Site> {
        self.sites.iter().find(|site| site.name == *name)
    }

    /// The sites that gateways join.
    pub(super) fn joined(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(|site| site.leaf_of.is_none())
    }

    /// The sites that hang on this one.
    pub(super) fn leaves<'a>(&'a self, site: &'a Site) -> impl Iterator<Item = &'a Site> {
        self.sites.iter().filter(|leaf| leaf.leaf_of.as_ref() == Some(&site.name))
    }

    /// The site that keeps the log of a site's nodes.
    pub(super) fn log_of<'a>(&'a self, site: &'a Site) -> Option<&'a Site> {
        if site.jetstream {
            return Some(site);
        }
        match &site.leaf_of {
            Some(hub) => self.log_of(self.site(hub)?),
            None => self.joined().find(|site| site.jetstream),
        }
    }

    /// The JetStream domain of a site's log: sites have domains where leaf nodes join them.
    pub(super) fn domain_of<'a>(&'a self, site: &'a Site) -> Option<&'a str> {
        let domains = self.sites.iter().any(|site| site.leaf_of.is_some());
        self.log_of(site).filter(|_| domains).map(|site| site.name.as_str())
    }

    /// The domain that a site's users have to name: servers take a client for one of their own domain's anyway, and
    /// check its rights by subjects without a domain then.
    pub(super) fn far_domain_of<'a>(&'a self, site: &'a Site) -> Option<&'a str> {
        self.domain_of(site).filter(|_| !site.jetstream)
    }

    /// All JetStream domains.
    pub(super) fn domains(&self) -> Vec<&str> {
        self.sites.iter().filter(|site| site.jetstream).filter_map(|site| self.domain_of(site)).collect()
    }

    fn check(&self) -> Result<(), FleetError> {
        let wrong = |reason: String| Err(FleetError::Contradiction(reason));
        self.subjects()?;
        if self.joined().next().is_none() {
            return wrong("sites: there must be one without leaf_of".to_owned());
        }
        if self.joined().filter(|site| site.jetstream).count() > 1 {
            let why = "without one of them JetStream's servers would have no majority";
            return wrong(format!("jetstream: of sites that gateways join, one alone may have it: {why}"));
        }
        let mut names = BTreeSet::new();
        for site in &self.sites {
            if !names.insert(&site.name) {
                return wrong(format!("sites: {} is there twice", site.name));
            }
            site.check()?;
            let hub = site.leaf_of.as_ref().map(|hub| (hub, self.site(hub)));
            if let Some((hub, None | Some(Site { leaf_of: Some(_), .. }))) = hub {
                return wrong(format!(
                    "leaf_of of {}: {hub} must be a site that is no leaf itself",
                    site.name
                ));
            }
        }
        let mut users = BTreeSet::new();
        for user in self.users() {
            // A password's variable tells neither capitals nor dashes apart.
            if !users.insert(super::logins::variable(&user)) {
                return wrong(format!(
                    "{user} is there twice, or differs from another user in A-Z and '-' alone"
                ));
            }
        }
        Ok(())
    }

    /// All users of all sites.
    pub fn users(&self) -> Vec<String> {
        let nodes = self.sites.iter().flat_map(|site| &site.nodes);
        let others =
            self.monitors.iter().chain(&self.operators).chain(&self.callouts).chain(&self.applications);
        let leaves = self.sites.iter().filter(|site| site.leaf_of.is_some()).map(Site::leaf_user);
        nodes.chain(others).map(NodeName::to_string).chain(leaves).chain([SYSTEM.to_owned()]).collect()
    }
}

impl Site {
    /// Whom its servers are to the site that they hang on.
    pub(super) fn leaf_user(&self) -> String {
        format!("leaf-{}", self.name)
    }

    /// Copies of the log.
    pub(super) fn replicas(&self) -> usize {
        if self.servers.len() >= 3 { 3 } else { 1 }
    }

    fn check(&self) -> Result<(), FleetError> {
        let wrong = |reason: &str| Err(FleetError::Contradiction(format!("site {}: {reason}", self.name)));
        let plain = |host: &String| {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        };
        if self.servers.is_empty() || !self.servers.iter().all(plain) {
            return wrong("servers must name each server by a host name or address, without a port");
        }
        if self.jetstream && self.servers.len() == 2 {
            return wrong("JetStream needs one server or three: with two, either one's end is its end");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_work_is_refused_with_what_to_change() {
        let site = |name: &str, rest: &str| {
            format!(
                "[[sites]]\nname = '{name}'\nservers = ['{name}.example.com']\nnodes = ['{name}-1']\n{rest}\n"
            )
        };
        let two = |rest: &str| site("east", "") + &site("west", rest);
        for (text, expected) in [
            (String::new(), "sites"),
            ("prefix = 'a.>'\n".to_owned() + &site("east", ""), "prefix"),
            (two(""), "one alone may have it"),
            (two("leaf_of = 'north'"), "north must be a site"),
            (two("leaf_of = 'west'"), "west must be a site"),
            (site("east", "leaf_of = 'east'"), "without leaf_of"),
            (site("east", "") + &site("east", "jetstream = false"), "east is there twice"),
            ("operators = ['EAST_1']\n".to_owned() + &site("east", ""), "EAST_1 is there twice"),
            ("operators = ['sys']\n".to_owned() + &site("east", ""), "sys is there twice"),
            (site("east", "").replace("example.com", "example.com:4222/x"), "without a port"),
            (site("east", "").replace("['east.example.com']", "['a', 'b']"), "one server or three"),
            (site("east", "role = 'edge'"), "role"),
        ] {
            let error = Fleet::parse(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}\n{error}");
        }
        Fleet::parse(&two("jetstream = false")).unwrap();
        Fleet::parse(&two("leaf_of = 'east'")).unwrap();
    }

    #[test]
    fn a_leaf_s_log_is_its_own_or_its_hub_s() {
        let text = |jetstream| {
            format!(
                "[[sites]]\nname = 'east'\nservers = ['a']\nnodes = []\n[[sites]]\nname = 'west'\nservers = ['b']\n\
                 nodes = []\nleaf_of = 'east'\njetstream = {jetstream}"
            )
        };
        let [own, hub] = [true, false].map(|jetstream| Fleet::parse(&text(jetstream)).unwrap());
        assert_eq!(
            own.sites.iter().map(|site| own.domain_of(site)).collect::<Vec<_>>(),
            [Some("east"), Some("west")]
        );
        assert_eq!(hub.sites.iter().map(|site| hub.domain_of(site)).collect::<Vec<_>>(), [Some("east"); 2]);
        assert_eq!(own.domains(), ["east", "west"]);
    }
}
