//! Some hundred seeds of the simulation. More, and longer ones: `examples/simulate.rs`.

use crate::simulation;

const SEEDS: u64 = 300;
const STEPS: usize = 400;

#[test]
fn the_broker_keeps_its_promises_in_every_world() {
    let (mut delivered, mut sessions, mut wills) = (0, 0, 0);
    for seed in 0..SEEDS {
        match std::panic::catch_unwind(|| simulation::run(seed, STEPS, false)) {
            Ok(report) => {
                delivered += report.delivered;
                sessions += report.sessions;
                wills += report.wills;
            }
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // Worlds in which nothing happens would prove nothing.
    assert!(delivered > 50 * SEEDS as usize, "{delivered} messages");
    assert!(sessions > 5 * SEEDS as usize, "{sessions} Sessions");
    assert!(wills > SEEDS as usize / 2, "{wills} wills");
}

#[test]
fn the_client_engine_and_the_broker_keep_their_promises_together() {
    let mut arrived = 0;
    for seed in 0..SEEDS {
        match std::panic::catch_unwind(|| simulation::engines::run(seed, STEPS, false)) {
            Ok(report) => arrived += report.delivered,
            Err(panic) => {
                eprintln!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(arrived > 50 * SEEDS as usize, "{arrived} messages");
}
