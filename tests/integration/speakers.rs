//! Of a room with many voices those are received that spoke last.

use std::time::Duration;

use headwater::protocol::data::ProducerKind;
use headwater::room::StreamView;

use crate::support::browser::Browser;
use crate::support::fleet::{SOON, acquainted, config, node, room, start};
use crate::support::nats::NatsServer;
use crate::support::wait::eventually;

/// `enters(name, options)` joins the room `talk`; `speaks(on)` makes one heard, or silent.
const PEER: &str = r"
    window.enters = async (name, options = {}) => {
        const { Room } = await import('/headwater.js');
        window.room = new Room({ room: 'talk', name, ...options });
        window.heard = new Set();
        room.addEventListener('track', ({ detail }) => heard.add(detail.participant.name));
        room.addEventListener('trackended', ({ detail }) => heard.delete(detail.participant.name));
        await room.join();
    };
    window.sends = async () => {
        const audio = new AudioContext();
        const [tone, gain, out] = [audio.createOscillator(), audio.createGain(), audio.createMediaStreamDestination()];
        gain.gain.value = 0;
        tone.connect(gain).connect(out);
        tone.start();
        window.speaks = (on) => { gain.gain.value = on ? 1 : 0; };
        await room.publish(out.stream.getAudioTracks()[0], { label: 'microphone' });
    };
";

#[tokio::test(flavor = "multi_thread")]
async fn the_voices_of_the_last_speakers_alone_come_to_a_node() {
    let nats = NatsServer::start().await;
    let a = node("a", "west", &nats.url()).await;
    let mut settings = config("b", "east", &nats.url());
    // What isn't wanted any more is soon asked for no more.
    settings.timeouts.pipe_idle = Duration::from_secs(1);
    let b = start(settings).await;
    acquainted(&[&a, &b]).await;
    let browser = Browser::start_with(&["--autoplay-policy=no-user-gesture-required"]).await;
    let mut speakers = Vec::new();
    for name in ["anna", "bo", "carl"] {
        let page = browser.page_after(PEER, &format!("{}/embed", a.public_url())).await;
        let _: () = page.eval(&format!("enters('{name}').then(sends)")).await;
        speakers.push(page);
    }
    let dora = browser.page_after(PEER, &format!("{}/embed", b.public_url())).await;
    let _: () = dora.eval("enters('dora', { speakers: 1 })").await;
    dora.wait_for("room.participants.size === 3", SOON).await;
    for (page, name) in speakers.iter().zip(["anna", "bo", "carl"]).rev() {
        let _: () = page.eval("speaks(true)").await;
        dora.wait_for(&format!("heard.size === 1 && heard.has('{name}')"), SOON).await;
        eventually(SOON, "one voice comes to her node", || async {
            let streams = room(&b, "talk").await.map(|view| view.streams).unwrap_or_default();
            let has_voice = |own: &&StreamView| own.producers.iter().any(|it| it.kind == ProducerKind::Audio);
            let come: Vec<_> = streams.iter().filter(has_voice).map(|own| own.stream.to_string()).collect();
            if come == [name] { Ok(()) } else { Err(come) }
        })
        .await;
        let _: () = page.eval("speaks(false)").await;
    }
}
