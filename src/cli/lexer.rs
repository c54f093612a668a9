//! Words of a command line and lines of an options file, turned into words clap reads.
//!
//! mosquitto's grammar is not clap's: options are exact words, `-D` takes three or four words that
//! may begin with a dash, every value is judged where it stands (so the leftmost mistake is the one
//! told), and `-L` means five options at once. The lexer knows this from the rows in `words.rs` and
//! puts `--name=value` words, already judged, for clap. Under the name `mqttx` it also takes
//! `--name=value` and our own long names, and refuses numbers that are not numbers.

use std::ffi::{OsStr, OsString};

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::Program;
use crate::cli::error::Error;
use crate::cli::layers;
use crate::cli::layers::{Saved, Sources};
use crate::cli::number;
use crate::cli::property;
use crate::cli::words::aliases;
use crate::cli::words::aliases::Means;
use crate::cli::words::{Group, Row, Take, Verdict, rows};

/// What a line of words asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lexed {
    Words(Vec<OsString>),
    Help,
    Version,
    /// `--print-config`: the text.
    Config(String),
    /// `--save-profile`.
    Save(Saved),
}

/// The clean words so far, and what must be remembered between options.
pub(crate) struct Clean {
    pub(crate) caller: Caller,
    pub(crate) words: Vec<OsString>,
    /// Words that were put before all others.
    puts_first: usize,
    pub(crate) profile: Option<String>,
    pub(crate) save: Option<String>,
    pub(crate) is_config_asked: bool,
    payload_taken: bool,
    id: bool,
    id_prefix: bool,
}

impl Clean {
    pub(crate) fn new(caller: Caller) -> Self {
        Self {
            caller,
            words: Vec::with_capacity(16),
            puts_first: 0,
            profile: None,
            save: None,
            is_config_asked: false,
            payload_taken: false,
            id: false,
            id_prefix: false,
        }
    }

    pub(crate) fn put(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let value = value.as_ref();
        let mut word = OsString::with_capacity(3 + name.len() + value.len());
        word.push("--");
        word.push(name);
        word.push("=");
        word.push(value);
        self.words.push(word);
    }

    /// Before all others, so that any other word of that name wins.
    pub(crate) fn put_first(&mut self, name: &str, value: impl std::fmt::Display) {
        self.words.insert(0, format!("--{name}={value}").into());
        self.puts_first += 1;
    }

    pub(crate) fn flag(&mut self, name: &str) {
        self.words.push(format!("--{name}").into());
    }
}

/// The file `-o` names, found wherever it stands, since it is read before all other options.
pub fn options_file(caller: Caller, words: &[OsString]) -> Result<Option<&OsStr>, Error> {
    let ours = caller.manner == Manner::Mqttx;
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        if word != "-o" && !(ours && word == "--options-file") {
            continue;
        }
        if found.is_some() {
            return Err(Error::usage(Verdict::spaced(
                "Duplicate -o argument given.",
            )));
        }
        let Some(next) = words.get(at + 1) else {
            return Err(Error::usage(Verdict::spaced(
                "-o argument given but no options file specified.",
            )));
        };
        found = Some(next.as_os_str());
    }
    Ok(found)
}

/// Where the options end and what they are for begins: the first word that is neither an option
/// nor the value of one.
pub(crate) fn operands_at(caller: Caller, words: &[OsString]) -> usize {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let bytes = word.as_encoded_bytes();
        if !bytes.starts_with(b"-") {
            return at;
        }
        // A word that is no option is for the walk to complain about.
        let Ok((row, joined)) = find(caller, word) else {
            return words.len();
        };
        let pair = words
            .get(at + 2)
            .is_some_and(|name| property::is_pair(name));
        at += match row.take {
            Take::Property => 4 + usize::from(pair),
            _ if row.takes_value() && joined.is_none() => 2,
            _ => 1,
        };
    }
    words.len()
}

/// Reads the options file first, then the command line over it; between them, under our own name,
/// profile and environment.
pub(crate) fn lex(caller: Caller, words: &[OsString], sources: &Sources) -> Result<Lexed, Error> {
    let mut clean = Clean::new(caller);
    for line in sources.file.split(|&byte| byte == b'\n') {
        let pair = file_line(line);
        if let Some(early) = walk(&mut clean, &pair)? {
            return Ok(early);
        }
    }
    let of_file = clean.words.len() - clean.puts_first;
    match walk(&mut clean, words)? {
        Some(early) => Ok(early),
        None if caller.manner == Manner::Mosquitto => Ok(Lexed::Words(clean.words)),
        None => {
            let mark = clean.puts_first + of_file;
            layers::merge(clean, mark, sources)
        }
    }
}

