//! Messages of `sub` in the forms that are ours: decoded, cut down to a part, as JSON lines, as a log, as
//! bytes, into files of their own.
//!
//! A payload that cannot be decoded is shown as it came, with a word on stderr; one that lacks the
//! part selected is left out, as a filter would.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use colored::{Color, Colorize};
use jiff::tz::TimeZone;

use crate::cli::args::showing::{Colour, Showing, unescape};
use crate::cli::decode::Decoder;
use crate::cli::encoding::hexdump;
use crate::cli::error::{Error, Kind};
use crate::cli::format::{Arrival, Moment, Output, on_one_line};
use crate::cli::jsonl;
use crate::cli::select::plain;
use crate::net::system_words;

/// Columns the topics of a log are padded to, at most.
const TOPIC_COLUMNS: usize = 40;

/// Bytes of a topic in the name of a file.
const NAME_MAX: usize = 120;

pub(crate) struct Show {
    asked: Showing,
    delimiter: Option<Vec<u8>>,
    decoders: Vec<Decoder>,
    zone: TimeZone,
    /// A terminal looks on: nobody else's bytes may drive it.
    on_terminal: bool,
    in_colour: bool,
    /// How wide topics have been so far.
    width: usize,
    folder: Option<Folder>,
}

/// Where each message becomes a file.
struct Folder {
    path: PathBuf,
    number: u64,
}

impl Show {
    /// None when nothing of it was asked for.
    pub(crate) fn new(asked: &Showing) -> Result<Option<Self>, Error> {
        if !asked.is_asked() {
            return Ok(None);
        }
        let on_terminal = std::io::stdout().is_terminal() && asked.out.is_none();
        let decoders = decoders(asked)?;
        let folder = match &asked.out_dir {
            None => None,
            Some(path) => Some(Folder::new(path)?),
        };
        let delimiter = asked.delimiter.as_deref().map(unescape).transpose();
        Ok(Some(Self {
            decoders,
            delimiter: delimiter.map_err(|told| Error::new(Kind::Failed, told))?,
            zone: TimeZone::system(),
            in_colour: in_colour(asked.color.unwrap_or(Colour::Auto), on_terminal),
            on_terminal,
            width: 0,
            folder,
            asked: asked.clone(),
        }))
    }

    /// Appends a message; what is returned belongs on stderr, a failure ends the command.
    pub(crate) fn message(
        &mut self,
        arrival: &Arrival<'_>,
        output: &Output,
        moment: impl FnOnce(&TimeZone) -> Moment,
        out: &mut Vec<u8>,
    ) -> Result<Option<String>, Error> {
        let mut complaint = None;
        let payload = self.decoded(arrival, &mut complaint);
        let Some(payload) = self.selected(payload, arrival.topic, &mut complaint) else {
            return Ok(complaint);
        };
        let arrival = Arrival {
            payload: &payload,
            ..*arrival
        };
        if let Some(folder) = &mut self.folder {
            folder.keep(arrival.topic, &payload)?;
        } else if self.asked.jsonl {
            jsonl::write(&arrival, &moment(&self.zone), None, out);
            self.delimit(out);
        } else if self.asked.log {
            self.log(&arrival, &moment(&self.zone), out);
        } else if self.asked.hexdump {
            let (topic, len) = (self.shown(arrival.topic.as_bytes()), payload.len());
            out.extend_from_slice(format!("{topic}  {len} B\n").as_bytes());
            hexdump(&payload, out);
        } else if self.delimiter.is_some() {
            let bare = Output {
                no_newline: true,
                ..output.clone()
            };
            let moment = output.needs_time().then(|| moment(&self.zone));
            complaint = bare.write(&arrival, moment.as_ref(), out).or(complaint);
            self.delimit(out);
        } else {
            let moment = output.needs_time().then(|| moment(&self.zone));
            complaint = output.write(&arrival, moment.as_ref(), out).or(complaint);
        }
        Ok(complaint)
    }

