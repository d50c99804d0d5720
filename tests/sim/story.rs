//! A failing seed, told as shortly as it can be.

use crate::laws::Broken;
use crate::plan::{Plan, Step};
use crate::world::World;

/// At most so many runs are spent on shortening a story.
const RUNS: usize = 400;

/// Runs a plan.
pub fn run(plan: &Plan, tells: bool) -> (Result<(), Broken>, World) {
    let mut world = World::new(plan, tells);
    let result = world.run();
    (result, world)
}

/// The plan with fewer steps that still breaks the same law.
pub fn shorten(plan: &Plan, broken: &Broken) -> (Plan, Broken) {
    let (mut plan, mut broken) = (plan.clone(), broken.clone());
    plan.steps.retain(|step| step.at <= broken.at);
    let mut runs = 0;
    let mut size = plan.steps.len().div_ceil(2);
    while size > 0 && runs < RUNS {
        let mut at = 0;
        let mut shorter = false;
        while at < plan.steps.len() && runs < RUNS {
            let until = (at + size).min(plan.steps.len());
            let kept: Vec<Step> = plan.steps[..at].iter().chain(&plan.steps[until..]).cloned().collect();
            let fewer = Plan { steps: kept, ..plan.clone() };
            runs += 1;
            match run(&fewer, false).0 {
                Err(again) if again.law == broken.law => {
                    (plan, broken, shorter) = (fewer, again, true);
                }
                _ => at = until,
            }
        }
        if size == 1 && !shorter {
            break;
        }
        size = if size == 1 { 1 } else { size / 2 };
    }
    (plan, broken)
}

/// Tells what happened in a run that breaks a law, and how to see it again.
pub fn tell(plan: &Plan, broken: &Broken) {
    let (short, again) = shorten(plan, broken);
    println!("seed {} breaks the law '{}' at {:?}: {}", plan.seed, broken.law, broken.at, broken.why);
    println!("the shortest story found ({} steps of {}):", short.steps.len(), plan.steps.len());
    for (mid, machine) in short.machines.iter().enumerate() {
        println!(
            "  machine {mid}: {} in region {}, {:?}, codecs {}",
            machine.name,
            machine.region,
            machine.roles,
            machine.codecs.len()
        );
    }
    for step in &short.steps {
        println!("  {:>9.3}  {:?} for {:?}", step.at.as_secs_f64(), step.action, step.lasts);
    }
    println!("which breaks '{}' at {:?}: {}", again.law, again.at, again.why);
    if std::env::var_os("SIM_TELL").is_some() {
        let _ = run(&short, true);
    }
    println!("see it again: make sim FROM={} SEEDS=1 (SIM_TELL=1 tells every step)", plan.seed);
}