/// One line of an options file: the first run of spaces separates the option from its value, which
/// is the rest of the line, unquoted.
fn file_line(line: &[u8]) -> Vec<OsString> {
    let end = line
        .iter()
        .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
        .map_or(0, |at| at + 1);
    let line = &line[..end];
    if line.first() == Some(&b'#') {
        return Vec::new();
    }
    let start = line
        .iter()
        .position(|&byte| byte != b' ')
        .unwrap_or(line.len());
    let line = &line[start..];
    if line.is_empty() {
        return Vec::new();
    }
    match line.iter().position(|&byte| byte == b' ') {
        Some(space) if space + 1 < line.len() => {
            vec![os_string(&line[..space]), os_string(&line[space + 1..])]
        }
        Some(space) => vec![os_string(&line[..space])],
        None => vec![os_string(line)],
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(bytes).to_owned()
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(crate) fn walk(clean: &mut Clean, words: &[OsString]) -> Result<Option<Lexed>, Error> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" && is_command_due(clean.caller) {
            clean.words.extend(words[at..].iter().cloned());
            return Ok(None);
        }
        if clean.caller.manner == Manner::Mqttx
            && let Some(taken) = alias(clean, words, at)?
        {
            at += taken;
            continue;
        }
        let (row, joined) = find(clean.caller, word)?;
        guard(clean, row)?;
        match row.take {
            Take::Help => return Ok(Some(Lexed::Help)),
            Take::Version => return Ok(Some(Lexed::Version)),
            Take::Flag => clean.flag(row.name()),
            Take::Means(means) => means(clean),
            Take::Property => {
                at += property_words(clean, joined, &words[at + 1..])?;
            }
            Take::Joined(usual, _) if joined.is_none() => clean.put(row.name(), usual),
            _ => {
                let value = match &joined {
                    Some(value) => value.as_os_str(),
                    None if at + 1 == words.len() && may_be_asked(clean.caller, row) => {
                        clean.flag("ask-password");
                        return Ok(None);
                    }
                    None => {
                        at += 1;
                        words.get(at).ok_or_else(|| missing(clean.caller, row))?
                    }
                };
                take(clean, row, value).map_err(Error::usage)?;
            }
        }
        mark(clean, row);
        at += 1;
    }
    Ok(None)
}

/// Walks what a word of MQTTX CLI stands for; returns how many words that took.
fn alias(clean: &mut Clean, words: &[OsString], at: usize) -> Result<Option<usize>, Error> {
    let Some(alias) = aliases::find(clean.caller, &words[at]) else {
        return Ok(None);
    };
    let shown = words[at].to_string_lossy();
    let behind = &words[at + 1..];
    let (mut spelled, mut taken) = alias.spell(&shown, behind).map_err(Error::usage)?;
    // The value of another option's name is judged, and missed, by that option.
    let is_valued = |name| rows().any(|row| row.long == name && row.takes_value());
    if let Means::Option(name) = alias.means
        && is_valued(name)
    {
        taken = behind.len().min(1);
        spelled.extend_from_slice(&behind[..taken]);
    }
    walk(clean, &spelled)?;
    Ok(Some(1 + taken))
}

/// `-P` at the end of the line: the password is asked for on the terminal.
fn may_be_asked(caller: Caller, row: &Row) -> bool {
    caller.manner == Manner::Mqttx && row.long == "--pw"
}

/// Whether `-- COMMAND …` may end the line.
fn is_command_due(caller: Caller) -> bool {
    caller.manner == Manner::Mqttx && caller.program == Program::Subscribe
}

/// The value is missing. Whoever types a lone `-h` most likely wants help.
fn missing(caller: Caller, row: &Row) -> Error {
    let error = Error::usage(row.missing());
    if row.short == "-h" {
        error.hint(format!("{} --help", caller.name()))
    } else {
        error
    }
}

/// The row a word names; for `--name=value`, the value too.
fn find(caller: Caller, word: &OsStr) -> Result<(&'static Row, Option<OsString>), Error> {
    let bytes = word.as_encoded_bytes();
    let ours = caller.manner == Manner::Mqttx;
    if let Some(row) = rows().find(|row| spelled(row, bytes, ours) && takes(row, caller)) {
        return Ok((row, None));
    }
    if ours
        && bytes.starts_with(b"--")
        && let Some(equals) = bytes.iter().position(|&byte| byte == b'=')
    {
        let row = rows().find(|row| row.long.as_bytes() == &bytes[..equals]);
        if let Some(row) = row.filter(|row| takes(row, caller)) {
            if !row.takes_value() {
                return Err(Error::usage(Verdict::spaced(format!(
                    "{} takes no value.",
                    row.long
                ))));
            }
            return Ok((row, Some(os_string(&bytes[equals + 1..]))));
        }
    }
    Err(unknown(caller, word))
}

fn spelled(row: &Row, bytes: &[u8], ours: bool) -> bool {
    (!row.short.is_empty() && row.short.as_bytes() == bytes)
        || ((row.long_is_theirs || ours) && row.long.as_bytes() == bytes)
}

/// Whether the program knows this option, under the name it was called by.
pub(crate) fn takes(row: &Row, caller: Caller) -> bool {
    // mosquitto's clients know -S only where they were built so, and so do ours.
    let is_built = cfg!(feature = "srv") || caller.manner == Manner::Mqttx || row.short != "-S";
    row.programs & caller.program.bit() != 0 && is_built
}

