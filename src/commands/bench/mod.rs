//! `mqttx bench`: loads a broker, checks every message, and says how far its own figures reach.
//!
//! ```text
//!  words ─► plan ─► load (threads of publishers and subscribers) ─► stats ─► report ─► text, json
//! ```
//!
//! `plan` works out what to measure, `load` runs it, `publisher` and `subscriber` are the two kinds
//! of client, `pace` says when a message is due, `head` is what each message carries, `track` finds
//! what is lost, doubled or late, `health` looks at this machine, `report` judges.

#[cfg(target_os = "linux")]
mod alarm_linux;
#[cfg(not(target_os = "linux"))]
mod alarm_thread;
mod board;
mod crew;
mod desk;
mod head;
mod health;
mod json;
mod load;
mod pace;
mod plan;
mod progress;
mod publisher;
mod report;
mod stats;
mod subscriber;
mod text;
mod track;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args as _, FromArgMatches as _};

use crate::cli::args::bench::{Bench, EXAMPLES};
use crate::cli::args::connection::Connection;
use crate::cli::args::will::Will;
use crate::cli::{Caller, Manner, Program};
use crate::client::Options;
use crate::commands::bench::board::What;
use crate::commands::bench::health::Machine;
use crate::commands::bench::load::{Outcome, Setting};
use crate::commands::bench::pace::Clock;
use crate::commands::bench::plan::{Mode, Plan, Stage};
use crate::commands::bench::progress::Progress;
use crate::commands::bench::report::{Report, Row, Target, Trouble, row_name};
use crate::commands::{connect, outcome, terminal};
use crate::mqtt::Reason;

/// One line for the list of commands.
pub const ABOUT: &str = "Load a broker: how fast is it, how late are messages, is any lost";

/// How bench speaks to the modules it shares with pub and sub.
const CALLER: Caller = Caller {
    program: Program::Publish,
    manner: Manner::Mqttx,
};

/// The clap tree, for help, manual and completions.
pub fn tree() -> clap::Command {
    // -h is the host, as everywhere.
    let command = clap::Command::new("bench")
        .about(ABOUT)
        .after_help(EXAMPLES)
        .disable_help_flag(true)
        .arg(
            clap::Arg::new("help")
                .long("help")
                .action(clap::ArgAction::Help)
                .help("Print this help (-h is the host)"),
        );
    Bench::augment_args(command).bin_name("mqttx bench")
}

/// Runs the command with the words behind its name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let matches =
        match tree().try_get_matches_from(std::iter::once("bench".into()).chain(words.clone())) {
            Ok(matches) => matches,
            Err(error) => return terminal::clap(&error),
        };
    let args = match Bench::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    match bench(&args, &words) {
        Ok(report) => show(&args, &report),
        Err(trouble) => {
            tell(&trouble);
            ExitCode::from(trouble.status)
        }
    }
}

fn tell(trouble: &Trouble) {
    let mut text = format!("mqttx bench: {}\n", trouble.sentence);
    if let Some(hint) = &trouble.hint {
        text.push_str(&format!("  try: {hint}\n"));
    }
    terminal::print_err(&text);
}

fn plain(sentence: impl Into<String>) -> Trouble {
    Trouble {
        sentence: sentence.into(),
        hint: None,
        status: 1,
    }
}

