//! TABLE: the words of MQTTX CLI that are free, and what each stands for here.
//!
//! mosquitto compares whole words, so `-up` or `-Wt` collide with nothing. What mosquitto uses
//! itself keeps mosquitto's meaning: `-e -d -f -v -L -c -I -M -S -l`.

use std::ffi::{OsStr, OsString};

use crate::cli::Caller;
use crate::cli::words::{EVERY, P, PR, R, S, SR, Verdict};

/// One meaning, and the words for it.
pub(crate) struct Alias {
    pub(crate) words: &'static [&'static str],
    pub(crate) programs: u16,
    pub(crate) means: Means,
}

pub(crate) enum Means {
    /// The same as this option of ours.
    Option(&'static str),
    /// These words, and nothing follows.
    Words(&'static [&'static str]),
    /// `-D` with this packet and this name; the value follows.
    Property(&'static str, &'static str),
    /// Words `key: value` follow, as many as there are: user properties of this packet.
    Pairs(&'static str),
    /// One word of a short list follows.
    Choice(&'static [(&'static str, &'static [&'static str])]),
}

const fn alias(words: &'static [&'static str], programs: u16, means: Means) -> Alias {
    Alias {
        words,
        programs,
        means,
    }
}

const fn same(words: &'static [&'static str], programs: u16, option: &'static str) -> Alias {
    alias(words, programs, Means::Option(option))
}

const fn property(
    words: &'static [&'static str],
    programs: u16,
    packet: &'static str,
    name: &'static str,
) -> Alias {
    alias(words, programs, Means::Property(packet, name))
}

const fn pairs(words: &'static [&'static str], programs: u16, packet: &'static str) -> Alias {
    alias(words, programs, Means::Pairs(packet))
}

pub(crate) static ALIASES: &[Alias] = &[
    same(&["--hostname"], EVERY, "--host"),
    same(&["--client-id"], EVERY, "--id"),
    same(&["--password"], EVERY, "--pw"),
    same(&["--mqtt-version"], EVERY, "--protocol-version"),
    same(&["--ca"], EVERY, "--cafile"),
    same(&["--no-clean"], EVERY, "--disable-clean-session"),
    same(&["--alpn"], EVERY, "--tls-alpn"),
    same(&["--path"], EVERY, "--ws-path"),
    same(&["--ws-headers", "-wh"], EVERY, "--ws-header"),
    same(&["-rp"], EVERY, "--reconnect-period"),
    same(
        &["-se", "--session-expiry-interval"],
        EVERY,
        "--session-expiry",
    ),
    same(&["-so", "--save-options"], EVERY, "--save-profile"),
    same(&["-lo", "--load-options"], EVERY, "--profile"),
    same(&["-Wt"], EVERY, "--will-topic"),
    same(&["-Wm", "--will-message"], EVERY, "--will-payload"),
    same(&["-Wq"], EVERY, "--will-qos"),
    same(&["-Wr"], EVERY, "--will-retain"),
    same(&["--stdin"], PR, "--stdin-file"),
    same(&["-lm", "--line-mode"], P, "--stdin-line"),
    same(&["--file-read"], PR, "--file"),
    same(&["-nl", "--no_local"], S, "--no-local"),
    same(&["-rt"], R, "--response-topic"),
    pairs(&["-Cup", "--conn-user-properties"], EVERY, "connect"),
    pairs(&["-Wup", "--will-user-properties"], EVERY, "will"),
    pairs(&["-up", "--user-properties"], PR, "publish"),
    pairs(&["-up", "--user-properties"], S, "subscribe"),
    property(
        &["--rcv-max", "--receive-maximum"],
        EVERY,
        "connect",
        "receive-maximum",
    ),
    property(
        &["--maximum-packet-size"],
        EVERY,
        "connect",
        "maximum-packet-size",
    ),
    property(
        &["--topic-alias-maximum"],
        EVERY,
        "connect",
        "topic-alias-maximum",
    ),
    alias(
        &["--req-response-info"],
        EVERY,
        Means::Words(&["-D", "connect", "request-response-information", "1"]),
    ),
    alias(
        &["--no-req-problem-info"],
        EVERY,
        Means::Words(&["-D", "connect", "request-problem-information", "0"]),
    ),
    property(
        &["-Wd", "--will-delay-interval"],
        EVERY,
        "will",
        "will-delay-interval",
    ),
    property(
        &["-We", "--will-message-expiry-interval"],
        EVERY,
        "will",
        "message-expiry-interval",
    ),
    property(
        &["-Wct", "--will-content-type"],
        EVERY,
        "will",
        "content-type",
    ),
    property(
        &["-Wrt", "--will-response-topic"],
        EVERY,
        "will",
        "response-topic",
    ),
    property(
        &["-Wcd", "--will-correlation-data"],
        EVERY,
        "will",
        "correlation-data",
    ),
    alias(
        &["-Wpf", "--will-payload-format-indicator"],
        EVERY,
        Means::Words(&["-D", "will", "payload-format-indicator", "1"]),
    ),
    alias(
        &["-pf", "--payload-format-indicator"],
        PR,
        Means::Words(&["-D", "publish", "payload-format-indicator", "1"]),
    ),
    property(
        &["--message-expiry-interval"],
        PR,
        "publish",
        "message-expiry-interval",
    ),
    property(&["-ta", "--topic-alias"], PR, "publish", "topic-alias"),
    property(&["-rt", "--response-topic"], P, "publish", "response-topic"),
    property(
        &["-cd", "--correlation-data"],
        PR,
        "publish",
        "correlation-data",
    ),
    property(&["-ct", "--content-type"], PR, "publish", "content-type"),
    property(
        &["-si", "--subscription-identifier"],
        SR,
        "subscribe",
        "subscription-identifier",
    ),
    alias(
        &["-rap"],
        SR,
        Means::Words(&["--retain-as-published", "-V", "5"]),
    ),
    alias(
        &["-rh"],
        SR,
        Means::Choice(&[
            ("0", &["--retain-handling", "always", "-V", "5"]),
            ("1", &["--retain-handling", "new", "-V", "5"]),
            ("2", &["--retain-handling", "never", "-V", "5"]),
        ]),
    ),
];

