//! Who we are to NATS. A credentials file is read for each connection, as it may be renewed meanwhile.

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;

use crate::config::Nats;

/// What proves to the server, by signing its `nonce`, who connects.
pub(super) async fn auth(config: Nats, nonce: Vec<u8>) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    if let Some(path) = &config.credentials {
        let text = tokio::fs::read_to_string(path).await.map_err(AuthError::new)?;
        let (jwt, seed) =
            parts(&text).ok_or_else(|| AuthError::new("nats.credentials: not a JWT and a seed"))?;
        // The error tells nothing of the seed.
        let pair = KeyPair::from_seed(seed).map_err(AuthError::new)?;
        auth.signature = Some(pair.sign(&nonce).map_err(AuthError::new)?);
        auth.jwt = Some(jwt.to_owned());
    }
    if let Some(seed) = &config.nkey {
        let pair = KeyPair::from_seed(seed.expose()).map_err(AuthError::new)?;
        auth.signature = Some(pair.sign(&nonce).map_err(AuthError::new)?);
        auth.nkey = Some(pair.public_key());
    }
    if let Some(user) = &config.user {
        auth.username = Some(user.clone());
        auth.password = Some(config.password.as_ref().map(|p| p.expose().to_owned()).unwrap_or_default());
    }
    auth.token = config.token.as_ref().map(|token| token.expose().to_owned());
    Ok(auth)
}

/// The JWT and the seed in the text of a credentials file: what stands below the lines that begin each.
pub(super) fn parts(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.lines().map(str::trim);
    let mut next = || {
        lines.by_ref().find(|line| line.starts_with("---") && line.contains("BEGIN"))?;
        lines.next().filter(|line| !line.is_empty() && !line.starts_with("---"))
    };
    Some((next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\r\neyJ0.eyJq.c2ln\r\n------END NATS USER JWT------\r\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_credentials_file_has_a_jwt_and_a_seed() {
        assert_eq!(parts(&file("SUAX")), Some(("eyJ0.eyJq.c2ln", "SUAX")));
        for bad in ["", "eyJ0", "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_renewed_file_is_read_for_the_next_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.creds");
        let config = Nats { credentials: Some(path.clone()), ..Nats::default() };
        assert!(auth(config.clone(), b"nonce".to_vec()).await.is_err(), "no file yet");
        let pairs = [KeyPair::new_user(), KeyPair::new_user()];
        for pair in &pairs {
            std::fs::write(&path, file(&pair.seed().unwrap())).unwrap();
            let auth = auth(config.clone(), b"nonce".to_vec()).await.unwrap();
            assert_eq!(auth.jwt.as_deref(), Some("eyJ0.eyJq.c2ln"));
            pair.verify(b"nonce", &auth.signature.unwrap()).unwrap();
        }
    }
}