fn bench(args: &Bench, words: &[OsString]) -> Result<Report, Trouble> {
    let machine = Machine::look();
    let plan = Plan::new(args, machine.cores).map_err(plain)?;
    let options = options(args)?;
    let (host, port) = {
        let address = &options.dial.address;
        (address.host.clone(), address.port)
    };
    let nonce = nonce();
    let listener = if is_here(&host) {
        health::listener(port)
    } else {
        None
    };
    let setting = Setting {
        options,
        clock: Clock::start(),
        threads: plan.threads,
        is_verified: plan.is_verified,
        target: listener.as_ref().map(|(pid, _)| *pid),
        prefix: args
            .load
            .topic
            .clone()
            .unwrap_or_else(|| format!("mqttx-bench/{nonce:x}")),
        nonce,
    };
    let mut command = vec!["mqttx".to_owned(), "bench".to_owned()];
    command.extend(words.iter().map(|word| word.to_string_lossy().into_owned()));
    let mut report = Report {
        started: jiff::Timestamp::now().to_string(),
        command: without_secrets(command),
        seed: args.load.seed,
        machine,
        threads: plan.threads,
        target: Target {
            host,
            port,
            version: args.target.protocol_version,
            process: listener.map(|(_, name)| name),
        },
        shape: plan.shape.clone(),
        is_verified: plan.is_verified,
        rows: Vec::new(),
        trouble: None,
    };
    let mut bench = Bencher {
        plan: &plan,
        setting: &setting,
        progress: Progress::new(args.report.quiet),
        run: nonce as u16,
    };
    bench.all(&mut report);
    Ok(report)
}

struct Bencher<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    progress: Progress,
    /// Number of the next run.
    run: u16,
}

impl Bencher<'_> {
    fn all(&mut self, report: &mut Report) {
        for &qos in &self.plan.qos {
            if let Mode::Both | Mode::MaxOnly = self.plan.mode
                && !self.row(self.plan.max_stage(qos), report)
            {
                return;
            }
            let rate = match self.plan.mode {
                Mode::MaxOnly => None,
                Mode::RateOnly(rate) => Some(rate),
                Mode::Both => report
                    .rows
                    .last()
                    .and_then(Row::highest)
                    .map(Plan::latency_rate),
            };
            if let Some(rate) = rate
                && !self.row(self.plan.rate_stage(qos, rate), report)
            {
                return;
            }
        }
    }

    /// Runs a stage as often as it was asked for; false when there is no point in going on.
    fn row(&mut self, stage: Stage, report: &mut Report) -> bool {
        let mut runs = Vec::new();
        for number in 1..=self.plan.runs {
            let name = format!("{} ({number}/{})", row_name(&stage), self.plan.runs);
            self.progress.begin(name);
            let progress = &mut self.progress;
            let measured = load::measure(&stage, self.run, self.setting, &mut |tick| {
                progress.tick(tick);
            });
            self.run = self.run.wrapping_add(1);
            match measured {
                Ok(outcome) => {
                    report.trouble = trouble(&outcome, &report.target);
                    self.progress.end(&in_short(&outcome));
                    runs.push(outcome);
                }
                Err(error) => {
                    report.trouble = Some(plain(format!("cannot start threads: {error}")))
                }
            }
            if report.trouble.is_some() {
                break;
            }
        }
        report.rows.push(Row::new(stage, runs));
        report.trouble.is_none()
    }
}

fn in_short(outcome: &Outcome) -> String {
    let Some(seconds) = outcome.seconds else {
        return "broke off".to_owned();
    };
    let tally = &outcome.tally;
    let rate = |count: u64| text::rate(Some(count as f64 / seconds));
    let mut out = format!(
        "sent={}/s received={}/s lost={}",
        rate(tally.inside.sent),
        rate(tally.inside.received),
        tally.lost
    );
    if let Some(p99) = tally.e2e.percentile(0.99) {
        out.push_str(&format!(" e2e_p99={}ms", text::ms(Some(p99))));
    }
    out
}

/// Why a run broke off, in a sentence, with the exit status it leaves.
fn trouble(outcome: &Outcome, target: &Target) -> Option<Trouble> {
    let place = format!("{}:{}", target.host, target.port);
    if let Some((missing, due)) = outcome.deaf {
        return Some(Trouble {
            sentence: format!(
                "{place} does not deliver: of {due} first messages {missing} never came"
            ),
            hint: None,
            status: 81,
        });
    }
    let first = outcome.failures.first.first()?;
    let more = match outcome.failures.count {
        1 => String::new(),
        count => format!(" (and {} more clients)", count - 1),
    };
    Some(match &first.what {
        What::Ended(end) => match outcome::error(CALLER, end, &place) {
            Some(error) => Trouble {
                sentence: format!("{}{more}", error.message.trim_end_matches('.')),
                hint: error.hint.clone().or_else(|| version_hint(end)),
                status: error.kind.exit_status(),
            },
            None => plain(format!("{} left before the end{more}", first.client)),
        },
        What::Unsubscribed(reason) => Trouble {
            sentence: format!(
                "{place} refused a subscription: {} ({reason}){more}",
                Reason(*reason).name().to_lowercase()
            ),
            hint: None,
            status: (*reason).max(128),
        },
        What::Unsendable(what) => plain(format!("{}: {what}{more}", first.client)),
    })
}

