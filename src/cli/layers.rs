//! Where options come from besides the command line, and which of them count.
//!
//! ```text
//! command line  >  MQTTX_… of the environment  >  --profile  >  options file  >  default
//! ```
//!
//! An option of a higher layer puts aside the same option below, and its rivals: `-m` on the command
//! line puts aside a `file` of the profile. Between the options file and the command line mosquitto's
//! rules hold. Texts arrive as values: reading them is up to `commands`.

use std::ffi::{OsStr, OsString};

use toml_edit::{DocumentMut, Item, Value};

use crate::cli::Caller;
use crate::cli::Program;
use crate::cli::error::{Error, Kind};
use crate::cli::lexer;
use crate::cli::lexer::{Clean, Lexed};
use crate::cli::property;
use crate::cli::words::aliases::{ALIASES, Means};
use crate::cli::words::reach::{is_secret_header, split_header};
use crate::cli::words::{Row, Take, Verdict, rows};

/// What was found besides the command line.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The text of the options file.
    pub file: Vec<u8>,
    /// Variables whose names begin with [`PREFIX`].
    pub environment: Vec<(String, OsString)>,
    /// The path of the file of profiles, as it is told, and its text; none if there is none.
    pub profiles: Option<(String, String)>,
}

/// Every long option is read from the variable of its name in capitals behind this.
pub const PREFIX: &str = "MQTTX_";

/// Options that displace each other.
const RIVALS: &[&[&str]] = &[
    &[
        "message",
        "file",
        "null-message",
        "stdin-file",
        "stdin-line",
    ],
    &["id", "id-prefix"],
    &["pw", "password-file", "password-env", "ask-password"],
    &["host", "unix"],
];

/// Options that may stand more than once; several lines of a variable are several of them.
const REPEATED: &[&str] = &[
    "topic",
    "filter-out",
    "unsubscribe",
    "ws-header",
    "property",
    "expect",
    "expect-json",
    "expect-regex",
    "reject-regex",
    "map",
    "decode",
    "select",
];

/// What is not told, and not written to a file.
const SECRETS: &[&str] = &["pw", "psk"];

pub(crate) fn repeats(caller: Caller, name: &str) -> bool {
    // Who publishes has one topic.
    let one_topic = matches!(caller.program, Program::Publish | Program::Request);
    REPEATED.contains(&name) && !(name == "topic" && one_topic)
}

/// One clean word, and where it comes from.
struct Word {
    word: OsString,
    from: From,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Line,
    Environment,
    Profile,
}

/// Reads the profile and the environment and puts their words under those of the command line.
/// `line` holds the clean words of options file and command line, the latter from `mark` on.
pub(crate) fn merge(clean: Clean, mark: usize, sources: &Sources) -> Result<Lexed, Error> {
    let caller = clean.caller;
    let profile = clean.profile.clone().or_else(|| of_environment(sources));
    let above = clean.words.get(mark..).unwrap_or_default();
    let environment = environment(caller, sources)?;
    let environment = under(environment, above);
    let mut lowest = match &profile {
        Some(name) => under(of_profile(caller, sources, name)?, above),
        None => Vec::new(),
    };
    lowest = under(lowest, &environment);
    let from = |from| move |word| Word { word, from };
    let mut line = clean.words.into_iter().map(from(From::Line));
    let mut words: Vec<Word> = line.by_ref().take(mark).collect();
    words.extend(lowest.into_iter().map(from(From::Profile)));
    words.extend(environment.into_iter().map(from(From::Environment)));
    words.extend(line);
    if clean.is_config_asked {
        return Ok(Lexed::Config(told(&settled(caller, &words))));
    }
    if let Some(name) = clean.save {
        if words.iter().any(|word| word.word == "--") {
            let told = "A command cannot be saved in a profile.";
            return Err(Error::usage(Verdict::tight(told)));
        }
        return Ok(Lexed::Save(saved(settled(caller, &words), name, sources)?));
    }
    Ok(Lexed::Words(
        words.into_iter().map(|word| word.word).collect(),
    ))
}

