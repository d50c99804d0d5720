//! A report for people.

use std::fmt::{self, Display, Formatter};

use super::outcome::Outcomes;
use super::report::{LoadReport, ServerReport};
use super::timing::Quantiles;

impl Display for LoadReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let viewers = &self.viewers;
        if self.interrupted {
            writeln!(f, "ended before its time: this is what was seen until then\n")?;
        }
        writeln!(
            f,
            "viewers     {} asked in {:.1} s, {} joined, {} connected, {} with media ({} read whole)",
            viewers.asked,
            self.ramp_seconds,
            viewers.joined,
            viewers.connected,
            viewers.with_media,
            viewers.sampled
        )?;
        reasons(f, "refused", &viewers.refused)?;
        reasons(f, "ended", &viewers.ended)?;
        let publishers = &self.publishers;
        if publishers.asked > 0 {
            writeln!(
                f,
                "publishers  {} asked, {} joined, {} packets sent, {} key frames asked for",
                publishers.asked, publishers.joined, publishers.packets, publishers.key_frame_requests
            )?;
            reasons(f, "refused", &publishers.refused)?;
            reasons(f, "ended", &publishers.ended)?;
        }
        writeln!(
            f,
            "\n{:14}{:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "ms", "count", "min", "p50", "p90", "p99", "max"
        )?;
        for (name, quantiles) in [
            ("answer", &self.answer_ms),
            ("connected", &self.connected_ms),
            ("first packet", &self.first_packet_ms),
            ("first frame", &self.first_frame_ms),
            ("delay", &self.delay_ms),
            ("jitter", &self.jitter_ms),
        ] {
            row(f, name, quantiles)?;
        }
        self.steady(f)?;
        for limit in &self.limits {
            writeln!(f, "LIMIT       {limit}")?;
        }
        Ok(())
    }
}

impl LoadReport {
    fn steady(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (flow, pictures, own) = (&self.steady, &self.pictures, &self.own);
        if flow.seconds == 0.0 {
            return writeln!(f, "\nno steady phase: {} packets came in all", self.whole.packets);
        }
        writeln!(
            f,
            "\nsteady      {:.1} s: {:.0} packets/s, {:.1} Mbit/s; {} lost ({:.3} %), {} sent again, {} twice",
            flow.seconds,
            flow.packets_per_second,
            flow.bits_per_second / 1e6,
            flow.lost,
            flow.loss_ratio * 100.0,
            flow.retransmitted,
            flow.duplicates
        )?;
        writeln!(
            f,
            "pictures    {} viewers read whole: {} pictures, {} freezes ({} ms) of {} viewers, longest gap {} ms",
            pictures.viewers,
            pictures.frames,
            pictures.freezes,
            pictures.freeze_ms,
            pictures.frozen_viewers,
            pictures.longest_gap_ms
        )?;
        writeln!(
            f,
            "\n{:30} {:>8} {:>7} {:>10} {:>9} {:>11}",
            "process", "viewers", "cores", "µs/packet", "memory", "by viewer"
        )?;
        for server in &self.servers {
            process(f, server)?;
        }
        writeln!(
            f,
            "{:30} {:>8} {:>7.2} {:>10} {:>9} {:>11}",
            "this program",
            "",
            own.cores,
            micros(own.micros_per_packet),
            mib(own.memory),
            ""
        )?;
        let threads: Vec<String> =
            own.threads.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
        writeln!(
            f,
            "            its threads: {}; late by {:.1} ms (p99); machine busy {}",
            threads.join(" "),
            own.lateness_ms.p99,
            own.machine_busy.map_or_else(|| "-".to_owned(), |busy| format!("{:.0} %", busy * 100.0)),
        )
    }
}

fn reasons(f: &mut Formatter<'_>, what: &str, outcomes: &Outcomes) -> fmt::Result {
    outcomes.most().iter().try_for_each(|(reason, count)| writeln!(f, "  {what:9} {count:>6}  {reason}"))
}

fn row(f: &mut Formatter<'_>, name: &str, quantiles: &Quantiles) -> fmt::Result {
    let Quantiles { count, min, p50, p90, p99, max, .. } = *quantiles;
    if count == 0 {
        return writeln!(f, "{name:14}{count:>8}");
    }
    writeln!(f, "{name:14}{count:>8} {min:>9.1} {p50:>9.1} {p90:>9.1} {p99:>9.1} {max:>9.1}")
}

fn process(f: &mut Formatter<'_>, server: &ServerReport) -> fmt::Result {
    let name = format!("{} {} {}", server.name, server.pid, server.urls.join(" "));
    let each =
        server.memory_per_viewer.map_or_else(|| "-".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    writeln!(
        f,
        "{name:30} {:>8} {:>7.2} {:>10} {:>9} {each:>11}",
        server.viewers,
        server.cores,
        micros(server.micros_per_packet),
        mib(server.memory)
    )
}

fn micros(each: Option<f64>) -> String {
    each.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}"))
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
