//! The terminal of `mqttx top`: taken, drawn on, given back.

use std::io;
use std::time::Instant;

use ratatui::crossterm::event;
use ratatui::crossterm::event::Event;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, Wrap};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

use crate::commands::top::keys::KEYS;
use crate::commands::top::rows::{Columns, columns, escaped, payload, story};
use crate::commands::top::screen::{Asking, Screen, State};
use crate::commands::top::tree::ROOT;

/// Keys that wait; a thread that has more waits itself.
const EVENTS_MAX: usize = 256;

pub(super) struct Canvas {
    terminal: DefaultTerminal,
    pub(super) events: mpsc::Receiver<Event>,
}

impl Canvas {
    /// Takes the terminal. From here on a panic gives it back too.
    pub(super) fn new() -> io::Result<Self> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        // Ends with the process: reading keys cannot be interrupted.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if sender.blocking_send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Self { terminal, events })
    }

    pub(super) fn draw(&mut self, screen: &mut Screen, now: Instant) -> io::Result<()> {
        self.terminal
            .draw(|frame| draw(frame, screen, now))
            .map(drop)
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn draw(frame: &mut Frame<'_>, screen: &mut Screen, now: Instant) {
    let area = frame.area();
    let details = if area.height >= 16 { 5 } else { 0 };
    let parts = [
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(details),
        Constraint::Length(1),
    ];
    let [head, body, detail, foot] = Layout::vertical(parts).areas(area);
    screen.arrange(usize::from(body.height.saturating_sub(1)));
    frame.render_widget(head_line(screen), head);
    table(frame, screen, body);
    if details > 0 {
        detailed(frame, screen, detail, now);
    }
    frame.render_widget(foot_line(screen, foot.width), foot);
    if screen.asking == Asking::Help {
        help(frame, area);
    }
}

fn head_line(screen: &Screen) -> Line<'static> {
    let bar = Style::new().add_modifier(Modifier::REVERSED);
    let root = screen.tree.level(ROOT);
    let (state, colour) = match &screen.state {
        State::Up if screen.is_paused => ("paused".to_owned(), Color::Yellow),
        State::Up => ("connected".to_owned(), Color::Green),
        State::Connecting => ("connecting".to_owned(), Color::Yellow),
        State::Lost(told) => (told.clone(), Color::Red),
    };
    let rate = screen.tree.rate(ROOT);
    let mut told = format!(
        "  {} topics  {} messages  {rate:.1}/s",
        root.topics, root.total
    );
    if screen.is_paused {
        told.push_str(&format!("  {} passed", screen.passed));
    }
    if screen.tree.beyond > 0 {
        told.push_str(&format!(
            "  and {} more on topics not kept",
            screen.tree.beyond
        ));
    }
    let spans = vec![
        Span::from(format!(" {}  ", screen.place)).bold(),
        Span::from(state).fg(colour).bold(),
        Span::from(told),
    ];
    Line::from(spans).style(bar)
}

fn table(frame: &mut Frame<'_>, screen: &Screen, area: Rect) {
    let is_all_open = !screen.filter.is_empty();
    let shown = screen.rows.iter().skip(screen.first).take(screen.height);
    let rows: Vec<Row<'_>> = shown
        .map(|&row| {
            let style = match row.at == screen.selected {
                true => Style::new().add_modifier(Modifier::REVERSED),
                false => Style::new(),
            };
            let is_topic = screen.tree.level(row.at).last.is_some();
            cells(columns(&screen.tree, row, is_all_open), is_topic).style(style)
        })
        .collect();
    if rows.is_empty() {
        let told = match is_all_open {
            true => "no topic has this in its name",
            false => "no message yet",
        };
        let middle = Rect {
            y: area.y + area.height / 2,
            height: 1,
            ..area
        };
        frame.render_widget(Line::from(told).dim().alignment(Alignment::Center), middle);
    }
    let right = |text: &'static str| Cell::from(Line::from(text).alignment(Alignment::Right));
    let title = match is_all_open {
        true => format!(
            "  TOPIC (with '{}', by {})",
            escaped(&screen.filter),
            screen.order.name()
        ),
        false => format!("  TOPIC (by {})", screen.order.name()),
    };
    let head = [
        Cell::from(title),
        right("RATE/s"),
        right("COUNT"),
        right("BYTES"),
        Cell::from("R"),
        Cell::from("VALUE"),
    ];
    let widths = [
        Constraint::Fill(5),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(1),
        Constraint::Fill(4),
    ];
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn cells(columns: Columns, is_topic: bool) -> Row<'static> {
    let right = |text: String| Cell::from(Line::from(text).alignment(Alignment::Right));
    let value = Line::from(columns.value);
    let (name, value) = match is_topic {
        true => (Line::from(columns.name), value),
        false => (Line::from(columns.name).fg(Color::Cyan), value.dim()),
    };
    Row::new([
        Cell::from(name),
        right(columns.rate),
        right(columns.count),
        right(columns.size),
        Cell::from(columns.retained.fg(Color::Yellow)),
        Cell::from(value),
    ])
}

