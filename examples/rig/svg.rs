//! One chart as SVG: lines over two logarithmic axes, named at their right end. Knows nothing of brokers or runs.

use std::fmt::Write as _;

pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    pub(crate) up: &'a str,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    /// (x, y), all above zero, x ascending.
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 160.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 58.0;
const GRID: &str = "stroke=\"#dddddd\"";
/// Told apart also by people who do not see red and green.
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#555555", "#009e73", "#cc79a7", "#e69f00",
];

/// A logarithmic scale from values to pixels.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(0.0, f64::max);
        Self {
            low: low / 1.3,
            high: (high * 1.3).max(low * 3.0),
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }

    /// Round values within the axis: every decade, and two between where decades are few.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades < 2.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let all = (first..=last)
            .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        all.filter(|value| (self.low..=self.high).contains(value))
            .collect()
    }
}

impl Chart<'_> {
    pub(crate) fn render(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::new(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Axis::new(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(
            &mut out,
            (LEFT, 26.0),
            "start",
            "font-size=\"16\" font-weight=\"bold\"",
            self.title,
        );
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        text(&mut out, (middle, HEIGHT - 14.0), "middle", "", self.across);
        text(
            &mut out,
            (LEFT, TOP - 8.0),
            "start",
            "fill=\"#555555\" font-size=\"12\"",
            self.up,
        );
        for value in x.ticks() {
            let at = x.at(value);
            stroke(&mut out, (at, HEIGHT - BOTTOM), (at, TOP), GRID);
            text(
                &mut out,
                (at, HEIGHT - BOTTOM + 18.0),
                "middle",
                "fill=\"#333333\"",
                &number(value),
            );
        }
        for value in y.ticks() {
            let at = y.at(value);
            stroke(&mut out, (LEFT, at), (WIDTH - RIGHT, at), GRID);
            text(
                &mut out,
                (LEFT - 8.0, at + 4.5),
                "end",
                "fill=\"#333333\"",
                &number(value),
            );
        }
        self.draw_lines(&mut out, &x, &y);
        out.push_str("</svg>\n");
        out
    }

    fn draw_lines(&self, out: &mut String, x: &Axis, y: &Axis) {
        let mut names: Vec<(f64, usize)> = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let spots: Vec<(f64, f64)> = line
                .points
                .iter()
                .map(|point| (x.at(point.0), y.at(point.1)))
                .collect();
            for pair in spots.windows(2) {
                stroke(
                    out,
                    pair[0],
                    pair[1],
                    &format!("stroke=\"{colour}\" stroke-width=\"2.2\""),
                );
            }
            for (across, up) in spots {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3.6\" fill=\"{colour}\"/>"
                );
            }
            if let Some(last) = line.points.last() {
                names.push((y.at(last.1), at));
            }
        }
        // Names keep apart from each other, in the order of their lines.
        names.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = 0.0_f64;
        for (wanted, at) in names {
            let place = wanted.max(free);
            free = place + 17.0;
            let line = &self.lines[at];
            let last = line.points.last().map_or(0.0, |point| point.1);
            let style = format!(
                "fill=\"{}\" font-weight=\"bold\"",
                COLOURS[at % COLOURS.len()]
            );
            let label = format!("{} {}", line.name, number(last));
            text(
                out,
                (WIDTH - RIGHT + 12.0, place + 4.5),
                "start",
                &style,
                &label,
            );
        }
    }
}

fn stroke(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" {style}>{words}</text>",
        at.0, at.1
    );
}

/// `1,000,000`, `250`, `0.35`.
fn number(value: f64) -> String {
    if value < 100.0 {
        let digits = if value >= 10.0 {
            1
        } else if value >= 1.0 {
            2
        } else {
            3
        };
        let text = format!("{value:.digits$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
