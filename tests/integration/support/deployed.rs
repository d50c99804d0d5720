//! The NATS servers of a folder in `deploy/nats`, by their files as they stand: only addresses, ports and folders are
//! other ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use headwater::config::Config;
use headwater::servers::{Fleet, Logins, Seeds};

use super::chaos::ChaosProxy;
use super::nats::{NatsServer, Recipe, loopback};

/// The password of every user.
const PASSWORD: &str = "secret";
/// Ports that servers listen on for each other.
const BETWEEN: [u16; 3] = [6222, 7222, 7422];

/// Such servers.
#[derive(Debug)]
pub(crate) struct Deployed {
    fleet: Fleet,
    /// By the names that the files have for them.
    servers: BTreeMap<String, NatsServer>,
    /// The ways between sites: into each server's gateway or leaf port.
    links: Vec<ChaosProxy>,
}

/// A folder of `deploy/nats`.
pub(crate) fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "deploy/nats", name].iter().collect()
}

impl Deployed {
    /// Starts all servers of `deploy/nats/<name>`.
    pub(crate) async fn start(name: &str) -> Self {
        let list = fs::read_to_string(folder(name).join("fleet.toml")).unwrap();
        let fleet = Fleet::parse(&list).unwrap();
        assert_eq!(fleet.logins, Logins::Passwords, "{name}");
        let mut servers: BTreeMap<_, _> = BTreeMap::new();
        let (mut links, mut reached) = (Vec::new(), BTreeMap::new());
        let hosts = fleet.sites.iter().flat_map(|site| &site.servers);
        for host in hosts {
            let ip = loopback();
            servers.insert(host.clone(), ip);
            for port in [7222, 7422] {
                let link = ChaosProxy::start(format!("{ip}:{port}")).await;
                reached.insert(format!("{host}:{port}"), link.url());
                links.push(link);
            }
        }
        let mut started = BTreeMap::new();
        for site in &fleet.sites {
            let file = folder(name).join(format!("{}.conf", site.name));
            let text = fs::read_to_string(&file).unwrap();
            for host in &site.servers {
                let ip = servers[host];
                let mut config = text.replace("127.0.0.1:8222", &format!("{ip}:8222"));
                for port in BETWEEN {
                    let advertise = match port {
                        // Servers tell each other where they are reached: through the links alone.
                        7222 | 7422 => format!("\n  advertise: \"{}\"", reached[&format!("{host}:{port}")]),
                        _ => String::new(),
                    };
                    let listen = format!("listen: \"{ip}:{port}\"{advertise}");
                    config = config.replace(&format!("listen: \"0.0.0.0:{port}\""), &listen);
                }
                // The ways of the sites' own clusters can't be cut, those between sites can.
                for (far, near) in &reached {
                    config = config.replace(far, near);
                }
                for (name, ip) in &servers {
                    config = config.replace(name, &ip.to_string());
                }
                let hub = site.leaf_of.as_ref().map(|hub| {
                    let hub = fleet.sites.iter().find(|site| site.name == *hub).unwrap();
                    let way = &reached[&format!("{}:7422", hub.servers[0])];
                    ("HUB_URL".to_owned(), format!("nats-leaf://leaf-{}:{PASSWORD}@{way}", site.name))
                });
                let recipe = Recipe {
                    config,
                    jetstream: false,
                    ip: ip.into(),
                    variables: variables(&fleet)
                        .chain(hub)
                        .chain([("SERVER_NAME".to_owned(), host.clone())])
                        .collect(),
                    ..Recipe::default()
                };
                started.insert(host.clone(), NatsServer::stopped(recipe));
            }
        }
        let mut deployed = Self { fleet, servers: started, links };
        for server in deployed.servers.values_mut() {
            server.restart().await;
        }
        deployed
    }

    /// The server that the files call so.
    pub(crate) fn server(&mut self, host: &str) -> &mut NatsServer {
        self.servers.get_mut(host).expect("a server of that name")
    }

    /// Cuts every link between sites: connections across are reset.
    pub(crate) async fn cut(&self) {
        for link in &self.links {
            link.cut().await;
        }
    }

    /// The links are back.
    pub(crate) fn restore(&self) {
        self.links.iter().for_each(ChaosProxy::restore);
    }

    /// What the servers say that was denied.
    pub(crate) fn violations(&self) -> Vec<String> {
        let logs = self.servers.values().map(NatsServer::log);
        logs.flat_map(|log| {
            log.lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
    }

    /// A node's configuration, with what `headwater nats-config` gives it.
    pub(crate) fn node(&self, name: &str) -> Config {
        let site = self.fleet.sites.iter().find(|site| site.nodes.iter().any(|node| node.as_str() == name));
        let region = site.expect("a site that has the node").name.to_string();
        self.given(super::fleet::config(name, &region, ""), name)
    }

    /// A monitor's.
    pub(crate) fn monitor(&self, name: &str) -> Config {
        self.given(super::monitors::config(name, ""), name)
    }

    fn given(&self, mut config: Config, user: &str) -> Config {
        let files = self.fleet.files(&mut Seeds::new()).unwrap();
        let file = files.iter().find(|file| file.name == format!("{user}.env")).expect("what it is given");
        let mut text = String::new();
        for line in file.text.lines() {
            let (key, value) = line.split_once('=').unwrap();
            let (section, key) = key.strip_prefix("HEADWATER_").unwrap().split_once("__").unwrap();
            let value = match value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')) {
                Some(value) => value.to_owned(),
                None if value.parse::<u64>().is_ok() => value.to_owned(),
                None => format!("\"{value}\""),
            };
            text += &format!("{}.{} = {value}\n", section.to_lowercase(), key.to_lowercase());
        }
        for (host, server) in &self.servers {
            text = text.replace(&format!("nats://{host}:4222"), &server.url());
        }
        let given = Config::parse(&text).unwrap();
        config.nats = given.nats;
        config.nats.password = Some(PASSWORD.into());
        config.monitor.domains = given.monitor.domains;
        config
    }
}

/// The passwords of all users, as the servers' environment has them.
fn variables(fleet: &Fleet) -> impl Iterator<Item = (String, String)> {
    let variable =
        |user: &String| (format!("{}_PASSWORD", user.to_uppercase().replace('-', "_")), PASSWORD.to_owned());
    fleet.users().iter().map(variable).collect::<Vec<_>>().into_iter()
}
