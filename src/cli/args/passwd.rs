//! The words of `mqttx passwd`, in the grammar of mosquitto_passwd: options first, each a word of
//! its own, then file, user and password by their places.
//!
//! clap has no such grammar; its tree here is for help, man page and completions.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::cli::Manner;

/// Names and passwords are lengths of two bytes in MQTT.
pub const LENGTH_MAX: usize = 65_535;

/// More rounds than this and a broker takes minutes for one login.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// Clients refuse fewer.
const SCRAM_ROUNDS_MIN: u32 = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashKind {
    Argon2id,
    Pbkdf2,
    Sha512,
    /// Ours alone.
    Scram,
}

/// What is done to which file.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds a user or changes the password; without one it is asked for.
    Set {
        user: String,
        password: Option<Vec<u8>>,
        /// With no other user in the file, whatever it held.
        afresh: bool,
    },
    Delete {
        user: String,
    },
    /// Hashes what is plain text still.
    HashAll,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Passwd {
    pub kind: HashKind,
    pub iterations: Option<u32>,
    /// A salt that mosquitto 2.0 can read.
    pub short_salt: bool,
    pub file: PathBuf,
    pub action: Action,
}

/// What stands against the words.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help was asked for.
    Help,
    /// mosquitto shows its usage for these.
    Usage,
    /// A sentence without `Error: `.
    Told(String),
}

fn told(sentence: impl Into<String>) -> Refusal {
    Refusal::Told(sentence.into())
}

#[derive(Default)]
struct Flags {
    batch: bool,
    create: bool,
    delete: bool,
    update: bool,
    short_salt: bool,
    kind: Option<HashKind>,
    iterations: Option<u32>,
}

/// Reads the words behind the program's name.
pub fn parse(manner: Manner, words: &[OsString]) -> Result<Passwd, Refusal> {
    let (flags, rest) = flags(manner, words)?;
    for (both, names) in [
        (flags.create && flags.delete, "-c and -D"),
        (flags.create && flags.update, "-c and -U"),
        (flags.delete && flags.update, "-D and -U"),
        (flags.delete && flags.batch, "-b and -D"),
    ] {
        if both {
            return Err(told(format!("{names} cannot be used together.")));
        }
    }
    let kind = flags.kind.unwrap_or(HashKind::Pbkdf2);
    let has_rounds = matches!(kind, HashKind::Pbkdf2 | HashKind::Scram);
    if manner == Manner::Mqttx && flags.iterations.is_some() && !has_rounds {
        return Err(told("-I is for -H sha512-pbkdf2 and scram-sha-256 only."));
    }
    if kind == HashKind::Scram
        && flags
            .iterations
            .is_some_and(|count| count < SCRAM_ROUNDS_MIN)
    {
        return Err(told(format!(
            "Number of iterations must be at least {SCRAM_ROUNDS_MIN} for scram-sha-256."
        )));
    }
    let wanted = match (flags.update, flags.batch) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 2,
    };
    // mosquitto passes over words too many behind -c and -D.
    let is_lax = manner == Manner::Mosquitto && (flags.create || flags.delete);
    if rest.len() < wanted || (rest.len() > wanted && !is_lax) {
        return Err(miscounted(&flags));
    }
    let file = PathBuf::from(&rest[0]);
    let action = if flags.update {
        Action::HashAll
    } else {
        let user = user(&rest[1])?;
        let password = flags.batch.then(|| rest[2].as_encoded_bytes().to_vec());
        if password.as_ref().is_some_and(|p| p.len() > LENGTH_MAX) {
            return Err(told("Password must be less than 65536 characters long."));
        }
        match flags.delete {
            true => Action::Delete { user },
            false => Action::Set {
                user,
                password,
                afresh: flags.create,
            },
        }
    };
    Ok(Passwd {
        kind,
        iterations: flags.iterations,
        short_salt: flags.short_salt,
        file,
        action,
    })
}

