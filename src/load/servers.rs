//! Which processes of this machine serve, found by the ports that the addresses name.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use reqwest::Url;

use super::proc;

/// A server process and what it has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Which of the plan's servers it is; none where only its number was given.
    pub(super) places: Vec<usize>,
    pub(super) pid: u32,
    pub(super) name: String,
}

/// Those that can be found on this machine, each once, and those whose numbers were given.
pub(super) async fn find(urls: &[Url], pids: &[u32]) -> Vec<Server> {
    let mut found: Vec<Server> = Vec::new();
    for (place, url) in urls.iter().enumerate() {
        if let Some(pid) = listening(url).await {
            match found.iter_mut().find(|server| server.pid == pid) {
                Some(server) => server.places.push(place),
                None => found.extend(server(pid, vec![place])),
            }
        }
    }
    for pid in pids {
        if !found.iter().any(|server| server.pid == *pid) {
            // Where nothing is found by port, such as behind a proxy, the one that was named serves all.
            let all = found.is_empty() && pids.len() == 1;
            let places = if all { (0..urls.len()).collect() } else { Vec::new() };
            found.extend(server(*pid, places));
        }
    }
    found
}

fn server(pid: u32, places: Vec<usize>) -> Option<Server> {
    Some(Server { places, pid, name: proc::name(pid)? })
}

async fn listening(url: &Url) -> Option<u32> {
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    let addresses = tokio::net::lookup_host((host, url.port_or_known_default()?)).await.ok()?;
    addresses.into_iter().filter(|address| is_here(address.ip())).find_map(proc::listener)
}

/// Whether an address is this machine's own: only such a one can be bound.
fn is_here(ip: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_is_found_by_its_port_and_named_once() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listening.local_addr().unwrap().port();
        let url = |url: String| Url::parse(&url).unwrap();
        let urls = [
            url(format!("http://127.0.0.1:{port}")),
            url("http://127.0.0.1:1".to_owned()),
            url(format!("http://localhost:{port}")),
        ];
        let me = std::process::id();
        let found = find(&urls, &[me]).await;
        let found: Vec<_> = found.iter().map(|server| (server.pid, server.places.as_slice())).collect();
        assert_eq!(found, [(me, [0, 2].as_slice())]);
        // No address of this machine: nothing is known of its processes.
        assert!(find(&[url("http://192.0.2.1".to_owned())], &[]).await.is_empty());
        assert_eq!(find(&urls[1..2], &[me]).await[0].places, [0], "behind a proxy");
    }
}
