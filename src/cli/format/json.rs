//! The JSON of `%j` and `%J`, letter for letter as the library behind mosquitto's clients writes it.
//!
//! Strings are bytes: control characters are escaped, everything from 0x20 up passes, valid UTF-8 or
//! not, and U+0000 ends them. `%J` reads the payload and writes it again without building a tree,
//! so duplicate keys and their order survive; numbers go through a double on the way, as there.

use crate::cli::format::Arrival;
use crate::cli::format::Moment;
use crate::mqtt::property::{PropertyId, Value};

/// How deep arrays and objects may nest before a payload is no longer taken for JSON.
const DEPTH_MAX: usize = 1000;

/// No longer run of digits is looked at; what stands behind it makes the payload no JSON.
const NUMBER_LEN_MAX: usize = 63;

/// Writes objects and arrays, compact or indented by tabs.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    pretty: bool,
    depth: usize,
    /// True right after an opening bracket: the next item needs no comma.
    first: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>, pretty: bool) -> Self {
        Self {
            out,
            pretty,
            depth: 0,
            first: true,
        }
    }

    fn open_object(&mut self) {
        self.out.push(b'{');
        self.depth += 1;
        self.first = true;
        if self.pretty {
            self.out.push(b'\n');
        }
    }

    fn close_object(&mut self) {
        self.depth -= 1;
        if self.pretty {
            if !self.first {
                self.out.push(b'\n');
            }
            self.out.extend(std::iter::repeat_n(b'\t', self.depth));
        }
        self.out.push(b'}');
        self.first = false;
    }

    fn key(&mut self, key: &[u8]) {
        if !self.first {
            self.out.push(b',');
            if self.pretty {
                self.out.push(b'\n');
            }
        }
        self.first = false;
        if self.pretty {
            self.out.extend(std::iter::repeat_n(b'\t', self.depth));
        }
        self.string(key);
        self.out.push(b':');
        if self.pretty {
            self.out.push(b'\t');
        }
    }

    fn open_array(&mut self) {
        self.out.push(b'[');
        self.depth += 1;
        self.first = true;
    }

    fn item(&mut self) {
        if !self.first {
            self.out
                .extend_from_slice(if self.pretty { b", " } else { b"," });
        }
        self.first = false;
    }

    fn close_array(&mut self) {
        self.depth -= 1;
        self.out.push(b']');
        self.first = false;
    }

    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        for &byte in text.iter().take_while(|&&byte| byte != 0) {
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                0x08 => self.out.extend_from_slice(b"\\b"),
                0x0c => self.out.extend_from_slice(b"\\f"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                0..0x20 => self
                    .out
                    .extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => self.out.push(byte),
            }
        }
        self.out.push(b'"');
    }

    fn word(&mut self, word: &str) {
        self.out.extend_from_slice(word.as_bytes());
    }
}

/// Appends the object of one message. `parsed` asks for `%J`; false comes back, and nothing is
/// appended, when the payload is no JSON.
pub(crate) fn message(
    arrival: &Arrival<'_>,
    moment: &Moment,
    parsed: bool,
    pretty: bool,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let mut writer = Writer::new(out, pretty);
    writer.open_object();
    writer.key(b"tst");
    writer.string(moment.iso_micros().as_bytes());
    writer.key(b"topic");
    writer.string(arrival.topic.as_bytes());
    writer.key(b"qos");
    writer.word(&arrival.qos.to_string());
    writer.key(b"retain");
    writer.word(if arrival.retain { "true" } else { "false" });
    writer.key(b"payloadlen");
    writer.word(&arrival.payload.len().to_string());
    if arrival.qos > 0 {
        writer.key(b"mid");
        writer.word(&arrival.packet_id.to_string());
    }
    if !arrival.properties.is_empty() {
        properties(arrival, &mut writer);
    }
    writer.key(b"payload");
    let fine = match (arrival.payload, parsed) {
        ([], _) => {
            writer.word("null");
            true
        }
        (payload, false) => {
            writer.string(payload);
            true
        }
        (payload, true) => transcribe(payload, &mut writer),
    };
    if !fine {
        out.truncate(start);
        return false;
    }
    writer.close_object();
    true
}

