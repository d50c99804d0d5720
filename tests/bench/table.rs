//! What was measured, one line for each figure.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde::Serialize;

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
        tell(self.figure(what));
    }

    /// Prints how much later these are than others, and whether that is as wanted where something is.
    pub(crate) fn print_beyond(&self, what: &str, others: &Self, at_most: Option<f64>) {
        let beyond = |part| self.quantile(part) - others.quantile(part);
        let (median, high) = (beyond(0.5), Some(beyond(0.99)));
        tell(Figure { median, high, wanted: at_most, ..self.figure(what) });
    }

    /// Prints beside it whether the median is as wanted.
    pub(crate) fn print_wanted(&self, what: &str, at_most: f64) {
        tell(Figure { wanted: Some(at_most), ..self.figure(what) });
    }

    fn figure(&self, what: &str) -> Figure {
        let (median, high) = (self.median(), Some(self.quantile(0.99)));
        Figure { what: what.to_owned(), unit: "ms", median, high, n: self.0.len(), wanted: None }
    }
}

/// What one line says.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: String,
    unit: &'static str,
    median: f64,
    /// The 99th percentile, or of few trials the worst.
    high: Option<f64>,
    n: usize,
    /// What the median is to be at most.
    wanted: Option<f64>,
}

impl Figure {
    pub(crate) fn has_goal(&self) -> bool {
        self.wanted.is_some()
    }

    /// Its cells in a table: what, median, high, how many, what is wanted.
    pub(crate) fn cells(&self) -> [String; 5] {
        let number = |value: f64| match value.abs() {
            0.0..9.995 => format!("{value:.2} {}", self.unit),
            9.995..99.95 => format!("{value:.1} {}", self.unit),
            _ => format!("{value:.0} {}", self.unit),
        };
        let verdict = |most| if self.median <= most { "met" } else { "not met" };
        let wanted = self.wanted.map(|most| format!("<= {most} {}: {}", self.unit, verdict(most)));
        let high = self.high.map(number).unwrap_or_default();
        [self.what.clone(), number(self.median), high, self.n.to_string(), wanted.unwrap_or_default()]
    }
}

const WIDTH: usize = 66;

/// Where figures go besides the terminal.
static REPORT: OnceLock<Sender<Figure>> = OnceLock::new();

/// A headline with what the figures depend on; answers all figures to come.
pub(crate) fn head(machine: &str) -> Receiver<Figure> {
    println!("Headwater on {machine}, everything on loopback");
    println!("{:WIDTH$} {:>14} {:>14} {:>6}", "", "median", "p99 or worst", "n");
    let (sender, figures) = channel();
    REPORT.set(sender).expect("one headline");
    figures
}

fn tell(figure: Figure) {
    let [what, median, high, n, wanted] = figure.cells();
    println!("{}", format!("{what:WIDTH$} {median:>14} {high:>14} {n:>6}   {wanted}").trim_end());
    if let Some(report) = REPORT.get() {
        report.send(figure).expect("the report waits for figures");
    }
}

/// A figure that is no time.
pub(crate) fn value(what: &str, value: f64, unit: &'static str, n: usize) {
    tell(Figure { what: what.to_owned(), unit, median: value, high: None, n, wanted: None });
}

/// A figure that is no time, of several trials: their median and the worst.
pub(crate) fn values(what: &str, values: Vec<f64>, unit: &'static str) {
    tell(of_trials(what, values, unit));
}

/// A figure that is no time, and whether each of `values` is as wanted: their median and the worst.
pub(crate) fn values_wanted(what: &str, values: Vec<f64>, unit: &'static str, at_most: f64) {
    tell(Figure { wanted: Some(at_most), ..of_trials(what, values, unit) });
}

fn of_trials(what: &str, values: Vec<f64>, unit: &'static str) -> Figure {
    let samples: Samples = values.into_iter().collect();
    let (median, high, n) = (samples.median(), Some(samples.quantile(1.0)), samples.0.len());
    Figure { what: what.to_owned(), unit, median, high, n, wanted: None }
}
