//! `headwater nats-config`

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::servers::{File, Fleet, Seeds};

/// Flags of `headwater nats-config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The list of sites and nodes, in TOML.
    list: PathBuf,
    /// The folder to write into: a file for the servers of each site, and one for each user, which is secret. Keys
    /// that are there already stay.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let named = || self.list.display().to_string();
        let text = fs::read_to_string(&self.list).with_context(named)?;
        let fleet = Fleet::parse(&text).with_context(named)?;
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let mut seeds = seeds(&self.out)?;
        for file in fleet.files(&mut seeds)? {
            let path = self.out.join(&file.name);
            write(&path, &file).with_context(|| path.display().to_string())?;
            println!("{}{}", path.display(), if file.secret { "  (secret)" } else { "" });
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The seeds that a folder has: `<user>.nk`.
fn seeds(folder: &Path) -> anyhow::Result<Seeds> {
    let mut seeds = Seeds::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "nk")
            && let Some(user) = path.file_stem().and_then(|stem| stem.to_str())
        {
            let seed = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            seeds.insert(user.to_owned(), seed.trim().to_owned());
        }
    }
    Ok(seeds)
}

/// Writes a file; one that is secret for its owner alone, from its first byte on.
fn write(path: &Path, file: &File) -> std::io::Result<()> {
    let mode = if file.secret { 0o600 } else { 0o644 };
    let mut options = fs::OpenOptions::new();
    let mut to = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    if file.secret {
        // It may have been there, for more to read.
        match to.set_permissions(fs::Permissions::from_mode(mode)) {
            Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
    }
    to.write_all(file.text.as_bytes())
}