/// User properties are gathered into one array, which stands where the first of them stood.
fn properties(arrival: &Arrival<'_>, writer: &mut Writer<'_>) {
    writer.key(b"properties");
    writer.open_object();
    let mut gathered = false;
    for (id, value) in arrival.properties.iter() {
        if id == PropertyId::UserProperty {
            if !gathered {
                gathered = true;
                user_properties(arrival, writer);
            }
            continue;
        }
        writer.key(id.name().as_bytes());
        match value {
            Value::Byte(number) => writer.word(&number.to_string()),
            Value::Two(number) => writer.word(&number.to_string()),
            Value::Four(number) | Value::Variable(number) => writer.word(&number.to_string()),
            Value::String(text) => writer.string(text.as_bytes()),
            Value::Binary(bytes) => writer.string(bytes),
            Value::Pair(..) => {}
        }
    }
    writer.close_object();
}

fn user_properties(arrival: &Arrival<'_>, writer: &mut Writer<'_>) {
    writer.key(b"user-properties");
    writer.open_array();
    for (name, value) in arrival.properties.user_properties() {
        writer.item();
        writer.open_object();
        writer.key(name.as_bytes());
        writer.string(value.as_bytes());
        writer.close_object();
    }
    writer.close_array();
}

/// Reads `payload` as one JSON value and writes it; false when it is none.
fn transcribe(payload: &[u8], writer: &mut Writer<'_>) -> bool {
    let mut reader = Reader {
        bytes: payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload),
    };
    reader.value(writer, 0).is_some() && {
        reader.blanks();
        reader.bytes.is_empty()
    }
}

