//! The configuration of a site's servers, in NATS's own format.

use std::fmt::Write as _;

use super::Seeds;
use super::fleet::{Fleet, FleetError, Logins, Site};
use super::logins::variable;
use crate::protocol::rights::Rights;

/// How long an answer may take: what `timeouts.request` is at most.
const ANSWER: &str = "1m";

impl Fleet {
    /// The file of a site's servers.
    pub(super) fn server(&self, site: &Site, seeds: &mut Seeds) -> Result<String, FleetError> {
        let mut text = String::new();
        self.head(&mut text, site);
        self.accounts(&mut text, site, seeds)?;
        if site.servers.len() > 1 {
            self.cluster(&mut text, site);
        }
        if site.leaf_of.is_none() && self.joined().count() > 1 {
            self.gateway(&mut text, site);
        }
        self.leaf_nodes(&mut text, site);
        Ok(text)
    }

    fn head(&self, text: &mut String, site: &Site) {
        put(
            text,
            "# Made by `headwater nats-config`: change the list that it was made from, not this file.\n",
        );
        if self.logins == Logins::Passwords {
            put(
                text,
                "# Passwords come from the server's environment: letters and digits that start with a letter, or\n\
                 # bcrypt hashes.\n",
            );
        }
        let name = if site.servers.len() > 1 {
            put(text, "# One file for all servers of the site; SERVER_NAME is another one for each.\n");
            "$SERVER_NAME".to_owned()
        } else {
            format!("nats-{}", site.name)
        };
        let _ = write!(
            text,
            "\nserver_name: {name}\nlisten: \"0.0.0.0:4222\"\nhttp: \"127.0.0.1:8222\"\n\n\
             # A dead connection, to another site above all, is noticed within three of these.\n\
             ping_interval: \"1s\"\nping_max: 2\n\n"
        );
        if site.jetstream {
            let domain =
                self.domain_of(site).map(|domain| format!("  domain: {domain}\n")).unwrap_or_default();
            let _ = write!(
                text,
                "jetstream {{\n  store_dir: \"{}\"\n{domain}  max_memory_store: 64MB\n  max_file_store: 4GB\n}}\n\n",
                self.store
            );
        }
        match self.tls_block("", false) {
            tls if tls.is_empty() => put(
                text,
                "# Passwords and pipe keys cross the network in clear: have `[tls]` in the list wherever that is not\n\
                 # yours alone.\n\n",
            ),
            tls => put(text, &format!("{tls}\n")),
        }
    }

    fn tls_block(&self, indent: &str, verify: bool) -> String {
        let Some(tls) = &self.tls else { return String::new() };
        let verify = if verify { format!("{indent}  verify: true\n") } else { String::new() };
        format!(
            "{indent}tls {{\n{indent}  cert_file: \"{}\"\n{indent}  key_file: \"{}\"\n{indent}  ca_file: \"{}\"\n\
             {verify}{indent}}}\n",
            tls.certificate, tls.key, tls.ca
        )
    }

    fn accounts(&self, text: &mut String, site: &Site, seeds: &mut Seeds) -> Result<(), FleetError> {
        let (subjects, domain) = (self.subjects()?, self.far_domain_of(site));
        // Where gateways lead to the log, too, or what nodes ask of JetStream would go nowhere.
        let joined = site.leaf_of.is_none() && self.log_of(site).is_some();
        let jetstream = if site.jetstream || joined { "    jetstream: enabled\n" } else { "" };
        let _ = write!(text, "accounts {{\n  HEADWATER {{\n{jetstream}    users: [\n");
        for node in &site.nodes {
            user(text, &self.login(node.as_str(), seeds)?, &subjects.rights_of_node(node, domain));
        }
        for monitor in &self.monitors {
            let rights = subjects.rights_of_monitor(monitor, domain, &self.others(site));
            user(text, &self.login(monitor.as_str(), seeds)?, &rights);
        }
        for operator in &self.operators {
            let rights = subjects.rights_of_operator(&self.domains());
            user(text, &self.login(operator.as_str(), seeds)?, &rights);
        }
        for application in &self.applications {
            let rights = subjects.rights_of_application(application);
            user(text, &self.login(application.as_str(), seeds)?, &rights);
        }
        for callout in &self.callouts {
            user(text, &self.login(callout.as_str(), seeds)?, &subjects.rights_of_callout());
        }
        for leaf in self.leaves(site) {
            let login = self.login(&leaf.leaf_user(), seeds)?;
            let _ = write!(
                text,
                "      # The servers of {}, which answer for their nodes.\n      {{ {login} }}\n",
                leaf.name
            );
        }
        let system = self.login("sys", seeds)?;
        let _ = write!(text, "    ]\n  }}\n  SYS {{ users: [{{ {system} }}] }}\n}}\nsystem_account: SYS\n");
        Ok(())
    }

