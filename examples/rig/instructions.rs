//! Instructions a message: the figure that does not move with the machine's noise. `perf stat` counts them where the
//! machine lets it (virtual ones mostly do not); `valgrind --tool=callgrind` counts those outside the kernel anywhere.
//! Each count is the difference of a long and a short run, so that start-up and connecting cancel out.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cell::Cell;
use crate::load;
use crate::load::{Pace, Until};
use crate::process::Contender;
use crate::scenario;
use crate::wire::Shape;

/// What is counted: name, pairs, Quality of Service, messages ahead, window.
const ROWS: &[(&str, usize, u8, u64, Option<u64>)] = &[
    ("p2p-bulk", 10, 0, 10_000, None),
    ("p2p-one", 100, 0, 1, None),
    ("qos1-w20", 10, 1, 10_000, Some(20)),
    ("qos2-w20", 10, 2, 10_000, Some(20)),
];

/// One line for each row and contender: (row, broker, instructions a message).
pub(crate) fn count(contenders: &[Contender]) -> Result<Vec<(&'static str, String, f64)>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("valgrind is not installed");
    }
    let mut all = Vec::new();
    for &(name, pairs, qos, ahead, window) in ROWS {
        for one in contenders {
            let total = |messages: u64| -> Result<f64> {
                let pace = Pace {
                    ahead,
                    window,
                    offered: None,
                    until: Until::Sent(messages),
                };
                run(one, pairs, qos, pace).with_context(|| format!("{name} on {}", one.name))
            };
            let (few, many) = if ahead == 1 {
                (50, 250)
            } else {
                (5_000, 25_000)
            };
            let each = (total(many)? - total(few)?) / ((many - few) * pairs as u64) as f64;
            all.push((name, one.name.clone(), each));
        }
    }
    Ok(all)
}

/// Instructions of one whole life of a broker that served this load.
fn run(contender: &Contender, pairs: usize, qos: u8, pace: Pace) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let book = folder.path().join("callgrind");
    let broker = contender.under(&format!(
        "valgrind --quiet --tool=callgrind --callgrind-out-file='{}'",
        book.display()
    ));
    let broker = broker.start(false)?;
    let plan = scenario::pairs(Shape::plain(qos));
    let mut cells = (0..pairs)
        .map(|at| Cell::open(&broker, at, &plan(at)))
        .collect::<Result<Vec<_>>>()?;
    let tally = load::run(&broker, &mut cells, pace)?;
    if tally.lost != 0 {
        bail!("lost {}", tally.lost);
    }
    drop(cells);
    broker.end()?;
    summary(&book)
}

fn summary(book: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(book).context("valgrind wrote nothing")?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("summary:")
            .or_else(|| line.strip_prefix("totals:"))
    });
    Ok(line.context("no sum in valgrind's book")?.trim().parse()?)
}
