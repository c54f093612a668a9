//! `mqttx top`: the topics of a broker live, as a tree on a terminal, as lines without one.
//!
//! One task: the connection, the keys (read by a thread, which a terminal needs) and the clock take
//! turns in [`watch`]. The screen is taken once there is a connection, and given back before
//! anything else is said, also by a panic (the hook of ratatui) and at a signal. Lines begin with
//! the topics of the second that has just ended; with --once all topics come, once.

mod draw;
mod keys;
mod rows;
mod screen;
mod tree;

use std::cell::RefCell;
use std::future::Future;
use std::io::IsTerminal;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::cli::Caller;
use crate::cli::args::top::Top;
use crate::cli::error::{Error, Kind};
use crate::client::{End, Engine, Event, Handler, Message, Session};
use crate::commands::connect;
use crate::commands::drive::Signals;
use crate::commands::outcome;
use crate::commands::reach;
use crate::commands::record::refusal;
use crate::commands::stdout::Stdout;
use crate::commands::terminal;
use crate::commands::top::draw::Canvas;
use crate::commands::top::rows::{LINE_HEAD, line};
use crate::commands::top::screen::{Order, Screen, State};
use crate::commands::top::tree::{ROOT, Seen};
use crate::mqtt::property::Properties;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::{QoS, Reason};

/// Pictures a second where something changes all the time.
const REFRESH: Duration = Duration::from_millis(200);

pub(crate) fn run(caller: Caller, args: &Top) -> Result<ExitCode, Error> {
    let quiet = args.approach.connection.quiet;
    let mut options = connect::approach(caller, &args.approach, reach::receiving())?;
    if args.once {
        options.retry.again = false;
    }
    let place = options.dial.address.to_string();
    let screen = Rc::new(RefCell::new(Screen::new(&place, Instant::now())));
    let mut watcher = Watcher {
        caller,
        args,
        is_plain: args.once || !is_interactive(),
        screen: screen.clone(),
        failed: None,
    };
    let is_plain = watcher.is_plain;
    let mut session = connect::session(options)?;
    let end = connect::runtime()?.block_on(async {
        let mut view = View::new(args, is_plain, screen.clone())?;
        let end = watch(&mut session, &mut watcher, &mut view).await;
        drop(view.canvas.take());
        Ok::<_, Error>((end, view.failed.take()))
    })?;
    let verdict = match (watcher.failed, end) {
        (Some(error), _) | (None, (_, Some(error))) => Err(error),
        (None, (end, None)) => match end.and_then(|end| outcome::error(caller, &end, &place)) {
            None => Ok(ExitCode::SUCCESS),
            Some(error) => Err(error),
        },
    };
    verdict.map_err(|error| if quiet { error.silent() } else { error })
}

/// Somebody sees the screen and can press keys.
fn is_interactive() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !is_dumb && std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(Kind::Failed, error.to_string())
}

/// The session until it ends or is not wanted any more; none when it was dropped.
async fn watch(session: &mut Session, watcher: &mut Watcher<'_>, view: &mut View) -> Option<End> {
    let mut run = pin!(session.run(watcher));
    std::future::poll_fn(|cx| {
        view.poll(cx);
        if let Poll::Ready(end) = run.as_mut().poll(cx) {
            return Poll::Ready(Some(end));
        }
        let screen = view.screen.borrow();
        match screen.is_over && screen.state != State::Up {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    })
    .await
}

/// What the session tells.
struct Watcher<'a> {
    caller: Caller,
    args: &'a Top,
    is_plain: bool,
    screen: Rc<RefCell<Screen>>,
    failed: Option<Error>,
}

impl Watcher<'_> {
    fn connected(&mut self, client: &mut Engine) {
        self.screen.borrow_mut().state = State::Up;
        if !client.is_first_connection() {
            return;
        }
        let options = SubscribeOptions {
            retain_as_published: client.options().version.is_v5(),
            ..SubscribeOptions::default()
        };
        let filters = self.args.topic.iter();
        let mut asked: Vec<_> = filters.map(|filter| (filter.as_str(), options)).collect();
        if asked.is_empty() {
            asked.push(("#", options));
        }
        if let Err(refused) = client.subscribe(&asked, Properties::EMPTY) {
            self.failed = Some(Error::new(Kind::Failed, refused.to_string()));
            client.finish();
        }
    }

    /// Hands over what the screen wants published.
    fn send(&self, client: &mut Engine) {
        let mut screen = self.screen.borrow_mut();
        while let Some(order) = screen.orders.pop_front() {
            let Order {
                topic,
                payload,
                retain,
            } = &order;
            let mut message = Message::new(topic, payload.as_bytes()).qos(QoS::AtLeastOnce);
            message.retain = *retain;
            match client.publish(&message) {
                Ok(ticket) => screen.sent.push_back((ticket, order)),
                Err(refused) => screen.notice = refused.to_string(),
            }
        }
    }
}

