//! The language of `tests/spec/*.txt`: text in, cases out. `tests/spec/README.md` describes it for writers.
//!
//! Words are cut and unescaped here; variables are put in when a case runs.

use crate::spec::wire::Version;

/// One file's cases, in order.
pub(crate) struct Case {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The number of the normative statement, or the section of the 3.1 specification.
    pub(crate) rule: String,
    pub(crate) title: String,
    pub(crate) versions: Vec<Version>,
    /// Rows of variables: the case runs once for each; one empty row when it has none.
    pub(crate) rows: Vec<Vec<(String, Vec<u8>)>>,
    /// Settings of the broker other than the usual ones: see `settings`.
    pub(crate) wants: Option<String>,
    /// Why mosquitto does something else, where it does.
    pub(crate) differs_mosquitto: Option<String>,
    /// What our own broker still does wrong here: the case is run and told, and fails nothing.
    pub(crate) open: Option<String>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) act: Act,
}

pub(crate) enum Act {
    /// What one of the peers does or sees: more than one name means whichever of them it happens to.
    Peer {
        peers: Vec<String>,
        verb: String,
        words: Vec<Word>,
    },
    After(std::time::Duration),
    /// Goes on only where a number read before is in a range.
    Needs {
        name: String,
        range: String,
    },
    AnyOrder(Vec<Step>),
    /// What is sent inside leaves in one write.
    Together(Vec<Step>),
    Repeat {
        count: Word,
        name: String,
        steps: Vec<Step>,
    },
}

/// `key=value`, `key=>capture`, or a bare value. Values are templates: `~` and `{name}` are still inside.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) key: Option<String>,
    pub(crate) value: Vec<Piece>,
    pub(crate) captures: bool,
}

/// Part of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// `~`: the case's own prefix of topics and client ids.
    Namespace,
    /// `{name}` or `{name+1}`.
    Variable(String, u64),
    /// `{x*70000}`: so many of that byte.
    Many(u8, usize),
}

pub(crate) const VERBS: &[&str] = &[
    "open",
    "connect",
    "send",
    "send-hex",
    "send-body",
    "expect",
    "closes",
    "subscribe",
    "unsubscribe",
    "publish",
    "receive",
    "disconnect",
    "drop",
    "reset",
    "ping",
    "received",
];

pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut lines = Lines {
        file,
        rest: text.lines().enumerate().collect(),
        at: 0,
    };
    let mut versions = Vec::new();
    let mut cases = Vec::new();
    while let Some((line, text)) = lines.next() {
        if let Some(list) = text.strip_prefix("versions ") {
            versions = version_list(list).ok_or_else(|| lines.fault(line, "unknown version"))?;
        } else if let Some(name) = text.strip_prefix("case ") {
            cases.push(case(&mut lines, line, name, &versions)?);
        } else {
            return Err(lines.fault(line, "neither `case` nor `versions`"));
        }
    }
    Ok(cases)
}

/// The lines that say something: blank ones and comments are passed over.
struct Lines<'a> {
    file: &'a str,
    rest: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn peek(&mut self) -> Option<(usize, &'a str)> {
        while let Some((index, text)) = self.rest.get(self.at) {
            let text = text.trim();
            if !text.is_empty() && !text.starts_with('#') {
                return Some((index + 1, text));
            }
            self.at += 1;
        }
        None
    }

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let found = self.peek();
        self.at += 1;
        found
    }

    fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.file)
    }
}

fn version_list(text: &str) -> Option<Vec<Version>> {
    text.split_whitespace().map(Version::from_name).collect()
}

fn case(
    lines: &mut Lines<'_>,
    line: usize,
    name: &str,
    versions: &[Version],
) -> Result<Case, String> {
    let (rule, title) = name
        .trim()
        .split_once(' ')
        .ok_or_else(|| lines.fault(line, "no title"))?;
    let mut case = Case {
        file: lines.file.to_owned(),
        line,
        rule: rule.to_owned(),
        title: title.trim().to_owned(),
        versions: versions.to_vec(),
        rows: Vec::new(),
        wants: None,
        differs_mosquitto: None,
        open: None,
        steps: Vec::new(),
    };
    while let Some((line, text)) = lines.peek() {
        if let Some(list) = text.strip_prefix("for ") {
            case.versions =
                version_list(list).ok_or_else(|| lines.fault(line, "unknown version"))?;
        } else if let Some(name) = text.strip_prefix("wants ") {
            case.wants = Some(name.to_owned());
        } else if let Some(why) = text.strip_prefix("differs-mosquitto: ") {
            case.differs_mosquitto = Some(why.to_owned());
        } else if let Some(why) = text.strip_prefix("open: ") {
            case.open = Some(why.to_owned());
        } else if let Some(row) = text.strip_prefix("each ") {
            let row: Result<Vec<_>, _> = words(row)
                .map_err(|e| lines.fault(line, &e))?
                .into_iter()
                .map(pair)
                .collect();
            case.rows.push(row.map_err(|e| lines.fault(line, &e))?);
        } else {
            break;
        }
        lines.at += 1;
    }
    if case.rows.is_empty() {
        case.rows.push(Vec::new());
    }
    case.steps = steps(lines, false)?;
    if case.versions.is_empty() || case.steps.is_empty() {
        return Err(lines.fault(line, "a case needs a version and steps"));
    }
    Ok(case)
}

