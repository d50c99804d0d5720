//! Log lines: human in a terminal, JSON otherwise.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::broker::LIBRARY_LOG;
use crate::config::{Log, LogFormat};

/// What is logged where nothing else is configured.
const DEFAULT_FILTER: &str = "info";

/// How the filter of the log that was started is changed: there is one log in a process.
static CHANGE: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging to standard error. Later calls do nothing.
///
/// # Errors
/// If the filter can't be read.
pub fn start(config: &Log) -> Result<(), ParseError> {
    let filter = filter(config)?;
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match human {
        true => lines.with_ansi(terminal).with_target(false).boxed(),
        false => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let (filter, change) = reload::Layer::new(filter);
    // A second start (an embedder's own subscriber, a test's second node) is no error.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = CHANGE.set(change);
    }
    Ok(())
}

/// Logs from here on what this filter lets through; not where an embedder's own subscriber does.
///
/// # Errors
/// If the filter can't be read; it stays as it was.
pub fn change(config: &Log) -> Result<(), ParseError> {
    let filter = filter(config)?;
    if let Some(change) = CHANGE.get() {
        // It fails where the log is gone, and nobody reads it any more.
        let _ = change.reload(filter);
    }
    Ok(())
}

fn filter(config: &Log) -> Result<EnvFilter, ParseError> {
    let filter = config.filter.as_deref().unwrap_or(DEFAULT_FILTER);
    EnvFilter::try_new(format!("{LIBRARY_LOG},{filter}"))
}
