//! What WebSocket and TLS cost a broker: the same load through a plain listener and through the layered one of the
//! same process, one after the other, so that the difference is the layer's. For TLS also what the bare cipher costs,
//! measured in this process in the same run.

use std::time::Duration;

use anyhow::{Result, anyhow};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::time::ClockId;

use crate::cell::Cell;
use crate::link::Transport;
use crate::load;
use crate::load::Tally;
use crate::process::Broker;
use crate::report::Measure;
use crate::scenario;
use crate::scenario::{Effort, ON_THE_WAY};
use crate::wire;
use crate::wire::Shape;

/// How often TLS, plain TCP and the bare cipher take turns, and how long a turn is at least.
const ROUNDS: u32 = 7;
const ROUND_LEAST: Duration = Duration::from_millis(400);

/// Plain text in a record of TLS.
const RECORD: usize = 16_384;

/// Messages in deep batches, or `ahead` of each pair on their way.
pub(crate) struct Load {
    pub(crate) pairs: usize,
    pub(crate) payload: usize,
    pub(crate) ahead: u64,
}

pub(crate) const BULK: Load = Load {
    pairs: 10,
    payload: 64,
    ahead: ON_THE_WAY / 10,
};
pub(crate) const ONE: Load = Load {
    pairs: 100,
    payload: 64,
    ahead: 1,
};
pub(crate) const LARGE: Load = Load {
    pairs: 10,
    payload: 64 * 1024,
    ahead: 16,
};

/// A frame around each message, masked, against none.
pub(crate) fn websocket(
    name: &str,
    load: &Load,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let plain = through(Transport::Tcp, load, broker, effort)?;
    let framed = through(Transport::WebSocket, load, broker, effort)?;
    let times = cpu_us(&framed) / cpu_us(&plain);
    Ok(vec![
        Measure::of_load(&format!("{name}: tcp"), &plain),
        Measure {
            note: format!("{times:.2} × tcp"),
            ..Measure::of_load(name, &framed)
        },
    ])
}

/// Opened and sealed once a message, against neither: in rounds of all three, since the clock of the processor and the
/// rest of the machine are not the same for long. Of each the best counts, as everywhere here; what the rounds came to,
/// each for itself, tells how quiet it was.
pub(crate) fn tls(
    name: &str,
    load: &Load,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let effort = Effort {
        span: (effort.span / ROUNDS).max(ROUND_LEAST),
        ..effort
    };
    let rounds = (0..ROUNDS)
        .map(|number| round(load, broker, effort, number % 2 == 0))
        .collect::<Result<Vec<_>>>()?;
    let each = rounds.iter().map(|round| {
        let more = cpu_us(&round.sealed) - cpu_us(&round.plain);
        more / round.cipher
    });
    let (least, most) = each.fold((f64::MAX, f64::MIN), |(least, most), times| {
        (least.min(times), most.max(times))
    });
    let cipher = rounds
        .iter()
        .map(|round| round.cipher)
        .fold(f64::MAX, f64::min);
    let plain = best(
        &format!("{name}: tcp"),
        rounds.iter().map(|round| &round.plain),
    );
    let sealed = best(name, rounds.iter().map(|round| &round.sealed));
    let times = sealed
        .cpu_us
        .zip(plain.cpu_us)
        .map_or(f64::NAN, |(sealed, plain)| (sealed - plain) / cipher);
    Ok(vec![
        plain,
        Measure {
            note: format!("tcp + {times:.2} × ring (rounds: {least:.2} to {most:.2})"),
            ..sealed
        },
        Measure {
            name: format!("{name}: ring"),
            cpu_us: Some(cipher),
            ..Measure::default()
        },
    ])
}

/// The one that cost least, with what all have lost.
fn best<'a>(name: &str, tallies: impl Iterator<Item = &'a Tally> + Clone) -> Measure {
    let lost = tallies.clone().map(|tally| tally.lost).sum();
    let cheapest = tallies.min_by(|a, b| cpu_us(a).total_cmp(&cpu_us(b)));
    Measure {
        lost,
        ..cheapest.map_or_else(Measure::default, |tally| Measure::of_load(name, tally))
    }
}

/// What one round measured; `cipher` in µs a message.
struct Round {
    plain: Tally,
    sealed: Tally,
    cipher: f64,
}

/// The cipher is measured before, between and after.
fn round(load: &Load, broker: &Broker, effort: Effort, plain_first: bool) -> Result<Round> {
    let before = cipher_us(load)?;
    let (first, second) = match plain_first {
        true => (Transport::Tcp, Transport::Tls),
        false => (Transport::Tls, Transport::Tcp),
    };
    let first = through(first, load, broker, effort)?;
    let between = cipher_us(load)?;
    let second = through(second, load, broker, effort)?;
    let cipher = (before + 2.0 * between + cipher_us(load)?) / 4.0;
    let (plain, sealed) = match plain_first {
        true => (first, second),
        false => (second, first),
    };
    Ok(Round {
        plain,
        sealed,
        cipher,
    })
}

fn through(transport: Transport, load: &Load, broker: &Broker, effort: Effort) -> Result<Tally> {
    let shape = Shape {
        payload: load.payload,
        transport,
        ..Shape::plain(0)
    };
    let plan = scenario::pairs(shape);
    let mut cells = (0..load.pairs)
        .map(|number| Cell::open(broker, number, &plan(number)))
        .collect::<Result<Vec<_>>>()?;
    load::run(broker, &mut cells, scenario::pace(load.ahead, effort))
}

fn cpu_us(tally: &Tally) -> f64 {
    tally.used.broker.as_secs_f64() * 1e6 / tally.delivered.max(1) as f64
}

/// Sealing and opening as many bytes as a message has, in whole records where it is small.
fn cipher_us(load: &Load) -> Result<f64> {
    const SPAN: Duration = Duration::from_millis(100);
    let mut message = Vec::new();
    let shape = Shape {
        payload: load.payload,
        ..Shape::plain(0)
    };
    wire::publish(shape, "pair/0000", 1, &mut message);
    let size = message.len();
    let per_round = (RECORD / size).max(1);
    message.resize(size * per_round, 0);
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| anyhow!("no key"))?;
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([1; 12]);
    let begin = thread_time();
    let mut rounds = 0_u32;
    while thread_time() - begin < SPAN {
        for record in message.chunks_mut(RECORD) {
            let tag = key
                .seal_in_place_separate_tag(nonce(), Aad::from([0; 5]), record)
                .map_err(|_| anyhow!("not sealed"))?;
            key.open_in_place_separate_tag(nonce(), Aad::from([0; 5]), tag, record, 0..)
                .map_err(|_| anyhow!("not opened"))?;
        }
        rounds += 1;
    }
    let spent = (thread_time() - begin).as_secs_f64() * 1e6;
    Ok(spent / f64::from(rounds) / per_round as f64)
}

fn thread_time() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}
