//! A certificate authority of a test, and browsers that trust it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority; its files go with it.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Headwater's tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    /// In PEM.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A file of its folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes certificate and key for these names and addresses to `cert.pem` and `key.pem`.
    pub(crate) fn issue(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file("cert.pem"), certificate.pem()).unwrap();
        fs::write(self.file("key.pem"), key.serialize_pem()).unwrap();
    }

    /// The home of a user whose browser trusts the authority.
    pub(crate) fn home(&self) -> &Path {
        let home = self.folder.path();
        let store = home.join(".pki/nssdb");
        if !store.exists() {
            fs::create_dir_all(&store).unwrap();
            fs::write(home.join("ca.pem"), self.pem()).unwrap();
            let store = format!("sql:{}", store.display());
            certutil(&["-d", &store, "-N", "--empty-password"]);
            let file = home.join("ca.pem").display().to_string();
            certutil(&["-d", &store, "-A", "-t", "C,,", "-n", "tests", "-i", &file]);
        }
        home
    }
}

fn certutil(arguments: &[&str]) {
    let done = Command::new("certutil").args(arguments).output().expect("certutil, of libnss3-tools");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