impl Handler for Watcher<'_> {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => {
                let seen = Seen {
                    topic: publish.topic,
                    payload: publish.payload,
                    qos: publish.qos.bits(),
                    retain: publish.retain,
                };
                self.screen.borrow_mut().message(&seen, Instant::now());
            }
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.connected(client),
            Event::Suback(suback) => match refusal(suback.reasons) {
                Some((_, error)) => {
                    self.failed = Some(error);
                    client.finish();
                }
                None => self.screen.borrow_mut().subscribed(Instant::now()),
            },
            Event::Acked(acked) => self.screen.borrow_mut().acked(acked.ticket, acked.reason),
            _ => {}
        }
    }

    fn wake(&mut self, client: &mut Engine, _cx: &mut Context<'_>) {
        if !client.is_up() {
            return;
        }
        if self.screen.borrow().is_over {
            client.disconnect(Reason::SUCCESS, Properties::EMPTY);
        } else {
            self.send(client);
        }
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        let told = format!("{end}; trying again");
        if self.is_plain && !self.args.approach.connection.quiet {
            let told = format!("{told} in {pause:?}");
            terminal::tell(self.caller, &Error::new(Kind::Lost, told));
        }
        self.screen.borrow_mut().state = State::Lost(told);
    }
}

/// Who looks, and what ends it from outside.
struct View {
    screen: Rc<RefCell<Screen>>,
    signals: Signals,
    until: Option<Pin<Box<Sleep>>>,
    timer: Pin<Box<Sleep>>,
    /// The terminal, from the first connection to the end.
    canvas: Option<Canvas>,
    /// Lines, where there is none.
    out: Option<Stdout>,
    is_once: bool,
    look: Duration,
    is_headed: bool,
    failed: Option<Error>,
}

impl View {
    fn new(args: &Top, is_plain: bool, screen: Rc<RefCell<Screen>>) -> Result<Self, Error> {
        let out = is_plain.then(Stdout::new).transpose();
        let seconds = args.timeout.filter(|_| !args.once);
        Ok(Self {
            screen,
            signals: Signals::new().map_err(|error| failed(&error))?,
            until: seconds.map(|seconds| {
                let limit = Duration::from_secs(seconds.into());
                Box::pin(tokio::time::sleep(limit))
            }),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            canvas: None,
            out: out.map_err(|error| failed(&error))?,
            is_once: args.once,
            look: Duration::from_secs(args.timeout.unwrap_or(1).into()),
            is_headed: false,
            failed: None,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let until = self.until.as_mut();
        let is_late = until.is_some_and(|until| until.as_mut().poll(cx).is_ready());
        let is_first = self.canvas.is_none() && self.out.is_none();
        if is_late || self.signals.poll(cx) {
            self.until = None;
            self.end();
        }
        if is_first && self.screen.borrow().state == State::Up && self.failed.is_none() {
            match Canvas::new() {
                Ok(canvas) => self.canvas = Some(canvas),
                Err(error) => self.fail(&error),
            }
        }
        if let Some(canvas) = &mut self.canvas {
            let mut screen = self.screen.borrow_mut();
            while let Poll::Ready(Some(event)) = canvas.events.poll_recv(cx) {
                screen.pressed(&event);
            }
        }
        if self.screen.borrow().is_over {
            self.end();
            return;
        }
        let is_due = self.is_due(cx);
        if is_due || self.screen.borrow().is_changed {
            self.show(is_due);
        }
    }

    /// The terminal is given back before the connection is parted from, which may take a while.
    fn end(&mut self) {
        self.screen.borrow_mut().is_over = true;
        self.canvas = None;
    }

    fn fail(&mut self, error: &std::io::Error) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            let told = format!("cannot write: {error}");
            self.failed = Some(Error::new(Kind::Failed, told));
        }
        self.end();
    }

    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_due = false;
        while self.timer.as_mut().poll(cx).is_ready() {
            is_due = true;
            let next = match &self.out {
                None => Instant::now() + REFRESH,
                Some(_) => self.screen.borrow().next_look(Instant::now()),
            };
            self.timer.as_mut().reset(next.into());
        }
        is_due
    }

    fn show(&mut self, is_due: bool) {
        let now = Instant::now();
        let mut screen = self.screen.borrow_mut();
        if let Some(canvas) = &mut self.canvas {
            screen.tick(now);
            screen.is_changed = false;
            let drawn = canvas.draw(&mut screen, now);
            drop(screen);
            if let Err(error) = drawn {
                self.fail(&error);
            }
        } else if is_due && self.out.is_some() {
            drop(screen);
            self.print(now);
        }
    }

    fn print(&mut self, now: Instant) {
        let Some(out) = &mut self.out else { return };
        let mut screen = self.screen.borrow_mut();
        let has_ticked = screen.tick(now);
        let Some(since) = screen.since else { return };
        let is_last = self.is_once && now >= since + self.look;
        let is_wanted = is_last || has_ticked && !self.is_once;
        if !is_wanted {
            return;
        }
        let tree = &screen.tree;
        let mut put = |text: &str| {
            out.buffer.extend_from_slice(text.as_bytes());
            out.buffer.push(b'\n');
        };
        if !self.is_headed {
            put(LINE_HEAD);
            self.is_headed = true;
        }
        for at in tree.topics() {
            if self.is_once || tree.was_busy(at) {
                put(&line(tree, at));
            }
        }
        let beyond = tree.beyond;
        if beyond > screen.beyond_told {
            put(&format!(
                "and {beyond} more messages, on topics beyond {} kept",
                tree.level(ROOT).topics
            ));
        }
        screen.beyond_told = beyond;
        drop(screen);
        out.flush();
        let failed = out.failed.take();
        if let Some(error) = failed {
            self.fail(&error);
        } else if is_last {
            self.end();
        }
    }
}
