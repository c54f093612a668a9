//! What the screen of `mqttx top` shows and what keys do to it; no terminal, no connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::commands::top::rows;
use crate::commands::top::rows::Row;
use crate::commands::top::tree::{ROOT, Seen, Tree};
use crate::mqtt::Reason;

/// Rows kept in sight behind the selected one.
const AHEAD: usize = 3;

/// Characters typed at once.
pub(super) const TYPED_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Up,
    /// The sentence about it.
    Lost(String),
}

/// A message that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) retain: bool,
}

/// What the keys go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    Nothing,
    Filter,
    Topic(String),
    Payload(Order),
    /// Whether the retained message of this topic is to be cleared.
    Clear(String),
    Help,
}

#[derive(Debug)]
pub(super) struct Screen {
    pub(super) place: String,
    pub(super) state: State,
    pub(super) tree: Tree,
    pub(super) rows: Vec<Row>,
    pub(super) order: rows::Order,
    pub(super) filter: String,
    pub(super) asking: Asking,
    /// The level that is selected; its place among the rows changes.
    pub(super) selected: usize,
    /// The first row shown, and how many there is room for.
    pub(super) first: usize,
    pub(super) height: usize,
    pub(super) is_paused: bool,
    /// Messages that passed by meanwhile.
    pub(super) passed: u64,
    pub(super) notice: String,
    pub(super) orders: VecDeque<Order>,
    pub(super) sent: VecDeque<(u64, Order)>,
    /// Since when there is a subscription.
    pub(super) since: Option<Instant>,
    pub(super) beyond_told: u64,
    pub(super) is_changed: bool,
    pub(super) is_over: bool,
}

impl Screen {
    pub(super) fn new(place: &str, now: Instant) -> Self {
        Self {
            place: place.to_owned(),
            state: State::Connecting,
            tree: Tree::new(now),
            rows: Vec::new(),
            order: rows::Order::default(),
            filter: String::new(),
            asking: Asking::Nothing,
            selected: ROOT,
            first: 0,
            height: 1,
            is_paused: false,
            passed: 0,
            notice: String::new(),
            orders: VecDeque::new(),
            sent: VecDeque::new(),
            since: None,
            beyond_told: 0,
            is_changed: true,
            is_over: false,
        }
    }

    pub(super) fn message(&mut self, seen: &Seen<'_>, now: Instant) {
        if self.is_paused {
            self.passed += 1;
        } else {
            self.tree.message(seen, now);
        }
    }

    /// Seconds of rates begin with the first subscription.
    pub(super) fn subscribed(&mut self, now: Instant) {
        if self.since.is_none() {
            self.since = Some(now);
            self.tree.begin(now);
        }
    }

