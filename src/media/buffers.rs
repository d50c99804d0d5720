//! How much the sockets of media may hold: an encoder sends a key frame of some hundred packets at once, and what
//! finds no place is lost.

use std::path::Path;

use crate::config::Config;

/// Where the kernel says what it grants at most (Linux).
const KERNEL: &str = "/proc/sys/net/core";

/// As mediasoup takes it: none is what the system gives.
pub(super) fn asked(bytes: u32) -> Option<u32> {
    (bytes > 0).then_some(bytes)
}

/// Says in the log which buffers will be smaller than configured, and what to do.
pub(super) fn check(config: &Config) {
    for small in smaller(config, |limit| granted(Path::new(KERNEL), limit)) {
        tracing::warn!(
            key = small.key,
            wanted = small.wanted,
            granted = small.granted,
            "the system grants a smaller socket buffer than {}: bursts of media may be lost; run `sysctl -w net.core.{}={}`, \
             or set {} to {}",
            small.key,
            small.limit,
            small.wanted,
            small.key,
            small.granted,
        );
    }
}

/// A buffer that is smaller than configured.
#[derive(Debug, PartialEq, Eq)]
struct Smaller {
    key: &'static str,
    limit: &'static str,
    wanted: u32,
    granted: u32,
}

fn smaller(config: &Config, granted: impl Fn(&str) -> Option<u32>) -> Vec<Smaller> {
    let keys = [
        ("webrtc.receive_buffer", "rmem_max", config.webrtc.receive_buffer),
        ("webrtc.send_buffer", "wmem_max", config.webrtc.send_buffer),
        ("pipe.receive_buffer", "rmem_max", config.pipe.receive_buffer),
        ("pipe.send_buffer", "wmem_max", config.pipe.send_buffer),
    ];
    let smaller = keys.into_iter().filter_map(|(key, limit, wanted)| {
        let granted = granted(limit)?;
        (wanted > granted).then_some(Smaller { key, limit, wanted, granted })
    });
    smaller.collect()
}

/// The most that the kernel grants; none where it doesn't say.
fn granted(kernel: &Path, limit: &str) -> Option<u32> {
    std::fs::read_to_string(kernel.join(limit)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_not_grant_is_named_with_what_to_do() {
        let mut config = Config::default();
        config.pipe.receive_buffer = 0;
        config.webrtc.send_buffer = 212_992;
        let small = smaller(&config, |_| Some(212_992));
        let named: Vec<_> = small.iter().map(|small| (small.key, small.limit)).collect();
        assert_eq!(named, [("webrtc.receive_buffer", "rmem_max"), ("pipe.send_buffer", "wmem_max")]);
        assert_eq!(smaller(&config, |_| Some(8 << 20)), []);
        assert_eq!(smaller(&config, |_| None), [], "another system says nothing");
    }
}
