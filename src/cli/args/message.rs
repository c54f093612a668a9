//! The payload to send: from the command line, a file or standard input.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Message")]
pub struct Message {
    /// Payload
    #[arg(short, long, value_name = "PAYLOAD")]
    pub message: Option<OsString>,

    /// Take the payload from this file
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Empty payload
    #[arg(short, long)]
    pub null_message: bool,

    /// Take all of standard input as payload
    #[arg(short, long)]
    pub stdin_file: bool,
}

/// Where the payload comes from; the lexer lets only one through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Words(OsString),
    File(PathBuf),
    Empty,
    Stdin,
    Lines,
    /// Made anew for each message.
    Template(String),
    /// So many bytes, whatever they are.
    Size(usize),
}

impl Message {
    pub fn source(&self) -> Option<Source> {
        if let Some(words) = &self.message {
            return Some(Source::Words(words.clone()));
        }
        if let Some(path) = &self.file {
            return Some(Source::File(path.clone()));
        }
        match (self.null_message, self.stdin_file) {
            (true, _) => Some(Source::Empty),
            (_, true) => Some(Source::Stdin),
            _ => None,
        }
    }
}
