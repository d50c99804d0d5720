//! STUN and TURN servers as publishers and viewers are told them (RFC 9725 section 4.6).

use axum::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::hmac;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::{IceCredentials, IceServer};

/// Adds a `Link` for each address, each on a line of its own: not all clients take lists apart well.
pub(super) fn add_links(headers: &mut HeaderMap, servers: &[IceServer], now: DateTime<Utc>) {
    for server in servers {
        let credentials = server.credentials.as_ref().map(|credentials| known_as(credentials, now));
        for url in &server.urls {
            let mut link = format!("<{}>; rel=\"ice-server\"", url.as_str());
            // A STUN server asks nobody who he is.
            if let Some((username, credential)) = credentials.as_ref().filter(|_| url.is_turn()) {
                link += &format!(
                    "; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\""
                );
            }
            if let Ok(link) = HeaderValue::from_str(&link) {
                headers.append(header::LINK, link);
            }
        }
    }
}

/// The servers as a browser's `RTCPeerConnection` takes them.
pub(super) fn servers(servers: &[IceServer], now: DateTime<Utc>) -> Vec<Value> {
    let told = |server: &IceServer| {
        let urls: Vec<_> = server.urls.iter().map(|url| url.as_str().to_owned()).collect();
        match &server.credentials {
            Some(credentials) => {
                let (username, credential) = known_as(credentials, now);
                json!({ "urls": urls, "username": username, "credential": credential })
            }
            None => json!({ "urls": urls }),
        }
    };
    servers.iter().map(told).collect()
}

/// User and password.
fn known_as(credentials: &IceCredentials, now: DateTime<Utc>) -> (String, String) {
    match credentials {
        IceCredentials::Static { username, credential } => (username.clone(), credential.expose().to_owned()),
        IceCredentials::TimeLimited { secret, ttl } => {
            let expires = now.timestamp().saturating_add_unsigned(ttl.as_secs());
            // A name of its own, so that the server's quotas are for each.
            time_limited(secret.expose(), &format!("{expires}:{}", Uuid::new_v4().simple()))
        }
    }
}

/// The user and password that a server with the secret makes out by itself
/// (draft-uberti-behave-turn-rest, coturn's `use-auth-secret`).
fn time_limited(secret: &str, username: &str) -> (String, String) {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let tag = hmac::sign(&key, username.as_bytes());
    (username.to_owned(), STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn links(servers: &str) -> Vec<String> {
        let config = Config::parse(&format!("[webrtc]\nice_servers = [{servers}]")).unwrap();
        let mut headers = HeaderMap::new();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        add_links(&mut headers, &config.webrtc.ice_servers, now);
        headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_address_has_a_link_and_a_turn_server_its_credentials() {
        let told = links(
            "'stun:stun.example.com', { urls = ['turn:turn.example.com?transport=udp', 'stun:turn.example.com'], \
             username = 'u', credential = 'c' }",
        );
        assert_eq!(
            told,
            [
                "<stun:stun.example.com>; rel=\"ice-server\"",
                "<turn:turn.example.com?transport=udp>; rel=\"ice-server\"; username=\"u\"; credential=\"c\"; \
                 credential-type=\"password\"",
                "<stun:turn.example.com>; rel=\"ice-server\"",
            ]
        );
    }

    #[test]
    fn time_limited_users_end_when_they_say() {
        let told = links("{ urls = ['turn:turn.example.com'], secret = 'north', ttl = '1h' }").remove(0);
        assert!(told.contains("username=\"1700003600:"), "{told}");
        let again = links("{ urls = ['turn:turn.example.com'], secret = 'north', ttl = '1h' }").remove(0);
        assert_ne!(told, again, "each has a name of its own");
    }

    #[test]
    fn the_password_is_the_name_signed_with_sha_1() {
        // openssl dgst -sha1 -hmac north -binary | base64
        let (_, credential) = time_limited("north", "1700003600:viewer");
        assert_eq!(credential, "Z2bVzE30rf+aB1tMtuWPzRohu58=");
    }
}
