//! Signed tokens: how they are checked, and what their claims allow.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AuthError, Found};
use crate::config::{Action, Jwt, JwtAlgorithm, Names};
use crate::protocol::gate::TokenKey;
use crate::protocol::ids::{RoomId, StreamName};

/// Tokens that are signed with one key, in one way.
#[derive(Debug)]
pub(super) struct Signed {
    key: DecodingKey,
    algorithm: Algorithm,
    validation: Validation,
}

/// What a token allows.
#[derive(Debug, Deserialize)]
struct Claims {
    room: Option<Names>,
    rooms: Option<Names>,
    stream: Option<Names>,
    streams: Option<Names>,
    actions: Vec<Action>,
    jti: Option<String>,
    sub: Option<String>,
    exp: Option<f64>,
    end_at_expiry: Option<bool>,
}

impl Signed {
    pub(super) fn new(config: &Jwt) -> Result<Self, jsonwebtoken::errors::Error> {
        let key = config.key.expose().as_bytes();
        let (key, algorithm) = match config.algorithm {
            JwtAlgorithm::HS256 => (DecodingKey::from_secret(key), Algorithm::HS256),
            JwtAlgorithm::RS256 => (DecodingKey::from_rsa_pem(key)?, Algorithm::RS256),
            JwtAlgorithm::ES256 => (DecodingKey::from_ec_pem(key)?, Algorithm::ES256),
            JwtAlgorithm::EdDSA => (DecodingKey::from_ed_pem(key)?, Algorithm::EdDSA),
        };
        let validation = validation(algorithm, config.audience.as_deref(), config.issuer.as_deref());
        Ok(Self { key, algorithm, validation })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn claims(&self, token: &str) -> Result<Map<String, Value>, jsonwebtoken::errors::Error> {
        jsonwebtoken::decode(token, &self.key, &self.validation).map(|decoded| decoded.claims)
    }
}

/// How a token is checked whose key is of this algorithm: the token's own word on that is compared with it, and
/// never followed.
pub(super) fn validation(algorithm: Algorithm, audience: Option<&str>, issuer: Option<&str>) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_nbf = true;
    // A claim that is compared must be there: the library passes over one that is missing.
    let mut required = vec!["exp"];
    match audience {
        Some(audience) => {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        None => validation.validate_aud = false,
    }
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// What is found of a token with these claims, if they allow the action.
pub(super) fn allowed(
    claims: Map<String, Value>,
    action: Action,
    room: &RoomId,
    stream: &StreamName,
    end_at_expiry: bool,
) -> Result<Found, AuthError> {
    let own: Claims = serde_json::from_value(Value::Object(claims.clone()))
        .map_err(|error| AuthError::Invalid(format!("its claims can't be read: {error}")))?;
    let rooms = [&own.room, &own.rooms];
    if rooms.iter().all(|rooms| rooms.is_none()) {
        return Err(AuthError::Invalid("it has neither the claim room nor rooms".to_owned()));
    }
    let fit =
        |names: [&Option<Names>; 2], name: &str| names.into_iter().flatten().any(|names| names.fit(name));
    let streams = [&own.stream, &own.streams];
    let any_stream = streams.iter().all(|streams| streams.is_none());
    if !own.actions.contains(&action)
        || !fit(rooms, room.as_str())
        || !(any_stream || fit(streams, stream.as_str()))
    {
        return Err(AuthError::Forbidden);
    }
    let ends = own.end_at_expiry.unwrap_or(end_at_expiry);
    let until = own.exp.filter(|_| ends).and_then(moment);
    // A token that has just expired is let in by a minute's leeway, but not to be sent out at once.
    if until.is_some_and(|until| until <= Utc::now()) {
        return Err(AuthError::Invalid("it has expired".to_owned()));
    }
    let tokens = [own.jti.map(TokenKey::Id), own.sub.map(TokenKey::Subject)];
    let tokens = tokens.into_iter().flatten().filter(TokenKey::is_sound).collect();
    Ok(Found { tokens, until, claims: Some(claims), name: None })
}

#[expect(clippy::cast_possible_truncation, reason = "a float beyond all dates becomes the last of them")]
fn moment(seconds: f64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds as i64, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(claims: Value, room: &str, stream: &str) -> Result<Found, AuthError> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        allowed(claims, Action::Watch, &room.parse().unwrap(), &stream.parse().unwrap(), false)
    }

    #[test]
    fn claims_name_rooms_and_streams_one_or_many_or_by_their_beginning() {
        let allows = |claims: &Value, room, stream| check(claims.clone(), room, stream).is_ok();
        let one = json!({"room": "news", "actions": ["watch"]});
        assert!(allows(&one, "news", "main") && !allows(&one, "news-2", "main"));
        let many = json!({"rooms": ["a", "b-*"], "streams": ["main", "cam-*"], "actions": ["watch"]});
        assert!(allows(&many, "a", "main") && allows(&many, "b-7", "cam-1"));
        assert!(!allows(&many, "b", "main") && !allows(&many, "a", "other"));
        let both = json!({"room": "x", "rooms": ["a"], "actions": ["watch"]});
        assert!(allows(&both, "x", "main") && allows(&both, "a", "main"));
        assert!(allows(&json!({"room": "*", "actions": ["publish", "watch"]}), "any", "main"));
        assert_eq!(
            check(json!({"room": "*", "actions": ["publish"]}), "a", "main"),
            Err(AuthError::Forbidden)
        );
    }

    #[test]
    fn claims_that_are_none_are_told() {
        for claims in [
            json!({"actions": ["watch"]}),
            json!({"room": "a"}),
            json!({"room": "a*b", "actions": ["watch"]}),
            json!({"room": 7, "actions": ["watch"]}),
            json!({"room": "a", "actions": ["destroy"]}),
        ] {
            let error = check(claims.clone(), "a", "main").unwrap_err();
            assert!(matches!(error, AuthError::Invalid(_)), "{claims}: {error}");
        }
    }

    #[test]
    fn a_session_ends_with_its_token_where_that_says_so() {
        let soon = Utc::now().timestamp() + 30;
        let found = |ends: Value| {
            let claims = json!({"room": "a", "actions": ["watch"], "exp": soon, "end_at_expiry": ends,
                "jti": "t-1", "sub": "someone"});
            check(claims, "a", "main").unwrap()
        };
        assert_eq!(found(json!(true)).until.map(|until| until.timestamp()), Some(soon));
        assert_eq!(found(json!(null)).until, None);
        let keys = [TokenKey::Id("t-1".to_owned()), TokenKey::Subject("someone".to_owned())];
        assert_eq!(found(json!(null)).tokens, keys);
        let past = json!({"room": "a", "actions": ["watch"], "exp": soon - 60, "end_at_expiry": true});
        assert!(check(past, "a", "main").is_err());
        let endless = json!({"room": "a", "actions": ["watch"], "exp": 1e300, "end_at_expiry": true});
        assert_eq!(check(endless, "a", "main").unwrap().until, None);
    }
}
