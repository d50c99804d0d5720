//! What holds on every link, whatever it is like: tried with seeds.

use super::world::{Dice, Link, Second, World};
use crate::protocol::media::Layers;

const SEEDS: u64 = 300;

fn layers(spatial: u8, temporal: u8) -> Option<Layers> {
    Some(Layers { spatial, temporal })
}

/// A wide link as a seed decides.
fn link(dice: &mut Dice) -> Link {
    Link {
        capacity: 20e6,
        queue: dice.within(0.05, 1.0),
        delay: dice.within(0.005, 0.12),
        loss: if dice.part() < 0.3 { dice.within(0.0, 0.03) } else { 0.0 },
        reports: 1.0,
        nack: true,
        round_trip: true,
    }
}

fn pictures(dice: &mut Dice) -> [f64; 3] {
    let lowest = dice.within(100e3, 220e3);
    let middle = lowest * dice.within(2.5, 4.0);
    [lowest, middle, middle * dice.within(2.5, 4.0)]
}

fn world(seed: u64) -> (World, Dice) {
    let mut dice = Dice(seed);
    let (link, pictures, temporal) = (link(&mut dice), pictures(&mut dice), dice.part() < 0.5);
    (World::new(seed, link, &pictures, temporal), dice)
}

/// The part that is lost over some seconds.
fn loss(seconds: &[Second]) -> f64 {
    seconds.iter().map(|second| second.lost / second.sent.max(1.0)).sum::<f64>() / seconds.len() as f64
}

/// What was sent last that wasn't only tried.
fn kept(seconds: &[Second]) -> Option<Layers> {
    seconds.iter().rfind(|second| !second.trying)?.layers
}

/// Whether more is sent than before, or than at the beginning of these seconds: the queue may still drain then.
fn goes_up(before: Option<Layers>, seconds: &[Second]) -> bool {
    let least = seconds.iter().take(5).map(|second| second.layers).min().unwrap_or_default();
    seconds.iter().any(|second| second.layers > before.min(least))
}

fn shown(seconds: &[Second]) -> String {
    let of = |second: &Second| {
        let layers = second.layers.map_or("-".to_owned(), |l| format!("{}.{}", l.spatial, l.temporal));
        let lost = 100.0 * second.lost / second.sent.max(1.0);
        format!("{layers}{}({lost:.0}%)", if second.trying { "?" } else { "" })
    };
    seconds.iter().map(of).collect::<Vec<_>>().join(" ")
}

fn told(seed: u64, world: &World, seconds: &[Second]) -> String {
    format!("seed {seed} {:?} {:?}: {}", world.pictures, world.link, shown(seconds))
}

#[test]
fn on_a_wide_link_the_best_is_there_within_ten_seconds_and_stays() {
    for seed in 0..SEEDS {
        let (mut world, _) = world(seed);
        let first = world.run(10);
        let top = layers(2, if world.temporal { 2 } else { 0 });
        let there = |seconds: &[Second]| {
            seconds.iter().filter(|second| second.layers == top && !second.trying).count()
        };
        if world.link.loss == 0.0 {
            assert_eq!(world.controller.wanted(), top, "{}", told(seed, &world, &first));
            let later = world.run(60);
            assert_eq!(there(&later), 60, "{}", told(seed, &world, &later));
        } else {
            // What is lost by chance may look like a link that is full, now and then.
            let later = world.run(60);
            assert!(there(&later) > 40, "{}", told(seed, &world, &later));
        }
    }
}

