//! Who listens, and what sockets dropped.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state of a TCP socket that listens, in hex.
const LISTENING: &str = "0A";

/// A line of `/proc/net/tcp` or `udp`, and their siblings for IPv6.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    state: String,
    inode: u64,
    /// What a full receive queue made it drop; UDP alone counts that.
    drops: u64,
}

/// The process that listens here, of those that we may look at.
pub(in crate::load) fn listener(address: SocketAddr) -> Option<u32> {
    let sockets = ["tcp", "tcp6"].into_iter().flat_map(table);
    let inodes: BTreeSet<u64> =
        sockets.filter(|socket| is_behind(socket, address)).map(|socket| socket.inode).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| !inodes_of(Path::new(&format!("/proc/{pid}/fd"))).is_disjoint(&inodes))
}

/// Datagrams that this process's sockets dropped since they were opened, because nobody read in time.
pub(in crate::load) fn drops() -> u64 {
    let own = inodes_of(Path::new("/proc/self/fd"));
    let sockets = ["udp", "udp6"].into_iter().flat_map(table);
    sockets.filter(|socket| own.contains(&socket.inode)).map(|socket| socket.drops).sum()
}

fn table(kind: &str) -> Vec<Socket> {
    let text = fs::read_to_string(format!("/proc/net/{kind}")).unwrap_or_default();
    text.lines().skip(1).filter_map(parse).collect()
}

fn inodes_of(folder: &Path) -> BTreeSet<u64> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    links.filter_map(|link| inode(link.to_str()?)).collect()
}

/// Of `socket:[12345]`.
fn inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Whether a connection to `address` reaches this socket.
fn is_behind(socket: &Socket, address: SocketAddr) -> bool {
    let ip = socket.local.ip().to_canonical();
    let any = ip.is_unspecified() && (socket.local.is_ipv6() || address.is_ipv4());
    socket.state == LISTENING
        && socket.local.port() == address.port()
        && (any || ip == address.ip().to_canonical())
}

fn parse(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let drops = fields.get(12).and_then(|field| field.parse().ok()).unwrap_or(0);
    let state = (*fields.get(3)?).to_owned();
    Some(Socket { local: address(fields.get(1)?)?, state, inode: fields.get(9)?.parse().ok()?, drops })
}

/// The address in the words of the machine's byte order, the port in plain hex.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut words = Vec::new();
    let mut rest = ip;
    while let Some((word, after)) = rest.split_at_checked(8) {
        words.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
        rest = after;
    }
    let ip = match <[u8; 4]>::try_from(words.as_slice()) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.as_slice()).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn reads_lines_of_both_families() {
        let tcp = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        let socket = parse(tcp).unwrap();
        assert_eq!((socket.local, socket.inode), ("127.0.0.1:8080".parse().unwrap(), 4711));
        assert!(is_behind(&socket, "127.0.0.1:8080".parse().unwrap()));
        for other in ["127.0.0.1:8081", "127.0.0.2:8080", "[::1]:8080"] {
            assert!(!is_behind(&socket, other.parse().unwrap()), "{other}");
        }
        let udp = "  9: 00000000000000000000000001000000:D6D8 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 815 2 0000000000000000 37";
        let socket = parse(udp).unwrap();
        assert_eq!((socket.local, socket.drops), ("[::1]:55000".parse().unwrap(), 37));
        assert_eq!(parse("nonsense"), None);
        assert_eq!(address("zz:1"), None);
    }

    #[test]
    fn who_listens_everywhere_listens_here() {
        let any = |local: &str, address: &str| {
            let local = local.parse().unwrap();
            let socket = Socket { local, state: LISTENING.to_owned(), inode: 1, drops: 0 };
            is_behind(&socket, address.parse().unwrap())
        };
        assert!(
            any("0.0.0.0:80", "10.0.0.1:80") && any("[::]:80", "10.0.0.1:80") && any("[::]:80", "[::1]:80")
        );
        assert!(any("[::ffff:10.0.0.1]:80", "10.0.0.1:80") && !any("0.0.0.0:80", "[::1]:80"));
    }

    #[test]
    fn finds_this_process_and_what_its_socket_dropped() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(listening.local_addr().unwrap()), Some(std::process::id()));
        let unused = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
        assert_eq!(listener(unused), None);

        let (full, sender) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let before = drops();
        for _ in 0..5_000 {
            sender.send_to(&[0; 1000], full.local_addr().unwrap()).unwrap();
        }
        assert!(drops() > before, "nobody reads");
    }
}