/// The part of the payload not read yet. `None` anywhere means: this is not JSON.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn blanks(&mut self) {
        // U+0000 ends the text for the library, so it is no blank.
        let end = self.bytes.iter().position(|&byte| byte > 0x20 || byte == 0);
        self.bytes = &self.bytes[end.unwrap_or(self.bytes.len())..];
    }

    fn eat(&mut self, word: &[u8]) -> bool {
        match self.bytes.strip_prefix(word) {
            Some(rest) => {
                self.bytes = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, writer: &mut Writer<'_>, depth: usize) -> Option<()> {
        self.blanks();
        match self.bytes.first()? {
            b'{' if depth < DEPTH_MAX => self.object(writer, depth + 1),
            b'[' if depth < DEPTH_MAX => self.array(writer, depth + 1),
            b'"' => {
                let text = self.string()?;
                writer.string(&text);
                Some(())
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                writer.word(&number);
                Some(())
            }
            _ => {
                let word = ["null", "true", "false"]
                    .into_iter()
                    .find(|w| self.eat(w.as_bytes()))?;
                writer.word(word);
                Some(())
            }
        }
    }

    fn object(&mut self, writer: &mut Writer<'_>, depth: usize) -> Option<()> {
        self.eat(b"{");
        writer.open_object();
        self.blanks();
        if !self.eat(b"}") {
            loop {
                self.blanks();
                let key = self.string()?;
                writer.key(&key);
                self.blanks();
                self.eat(b":").then_some(())?;
                self.value(writer, depth)?;
                self.blanks();
                if self.eat(b"}") {
                    break;
                }
                self.eat(b",").then_some(())?;
            }
        }
        writer.close_object();
        Some(())
    }

    fn array(&mut self, writer: &mut Writer<'_>, depth: usize) -> Option<()> {
        self.eat(b"[");
        writer.open_array();
        self.blanks();
        if !self.eat(b"]") {
            loop {
                writer.item();
                self.value(writer, depth)?;
                // A container inside leaves its own mark; here at least one item stands.
                writer.first = false;
                self.blanks();
                if self.eat(b"]") {
                    break;
                }
                self.eat(b",").then_some(())?;
            }
        }
        writer.close_array();
        Some(())
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.eat(b"\"").then_some(())?;
        let mut text = Vec::new();
        loop {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            match byte {
                b'"' => return Some(text),
                b'\\' => self.escape(&mut text)?,
                _ => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let (&letter, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        text.push(match letter {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' | b'/' => letter,
            b'u' => {
                let c = self.code_point()?;
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    fn code_point(&mut self) -> Option<char> {
        let high = self.four_digits()?;
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high);
        }
        self.eat(b"\\u").then_some(())?;
        let low = self
            .four_digits()
            .filter(|low| (0xDC00..0xE000).contains(low))?;
        char::from_u32(0x1_0000 + ((high & 0x3FF) << 10 | (low & 0x3FF)))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.bytes.get(..4)?;
        let text = std::str::from_utf8(digits)
            .ok()
            .filter(|t| !t.starts_with('+'))?;
        let value = u32::from_str_radix(text, 16).ok()?;
        self.bytes = &self.bytes[4..];
        Some(value)
    }

    /// Digits, sign, point and exponent in whatever order strtod still takes a number from.
    fn number(&mut self) -> Option<String> {
        let end = self
            .bytes
            .iter()
            .take(NUMBER_LEN_MAX)
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'e' | b'E' | b'.'))
            .unwrap_or_else(|| self.bytes.len().min(NUMBER_LEN_MAX));
        let text = std::str::from_utf8(&self.bytes[..end]).ok()?;
        let used = (1..=text.len())
            .rev()
            .find(|&used| text.is_char_boundary(used) && text[..used].parse::<f64>().is_ok())?;
        let number = text[..used].parse::<f64>().ok()?;
        self.bytes = &self.bytes[used..];
        Some(shortest(number))
    }
}

/// A whole number that fits an int as such, else 15 significant digits, or 17 if 15 lose something.
fn shortest(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    if number == number.trunc() && number.abs() <= f64::from(i32::MAX) {
        return format!("{}", number as i32);
    }
    let fifteen = general(number, 15);
    if fifteen.parse() == Ok(number) {
        fifteen
    } else {
        general(number, 17)
    }
}

/// As `%.{digits}g`: the shorter of plain and scientific form, without trailing zeros.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits as i32).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return without_zeros(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(payload: &str, pretty: bool) -> Option<String> {
        let mut out = Vec::new();
        let fine = transcribe(payload.as_bytes(), &mut Writer::new(&mut out, pretty));
        fine.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_payload_is_written_again_without_blanks() {
        for (payload, expected) in [
            (
                " { \"a\" : [ 1 , 2.50 , { } , [ ] ] , \"a\":null } ",
                r#"{"a":[1,2.5,{},[]],"a":null}"#,
            ),
            (r#""\u00e9\ud83d\ude00\/\n""#, "\"é😀/\\n\""),
            ("1e3", "1000"),
            ("12345678901", "12345678901"),
            ("1e20", "1e+20"),
            ("0.1", "0.1"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e-7", "1e-07"),
            ("-0", "0"),
            ("01", "1"),
            ("1e999", "null"),
            ("true", "true"),
        ] {
            assert_eq!(
                again(payload, false).as_deref(),
                Some(expected),
                "{payload}"
            );
        }
    }

    #[test]
    fn what_is_no_json() {
        for payload in [
            "hello",
            "{",
            "[1,]",
            "{\"a\":}",
            "1 2",
            "\"a",
            "\"\\ud800\"",
            "nul",
            "+1",
            "\"\\x\"",
            "",
        ] {
            assert_eq!(again(payload, false), None, "{payload}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1) + &"]".repeat(DEPTH_MAX + 1);
        assert_eq!(again(&deep, false), None);
        assert!(again(&deep[1..deep.len() - 1], false).is_some());
    }

    #[test]
    fn indented_by_tabs() {
        assert_eq!(
            again(r#"{"a":1,"b":[1,{"c":"d"}],"e":{}}"#, true).unwrap(),
            "{\n\t\"a\":\t1,\n\t\"b\":\t[1, {\n\t\t\t\"c\":\t\"d\"\n\t\t}],\n\t\"e\":\t{\n\t}\n}"
        );
    }
}
