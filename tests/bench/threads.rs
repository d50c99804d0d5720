//! What the threads of a process have used of the processor.

use std::fs;

/// Ticks of `/proc/<pid>/task/<tid>/stat` (proc(5)), each second.
const HERTZ: f64 = 100.0;

/// Processor time in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Of all threads.
    pub(crate) all: f64,
    /// Of the media workers among them.
    pub(crate) media: f64,
}

/// What the threads that a process has now have used so far.
pub(crate) fn used(pid: u32) -> Used {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let mut used = Used::default();
    for thread in threads.flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let (name, fields) = stat.rsplit_once(')').expect("its name");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: f64 = fields[11..=12].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
        used.all += ticks / HERTZ;
        used.media += if name.contains("mediasoup") { ticks / HERTZ } else { 0.0 };
    }
    used
}
