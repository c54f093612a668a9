//! Expectations about payloads, and whether what comes meets them.
//!
//! A message meets the first open expectation it fits, so `--expect on --expect on` wants two. With
//! `in_order` only the next one counts, and a message that fits a later one came too early. What fits
//! none is let pass. Knows nothing of connections, and never waits.

use regex_lite::Regex;
use serde_json::Value;

use crate::cli::format::put_shown;

/// Characters of a payload shown in a sentence.
const SHOWN_MAX: usize = 120;

/// One thing a payload must be.
#[derive(Clone, Debug)]
pub enum Expectation {
    Text(String),
    /// Objects must hold at least these members, arrays exactly these items.
    Json(Value),
    Regex(Regex),
}

impl Expectation {
    /// Reads what the lexer handed on: `=text`, `jJSON` or `rREGEX`.
    pub fn unpack(packed: &str) -> Result<Self, String> {
        let value = packed.get(1..).unwrap_or_default();
        match packed.chars().next() {
            Some('j') => serde_json::from_str(value)
                .map(Self::Json)
                .map_err(|error| format!("'{value}' is no JSON: {error}")),
            Some('r') => Regex::new(value)
                .map(Self::Regex)
                .map_err(|error| format!("'{value}' is no regular expression: {error}")),
            _ => Ok(Self::Text(value.to_owned())),
        }
    }

    fn fits(&self, payload: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.as_bytes() == payload,
            Self::Json(part) => {
                serde_json::from_slice(payload).is_ok_and(|whole: Value| contains(&whole, part))
            }
            Self::Regex(regex) => regex.is_match(&String::from_utf8_lossy(payload)),
        }
    }

    /// As it was typed.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("--expect '{}'", show(text.as_bytes())),
            Self::Json(part) => format!("--expect-json '{}'", show(part.to_string().as_bytes())),
            Self::Regex(regex) => format!("--expect-regex '{regex}'"),
        }
    }
}

/// Whether `whole` has everything that stands in `part`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(whole, part)| contains(whole, part))
        }
        // 1 and 1.0 are the same number.
        (Value::Number(whole), Value::Number(part)) => {
            whole == part || whole.as_f64() == part.as_f64()
        }
        _ => whole == part,
    }
}

/// A payload in a sentence: one line, no control characters, not too long.
pub fn show(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    let mut shown = String::new();
    let letters = text.chars().take(SHOWN_MAX);
    letters.for_each(|letter| put_shown(letter, &mut shown));
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// What a message was to those who wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgment {
    Fine,
    /// The sentence of a failure that nothing can mend any more.
    Wrong(String),
}

/// All that is expected, and how much of it has come.
#[derive(Clone, Debug)]
pub struct Expectations {
    wanted: Vec<(Expectation, bool)>,
    in_order: bool,
    rejected: Vec<Regex>,
}

impl Expectations {
    pub fn new(wanted: Vec<Expectation>, in_order: bool, rejected: Vec<Regex>) -> Self {
        Self {
            wanted: wanted.into_iter().map(|one| (one, false)).collect(),
            in_order,
            rejected,
        }
    }

    /// Whether no payload needs to be looked at.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.rejected.is_empty()
    }

    /// Whether something must come.
    pub fn wants_some(&self) -> bool {
        !self.wanted.is_empty()
    }

    pub fn are_met(&self) -> bool {
        self.wanted.iter().all(|(_, is_met)| *is_met)
    }

    pub fn judge(&mut self, payload: &[u8]) -> Judgment {
        if !self.rejected.is_empty() {
            let text = String::from_utf8_lossy(payload);
            if let Some(regex) = self.rejected.iter().find(|regex| regex.is_match(&text)) {
                let shown = show(payload);
                return Judgment::Wrong(format!("--reject-regex '{regex}' matches: {shown}"));
            }
        }
        let mut open = self.wanted.iter_mut().filter(|(_, is_met)| !is_met);
        if !self.in_order {
            if let Some((_, is_met)) = open.find(|(wanted, _)| wanted.fits(payload)) {
                *is_met = true;
            }
            return Judgment::Fine;
        }
        match open.next() {
            Some((next, is_met)) if next.fits(payload) => *is_met = true,
            Some((next, _)) => {
                if let Some((early, _)) = open.find(|(wanted, _)| wanted.fits(payload)) {
                    return Judgment::Wrong(format!(
                        "{} came before {}",
                        early.shown(),
                        next.shown()
                    ));
                }
            }
            None => {}
        }
        Judgment::Fine
    }

    /// `1 of 2 expectations met, not --expect 'on'`, or nothing when nothing was expected.
    pub fn progress(&self) -> Option<String> {
        let (_, met): (Vec<_>, Vec<_>) = self.wanted.iter().partition(|(_, is_met)| !is_met);
        let (first, _) = self.wanted.iter().find(|(_, is_met)| !is_met)?;
        Some(format!(
            "{} of {} expectations met, not {}",
            met.len(),
            self.wanted.len(),
            first.shown()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectations(packed: &[&str], in_order: bool) -> Expectations {
        let wanted = packed.iter().map(|one| Expectation::unpack(one).unwrap());
        Expectations::new(wanted.collect(), in_order, Vec::new())
    }

    #[test]
    fn a_part_of_json() {
        for (part, whole, fits) in [
            (r#"{"ok":true}"#, r#"{"ok":true,"n":1}"#, true),
            (r#"{"ok":true}"#, r#"{"ok":1}"#, false),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":1.0,"c":2},"d":[]}"#, true),
            (r#"{"a":[{"b":1}]}"#, r#"{"a":[{"b":1,"c":2}]}"#, true),
            (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, false),
            ("{}", "[]", false),
            ("3", "3", true),
            ("{}", "no json", false),
        ] {
            let wanted = Expectation::unpack(&format!("j{part}")).unwrap();
            assert_eq!(wanted.fits(whole.as_bytes()), fits, "{part} in {whole}");
        }
    }

    #[test]
    fn each_message_meets_one_expectation() {
        let mut two = expectations(&["=on", "=on"], false);
        assert_eq!(two.judge(b"off"), Judgment::Fine);
        assert_eq!(two.judge(b"on"), Judgment::Fine);
        assert!(!two.are_met());
        assert_eq!(
            two.progress().as_deref(),
            Some("1 of 2 expectations met, not --expect 'on'")
        );
        two.judge(b"on");
        assert!(two.are_met());
        assert_eq!(two.progress(), None);
    }

    #[test]
    fn order() {
        let mut any = expectations(&["=a", "rb+"], false);
        any.judge(b"xbbx");
        any.judge(b"a");
        assert!(any.are_met());
        let mut strict = expectations(&["=a", "rb+"], true);
        assert_eq!(strict.judge(b"c"), Judgment::Fine);
        assert_eq!(
            strict.judge(b"xbbx"),
            Judgment::Wrong("--expect-regex 'b+' came before --expect 'a'".to_owned())
        );
        let mut strict = expectations(&["=a", "=b"], true);
        for payload in ["a", "a", "b", "a"] {
            assert_eq!(strict.judge(payload.as_bytes()), Judgment::Fine);
        }
        assert!(strict.are_met());
    }

    #[test]
    fn payloads_in_sentences() {
        assert_eq!(show(b"a\x1b[2J\nb"), "a\\x1b[2J\\nb");
        assert_eq!(show("ä".repeat(200).as_bytes()).chars().count(), 121);
        assert!(Expectation::unpack("j{").is_err());
        assert!(Expectation::unpack("r(").is_err());
    }
}
