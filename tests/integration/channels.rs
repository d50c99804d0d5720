//! Messages beside media: data channels of mediasoup-client, unchanged, from one node to others.

use headwater::node::Node;
use headwater::protocol::event::{Event, What};
use headwater::protocol::presence::Role;
use reqwest::Method;
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::events::told;
use crate::support::fleet::{SOON, acquainted, config, http, metric, node, room, start};
use crate::support::nats::NatsServer;
use crate::support::page::Page;
use crate::support::peer::PEER;
use crate::support::wait::eventually;

/// A page that has entered the room `talk` at a node.
async fn enters(browser: &Browser, node: &Node, name: &str) -> Page {
    let page = browser.page_after(PEER, &format!("{}/embed", node.public_url())).await;
    let _: () = page.eval(&format!("window.enter('{name}').then(() => {{}})")).await;
    page
}

/// Listens to another's messages, once these are there.
async fn hears(page: &Page, what: &str) {
    page.wait_for(&format!("me.others.has('{what}')"), SOON).await;
    let _: () = page.eval(&format!("me.hear('{what}').then((it) => {{ me[`{what}`] = it; }})")).await;
}

/// Nothing is known of messages that don't come: that none can is.
#[tokio::test(flavor = "multi_thread")]
async fn messages_find_another_way_where_a_pipe_lets_none_pass() {
    let nats = NatsServer::start().await;
    let origin = node("origin", "west", &nats.url()).await;
    let mut settings = config("relay", "east", &nats.url());
    // Nothing listens there.
    settings.pipe.announced = Some("127.0.0.9".parse().expect("an address"));
    let relay = start(settings).await;
    let mut settings = config("edge", "east", &nats.url());
    settings.node.roles.retain(|role| *role != Role::Relay);
    let edge = start(settings).await;
    acquainted(&[&origin, &relay, &edge]).await;
    let browser = Browser::start().await;
    let anna = enters(&browser, &origin, "anna").await;
    let _: () =
        anna.eval("me.send('clock').then((clock) => { setInterval(() => clock.send('tick'), 50); })").await;
    let ben = enters(&browser, &edge, "ben").await;
    hears(&ben, "anna/clock").await;
    ben.wait_for("me.got['anna/clock']?.length > 3", SOON).await;
    let view = room(&edge, "talk").await.expect("the room");
    let from: Vec<_> = view.parents.iter().map(|parent| &parent.node).collect();
    assert!(from.contains(&&origin.peer().node), "{view:?}");
    eventually(SOON, "it is told why", || async {
        let events = told(&origin, "talk").await;
        let starved = |event: &Event| match &event.what {
            What::PipeStarved(it) => event.source.node.as_str() == "edge" && it.from.node.as_str() == "relay",
            _ => false,
        };
        events.iter().any(starved)
    })
    .await;
    for node in [edge, relay, origin] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_their_order_at_every_node_and_worker() {
    let nats = NatsServer::start().await;
    let mut settings = config("a", "west", &nats.url());
    settings.media.workers = 2;
    let a = start(settings).await;
    let b = node("b", "east", &nats.url()).await;
    let c = node("c", "east", &nats.url()).await;
    acquainted(&[&a, &b, &c]).await;
    let browser = Browser::start().await;
    let anna = enters(&browser, &a, "anna").await;
    let _: () =
        anna.eval("me.send('notes', { protocol: 'json' }).then((notes) => { window.notes = notes; })").await;
    let mut others = Vec::new();
    for (node, name) in [(&a, "ada"), (&a, "alf"), (&b, "bo"), (&c, "carl")] {
        let page = enters(&browser, node, name).await;
        hears(&page, "anna/notes").await;
        others.push(page);
    }
    let protocol: String = others[3].eval("me.others.get('anna/notes').protocol").await;
    assert_eq!(protocol, "json");
    // Texts, bytes, nothing, and as much as fits.
    let _: () = anna
        .eval(
            "{
                for (let number = 0; number < 400; number += 1) notes.send(`note ${number}`);
                notes.send(new Uint8Array([1, 2, 3]));
                notes.send('');
                notes.send(new Uint8Array(me.limit).fill(7));
                notes.send('last');
            }",
        )
        .await;
    for page in &others {
        page.wait_for("me.got['anna/notes'].length >= 404", SOON).await;
        let got: Vec<String> = page
            .eval(
                "me.got['anna/notes'].map((one) => typeof one === 'string' ? one : `${one.byteLength} bytes of ${new Uint8Array(one)[0]}`)",
            )
            .await;
        let texts = (0..400).map(|number| format!("note {number}"));
        let limit: u32 = anna.eval("me.limit").await;
        let rest =
            ["3 bytes of 1".to_owned(), String::new(), format!("{limit} bytes of 7"), "last".to_owned()];
        let expected: Vec<_> = texts.chain(rest).collect();
        assert_eq!(got, expected);
    }
    // What crosses to the other region crosses once, and nothing of it is lost.
    let [of_a, of_b, of_c] = [&a, &b, &c].map(|node| async move {
        let count = async |result| {
            metric(node, &format!("headwater_data_messages_total{{result=\"{result}\"}}")).await
        };
        (
            count("sent").await,
            count("received").await,
            count("full").await + count("lost").await + count("foreign").await,
        )
    });
    let (of_a, of_b, of_c) = (of_a.await, of_b.await, of_c.await);
    assert_eq!([of_a.2, of_b.2, of_c.2], [0.0; 3], "nothing is lost");
    assert_eq!(of_a.0, 404.0);
    assert_eq!(of_b.1 + of_c.1, 808.0);

    // Nobody listens any more: nothing is left.
    let _: () = anna.eval("me.ask('closeDataProducer', { dataProducerId: notes.id }).then(() => {})").await;
    for page in &others {
        page.wait_for(
            "me.told.includes('dataProducerClosed') && me.told.includes('dataConsumerClosed')",
            SOON,
        )
        .await;
    }
    for node in [&b, &c] {
        eventually(SOON, "the streams have gone", || async {
            let streams = room(node, "talk")
                .await
                .map_or(0, |view| view.streams.iter().filter(|own| own.stream.as_str() == "anna").count());
            if streams == 0 { Ok(()) } else { Err(streams) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_neither_lost_nor_doubled_when_their_stream_comes_another_way() {
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let b = node("b", "east", &nats.url()).await;
    let c = node("c", "east", &nats.url()).await;
    acquainted(&[&a, &b, &c]).await;
    let browser = Browser::start().await;
    let anna = enters(&browser, &a, "anna").await;
    let _: () = anna
        .eval(
            "me.send('count').then((count) => {
                window.number = 0;
                setInterval(() => count.send(String(++window.number)), 10);
            })",
        )
        .await;
    let bo = enters(&browser, &b, "bo").await;
    hears(&bo, "anna/count").await;
    bo.wait_for("me.got['anna/count'].length > 20", SOON).await;
    let carl = enters(&browser, &c, "carl").await;
    hears(&carl, "anna/count").await;
    carl.wait_for("me.got['anna/count'].length > 20", SOON).await;
    let from = async |node: &Node| {
        let parents = room(node, "talk").await.map(|view| view.parents).unwrap_or_default();
        parents
            .iter()
            .filter(|parent| parent.connected)
            .map(|parent| parent.node.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(from(&c).await, ["b"], "one copy crosses to the region");
    let url = format!("{}/api/nodes/b/drain", a.operators_url());
    http().request(Method::POST, url).send().await.expect("an answer");
    eventually(SOON, "it comes from its origin", || async {
        let parents = from(&c).await;
        if parents == ["a"] { Ok(()) } else { Err(parents) }
    })
    .await;
    let so_far: usize = carl.eval("me.got['anna/count'].length").await;
    carl.wait_for(&format!("me.got['anna/count'].length > {}", so_far + 50), SOON).await;
    let got: Vec<String> = carl.eval("me.got['anna/count']").await;
    let mut got: Vec<u64> = got.iter().map(|number| number.parse().expect("a number")).collect();
    got.sort_unstable();
    let gaps: Vec<_> = got.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_may_be_given_up_and_what_makes_no_sense() {
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let b = node("b", "east", &nats.url()).await;
    acquainted(&[&a, &b]).await;
    let browser = Browser::start().await;
    let anna = enters(&browser, &a, "anna").await;
    let bo = enters(&browser, &b, "bo").await;
    let _: () = anna
        .eval(
            "Promise.all([
                me.send('place', { ordered: false, maxRetransmits: 0 }),
                me.send('cursor', { ordered: false, maxPacketLifeTime: 200 }),
            ]).then(([place, cursor]) => Object.assign(window, { place, cursor }))
                .then(() => {})",
        )
        .await;
    for label in ["place", "cursor"] {
        hears(&bo, &format!("anna/{label}")).await;
    }
    let told: Value = bo
        .eval("(({ ordered, maxRetransmits }) => ({ ordered, maxRetransmits }))(me.others.get('anna/place'))")
        .await;
    assert_eq!(told, serde_json::json!({ "ordered": false, "maxRetransmits": 0 }));
    let _: () = anna.eval("{ place.send('here'); cursor.send('there'); }").await;
    for (label, text) in [("place", "here"), ("cursor", "there")] {
        bo.wait_for(&format!("me.got['anna/{label}'][0] === '{text}'"), SOON).await;
    }
    // A moderator's mute, or its own pause, is for media; what isn't there can't be asked for.
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (verb, parameters, code) in [
        ("consumeData", format!("{{ dataProducerId: '{nobody}' }}"), "unknownProducer"),
        ("closeDataConsumer", format!("{{ dataConsumerId: '{nobody}' }}"), "unknownConsumer"),
        ("closeDataProducer", format!("{{ dataProducerId: '{nobody}' }}"), "unknownProducer"),
        ("consume", "{ producerId: me.others.get('anna/place').id }".to_owned(), "unknownProducer"),
        (
            "produceData",
            format!("{{ transportId: '{nobody}', sctpStreamParameters: {{ streamId: 1 }} }}"),
            "unknownTransport",
        ),
        (
            "produceData",
            format!(
                "{{ transportId: '{nobody}', sctpStreamParameters: {{ streamId: 1 }}, protocol: 'x'.repeat(65) }}"
            ),
            "tooLarge",
        ),
    ] {
        let refused: String = bo.eval(&format!("me.refused('{verb}', {parameters})")).await;
        assert_eq!(refused, code, "{verb} {parameters}");
    }
    for (sctp, code) in
        [("{ streamId: 9, ordered: true, maxRetransmits: 3 }", "malformed"), ("{ streamId: 9 }", "done")]
    {
        let ask =
            format!("me.refused('produceData', {{ transportId: me.sends, sctpStreamParameters: {sctp} }})");
        let refused: String = anna.eval(&ask).await;
        assert_eq!(refused, code, "{sctp}");
    }
    // A connection that was opened without them takes no messages.
    let alone: Vec<String> = bo
        .eval(
            "me.ask('createWebRtcTransport', { direction: 'send' }).then(async ({ id, sctpParameters }) =>
                [String(sctpParameters), await me.refused('produceData', { transportId: id, sctpStreamParameters: { streamId: 1 } })])",
        )
        .await;
    assert_eq!(alone, ["undefined", "wrongOrder"]);
}
