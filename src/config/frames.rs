//! Which pages the watch page may stand in.

use url::Url;

use super::ConfigError;

/// Whether these are pages' origins, or words that stand for some.
pub(super) fn check(ancestors: &[String]) -> Result<(), ConfigError> {
    let Some(wrong) = ancestors.iter().find(|ancestor| !may_frame(ancestor)) else { return Ok(()) };
    Err(ConfigError::Contradiction(format!(
        "http.frame_ancestors has \"{wrong}\", and takes origins such as \"https://example.org\" or \
         \"https://*.example.org:8443\", \"'self'\" and \"*\""
    )))
}

/// Whether this is a host source with a scheme, or a word that stands for some (CSP level 3, section 2.3.1).
fn may_frame(ancestor: &str) -> bool {
    if ["*", "'self'"].contains(&ancestor) {
        return true;
    }
    let Some((scheme @ ("http" | "https"), rest)) = ancestor.split_once("://") else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    let host = rest.strip_prefix("*.").unwrap_or(rest);
    // What the URL parser would add or take away is more than an origin.
    host.chars().all(plain)
        && Url::parse(&format!("{scheme}://{host}")).is_ok_and(|url| url.path() == "/" && url.has_host())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn who_may_frame_the_watch_page_is_an_origin() {
        let config = |ancestor: &str| Config::parse(&format!("[http]\nframe_ancestors = [\"{ancestor}\"]"));
        for fine in
            ["*", "'self'", "https://example.org", "http://localhost:3000", "https://*.example.org:8443"]
        {
            assert!(config(fine).is_ok(), "{fine}: {:?}", config(fine));
        }
        for wrong in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org/page",
            "'none'",
            "https://a b",
            "https://a; script-src *",
            "https://a,b",
            "ftp://example.org",
            "https://*",
            "https://a:99999",
        ] {
            let error = config(wrong).unwrap_err().to_string();
            assert!(error.contains("http.frame_ancestors"), "{wrong}: {error}");
        }
    }
}
