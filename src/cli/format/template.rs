//! The format of `-F`: `%[-][0][width][.precision][separator]X`, `@X` for times, `\n` and friends.
//!
//! Read once into pieces, rendered for each message. The oddities are mosquitto's and scripts know
//! them: width cuts payloads but never topics, a missing `%C` is blanks but a missing `%R` nothing, and
//! `%f` complains without ending its line.

use crate::cli::format::Arrival;
use crate::cli::format::Moment;
use crate::cli::format::Output;
use crate::cli::format::json;
use crate::mqtt::property::PropertyId;

/// Characters that may separate groups of hex digits.
const SEPARATORS: &[u8] = b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ ";

/// A format, ready to render.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Field(u8, Field),
    /// `@X`: strftime's letter; `N` is nanoseconds.
    Time(u8),
}

/// How one field is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Field {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    separator: Option<u8>,
}

/// Wider than this is a slip of the keyboard, and would only fill memory.
const WIDTH_MAX: usize = 1_000_000;

/// The smallest number there is has so many decimals.
const DECIMALS_MAX: usize = 1_074;

impl Template {
    /// The error is the sentence to tell.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'%' => {
                    let (letter, field) = field(text, &mut at)?;
                    if letter == b'%' {
                        literal.push(b'%');
                        continue;
                    }
                    flush(&mut literal, &mut pieces);
                    pieces.push(Piece::Field(letter, field));
                }
                b'@' => {
                    let letter = *bytes.get(at).ok_or("Incomplete format specifier.")?;
                    at += 1;
                    if letter == b'@' {
                        literal.push(b'@');
                        continue;
                    }
                    flush(&mut literal, &mut pieces);
                    pieces.push(Piece::Time(letter));
                }
                b'\\' => {
                    let letter = *bytes.get(at).ok_or("Incomplete escape specifier.")?;
                    at += 1;
                    literal.push(escaped(letter).ok_or_else(|| {
                        format!("Invalid escape specifier '{}'.", character(text, at - 1))
                    })?);
                }
                _ => literal.push(byte),
            }
        }
        flush(&mut literal, &mut pieces);
        Ok(Self { pieces })
    }

    pub fn needs_time(&self) -> bool {
        self.pieces.iter().any(|piece| {
            matches!(
                piece,
                Piece::Time(_) | Piece::Field(b'I' | b'U' | b'j' | b'J', _)
            )
        })
    }

    /// Appends the text of one message; what is returned belongs on stderr, as it is.
    pub(crate) fn render(
        &self,
        arrival: &Arrival<'_>,
        moment: Option<&Moment>,
        output: &Output,
        out: &mut Vec<u8>,
    ) -> Option<String> {
        let mut complaint = None;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Time(letter) => {
                    let moment = moment.expect("needs_time() told that a time is due");
                    match letter {
                        b'N' => {
                            let text = format!("{:09}", moment.nanoseconds());
                            out.extend_from_slice(text.as_bytes());
                        }
                        _ => out.extend_from_slice(moment.strftime(*letter).as_bytes()),
                    }
                }
                Piece::Field(letter, field) => {
                    if let Some(text) = field.render(*letter, arrival, moment, output, out) {
                        complaint.get_or_insert_with(String::new).push_str(&text);
                    }
                }
            }
        }
        complaint
    }
}

fn flush(literal: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal)));
    }
}

