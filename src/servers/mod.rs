//! Configuration of NATS servers, made from a list of sites and nodes: pure, but for keys that are made by chance.
//!
//! [`Fleet`] is the list, [`Fleet::files`] makes the files: one for the servers of each site, and for each user
//! what it connects with.

mod fleet;
mod logins;
mod text;

use std::collections::BTreeMap;

pub use fleet::{Fleet, FleetError, Logins, Site, Tls};

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// Whether nobody else may read it.
    pub secret: bool,
}

/// The seeds of users' keys.
pub type Seeds = BTreeMap<String, String>;

impl Fleet {
    /// The files of this fleet. Users with a seed among `seeds` keep it, others get one.
    ///
    /// # Errors
    /// [`FleetError`] where a seed is none.
    pub fn files(&self, seeds: &mut Seeds) -> Result<Vec<File>, FleetError> {
        let mut files = Vec::new();
        for site in &self.sites {
            let text = self.server(site, seeds)?;
            files.push(File { name: format!("{}.conf", site.name), text, secret: false });
        }
        files.extend(self.credentials(seeds));
        Ok(files)
    }
}
