//! A child process that never outlives its test.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

/// A child in a process group of its own; the whole group is killed on drop.
///
/// Where `setpriv` knows `--pdeathsig`, the child is also killed when the test process dies.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Dropped after the child is gone: ends the thread that started it.
    _hold: mpsc::Sender<()>,
}

impl Process {
    /// Starts `program`; `configure` sets arguments and streams.
    pub(crate) fn spawn(
        program: impl Into<OsString>,
        configure: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        Self::spawn_through(&[], program, configure)
    }

    /// The same through `launcher`: a command that becomes what its further arguments name, such as
    /// `ip netns exec`.
    pub(crate) fn spawn_through(
        launcher: &[String],
        program: impl Into<OsString>,
        configure: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        let words = launcher.iter().map(OsString::from).chain([program.into()]);
        let mut command = tied_to_parent(words.collect());
        configure(&mut command);
        command.process_group(0);
        let (started, child) = mpsc::sync_channel(1);
        let (hold, held) = mpsc::channel::<()>();
        // The death signal fires when the *thread* that forked ends, so that thread waits here.
        thread::Builder::new().name("child-keeper".into()).spawn(move || {
            if started.send(command.spawn()).is_ok() {
                let _ = held.recv();
            }
        })?;
        let child = child.recv().map_err(io::Error::other)??;
        Ok(Self { child, _hold: hold })
    }

    /// The child, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for the child's status")
    }

    /// Sends a signal, named without `SIG`, to the whole group.
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not installed everywhere.
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$1" -- "-$2""#, "kill", name])
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status()
            .expect("run sh to send a signal");
        assert!(status.success(), "could not send SIG{name} to group {}", self.child.id());
    }

    /// Kills the group and waits until the child is gone.
    pub(crate) fn kill(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("KILL");
            self.child.wait().expect("wait for the killed child");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tied_to_parent(words: Vec<OsString>) -> Command {
    const TIE: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
    let supported = Command::new(TIE[0])
        .args(&TIE[1..])
        .arg("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let tie = TIE.iter().filter(|_| supported).map(OsString::from);
    let mut words = tie.chain(words);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command
}
