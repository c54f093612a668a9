//! One chart as SVG: lines or bars over two axes, colours by variables that the page or the chart
//! itself defines for light and dark. Pure.

use std::fmt::Write as _;

use crate::commands::bench::report::formats::escaped;
use crate::commands::bench::report::show::axis::Axis;

/// Colours and strokes of charts.
pub(super) const STYLE: &str = include_str!("chart.css");

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;

/// Above this the title of a chart that stands alone; its legend begins here.
const CAP: f64 = 62.0;
const KEY_HEIGHT: f64 = 18.0;
const EDGE: f64 = 16.0;

/// Above this many points the marks touch each other and only what they say is kept.
const MARKS_MAX: usize = 40;

/// Above this many points a line says nothing point by point.
const TIPS_MAX: usize = 240;

/// About the width of a letter of the legend.
const LETTER: f64 = 7.2;

pub(super) struct Chart {
    pub(super) title: String,
    /// The same in words, for those who do not see it.
    pub(super) told: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_name: &'static str,
    pub(super) y_name: &'static str,
    pub(super) lines: Vec<Line>,
    /// Right ends on the x axis and heights, side by side.
    pub(super) bars: Vec<Line>,
    /// From the left edge to here nothing counts yet.
    pub(super) warmup: Option<f64>,
    /// Each point of a line was measured by itself, and is seen.
    pub(super) has_marks: bool,
}

pub(super) struct Line {
    pub(super) name: String,
    /// Which colour.
    pub(super) hue: usize,
    pub(super) stroke: Stroke,
    /// 0 to 1.
    pub(super) strength: f64,
    pub(super) points: Vec<(f64, f64)>,
    /// What a point says when it is pointed at.
    pub(super) tip: fn(f64, f64) -> String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stroke {
    Solid,
    Dashed,
    Dotted,
    /// One of several runs that are not the one shown; not in the legend.
    Thin,
}

impl Stroke {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
            Self::Thin => "thin",
        }
    }
}

/// Where the chart is to be seen.
pub(super) enum Dress<'a> {
    /// In a page that has title, legend and style.
    Page,
    /// By itself, under this line.
    Alone(&'a str),
}

