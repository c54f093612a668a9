//! Axes: from a value to a place between 0 and 1, with ticks where people look for them. Pure.

use crate::commands::bench::report::text;

/// Ticks of a linear axis, about.
const TICKS: f64 = 5.0;

pub(super) struct Axis {
    is_log: bool,
    least: f64,
    most: f64,
    /// Value and what stands there.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From nought to a round number at or above `most`.
    pub(super) fn from_zero(most: f64, label: fn(f64) -> String) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_step(most / TICKS);
        let count = (most / step).ceil() as u32;
        Self {
            is_log: false,
            least: 0.0,
            most: f64::from(count) * step,
            ticks: (0..=count)
                .map(|at| f64::from(at) * step)
                .map(|value| (value, label(value)))
                .collect(),
        }
    }

    /// Exactly from one value to the other, ticks at round numbers between.
    pub(super) fn between(least: f64, most: f64, label: fn(f64) -> String) -> Self {
        let most = if most > least { most } else { least + 1.0 };
        let step = round_step((most - least) / TICKS);
        let first = (least / step).ceil() as i64;
        let last = (most / step + 1e-9).floor() as i64;
        Self {
            is_log: false,
            least,
            most,
            ticks: (first..=last)
                .map(|at| at as f64 * step)
                .map(|value| (value, label(value)))
                .collect(),
        }
    }

    /// Decades, with 2 and 5 between them where there are few. Values above nought only.
    pub(super) fn log(least: f64, most: f64, label: fn(f64) -> String) -> Self {
        let least = least.max(1e-9);
        let most = most.max(least * 1.01);
        let decades = (most / least).log10();
        let inner: &[f64] = if decades < 2.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let all: Vec<f64> = (least.log10().floor() as i32..=most.log10().ceil() as i32)
            .flat_map(|power| inner.iter().map(move |digit| digit * 10f64.powi(power)))
            .collect();
        // The ends lie on ticks, so that the drawing is closed.
        let below = |tick: &&f64| **tick <= least * (1.0 + 1e-9);
        let above = |tick: &&f64| **tick >= most * (1.0 - 1e-9);
        let from = all.iter().rfind(below).copied().unwrap_or(least);
        let to = all.iter().find(above).copied().unwrap_or(most);
        Self {
            is_log: true,
            least: from,
            most: to,
            ticks: all
                .into_iter()
                .filter(|tick| (from..=to).contains(tick))
                .map(|tick| (tick, label(tick)))
                .collect(),
        }
    }

    /// Shares of samples, each nine as wide as the one before; places are given by [`tail`].
    pub(super) fn tail(most: f64) -> Self {
        const NAMES: [&str; 8] = [
            "", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "5 nines", "6 nines",
        ];
        let most = most.clamp(1.0, 7.0);
        let nines = NAMES.iter().enumerate();
        let mut ticks: Vec<(f64, String)> = nines
            .map(|(at, name)| (at as f64, (*name).to_owned()))
            .filter(|(at, _)| *at <= most)
            .collect();
        ticks.push((tail(0.5), "50 %".to_owned()));
        Self {
            is_log: false,
            least: 0.0,
            most,
            ticks,
        }
    }

    /// Where a value lies, 0 to 1; values beyond the ends lie at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (value, least, most) = if self.is_log {
            (value.max(self.least).ln(), self.least.ln(), self.most.ln())
        } else {
            (value, self.least, self.most)
        };
        ((value - least) / (most - least)).clamp(0.0, 1.0)
    }
}

/// A share of 0 to 1 on an axis on which each nine is as wide as the one before.
pub(super) fn tail(share: f64) -> f64 {
    -(1.0 - share).max(1e-9).log10()
}

/// 1, 2 or 5 times a power of ten, at or above.
fn round_step(about: f64) -> f64 {
    let power = 10f64.powf(about.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * power >= about * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// 1,500,000 as 1.5M.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        0.0..1e3 => (value, ""),
        1e3..1e6 => (value / 1e3, "k"),
        1e6..1e9 => (value / 1e6, "M"),
        _ => (value / 1e9, "G"),
    };
    format!("{}{unit}", trimmed(value))
}

/// Without the noughts that say nothing.
pub(super) fn trimmed(value: f64) -> String {
    let text = text::significant(value);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::from_zero(1_230_000.0, short);
        assert_eq!(labels(&axis), ["0", "500k", "1M", "1.5M"]);
        let axis = Axis::between(0.0, 2.5, trimmed);
        assert_eq!(labels(&axis), ["0", "0.5", "1", "1.5", "2", "2.5"]);
        let axis = Axis::log(0.03, 7.0, trimmed);
        assert_eq!(labels(&axis).first(), Some(&"0.02"));
        assert_eq!(labels(&axis).last(), Some(&"10"));
    }

    #[test]
    fn places_lie_between_the_ends() {
        let axis = Axis::log(0.1, 10.0, trimmed);
        assert!((axis.place(1.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.place(0.0), axis.place(1e9)), (0.0, 1.0));
        let axis = Axis::tail(tail(0.999));
        assert!((axis.place(tail(0.9)) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_at_all_still_has_an_axis() {
        assert!(!Axis::from_zero(0.0, short).ticks.is_empty());
        assert!(!Axis::between(0.0, 0.0, short).ticks.is_empty());
        assert!(!Axis::log(0.0, 0.0, short).ticks.is_empty());
    }
}