/// The profile that is asked for, if one is: its file must be read before [`merge`].
pub(crate) fn of_environment(sources: &Sources) -> Option<String> {
    let found = sources
        .environment
        .iter()
        .find(|(name, _)| name == "MQTTX_PROFILE");
    let name = found?.1.to_str()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// The words that none of those above puts aside.
fn under(words: Vec<OsString>, above: &[OsString]) -> Vec<OsString> {
    let end = above.iter().position(|word| word == "--");
    let above = &above[..end.unwrap_or(above.len())];
    let gives_way = |word: &OsString| {
        let name = name(word);
        let rivals = RIVALS.iter().find(|rivals| rivals.contains(&&*name));
        above.iter().any(|other| {
            let other = self::name(other);
            other == name || rivals.is_some_and(|rivals| rivals.contains(&&*other))
        })
    };
    words.into_iter().filter(|word| !gives_way(word)).collect()
}

/// The name in a clean word.
fn name(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let text = text.trim_start_matches('-');
    text.split('=').next().unwrap_or_default().to_owned()
}

fn environment(caller: Caller, sources: &Sources) -> Result<Vec<OsString>, Error> {
    let mut clean = Clean::new(caller);
    for (variable, value) in &sources.environment {
        let name = variable.strip_prefix(PREFIX).unwrap_or_default();
        let name = name.to_ascii_lowercase().replace('_', "-");
        let Some(row) = row(&name).filter(|row| !is_of_the_line(row)) else {
            // Not every variable of that beginning is an option.
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let values = match value.to_str() {
            Some(text) if repeats(caller, row.name()) => {
                text.lines().map(|line| vec![line.into()]).collect()
            }
            _ => vec![vec![value.clone()]],
        };
        lex(&mut clean, row, &values, variable)?;
    }
    Ok(clean.words)
}

/// The option of this name, MQTTX CLI's word for it counting too.
fn row(name: &str) -> Option<&'static Row> {
    let meant = ALIASES.iter().find_map(|alias| match alias.means {
        Means::Option(option)
            if alias
                .words
                .iter()
                .any(|w| w.strip_prefix("--") == Some(name)) =>
        {
            Some(option)
        }
        _ => None,
    });
    rows().find(|row| row.name() == name || Some(row.long) == meant)
}

/// What makes sense on the command line only.
fn is_of_the_line(row: &Row) -> bool {
    matches!(row.take, Take::Help | Take::Version | Take::OptionsFile)
        || ["profile", "save-profile", "print-config", "ask-password"].contains(&row.name())
}

/// Hands values to the lexer as the words they stand for.
fn lex(clean: &mut Clean, row: &Row, values: &[Vec<OsString>], label: &str) -> Result<(), Error> {
    if row.programs & clean.caller.program.bit() == 0 {
        return Ok(());
    }
    for value in values {
        let mut words = vec![OsString::from(row.long)];
        match (value.as_slice(), &row.take) {
            (all, Take::Property) => words.extend(property_words(all)),
            ([one], _) if !row.takes_value() => match one.to_str().map(str::to_ascii_lowercase) {
                Some(text) if ["1", "true", "yes", "on"].contains(&&*text) => {}
                Some(text) if ["0", "false", "no", "off"].contains(&&*text) => continue,
                _ => {
                    let told = format!("{label}: true or false, not '{}'", one.display());
                    return Err(Error::usage(Verdict::tight(told)));
                }
            },
            (all, _) => words.extend(all.iter().cloned()),
        }
        lexer::walk(clean, &words).map_err(|error| error.labelled(label))?;
    }
    Ok(())
}

/// Packet, name, and the rest as the value; of a user property the third word is its key.
fn property_words(value: &[OsString]) -> Vec<OsString> {
    let [one] = value else {
        return value.to_vec();
    };
    let text = one.to_string_lossy();
    let count = match text.split_whitespace().nth(1) {
        Some(name) if property::is_pair(name.as_ref()) => 4,
        _ => 3,
    };
    text.splitn(count, ' ').map(OsString::from).collect()
}

fn of_profile(caller: Caller, sources: &Sources, name: &str) -> Result<Vec<OsString>, Error> {
    let Some((path, text)) = &sources.profiles else {
        let told = format!("there is no profile '{name}': no file of profiles is there");
        return Err(Error::new(Kind::Failed, told)
            .hint(format!("{} … --save-profile {name}", caller.name())));
    };
    let document = read(path, text)?;
    let Some(table) = document.get(name).and_then(Item::as_table_like) else {
        let known: Vec<&str> = document.iter().map(|(name, _)| name).collect();
        let told = format!("there is no profile '{name}' in {path}");
        return Err(Error::new(Kind::Failed, told).hint(format!("--profile {}", known.join(" | "))));
    };
    let mut clean = Clean::new(caller);
    for (key, item) in table.iter() {
        let label = format!("profile '{name}': {key}");
        let Some(row) = row(key).filter(|row| !is_of_the_line(row)) else {
            let told = format!("{label}: no option of that name can stand in a profile");
            return Err(Error::usage(Verdict::tight(told)));
        };
        let values = item.as_value().and_then(values).ok_or_else(|| {
            let told = format!("{label}: text, a number, true, false, or a list of them is due");
            Error::usage(Verdict::tight(told))
        })?;
        lex(&mut clean, row, &values, &label)?;
    }
    Ok(clean.words)
}

fn read(path: &str, text: &str) -> Result<DocumentMut, Error> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let line = error.span().map_or(0, |span| {
            text[..span.start.min(text.len())].lines().count().max(1)
        });
        let what = error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Error::new(Kind::Failed, format!("{path}:{line}: {what}"))
    })
}

