//! The keys of `mqttx top`.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::commands::top::screen::{Asking, Order, Screen, TYPED_MAX};
use crate::mqtt::topic::check_name;

/// What help shows of them.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("↑ ↓ PgUp PgDn Home End", "move"),
    ("→ ← Enter", "open and close a level"),
    ("+ -", "open and close all levels"),
    ("/", "only topics with this text; Esc: all"),
    ("s", "sort by name, rate, last seen"),
    ("p", "publish a message; Tab switches retain"),
    ("c", "clear the retained message of the selected topic"),
    ("Space", "pause: what comes meanwhile is only counted"),
    ("q Ctrl-C", "end"),
];

impl Screen {
    pub(super) fn pressed(&mut self, event: &Event) {
        self.is_changed = true;
        let key = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Paste(text) => {
                text.chars().for_each(|c| self.typed(c));
                return;
            }
            _ => return,
        };
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            self.is_over = true;
            return;
        }
        self.notice.clear();
        match &self.asking {
            Asking::Nothing => {
                // Keys come in bunches; each goes by the rows the one before has made.
                self.arrange(self.height);
                self.commanded(key);
            }
            Asking::Help => self.asking = Asking::Nothing,
            Asking::Clear(topic) => {
                let topic = topic.clone();
                self.answered(key.code, topic);
            }
            _ => self.edited(key),
        }
    }

    fn commanded(&mut self, key: &KeyEvent) {
        let page = isize::try_from(self.height).unwrap_or(isize::MAX);
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-page),
            KeyCode::PageDown => self.step(page),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Right | KeyCode::Char('l') => self.open(true),
            KeyCode::Left | KeyCode::Char('h') => self.open(false),
            KeyCode::Enter => self.toggle(),
            KeyCode::Char('+') => self.open_all(true),
            KeyCode::Char('-') => self.open_all(false),
            KeyCode::Char('/') => self.asking = Asking::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('p') => {
                let level = self.tree.level(self.selected);
                let topic = match level.last {
                    Some(_) => self.tree.topic(self.selected),
                    None => String::new(),
                };
                self.asking = Asking::Topic(topic);
            }
            KeyCode::Char('c') => self.ask_to_clear(),
            KeyCode::Char(' ') => {
                self.is_paused = !self.is_paused;
                self.passed = 0;
            }
            KeyCode::Char('?') => self.asking = Asking::Help,
            KeyCode::Char('q') => self.is_over = true,
            _ => {}
        }
    }

    fn answered(&mut self, code: KeyCode, topic: String) {
        self.asking = Asking::Nothing;
        if matches!(code, KeyCode::Char('y' | 'Y')) {
            self.order(Order {
                topic,
                payload: String::new(),
                retain: true,
            });
        }
    }

    /// The line that is being typed.
    fn line(&mut self) -> Option<&mut String> {
        match &mut self.asking {
            Asking::Filter => Some(&mut self.filter),
            Asking::Topic(topic) => Some(topic),
            Asking::Payload(order) => Some(&mut order.payload),
            Asking::Nothing | Asking::Clear(_) | Asking::Help => None,
        }
    }

    fn typed(&mut self, c: char) {
        if let Some(line) = self.line()
            && !c.is_control()
            && line.chars().count() < TYPED_MAX
        {
            line.push(c);
        }
    }

    fn edited(&mut self, key: &KeyEvent) {
        match key.code {
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                if let Some(line) = self.line() {
                    line.clear();
                }
            }
            KeyCode::Char(c) => self.typed(c),
            KeyCode::Backspace => {
                if let Some(line) = self.line() {
                    line.pop();
                }
            }
            KeyCode::Tab => {
                if let Asking::Payload(order) = &mut self.asking {
                    order.retain = !order.retain;
                }
            }
            KeyCode::Esc => {
                if self.asking == Asking::Filter {
                    self.filter.clear();
                }
                self.asking = Asking::Nothing;
            }
            KeyCode::Enter => self.entered(),
            _ => {}
        }
    }

    fn entered(&mut self) {
        match std::mem::replace(&mut self.asking, Asking::Nothing) {
            Asking::Topic(topic) => match check_name(&topic) {
                Ok(()) => {
                    self.asking = Asking::Payload(Order {
                        topic,
                        payload: String::new(),
                        retain: false,
                    });
                }
                Err(told) => {
                    self.notice = format!("no topic to publish to: {told}");
                    self.asking = Asking::Topic(topic);
                }
            },
            Asking::Payload(order) => self.order(order),
            _ => {}
        }
    }
}
