//! The values of `log_dest` and `log_type`: lists that a `none` empties.

use std::path::PathBuf;

use crate::daemon::conf::value::{Kind, Trouble, word};

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDest {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The system's log.
    Syslog,
    /// `$SYS/broker/log/…`.
    Topic,
    /// Automotive logging.
    Dlt,
    /// A file that lines are added to.
    File(PathBuf),
}

/// All destinations.
pub enum LogDests {}

impl Kind for LogDests {
    type Value = Vec<LogDest>;
    const FORM: &'static str = "stdout | stderr | syslog | topic | dlt | file PATH | none";

    fn read(text: &str) -> Result<Vec<LogDest>, Trouble> {
        let mut list = Vec::new();
        Self::add(&mut list, text)?;
        Ok(list)
    }

    fn add(list: &mut Vec<LogDest>, text: &str) -> Result<(), Trouble> {
        let one = match word(text) {
            "none" => {
                list.clear();
                return Ok(());
            }
            "stdout" => LogDest::Stdout,
            "stderr" => LogDest::Stderr,
            "syslog" => LogDest::Syslog,
            "topic" => LogDest::Topic,
            "dlt" => LogDest::Dlt,
            "file" => {
                let said = |what: &str| {
                    Trouble::Said(format!(
                        "Error: {what} \"log_dest file\" value{}.",
                        match what {
                            "Empty" => " in configuration",
                            _ => "",
                        }
                    ))
                };
                if list.iter().any(|dest| matches!(dest, LogDest::File(_))) {
                    return Err(said("Duplicate"));
                }
                let path = text["file".len()..].trim_start();
                if path.is_empty() {
                    return Err(said("Empty"));
                }
                LogDest::File(path.into())
            }
            _ => return Err(Trouble::Invalid),
        };
        if !list.contains(&one) {
            list.push(one);
        }
        Ok(())
    }

    fn show(list: &Vec<LogDest>) -> String {
        let name = |dest: &LogDest| match dest {
            LogDest::Stdout => "stdout".to_owned(),
            LogDest::Stderr => "stderr".to_owned(),
            LogDest::Syslog => "syslog".to_owned(),
            LogDest::Topic => "topic".to_owned(),
            LogDest::Dlt => "dlt".to_owned(),
            LogDest::File(path) => format!("file {}", path.display()),
        };
        list.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// A sort of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogType {
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warning,
    /// What an operator wants to know.
    Notice,
    /// What happens.
    Information,
    /// Subscriptions.
    Subscribe,
    /// Their end.
    Unsubscribe,
    /// The WebSocket layer.
    Websockets,
    /// Each packet.
    Debug,
    /// The broker about itself.
    Internal,
}

const TYPES: [(&str, LogType); 9] = [
    ("error", LogType::Error),
    ("warning", LogType::Warning),
    ("notice", LogType::Notice),
    ("information", LogType::Information),
    ("subscribe", LogType::Subscribe),
    ("unsubscribe", LogType::Unsubscribe),
    ("websockets", LogType::Websockets),
    ("debug", LogType::Debug),
    ("internal", LogType::Internal),
];

impl LogType {
    /// What is logged unless said otherwise.
    pub const DEFAULT: [Self; 4] = [Self::Error, Self::Warning, Self::Notice, Self::Information];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = TYPES.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }

    /// What `all` stands for.
    pub fn all() -> Vec<Self> {
        TYPES.iter().map(|(_, kind)| *kind).collect()
    }
}

/// All sorts that are wanted.
pub enum LogTypes {}

impl Kind for LogTypes {
    type Value = Vec<LogType>;
    const FORM: &'static str = "error | warning | notice | information | subscribe | \
        unsubscribe | websockets | debug | internal | none | all";

    fn read(text: &str) -> Result<Vec<LogType>, Trouble> {
        let mut list = Vec::new();
        Self::add(&mut list, text)?;
        Ok(list)
    }

    fn add(list: &mut Vec<LogType>, text: &str) -> Result<(), Trouble> {
        match word(text) {
            "none" => list.clear(),
            "all" => *list = LogType::all(),
            name => {
                let found = TYPES.iter().find(|(known, _)| *known == name);
                let (_, kind) = found.ok_or(Trouble::Invalid)?;
                if !list.contains(kind) {
                    list.push(*kind);
                }
            }
        }
        Ok(())
    }

    fn show(list: &Vec<LogType>) -> String {
        let name = |kind: &LogType| TYPES.iter().find(|(_, known)| known == kind);
        let names: Vec<&str> = list
            .iter()
            .filter_map(name)
            .map(|(name, _)| *name)
            .collect();
        names.join(", ")
    }
}
