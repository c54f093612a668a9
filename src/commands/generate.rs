//! `mqttx completions` and `mqttx man`: shell completions and man pages, from the same tree the parser uses.
//!
//! What it writes is also committed in `completions/` and `man/`; a test compares the two.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use crate::cli::topics;
use crate::cli::topics::{TOPICS, Topic};
use crate::commands::COMMANDS;
use crate::commands::bench;
use crate::commands::conf_page;
use crate::commands::terminal;
use crate::net::system_words;

pub const COMPLETIONS_ABOUT: &str = "Print the completions of a shell";
pub const MAN_ABOUT: &str = "Print a man page, or write all of them to a directory";

#[derive(Parser, Debug)]
#[command(name = "completions", bin_name = "mqttx completions", about = COMPLETIONS_ABOUT)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
struct Completions {
    /// Shell to print them for
    shell: Shell,
}

const COMPLETIONS_EXAMPLES: &str = "Examples:
  source <(mqttx completions bash)
      for this shell; in ~/.bashrc for every one
  mqttx completions zsh > ~/.zfunc/_mqttx
      where fpath has ~/.zfunc, before compinit; mkdir -p makes the folder
  mqttx completions fish > ~/.config/fish/completions/mqttx.fish
      at the next start of fish";

#[derive(Parser, Debug)]
#[command(name = "man", bin_name = "mqttx man", about = MAN_ABOUT, after_help = MAN_EXAMPLES)]
struct Man {
    /// Command or topic (exit-status, format …); without it the page of mqttx itself
    page: Option<String>,
    /// Write every page to this directory; those of other sections than that of …/man1 beside it
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    dir: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "Examples:
  mqttx man sub | man -l -
  mqttx man --dir ~/.local/share/man/man1";

pub fn completions_tree() -> clap::Command {
    Completions::command()
}

pub fn man_tree() -> clap::Command {
    // For completions; a page that is none is told in our own words.
    Man::command().mut_arg("page", |arg| {
        arg.value_parser(PossibleValuesParser::new(page_names()))
            .hide_possible_values(true)
    })
}

/// What `mqttx man` takes besides nothing.
fn page_names() -> Vec<&'static str> {
    let commands = COMMANDS.iter().map(|command| command.name);
    let topics = TOPICS
        .iter()
        .map(|topic| topic.page.trim_start_matches("mqttx-"));
    let named = commands.chain(bench::PAGES).chain(topics);
    named.chain(["conf"]).collect()
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
    let mut tree = whole_tree();
    clap_complete::generate(shell, &mut tree, "mqttx", &mut out);
    if shell == Shell::Fish {
        out.extend_from_slice(fish_words(&tree).as_bytes());
    }
    out
}

/// The words a command takes without an option, which clap leaves out for fish.
fn fish_words(tree: &clap::Command) -> String {
    let mut out = String::new();
    for command in tree.get_subcommands() {
        for arg in command.get_positionals() {
            let values = arg.get_possible_values();
            let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
            if names.is_empty() {
                continue;
            }
            let (name, words) = (command.get_name(), names.join(" "));
            // `man man`: the command's own name stands there in any case.
            let others = names.into_iter().filter(|other| *other != name);
            let below = command.get_subcommands().map(clap::Command::get_name);
            let others: Vec<&str> = others.chain(below).collect();
            let _ = writeln!(
                out,
                "complete -c mqttx -n \"__fish_mqttx_using_subcommand {name}; and not \
                 __fish_seen_subcommand_from {}\" -f -a \"{words}\"",
                others.join(" ")
            );
        }
    }
    out
}

/// Every man page: the name of its file, and its text.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![("mqttx.1".to_owned(), page(whole_tree())?)];
    for command in COMMANDS {
        pages_of(
            (command.tree)().name(command.name),
            "mqttx",
            "mqttx",
            &mut pages,
        )?;
    }
    for topic in TOPICS {
        pages.push((format!("{}.7", topic.page), cli_page(topic)));
    }
    pages.push((conf_page::FILE.to_owned(), conf_page::page()));
    Ok(pages)
}

/// The page of a command, and of each below it.
fn pages_of(
    tree: clap::Command,
    page_above: &str,
    called_above: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    let name = format!("{page_above}-{}", tree.get_name());
    let called = format!("{called_above} {}", tree.get_name());
    let below: Vec<clap::Command> = tree.get_subcommands().cloned().collect();
    let tree = tree.display_name(name.clone()).bin_name(called.clone());
    pages.push((format!("{name}.1"), page(tree)?));
    below
        .into_iter()
        .try_for_each(|tree| pages_of(tree, &name, &called, pages))
}

fn cli_page(topic: &Topic) -> Vec<u8> {
    topics::page(topic).into_bytes()
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    clap_mangen::Man::new(command)
        .manual("mqttx")
        .source("mqttx")
        .render(&mut out)?;
    Ok(out)
}

pub fn run_completions(words: Vec<OsString>) -> ExitCode {
    let name = OsString::from("mqttx completions");
    match Completions::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(args) => terminal::print_out_bytes(&completions(args.shell)),
        Err(error) => terminal::clap(&error),
    }
}

pub fn run_man(words: Vec<OsString>) -> ExitCode {
    let name = OsString::from("mqttx man");
    let args = match Man::try_parse_from(std::iter::once(name).chain(words)) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let written = match args.dir {
        None => one_page(args.page.as_deref()),
        Some(dir) => all_pages(&dir),
    };
    match written {
        Ok(text) => terminal::print_out_bytes(&text),
        Err(sentence) => {
            terminal::complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

fn one_page(asked: Option<&str>) -> Result<Vec<u8>, String> {
    let name = match asked {
        None => "mqttx".to_owned(),
        Some("conf" | "mqttx.conf") => "mqttx.conf".to_owned(),
        Some(name) if TOPICS.iter().any(|topic| topic.name == name) => {
            let topic = TOPICS.iter().find(|topic| topic.name == name);
            topic.map_or_else(String::new, |topic| topic.page.to_owned())
        }
        Some(name) => format!("mqttx-{name}"),
    };
    let pages = man_pages().map_err(|error| error.to_string())?;
    pages
        .into_iter()
        .find(|(file, _)| file.rsplit_once('.').is_some_and(|(stem, _)| stem == name))
        .map(|(_, text)| text)
        .ok_or_else(|| {
            let asked = asked.unwrap_or_default();
            format!("no page '{asked}'\n  try: {}", page_names().join(", "))
        })
}

/// man looks for a page of section 5 in man5: where `dir` is the folder of another section, that of
/// the page's own stands beside it.
fn home_of(name: &str, dir: &Path) -> PathBuf {
    let is_section = |name: &OsStr| {
        let digit = name.to_str().and_then(|name| name.strip_prefix("man"));
        digit.is_some_and(|digit| matches!(digit.as_bytes(), [b'1'..=b'9']))
    };
    match name.rsplit_once('.') {
        Some((_, section)) if dir.file_name().is_some_and(is_section) => {
            dir.with_file_name(format!("man{section}"))
        }
        _ => dir.to_owned(),
    }
}

fn all_pages(dir: &Path) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| {
        let words = system_words(&error);
        format!("cannot write to {}: {words}", dir.display())
    };
    for (name, text) in man_pages().map_err(told)? {
        let dir = home_of(&name, dir);
        std::fs::create_dir_all(&dir).map_err(told)?;
        std::fs::write(dir.join(name), text).map_err(told)?;
    }
    Ok(Vec::new())
}
