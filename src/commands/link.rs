//! `mqttx link DIR`: the names of mosquitto's programs, leading to this program.
//!
//! Symbolic links where there are such, copies elsewhere. A file that is there already is not
//! replaced unless asked for; a link that already leads here is left alone.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::Program;
use crate::commands::broker::mosquitto;
use crate::commands::db;
use crate::commands::passwd;
use crate::commands::terminal;
use crate::net::system_words;

pub const ABOUT: &str =
    "Make links named mosquitto, mosquitto_pub, mosquitto_sub and so on, leading to this program";

#[derive(Parser, Debug)]
#[command(name = "link", bin_name = "mqttx link", about = ABOUT, after_help = EXAMPLES)]
struct Args {
    /// Directory to make the links in; it is made where there is none
    dir: PathBuf,
    /// Replace files that are there already
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  mqttx link ~/.local/bin
      scripts that call mosquitto_pub from there now use mqttx";

pub fn tree() -> clap::Command {
    Args::command()
}

pub fn run(words: Vec<OsString>) -> ExitCode {
    let name = OsString::from("mqttx link");
    let args = match Args::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let made = std::env::current_exe()
        .map_err(|error| format!("cannot find this program's own file: {error}"))
        .and_then(|target| make_all(&args, &target));
    match made {
        Ok(text) => terminal::print_out(&text),
        Err(sentence) => {
            terminal::complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
const OTHERS: &[&str] = &[
    passwd::LINK,
    db::LINK,
    mosquitto::LINK,
    crate::commands::signal::LINK,
];
#[cfg(not(unix))]
const OTHERS: &[&str] = &[passwd::LINK, db::LINK, mosquitto::LINK];

fn make_all(args: &Args, target: &Path) -> Result<String, String> {
    // ~/.local/bin is not there on every machine.
    fs::create_dir_all(&args.dir).map_err(|error| failed(&args.dir, &error))?;
    let mut told = String::new();
    let clients = Program::LINKED.into_iter().map(Program::link);
    for name in clients.chain(OTHERS.iter().copied()) {
        let link = args
            .dir
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        make(&link, target, args.force)?;
        told.push_str(&format!("{} -> {}\n", link.display(), target.display()));
    }
    Ok(told)
}

fn make(link: &Path, target: &Path, force: bool) -> Result<(), String> {
    if fs::read_link(link).is_ok_and(|leads_to| leads_to == target) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() {
        if !force {
            let shown = link.display();
            return Err(format!(
                "{shown} is there already\n  try: mqttx link --force"
            ));
        }
        fs::remove_file(link).map_err(|error| failed(link, &error))?;
    }
    place(link, target).map_err(|error| failed(link, &error))
}

#[cfg(unix)]
fn place(link: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn place(link: &Path, target: &Path) -> io::Result<()> {
    fs::copy(target, link).map(drop)
}

fn failed(what: &Path, error: &io::Error) -> String {
    format!("cannot make {}: {}", what.display(), system_words(error))
}
