//! A mailbox that is never full: of each stream only the newest notice waits.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::Notice;
use crate::protocol::ids::StreamName;

type Waiting = BTreeMap<StreamName, Notice>;

/// Where notices of a room go in.
#[derive(Debug)]
pub struct NoticeSender {
    waiting: watch::Sender<Waiting>,
}

/// Where they come out. Dropping it closes the mailbox.
#[derive(Debug)]
pub struct NoticeReceiver {
    changed: watch::Receiver<Waiting>,
    waiting: watch::Sender<Waiting>,
}

/// A mailbox for one room.
pub fn mailbox() -> (NoticeSender, NoticeReceiver) {
    let (waiting, changed) = watch::channel(Waiting::new());
    (NoticeSender { waiting: waiting.clone() }, NoticeReceiver { changed, waiting })
}

impl NoticeSender {
    /// Puts a notice in, in place of an older one of its stream.
    pub fn send(&self, notice: Notice) {
        self.waiting.send_modify(|waiting| {
            waiting.insert(notice.stream.clone(), notice);
        });
    }

    /// Whether nobody reads it any more.
    pub fn is_closed(&self) -> bool {
        self.waiting.is_closed()
    }
}

impl NoticeReceiver {
    /// Takes all that waits, at least one. Cancel-safe; waits for ever once nothing can come any more.
    pub async fn next(&mut self) -> Vec<Notice> {
        loop {
            if self.changed.changed().await.is_err() {
                return std::future::pending().await;
            }
            let mut taken = Waiting::new();
            // Taking is no change: nobody is woken by it.
            self.waiting.send_if_modified(|waiting| {
                taken = std::mem::take(waiting);
                false
            });
            if !taken.is_empty() {
                return taken.into_values().collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn notice(stream: &str, term: u64) -> Notice {
        let (room, stream) = ("r".parse().unwrap(), stream.parse().unwrap());
        Notice { room, stream, claims: Vec::new(), term, since: None, ended: None }
    }

    #[tokio::test]
    async fn only_the_newest_of_each_stream_waits() {
        let (sender, mut receiver) = mailbox();
        assert_eq!(receiver.next().now_or_never(), None);
        for term in 1..1_000 {
            sender.send(notice("a", term));
        }
        sender.send(notice("b", 1));
        assert_eq!(receiver.next().await, [notice("a", 999), notice("b", 1)]);
        assert_eq!(receiver.next().now_or_never(), None, "taken");
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(5), receiver.next());
        let ((), next) = tokio::join!(async { sender.send(notice("b", 2)) }, waiting);
        assert_eq!(next, Ok(vec![notice("b", 2)]));
        assert!(!sender.is_closed());
        drop(receiver);
        assert!(sender.is_closed());
    }
}
