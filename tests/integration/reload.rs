//! A configuration file that changes while the node runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::child::ChildNode;
use crate::support::fleet::{SOON, acquainted, heard_of, knock, node, plays, plays_on, publish, watch};
use crate::support::nats::NatsServer;
use crate::support::tape::{Tape, longest_delay, missing};
use crate::support::wait::{assert_holds, eventually};

/// What a viewer may notice.
const GAP: Duration = Duration::from_millis(100);
/// The clip's pictures, by the clock of RTP.
const PICTURE: u32 = 3_600;

/// A node whose configuration file has this.
async fn configured(file: &Path, text: &str, name: &str, nats: &str) -> ChildNode {
    fs::write(file, text).unwrap();
    ChildNode::start(name, "west", nats, &[("HEADWATER_CONFIG_FILE", file.to_str().unwrap())]).await
}

/// Has a node read its file anew, and waits until it has logged all of this since.
async fn reload(node: &mut ChildNode, file: &Path, text: &str, says: &[&str]) -> String {
    let before = node.log().len();
    fs::write(file, text).unwrap();
    node.process().signal("HUP");
    eventually(SOON, format!("it says {says:?}"), || async {
        let log = node.log().split_off(before);
        if says.iter().all(|words| log.contains(words)) { Ok(log) } else { Err(log) }
    })
    .await
}

