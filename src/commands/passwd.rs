//! `mqttx passwd`, and `mosquitto_passwd` where we are called so: users in a password file.
//!
//! The words are read in `cli/args/passwd.rs`, hashes are made in `daemon/auth/hash.rs`, and
//! `passwd/file.rs` rewrites the file. Here passwords are asked for, and what was done is told.

mod file;

use std::ffi::OsString;
use std::io;
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::Manner;
use crate::cli::args::passwd;
use crate::cli::args::passwd::{Action, HashKind, LENGTH_MAX, Passwd, Refusal};
use crate::commands::passwd::file::{Entries, Place};
use crate::commands::terminal;
use crate::daemon::auth::hash::{
    HASH_LEN, Hash, ITERATIONS, Method, SCRAM_ITERATIONS, SHORT_SALT_LEN,
};
use crate::daemon::auth::password_file::PasswordFile;
use crate::net::system_words;

pub const ABOUT: &str = "Add, change and delete users in a password file";

/// The name of the link that speaks mosquitto's words.
pub const LINK: &str = "mosquitto_passwd";

const USAGE: &str = "\
mosquitto_passwd adds, changes and deletes users in a password file for mosquitto.

Usage: mosquitto_passwd [-H HASH] [-I iterations] [-c | -D] passwordfile username
       mosquitto_passwd [-H HASH] [-I iterations] [-c] -b passwordfile username password
       mosquitto_passwd [-H HASH] [-I iterations] -U passwordfile
 -b : the password is on the command line, and nobody is asked for it.
 -c : make a new file, whatever was there; a passwordfile of - is standard output.
 -D : delete the user.
 -H : argon2id, sha512-pbkdf2 (which is the default) or sha512.
 -I : rounds of sha512-pbkdf2, 1000 unless given.
 -U : hash the passwords of a file that has them as plain text.

This is mqttx; 'mqttx passwd --help' tells more.

";

/// Why nothing was done.
struct Fault {
    /// `Error` or `Warning`, as mosquitto has it.
    weight: &'static str,
    sentence: String,
    status: u8,
    /// What surely helps, in our own words.
    remedy: Option<String>,
}

fn error(sentence: impl Into<String>) -> Fault {
    Fault {
        weight: "Error",
        sentence: sentence.into(),
        status: 1,
        remedy: None,
    }
}

/// A mistake in the words.
fn misworded(sentence: impl Into<String>) -> Fault {
    Fault {
        remedy: Some("mqttx passwd --help".to_owned()),
        ..error(sentence)
    }
}

pub fn tree() -> clap::Command {
    passwd::tree(ABOUT)
}

pub fn run(words: Vec<OsString>) -> ExitCode {
    speak(Manner::Mqttx, &words)
}

/// Does what the words ask for, in our manner or in mosquitto's.
pub(crate) fn speak(manner: Manner, words: &[OsString]) -> ExitCode {
    let fault = match passwd::parse(manner, words) {
        Ok(args) => match obey(manner, &args) {
            Ok(code) => return code,
            Err(fault) => fault,
        },
        Err(Refusal::Help) => return terminal::print_out(&tree().render_help().to_string()),
        Err(Refusal::Usage) if manner == Manner::Mosquitto => {
            terminal::print_out(USAGE);
            return ExitCode::FAILURE;
        }
        Err(Refusal::Usage) => misworded("FILE and USER are wanted, with -b also PASSWORD"),
        Err(Refusal::Told(sentence)) => misworded(sentence),
    };
    let sentence = &fault.sentence;
    let mut told = match manner {
        Manner::Mosquitto => format!("{}: {sentence}\n", fault.weight),
        Manner::Mqttx => format!("mqttx passwd: {}\n", in_our_words(sentence)),
    };
    if let Some(remedy) = fault.remedy.filter(|_| manner == Manner::Mqttx) {
        told += &format!("  try: {remedy}\n");
    }
    terminal::print_err(&told);
    ExitCode::from(fault.status)
}

fn in_our_words(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    let second_is_small = letters.clone().next().is_some_and(char::is_lowercase);
    match first.filter(|_| second_is_small) {
        Some(first) => format!("{first}{}", letters.as_str()),
        None => sentence.to_owned(),
    }
}

fn obey(manner: Manner, args: &Passwd) -> Result<ExitCode, Fault> {
    match &args.action {
        Action::Set {
            user,
            password,
            afresh,
        } => {
            // Asked for before a file is made, but after one that must be there was found.
            let old = match afresh {
                true => None,
                false => Some(open(&args.file)?),
            };
            let password = match password {
                Some(password) => password.clone(),
                None => ask(manner)?,
            };
            let line = format!("{user}:{}\n", hash(args, &password)?);
            if old.is_none() && args.file == Path::new("-") {
                return Ok(terminal::print_out(&line));
            }
            let (place, mut entries) = match old {
                Some(old) => old,
                None => (made(&args.file)?, Entries::default()),
            };
            let before = entries.text();
            let was_there = entries.set(user, line.into_bytes());
            refuse_doubles(&before, &entries)?;
            write(&place, &entries)?;
            let doing = if was_there { "Updating" } else { "Adding" };
            Ok(terminal::print_out(&format!(
                "{doing} password for user {user}\n"
            )))
        }
        Action::Delete { user } => {
            let (place, mut entries) = open(&args.file)?;
            if !entries.delete(user) {
                return Err(Fault {
                    weight: "Warning",
                    ..error(format!("User {user} not found in password file."))
                });
            }
            write(&place, &entries).map(|()| ExitCode::SUCCESS)
        }
        Action::HashAll => {
            let (place, mut entries) = open(&args.file)?;
            let before = entries.text();
            entries.hash_all(|password| hash(args, password).map(|hash| hash.to_string()))?;
            refuse_doubles(&before, &entries)?;
            write(&place, &entries).map(|()| ExitCode::SUCCESS)
        }
    }
}

