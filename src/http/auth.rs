//! Who may publish and watch: bearer tokens, static or signed (RFC 6750, RFC 7519).

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::config::{Action, Auth, Jwt, JwtAlgorithm, StaticToken};
use crate::protocol::ids::{RoomId, StreamName};

/// Why a request is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No token came.
    #[error("send a bearer token: Authorization: Bearer <token>")]
    Missing,
    /// The token is none of ours, or has expired.
    #[error("the bearer token is not valid: {0}")]
    Invalid(String),
    /// The token doesn't allow this.
    #[error("the bearer token does not allow this action on this room and stream")]
    Forbidden,
}

/// Checks bearer tokens as configured.
#[derive(Debug)]
pub struct Verifier {
    tokens: Vec<StaticToken>,
    jwt: Option<(DecodingKey, Validation)>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    room: String,
    #[serde(default)]
    stream: Option<String>,
    actions: Vec<Action>,
}

impl Verifier {
    /// A verifier for a configuration.
    ///
    /// # Errors
    /// If the key of signed tokens can't be read.
    pub fn new(config: &Auth) -> Result<Self, jsonwebtoken::errors::Error> {
        let jwt = config.jwt.as_ref().map(verifier).transpose()?;
        Ok(Self { tokens: config.tokens.clone(), jwt })
    }

    /// Whether `token` allows `action` on a stream.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn check(
        &self,
        token: Option<&str>,
        action: Action,
        room: &RoomId,
        stream: &StreamName,
    ) -> Result<(), AuthError> {
        if self.tokens.is_empty() && self.jwt.is_none() {
            return Ok(());
        }
        let token = token.ok_or(AuthError::Missing)?;
        // Several entries may share a token, each for another room.
        let mut own = self.tokens.iter().filter(|entry| entry.token.is(token)).peekable();
        if own.peek().is_some() {
            let allows = own.any(|entry| {
                entry.actions.contains(&action)
                    && entry.room.as_ref().is_none_or(|only| only == room)
                    && entry.stream.as_ref().is_none_or(|only| only == stream)
            });
            return if allows { Ok(()) } else { Err(AuthError::Forbidden) };
        }
        let Some((key, validation)) = &self.jwt else {
            return Err(AuthError::Invalid("unknown token".to_owned()));
        };
        let claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|error| AuthError::Invalid(error.to_string()))?
            .claims;
        let allows = claims.actions.contains(&action)
            && (claims.room == "*" || claims.room == room.as_str())
            && claims.stream.as_ref().is_none_or(|only| only == stream.as_str());
        if allows { Ok(()) } else { Err(AuthError::Forbidden) }
    }
}

fn verifier(jwt: &Jwt) -> Result<(DecodingKey, Validation), jsonwebtoken::errors::Error> {
    let (key, algorithm) = match jwt.algorithm {
        JwtAlgorithm::HS256 => (DecodingKey::from_secret(jwt.key.expose().as_bytes()), Algorithm::HS256),
        JwtAlgorithm::EdDSA => (DecodingKey::from_ed_pem(jwt.key.expose().as_bytes())?, Algorithm::EdDSA),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_nbf = true;
    // A claim that is compared must be there: the library passes over one that is missing.
    let mut required = vec!["exp"];
    match &jwt.audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    if let Some(issuer) = &jwt.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    Ok((key, validation))
}
