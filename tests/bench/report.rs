//! What was measured, where, when and of which commit: `target/bench/report.json` and `report.md`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::thread::available_parallelism;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::table::Figure;

/// All that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    commit: String,
    began: DateTime<Utc>,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(0, usize::from);
        let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, model)| model);
        let build = if cfg!(debug_assertions) { "dev" } else { "release" };
        let machine = format!("{cores} cores ({model}), {build} build");
        Self { machine, commit: commit(), began: Utc::now(), parts: Vec::new() }
    }

    /// Adds what a part has found and writes all that there is: what comes after may fail.
    pub(crate) fn add(&mut self, name: &'static str, figures: &Receiver<Figure>) {
        self.parts.push(Part { name, figures: figures.try_iter().collect() });
        let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        fs::create_dir_all(&to).expect("a directory for the report");
        let json = serde_json::to_vec_pretty(self).expect("a report is JSON");
        fs::write(to.join("report.json"), json).expect("the report is written");
        fs::write(to.join("report.md"), self.markdown()).expect("the report is written");
    }

    /// What has a goal, and folded in the rest.
    fn markdown(&self) -> String {
        let (when, commit) = (self.began.format("%Y-%m-%d"), &self.commit);
        let figures = || self.parts.iter().flat_map(|part| &part.figures);
        let mut text = format!("{when}, commit {commit}, on {}, everything on loopback.\n", self.machine);
        let (goals, rest): (Vec<_>, Vec<_>) = figures().partition(|figure| figure.has_goal());
        if !goals.is_empty() {
            text += &format!("\n{}", table(&goals));
        }
        if !rest.is_empty() {
            text += &format!("\n<details><summary>More</summary>\n\n{}\n</details>\n", table(&rest));
        }
        text
    }
}

fn table(figures: &[&Figure]) -> String {
    let head = "| | median | p99 or worst | n | wanted |\n| --- | --- | --- | --- | --- |\n".to_owned();
    head + &figures.iter().map(|figure| format!("| {} |\n", figure.cells().join(" | "))).collect::<String>()
}

/// The commit that was measured, with a sign where the files differ from it.
fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let said = git.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    said.map_or("unknown".to_owned(), |said| String::from_utf8_lossy(&said).trim().to_owned())
}