    fn cluster(&self, text: &mut String, site: &Site) {
        let routes: Vec<_> = site.servers.iter().map(|it| format!("    \"nats://{it}:6222\"\n")).collect();
        let _ = write!(
            text,
            "\n{}cluster {{\n  name: {}\n  listen: \"0.0.0.0:6222\"\n{}  routes: [\n{}  ]\n}}\n",
            self.closed(6222, "the site's other servers"),
            site.name,
            self.tls_block("  ", true),
            routes.concat()
        );
    }

    fn gateway(&self, text: &mut String, site: &Site) {
        let gateways = self.joined().map(|other| {
            let urls: Vec<_> = other.servers.iter().map(|it| format!("\"nats://{it}:7222\"")).collect();
            format!("    {{ name: {}, urls: [{}] }}\n", other.name, urls.join(", "))
        });
        let _ = write!(
            text,
            "\n{}gateway {{\n  name: {}\n  listen: \"0.0.0.0:7222\"\n  reject_unknown: true\n{}  gateways: [\n{}  ]\n}}\n",
            self.closed(7222, "the other sites' servers"),
            site.name,
            self.tls_block("  ", true),
            gateways.collect::<String>()
        );
    }

    fn leaf_nodes(&self, text: &mut String, site: &Site) {
        if self.leaves(site).next().is_some() {
            let closed = self.closed(7422, "the servers of leaf sites");
            let tls = self.tls_block("  ", true);
            let _ = write!(text, "\n{closed}leafnodes {{\n  listen: \"0.0.0.0:7422\"\n{tls}}}\n");
        }
        let Some(hub) = site.leaf_of.as_ref().and_then(|hub| self.site(hub)) else { return };
        let (user, port) = (site.leaf_user(), 7422);
        let seed = format!("{}_NKEY", variable(&user));
        let login = match self.logins {
            Logins::Nkeys => {
                let urls: Vec<_> =
                    hub.servers.iter().map(|it| format!("\"nats-leaf://{it}:{port}\"")).collect();
                format!("urls: [{}]\n    nkey: ${seed}", urls.join(", "))
            }
            Logins::Passwords => "url: $HUB_URL".to_owned(),
        };
        let _ = match self.logins {
            Logins::Nkeys => {
                write!(text, "\n# {seed} is what stands in {user}.nk: nobody else's environment has it.")
            }
            Logins::Passwords => {
                let server = hub.servers.first().map_or("", String::as_str);
                write!(text, "\n# HUB_URL is nats-leaf://{user}:<its password>@{server}:{port}")
            }
        };
        let domains = self.domain_of(site) != self.domain_of(hub);
        // With a log on either side each event would be stored in both.
        let kept = if domains { self.kept_events() } else { String::new() };
        let tls = self.tls_block("    ", false);
        let _ = write!(
            text,
            "\nleafnodes {{\n  remotes: [{{\n    {login}\n    account: HEADWATER\n{kept}{tls}  }}]\n}}\n"
        );
    }

    /// What doesn't cross between sites that each have a log.
    fn kept_events(&self) -> String {
        let events =
            self.subjects().map(|subjects| subjects.events().map(|it| format!("\"{it}\"")).join(", "));
        let events = events.unwrap_or_default();
        format!(
            "    # Each site's log has what happens there; monitors copy the other's (monitor.domains).\n    \
             deny_imports: [{events}]\n    deny_exports: [{events}]\n"
        )
    }

    /// Who may reach a port, where the server itself doesn't check it.
    fn closed(&self, port: u16, who: &str) -> String {
        if self.tls.is_some() {
            return String::new();
        }
        format!(
            "# Whoever reaches port {port} is believed: firewall it for all but {who}, or have `[tls]` in the list.\n"
        )
    }
}

fn user(text: &mut String, login: &str, rights: &Rights) {
    let _ = write!(text, "      {{\n        {login}\n        permissions: {{\n");
    if rights.publish.is_empty() {
        put(text, "          publish: { deny: \">\" }\n");
    } else {
        put(text, "          publish: [\n");
        for (why, subjects) in &rights.publish {
            let _ = writeln!(text, "            # {why}");
            list(text, subjects);
        }
        put(text, "          ]\n");
    }
    put(text, "          subscribe: [\n");
    list(text, &rights.subscribe);
    put(text, "          ]\n");
    if rights.answers {
        put(text, "          # Answers, once each, what it was asked.\n");
        let _ = writeln!(text, "          allow_responses: {{ max: 1, expires: \"{ANSWER}\" }}");
    }
    put(text, "        }\n      }\n");
}

fn list(text: &mut String, subjects: &[String]) {
    for subject in subjects {
        let _ = writeln!(text, "            \"{subject}\"");
    }
}

fn put(text: &mut String, what: &str) {
    text.push_str(what);
}