/// A broker that knows no MQTT 5 says so, or just hangs up.
fn version_hint(end: &crate::client::End) -> Option<String> {
    match end {
        crate::client::End::Refused { reason, .. }
            if matches!(*reason, Reason::UNSUPPORTED_PROTOCOL_VERSION | Reason(1)) =>
        {
            Some("-V 311".to_owned())
        }
        _ => None,
    }
}

fn show(args: &Bench, report: &Report) -> ExitCode {
    let to_stdout = args.report.json.as_deref() == Some(Path::new("-"));
    if let Some(path) = &args.report.json {
        let mut text = json::render(report).to_string();
        text.push('\n');
        if to_stdout {
            terminal::print_out(&text);
        } else if let Err(error) = std::fs::write(path, text) {
            tell(&plain(format!("cannot write {}: {error}", path.display())));
            return ExitCode::FAILURE;
        }
    }
    let has_something = report.rows.iter().any(|row| row.all.sent > 0);
    if !args.report.quiet && !to_stdout && has_something {
        terminal::print_out(&text::render(report));
    }
    if let Some(trouble) = &report.trouble {
        tell(trouble);
    }
    ExitCode::from(report.exit_status())
}

/// What every client has in common; each gets its own identifier.
fn options(args: &Bench) -> Result<Options, Trouble> {
    let target = &args.target;
    let mut connection: Connection = from_nothing();
    connection.host.clone_from(&target.host);
    connection.port = target.port;
    connection.bind_address.clone_from(&target.bind_address);
    connection.username.clone_from(&target.username);
    connection.pw = target.pw.clone().map(OsString::from);
    connection.keepalive = target.keepalive;
    connection.max_inflight = u32::from(args.load.inflight);
    let asked = connect::Asked {
        caller: CALLER,
        connection: &connection,
        tls: &args.tls,
        will: &from_nothing::<Will>(),
        version: target.protocol_version,
        receive_max: None,
    };
    connect::options(&asked).map_err(|error| Trouble {
        sentence: error.message.trim_end_matches('.').to_owned(),
        hint: error.hint,
        status: error.kind.exit_status(),
    })
}

/// A group of options nobody said anything about.
fn from_nothing<A: clap::Args>() -> A {
    let command = A::augment_args(clap::Command::new("nothing").disable_help_flag(true));
    let matches = command.get_matches_from(["nothing"]);
    A::from_arg_matches(&matches).expect("every option of the group has a default")
}

/// Passwords and keys do not belong into a report.
fn without_secrets(mut command: Vec<String>) -> Vec<String> {
    const SECRET: [&str; 3] = ["-P", "--pw", "--psk"];
    for at in 1..command.len() {
        if SECRET.contains(&command[at - 1].as_str()) {
            command[at] = "***".to_owned();
        }
        if let Some((name, _)) = command[at].split_once('=')
            && SECRET.contains(&name)
        {
            command[at] = format!("{name}=***");
        }
    }
    command
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Chance enough to tell this bench's messages from another's.
fn nonce() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn secrets_are_not_repeated() {
        let words = ["mqttx", "bench", "-P", "secret", "--pw=secret", "-q", "1"];
        let shown = without_secrets(words.map(str::to_owned).to_vec()).join(" ");
        assert_eq!(shown, "mqttx bench -P *** --pw=*** -q 1");
    }
}
