//! What a node is to do: serve, where nothing speaks against it.

use tokio::sync::watch;

use crate::protocol::presence::Phase;

/// What a node is to do, and why. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Duty {
    reasons: watch::Sender<Reasons>,
    phase: watch::Sender<Phase>,
}

/// Why a node takes nothing new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reasons {
    /// An operator wants it.
    operator: bool,
    /// It is on its way out: it was told to stop, or has failed.
    ends: bool,
}

impl Default for Duty {
    fn default() -> Self {
        Self::new()
    }
}

impl Duty {
    /// To serve.
    pub fn new() -> Self {
        Self { reasons: watch::Sender::new(Reasons::default()), phase: watch::Sender::new(Phase::Serving) }
    }

    /// What the node is to do, as it changes: [`Phase::Serving`] or [`Phase::Draining`].
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// From here on the node is on its way out.
    pub fn end(&self) {
        self.set(|reasons| reasons.ends = true);
    }

    /// An operator wants the node to take nothing new, or no longer wants that. Whether that changed anything.
    pub fn wish(&self, draining: bool) -> bool {
        self.set(|reasons| reasons.operator = draining)
    }

    /// Whether an operator wants the node to take nothing new.
    pub fn is_wished(&self) -> bool {
        self.reasons.borrow().operator
    }

    /// Whether the node is on its way out.
    pub fn ends(&self) -> bool {
        self.reasons.borrow().ends
    }

    fn set(&self, change: impl FnOnce(&mut Reasons)) -> bool {
        self.reasons.send_if_modified(|reasons| {
            let before = *reasons;
            change(reasons);
            let now = if *reasons == Reasons::default() { Phase::Serving } else { Phase::Draining };
            // In here, so that of two changes at once the later one tells the phase that holds.
            self.phase.send_if_modified(|phase| std::mem::replace(phase, now) != now);
            *reasons != before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operators_wish_can_be_undone_and_the_end_can_not() {
        let duty = Duty::new();
        let phase = duty.phase();
        assert_eq!(*phase.borrow(), Phase::Serving);
        assert!(duty.wish(true) && !duty.wish(true), "the second time is no news");
        assert_eq!((*phase.borrow(), duty.ends()), (Phase::Draining, false));
        assert!(duty.wish(false));
        assert_eq!(*phase.borrow(), Phase::Serving);
        duty.wish(true);
        duty.end();
        duty.wish(false);
        assert_eq!((*phase.borrow(), duty.ends(), duty.is_wished()), (Phase::Draining, true, false));
    }

    #[test]
    fn a_second_reason_is_no_second_news() {
        let duty = Duty::new();
        let mut phase = duty.phase();
        duty.wish(true);
        phase.mark_unchanged();
        duty.end();
        assert!(!phase.has_changed().unwrap(), "it drains already");
    }
}
