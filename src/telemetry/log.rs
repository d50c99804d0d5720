//! Log lines: human in a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::broker::LIBRARY_LOG;
use crate::config::{Log, LogFormat};

/// What is logged where nothing else is configured.
const DEFAULT_FILTER: &str = "info";

/// Starts logging to standard error. Later calls do nothing.
///
/// # Errors
/// If the filter can't be read.
pub fn start(config: &Log) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = config.filter.as_deref().unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(format!("{LIBRARY_LOG},{filter}"))?;
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (an embedder's own subscriber, a test's second node) is no error.
    let _ = if human {
        builder.with_ansi(terminal).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_span_list(false).try_init()
    };
    Ok(())
}
