//! A large fleet: 2,000 nodes in 20 regions, 5,000 streams, and an hour in which things go wrong.
//!
//! All nodes speak, and answer who asks for their claims. Some in each region are whole, with rooms, publishers
//! and viewers, and hear all the others: what one of them takes is what each would take.

use std::time::{Duration, Instant};

use chrono::DateTime;
use headwater::fleet;
use headwater::protocol::claim::{Claim, ClaimedProducer, StreamState};
use headwater::protocol::data::ProducerKind;
use headwater::protocol::ids::{ProducerId, PublicationId};
use headwater::protocol::presence::Role;
use headwater::protocol::rtp::MimeTypeVideo;

use crate::dice::Dice;
use crate::media::Codec;
use crate::plan::{Action, Client, Machine, Plan, Step};
use crate::world::{Mid, World};

const NODES: usize = 2_000;
const REGIONS: usize = 20;
/// Whole nodes in each region.
const WHOLE: usize = 2;
/// Streams that are really published and watched; the others are claimed.
const PUBLISHED: usize = 200;
const CLAIMED: usize = 4_800;
const SECOND: Duration = Duration::from_secs(1);

fn plan(minutes: u32) -> Plan {
    let mut dice = Dice::new(2_000);
    let machine = |n: usize| Machine {
        name: format!("node-{n:04}"),
        region: n % REGIONS,
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        codecs: vec![MimeTypeVideo::Vp8],
        takeover_pause: SECOND * 60,
        skew: 0,
        starts: true,
        speaks_only: n >= REGIONS * WHOLE,
        children: 200,
        pushed: false,
    };
    let end = SECOND * 60 * minutes;
    let mut plan = Plan {
        shared: false,
        seed: 2_000,
        machines: (0..NODES).map(machine).collect(),
        clients: Vec::new(),
        steps: Vec::new(),
        last_orders: end + SECOND,
        ends: end,
    };
    let whole = REGIONS * WHOLE;
    for n in 0..PUBLISHED * 3 {
        let client = Client {
            ear: None,
            publishes: n % 3 == 0,
            room: format!("room-{}", n / 3),
            stream: "main".to_owned(),
            machine: dice.below(whole),
            codecs: vec![Codec::Opus, Codec::Video(MimeTypeVideo::Vp8)],
            returns: true,
        };
        plan.clients.push(client);
        let at = dice.millis(10_000, 40_000);
        plan.steps.push(Step { at, action: Action::Comes(n), lasts: Duration::ZERO });
    }
    // A fault every other minute or so; each heals.
    let mut at = SECOND * 60;
    while at + SECOND * 90 < end {
        let mid: Mid = dice.below(whole);
        let (action, lasts) = match dice.below(6) {
            0 => (Action::BusGone, SECOND * 20),
            1 => (
                Action::Parts(dice.below(REGIONS / 2), REGIONS / 2 + dice.below(REGIONS / 2), false),
                SECOND * 30,
            ),
            2 => (Action::Kill(mid, true), SECOND * 3),
            3 => (Action::HalfOpen(mid), SECOND * 25),
            4 => (Action::Loses(mid, 20), SECOND * 30),
            _ => (Action::Drain(mid), SECOND * 15),
        };
        plan.steps.push(Step { at, action, lasts });
        at += SECOND * 75;
    }
    plan
}

/// What the streams are that are only claimed.
fn claim_all(world: &mut World) {
    let mut dice = Dice::new(5_000);
    for n in 0..CLAIMED {
        let mid = REGIONS * WHOLE + n % (NODES - REGIONS * WHOLE);
        let Some(pid) = world.machines[mid].process else { continue };
        let claim = Claim {
            room_id: format!("quiet-{n}").parse().unwrap(),
            stream: Default::default(),
            term: 1,
            publication: PublicationId(dice.id()),
            origin: world.nodes[pid].me.clone(),
            revision: 0,
            state: StreamState::Live,
            flowing: true,
            takeover: false,
            producers: vec![ClaimedProducer {
                id: ProducerId(dice.id()),
                kind: ProducerKind::Video,
                mime_type: "video/VP8".to_owned(),
                paused: false,
                encodings: 3,
                label: Box::default(),
                app_data: Default::default(),
                channel: None,
            }],
            path: Vec::new(),
            started_at: DateTime::UNIX_EPOCH,
            participant: false,
            locks: false,
            app_data: Default::default(),
        };
        world.member(pid, fleet::Input::Own(claim));
    }
}

/// Memory of this process in MiB: what it has (`VmRSS`), or the most that it had (`VmHWM`).
pub fn memory(figure: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(figure));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).unwrap_or(0) / 1024
}

/// Runs for so many virtual minutes and tells what it took.
pub fn run(minutes: u32) {
    let (began, before) = (Instant::now(), memory("VmRSS"));
    let plan = plan(minutes);
    let mut world = World::new(&plan, false);
    world.run_until(SECOND * 8).unwrap();
    claim_all(&mut world);
    let result = world.run();
    let seconds = u64::from(minutes) * 60;
    let whole = (REGIONS * WHOLE) as u64;
    let sent: u64 = world.bus.sent[..REGIONS * WHOLE].iter().sum();
    let heard = world.handled;
    let claims: Vec<usize> = world
        .nodes
        .iter()
        .filter(|node| node.alive && !world.machines[node.mid].speaks_only)
        .map(|node| node.membership.directory().claims())
        .collect();
    println!(
        "{NODES} nodes in {REGIONS} regions, {} streams, {minutes} virtual minutes:",
        CLAIMED + PUBLISHED
    );
    println!(
        "  {:.0} s real time, {} MiB ({} MiB before)",
        began.elapsed().as_secs_f64(),
        memory("VmRSS"),
        before
    );
    println!(
        "  a whole node sends {:.2} messages a second and handles {:.0}",
        sent as f64 / (whole * seconds) as f64,
        heard as f64 / (whole * seconds) as f64
    );
    println!("  claims known on whole nodes: {:?} to {:?}", claims.iter().min(), claims.iter().max());
    result.unwrap_or_else(|broken| panic!("breaks '{}' at {:?}: {}", broken.law, broken.at, broken.why));
    assert!(claims.iter().all(|known| *known >= CLAIMED), "a whole node lacks claims: {claims:?}");
}
