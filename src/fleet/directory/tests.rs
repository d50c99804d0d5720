use super::*;
use crate::fleet::samples::{Timeline, claim, peer};
use crate::protocol::claim::EndReason;
use crate::protocol::directory::Whose;
use crate::protocol::presence::Phase;
use proptest::prelude::*;
use std::time::Duration;

/// All that a process holds, as it would answer.
fn answer(directory: &Directory, of: &Peer, revision: u64) -> Claims {
    let (claims, next) = directory.page(Whose::Own, of, None, usize::MAX);
    let digest = directory.digest(of);
    let beat = Beat { number: 1, revision, claims: digest.count, digest: digest.sum, every_ms: 1_000 };
    Claims { from: of.clone(), phase: Phase::Serving, beat, claims, next }
}

#[test]
fn a_later_claim_holds_whatever_comes_late_or_twice() {
    let at = Timeline::new();
    let mut directory = Directory::default();
    let live = claim("r", "main", "a", 1, 1);
    let muted = Claim { flowing: false, revision: 2, ..live.clone() };
    assert!(directory.hear(live.clone(), at.ms(0)).is_some());
    assert!(directory.hear(muted.clone(), at.ms(5)).is_some());
    for late in [&live, &muted] {
        assert_eq!(directory.hear(late.clone(), at.ms(9)), None);
    }
    let notice = directory.look_up(&live.room_id, &live.stream).unwrap();
    assert_eq!(*notice.claims[0], muted);
    assert_eq!(notice.since, Some(at.ms(0)), "the publication is the same");
    let ended = Claim { revision: 3, ..live.ended(EndReason::Unpublished) };
    assert!(directory.hear(ended, at.ms(10)).is_some());
    for late in [live, muted] {
        assert_eq!(directory.hear(late, at.ms(11)), None, "it is over");
    }
    assert_eq!((directory.claims(), directory.streams()), (0, 0));
    assert_eq!(directory.digest(&peer("a", 97, "x")), Digest::default());
}

#[test]
fn an_end_is_that_of_its_publication() {
    let at = Timeline::new();
    let (former, next) = (claim("r", "main", "a", 1, 1), claim("r", "main", "a", 2, 2));
    let ended = Claim { revision: 3, ..former.ended(EndReason::Replaced) };
    for order in [[&former, &next, &ended], [&ended, &next, &former], [&next, &ended, &former]] {
        let mut directory = Directory::default();
        for claim in order {
            directory.hear(claim.clone(), at.ms(0));
        }
        let notice = directory.look_up(&next.room_id, &next.stream).unwrap();
        assert_eq!(notice.claims, [Arc::new(next.clone())]);
        assert_eq!((notice.term, notice.next_term()), (2, 3));
    }
}

#[test]
fn the_highest_claim_is_first_and_terms_outlive_claims() {
    let at = Timeline::new();
    let mut directory = Directory::default();
    for (node, term) in [("a", 3), ("b", 9), ("c", 4)] {
        directory.hear(claim("r", "main", node, term, 1), at.ms(term));
    }
    let room = "r".parse().unwrap();
    let notice = directory.known(&room).remove(0);
    assert_eq!(notice.claims.iter().map(|claim| claim.term).collect::<Vec<_>>(), [9, 4, 3]);
    assert_eq!(notice.since, Some(at.ms(9)));
    for node in ["b", "a", "c"] {
        assert_eq!(directory.forget(&claim("r", "main", node, 1, 1).origin).len(), 1);
    }
    let notice = directory.known(&room).remove(0);
    assert_eq!((notice.claims.len(), notice.term, notice.since), (0, 9, None));
    assert_eq!(directory.processes().count(), 0);
}

