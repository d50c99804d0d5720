//! A crowd: 50,000 viewers of one stream come to 10,000 edges in 20 regions within a minute, or a stream starts that
//! every node carries. Who is asked, how deep the trees become, and what all of it costs in messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headwater::fleet::placement::MAX_HOPS;
use headwater::protocol::presence::Role;
use headwater::protocol::rtp::MimeTypeVideo;

use crate::dice::Dice;
use crate::media::Codec;
use crate::plan::{Action, Client, Machine, Plan, Step};
use crate::scale::memory;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
/// When the publisher comes, and then the first viewers.
const PUBLISHES: Duration = Duration::from_secs(8);
const OPENS: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
/// What each node feeds at most.
const CHILDREN: usize = 200;

/// How many nodes in how many regions, and how many viewers.
pub struct Size {
    pub nodes: usize,
    pub regions: usize,
    pub viewers: usize,
    pub pushed: bool,
}

/// What was sent, and how many signs of life are among that.
struct Messages {
    sent: u64,
    beats: u64,
}

impl Messages {
    fn of(world: &World) -> Self {
        Self { sent: world.bus.sent.iter().sum(), beats: world.bus.beats }
    }
}

/// What the threads of this process have used so far, its own and the system's time (proc(5), `stat`: in ticks of 10 ms).
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn plan(size: &Size) -> Plan {
    let mut dice = Dice::new(10_000);
    let machine = |n: usize| Machine {
        name: format!("node-{n:05}"),
        region: n % size.regions,
        roles: vec![Role::Origin, Role::Edge, Role::Relay],
        codecs: vec![MimeTypeVideo::Vp8],
        takeover_pause: SECOND * 60,
        skew: 0,
        starts: true,
        // Whole nodes say what they carry by themselves.
        speaks_only: n > 0 && !size.pushed,
        children: CHILDREN,
        pushed: size.pushed,
    };
    let ends = OPENS + MINUTE + SECOND * 12;
    let mut plan = Plan {
        shared: !size.pushed,
        seed: 10_000,
        machines: (0..size.nodes).map(machine).collect(),
        clients: Vec::new(),
        steps: Vec::new(),
        last_orders: ends + SECOND,
        ends,
    };
    for n in 0..=size.viewers {
        let client = Client {
            ear: None,
            publishes: n == 0,
            room: "stadium".to_owned(),
            stream: "main".to_owned(),
            machine: if n == 0 { 0 } else { dice.below(size.nodes) },
            codecs: vec![Codec::Opus, Codec::Video(MimeTypeVideo::Vp8)],
            returns: true,
        };
        plan.clients.push(client);
        let at = if n == 0 { PUBLISHES } else { OPENS + dice.millis(0, 60_000) };
        plan.steps.push(Step { at, action: Action::Comes(n), lasts: Duration::ZERO });
    }
    plan
}

/// Runs it, tells what it took, and says what is not as it should be.
pub fn run(size: &Size) {
    let began = Instant::now();
    let plan = plan(size);
    let mut world = World::new(&plan, false);
    world.run_until(OPENS).unwrap_or_else(|broken| panic!("breaks '{}': {}", broken.law, broken.why));
    let before = Messages::of(&world);
    let result = world.run();
    let Messages { sent, beats } = Messages::of(&world);
    let (sent, beats) = (sent - before.sent, beats - before.beats);
    let mut depth: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut most, mut served) = (0, 0);
    for (_, room) in world.nodes.iter().flat_map(|node| node.open_rooms()) {
        *depth.entry(room.core.hops().unwrap_or(0)).or_default() += 1;
        most = most.max(room.core.children());
        served += room.media.viewers.values().filter(|viewer| !viewer.shows.is_empty()).count();
    }
    let carriers: usize = depth.values().sum();
    println!(
        "{} nodes in {} regions, {} viewers within a minute{}:",
        size.nodes,
        size.regions,
        size.viewers,
        if size.pushed { ", pushed" } else { "" }
    );
    println!(
        "  {:.0} s of processor time in {:.0} s, {} MiB at most, {} inputs handled",
        processor_time().as_secs_f64(),
        began.elapsed().as_secs_f64(),
        memory("VmHWM"),
        world.handled
    );
    println!(
        "  {served} served; {carriers} nodes carry the stream, by hops {depth:?}; one feeds at most {most}"
    );
    let asked = sent - beats;
    println!(
        "  {sent} messages, {:.1} a carrying node and {:.1} a viewer; without {beats} signs of life {asked}, {:.1} and {:.1}",
        sent as f64 / carriers as f64,
        sent as f64 / size.viewers.max(1) as f64,
        asked as f64 / carriers as f64,
        asked as f64 / size.viewers.max(1) as f64,
    );
    result.unwrap_or_else(|broken| panic!("breaks '{}' at {:?}: {}", broken.law, broken.at, broken.why));
    assert_eq!(served, size.viewers, "some are not served");
    assert!(most <= CHILDREN, "a node feeds {most}");
    let deepest = depth.keys().max().copied().unwrap_or(0);
    assert!(deepest <= MAX_HOPS, "a stream comes over {deepest} hops");
}
