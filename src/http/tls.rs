//! HTTPS without a proxy: a certificate from files, read again when they change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use ring::digest;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::parse_x509_certificate;

use crate::config::Tls;
use crate::telemetry::Metrics;

/// How often the files are looked at: whatever renews certificates does it days before they end.
const LOOK: Duration = Duration::from_secs(5);

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("{key} {path}: {source}")]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file doesn't have what it is there for.
    #[error("{key} {path}: {reason}")]
    Pem {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The two don't fit, or are of a kind that isn't served.
    #[error("http.tls: {0}; is the key the certificate's?")]
    Unfit(#[from] rustls::Error),
}

/// The certificate that is served.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    served: RustlsConfig,
    /// Of the files when they were last looked at, whether they were taken or not.
    seen: [Vec<u8>; 2],
}

struct Loaded {
    config: ServerConfig,
    /// When its validity ends, in seconds since 1970.
    expires: i64,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] that names the key.
    pub async fn load(files: &Tls, metrics: &Metrics) -> Result<Self, TlsError> {
        let (certificate, key) = read(files).await?;
        let seen = [&certificate, &key].map(|text| print(text));
        let loaded = take(files, &certificate, &key)?;
        note(&loaded, metrics);
        Ok(Self { files: files.clone(), served: RustlsConfig::from_config(Arc::new(loaded.config)), seen })
    }

    /// What the listener serves, now and later.
    pub fn served(&self) -> RustlsConfig {
        self.served.clone()
    }

    /// Looks at the files for ever, and serves what they become.
    pub async fn follow(mut self, metrics: Arc<Metrics>) {
        let mut looks = tokio::time::interval(LOOK);
        let mut failing = false;
        loop {
            looks.tick().await;
            match self.look(&metrics).await {
                Ok(false) => {}
                Ok(true) => {
                    failing = false;
                    metrics.tls_current.set(1);
                    tracing::info!(certificate = %self.files.certificate.display(), "serving the renewed certificate");
                }
                Err(error) => {
                    metrics.tls_current.set(0);
                    // A file that can't be read is seen with each look, and told once.
                    if !std::mem::replace(&mut failing, true) || !matches!(error, TlsError::Read { .. }) {
                        tracing::error!(%error, "the certificate was not renewed: the one before it stays");
                    }
                }
            }
        }
    }

    /// Whether there was something new to serve.
    async fn look(&mut self, metrics: &Metrics) -> Result<bool, TlsError> {
        let (certificate, key) = read(&self.files).await?;
        let seen = [&certificate, &key].map(|text| print(text));
        if seen == self.seen && metrics.tls_current.get() == 1 {
            return Ok(false);
        }
        let fresh = std::mem::replace(&mut self.seen, seen) != self.seen;
        match take(&self.files, &certificate, &key) {
            Ok(loaded) => {
                note(&loaded, metrics);
                self.served.reload_from_config(Arc::new(loaded.config));
                Ok(true)
            }
            // Told when it was first seen.
            Err(_) if !fresh => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn read(files: &Tls) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let text = async |key, path: &Path| {
        let error = |source| TlsError::Read { key, path: path.to_owned(), source };
        tokio::fs::read(path).await.map_err(error)
    };
    let certificate = text("http.tls.certificate", &files.certificate).await?;
    Ok((certificate, text("http.tls.key", &files.key).await?))
}

fn take(files: &Tls, certificate: &[u8], key: &[u8]) -> Result<Loaded, TlsError> {
    let pem = |key, path: &Path, reason: String| TlsError::Pem { key, path: path.to_owned(), reason };
    let bad = |reason| pem("http.tls.certificate", &files.certificate, reason);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(format!("no PEM certificates: {error}")))?;
    let Some(own) = chain.first() else { return Err(bad("it holds no PEM certificate".to_owned())) };
    let (_, parsed) = parse_x509_certificate(own).map_err(|error| bad(error.to_string()))?;
    let expires = parsed.validity().not_after.timestamp();
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| pem("http.tls.key", &files.key, format!("no PEM private key: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config, expires })
}

fn note(loaded: &Loaded, metrics: &Metrics) {
    metrics.tls_current.set(1);
    metrics.tls_expires.set(loaded.expires);
    if loaded.expires < chrono::Utc::now().timestamp() {
        tracing::error!("the certificate's validity is over: browsers refuse it");
    }
}

fn print(text: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        folder: tempfile::TempDir,
        tls: Tls,
    }

    fn files(certificate: &str, key: &str) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
        std::fs::write(&tls.certificate, certificate).unwrap();
        std::fs::write(&tls.key, key).unwrap();
        Files { folder, tls }
    }

    fn issued() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_with_the_key() {
        let (certificate, key) = issued();
        let (_, other) = issued();
        for (certificate, key, said) in [
            ("hello", key.as_str(), "http.tls.certificate"),
            (key.as_str(), key.as_str(), "http.tls.certificate"),
            (certificate.as_str(), "hello", "http.tls.key"),
            (certificate.as_str(), certificate.as_str(), "http.tls.key"),
            (certificate.as_str(), other.as_str(), "is the key the certificate's?"),
        ] {
            let files = files(certificate, key);
            let error = Certificate::load(&files.tls, &Metrics::new()).await.unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("PRIVATE"), "{said}: {error}");
        }
        let files = files(&certificate, &key);
        std::fs::remove_file(&files.tls.key).unwrap();
        let error = Certificate::load(&files.tls, &Metrics::new()).await.unwrap_err().to_string();
        assert!(error.starts_with("http.tls.key") && error.contains("No such file"), "{error}");
        drop(files.folder);
    }

    #[tokio::test]
    async fn the_last_good_certificate_stays_until_a_good_one_comes() {
        let (certificate, key) = issued();
        let files = files(&certificate, &key);
        let metrics = Metrics::new();
        let mut served = Certificate::load(&files.tls, &metrics).await.unwrap();
        assert!(metrics.tls_expires.get() > chrono::Utc::now().timestamp());
        assert!(!served.look(&metrics).await.unwrap());
        let (certificate, key) = issued();
        // Half of the pair.
        std::fs::write(&files.tls.certificate, certificate).unwrap();
        served.look(&metrics).await.unwrap_err();
        metrics.tls_current.set(0);
        let before = served.served().get_inner();
        assert!(!served.look(&metrics).await.unwrap(), "told once");
        std::fs::write(&files.tls.key, key).unwrap();
        assert!(served.look(&metrics).await.unwrap());
        assert!(!Arc::ptr_eq(&before, &served.served().get_inner()));
        assert_eq!(metrics.tls_current.get(), 1);
    }
}
