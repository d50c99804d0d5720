//! A fleet in two datacenters that is given no rest: nodes die, drain and come back, ways are cut, NATS goes,
//! publishers move and viewers change, as a seed says. In the end everyone who watches a live stream has it,
//! the log says what the nodes say, and when all have left nothing is left behind.

mod crew;
mod dice;
mod ends;
mod machines;
mod story;

use std::time::{Duration, Instant};

use crew::Crew;
use dice::Dice;
use machines::Machines;
use story::Story;

/// Streams and viewers at any time.
const STREAMS: usize = 3;
const VIEWERS: usize = 12;

pub(crate) async fn run(lasting: Duration, seed: u64) {
    println!("soak of {lasting:?}, seed {seed}");
    let Some(mut machines) = Machines::start().await else { return };
    let mut dice = Dice::of(seed);
    let mut crew = Crew::new(machines.addresses());
    for stream in 0..STREAMS {
        crew.publish(stream, dice.below(machines::COUNT));
    }
    for _ in 0..VIEWERS {
        crew.watch(dice.below(STREAMS), dice.below(machines::COUNT));
    }
    let mut story = Story::default();
    let began = Instant::now();
    while began.elapsed() < lasting {
        story.goes_on(began.elapsed(), &mut dice, &mut machines, &mut crew).await;
        tokio::time::sleep(Duration::from_millis(1_000 + dice.below(2_500) as u64)).await;
    }
    story.print();
    machines.rest().await;
    ends::all_play(&machines, &crew).await;
    ends::the_log_says_so(&machines).await;
    crew.leave().await;
    ends::nothing_is_left(&mut machines).await;
}