#[test]
fn on_a_narrow_link_what_is_sent_fits_within_seconds_and_goes_up_again_within_twenty() {
    for seed in 0..SEEDS {
        let (mut world, mut dice) = world(seed);
        world.run(20);
        let best = world.controller.wanted();
        let (wide, lowest) = (world.link.capacity, world.pictures[0]);
        // Wide enough for the lowest with its key frames and the sound.
        world.link.capacity = dice.within(lowest * 1.6 + 50e3, 1.5e6);
        let narrow = world.link.capacity;
        let length = if dice.part() < 0.2 { dice.within(100.0, 180.0) } else { dice.within(40.0, 90.0) };
        let seconds = world.run(length as u32);
        let about = || told(seed, &world, &seconds);
        let settled = &seconds[4..];
        assert!(loss(settled) < 0.08 + world.link.loss, "loses {:.3}: {}", loss(settled), about());
        let over = settled.iter().filter(|second| !second.trying && second.wanted > narrow * 1.05).count();
        assert!(over * 20 <= settled.len(), "too much in {over} s: {}", about());
        // Some seconds in which much is lost are a try that failed, no more.
        let longest = settled.split(|second| second.lost < second.sent * 0.10).map(<[_]>::len).max();
        assert!(longest <= Some(5), "loses for {longest:?} s: {}", about());
        for minute in settled.chunks(60) {
            let switches: usize = minute.iter().map(|second| second.switches).sum();
            assert!(switches <= 16, "{switches} switches a minute: {}", about());
        }
        let before = kept(&seconds);
        world.link.capacity = wide;
        let again = world.run(20);
        let up = goes_up(before, &again);
        let first = told(seed, &world, &seconds);
        assert!(up || before == best, "not up again: {first} then {}", shown(&again));
        let more = world.run(if world.link.loss > 0.0 { 60 } else { 20 });
        assert_eq!(kept(&more), best, "not the best again: {first} then {} {}", shown(&again), shown(&more));
    }
}

#[test]
fn who_reports_seldom_or_without_round_trips_adapts_as_well() {
    for seed in 0..SEEDS {
        let (mut world, mut dice) = world(seed);
        match seed % 3 {
            // As GStreamer: reports each five seconds, requests at once.
            0 => world.link.reports = 5.0,
            1 => world.link.round_trip = false,
            // Neither requests nor repetitions.
            _ => world.link.nack = false,
        }
        // Without round trips only loss tells, which a long queue puts off.
        world.link.queue = world.link.queue.min(0.4);
        world.run(20);
        let best = world.controller.wanted();
        world.link.capacity = dice.within(world.pictures[0] * 1.6 + 50e3, 1.2e6);
        let seconds = world.run(60);
        let first = told(seed, &world, &seconds);
        let settled = &seconds[8..];
        assert!(loss(settled) < 0.10 + world.link.loss, "loses {:.3}: {first}", loss(settled));
        world.link.capacity = 20e6;
        let before = kept(&seconds);
        let again = world.run(20);
        let up = goes_up(before, &again);
        assert!(up || before == best, "not up again: {first} then {}", shown(&again));
    }
}

#[test]
fn a_layer_that_goes_is_left_at_once_and_tried_when_it_returns() {
    for seed in 0..SEEDS / 10 {
        let (mut world, _) = world(seed);
        world.run(15);
        let best = world.controller.wanted();
        let top = std::mem::take(&mut world.pictures[2]);
        let without = world.run(10);
        let spatial = |second: &Second| second.layers.map(|layers| layers.spatial);
        assert!(
            without[2..].iter().all(|second| spatial(second) == Some(1)),
            "seed {seed}: {}",
            shown(&without)
        );
        world.pictures[2] = top;
        let again = world.run(10);
        assert_eq!(world.controller.wanted(), best, "seed {seed}: {}", shown(&again));
        assert!(again.iter().any(|second| second.trying), "it is tried first: {}", shown(&again));
    }
}

#[test]
fn who_pauses_goes_on_where_he_was_and_a_publisher_that_returns_is_sent_as_the_last_one() {
    for seed in 0..SEEDS / 10 {
        let (mut world, _) = world(seed);
        world.run(15);
        let best = world.controller.wanted();
        world.muted = true;
        let paused = world.run(20);
        assert!(paused[1..].iter().all(|second| second.switches == 0), "seed {seed}: {}", shown(&paused));
        world.muted = false;
        let on = world.run(3);
        assert!(on.iter().all(|second| second.layers == best), "seed {seed}: {}", shown(&on));
        world.controller.restart();
        let next = world.run(1);
        assert!(next.iter().all(|second| second.layers == best), "seed {seed}: {}", shown(&next));
    }
}
