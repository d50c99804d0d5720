//! Numbers and times as people read them.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};

/// Bits per second, as `2.1 Mbit/s`.
pub(super) fn bitrate(bits: u64) -> String {
    let scaled = |unit: f64| bits as f64 / unit;
    match bits {
        0..1_000 => format!("{bits} bit/s"),
        1_000..999_500 => format!("{:.0} kbit/s", scaled(1e3)),
        999_500..999_950_000 => format!("{:.1} Mbit/s", scaled(1e6)),
        _ => format!("{:.1} Gbit/s", scaled(1e9)),
    }
}

/// Bytes, as `2.1 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    let scaled = |unit: f64| bytes as f64 / unit;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..999_500 => format!("{:.0} kB", scaled(1e3)),
        999_500..999_950_000 => format!("{:.1} MB", scaled(1e6)),
        999_950_000..999_950_000_000 => format!("{:.1} GB", scaled(1e9)),
        _ => format!("{:.1} TB", scaled(1e12)),
    }
}

/// The time between two moments; none where clocks disagree.
pub(super) fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> String {
    seconds((now - since).num_seconds().try_into().unwrap_or_default())
}

/// Seconds, in their two greatest units: `2h 5m`.
pub(super) fn seconds(total: u64) -> String {
    let units = [("d", total / 86_400), ("h", total / 3_600 % 24), ("m", total / 60 % 60), ("s", total % 60)];
    let mut text = String::new();
    for (unit, value) in units.into_iter().skip_while(|(_, value)| *value == 0).take(2) {
        if value > 0 {
            let _ = write!(text, "{}{value}{unit}", if text.is_empty() { "" } else { " " });
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Microseconds in milliseconds, with a decimal where it says something.
pub(super) fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// A time that `--at` and `--since` read again.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `1 viewer`, `3 viewers`.
pub(in crate::cli) fn count(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Text of others without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_take_the_unit_that_fits() {
        let cases = [
            (0, "0 bit/s"),
            (999, "999 bit/s"),
            (64_400, "64 kbit/s"),
            (999_499, "999 kbit/s"),
            (999_500, "1.0 Mbit/s"),
            (2_100_000, "2.1 Mbit/s"),
            (999_950_000, "1.0 Gbit/s"),
        ];
        for (bits, text) in cases {
            assert_eq!(bitrate(bits), text);
        }
    }

    #[test]
    fn ages_are_told_in_two_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (75, "1m 15s"),
            (3600, "1h"),
            (7_530, "2h 5m"),
            (86_400 + 59, "1d"),
            (90_000, "1d 1h"),
        ];
        for (total, text) in cases {
            assert_eq!(seconds(total), text);
        }
        let now = Utc::now();
        assert_eq!(age(now + chrono::TimeDelta::seconds(5), now), "0s");
    }

    #[test]
    fn counts_and_durations_read_as_english() {
        assert_eq!(count(1u32, "viewer"), "1 viewer");
        assert_eq!(count(0u32, "viewer"), "0 viewers");
        assert_eq!(milliseconds(850), "0.8 ms");
        assert_eq!(milliseconds(12_345), "12 ms");
    }

    #[test]
    fn a_text_cannot_command_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }
}