    fn decoded<'a>(&self, arrival: &Arrival<'a>, complaint: &mut Option<String>) -> Cow<'a, [u8]> {
        let mut rules = self.decoders.iter();
        match rules.find_map(|rule| rule.apply(arrival.topic, arrival.payload)) {
            None => Cow::Borrowed(arrival.payload),
            Some(Ok(text)) => Cow::Owned(text.into_bytes()),
            Some(Err(told)) => {
                let topic = arrival.topic.escape_debug();
                *complaint = Some(format!("mqttx sub: {topic}: {told}\n"));
                Cow::Borrowed(arrival.payload)
            }
        }
    }

    /// The parts asked for, a tab between them; nothing when none of them is there.
    fn selected<'a>(
        &self,
        payload: Cow<'a, [u8]>,
        topic: &str,
        complaint: &mut Option<String>,
    ) -> Option<Cow<'a, [u8]>> {
        if self.asked.select.is_empty() {
            return Some(payload);
        }
        let whole: serde_json::Value = match serde_json::from_slice(&payload) {
            Ok(whole) => whole,
            Err(error) => {
                let topic = topic.escape_debug();
                *complaint = Some(format!(
                    "mqttx sub: {topic}: no JSON to select from: {error}\n"
                ));
                return None;
            }
        };
        let parts: Vec<_> = self
            .asked
            .select
            .iter()
            .map(|path| path.find(&whole))
            .collect();
        if parts.iter().all(Option::is_none) {
            return None;
        }
        let parts = parts.iter().map(|part| part.map(plain).unwrap_or_default());
        Some(Cow::Owned(
            parts.collect::<Vec<_>>().join("\t").into_bytes(),
        ))
    }

    fn delimit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.delimiter.as_deref().unwrap_or(b"\n"));
    }

    fn log(&mut self, arrival: &Arrival<'_>, moment: &Moment, out: &mut Vec<u8>) {
        let topic = self.shown(arrival.topic.as_bytes());
        self.width = self.width.max(topic.chars().count()).min(TOPIC_COLUMNS);
        let time = moment.clock_millis();
        let flags = format!(
            "q{} {}",
            arrival.qos,
            if arrival.retain { 'r' } else { ' ' }
        );
        let size = format!("{:>6} B", arrival.payload.len());
        let pad = " ".repeat(self.width.saturating_sub(topic.chars().count()));
        let line = if self.in_colour {
            let topic = topic.color(colour_of(arrival.topic));
            format!(
                "{}  {topic}{pad}  {} {}  ",
                time.dimmed(),
                flags.dimmed(),
                size.dimmed()
            )
        } else {
            format!("{time}  {topic}{pad}  {flags} {size}  ")
        };
        out.extend_from_slice(line.as_bytes());
        if self.on_terminal {
            out.extend_from_slice(self.shown(arrival.payload).as_bytes());
        } else {
            out.extend_from_slice(arrival.payload);
        }
        out.push(b'\n');
    }

    /// One line a terminal can be shown; elsewhere text as it came.
    fn shown(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        if !self.on_terminal {
            return text.into_owned();
        }
        on_one_line(&text)
    }
}

fn decoders(asked: &Showing) -> Result<Vec<Decoder>, Error> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| format!("cannot be read: {error}"));
    let rules = asked.decode.iter().map(|rule| rule.prepare(read));
    let decoders: Result<_, String> = rules.collect();
    decoders.map_err(|told| Error::new(Kind::Failed, format!("--decode: {told}")))
}

impl Folder {
    fn new(path: &Path) -> Result<Self, Error> {
        let entries = std::fs::create_dir_all(path).and_then(|()| std::fs::read_dir(path));
        let entries = entries.map_err(|error| unwritten(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            // What an earlier run left is not written over.
            number: entries.count() as u64,
        })
    }

    fn keep(&mut self, topic: &str, payload: &[u8]) -> Result<(), Error> {
        let mut name: String = topic
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || "-_.".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        while name.len() > NAME_MAX {
            name.pop();
        }
        loop {
            self.number += 1;
            let path = self.path.join(format!("{:06}-{name}", self.number));
            let opened = OpenOptions::new().write(true).create_new(true).open(&path);
            match opened.and_then(|mut file| file.write_all(payload)) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritten(&path, &error)),
                Ok(()) => return Ok(()),
            }
        }
    }
}

pub(crate) fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let shown = path.display();
    let words = match error.kind() {
        std::io::ErrorKind::AlreadyExists => "it is no folder".to_owned(),
        _ => system_words(error),
    };
    Error::new(Kind::Failed, format!("cannot write to {shown}: {words}"))
}

/// `--color` beats the environment, of which CLICOLOR_FORCE beats NO_COLOR.
fn in_colour(when: Colour, on_terminal: bool) -> bool {
    let is_set =
        |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let in_colour = match when {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if is_set("CLICOLOR_FORCE") => true,
        Colour::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            on_terminal && !unwanted && !is_dumb
        }
    };
    if in_colour {
        colored::control::set_override(true);
    }
    in_colour
}

/// The same topic has the same colour wherever it is shown.
fn colour_of(topic: &str) -> Color {
    const COLOURS: [Color; 6] = [
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::BrightBlue,
    ];
    // FNV-1a.
    let hash = topic.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    COLOURS[(hash % COLOURS.len() as u64) as usize]
}
