//! Help and version texts.
//!
//! As `mqttx pub` help is clap's: grouped, with examples and exit statuses. Under a mosquitto name
//! it is a synopsis and a line an option, made from the same tree, so it can forget none.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Arg, ArgAction, Command};

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::Program;
use crate::cli::error::EXIT_STATUSES;
use crate::cli::lexer::takes;
use crate::cli::operator;
use crate::cli::words::{Row, rows};
use crate::mqtt::MOSQUITTO_RELEASE;

/// What `mqttx --version` says: EMQX ships another program of the same name.
pub fn own_version() -> String {
    format!(
        "mqttx {} (the Rust one: pub, sub, rr, broker and bench in one binary; not EMQX's MQTTX CLI)\n",
        env!("CARGO_PKG_VERSION")
    )
}

pub(crate) fn version(caller: Caller) -> String {
    match caller.manner {
        Manner::Mqttx => own_version(),
        Manner::Mosquitto => their_version(caller.program),
    }
}

fn their_version(program: Program) -> String {
    format!(
        "{} version {MOSQUITTO_RELEASE} running on mqttx {}.\n",
        program.link(),
        env!("CARGO_PKG_VERSION")
    )
}

pub(crate) fn help(caller: Caller) -> String {
    match caller.manner {
        Manner::Mqttx => crate::cli::tree(caller.program)
            .bin_name(format!("mqttx {}", caller.program.subcommand()))
            .render_help()
            .ansi()
            .to_string(),
        Manner::Mosquitto => of_link(caller.program),
    }
}

/// The command before its options: no words clap would add, the last of several values counts.
pub(crate) fn base(program: Program) -> Command {
    Command::new(program.subcommand())
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
}

/// Adds what only people see: descriptions, examples, and the words the lexer keeps to itself.
pub(crate) fn dress(program: Program, command: Command) -> Command {
    command
        .about(about(program))
        .override_usage(synopsis(program))
        .styles(STYLES)
        .arg(
            Arg::new("url")
                .short('L')
                .long("url")
                .value_name("URL")
                .help_heading("Connection")
                .help(
                    "Broker and topic in one: mqtt://[user[:password]@]host[:port]/topic, \
                     also mqtts://, ws://, wss://",
                ),
        )
        .arg(
            Arg::new("protocol")
                .long("protocol")
                .value_name("SCHEME")
                .help_heading("Connection")
                .help("How to speak: mqtt, mqtts, ws, wss; sets port and TLS as the scheme of -L does"),
        )
        .arg(
            Arg::new("profile")
                .long("profile")
                .value_name("NAME")
                .help_heading("Saved options")
                .help("Take options from this profile in ~/.config/mqttx/profiles.toml"),
        )
        .arg(
            Arg::new("save-profile")
                .long("save-profile")
                .value_name("NAME")
                .help_heading("Saved options")
                .help("Write the options of this line to a profile, passwords left out, and end"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help_heading("Saved options")
                .help("Print what counts after all (line, environment, profile, file), and end"),
        )
        .arg(
            Arg::new("options-file")
                .short('o')
                .long("options-file")
                .value_name("FILE")
                .help_heading("Saved options")
                .help(options_file_help(program)),
        )
        .arg(
            Arg::new("help")
                .long("help")
                .action(ArgAction::SetTrue)
                .help_heading("Messages about the run")
                .help("Print this help (-h is the host)"),
        )
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::SetTrue)
                .help_heading("Messages about the run")
                .help("Print the version"),
        )
        .after_help(after(program))
        .mut_args(|arg| dressed(program, arg))
}

/// An argument of a group that this program shares without knowing all of its words.
fn dressed(program: Program, arg: Arg) -> Arg {
    let Some(long) = arg.get_long() else {
        return arg;
    };
    let row = rows().find(|row| row.name() == long && row.programs & program.bit() != 0);
    match row {
        None => arg.hide(true).short(None),
        Some(row) => {
            let short = row.short.chars().nth(1);
            arg.short(short)
        }
    }
}

fn options_file_help(program: Program) -> String {
    let told = "Read options from this file first, one a line";
    match program.link() {
        "" => told.to_owned(),
        link => format!("{told} [default: ~/.config/{link}, if it is there]"),
    }
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold());

