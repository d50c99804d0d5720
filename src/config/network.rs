//! The broker, and where media is sent.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Announced, IceServer, Secret};

/// The message broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// Servers of one cluster, tried in turn.
    pub urls: Vec<String>,
    /// A credentials file (JWT and seed).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// The seed of an NKEY.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<Secret>,
    /// A user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// TLS; absent means as the server asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<NatsTls>,
    /// What stands before every subject, so that several fleets share one account.
    pub prefix: String,
    /// The node's own inbox prefix; empty means `_INBOX_<node>`, which no other node can read.
    pub inbox_prefix: String,
    /// The JetStream domain that keeps the events; empty is the one of the server.
    pub domain: String,
    /// Copies of each event in the JetStream cluster.
    pub replicas: usize,
    /// Where JetStream keeps the events.
    pub storage: Storage,
}

/// Where JetStream keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    File,
    /// In memory.
    Memory,
}

/// TLS towards the broker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsTls {
    /// The certificate authority, in PEM; absent means the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// The client's certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Where publishers and viewers send media: one UDP and one TCP port per worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebRtc {
    /// Local addresses, IPv4 or IPv6.
    pub listen: Vec<IpAddr>,
    /// What is told to publishers and viewers, where it differs: an address or host name, or one for each family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// The first worker's port; the next worker takes the next one. 0 takes free ones.
    pub port: u16,
    /// Whether media may come over TCP too.
    pub tcp: bool,
    /// STUN and TURN servers that publishers and viewers are told.
    pub ice_servers: Vec<IceServer>,
    /// The bandwidth estimate that a viewer starts with, in bit/s.
    pub initial_bitrate: u32,
    /// The most that a publisher may send, in bit/s; 0 is without limit.
    pub max_publish_bitrate: u32,
    /// Bytes that a worker's UDP socket may hold until they are read, and until they are sent; 0 is what the system gives. It
    /// gives no more than `net.core.rmem_max` and `wmem_max`.
    pub receive_buffer: u32,
    /// See `receive_buffer`.
    pub send_buffer: u32,
}

/// Where other nodes send media: one UDP port per pipe.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pipe {
    /// The local address.
    pub listen: IpAddr,
    /// The address or host name that is told to other nodes, where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announced: Option<Announced>,
    /// The ports, as `40000-40999`.
    pub ports: PortRange,
    /// Whether pipes encrypt.
    pub srtp: bool,
    /// Whether pipes repair loss.
    pub rtx: bool,
    /// Bytes that a pipe's UDP socket may hold until they are read, and until they are sent; 0 is what the system gives. It
    /// gives no more than `net.core.rmem_max` and `wmem_max`.
    pub receive_buffer: u32,
    /// See `receive_buffer`.
    pub send_buffer: u32,
}

/// A range of UDP ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// How many ports the range has.
    pub fn size(self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no port range such as 40000-40999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let first = first.trim().parse().map_err(|_| wrong())?;
        let last = last.trim().parse().map_err(|_| wrong())?;
        if first == 0 || first > last {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        format!("{}-{}", range.first, range.last)
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A key frame of a megabyte, unpaced, as the system counts it, from more than one publisher at once.
const BUFFER: u32 = 4 << 20;

impl Default for Nats {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            credentials: None,
            nkey: None,
            user: None,
            password: None,
            token: None,
            tls: None,
            prefix: String::new(),
            inbox_prefix: String::new(),
            domain: String::new(),
            replicas: 1,
            storage: Storage::File,
        }
    }
}

impl Default for WebRtc {
    fn default() -> Self {
        Self {
            listen: vec![LOOPBACK],
            announced: None,
            port: 44400,
            tcp: true,
            ice_servers: Vec::new(),
            initial_bitrate: 1_000_000,
            max_publish_bitrate: 0,
            receive_buffer: BUFFER,
            send_buffer: BUFFER,
        }
    }
}

impl Default for Pipe {
    fn default() -> Self {
        Self {
            listen: LOOPBACK,
            announced: None,
            ports: PortRange { first: 40000, last: 40999 },
            srtp: true,
            rtx: true,
            receive_buffer: BUFFER,
            send_buffer: BUFFER,
        }
    }
}