fn character(text: &str, at: usize) -> char {
    text.get(at..)
        .and_then(|rest| rest.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn escaped(letter: u8) -> Option<u8> {
    Some(match letter {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 0x07,
        b'e' => 0x1b,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// Reads what stands after a percent sign.
fn field(text: &str, at: &mut usize) -> Result<(u8, Field), String> {
    let bytes = text.as_bytes();
    let due = |at: usize| bytes.get(at).copied().ok_or("Incomplete format specifier.");
    let mut field = Field::default();
    if due(*at)? == b'-' {
        field.left = true;
        *at += 1;
    }
    if due(*at)? == b'0' {
        field.zeros = true;
        *at += 1;
    }
    field.width = digits(bytes, at);
    if due(*at)? == b'.' {
        *at += 1;
        field.precision = Some(digits(bytes, at));
    }
    if SEPARATORS.contains(&due(*at)?) {
        field.separator = Some(bytes[*at]);
        *at += 1;
    }
    let letter = due(*at)?;
    if !b"%ACDEFIJPRSUXdfjlmpqrtx".contains(&letter) {
        return Err(format!(
            "Invalid format specifier '{}'.",
            character(text, *at)
        ));
    }
    *at += 1;
    Ok((letter, field))
}

fn digits(bytes: &[u8], at: &mut usize) -> usize {
    let mut value: usize = 0;
    while let Some(digit) = bytes.get(*at).filter(|byte| byte.is_ascii_digit()) {
        value = value
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'));
        *at += 1;
    }
    value.min(WIDTH_MAX)
}

impl Field {
    fn render(
        &self,
        letter: u8,
        arrival: &Arrival<'_>,
        moment: Option<&Moment>,
        output: &Output,
        out: &mut Vec<u8>,
    ) -> Option<String> {
        let time = || moment.expect("needs_time() told that a time is due");
        match letter {
            b'p' => self.payload(arrival.payload, output, out),
            b'x' => self.hex(arrival.payload, b"0123456789abcdef", out),
            b'X' => self.hex(arrival.payload, b"0123456789ABCDEF", out),
            b'f' => return self.float(arrival.payload, out),
            b'd' => return self.double(arrival.payload, out),
            b't' => self.text(arrival.topic, output, out),
            b'l' => self.integer(arrival.payload.len() as i64, out),
            b'm' => self.integer(i64::from(arrival.packet_id), out),
            b'q' => out.push(b'0' + arrival.qos),
            b'r' => out.push(if arrival.retain { b'1' } else { b'0' }),
            b'I' => self.text(&time().iso(), output, out),
            b'U' => {
                let text = format!("{}.{:09}", time().seconds(), time().nanoseconds());
                out.extend_from_slice(text.as_bytes());
            }
            b'j' | b'J' => {
                let is_json = json::message(arrival, time(), letter == b'J', output.pretty, out);
                let topic = arrival.topic;
                return (!is_json).then(|| {
                    format!("Error: Message payload is not valid JSON on topic {topic}.\n")
                });
            }
            _ => self.property(letter, arrival, output, out),
        }
        None
    }

    /// The letters of the properties of version 5.
    fn property(&self, letter: u8, arrival: &Arrival<'_>, output: &Output, out: &mut Vec<u8>) {
        let properties = &arrival.properties;
        match letter {
            b'A' => self.maybe(properties.two(PropertyId::TopicAlias).map(i64::from), out),
            b'E' => {
                let seconds = properties.four(PropertyId::MessageExpiryInterval);
                // A C int, so more than 2^31 seconds turn negative.
                self.maybe(seconds.map(|seconds| i64::from(seconds as i32)), out);
            }
            b'F' => {
                self.maybe(
                    properties
                        .byte(PropertyId::PayloadFormatIndicator)
                        .map(i64::from),
                    out,
                );
            }
            b'S' => self.maybe(properties.subscription_ids().next().map(i64::from), out),
            b'C' => match properties.text(PropertyId::ContentType) {
                Some(text) => self.text(text, output, out),
                None => self.blank(out),
            },
            b'R' => {
                if let Some(text) = properties.text(PropertyId::ResponseTopic) {
                    self.text(text, output, out);
                }
            }
            b'D' => {
                if let Some(bytes) = properties.binary(PropertyId::CorrelationData) {
                    output.put(bytes, out);
                }
            }
            b'P' => {
                for (at, (name, value)) in properties.user_properties().enumerate() {
                    let gap = if at == 0 { "" } else { " " };
                    output.put(format!("{gap}{name}:{value}").as_bytes(), out);
                }
            }
            _ => {}
        }
    }

    fn filler(&self) -> u8 {
        if self.zeros { b'0' } else { b' ' }
    }

    fn blank(&self, out: &mut Vec<u8>) {
        out.extend(std::iter::repeat_n(self.filler(), self.width));
    }

    fn maybe(&self, value: Option<i64>, out: &mut Vec<u8>) {
        match value {
            Some(value) => self.integer(value, out),
            None => self.blank(out),
        }
    }

    fn integer(&self, value: i64, out: &mut Vec<u8>) {
        self.number(&value.to_string(), self.zeros, out);
    }

    /// Zeros go between sign and digits. What `format!` can do ends at a width of 65,535.
    fn number(&self, text: &str, zeros: bool, out: &mut Vec<u8>) {
        let gap = self.width.saturating_sub(text.len());
        let sign = usize::from(text.starts_with('-'));
        let (before, filler) = match (self.left, zeros) {
            (true, _) => (text.len(), b' '),
            (false, true) => (sign, b'0'),
            (false, false) => (0, b' '),
        };
        out.extend_from_slice(&text.as_bytes()[..before]);
        out.extend(std::iter::repeat_n(filler, gap));
        out.extend_from_slice(&text.as_bytes()[before..]);
    }

    /// Precision and width count bytes, and zeros never pad.
    fn text(&self, text: &str, output: &Output, out: &mut Vec<u8>) {
        let bytes = text.as_bytes();
        let bytes = &bytes[..self.precision.unwrap_or(bytes.len()).min(bytes.len())];
        let gap = self.width.saturating_sub(bytes.len());
        if !self.left {
            out.extend(std::iter::repeat_n(b' ', gap));
        }
        output.put(bytes, out);
        if self.left {
            out.extend(std::iter::repeat_n(b' ', gap));
        }
    }

    fn payload(&self, payload: &[u8], output: &Output, out: &mut Vec<u8>) {
        let shown = match self.width {
            0 => payload,
            width => &payload[..payload.len().min(width)],
        };
        let gap = self.width.saturating_sub(shown.len());
        if !self.left {
            out.extend(std::iter::repeat_n(self.filler(), gap));
        }
        output.put(shown, out);
        if self.left {
            out.extend(std::iter::repeat_n(b' ', gap));
        }
    }

    /// Precision is the digits of a group; padding in front takes part in the grouping.
    fn hex(&self, payload: &[u8], alphabet: &[u8; 16], out: &mut Vec<u8>) {
        let shown = match self.width {
            0 => payload,
            width => &payload[..payload.len().min(width)],
        };
        let gap = self.width.saturating_sub(shown.len() * 2);
        let group = self.precision.unwrap_or(0);
        let separator = self.separator.unwrap_or(b' ');
        let mut column = 0;
        let mut digit = |digit: u8, last: bool, out: &mut Vec<u8>| {
            out.push(digit);
            column += 1;
            if group > 0 && column % group == 0 && !last {
                out.push(separator);
            }
        };
        if !self.left {
            for _ in 0..gap {
                digit(self.filler(), false, out);
            }
        }
        for (at, byte) in shown.iter().enumerate() {
            digit(alphabet[usize::from(byte >> 4)], false, out);
            digit(alphabet[usize::from(byte & 15)], at + 1 == shown.len(), out);
        }
        if self.left {
            out.extend(std::iter::repeat_n(b' ', gap));
        }
    }

    fn float(&self, payload: &[u8], out: &mut Vec<u8>) -> Option<String> {
        let Ok(bytes) = payload.try_into() else {
            return Some("requested float printing, but non-float data received".to_owned());
        };
        self.fixed_point(f64::from(f32::from_ne_bytes(bytes)), out);
        None
    }

    fn double(&self, payload: &[u8], out: &mut Vec<u8>) -> Option<String> {
        let Ok(bytes) = payload.try_into() else {
            return Some("requested double printing, but non-double data received".to_owned());
        };
        self.fixed_point(f64::from_ne_bytes(bytes), out);
        None
    }

    /// As `%f`: six decimals unless told otherwise; zeros go between sign and digits.
    fn fixed_point(&self, value: f64, out: &mut Vec<u8>) {
        let decimals = self.precision.unwrap_or(6);
        let text = match value {
            value if value.is_nan() && value.is_sign_negative() => "-nan".to_owned(),
            value if value.is_nan() => "nan".to_owned(),
            value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
            value => {
                // No more decimals than that are other than zero.
                let exact = decimals.min(DECIMALS_MAX);
                format!("{value:.exact$}{}", "0".repeat(decimals - exact))
            }
        };
        self.number(&text, self.zeros && value.is_finite(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::property::Properties;

    fn check(format: &str, payload: &[u8], expected: &str) {
        let arrival = Arrival {
            topic: "a/b",
            payload,
            qos: 1,
            retain: true,
            packet_id: 7,
            properties: Properties::EMPTY,
        };
        let moment = Moment::new(1_735_689_599, 5_000_001, &jiff::tz::TimeZone::UTC);
        let mut out = Vec::new();
        let template = Template::parse(format).unwrap();
        let complaint = template.render(&arrival, Some(&moment), &Output::default(), &mut out);
        assert_eq!(complaint, None, "{format}");
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
    }

    #[test]
    fn fields() {
        check("%t|%p|%q|%r|%l|%m|%%", b"hello", "a/b|hello|1|1|5|7|%");
        check(
            "%8p|%-8p|%08p|%3p",
            b"hello",
            "   hello|hello   |000hello|hel",
        );
        check("%5t|%-5t|%.1t|%5.1t|%05t", b"", "  a/b|a/b  |a|    a|  a/b");
        check("%4l|%-4l|%04l|", b"hello", "   5|5   |0005|");
        check("%3A|%03A|%3C|%R|%D|%P|%S|", b"", "   |000|   |||||");
    }

    #[test]
    fn hexadecimal() {
        check("%x %X", b"\x68\xab", "68ab 68AB");
        check("%.2:x", b"hel", "68:65:6c");
        check("%.2x", b"hel", "68 65 6c");
        check("%6x|%-6x|%06x", b"\x01", "    01|01    |000001");
        check("%08.4_x", b"\x01\x02", "0000_0102");
    }

    #[test]
    fn floating_point() {
        check("%f", &1.5f32.to_ne_bytes(), "1.500000");
        check(
            "%.2d|%8.1d|%-8.1d|%08.1d",
            &(-2.25f64).to_ne_bytes(),
            "-2.25|    -2.2|-2.2    |-00002.2",
        );
        check("%5f", &f32::INFINITY.to_ne_bytes(), "  inf");
    }

    #[test]
    fn times_and_escapes() {
        check("@Y-@m-@d @@ @N", b"", "2024-12-31 @ 005000001");
        check(
            "%I %U",
            b"",
            "2024-12-31T23:59:59+0000 1735689599.005000001",
        );
        check("\\a\\e\\n\\r\\t\\v\\\\\\0", b"", "\x07\x1b\n\r\t\x0b\\\0");
    }

    #[test]
    fn json() {
        let tst = r#"{"tst":"2024-12-31T23:59:59.005000+0000","topic":"a/b","qos":1,"retain":true"#;
        check(
            "%j",
            b"he\"y",
            &format!(r#"{tst},"payloadlen":4,"mid":7,"payload":"he\"y"}}"#),
        );
        check(
            "%j",
            b"",
            &format!(r#"{tst},"payloadlen":0,"mid":7,"payload":null}}"#),
        );
        check(
            "%J",
            b"[1, 2]",
            &format!(r#"{tst},"payloadlen":6,"mid":7,"payload":[1,2]}}"#),
        );
    }

    #[test]
    fn wrong_formats() {
        for (format, sentence) in [
            ("%", "Incomplete format specifier."),
            ("%-", "Incomplete format specifier."),
            ("%05", "Incomplete format specifier."),
            ("%5.", "Incomplete format specifier."),
            ("%:", "Incomplete format specifier."),
            ("@", "Incomplete format specifier."),
            ("%z", "Invalid format specifier 'z'."),
            ("%ü", "Invalid format specifier 'ü'."),
            ("\\", "Incomplete escape specifier."),
            ("\\q", "Invalid escape specifier 'q'."),
        ] {
            assert_eq!(
                Template::parse(format),
                Err(sentence.to_owned()),
                "{format}"
            );
        }
    }
}