/// The row of this word, for this program.
pub(crate) fn find(caller: Caller, word: &OsStr) -> Option<&'static Alias> {
    ALIASES.iter().find(|alias| {
        alias.programs & caller.program.bit() != 0 && alias.words.iter().any(|known| word == *known)
    })
}

impl Alias {
    /// The words it stands for, given those behind it, and how many of them it took.
    pub(crate) fn spell(
        &self,
        word: &str,
        behind: &[OsString],
    ) -> Result<(Vec<OsString>, usize), Verdict> {
        let lacking = || Verdict::spaced(format!("{word} argument given but no value specified."));
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        match self.means {
            Means::Option(name) => Ok((words(&[name]), 0)),
            Means::Words(known) => Ok((words(known), 0)),
            Means::Property(packet, name) => {
                let value = behind.first().ok_or_else(lacking)?;
                let mut spelled = words(&["-D", packet, name]);
                spelled.push(value.clone());
                Ok((spelled, 1))
            }
            Means::Choice(choices) => {
                let value = behind.first().ok_or_else(lacking)?;
                let found = choices.iter().find(|(choice, _)| value == *choice);
                let (_, known) = found.ok_or_else(|| {
                    let known: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
                    let shown = value.to_string_lossy();
                    Verdict::spaced(format!("{word} is {}, not '{shown}'.", known.join(", ")))
                })?;
                Ok((words(known), 1))
            }
            Means::Pairs(packet) => {
                let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
                let count = behind.iter().take_while(|word| !is_option(word)).count();
                if count == 0 {
                    return Err(lacking());
                }
                let mut spelled = Vec::new();
                for pair in &behind[..count] {
                    let shown = pair.to_string_lossy();
                    let (key, value) = shown.split_once(':').ok_or_else(|| {
                        Verdict::spaced(format!("{word} takes 'key: value', not '{shown}'."))
                    })?;
                    spelled.extend(words(&["-D", packet, "user-property"]));
                    spelled.extend(words(&[key.trim(), value.trim()]));
                }
                Ok((spelled, count))
            }
        }
    }
}

/// What it stands for, as help tells it.
impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Option(name) => f.write_str(name),
            Self::Words(words) => f.write_str(&words.join(" ")),
            Self::Property(packet, name) => write!(f, "-D {packet} {name} VALUE"),
            Self::Pairs(packet) => write!(f, "-D {packet} user-property KEY VALUE ('KEY: VALUE')"),
            Self::Choice(choices) => {
                let told: Vec<String> = choices
                    .iter()
                    .map(|(choice, words)| format!("{choice}: {}", words.join(" ")))
                    .collect();
                f.write_str(&told.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::rows;

    /// No word has two meanings in one program, and each leads to an option that is there.
    #[test]
    fn words_are_free_and_lead_somewhere() {
        for program in [P, S, R] {
            let of_program = || ALIASES.iter().filter(|alias| alias.programs & program != 0);
            let mut seen: Vec<&str> = rows()
                .filter(|row| row.programs & program != 0)
                .flat_map(|row| [row.short, row.long])
                .collect();
            for alias in of_program() {
                for word in alias.words {
                    assert!(!seen.contains(word), "{word} twice in {program}");
                    seen.push(word);
                }
                let first = match alias.means {
                    Means::Option(name) => Some(name),
                    Means::Words(words) => words.first().copied(),
                    _ => None,
                };
                let leads = |name: &str| {
                    let mut known = rows().filter(|row| row.programs & program != 0);
                    known.any(|row| row.long == name || row.short == name)
                };
                assert!(first.is_none_or(leads), "{first:?} in {program}");
            }
        }
    }
}
