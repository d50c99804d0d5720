//! Who users are to a server, and what they connect with.

use std::fmt::Write as _;

use nkeys::KeyPair;

use super::fleet::{Fleet, FleetError, Logins, Site};
use super::{File, Seeds};
use crate::protocol::ids::NodeName;

/// The part of a password's variable that is the user's.
pub(super) fn variable(user: &str) -> String {
    user.to_uppercase().replace('-', "_")
}

impl Fleet {
    /// A user as the server's configuration has it.
    pub(super) fn login(&self, user: &str, seeds: &mut Seeds) -> Result<String, FleetError> {
        if self.logins == Logins::Passwords {
            return Ok(format!("user: \"{user}\", password: ${}_PASSWORD", variable(user)));
        }
        let none = |_| FleetError::Seed(user.to_owned());
        let pair = match seeds.get(user) {
            Some(seed) => KeyPair::from_seed(seed.trim()).map_err(none)?,
            None => KeyPair::new_user(),
        };
        seeds.insert(user.to_owned(), pair.seed().map_err(none)?);
        Ok(format!("nkey: {}", pair.public_key()))
    }

    /// What each user connects with.
    pub(super) fn credentials(&self, seeds: &Seeds) -> Vec<File> {
        let mut files = Vec::new();
        for site in &self.sites {
            for node in &site.nodes {
                files.push(self.environment(site, node, seeds));
            }
        }
        // A monitor reads the log of the first site that has one, or of whichever it is started at.
        if let Some(site) = self.sites.iter().find(|site| site.jetstream) {
            files.extend(self.monitors.iter().map(|monitor| self.environment(site, monitor, seeds)));
        }
        let users = self.users();
        for (user, seed) in seeds.iter().filter(|(user, _)| users.contains(user)) {
            files.push(File { name: format!("{user}.nk"), text: format!("{seed}\n"), secret: true });
        }
        files
    }

    /// The keys of `[nats]` and `[monitor]` that are other for each node or monitor, as environment variables.
    fn environment(&self, site: &Site, user: &NodeName, seeds: &Seeds) -> File {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        let urls: Vec<_> =
            site.servers.iter().map(|server| format!("\"{scheme}://{server}:4222\"")).collect();
        let mut text = format!("HEADWATER_NATS__URLS='[{}]'\n", urls.join(","));
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "HEADWATER_{key}={value}");
        };
        if !self.prefix.is_empty() {
            line("NATS__PREFIX", &self.prefix);
        }
        if let Some(log) = self.log_of(site) {
            line("NATS__REPLICAS", &log.replicas().to_string());
        }
        if let Some(domain) = self.far_domain_of(site) {
            line("NATS__DOMAIN", domain);
        }
        let others = self.others(site);
        if self.monitors.contains(user) && !others.is_empty() {
            line("MONITOR__DOMAINS", &format!("'[\"{}\"]'", others.join("\",\"")));
        }
        match seeds.get(user.as_str()) {
            Some(seed) => line("NATS__NKEY", seed),
            None => line("NATS__USER", user.as_str()),
        }
        File { name: format!("{user}.env"), text, secret: true }
    }

    /// The JetStream domains but a site's own.
    pub(super) fn others<'a>(&'a self, site: &'a Site) -> Vec<&'a str> {
        let own = self.domain_of(site);
        self.domains().into_iter().filter(|domain| Some(*domain) != own).collect()
    }
}
