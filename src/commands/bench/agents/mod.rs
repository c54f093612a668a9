//! One bench on several machines: agents wait on any broker for what they are to do, each makes its
//! share of the load, and what they counted is added up.
//!
//! ```text
//!  bench                        …/agents/NAME                          agent
//!    │  hello, ask (10 ×)  ──────────────────────────────────────────►  │  welcome, answer (its clock)
//!    │  prepare: words, QoS, rate, share ────────────────────────────►  │  connects, every route stands
//!    │ ◄────────────────────────────────────────────────────────  ready │
//!    │  go, at this time of your clock ──────────────────────────────►  │  load, drain
//!    │ ◄───────────────────────────────────────────── alive … result    │
//! ```
//!
//! All is JSON at QoS 1. Replies go to a topic that is named in the request. Each agent's publishers
//! and subscribers are its own, so a latency never spans two clocks; clocks are compared so that all
//! begin at one moment, and how well is part of the report. Whoever may publish below the agents'
//! topic commands them: use a broker that asks who they are.

mod agent;
mod clocks;
mod lead;
mod ledger;
mod link;

pub(super) use self::agent::serve;
pub(super) use self::lead::{Lead, Member};

use std::time::Duration;

use crate::cli::args::bench::Kind;
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

/// The share of one of `of` agents; none for a load that cannot be shared out into parts that are
/// like the whole.
pub(super) fn share(shape: &Shape, part: u32, of: u32) -> Option<Shape> {
    let divided = |count: u32| count / of + u32::from(part < count % of);
    let is_paired = shape.pubs == shape.subs && shape.topics == shape.pubs;
    let is_even = match shape.kind {
        Kind::Pubsub | Kind::Pairs | Kind::Rr => is_paired,
        Kind::Pub => shape.topics == shape.pubs,
        Kind::Conn | Kind::Churn | Kind::Sub => true,
        // A message would pass from one agent to another: two clocks, and a window over both.
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
}
