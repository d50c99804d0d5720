//! What was measured, one line for each figure.

use std::thread::available_parallelism;
use std::time::Duration;

/// Measured times in milliseconds, in order.
#[derive(Debug)]
pub(crate) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(times: I) -> Self {
        let mut times: Vec<f64> = times.into_iter().collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        times.into_iter().map(|time| time.as_secs_f64() * 1000.0).collect()
    }
}

impl Samples {
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The smallest sample that covers so large a part of all; of 30, 99 % are covered by the largest.
    fn quantile(&self, part: f64) -> f64 {
        let rank = (self.0.len() as f64 * part).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    pub(crate) fn print(&self, what: &str) {
        println!("{}", self.line(what));
    }

    /// Prints how much later these are than others.
    pub(crate) fn print_beyond(&self, what: &str, others: &Self) {
        let beyond = |part| self.quantile(part) - others.quantile(part);
        println!("{}", row(what, beyond(0.5), beyond(0.99), self.0.len()));
    }

    /// Prints beside it whether the median is as wanted.
    pub(crate) fn print_wanted(&self, what: &str, at_most: f64) {
        let verdict = if self.median() <= at_most { "met" } else { "not met" };
        println!("{}   wanted <= {at_most} ms: {verdict}", self.line(what));
    }

    fn line(&self, what: &str) -> String {
        row(what, self.median(), self.quantile(0.99), self.0.len())
    }
}

fn row(what: &str, median: f64, p99: f64, n: usize) -> String {
    format!("{what:WIDTH$} {median:>9.3} ms {p99:>9.3} ms {n:>6}")
}

const WIDTH: usize = 66;

/// A headline with what the figures depend on.
pub(crate) fn head() {
    let cores = available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) { "dev" } else { "release" };
    println!("Headwater on {cores} cores, {build} build, everything on loopback");
    println!("{:WIDTH$} {:>12} {:>12} {:>6}", "", "median", "p99", "n");
}

/// A figure that is no time.
pub(crate) fn value(what: &str, value: f64, unit: &str, n: usize) {
    println!("{what:WIDTH$} {:>12} {:>12} {n:>6}", format!("{value:.2} {unit}"), "");
}

/// A figure that is no time, and whether each of `values` is as wanted: their median and the worst.
pub(crate) fn values_wanted(what: &str, values: Vec<f64>, unit: &str, at_most: f64) {
    let samples: Samples = values.into_iter().collect();
    let (median, worst) = (samples.median(), samples.quantile(1.0));
    let verdict = if median <= at_most { "met" } else { "not met" };
    println!(
        "{what:WIDTH$} {:>12} {:>12} {:>6}   wanted <= {at_most} {unit}: {verdict}",
        format!("{median:.3} {unit}"),
        format!("{worst:.3} {unit}"),
        samples.0.len()
    );
}
