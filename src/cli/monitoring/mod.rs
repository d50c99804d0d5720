//! The commands that look at a fleet through its monitor.

mod api;
mod at;
mod error;
pub(super) mod events;
pub(super) mod fleet;
pub(super) mod forget;
mod format;
mod line;
mod log;
mod output;
pub(super) mod room;
pub(super) mod rooms;
mod table;
pub(super) mod top;
mod tree;

#[cfg(test)]
mod sample;

use url::Url;

use api::Api;
use error::ApiError;
pub(super) use format::count;

/// Where the monitor is and who asks.
#[derive(Debug, clap::Args)]
struct Connect {
    /// The monitor's address.
    #[arg(
        long,
        value_name = "URL",
        env = "HEADWATER_MONITOR",
        default_value = "http://127.0.0.1:9090",
        value_parser = address
    )]
    monitor: Url,
    /// The bearer token of the operators.
    #[arg(long, env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Flags of the commands that print what the monitor knows.
#[derive(Debug, clap::Args)]
pub(super) struct MonitorArgs {
    #[command(flatten)]
    connect: Connect,
    /// Print JSON, as the monitor answers it.
    #[arg(long)]
    json: bool,
}

impl Connect {
    fn api(self) -> Result<Api, ApiError> {
        Api::new(self.monitor, self.token.as_deref())
    }
}

pub(super) fn address(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err("it must begin with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_explained() {
        assert!(address("https://ops.example/monitor").is_ok());
        for bad in ["127.0.0.1:9090", "localhost:9090", "nats://host", ""] {
            assert!(address(bad).unwrap_err().contains("http://"), "{bad}");
        }
    }
}
