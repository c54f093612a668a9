//! A message, as text: what `sub` and `rr` print, byte for byte as mosquitto's clients do.
//!
//! Without `-F` it is the payload, with `-v` topic and payload. `template.rs` reads and renders `-F`,
//! `json.rs` writes the objects of `%j` and `%J`, `time.rs` speaks strftime, `trace.rs` words the lines of
//! `-d`. Nothing here prints, and the clock arrives as a value.

mod json;
mod template;
mod time;
pub mod trace;

pub use template::Template;
pub use time::Moment;

use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;

/// A message as it arrived, borrowed from the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
    /// Zero for QoS 0, which has none.
    pub packet_id: u16,
    pub properties: Properties<'a>,
}

impl<'a> Arrival<'a> {
    pub fn of(publish: &Publish<'a>) -> Self {
        Self {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos.bits(),
            retain: publish.retain,
            packet_id: publish.packet_id.map_or(0, |id| id.value()),
            properties: publish.properties,
        }
    }
}

/// How messages are printed.
#[derive(Clone, Debug, Default)]
pub struct Output {
    pub verbose: bool,
    pub no_newline: bool,
    pub pretty: bool,
    /// Show control characters of topics and payloads as `\x1b`: a broker must not drive the
    /// terminal somebody looks at.
    pub escape_controls: bool,
    pub template: Option<Template>,
}

impl Output {
    /// Whether [`Output::write`] wants to know the time.
    pub fn needs_time(&self) -> bool {
        self.template.as_ref().is_some_and(Template::needs_time)
    }

    /// Appends the text of one message; what is returned belongs on stderr.
    pub fn write(
        &self,
        arrival: &Arrival<'_>,
        moment: Option<&Moment>,
        out: &mut Vec<u8>,
    ) -> Option<String> {
        if let Some(template) = &self.template {
            let complaint = template.render(arrival, moment, self, out);
            if !self.no_newline {
                out.push(b'\n');
            }
            return complaint;
        }
        match (self.verbose, arrival.payload.is_empty()) {
            (false, true) => return None,
            (false, false) => self.put(arrival.payload, out),
            // Without its newline mosquitto leaves out even the topic of an empty message.
            (true, true) if self.no_newline => return None,
            (true, true) => {
                self.put(arrival.topic.as_bytes(), out);
                out.extend_from_slice(b" (null)");
            }
            (true, false) => {
                self.put(arrival.topic.as_bytes(), out);
                out.push(b' ');
                self.put(arrival.payload, out);
            }
        }
        if !self.no_newline {
            out.push(b'\n');
        }
        None
    }

    /// Appends what a publisher wrote. Newlines and tabs are harmless, and left.
    #[inline]
    fn put(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.escape_controls {
            out.extend_from_slice(bytes);
            return;
        }
        let mut before = 0;
        for &byte in bytes {
            // U+0080 to U+009F, as UTF-8 and as bare bytes, are ESC and a letter to some terminals.
            let is_upper = (0x80..0xa0).contains(&byte) && (before == 0xc2 || before < 0x80);
            if is_upper || (byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t')) {
                out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            } else {
                out.push(byte);
            }
            before = byte;
        }
    }
}

/// Text that is one line and drives no terminal: its control characters as `\x1b`, newlines as `\n`.
pub(crate) fn on_one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|letter| put_shown(letter, &mut out));
    out
}

/// A letter as it is; a control character as something one can read.
pub(crate) fn put_shown(letter: char, out: &mut String) {
    match letter {
        '\n' => out.push_str("\\n"),
        letter if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
        letter => out.push(letter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(output: &Output, payload: &[u8]) -> String {
        let arrival = Arrival {
            topic: "a/b",
            payload,
            qos: 0,
            retain: false,
            packet_id: 0,
            properties: Properties::EMPTY,
        };
        let mut out = Vec::new();
        assert_eq!(output.write(&arrival, None, &mut out), None);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn without_a_template() {
        let plain = Output::default();
        assert_eq!(text(&plain, b"hello"), "hello\n");
        assert_eq!(text(&plain, b""), "");
        let verbose = Output {
            verbose: true,
            ..Output::default()
        };
        assert_eq!(text(&verbose, b"hello"), "a/b hello\n");
        assert_eq!(text(&verbose, b""), "a/b (null)\n");
        let bare = Output {
            verbose: true,
            no_newline: true,
            ..Output::default()
        };
        assert_eq!(text(&bare, b"hello"), "a/b hello");
        assert_eq!(text(&bare, b""), "");
    }

    #[test]
    fn control_characters_on_a_terminal() {
        let plain = Output {
            escape_controls: true,
            ..Output::default()
        };
        assert_eq!(
            text(&plain, b"a\x1b[2Jb\tc\nd\r\x7f"),
            "a\\x1b[2Jb\tc\nd\\x0d\\x7f\n"
        );
        assert_eq!(text(&plain, "é€🦀".as_bytes()), "é€🦀\n");
        let mut out = Vec::new();
        plain.put("\u{9b}2J".as_bytes(), &mut out);
        plain.put(b" \x9b2J", &mut out);
        assert_eq!(out, b"\xc2\\x9b2J \\x9b2J");
        let template = Template::parse("\\e[1m%p|%8p|%-3p|%t").ok();
        let formatted = Output {
            escape_controls: true,
            template,
            ..Output::default()
        };
        assert_eq!(
            text(&formatted, b"\x1bc"),
            "\x1b[1m\\x1bc|      \\x1bc|\\x1bc |a/b\n"
        );
    }
}
