//! `--wait`, `--connect-timeout`, `--max-reconnects` and `--no-reconnect`, laid over what a command
//! does without them.

use std::time::Duration;

use crate::cli::args::reach::{First, Reach};
use crate::client::{Backoff, Options, Retry};

/// How often a broker that went away in the middle is tried again before what is left counts as
/// lost: with pauses of 1, 2, 4 … 30 seconds about four minutes.
const ATTEMPTS_MAX: u32 = 12;

/// How often a broker may hang up on what it is sent before that counts as a refusal.
const FRUITLESS_MAX: u32 = 5;

/// The habit of who receives: once there, it comes back each second.
pub(crate) fn receiving() -> Retry {
    Retry {
        backoff: Backoff::every(Duration::from_secs(1)),
        ..Retry::once_connected()
    }
}

/// The habit of who publishes.
pub(crate) fn publishing() -> Retry {
    Retry {
        backoff: Backoff::doubling(),
        attempts_max: Some(ATTEMPTS_MAX),
        fruitless_max: Some(FRUITLESS_MAX),
        ..Retry::once_connected()
    }
}

pub(crate) fn apply(reach: &Reach, options: &mut Options) {
    apply_first(&reach.first, options);
    if let Some(most) = reach.max_reconnects {
        // The connection that was lost counts as the first attempt.
        options.retry.attempts_max = Some(most.saturating_add(1));
        options.retry.fruitless_max = None;
        options.retry.again = true;
    }
    if reach.no_reconnect {
        options.retry.again = false;
    }
}

pub(crate) fn apply_first(first: &First, options: &mut Options) {
    options.retry.wait = first.wait;
    let limit = first.connect_timeout.or(first.wait);
    if let Some(limit) = limit {
        let is_told = first.connect_timeout.is_some();
        let shorter = |usual| if is_told { limit } else { limit.min(usual) };
        options.dial.timeout = shorter(options.dial.timeout);
        options.connack_timeout = shorter(options.connack_timeout);
    }
}