fn synopsis(program: Program) -> &'static str {
    match program {
        Program::Publish => "mqttx pub -t TOPIC {-m PAYLOAD | -f FILE | -l | -n | -s} [OPTIONS]",
        Program::Subscribe => "mqttx sub -t FILTER... [OPTIONS] [-- COMMAND...]",
        Program::Request => {
            "mqttx rr -t TOPIC -e RESPONSE-TOPIC {-m PAYLOAD | -f FILE | -n | -s} [OPTIONS]"
        }
        Program::Ping => "mqttx ping [OPTIONS]",
        Program::Record => "mqttx record [-t FILTER...] [OPTIONS]",
        Program::Replay => "mqttx replay [-f FILE] [OPTIONS]",
        Program::List => "mqttx ls [-t FILTER...] [OPTIONS]",
        Program::Top => "mqttx top [-t FILTER...] [OPTIONS]",
        Program::Ctrl => "mqttx ctrl [OPTIONS] {clients | kick | ... | MODULE COMMAND} [WORDS]",
    }
}

pub fn about(program: Program) -> &'static str {
    match program {
        Program::Publish => "Publish messages",
        Program::Subscribe => "Subscribe and print messages",
        Program::Request => "Publish a request and wait for the response",
        Program::Ping => "Measure how long CONNECT and PINGREQ take",
        Program::Record => "Record messages with their times",
        Program::Replay => "Publish what was recorded, at its own pace or another",
        Program::List => "List the topics known now",
        Program::Top => "Watch the topics live, as a tree",
        Program::Ctrl => "Give commands to a running broker",
    }
}

fn after(program: Program) -> String {
    let mut out = String::from("Examples:\n");
    for (line, told) in examples(program) {
        out.push_str(&format!("  {line}\n      {told}\n"));
    }
    if program == Program::Ctrl {
        out.push_str(&operator::help());
    }
    out.push_str(more(program));
    out.push_str("\nExit status:\n");
    for (status, told) in EXIT_STATUSES {
        out.push_str(&format!("  {status:<8} {told}\n"));
    }
    out.pop();
    out
}

/// What options cannot tell in a line.
fn more(program: Program) -> &'static str {
    match program {
        Program::Publish => {
            "
Templates, in Jinja's language:
  {{ seq }} counts from 1; {{ client }}, {{ topic }}, {{ uuid() }}
  {{ now }}, {{ time }} (seconds), {{ time_ms }}, {{ elapsed }}
  {{ random(1, 6) }}, {{ normal(20, 0.5) | round(1) }}, {{ pick('a', 'b') }}
  {{ wave(20, 5, 600) }}: mean, amplitude and seconds
  {{ csv('table.csv').column }}: a row each
"
        }
        Program::Subscribe => {
            "
Expectations:
  A message meets the first open expectation it fits; what fits none is let pass. All met ends
  it with 0, with -C the messages of -C must meet them all. 80 when a message is rejected, comes
  out of order, or -C is reached too soon; 27 when time runs out (-W, --idle). A COMMAND that
  fails ends it with COMMAND's status; one that ends well while nothing else is awaited, with 0,
  behind all messages the broker had by then.
"
        }
        _ => "",
    }
}

fn examples(program: Program) -> &'static [(&'static str, &'static str)] {
    match program {
        Program::Publish => &[
            (
                "mqttx pub -t home/temperature -m 21.5",
                "one message to the broker on this machine",
            ),
            (
                "mqttx pub -h broker.local -t home/light -m on -q 1 -r",
                "acknowledged, and kept by the broker",
            ),
            (
                "tail -f log | mqttx pub -t log -l -q 1",
                "each line a message; none is lost",
            ),
            (
                "mqttx pub -t home/temperature --template temperature --rate 1/s",
                "a thermometer, until Ctrl-C",
            ),
        ],
        Program::Subscribe => &[
            (
                "mqttx sub -t 'home/#' -v",
                "every message below home, with its topic",
            ),
            (
                "mqttx sub -t job/done -C 1 -W 10",
                "wait for one message, ten seconds at most",
            ),
            (
                "mqttx sub -t res --expect-json '{\"ok\":true}' -W 5 -- mqttx pub -t req -m ping",
                "a whole test: subscribed, then sent, and 0 only if the answer came",
            ),
            (
                "mqttx sub -t '#' -F '@H:@M:@S %t %.2:x'",
                "time, topic and payload in hexadecimal",
            ),
        ],
        Program::Request => &[(
            "mqttx rr -t service -e service/reply -m ping -W 5",
            "print the response",
        )],
        Program::Ctrl => &[
            (
                "mqttx ctrl clients",
                "who is connected to the broker on this machine",
            ),
            (
                "mqttx ctrl retained --delete 'old/#'",
                "no retained messages there any more",
            ),
            (
                "mqttx ctrl -u admin -P secret dynsec listClients",
                "who is known to dynamic security",
            ),
            (
                "mqttx ctrl dynsec init dynsec.json admin",
                "a file to begin with; the password is asked for",
            ),
        ],
        program => examples_of_tools(program),
    }
}

