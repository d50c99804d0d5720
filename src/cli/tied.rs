//! `headwater tied`: a program that ends with its parent, however that ends, and has a folder for itself.
//!
//! Not for people: `solo` and `dev` start their NATS server through it. It ties itself and then becomes the
//! program, which keeps both the tie and the lock.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::io::{FdFlags, fcntl_setfd};

/// How long a former holder of the folder may take to end.
const FORMER: Duration = Duration::from_secs(10);

/// Arguments of `headwater tied`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who starts it: where that has ended meanwhile, nothing is started.
    #[arg(long)]
    parent: u32,
    /// A file that only one such program holds at a time.
    #[arg(long)]
    lock: PathBuf,
    /// The program, and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// The program that has this command: this one, even when its file has been replaced meanwhile.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe().context("this program's own file") }
}

/// What stands before the tied program's own path and arguments.
pub(super) fn arguments(lock: &Path) -> Vec<OsString> {
    let parent = std::process::id().to_string();
    let words = ["tied".into(), "--parent".into(), parent.into(), "--lock".into(), lock.into(), "--".into()];
    words.into()
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        if std::os::unix::process::parent_id() != self.parent {
            bail!("whoever started this has ended");
        }
        hold(&self.lock)?;
        let (program, arguments) = self.command.split_first().context("no program")?;
        let error = Command::new(program).args(arguments).exec();
        let program = Path::new(program).display();
        Err(error).with_context(|| {
            format!(
                "starting {program}: install nats-server (`make tools` does) or name one with --nats-server"
            )
        })
    }
}

/// Takes the lock for as long as this process lives, whatever program it becomes.
fn hold(path: &Path) -> anyhow::Result<()> {
    let what = || format!("the lock {}", path.display());
    let lock = File::options().create(true).truncate(false).write(true).open(path).with_context(what)?;
    let begin = Instant::now();
    while let Err(error) = lock.try_lock() {
        if begin.elapsed() > FORMER || !matches!(error, std::fs::TryLockError::WouldBlock) {
            let folder = path.parent().unwrap_or(path).display();
            bail!("another program works in {folder}: end it, or choose another folder ({error})");
        }
        sleep(Duration::from_millis(50));
    }
    fcntl_setfd(&lock, FdFlags::empty()).with_context(what)?;
    // Never closed: the system does that when the program has ended.
    let _ = lock.into_raw_fd();
    Ok(())
}
