//! `headwater forget`

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use super::{Connect, output};
use crate::cli::quiet_log;
use crate::protocol::ids::RoomId;

/// Flags of `headwater forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The room.
    room: RoomId,
    #[command(flatten)]
    connect: Connect,
    /// Don't ask.
    #[arg(long, short)]
    yes: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        quiet_log(None)?;
        let api = self.connect.api()?;
        if !self.yes {
            if !io::stdin().is_terminal() {
                anyhow::bail!(
                    "there is nobody to ask whether to delete the history of {}: give --yes",
                    self.room
                );
            }
            if !confirmed(&self.room, &mut io::stdin().lock(), &mut io::stderr())? {
                anyhow::bail!("nothing was deleted");
            }
        }
        api.forget(&self.room).await?;
        let _ = output::print(&format!("the history of {} is deleted\n", self.room))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn confirmed(room: &RoomId, answers: &mut impl BufRead, questions: &mut impl Write) -> io::Result<bool> {
    write!(questions, "Delete all that is recorded of room {room}? It can't be undone. [y/N] ")?;
    questions.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_deletes() {
        let asked = |answer: &str| {
            let mut question = Vec::new();
            let answer = confirmed(&"demo".parse().unwrap(), &mut answer.as_bytes(), &mut question).unwrap();
            assert!(String::from_utf8(question).unwrap().contains("room demo"));
            answer
        };
        assert!(asked("y\n") && asked("YES\n"));
        assert!(!asked("\n") && !asked("") && !asked("no\n") && !asked("yikes\n"));
    }
}