    /// True when a second ended.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let is_due = self.since.is_some() && self.tree.next_tick() <= now;
        if is_due && self.is_paused {
            self.tree.begin(now);
        } else if is_due {
            self.tree.tick(now);
        }
        is_due
    }

    /// When lines are to be printed next.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        let soon = now + Duration::from_millis(50);
        match self.since {
            Some(_) => self.tree.next_tick().max(now + Duration::from_millis(1)),
            None => soon,
        }
    }

    pub(super) fn acked(&mut self, ticket: u64, reason: Reason) {
        let Some(found) = self.sent.iter().position(|(other, _)| *other == ticket) else {
            return;
        };
        let Some((_, order)) = self.sent.remove(found) else {
            return;
        };
        let is_clearing = order.retain && order.payload.is_empty();
        let topic = rows::escaped(&order.topic);
        self.notice = if reason.is_error() {
            format!(
                "the broker refused {topic}: {}",
                reason.name().to_lowercase()
            )
        } else if is_clearing {
            self.tree.cleared(&order.topic);
            format!("cleared {topic}")
        } else {
            format!("published to {topic}")
        };
        self.is_changed = true;
    }

    /// Makes the rows anew and keeps the selected one in sight.
    pub(super) fn arrange(&mut self, height: usize) {
        self.height = height.max(1);
        self.rows = rows::rows(&self.tree, self.order, &self.filter);
        let at = self.position();
        if let Some(row) = self.rows.get(at) {
            self.selected = row.at;
        }
        let last = self.rows.len().saturating_sub(self.height);
        let ahead = (at + AHEAD.min(self.height / 3)).min(self.rows.len().saturating_sub(1));
        self.first = self
            .first
            .clamp((ahead + 1).saturating_sub(self.height), at)
            .min(last);
    }

    /// The selected row; where it is not shown, the next level above that is.
    pub(super) fn position(&self) -> usize {
        let mut at = self.selected;
        while at != ROOT {
            if let Some(found) = self.rows.iter().position(|row| row.at == at) {
                return found;
            }
            at = self.tree.level(at).above;
        }
        0
    }

    pub(super) fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        let to = self.position().saturating_add_signed(by).min(last);
        if let Some(row) = self.rows.get(to) {
            self.selected = row.at;
        }
    }

    pub(super) fn open(&mut self, is_open: bool) {
        if self.selected == ROOT {
            return;
        }
        let level = self.tree.level_mut(self.selected);
        if is_open {
            self.open_chain();
        } else if level.is_open {
            level.is_open = false;
        } else if level.above != ROOT {
            self.selected = level.above;
        }
    }

    /// A level that has only one below it opens that one too.
    fn open_chain(&mut self) {
        let mut at = self.selected;
        loop {
            let level = self.tree.level_mut(at);
            level.is_open = !level.below.is_empty();
            let mut below = level.below.values();
            match (below.next(), below.next()) {
                (Some(&only), None) => at = only,
                _ => break,
            }
        }
    }

    pub(super) fn toggle(&mut self) {
        let is_open = self.tree.level(self.selected).is_open;
        let has_below = !self.tree.level(self.selected).below.is_empty();
        if is_open || has_below {
            self.open(!is_open);
        }
    }

    pub(super) fn open_all(&mut self, is_open: bool) {
        for at in ROOT + 1..self.tree.len() {
            let level = self.tree.level_mut(at);
            level.is_open = is_open && !level.below.is_empty();
        }
    }

    pub(super) fn ask_to_clear(&mut self) {
        let level = self.tree.level(self.selected);
        match &level.last {
            Some(last) if last.is_retained => {
                self.asking = Asking::Clear(self.tree.topic(self.selected));
            }
            _ => "no retained message is known of this topic".clone_into(&mut self.notice),
        }
    }

    /// Nothing is put aside for later: who publishes sees it happen or not.
    pub(super) fn order(&mut self, order: Order) {
        if self.state == State::Up {
            self.orders.push_back(order);
        } else {
            "not published: there is no connection".clone_into(&mut self.notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    use super::*;

    fn screen() -> Screen {
        let now = Instant::now();
        let mut screen = Screen::new("here", now);
        screen.state = State::Up;
        for topic in ["a/b/c", "a/b/d", "e"] {
            let seen = Seen {
                topic,
                payload: b"1",
                qos: 0,
                retain: true,
            };
            screen.message(&seen, now);
        }
        screen.arrange(10);
        screen
    }

    fn press(screen: &mut Screen, code: KeyCode) {
        screen.pressed(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    fn write(screen: &mut Screen, text: &str) {
        text.chars().for_each(|c| press(screen, KeyCode::Char(c)));
    }

    fn selected(screen: &Screen) -> String {
        screen.tree.topic(screen.selected)
    }

    #[test]
    fn moving_and_opening() {
        let mut screen = screen();
        press(&mut screen, KeyCode::Right);
        press(&mut screen, KeyCode::Down);
        press(&mut screen, KeyCode::Down);
        assert_eq!(selected(&screen), "a/b/c");
        press(&mut screen, KeyCode::Left);
        press(&mut screen, KeyCode::Enter);
        press(&mut screen, KeyCode::Down);
        assert_eq!(selected(&screen), "e");
        press(&mut screen, KeyCode::Home);
        press(&mut screen, KeyCode::Char('-'));
        screen.arrange(10);
        assert_eq!((selected(&screen).as_str(), screen.rows.len()), ("a", 2));
        press(&mut screen, KeyCode::End);
        assert_eq!(selected(&screen), "e");
    }

    #[test]
    fn a_filter_that_is_typed() {
        let mut screen = screen();
        write(&mut screen, "/Dq");
        press(&mut screen, KeyCode::Backspace);
        press(&mut screen, KeyCode::Enter);
        screen.arrange(10);
        assert_eq!((screen.rows.len(), screen.is_over), (3, false));
        press(&mut screen, KeyCode::Esc);
        assert_eq!(screen.filter, "");
        write(&mut screen, "q");
        assert!(screen.is_over);
    }

    #[test]
    fn a_message_that_is_typed() {
        let mut screen = screen();
        press(&mut screen, KeyCode::End);
        write(&mut screen, "p#");
        press(&mut screen, KeyCode::Enter);
        assert_ne!(screen.notice, "");
        press(&mut screen, KeyCode::Backspace);
        press(&mut screen, KeyCode::Enter);
        write(&mut screen, "on");
        press(&mut screen, KeyCode::Tab);
        press(&mut screen, KeyCode::Enter);
        let order = screen.orders.pop_front().unwrap();
        assert_eq!(
            (&*order.topic, &*order.payload, order.retain),
            ("e", "on", true)
        );
        screen.state = State::Lost(String::new());
        screen.order(order);
        assert_eq!((screen.orders.len(), screen.notice.is_empty()), (0, false));
    }

    #[test]
    fn clearing_asks_first() {
        let mut screen = screen();
        press(&mut screen, KeyCode::End);
        write(&mut screen, "cn");
        assert_eq!((screen.orders.len(), &screen.asking), (0, &Asking::Nothing));
        write(&mut screen, "cy");
        let order = screen.orders.pop_front().unwrap();
        assert_eq!(
            (&*order.topic, &*order.payload, order.retain),
            ("e", "", true)
        );
        screen.sent.push_back((7, order));
        screen.acked(7, Reason::SUCCESS);
        assert_eq!(screen.notice, "cleared e");
        write(&mut screen, "c");
        assert_eq!(
            screen.asking,
            Asking::Nothing,
            "nothing is retained any more"
        );
    }

    #[test]
    fn what_comes_in_a_pause_is_counted() {
        let mut screen = screen();
        write(&mut screen, " ");
        let seen = Seen {
            topic: "new",
            payload: b"",
            qos: 0,
            retain: false,
        };
        screen.message(&seen, Instant::now());
        assert_eq!((screen.passed, screen.tree.level(ROOT).total), (1, 3));
        write(&mut screen, " ");
        screen.message(&seen, Instant::now());
        assert_eq!((screen.passed, screen.tree.level(ROOT).total), (0, 4));
    }
}
