//! Signed tokens, and keys of the tests alone.

use chrono::Utc;
use headwater::config::{Jwt, JwtAlgorithm};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a-shared-secret-of-the-tests";
const RSA: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQDoyqW3bh9Mk8ie\n3P91nAXPKM9jKcyjMHSrIzJmdV7T2Te97QmT+T0j2H98zg4QI2zhjUpvqOzcz8uQ\n2UtcFNv67GZZ6D7FxePSgvX75NrX59gZy3xJMsjGhu8+KbhyFgaQ4LfLQm5N52m3\nn8qsBWB47XJMZkUGkwqzRp29IDQ03N8Q5bKLWEBbHtRxCS3VgnKRplOibnhJPSuK\n7/BSqCL6dWgbAa5XmpTKQ5cYOwsOtB1skpA8g2QU4BlfMWWqLirUU+egb1o+bQKe\nsIMD3azm1c/efB0XW+SCXrMPHnlMsNVjDFrELwaYy9zfjvBssCSI3N+PDyEFiwoc\nHnLC12uJAgMBAAECggEAEkZ+dgUOLfvYHyioYXpLNnU0uss4RoNyVVEhDsweErGV\n37IxM0240AyaDZk7n2a4kIiAFH4FglxJ1ehJM0Rr9KoEawCBlRMxDIC9gPX5fEO2\nQmgoLLLw8iz7sTyjP0mdYFhT9YAUmscVFJZV2eVeKoAxne/VcWuvxl0/2u4hSxj5\njsohzr1duDc/DO6LWAmBQ92XcpSd9RROucjo+kA835S178L/inHOJmk52b4fCPg0\ndiAhPaG+qUhVTDolmFVVOWq/pUFEcvDABv2t3uAlNu0OMSISt4V167dtWdsw/pju\nKCVVD466IjE/o4rHUlJRiJc2CeR1ZYRInO6bjvEMgQKBgQD6FEXywVlk4BVWVFmk\nAUNsf/JXLituO58+0uPIGz3wzsTJ1diF9LF2I14r3UJKXU/ljiSfG8OhOoEzlEud\nJdoyFJtKRaRHm99Y5kh4ViQqBKxTdPeRiC1dy+/hkVq5IMHpB4fWyE8szgPj9QWw\nLKiV1sW3O9+UUaBTJubKdWxH2QKBgQDuTZgbTHMqnXh8wn8PskUHfmEswnoLNnRJ\nqRa3qHO+Puq1bvW+Yb+99paXN5bxAKR7nxvsj+gy9EtdLn0z6yExFhnJfS4BKO/v\nSyeQP6lJNiN1osZhlaQt/KwqV99fjc8kCCZ25zxdTdJ6viHQF76FcgQed8g9V282\nE47oKcMjMQKBgQDRKmnC/EMn42EVXuHHEiNxuaZZks1Smt277yoDsf1hz5+67Xj3\nuc1AcZ6Pc7XBe0CbUQOCbPd4f/WWzZ9c5k8U+jVUruET3+S0d4//zpTa7COyfi+f\nctX3EN8nvKq0Exj9LoZIeCv43qtUXBkQ3Jl5EjU26AY+CPPe+LeqeQJDKQKBgQDU\ngDsYdMbqBHwx/Jqjm5u0v/zVliKQpyFxoifQ5JU53A8edXEMMUxzkFXfSMH/7Uu/\ntTWIcRdlgLVHxbH+Pzlc9VFPfKIuhJvY7lK8bhh+YZmjR+DRmkhKfdvk8nENW36Q\nqffq5e7NYR1FOREb6GCLzQ1hQf08viA8v5oa60rIsQKBgQDPMteYc4aG2JbEv/GT\nipPA3Lv+43tZD0wy8x0GXuh5qOIJZD81ongTMP7r8840rgm0gnYOjOboysYn9N19\nR4cJtAI/tpa7TF0RBsog6fDI5z6852yMiNpQkoQQCq9uc6h6oKxZOHblZDzNaTjw\nixqZrPD2gQmDn4Q9oYtQEnloIw==\n-----END PRIVATE KEY-----";
const EC: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgX9YBftWZXwALEaBx\no9xtQzZ81eAUPO4R9eE8BIFzkGmhRANCAAQhrOhhLlLJg37Oyqp8ohlmRduRreQn\naTJPcqk2ZuVO+cj2rIvwmZ/Ad4eZ/o6mU+t9TMLXBppioyrWdSlvx9BV\n-----END PRIVATE KEY-----";
const ED: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMxFEzPWdStPrT2suRr6SdBugnbWhQFCyD9VMSMr+PjD\n-----END PRIVATE KEY-----";

/// What checks tokens that [`shared`] signs.
pub(crate) fn jwt() -> Jwt {
    Jwt { algorithm: JwtAlgorithm::HS256, key: SECRET.into(), audience: None, issuer: None }
}

/// A token that is signed with the shared secret and lasts so many seconds.
pub(crate) fn shared(claims: Value, seconds: i64) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &lasting(claims, seconds), &key).unwrap()
}

/// A token for everything in `room`, with this `jti`.
pub(crate) fn named(room: &str, id: &str) -> String {
    shared(json!({"room": room, "actions": ["publish", "watch"], "jti": id}), 600)
}

/// A token that is signed with the private key of this algorithm.
pub(crate) fn signed(algorithm: Algorithm, kid: &str, claims: Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &lasting(claims, 600), &private(algorithm)).unwrap()
}

/// The public key of this algorithm, as a key set holds it.
pub(crate) fn public(algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk =
        serde_json::to_value(Jwk::from_encoding_key(&private(algorithm), algorithm).unwrap()).unwrap();
    jwk["kid"] = kid.into();
    jwk
}

fn private(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(EC.as_bytes()),
        _ => EncodingKey::from_ed_pem(ED.as_bytes()),
    }
    .unwrap()
}

fn lasting(mut claims: Value, seconds: i64) -> Value {
    claims["exp"] = (Utc::now().timestamp() + seconds).into();
    claims
}
