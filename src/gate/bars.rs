//! The bars that a node knows. Pure: time is an argument.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::fleet::digest;
use crate::protocol::gate::{Bar, BarsPage, TokenKey};

/// How many bars are kept at most.
pub const MOST: usize = 10_000;
/// Bars on a page: it fits into the least `limits.message_bytes`.
pub const PAGE: usize = 32;

/// The bars that a node knows, those among them that were lifted before their time.
#[derive(Debug, Clone, Default)]
pub struct Bars(BTreeMap<TokenKey, Bar>);

/// What became of a bar that was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It holds now, and didn't before.
    New,
    /// It changed nothing that keeps anyone out.
    Known,
    /// There are too many.
    Full,
}

impl Bars {
    /// Until when any of these tokens is kept out.
    pub fn until(&self, tokens: &[TokenKey], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let bars = tokens.iter().filter_map(|token| self.0.get(token));
        bars.filter(|bar| bar.holds(now)).map(|bar| bar.until).max()
    }

    /// The bars that hold now.
    pub fn holding(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Bar> {
        self.0.values().filter(move |bar| bar.holds(now))
    }

    /// A bar of a token that holds whatever was said of that before.
    pub fn next(&self, token: TokenKey, until: DateTime<Utc>) -> Bar {
        let version = self.0.get(&token).map_or(1, |bar| bar.version.saturating_add(1));
        Bar { token, until, lifted: false, version }
    }

    /// The same bar, lifted; none where there is none that holds.
    pub fn lift(&self, token: &TokenKey, now: DateTime<Utc>) -> Option<Bar> {
        let bar = self.0.get(token).filter(|bar| bar.holds(now))?;
        Some(Bar { lifted: true, version: bar.version.saturating_add(1), ..bar.clone() })
    }

    /// Takes a bar, whoever told of it: in any order, and any number of times, the same comes of it.
    pub fn hear(&mut self, bar: Bar, now: DateTime<Utc>) -> Heard {
        if bar.until <= now {
            return Heard::Known;
        }
        let known = self.0.get(&bar.token);
        if known.is_some_and(|known| known.rank() >= bar.rank()) {
            return Heard::Known;
        }
        if known.is_none() && self.0.len() >= MOST {
            return Heard::Full;
        }
        let is_new = bar.holds(now) && !known.is_some_and(|known| known.holds(now));
        self.0.insert(bar.token.clone(), bar);
        if is_new { Heard::New } else { Heard::Known }
    }

    /// Forgets what is over.
    pub fn forget(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, bar| now < bar.until);
    }

    /// How many there are, and the sum of their hashes.
    pub fn digest(&self) -> (u32, u64) {
        let sum = self.0.values().fold(0_u64, |sum, bar| sum.wrapping_add(digest::of_bar(bar)));
        (u32::try_from(self.0.len()).unwrap_or(u32::MAX), sum)
    }

    /// The bars behind `after`, as many as a page takes.
    pub fn page(&self, after: Option<&TokenKey>) -> BarsPage {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let bars: Vec<Bar> = self
            .0
            .range::<TokenKey, _>((from, Bound::Unbounded))
            .take(PAGE)
            .map(|(_, bar)| bar.clone())
            .collect();
        let next = if bars.len() == PAGE { bars.last().map(|bar| bar.token.clone()) } else { None };
        BarsPage { bars, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn token(number: usize) -> TokenKey {
        TokenKey::Id(format!("t-{number:05}"))
    }

    #[test]
    fn a_bar_holds_until_its_time_and_keeps_out_nobody_else() {
        let mut bars = Bars::default();
        let until = now() + TimeDelta::seconds(60);
        assert_eq!(bars.hear(bars.next(token(1), until), now()), Heard::New);
        assert_eq!(bars.until(&[token(2), token(1)], now()), Some(until));
        assert_eq!(bars.until(&[token(2), TokenKey::Subject("t-00001".to_owned())], now()), None);
        assert_eq!(bars.until(&[token(1)], until), None);
        bars.forget(until);
        assert_eq!(bars.digest(), (0, 0));
    }

    #[test]
    fn what_is_lifted_is_not_brought_back_by_who_missed_it() {
        let (mut bars, mut other) = (Bars::default(), Bars::default());
        let bar = bars.next(token(1), now() + TimeDelta::seconds(60));
        bars.hear(bar.clone(), now());
        other.hear(bar.clone(), now());
        let lifted = bars.lift(&token(1), now()).unwrap();
        bars.hear(lifted.clone(), now());
        assert_eq!(bars.lift(&token(1), now()), None, "once");
        assert_eq!(bars.hear(bar, now()), Heard::Known);
        assert_eq!(bars.until(&[token(1)], now()), None);
        assert_ne!(bars.digest(), other.digest());
        other.hear(lifted, now());
        assert_eq!(bars.digest(), other.digest());
        let again = bars.next(token(1), now() + TimeDelta::seconds(5));
        assert_eq!(bars.hear(again, now()), Heard::New, "it may be barred again, also for less long");
    }

    #[test]
    fn their_number_is_bounded_and_pages_have_them_all() {
        let mut bars = Bars::default();
        let until = now() + TimeDelta::seconds(60);
        for number in 0..MOST {
            assert_eq!(bars.hear(bars.next(token(number), until), now()), Heard::New);
        }
        assert_eq!(bars.hear(bars.next(token(MOST), until), now()), Heard::Full);
        let (mut copy, mut after) = (Bars::default(), None);
        loop {
            let page = bars.page(after.as_ref());
            for bar in page.bars {
                copy.hear(bar, now());
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(copy.digest(), bars.digest());
    }

    proptest! {
        /// Whatever the order, and however often: who has heard the same, holds the same.
        #[test]
        fn the_order_does_not_matter(
            heard in proptest::collection::vec((0usize..4, 1u64..4, any::<bool>(), 1i64..5), 0..12),
            turned in any::<u64>(),
        ) {
            let bar = |(number, version, lifted, seconds): &(usize, u64, bool, i64)| Bar {
                token: token(*number),
                until: now() + TimeDelta::seconds(*seconds),
                lifted: *lifted,
                version: *version,
            };
            let mut other = heard.clone();
            other.extend_from_within(..heard.len() / 2);
            let turn = usize::try_from(turned % 13).unwrap().min(other.len());
            other.rotate_left(turn);
            other.reverse();
            let (mut one, mut two) = (Bars::default(), Bars::default());
            for it in &heard {
                one.hear(bar(it), now());
            }
            for it in &other {
                two.hear(bar(it), now());
            }
            prop_assert_eq!(one.digest(), two.digest());
        }
    }
}