fn examples_of_tools(program: Program) -> &'static [(&'static str, &'static str)] {
    match program {
        Program::Record => &[(
            "mqttx record -t 'home/#' --out morning.jsonl",
            "until Ctrl-C, a JSON object a line",
        )],
        Program::Replay => &[(
            "mqttx replay -f morning.jsonl --speed 10x --map home=test/home",
            "ten times as fast, below another topic",
        )],
        Program::List => &[
            (
                "mqttx ls",
                "retained topics, and those that speak meanwhile",
            ),
            (
                "mqttx ls -t 'home/#' -W 60 --tree -v",
                "a minute's worth, as a tree, with values",
            ),
        ],
        Program::Top => &[
            (
                "mqttx top -h broker.local",
                "all topics as a tree; / filters, s sorts, p publishes, c clears, q ends",
            ),
            (
                "mqttx top -t 'home/#' --once",
                "what is below home now, a line a topic",
            ),
        ],
        Program::Ping => &[
            (
                "mqttx ping -h broker.local",
                "four round trips, and how long each took",
            ),
            (
                "mqttx ping --wait 30s -c 1 --quiet",
                "go on when the broker is up, fail after half a minute",
            ),
        ],
        _ => &[],
    }
}

/// Usage under a mosquitto name: our own words, in the shape its users know.
pub fn of_link(program: Program) -> String {
    let mut out = format!("{} is a simple mqtt client. ", program.link());
    out.push_str(match program {
        Program::Publish => "It publishes messages to one topic and exits.\n",
        Program::Subscribe => "It subscribes to topics and prints the messages it receives.\n",
        Program::Request => "It publishes a request and waits for the response.\n",
        Program::Ctrl => "It gives commands to a running broker.\n",
        // There is no such link.
        Program::Ping | Program::Record | Program::Replay | Program::List | Program::Top => "",
    });
    out.push_str(&their_version(program));
    let required = match program {
        Program::Publish => "{-t topic | -L URL} {-f file | -l | -m message | -n | -s}",
        Program::Subscribe => "{-t topic | -L URL | -U topic} ...",
        Program::Request => {
            "{-t topic | -L URL} -e response-topic {-f file | -m message | -n | -s}"
        }
        Program::Ctrl => "module command",
        Program::Ping | Program::Record | Program::Replay | Program::List | Program::Top => "",
    };
    out.push_str(&format!(
        "\nUsage: {} {required} [options]\n",
        program.link()
    ));
    out.push_str(&format!("       {} --help\n\n", program.link()));
    let tree = crate::cli::tree(program);
    let theirs = |row: &&Row| row.long_is_theirs || !row.short.is_empty();
    let caller = Caller {
        program,
        manner: Manner::Mosquitto,
    };
    for row in rows().filter(theirs).filter(|row| takes(row, caller)) {
        let Some(arg) = tree
            .get_arguments()
            .find(|arg| arg.get_long() == Some(row.name()))
        else {
            continue;
        };
        let mut names = row.short.to_owned();
        if row.long_is_theirs {
            if !names.is_empty() {
                names.push_str(", ");
            }
            names.push_str(row.long);
        }
        for value in arg
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .filter(|_| row.takes_value())
        {
            names.push_str(&format!(" {}", value.to_lowercase()));
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!(" {names} : {help}\n"));
    }
    out.push('\n');
    out
}