fn flags(manner: Manner, words: &[OsString]) -> Result<(Flags, &[OsString]), Refusal> {
    let mut flags = Flags::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let option = word.to_str().unwrap_or_default();
        let is_ours = manner == Manner::Mqttx;
        match option {
            "-b" => flags.batch = true,
            "-c" => flags.create = true,
            "-D" => flags.delete = true,
            "-U" => flags.update = true,
            "-H" | "-I" => {
                at += 1;
                let value = words.get(at).ok_or_else(|| {
                    told(format!(
                        "{option} argument given but not enough other arguments."
                    ))
                })?;
                match option {
                    "-H" if is_ours && value == "scram-sha-256" => {
                        flags.kind = Some(HashKind::Scram);
                    }
                    "-H" => flags.kind = Some(kind(value)?),
                    _ => flags.iterations = Some(iterations(value)?),
                }
            }
            "--short-salt" if is_ours => flags.short_salt = true,
            "--help" | "-h" if is_ours => return Err(Refusal::Help),
            "--" if is_ours => return Ok((flags, &words[at + 1..])),
            "-" => break,
            _ if is_ours && option.starts_with('-') => {
                return Err(told(format!("No option '{option}'")));
            }
            _ => break,
        }
        at += 1;
    }
    Ok((flags, &words[at..]))
}

fn kind(word: &OsStr) -> Result<HashKind, Refusal> {
    match word.to_str() {
        Some("argon2id") => Ok(HashKind::Argon2id),
        Some("sha512-pbkdf2") => Ok(HashKind::Pbkdf2),
        Some("sha512") => Ok(HashKind::Sha512),
        _ => Err(told(format!(
            "Unknown hash type '{}'",
            word.to_string_lossy()
        ))),
    }
}

/// The digits a word begins with, as C reads numbers.
fn iterations(word: &OsStr) -> Result<u32, Refusal> {
    let word = word.to_string_lossy();
    let word = word.trim_start();
    let word = word.strip_prefix('+').unwrap_or(word);
    let end = word.find(|c: char| !c.is_ascii_digit());
    let digits = &word[..end.unwrap_or(word.len())];
    match digits.parse::<u32>() {
        Ok(count @ 1..=ITERATIONS_MAX) => Ok(count),
        Err(_) if !digits.is_empty() => Err(too_many()),
        Ok(count) if count > ITERATIONS_MAX => Err(too_many()),
        _ => Err(told("Number of iterations must be > 0.")),
    }
}

fn too_many() -> Refusal {
    told(format!(
        "Number of iterations must be at most {ITERATIONS_MAX}."
    ))
}

fn miscounted(flags: &Flags) -> Refusal {
    match (flags.create, flags.delete, flags.update) {
        (true, ..) if flags.batch => {
            told("-c argument given but password file, username, or password missing.")
        }
        (true, ..) => told("-c argument given but password file or username missing."),
        (_, true, _) => told("-D argument given but password file or username missing."),
        (_, _, true) => told("-U argument given but password file missing."),
        _ => Refusal::Usage,
    }
}

fn user(word: &OsStr) -> Result<String, Refusal> {
    let name = word
        .to_str()
        .ok_or_else(|| told("Username must be UTF-8."))?;
    let sentence = if name.len() > LENGTH_MAX {
        "Username must be less than 65536 characters long."
    } else if name.chars().any(|c| c.is_ascii_control()) {
        "Username must not contain control characters."
    } else if name.contains(':') {
        "Username must not contain the ':' character."
    } else if name.is_empty() {
        "Username must not be empty."
    } else if name.starts_with('#') || name.trim() != name {
        // No broker would find this user again.
        "Username must not begin with '#', nor begin or end with a blank."
    } else {
        return Ok(name.to_owned());
    };
    Err(told(sentence))
}

const EXAMPLES: &str = "\
Options come first, each a word of its own. Without -b the password is asked for twice; where
standard input is no terminal, its first two lines are the password and the password again.

Lines keep their order, and comments stay. The file is replaced as a whole, so that a broker never
reads half of it; a new one may be read by its owner only.