/// Each value, in as many words as it has: a list inside a list is one `-D`.
fn values(value: &Value) -> Option<Vec<Vec<OsString>>> {
    match value {
        Value::Array(list) => list
            .iter()
            .map(|value| match value {
                Value::Array(words) => words.iter().map(scalar).collect(),
                one => scalar(one).map(|word| vec![word]),
            })
            .collect(),
        one => scalar(one).map(|word| vec![vec![word]]),
    }
}

fn scalar(value: &Value) -> Option<OsString> {
    Some(match value {
        Value::String(text) => text.value().into(),
        Value::Integer(number) => number.value().to_string().into(),
        Value::Float(number) => number.value().to_string().into(),
        Value::Boolean(is_on) => is_on.value().to_string().into(),
        _ => return None,
    })
}

/// `--print-config`: what counts, and where it was said.
fn told(settled: &[Settled]) -> String {
    let mut out = String::new();
    for Settled { name, values, from } in settled {
        let values: Vec<String> = values.iter().map(|value| masked(name, value)).collect();
        let value = item(name, &values).to_string();
        let from = match from {
            From::Line => "command line or options file",
            From::Environment => "environment",
            From::Profile => "profile",
        };
        out.push_str(&format!("{name} = {}  # {from}\n", value.trim()));
    }
    out
}

/// An option with the values that count.
struct Settled {
    name: String,
    values: Vec<String>,
    from: From,
}

/// Each option once, with the values that count.
fn settled(caller: Caller, words: &[Word]) -> Vec<Settled> {
    let mut found: Vec<Settled> = Vec::new();
    for Word { word, from } in words.iter().take_while(|word| word.word != "--") {
        let text = word.to_string_lossy();
        let (_, value) = text.split_once('=').unwrap_or((&text, "true"));
        let (name, value) = as_typed(name(word), value);
        match found.iter_mut().find(|known| known.name == name) {
            Some(known) if repeats(caller, &name) => known.values.push(value),
            Some(known) => {
                known.values = vec![value];
                known.from = *from;
            }
            None => found.push(Settled {
                name,
                values: vec![value],
                from: *from,
            }),
        }
    }
    found
}

/// The lexer hands some values on in other units, or with a letter for their kind.
fn as_typed(name: String, value: &str) -> (String, String) {
    let number = || value.parse::<f64>().unwrap_or_default();
    let value = match (&*name, value.split_at_checked(1)) {
        ("random-filter", _) => (number() / 10.0).to_string(),
        ("repeat-delay", _) => (number() / 1.0e6).to_string(),
        ("expect", Some(("j", json))) => return ("expect-json".to_owned(), json.to_owned()),
        ("expect", Some(("r", regex))) => return ("expect-regex".to_owned(), regex.to_owned()),
        ("expect", Some((_, text))) => text.to_owned(),
        _ => value.to_owned(),
    };
    (name, value)
}

fn masked(name: &str, value: &str) -> String {
    const MASK: &str = "****";
    if SECRETS.contains(&name) {
        return MASK.to_owned();
    }
    if name == "ws-header"
        && let Some((header, _)) = split_header(value)
        && is_secret_header(header)
    {
        return format!("{header}: {MASK}");
    }
    match (name, value.split_once("://"), value.rsplit_once('@')) {
        ("proxy", Some((scheme, _)), Some((login, host))) => {
            let user = login[scheme.len() + 3..]
                .split(':')
                .next()
                .unwrap_or_default();
            format!("{scheme}://{user}:{MASK}@{host}")
        }
        _ => value.to_owned(),
    }
}

/// One value stands alone, but the words of a property are a list in any case.
fn item(name: &str, values: &[String]) -> Value {
    match values {
        [value] if name != "property" => to_value(name, value),
        _ => Value::Array(values.iter().map(|value| to_value(name, value)).collect()),
    }
}

/// A value as TOML: a flag and a number bare, the words of a property as a list.
fn to_value(name: &str, value: &str) -> Value {
    let row = rows().find(|row| row.name() == name);
    match row.map(|row| (&row.take, row.takes_value())) {
        Some((Take::Property, _)) => Value::Array(value.split('\0').collect()),
        Some((_, false)) => Value::from(value == "true"),
        Some((Take::Whole(..), _)) => match value.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(value),
        },
        _ => Value::from(value),
    }
}

/// What `--save-profile` writes, and what it keeps to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub profile: String,
    /// The whole new text of the file.
    pub text: String,
    pub left_out: Vec<String>,
}

fn saved(settled: Vec<Settled>, profile: String, sources: &Sources) -> Result<Saved, Error> {
    let (path, text) = sources.profiles.clone().unwrap_or_default();
    let mut document = read(&path, &text)?;
    let mut table = toml_edit::Table::new();
    let mut left_out = Vec::new();
    for Settled { name, values, .. } in settled {
        if values.iter().any(|value| masked(&name, value) != *value) {
            left_out.push(name);
            continue;
        }
        table.insert(&name, Item::Value(item(&name, &values)));
    }
    document.insert(&profile, Item::Table(table));
    Ok(Saved {
        profile,
        text: document.to_string(),
        left_out,
    })
}
