//! Options from elsewhere than the command line: the options file, the file of profiles, the
//! environment. Reads and writes; what it means is `cli::layers`'s.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli;
use crate::cli::error::{Error, Kind};
use crate::cli::layers::{PREFIX, Saved, Sources};
use crate::cli::{Caller, Manner, Program};
use crate::net::system_words;

/// Words that have to do with profiles begin like one of these.
const OF_PROFILES: [&str; 6] = [
    "--profile",
    "--save-profile",
    "-lo",
    "--load-options",
    "-so",
    "--save-options",
];

pub(crate) fn gather(caller: Caller, words: &[OsString]) -> Result<Sources, Error> {
    let file = options_text(caller, words)?;
    if caller.manner == Manner::Mosquitto {
        return Ok(Sources {
            file,
            ..Sources::default()
        });
    }
    let environment: Vec<(String, OsString)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    let is_about = |bytes: &[u8]| OF_PROFILES.iter().any(|p| bytes.starts_with(p.as_bytes()));
    let wanted = words.iter().any(|word| is_about(word.as_encoded_bytes()))
        || environment.iter().any(|(name, _)| name == "MQTTX_PROFILE")
        || file.split(|&byte| byte == b'\n').any(is_about);
    let profiles = match profiles_path().filter(|_| wanted) {
        Some(path) => profiles(&path)?,
        None => None,
    };
    Ok(Sources {
        file,
        environment,
        profiles,
    })
}

fn profiles(path: &Path) -> Result<Option<(String, String)>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let (shown, words) = (path.display(), system_words(error));
    Error::new(Kind::Failed, format!("cannot {what} {shown}: {words}"))
}

/// Writes the file of profiles anew; what it says goes to standard output.
pub(crate) fn save(saved: &Saved) -> Result<String, Error> {
    let Some(path) = profiles_path() else {
        let told = "no place for profiles: neither XDG_CONFIG_HOME nor HOME is set";
        return Err(Error::new(Kind::Failed, told));
    };
    replace(&path, &saved.text).map_err(|error| failed("write", &path, &error))?;
    let mut told = format!(
        "saved as profile '{}' in {}\n",
        saved.profile,
        path.display()
    );
    for name in &saved.left_out {
        let remedy = match &**name {
            "pw" => " (--password-file does)",
            _ => "",
        };
        told.push_str(&format!(
            "--{name} was not saved: secrets do not belong there{remedy}\n"
        ));
    }
    Ok(told)
}

/// A new file, for its owner only, put in the place of the old one when it is whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&new)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Whether it was made or not, nothing of it is to stay.
        let _ = fs::remove_file(&new);
    }
    written
}

/// The text of the options file: the one `-o` names, else the one in the user's configuration.
fn options_text(caller: Caller, words: &[OsString]) -> Result<Vec<u8>, Error> {
    let (path, asked_for) = match cli::options_file(caller, words)? {
        Some(path) => (Some(PathBuf::from(path)), true),
        None => (default_options_file(caller.program), false),
    };
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    match fs::read(&path) {
        Ok(text) => Ok(text),
        // mosquitto's clients say nothing when even the file of -o is missing.
        Err(_) if !asked_for || caller.manner == Manner::Mosquitto => Ok(Vec::new()),
        Err(error) => Err(failed("read options from", &path, &error)),
    }
}

fn default_options_file(program: Program) -> Option<PathBuf> {
    // Programs mosquitto does not have, have no such file.
    configuration()
        .filter(|_| !program.link().is_empty())
        .map(|folder| folder.join(program.link()))
}

fn profiles_path() -> Option<PathBuf> {
    configuration().map(|folder| folder.join("mqttx").join("profiles.toml"))
}

fn configuration() -> Option<PathBuf> {
    match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")),
    }
}