/// The selected topic, whole.
fn detailed(frame: &mut Frame<'_>, screen: &Screen, area: Rect, now: Instant) {
    let at = screen.selected;
    if at == ROOT {
        return;
    }
    let level = screen.tree.level(at);
    let rule = "─".repeat(usize::from(area.width));
    let mut lines = vec![
        Line::from(rule).dim(),
        Line::from(escaped(&screen.tree.topic(at))).bold(),
        Line::from(story(&screen.tree, at, now)).dim(),
    ];
    if let Some(last) = &level.last {
        lines.push(Line::from(payload(&last.value, last.size)));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

fn foot_line(screen: &Screen, width: u16) -> Line<'static> {
    let typed = |label: &str, text: &str| {
        // The end is what is being typed.
        let room = usize::from(width).saturating_sub(label.chars().count() + 2);
        let text = escaped(text);
        let skipped = text.chars().count().saturating_sub(room);
        let text: String = text.chars().skip(skipped).collect();
        Line::from(vec![
            Span::from(label.to_owned()).bold(),
            Span::from(text),
            Span::from("█"),
        ])
    };
    if !screen.notice.is_empty() {
        return Line::from(screen.notice.clone()).fg(Color::Yellow);
    }
    match &screen.asking {
        Asking::Filter => typed("filter: ", &screen.filter),
        Asking::Topic(topic) => typed("publish to topic: ", topic),
        Asking::Payload(order) => {
            let retain = if order.retain {
                "retained"
            } else {
                "not retained"
            };
            typed(
                &format!("payload ({retain}, Tab switches): "),
                &order.payload,
            )
        }
        Asking::Clear(topic) => {
            let told = format!("clear the retained message of {}? y/n", escaped(topic));
            Line::from(told).bold()
        }
        Asking::Nothing | Asking::Help => Line::from(
            " ↑↓ →← move, open  / filter  s sort  p publish  c clear  space pause  ? q quit",
        )
        .dim(),
    }
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let height = u16::try_from(KEYS.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let width = area.width.min(78);
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    let rows = KEYS.iter().map(|(key, told)| {
        Line::from(vec![
            Span::from(format!(" {key:<24}")).bold(),
            Span::from(*told),
        ])
    });
    frame.render_widget(Clear, place);
    let block = ratatui::widgets::Block::bordered().title(" Keys ");
    frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()).block(block), place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_tells_how_the_connection_stands() {
        let mut screen = Screen::new("127.0.0.1:1883", Instant::now());
        let told = |screen: &Screen| head_line(screen).to_string();
        assert!(told(&screen).contains("  connecting  0 topics"));
        screen.state = State::Lost("the broker closed the connection; trying again".to_owned());
        assert!(
            told(&screen).contains("  the broker closed the connection; trying again  0 topics")
        );
        screen.state = State::Up;
        assert!(told(&screen).contains("  connected  0 topics"));
        screen.is_paused = true;
        assert!(told(&screen).contains("  paused  0 topics  0 messages  0.0/s  0 passed"));
    }
}