/// A variable of an `each` row: plain bytes, or a template that the run fills in later.
fn pair(word: Word) -> Result<(String, Vec<u8>), String> {
    let key = word.key.ok_or("each wants name=value")?;
    let mut bytes = Vec::new();
    for piece in word.value {
        match piece {
            Piece::Bytes(b) => bytes.extend(b),
            Piece::Namespace => bytes.push(b'~'),
            Piece::Many(byte, count) => bytes.extend(vec![byte; count]),
            Piece::Variable(..) => return Err("a row has no variables".to_owned()),
        }
    }
    Ok((key, bytes))
}

fn steps(lines: &mut Lines<'_>, inside: bool) -> Result<Vec<Step>, String> {
    let mut list = Vec::new();
    while let Some((line, text)) = lines.peek() {
        if text.starts_with("case ") || text.starts_with("versions ") {
            if inside {
                return Err(lines.fault(line, "a block without `end`"));
            }
            break;
        }
        lines.at += 1;
        if text == "end" && inside {
            return Ok(list);
        }
        let act = act(lines, text).map_err(|e| {
            if e.starts_with(lines.file) {
                e
            } else {
                lines.fault(line, &e)
            }
        })?;
        list.push(Step {
            line,
            text: text.to_owned(),
            act,
        });
    }
    if inside {
        Err("a block without `end`".to_owned())
    } else {
        Ok(list)
    }
}

fn act(lines: &mut Lines<'_>, text: &str) -> Result<Act, String> {
    let (head, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match head {
        "after" => Ok(Act::After(
            duration(rest.trim()).ok_or("after wants 10s or 300ms")?,
        )),
        "any-order" => Ok(Act::AnyOrder(steps(lines, true)?)),
        "together" => Ok(Act::Together(steps(lines, true)?)),
        "needs" => {
            let (name, range) = rest.trim().split_once(' ').ok_or("needs NAME RANGE")?;
            Ok(Act::Needs {
                name: name.to_owned(),
                range: range.trim().to_owned(),
            })
        }
        "repeat" => {
            let (count, name) = rest.trim().split_once(' ').ok_or("repeat COUNT NAME")?;
            let count = words(count)?.pop().ok_or("repeat COUNT NAME")?;
            Ok(Act::Repeat {
                count,
                name: name.trim().to_owned(),
                steps: steps(lines, true)?,
            })
        }
        peers => {
            let rest = rest.trim();
            let (verb, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if !VERBS.contains(&verb) {
                return Err(format!("no verb {verb:?}"));
            }
            let peers = peers.split('|').map(str::to_owned).collect();
            Ok(Act::Peer {
                peers,
                verb: verb.to_owned(),
                words: words(rest)?,
            })
        }
    }
}

fn duration(text: &str) -> Option<std::time::Duration> {
    match text.strip_suffix("ms") {
        Some(ms) => ms.parse().ok().map(std::time::Duration::from_millis),
        None => text
            .strip_suffix('s')?
            .parse()
            .ok()
            .map(std::time::Duration::from_secs),
    }
}

/// Cuts at blanks outside quotes; a key ends at the first `=` of a word that does not begin with a quote.
pub(crate) fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut list = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Ok(list);
        }
        let mut word = Word {
            key: None,
            value: Vec::new(),
            captures: false,
        };
        let mut quoted = false;
        while let Some(c) = chars.next_if(|c| quoted || !c.is_whitespace()) {
            match c {
                '"' => quoted = !quoted,
                '=' if word.key.is_none() && !quoted && word.value.iter().all(is_key) => {
                    let key = word.value.drain(..).flat_map(bytes_of).collect();
                    word.key = Some(String::from_utf8(key).map_err(|_| "a key is plain text")?);
                    word.captures = chars.next_if_eq(&'>').is_some();
                }
                '~' => word.value.push(Piece::Namespace),
                '{' => word.value.push(braces(&mut chars)?),
                '\\' => {
                    let byte = escape(&mut chars)?;
                    push(&mut word.value, &[byte]);
                }
                c => push(&mut word.value, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if quoted {
            return Err("an open quote".to_owned());
        }
        list.push(word);
    }
}

fn is_key(piece: &Piece) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._!?".contains(byte);
    matches!(piece, Piece::Bytes(bytes) if bytes.iter().all(fits))
}

fn bytes_of(piece: Piece) -> Vec<u8> {
    if let Piece::Bytes(bytes) = piece {
        bytes
    } else {
        Vec::new()
    }
}

fn push(value: &mut Vec<Piece>, bytes: &[u8]) {
    if let Some(Piece::Bytes(last)) = value.last_mut() {
        last.extend(bytes);
    } else {
        value.push(Piece::Bytes(bytes.to_vec()));
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `\x00`, `\\`, `\"`, or any other character for itself.
fn escape(chars: &mut Chars<'_>) -> Result<u8, String> {
    match chars.next() {
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| "\\x wants two hex digits".to_owned())
        }
        Some(c) if c.is_ascii() => Ok(c as u8),
        _ => Err("an escape without its character".to_owned()),
    }
}

fn braces(chars: &mut Chars<'_>) -> Result<Piece, String> {
    let mut inside = String::new();
    loop {
        match chars.next() {
            Some('}') => break,
            Some(c) => inside.push(c),
            None => return Err(format!("what is {{{inside}?")),
        }
    }
    let wrong = || format!("what is {{{inside}}}?");
    if let Some((byte, count)) = inside.split_once('*') {
        let byte = *byte.as_bytes().first().ok_or_else(wrong)?;
        return Ok(Piece::Many(byte, count.parse().map_err(|_| wrong())?));
    }
    let (name, plus) = inside.split_once('+').unwrap_or((&inside, "0"));
    Ok(Piece::Variable(
        name.to_owned(),
        plus.parse().map_err(|_| wrong())?,
    ))
}
