//! A node in a program of one's own, and two participants in it: `cargo run --example embed`.
//!
//! It needs a NATS server at `nats://127.0.0.1:4222`, or the address that its first argument names.

use headwater::protocol::rtc::{Enter, RtcEvent};
use headwater::{Config, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    config.node.name = "embedded".parse()?;
    config.nats.urls = vec![std::env::args().nth(1).unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned())];
    config.http.listen.set_port(0);
    config.operators.listen.set_port(0);
    config.webrtc.port = 0;
    let node = Node::start(config).await?;

    let enter = |name: &str| -> Result<Enter, Box<dyn std::error::Error>> {
        Ok(Enter { name: name.parse()?, app_data: serde_json::Map::new(), may: None })
    };
    // A node serves once it knows that nobody else has its name.
    let mut ann = loop {
        match node.join("talk".parse()?, enter("ann")?).await {
            Ok(session) => break session,
            Err(refusal) => println!("not yet: {refusal}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    let ben = node.join("talk".parse()?, enter("ben")?).await?;
    println!("ben sees {}", ben.entered().participants.len());
    while let Some(event) = ann.next().await {
        println!("ann is told: {}", event.name());
        if let RtcEvent::ParticipantJoined(joined) = event {
            println!("{} is there", joined.participant.name);
            break;
        }
    }
    ben.leave().await?;
    ann.leave().await?;
    node.stop().await;
    Ok(())
}