/// The nodes that a node feeds.
async fn children(node: &ChildNode) -> Vec<String> {
    let room = node.room("news").await;
    let children = room["children"].as_array().cloned().unwrap_or_default();
    children.iter().filter_map(|child| child["peer"]["node"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_may_feed_fewer_sends_the_surplus_to_others_and_no_viewer_notices() {
    let nats = NatsServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let mut origin = configured(&file, "[limits]\nchildren = 2\n", "west-1", &nats.url()).await;
    let (one, two) = (node("west-2", "west", &nats.url()).await, node("west-3", "west", &nats.url()).await);
    acquainted(&[&one, &two]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&one, "news").await;
    heard_of(&two, "news").await;
    let stays = Tape::watch(&format!("{}/whep/news", one.public_url())).await;
    eventually(SOON, "the first plays", || async { (stays.pictures().len() > 10).then_some(()) }).await;
    let moves = Tape::watch(&format!("{}/whep/news", two.public_url())).await;
    eventually(SOON, "the second plays", || async { (moves.pictures().len() > 10).then_some(()) }).await;
    let near = watch(&origin, "news").await;
    plays(&near, 3).await;
    assert_eq!(children(&origin).await.len(), 2);

    let lower = "[limits]\nchildren = 1\noutlets = 77\nviewers = 1\n";
    reload(&mut origin, &file, lower, &["taken over", "limits.children, limits.outlets, limits.viewers"])
        .await;
    eventually(SOON, "the fleet knows", || async {
        let fleet = one.context().fleet();
        let told = fleet.node(&"west-1".parse().unwrap()).map(|node| node.limits.clone());
        let is_told = told.as_ref().is_some_and(|told| (told.viewers, told.outlets) == (Some(1), Some(77)));
        if is_told { Ok(()) } else { Err(told) }
    })
    .await;
    eventually(2 * SOON, "the later child pulls from the other", || async {
        let (fed, by_one) = (children(&origin).await, one.rooms().inspect("news".parse().unwrap()).await);
        let by_one: Vec<_> = by_one.into_iter().flat_map(|room| room.children).collect();
        let has_moved = fed == ["west-2"] && by_one.iter().any(|child| child.peer.node.as_str() == "west-3");
        if has_moved { Ok(()) } else { Err((fed, by_one)) }
    })
    .await;
    let seen = moves.pictures().len();
    eventually(SOON, "its viewer plays on", || async { (moves.pictures().len() > seen + 50).then_some(()) })
        .await;
    assert!(moves.streams().0 > 1, "it came another way: {:?}", moves.streams());
    let (moved, stayed) = (moves.pictures(), stays.pictures());
    let delay = longest_delay(&moved, &stayed);
    eprintln!("the moved viewer's pictures came {delay:?} later at worst");
    assert!(delay <= GAP && missing(&moved, PICTURE).is_empty(), "{delay:?} {:?}", missing(&moved, PICTURE));
    // Who watches stays, who comes is refused.
    plays_on(&near).await;
    assert_eq!(knock(&origin, "news").await.0, 503);

    // Nobody else may feed: what works goes on as it is.
    reload(&mut origin, &file, "[limits]\nchildren = 0\nviewers = 0\n", &["limits.viewers"]).await;
    let cut = Duration::from_secs(8);
    assert_holds(cut, Duration::from_millis(500), "the only way is left as it is", || async {
        let fed = children(&origin).await;
        if fed == ["west-2"] { Ok(()) } else { Err(fed) }
    })
    .await;
    assert_eq!(missing(&stays.pictures(), PICTURE), Vec::<u32>::new());
    plays_on(&near).await;
}

/// A node that feeds two others may carry half as much now: one of them goes to the other, and no viewer notices.
async fn half_of_the_children_go(lower: &str, named: &str) {
    let nats = NatsServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let mut origin = configured(&file, "", "west-1", &nats.url()).await;
    // Of half of all lots, these two names draw one, whichever of the first two turns it is.
    let (one, two) = (node("west-4", "west", &nats.url()).await, node("west-8", "west", &nats.url()).await);
    acquainted(&[&one, &two]).await;
    let _publisher = publish(&origin, "news").await;
    heard_of(&one, "news").await;
    heard_of(&two, "news").await;
    let tapes = [
        Tape::watch(&format!("{}/whep/news", one.public_url())).await,
        Tape::watch(&format!("{}/whep/news", two.public_url())).await,
    ];
    for tape in &tapes {
        eventually(SOON, "it plays", || async { (tape.pictures().len() > 10).then_some(()) }).await;
    }
    eventually(SOON, "both are fed, as the node says", || async {
        let load = one.context().fleet().node(&"west-1".parse().unwrap()).map(|node| node.load.clone());
        let is_loaded = load.as_ref().is_some_and(|load| load.outlets == 2 && load.bits_out > 600_000);
        if is_loaded { Ok(()) } else { Err(load) }
    })
    .await;
    reload(&mut origin, &file, lower, &["taken over", named]).await;
    eventually(2 * SOON, "one of the two pulls from the other", || async {
        let fed = children(&origin).await;
        if fed.len() == 1 { Ok(()) } else { Err(fed) }
    })
    .await;
    for tape in &tapes {
        let seen = tape.pictures().len();
        eventually(SOON, "it plays on", || async { (tape.pictures().len() > seen + 50).then_some(()) }).await;
        assert_eq!(missing(&tape.pictures(), PICTURE), Vec::<u32>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_may_have_fewer_outlets_sends_the_surplus_to_others() {
    half_of_the_children_go("[limits]\noutlets = 1\n", "limits.outlets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_may_send_less_sends_children_to_others() {
    half_of_the_children_go("[limits]\nbits_out = 420000\n", "limits.bits_out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_taken_over_is_named_and_a_bad_file_changes_nothing() {
    let nats = NatsServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let mut one = configured(&file, "", "west-1", &nats.url()).await;
    let other = node("west-2", "west", &nats.url()).await;
    let told = || other.context().fleet().node(&"west-1".parse().unwrap()).and_then(|it| it.limits.viewers);
    let is_told = async |viewers| {
        eventually(SOON, format!("{viewers} viewers are told"), || async {
            if told() == Some(viewers) { Ok(()) } else { Err(told()) }
        })
        .await;
    };
    is_told(5_000).await;
    let secret = "[[auth.tokens]]\ntoken = 'only-for-the-test'\nactions = ['watch']\n";
    let text = format!("[limits]\nviewers = 7\ninbox = 99\n[media]\ncodecs = ['opus', 'vp8']\n{secret}");
    let says = ["limits.viewers", "auth.tokens, limits.inbox, media.codecs", "from the next start on"];
    reload(&mut one, &file, &text, &says).await;
    is_told(7).await;
    assert!(!one.log().contains("only-for-the-test"));
    for (bad, why) in [
        ("[limits]\nviewers = 9\nwishes = 3\n", "wishes"),
        ("[limits]\nviewers = 9\nconnecting = 0\n", "limits.connecting"),
        ("[limits]\nviewers = 9\n[log]\nfilter = 'headwater=loud'\n", "log.filter"),
        ("[limits", "expected"),
    ] {
        reload(&mut one, &file, bad, &["all stays as it was", why]).await;
    }
    assert_eq!(told(), Some(7));
    // Without the key it is what it was by default, and what is logged changes as well.
    let text = "[limits]\ninbox = 98\n[log]\nfilter = 'warn'\n";
    let log = reload(&mut one, &file, text, &["limits.inbox", "from the next start on"]).await;
    assert!(!log.contains("read anew"), "{log}");
    is_told(5_000).await;
}
