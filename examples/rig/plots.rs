//! `rig plots DIR`: how cost grows with size, one chart a question, one line a broker. The figures behind the charts
//! are kept beside them, so that they can be drawn again without measuring again.

use std::path::Path;

use anyhow::Result;

use crate::process::{Broker, Contender};
use crate::report::{Measure, Report};
use crate::scale;
use crate::scenario;
use crate::scenario::Effort;
use crate::svg::{Chart, Line};

/// What grows: the sizes, and one run at one size. The measures it gives are named `NAME`, or `NAME: part`.
struct Sweep {
    name: &'static str,
    sizes: &'static [usize],
    relays: bool,
    run: fn(&Broker, usize, Effort) -> Result<Vec<Measure>>,
}

/// One chart: a measure of a sweep, and the figure that is drawn.
struct Picture {
    file: &'static str,
    title: &'static str,
    across: &'static str,
    up: &'static str,
    sweep: &'static str,
    measure: &'static str,
    figure: fn(&Measure) -> Option<f64>,
}

const SWEEPS: &[Sweep] = &[
    Sweep {
        name: "fan-out",
        sizes: &[1, 3, 10, 30, 100, 300, 1_000],
        relays: true,
        run: |broker, width, effort| scenario::fan_out("delivered", width, broker, effort),
    },
    Sweep {
        name: "filters",
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        relays: false,
        run: |broker, count, effort| scale::filters("filters", count, broker, effort),
    },
    Sweep {
        name: "connections",
        sizes: &[1_000, 3_000, 10_000, 19_000],
        relays: false,
        run: |broker, count, _| scale::connections(broker, count),
    },
    Sweep {
        name: "retained",
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        relays: false,
        run: |broker, count, _| scale::retained("retained", count, broker),
    },
];

const PICTURES: &[Picture] = &[
    Picture {
        file: "fan-out.svg",
        title: "Fan-out: one publisher, many subscribers",
        across: "subscribers",
        up: "broker CPU, µs a delivered message",
        sweep: "fan-out",
        measure: "delivered",
        figure: |one| one.cpu_us,
    },
    Picture {
        file: "filters-delivery.svg",
        title: "Wildcard filters: delivery, ten matches a topic",
        across: "filters",
        up: "broker CPU, µs a delivered message",
        sweep: "filters",
        measure: "filters: delivered",
        figure: |one| one.cpu_us,
    },
    Picture {
        file: "filters-memory.svg",
        title: "Wildcard filters: memory",
        across: "filters",
        up: "bytes a filter",
        sweep: "filters",
        measure: "filters: each",
        figure: |one| one.bytes_each,
    },
    Picture {
        file: "connections-memory.svg",
        title: "Connections with one subscription each: memory",
        across: "connections",
        up: "resident bytes a connection",
        sweep: "connections",
        measure: "a subscribed connection",
        figure: |one| one.bytes_each,
    },
    Picture {
        file: "connections-cpu.svg",
        title: "Connections: cost of CONNECT",
        across: "connections",
        up: "broker CPU, µs a connection",
        sweep: "connections",
        measure: "connects",
        figure: |one| one.cpu_us,
    },
    Picture {
        file: "retained-store.svg",
        title: "Retained messages: storing",
        across: "retained messages",
        up: "broker CPU, µs a message stored",
        sweep: "retained",
        measure: "retained: stored",
        figure: |one| one.cpu_us,
    },
    Picture {
        file: "retained-memory.svg",
        title: "Retained messages: memory",
        across: "retained messages",
        up: "bytes a message",
        sweep: "retained",
        measure: "retained: each",
        figure: |one| one.bytes_each,
    },
];

/// Runs every sweep against every contender, keeps the figures in `folder`, and draws them.
pub(crate) fn measure(
    folder: &Path,
    contenders: &[Contender],
    effort: Effort,
    rounds: u32,
) -> Result<()> {
    let mut report = Report::default();
    report.brokers = contenders.iter().map(|one| one.name.clone()).collect();
    for sweep in SWEEPS {
        for &size in sweep.sizes {
            for _ in 0..rounds {
                for one in contenders
                    .iter()
                    .filter(|one| sweep.relays || !one.is_relay())
                {
                    let outcome = one
                        .start(false)
                        .and_then(|broker| (sweep.run)(&broker, size, effort));
                    let measures = match outcome {
                        Ok(measures) => measures,
                        Err(why) => {
                            eprintln!("{} {size} on {}: {why}", sweep.name, one.name);
                            continue;
                        }
                    };
                    for measure in measures {
                        let name = key(sweep.name, size, &measure.name);
                        report.add(&one.name, Measure { name, ..measure });
                    }
                }
            }
        }
    }
    std::fs::create_dir_all(folder)?;
    report.save(&folder.join("figures.json"))?;
    draw(folder)
}

/// Draws what `measure` kept.
pub(crate) fn draw(folder: &Path) -> Result<()> {
    let report = Report::load(&folder.join("figures.json"))?;
    for picture in PICTURES {
        let Some(sweep) = SWEEPS.iter().find(|sweep| sweep.name == picture.sweep) else {
            continue;
        };
        let line = |broker: &String| {
            let point = |&size: &usize| {
                let one = report.find(&key(sweep.name, size, picture.measure), broker)?;
                // Below the grain of resident memory nothing was seen to grow.
                (picture.figure)(one)
                    .filter(|&value| value > 0.0)
                    .map(|value| (size as f64, value))
            };
            Line {
                name: broker.clone(),
                points: sweep.sizes.iter().filter_map(point).collect(),
            }
        };
        let lines: Vec<Line> = report
            .brokers
            .iter()
            .map(line)
            .filter(|line| !line.points.is_empty())
            .collect();
        let chart = Chart {
            title: picture.title,
            across: picture.across,
            up: picture.up,
            lines,
        };
        std::fs::write(folder.join(picture.file), chart.render())?;
    }
    Ok(())
}

fn key(sweep: &str, size: usize, measure: &str) -> String {
    format!("{sweep}/{size}/{measure}")
}
