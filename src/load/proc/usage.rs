//! Processor time and memory, by process, by thread and of the whole machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What processes have used together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::load) struct Usage {
    /// Since each of them began.
    pub(in crate::load) cpu: Duration,
    /// Resident, in bytes; what they share counts for each.
    pub(in crate::load) memory: u64,
    /// How many there are.
    pub(in crate::load) processes: usize,
}

/// What all cores together did since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::load) struct Busy {
    busy: u64,
    all: u64,
}

impl Busy {
    /// The share of time, 0 to 1, in which the cores worked since `before`.
    pub(in crate::load) fn since(self, before: Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        self.busy.saturating_sub(before.busy) as f64 / all.max(1) as f64
    }
}

/// What is of interest in a `stat` file of a process or thread.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    parent: u32,
    ticks: u64,
}

/// A process and all that it has started, and so on.
pub(in crate::load) fn family(root: u32) -> Vec<u32> {
    let processes = numbers(Path::new("/proc"));
    let parents = processes.filter_map(|pid| Some((pid, stat(&format!("/proc/{pid}/stat"))?.parent)));
    descendants(root, &parents.collect())
}

/// What these have used; those that are gone count no more.
pub(in crate::load) fn usage(pids: &[u32]) -> Usage {
    pids.iter().fold(Usage::default(), |sum, pid| {
        let Some(stat) = stat(&format!("/proc/{pid}/stat")) else {
            return sum;
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Usage {
            cpu: sum.cpu + time(stat.ticks),
            memory: sum.memory + resident(&status),
            processes: sum.processes + 1,
        }
    })
}

/// The name of a process, as it is listed.
pub(in crate::load) fn name(pid: u32) -> Option<String> {
    stat(&format!("/proc/{pid}/stat")).map(|stat| stat.name)
}

/// This process's threads whose names begin so, and what each has used.
pub(in crate::load) fn threads(prefix: &str) -> Vec<Duration> {
    let stats =
        numbers(Path::new("/proc/self/task")).filter_map(|id| stat(&format!("/proc/self/task/{id}/stat")));
    stats.filter(|stat| stat.name.starts_with(prefix)).map(|stat| time(stat.ticks)).collect()
}

/// What the cores did so far.
pub(in crate::load) fn busy() -> Option<Busy> {
    parse_busy(&fs::read_to_string("/proc/stat").ok()?)
}

fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(path: &str) -> Option<Stat> {
    parse_stat(&fs::read_to_string(path).ok()?)
}

fn time(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// A name may hold anything, spaces and brackets too, so the last bracket ends it.
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, rest) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first of these is field 3 of proc_pid_stat(5): state, ppid … utime (14) and stime (15).
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: name.to_owned(),
        parent: number(4)?.try_into().ok()?,
        ticks: number(14)? + number(15)?,
    })
}

/// `VmRSS`, in bytes; a process that is ending has none.
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal. What guests take is within user's.
fn parse_busy(text: &str) -> Option<Busy> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let all = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Some(Busy { busy: all - idle, all })
}

fn descendants(root: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid);
        let new: Vec<u32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_that_is_as_bad_as_names_may_be() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 3 0 100 1 1 1";
        let expected = Stat { name: "a) b (c)".to_owned(), parent: 7, ticks: 200 };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (short) S 7"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn reads_memory_and_how_busy_the_machine_is() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), 2 << 20);
        assert_eq!(resident("Name:\tzombie\n"), 0);
        let before = parse_busy("cpu  100 0 100 700 100 0 0 0 5 5\ncpu0 1 2 3\n").unwrap();
        let after = parse_busy("cpu  160 0 130 705 105 0 0 0 9 9\n").unwrap();
        assert!((after.since(before) - 0.9).abs() < 1e-9);
        assert_eq!(before.since(before), 0.0);
        assert_eq!(parse_busy("intr 1"), None);
    }

    #[test]
    fn finds_children_and_theirs() {
        let parents = BTreeMap::from([(1, 0), (10, 1), (11, 10), (12, 11), (13, 1), (10_000, 12)]);
        assert_eq!(descendants(10, &parents), [10, 11, 12, 10_000]);
        assert_eq!(descendants(99, &parents), [99]);
        let loops = BTreeMap::from([(1, 2), (2, 1)]);
        assert_eq!(descendants(1, &loops), [1, 2]);
    }

    #[test]
    fn knows_this_process() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        let family = family(me);
        assert!(family.contains(&me) && family.contains(&child.id()), "{family:?}");
        let usage = usage(&family);
        assert!(usage.memory > 1 << 20 && usage.processes >= 2, "{usage:?}");
        assert_eq!(name(child.id()).as_deref(), Some("sleep"));
        assert!(!threads("").is_empty() && threads("no thread is called so").is_empty());
        assert!(busy().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