#[test]
fn why_a_stream_is_over_is_known_where_its_origin_said_it() {
    let now = Instant::now();
    let mut directory = Directory::default();
    let ended = |directory: &Directory| directory.known(&"r".parse().unwrap()).remove(0).ended;
    let (a, b) = (claim("r", "main", "a", 1, 1), claim("r", "main", "b", 2, 1));
    directory.hear(a.clone(), now);
    directory.hear(b.clone(), now);
    directory.hear(Claim { revision: 2, ..a.ended(EndReason::Replaced) }, now);
    assert_eq!(ended(&directory), None, "the other goes on");
    directory.hear(Claim { revision: 2, ..b.ended(EndReason::Removed) }, now);
    assert_eq!(ended(&directory), Some(EndReason::Removed));
    let again = claim("r", "main", "a", 3, 3);
    directory.hear(again.clone(), now);
    assert_eq!(ended(&directory), None);
    let mut empty = Directory::default();
    empty.hear(Claim { revision: 4, ..again.ended(EndReason::Drained) }, now);
    directory.replace(None, answer(&empty, &again.origin, 4), now);
    assert_eq!(ended(&directory), Some(EndReason::Unknown), "its word was lost");
    directory.hear(claim("r", "main", "c", 4, 1), now);
    directory.forget(&claim("r", "main", "c", 4, 1).origin);
    assert_eq!(ended(&directory), Some(EndReason::Lost));
}

#[test]
fn terms_without_claims_are_bounded_and_the_oldest_go_first() {
    let mut directory = Directory::default();
    let now = Instant::now();
    for n in 1..=TERMS as u64 + 10 {
        let live = claim(&format!("r{n}"), "main", "a", n, 2 * n);
        directory.hear(live.clone(), now);
        directory.hear(Claim { revision: 2 * n + 1, ..live.ended(EndReason::Closed) }, now);
    }
    assert_eq!((directory.over.len(), directory.streams.len()), (TERMS, TERMS));
    assert!(directory.known(&"r10".parse().unwrap()).is_empty());
    assert_eq!(directory.known(&"r11".parse().unwrap())[0].term, 11);
}

#[test]
fn hearsay_fills_in_and_the_process_itself_corrects_it() {
    let at = Timeline::new();
    let mut directory = Directory::default();
    let (truth, gone) = (claim("r", "main", "a", 1, 4), claim("r", "gone", "a", 1, 2));
    let forged = Claim { term: 7, revision: u64::MAX, flowing: false, ..truth.clone() };
    let mut origin = Directory::default();
    origin.hear(truth.clone(), at.ms(0));
    let page = answer(&origin, &truth.origin, 4);
    assert!(directory.hear_say(forged.clone(), at.ms(0)).is_some());
    assert!(directory.hear_say(gone.clone(), at.ms(0)).is_some());
    assert_eq!(directory.compare(&truth.origin, &page.beat), Word::Differs);
    assert_eq!(directory.replace(None, page.clone(), at.ms(1)).len(), 2);
    assert_eq!(directory.compare(&truth.origin, &page.beat), Word::Same);
    assert_eq!(*directory.known(&truth.room_id)[1].claims[0], truth);
    for late in [forged, gone] {
        assert_eq!(directory.hear_say(late, at.ms(2)), None, "it has said what it claims");
    }
}

#[test]
fn a_page_ends_what_it_leaves_out_but_nothing_later() {
    let at = Timeline::new();
    let mut directory = Directory::default();
    let (first, second) = (claim("r", "a", "n", 1, 1), claim("r", "b", "n", 1, 2));
    directory.hear(first.clone(), at.ms(0));
    directory.hear(second.clone(), at.ms(0));
    let empty = answer(&Directory::default(), &first.origin, 1);
    assert_eq!(directory.replace(None, empty.clone(), at.ms(1)), [key(&first)]);
    assert!(directory.replace(None, empty.clone(), at.ms(2)).is_empty());
    assert_eq!(directory.compare(&first.origin, &empty.beat), Word::Behind);
    let behind = Place {
        room_id: second.room_id.clone(),
        stream: second.stream.clone(),
        origin: second.origin.incarnation,
    };
    let later = Claims { beat: Beat { revision: 9, ..empty.beat }, ..empty };
    assert!(directory.replace(Some(&behind), later.clone(), at.ms(3)).is_empty(), "not on this page");
    assert_eq!(directory.replace(None, later, at.ms(4)), [key(&second)]);
}

#[test]
fn processes_of_one_name_are_bounded() {
    let mut directory = Directory::default();
    for process in 1..100 {
        let mut claim = claim("r", &format!("s{process}"), "a", 1, 1);
        claim.origin = peer("a", process, "x");
        directory.hear(claim, Instant::now());
    }
    assert_eq!((directory.processes().count(), directory.claims()), (NAMESAKES, NAMESAKES));
}

/// What an origin may do, as the rest hears it.
fn history() -> impl Strategy<Value = Vec<(u8, u8)>> {
    proptest::collection::vec((0u8..4, 0u8..3), 1..40)
}