Examples:
  mqttx passwd -c users.txt alice
      make users.txt with one user
  mqttx passwd users.txt bob
      add bob, or give him another password
  mqttx passwd -D users.txt bob
      take bob out
  mqttx passwd -b -c - alice secret
      print the line instead

Exit status: 0 done, 1 refused or failed, 2 the two passwords differ.";

/// The clap tree, for help, manual and completions.
pub fn tree(about: &'static str) -> clap::Command {
    let flag = |name: &'static str, letter: char, help: &'static str| {
        clap::Arg::new(name)
            .short(letter)
            .action(clap::ArgAction::SetTrue)
            .help(help)
    };
    let place = |name: &'static str, help: &'static str| clap::Arg::new(name).help(help);
    clap::Command::new("passwd")
        .bin_name("mqttx passwd")
        .about(about)
        .after_help(EXAMPLES)
        .arg(
            clap::Arg::new("H")
                .short('H')
                .value_name("HASH")
                .value_parser(["argon2id", "sha512-pbkdf2", "sha512", "scram-sha-256"])
                .help("How to hash; scram-sha-256 allows --scram [default: sha512-pbkdf2]"),
        )
        .arg(
            clap::Arg::new("I")
                .short('I')
                .value_name("ITERATIONS")
                .help("Rounds of sha512-pbkdf2 [default: 1000], of scram-sha-256 [15000]"),
        )
        .arg(flag(
            "c",
            'c',
            "Make a new file, whatever was there; - is standard output",
        ))
        .arg(flag("D", 'D', "Delete the user"))
        .arg(flag(
            "U",
            'U',
            "Hash the passwords of a file that has them as plain text",
        ))
        .arg(flag(
            "b",
            'b',
            "Take the password from the command line, where others may see it",
        ))
        .arg(
            clap::Arg::new("short-salt")
                .long("short-salt")
                .action(clap::ArgAction::SetTrue)
                .help("Salt of 12 bytes instead of 64: brokers before mosquitto 2.1 read no other"),
        )
        .arg(place("FILE", "The password file").required(true))
        .arg(place("USER", "Whose password; not with -U"))
        .arg(place("PASSWORD", "With -b"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(manner: Manner, line: &str) -> Result<Passwd, Refusal> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(manner, &words)
    }

    /// Every option of the tree is one the grammar knows.
    #[test]
    fn tree_and_grammar_agree() {
        let tree = tree("");
        let shorts: Vec<char> = tree
            .get_arguments()
            .filter_map(clap::Arg::get_short)
            .collect();
        assert_eq!(shorts.len(), 6);
        for short in shorts {
            let line = match short {
                'H' => "-H sha512 f u".to_owned(),
                'I' => "-I 5 f u".to_owned(),
                'b' => "-b f u p".to_owned(),
                'U' => "-U f".to_owned(),
                _ => format!("-{short} f u"),
            };
            assert!(parsed(Manner::Mqttx, &line).is_ok(), "{line}");
        }
        tree.debug_assert();
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (word, count) in [("5", 5), ("+7x", 7), ("10000000", ITERATIONS_MAX)] {
            assert_eq!(iterations(OsStr::new(word)), Ok(count), "{word}");
        }
        for (word, why) in [
            ("0", "> 0"),
            ("-3", "> 0"),
            ("x", "> 0"),
            ("10000001", "at most"),
            ("99999999999", "at most"),
        ] {
            let Err(Refusal::Told(sentence)) = iterations(OsStr::new(word)) else {
                panic!("{word} was taken");
            };
            assert!(sentence.contains(why), "{word}: {sentence}");
        }
    }

    #[test]
    fn our_own_name_passes_over_nothing() {
        for line in ["-c f u extra", "-D f u extra", "-I 5 -H sha512 f u", "-Z f"] {
            assert!(parsed(Manner::Mqttx, line).is_err(), "{line}");
        }
        for line in ["-c f u extra", "-D f u extra", "-I 5 -H sha512 f u", "-Z f"] {
            assert!(parsed(Manner::Mosquitto, line).is_ok(), "{line}");
        }
        assert_eq!(parsed(Manner::Mqttx, "-b --help"), Err(Refusal::Help));
    }
}