/// A broker that has read the file so far is to read it on. Two names that are written otherwise can
/// be one to clients of SCRAM; which of the two users is meant, nobody could tell.
fn refuse_doubles(before: &[u8], after: &Entries) -> Result<(), Fault> {
    let read = |text: &[u8]| PasswordFile::parse(&String::from_utf8_lossy(text));
    let Err(bad) = read(&after.text()) else {
        return Ok(());
    };
    if read(before).is_err_and(|before| before.what == bad.what) {
        return Ok(());
    }
    let user = bad.user.as_deref().unwrap_or_default();
    Err(Fault {
        remedy: Some("another name, or a --hash other than scram-sha-256".to_owned()),
        ..error(format!(
            "User {user} and one before are the same user to clients that use SCRAM."
        ))
    })
}

fn open(path: &Path) -> Result<(Place, Entries), Fault> {
    let place = find(path)?;
    let text = place.read().map_err(|cause| {
        let shown = place.path().display();
        let is_missing = cause.kind() == io::ErrorKind::NotFound;
        let told = format!(
            "Unable to open password file {shown}. {}.",
            system_words(&cause)
        );
        Fault {
            remedy: is_missing.then(|| format!("mqttx passwd -c {shown} USER, which makes it")),
            ..error(told)
        }
    })?;
    let entries = Entries::parse(&text)
        .map_err(|line| error(format!("Corrupt password file at line {line}.")))?;
    Ok((place, entries))
}

fn made(path: &Path) -> Result<Place, Fault> {
    let place = find(path)?;
    place
        .is_writable()
        .map_err(|cause| unwritable(&place, &cause))?;
    Ok(place)
}

fn find(path: &Path) -> Result<Place, Fault> {
    Place::find(path).map_err(|cause| {
        error(format!(
            "Unable to open password file {}. {}.",
            path.display(),
            system_words(&cause)
        ))
    })
}

fn write(place: &Place, entries: &Entries) -> Result<(), Fault> {
    place
        .write(&entries.text())
        .map_err(|cause| unwritable(place, &cause))
}

fn unwritable(place: &Place, cause: &io::Error) -> Fault {
    let shown = place.path().display();
    error(format!(
        "Unable to open file {shown} for writing. {}.",
        system_words(cause)
    ))
}

fn hash(args: &Passwd, password: &[u8]) -> Result<Hash, Fault> {
    let method = match args.kind {
        HashKind::Argon2id => Method::ARGON2ID,
        HashKind::Sha512 => Method::Sha512,
        HashKind::Scram => Method::Scram {
            iterations: args.iterations.unwrap_or(SCRAM_ITERATIONS),
        },
        HashKind::Pbkdf2 => Method::Pbkdf2 {
            iterations: args.iterations.unwrap_or(ITERATIONS),
        },
    };
    let mut salt = [0; HASH_LEN];
    let salt = match args.short_salt {
        true => &mut salt[..SHORT_SALT_LEN],
        false => &mut salt[..],
    };
    getrandom::fill(salt)
        .map_err(|cause| error(format!("Unable to get random bytes: {cause}.")))?;
    Hash::new(method, salt, password).ok_or_else(|| error("Unable to hash password."))
}

/// Asks twice.
fn ask(manner: Manner) -> Result<Vec<u8>, Fault> {
    let first = answer(manner, "Password: ")?;
    let second = answer(manner, "Reenter password: ")?;
    if first != second {
        return Err(Fault {
            status: 2,
            ..error("Passwords do not match.")
        });
    }
    Ok(first)
}

/// One line: typed without echo, or the next one of a pipe.
fn answer(manner: Manner, prompt: &str) -> Result<Vec<u8>, Fault> {
    // Standard output may be where the line goes; mosquitto asks there all the same.
    let show = match manner {
        Manner::Mosquitto => terminal::prompt,
        Manner::Mqttx => terminal::print_err,
    };
    show(prompt);
    let unread = |cause: io::Error| error(format!("Unable to read a password: {cause}."));
    let line = if io::stdin().is_terminal() {
        let quiet = rpassword::ConfigBuilder::new().output_discard().build();
        rpassword::read_password_with_config(quiet)
            .map_err(unread)?
            .into_bytes()
    } else {
        let mut line = Vec::new();
        let most = LENGTH_MAX as u64 + 2;
        io::stdin()
            .lock()
            .take(most)
            .read_until(b'\n', &mut line)
            .map_err(unread)?;
        while line
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            line.pop();
        }
        line
    };
    if line.is_empty() {
        if manner == Manner::Mqttx {
            // The prompt stands there still.
            show("\n");
        }
        return Err(error("Empty password."));
    }
    if line.len() > LENGTH_MAX {
        return Err(error("Password must be less than 65536 characters long."));
    }
    show("\n");
    Ok(line)
}