proptest! {
    #[test]
    fn after_a_page_all_agree_whatever_was_lost_doubled_or_came_in_any_order(
        history in history(),
        heard in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        page_bytes in 0usize..4_000,
    ) {
        let now = Instant::now();
        let me = claim("r", "s", "a", 1, 1).origin;
        let mut origin = Directory::default();
        let mut said: Vec<Claim> = Vec::new();
        for (stream, act) in history {
            let (room, name) = ("r".parse().unwrap(), format!("s{stream}"));
            let known = origin.look_up(&room, &name.parse().unwrap());
            let term = known.as_ref().map_or(1, Notice::next_term);
            let revision = said.len() as u64 + 1;
            let held = known.and_then(|notice| notice.claims.first().cloned());
            let change = match (act, held) {
                (0, _) | (_, None) => claim("r", &name, "a", term, revision),
                (1, Some(held)) => Claim { revision, flowing: !held.flowing, ..Claim::clone(&held) },
                (_, Some(held)) => Claim { revision, ..held.ended(EndReason::Closed) },
            };
            prop_assert!(change.term >= term || held_term(&origin, &change) == Some(change.term));
            origin.hear(change.clone(), now);
            said.push(change);
        }
        let mut other = Directory::default();
        for index in heard {
            other.hear(index.get(&said).clone(), now);
        }
        let revision = said.len() as u64;
        let digest = origin.digest(&me);
        let beat = Beat { number: 1, revision, claims: digest.count, digest: digest.sum, every_ms: 1_000 };
        let mut after = None;
        loop {
            let (claims, next) = origin.page(Whose::Own, &me, after.as_ref(), page_bytes);
            let page = Claims { from: me.clone(), phase: Phase::Serving, beat, claims, next: next.clone() };
            other.replace(after.as_ref(), page, now);
            after = next;
            if after.is_none() {
                break;
            }
        }
        prop_assert_eq!(other.compare(&me, &beat), Word::Same);
        prop_assert!(other.knows(&me, &beat));
        for late in said {
            other.hear(late, now);
        }
        prop_assert!(other.knows(&me, &beat), "nothing late undoes it");
        prop_assert_eq!(answer(&other, &me, 0).claims, answer(&origin, &me, 0).claims);
        for (room, stream) in origin.streams.keys() {
            prop_assert_eq!(origin.look_up(room, stream).unwrap().term, other.look_up(room, stream).unwrap().term);
        }
    }
}

fn held_term(directory: &Directory, claim: &Claim) -> Option<u64> {
    directory.held(claim).map(|held| held.term)
}

/// With `--nocapture` it prints what that takes: 58 MB and, in the development profile, 1 to 2 s.
#[test]
fn a_hundred_thousand_claims_fit_into_the_memory_that_they_should() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0)
    };
    let mut origin = Directory::default();
    for n in 0..100_000_u64 {
        let node = format!("node-{}", n % 200);
        origin.hear(claim(&format!("room-{}", n * 7_919 % 100_000), "main", &node, 1, n + 1), Instant::now());
    }
    let mut encoded = Vec::new();
    let mut after = None;
    let started = Instant::now();
    loop {
        let (claims, next) = origin.page(Whose::All, &peer("me", 1, "x"), after.as_ref(), 64 * 1024);
        let page =
            Claims { from: peer("me", 1, "x"), phase: Phase::Serving, beat: Beat::default(), claims, next };
        encoded.push(crate::protocol::codec::encode(&page).unwrap());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let (pages, bytes) = (encoded.len(), encoded.iter().map(Vec::len).max());
    println!("{pages} pages of at most {bytes:?} bytes written in {:?}", started.elapsed());
    let (before, started, mut spent) = (resident(), Instant::now(), Duration::ZERO);
    let mut directory = Directory::default();
    for bytes in &encoded {
        let page: Claims = crate::protocol::codec::decode(bytes, usize::MAX).unwrap();
        let folding = Instant::now();
        for claim in page.claims {
            directory.hear_say(claim, folding);
        }
        spent += folding.elapsed();
    }
    println!("read and folded in {:?}, {spent:?} of it folding", started.elapsed());
    let more = resident().saturating_sub(before);
    println!("{} claims: {more} kB more resident", directory.claims());
    assert_eq!(directory.claims(), 100_000);
    assert!(more < 70_000, "{more} kB");
}