impl Chart {
    pub(super) fn svg(&self, dress: Dress<'_>) -> String {
        let cap = match dress {
            Dress::Page => 0.0,
            Dress::Alone(_) => self.keys().1 + 4.0,
        };
        let height = HEIGHT + cap;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"img\" aria-label=\"{}: {}\">\n",
            escaped(&self.title),
            escaped(&self.told)
        );
        if let Dress::Alone(under) = dress {
            out.push_str(&format!("<style>\n{STYLE}</style>\n"));
            out.push_str(&format!(
                "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"10\"/>\n"
            ));
            self.cap(under, &mut out);
        }
        let _ = writeln!(out, "<g transform=\"translate({LEFT} {})\">", TOP + cap);
        self.frame(&mut out);
        for bar in &self.bars {
            self.bar(bar, &mut out);
        }
        // What matters most is drawn last, on top.
        let (thin, strong): (Vec<&Line>, Vec<&Line>) = self
            .lines
            .iter()
            .partition(|line| line.stroke == Stroke::Thin);
        for line in thin.into_iter().chain(strong) {
            self.line(line, &mut out);
        }
        out.push_str("</g>\n</svg>\n");
        out
    }

    /// What the legend names, with colour and stroke.
    pub(super) fn legend(&self) -> impl Iterator<Item = &Line> {
        self.bars
            .iter()
            .chain(&self.lines)
            .filter(|line| line.stroke != Stroke::Thin)
    }

    fn cap(&self, under: &str, out: &mut String) {
        let _ = writeln!(
            out,
            "<text class=\"title\" x=\"16\" y=\"26\">{}</text>\n\
             <text class=\"under\" x=\"16\" y=\"44\">{}</text>",
            escaped(&self.title),
            escaped(under)
        );
        for (line, (x, y)) in self.legend().zip(self.keys().0) {
            let _ = writeln!(
                out,
                "<path class=\"line {} h{}\" style=\"opacity:{:.2}\" d=\"M{x:.0} {y}h18\"/>\
                 <text class=\"key\" x=\"{:.0}\" y=\"{}\">{}</text>",
                line.stroke.class(),
                line.hue,
                line.strength,
                x + 24.0,
                y + 4.0,
                escaped(&line.name)
            );
        }
    }

    /// Where each entry of the legend stands, and the height all of them take.
    fn keys(&self) -> (Vec<(f64, f64)>, f64) {
        let (mut x, mut y) = (EDGE, CAP);
        let mut places = Vec::new();
        for line in self.legend() {
            let width = 44.0 + LETTER * line.name.chars().count() as f64;
            if x > EDGE && x + width > WIDTH {
                (x, y) = (EDGE, y + KEY_HEIGHT);
            }
            places.push((x, y));
            x += width;
        }
        (places, y)
    }

    /// Grid, ticks, names, and the shade over the warm-up.
    fn frame(&self, out: &mut String) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        if let Some(end) = self.warmup {
            let to = self.x.place(end) * width;
            let _ = writeln!(
                out,
                "<rect class=\"warmup\" width=\"{to:.1}\" height=\"{height}\"/>\
                 <text class=\"tick\" x=\"6\" y=\"12\">warm-up</text>"
            );
        }
        for (value, name) in &self.y.ticks {
            let y = height - self.y.place(*value) * height;
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M0 {y:.1}H{width}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"-8\" y=\"{:.1}\">{name}</text>",
                y + 4.0
            );
        }
        for (value, name) in &self.x.ticks {
            let x = self.x.place(*value) * width;
            let _ = writeln!(
                out,
                "<path class=\"notch\" d=\"M{x:.1} {height}v5\"/>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>",
                height + 18.0
            );
        }
        let _ = writeln!(
            out,
            "<path class=\"base\" d=\"M0 {height}H{width}\"/>\
             <text class=\"name\" x=\"{}\" y=\"-12\">{}</text>\
             <text class=\"name\" text-anchor=\"end\" x=\"{width}\" y=\"{:.1}\">{}</text>",
            8.0 - LEFT,
            self.y_name,
            height + 34.0,
            self.x_name
        );
    }

    fn spot(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        (self.x.place(x) * width, height - self.y.place(y) * height)
    }

    fn line(&self, line: &Line, out: &mut String) {
        if line.points.is_empty() {
            return;
        }
        let mut path = String::new();
        for (at, &point) in line.points.iter().enumerate() {
            let (x, y) = self.spot(point);
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(
            out,
            "<g class=\"h{}\" style=\"opacity:{:.2}\"><path class=\"line {}\" d=\"{path}\"/>",
            line.hue,
            line.strength,
            line.stroke.class()
        );
        if line.stroke != Stroke::Thin && line.points.len() <= TIPS_MAX {
            let is_seen = self.has_marks && line.points.len() <= MARKS_MAX;
            for &point in &line.points {
                let (x, y) = self.spot(point);
                let mark = if is_seen {
                    format!("<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>")
                } else {
                    String::new()
                };
                let _ = writeln!(
                    out,
                    "<g class=\"point\">{mark}<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" \
                     r=\"6\"/><title>{}: {}</title></g>",
                    escaped(&line.name),
                    escaped(&(line.tip)(point.0, point.1))
                );
            }
        }
        out.push_str("</g>\n");
    }

    /// Steps from one right end to the next; the first point is where they begin.
    fn bar(&self, bar: &Line, out: &mut String) {
        let bottom = HEIGHT - TOP - BOTTOM;
        let Some((&first, rest)) = bar.points.split_first() else {
            return;
        };
        let mut path = format!("M{:.1} {bottom}", self.spot(first).0);
        for &point in rest {
            let (x, y) = self.spot(point);
            let _ = write!(path, "V{y:.1}H{x:.1}");
        }
        let _ = write!(path, "V{bottom}Z");
        let _ = writeln!(out, "<path class=\"area h{}\" d=\"{path}\"/>", bar.hue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::report::show::axis::trimmed;

    fn chart() -> Chart {
        let line = |name: &str, stroke| Line {
            name: name.to_owned(),
            hue: 1,
            stroke,
            strength: 1.0,
            points: vec![(0.0, 0.0), (1.0, 10.0)],
            tip: |x, y| format!("{x} → {y}"),
        };
        Chart {
            title: "A & B".to_owned(),
            told: "up".to_owned(),
            x: Axis::between(0.0, 1.0, trimmed),
            y: Axis::from_zero(10.0, trimmed),
            x_name: "s",
            y_name: "ms",
            lines: vec![line("one", Stroke::Solid), line("two", Stroke::Thin)],
            bars: Vec::new(),
            warmup: Some(0.5),
            has_marks: true,
        }
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let svg = chart().svg(Dress::Page);
        assert!(svg.contains("d=\"M0.0 234.0L484.0 0.0\""), "{svg}");
        assert!(svg.contains("<title>one: 1 → 10</title>"));
        assert!(!svg.contains("<title>two"));
        assert!(svg.contains("A &amp; B"));
    }

    #[test]
    fn alone_it_brings_its_own_colours() {
        let svg = chart().svg(Dress::Alone("here"));
        assert!(svg.contains("prefers-color-scheme: dark"));
        assert!(svg.contains(">here</text>"));
        assert_eq!(chart().legend().count(), 1);
    }
}
