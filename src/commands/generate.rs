//! `mqttx generate`: shell completions and man pages, from the same tree the parser uses.
//!
//! What it writes is also committed in `completions/` and `man/`; a test compares the two.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::COMMANDS;
use crate::commands::terminal;

pub const ABOUT: &str = "Print shell completions or man pages";

#[derive(Parser, Debug)]
#[command(name = "generate", bin_name = "mqttx generate", about = ABOUT, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print the completions of a shell
    Completions { shell: Shell },
    /// Print a man page, or write all of them to a directory
    Man {
        /// Command to print the page of; without it the page of mqttx itself
        command: Option<String>,
        /// Write every page to this directory
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
}

const EXAMPLES: &str = "Examples:
  mqttx generate completions bash > /etc/bash_completion.d/mqttx
  mqttx generate man pub | man -l -";

pub fn tree() -> clap::Command {
    Args::command()
}

/// The whole tree, for what must know every command at once.
fn whole_tree() -> clap::Command {
    clap::Command::new("mqttx")
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .disable_help_subcommand(true)
        .subcommands(
            COMMANDS
                .iter()
                .map(|command| (command.tree)().name(command.name).about(command.about)),
        )
}

/// The shells there are completions for, and the name of each one's file.
pub const SHELLS: [(Shell, &str); 5] = [
    (Shell::Bash, "mqttx.bash"),
    (Shell::Elvish, "mqttx.elv"),
    (Shell::Fish, "mqttx.fish"),
    (Shell::PowerShell, "_mqttx.ps1"),
    (Shell::Zsh, "_mqttx"),
];

pub fn completions(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut whole_tree(), "mqttx", &mut out);
    out
}

/// Every man page: the name of its file, and its text.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![("mqttx.1".to_owned(), page(whole_tree())?)];
    for command in COMMANDS {
        let name = format!("mqttx-{}", command.name);
        let called = format!("mqttx {}", command.name);
        let tree = (command.tree)().display_name(name.clone()).bin_name(called);
        pages.push((format!("{name}.1"), page(tree)?));
    }
    Ok(pages)
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command)
        .manual("mqttx")
        .source("mqttx")
        .render(&mut out)?;
    Ok(out)
}

pub fn run(words: Vec<OsString>) -> ExitCode {
    let name = OsString::from("mqttx generate");
    let args = match Args::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let written = match args.what {
        What::Completions { shell } => Ok(completions(shell)),
        What::Man { command, dir: None } => one_page(command.as_deref()),
        What::Man { dir: Some(dir), .. } => all_pages(&dir),
    };
    match written {
        Ok(text) => terminal::print_out_bytes(&text),
        Err(sentence) => {
            terminal::print_err(&format!("mqttx generate: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

fn one_page(command: Option<&str>) -> Result<Vec<u8>, String> {
    let file = command.map_or_else(|| "mqttx.1".to_owned(), |name| format!("mqttx-{name}.1"));
    let pages = man_pages().map_err(|error| error.to_string())?;
    pages
        .into_iter()
        .find(|(name, _)| *name == file)
        .map(|(_, text)| text)
        .ok_or_else(|| format!("no command '{}'", command.unwrap_or_default()))
}

fn all_pages(dir: &std::path::Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| format!("cannot write to {}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(told)?;
    for (name, text) in man_pages().map_err(told)? {
        std::fs::write(dir.join(name), text).map_err(told)?;
    }
    Ok(Vec::new())
}
