//! One bench on several machines: agents wait on any broker for what they are to do, each makes its
//! share of the load, and what they counted is added up.
//!
//! ```text
//!  bench                        …/agents/NAME                          agent
//!    │  hello  ──────────────────────────────────────────────────────►  │  welcome
//!    │  ask (16 ×, before and after each run) ───────────────────────►  │  answer (its clock)
//!    │  prepare: words, QoS, rate, part, how far its clock is ahead ─►  │  connects
//!    │ ◄──────────────────────────────────────────────────── connected  │
//!    │  routes, when all are connected ──────────────────────────────►  │  every route stands
//!    │ ◄────────────────────────────────────────────────────────  ready │
//!    │  go, at this time ────────────────────────────────────────────►  │  load, drain
//!    │  enough, when all that was sent has come somewhere ───────────►  │
//!    │ ◄───────────────────────────────────────────── alive … result    │
//! ```
//!
//! All is JSON at QoS 1. Replies go to a topic that is named in the request. All agents count time by
//! the clock of the one who leads: how far each is ahead of it is found by round trips, of which the
//! shortest says it to half its length. Where pairs can be dealt out whole ([`share`]) a latency
//! never spans two clocks; where messages pass between agents ([`Part`]) it is known as well as both
//! clocks together, and the report says how well that is. Whoever may publish below the agents' topic
//! commands them: use a broker that asks who they are.

mod agent;
mod clocks;
mod lead;
mod ledger;
mod link;

pub(super) use self::agent::serve;
pub(super) use self::lead::{Lead, Member};

use std::time::Duration;

use crate::cli::args::bench::Kind;
use crate::commands::bench::part::Part;
use crate::commands::bench::plan::Shape;

/// Beginning of all topics.
const ROOT: &str = "mqttx-bench-agents";

/// An agent that says nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Between two signs of life.
const ALIVE_PERIOD: Duration = Duration::from_millis(500);

fn topic_of(name: &str) -> String {
    format!("{ROOT}/to/{name}")
}

fn gone_of(name: &str) -> String {
    format!("{ROOT}/gone/{name}")
}

/// Where a bench that went away is told of, by its Will.
fn left() -> String {
    format!("{ROOT}/left")
}

/// Whether messages pass from one of so many agents to another; none when one would have no client.
pub(super) fn crosses(shape: &Shape, of: u32) -> Option<bool> {
    let parts = || (0..of).filter_map(|at| Part::new(at, of));
    if of == 1 || (0..of).all(|part| share(shape, part, of).is_some()) {
        Some(false)
    } else if can_cross(shape.kind) && parts().all(|part| part.clients(shape) > 0) {
        Some(true)
    } else {
        None
    }
}

/// Kinds whose publishers and subscribers can be anywhere.
fn can_cross(kind: Kind) -> bool {
    use Kind::{Fanin, Fanout, Pairs, Pub, Pubsub, Shared};
    matches!(kind, Pubsub | Pairs | Fanin | Fanout | Shared | Pub)
}

/// The share of one of `of` agents; none for a load that cannot be dealt out into parts that are
/// like the whole.
pub(super) fn share(shape: &Shape, part: u32, of: u32) -> Option<Shape> {
    let divided = |count: u32| count / of + u32::from(part < count % of);
    let is_paired = shape.pubs == shape.subs && shape.topics == shape.pubs;
    let is_even = match shape.kind {
        Kind::Pubsub | Kind::Pairs | Kind::Rr => is_paired,
        Kind::Pub => shape.topics == shape.pubs,
        Kind::Conn | Kind::Churn | Kind::Sub => true,
        Kind::Fanin | Kind::Fanout | Kind::Shared => false,
    };
    let (pubs, subs) = (divided(shape.pubs), divided(shape.subs));
    (is_even && pubs + subs > 0).then_some(Shape {
        kind: shape.kind,
        pubs,
        subs,
        topics: match shape.kind {
            Kind::Churn | Kind::Sub => 1,
            Kind::Conn => subs,
            _ => pubs,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: Kind, pubs: u32, subs: u32, topics: u32) -> Shape {
        Shape {
            kind,
            pubs,
            subs,
            topics,
        }
    }

    #[test]
    fn shares_add_up() {
        for whole in [
            shape(Kind::Pubsub, 10, 10, 10),
            shape(Kind::Pub, 7, 0, 7),
            shape(Kind::Conn, 0, 11, 11),
            shape(Kind::Churn, 5, 0, 1),
            shape(Kind::Sub, 0, 5, 1),
        ] {
            let parts: Vec<Shape> = (0..3).filter_map(|part| share(&whole, part, 3)).collect();
            let sum = |of: fn(&Shape) -> u32| parts.iter().map(of).sum::<u32>();
            assert_eq!((sum(|s| s.pubs), sum(|s| s.subs)), (whole.pubs, whole.subs));
        }
        assert_eq!(share(&shape(Kind::Fanin, 4, 1, 4), 0, 2), None);
        assert_eq!(share(&shape(Kind::Pubsub, 4, 4, 2), 0, 2), None);
        assert_eq!(share(&shape(Kind::Pub, 1, 0, 1), 1, 2), None);
    }

    #[test]
    fn messages_pass_between_agents_where_pairs_cannot_be_dealt_out() {
        for (whole, of, expected) in [
            (shape(Kind::Pubsub, 4, 4, 4), 2, Some(false)),
            (shape(Kind::Pubsub, 4, 2, 2), 2, Some(true)),
            (shape(Kind::Fanin, 4, 1, 4), 3, Some(true)),
            (shape(Kind::Fanin, 4, 1, 4), 1, Some(false)),
            (shape(Kind::Fanout, 1, 8, 1), 2, Some(true)),
            (shape(Kind::Shared, 2, 8, 2), 2, Some(true)),
            (shape(Kind::Shared, 1, 8, 1), 2, None),
            (shape(Kind::Fanin, 2, 1, 2), 3, None),
            (shape(Kind::Rr, 1, 1, 1), 2, None),
            (shape(Kind::Conn, 0, 1, 1), 2, None),
        ] {
            assert_eq!(crosses(&whole, of), expected, "{whole:?} over {of}");
        }
    }
}