fn unknown(caller: Caller, word: &OsStr) -> Error {
    let shown = word.to_string_lossy();
    let mut error =
        Error::usage(Verdict::tight(format!("Unknown option '{shown}'."))).culprit(word);
    if caller.manner == Manner::Mosquitto {
        return error;
    }
    if !shown.starts_with('-') {
        error.hint = Some(format!(
            "options start with a dash; for help: {} --help",
            caller.name()
        ));
        return error;
    }
    let name = shown.split('=').next().unwrap_or_default();
    let known = rows().filter(|row| takes(row, caller)).map(|row| row.long);
    let nearest = known
        .map(|long| (distance(name, long), long))
        .min()
        .filter(|&(far, _)| far <= 2 && far * 3 <= name.len());
    error.hint = error
        .hint
        .or_else(|| nearest.map(|(_, long)| long.to_owned()));
    error
}

/// Edits between two words: enough to guess what was meant, never used to accept it.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, &b) in other.iter().enumerate() {
            let change = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

/// Conflicts are told before a missing value is.
fn guard(clean: &Clean, row: &Row) -> Result<(), Error> {
    let sentence = match row.group {
        Group::Payload if clean.payload_taken => "Only one type of message can be sent at once.",
        Group::Id if clean.id_prefix => "-i and -I argument cannot be used together.",
        Group::IdPrefix if clean.id => "-i and -I argument cannot be used together.",
        _ => return Ok(()),
    };
    Err(Error::usage(Verdict::spaced(sentence)))
}

fn mark(clean: &mut Clean, row: &Row) {
    match row.group {
        Group::None => {}
        Group::Payload => clean.payload_taken = true,
        Group::Id => clean.id = true,
        Group::IdPrefix => clean.id_prefix = true,
    }
}

fn take(clean: &mut Clean, row: &Row, value: &OsStr) -> Result<(), Verdict> {
    match row.take {
        Take::Bytes => clean.put(row.name(), value),
        Take::Text => clean.put(row.name(), utf8(row, value)?),
        Take::Whole(least, most, wrong) => {
            let text = utf8(row, value)?;
            let number = match clean.caller.manner {
                Manner::Mosquitto => i64::from(number::leading_i32(text)),
                Manner::Mqttx => text.parse().map_err(|_| not_a_number(row, text))?,
            };
            if !(least..=most).contains(&number) {
                return Err(wrong(number));
            }
            clean.put(row.name(), number.to_string());
        }
        Take::Checked(check) | Take::Joined(_, check) => {
            let text = utf8(row, value)?;
            check(text).map_err(|told| Verdict::spaced(format!("{}: {told}", row.long)))?;
            clean.put(row.name(), text);
        }
        Take::Judge(judge) => judge(clean, utf8(row, value)?)?,
        Take::OptionsFile => {}
        Take::Flag | Take::Means(_) | Take::Property | Take::Help | Take::Version => {
            unreachable!("these take no single value");
        }
    }
    Ok(())
}

fn not_a_number(row: &Row, text: &str) -> Verdict {
    Verdict::spaced(format!(
        "{} needs a whole number, not '{text}'.",
        row.shown()
    ))
}

fn utf8<'a>(row: &Row, value: &'a OsStr) -> Result<&'a str, Verdict> {
    value
        .to_str()
        .ok_or_else(|| Verdict::spaced(format!("Malformed UTF-8 in {} argument.", row.shown())))
}

/// Joins the words of `-D` with U+0000, which no argument can hold, into one word for clap.
fn property_words(
    clean: &mut Clean,
    joined: Option<OsString>,
    rest: &[OsString],
) -> Result<usize, Error> {
    let mut words: Vec<&str> = Vec::with_capacity(4);
    let first = joined.as_deref().map(|word| vec![word]).unwrap_or_default();
    let mut source = first
        .into_iter()
        .chain(rest.iter().map(OsString::as_os_str));
    let mut due = 3;
    while words.len() < due {
        let word = source.next().ok_or_else(|| {
            Error::usage(Verdict::spaced(
                "--property argument given but not enough arguments specified.",
            ))
        });
        // A command or name that is wrong is told before a later word is missed, but three words
        // must be there at all.
        let word = match word {
            Ok(word) => word,
            Err(error) if words.len() < 3 => return Err(error),
            Err(error) => {
                property::judge_names(words[0], words[1]).map_err(Error::usage)?;
                return Err(error);
            }
        };
        let word = word.to_str().ok_or_else(|| {
            Error::usage(Verdict::spaced("Malformed UTF-8 in --property argument."))
        })?;
        words.push(word);
        if words.len() == 2 && property::is_pair(words[1].as_ref()) {
            due = 4;
        }
    }
    property::judge(&words).map_err(Error::usage)?;
    clean.put("property", words.join("\0"));
    clean.put("protocol-version", "mqttv5");
    Ok(words.len() - usize::from(joined.is_some()))
}

#[cfg(test)]
mod tests;
