//! What is to be measured, and how often: from the command line.

use std::time::Duration;

/// What the arguments say.
#[derive(Debug)]
pub(crate) struct Chosen {
    names: Vec<String>,
    /// How often whatever ends a node is tried.
    pub(crate) trials: usize,
    /// For how long something is away, or a soak takes.
    pub(crate) lasting: Duration,
    /// What a soak's story is drawn from.
    pub(crate) seed: u64,
}

impl Chosen {
    pub(crate) fn from_arguments() -> Self {
        let mut chosen = Self { names: Vec::new(), trials: 10, lasting: Duration::from_secs(60), seed: 1 };
        for argument in std::env::args().skip(1) {
            match argument.split_once('=') {
                Some(("--trials", value)) => chosen.trials = value.parse().expect("how many trials"),
                Some(("--for", value)) => chosen.lasting = humantime::parse_duration(value).expect("a time"),
                Some(("--seed", value)) => chosen.seed = value.parse().expect("a seed"),
                // Cargo says of its own accord that this is a benchmark.
                None if argument == "--bench" => {}
                None if !argument.starts_with('-') => chosen.names.push(argument),
                _ => panic!("no such argument: {argument}"),
            }
        }
        chosen
    }

    /// Whether this was asked for by its name.
    pub(crate) fn names(&self, part: &str) -> bool {
        self.names.iter().any(|name| name == part)
    }

    /// Whether this was asked for, or all.
    pub(crate) fn takes(&self, part: &str) -> bool {
        self.names.is_empty() || self.names(part)
    }
}
