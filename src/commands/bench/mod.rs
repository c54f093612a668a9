//! `mqttx bench`: loads a broker, checks every message, and says how far its own figures reach.
//!
//! ```text
//!  words ─► plan ─► load (threads of publishers and subscribers) ─► stats ─► report ─► text, json
//! ```
//!
//! `plan` works out what to measure, `bencher` in which order, `load` runs one measurement with its
//! clients, `agents` runs it on other machines, `stats` is what was counted, `health` looks at this
//! machine, `progress` shows how it goes, `report` judges and renders what came of it.

mod agents;
mod bencher;
mod health;
mod load;
mod part;
mod plan;
mod progress;
mod report;
mod setup;
mod stats;
mod stop;
mod strangers;
mod trouble;
mod unused;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as _, FromArgMatches};
use serde_json::Value;

use crate::cli::args::bench::{AGENT_EXAMPLES, COMPARE_EXAMPLES, EXAMPLES, REDRAW_EXAMPLES};
use crate::cli::args::bench::{Agent, Bench, Compare, Kind, Redraw, Report as Asked};
use crate::commands::bench::agents::Lead;
use crate::commands::bench::bencher::Bencher;
use crate::commands::bench::health::Machine;
use crate::commands::bench::load::Setting;
use crate::commands::bench::plan::Plan;
use crate::commands::bench::progress::Progress;
use crate::commands::bench::progress::prometheus::Exporter;
use crate::commands::bench::report::threshold::Threshold;
use crate::commands::bench::report::{Report, Row, Trouble};
use crate::commands::bench::report::{compare, formats, json, show, text};
use crate::commands::bench::stop::Stop;
use crate::commands::bench::trouble::{plain, tell};
use crate::commands::terminal;

/// One line for the list of commands.
pub const ABOUT: &str = "Load a broker: how fast is it, how late are messages, is any lost";

/// No report is longer.
const REPORT_BYTES_MAX: u64 = 256 << 20;

const SCHEMA_ABOUT: &str = "Print what --json looks like, as a JSON Schema";

/// The man pages of the words that are commands of their own.
pub const PAGES: [&str; 4] = [
    "bench-compare",
    "bench-report",
    "bench-agent",
    "bench-schema",
];

/// The clap tree, for help, manual and completions: with the words that are commands of their own.
pub fn tree() -> clap::Command {
    let schema = clap::Command::new("schema").about(SCHEMA_ABOUT);
    let others = [compare_tree(), redraw_tree(), agent_tree(), schema];
    load_tree()
        .subcommands(others)
        .disable_help_subcommand(true)
}

/// What the words of a load are read by.
fn load_tree() -> clap::Command {
    let command = clap::Command::new("bench")
        .about(ABOUT)
        .after_help(EXAMPLES)
        .disable_help_flag(true)
        .arg(help());
    Bench::augment_args(command).bin_name("mqttx bench")
}

/// -h is the host, as everywhere.
fn help() -> clap::Arg {
    clap::Arg::new("help")
        .long("help")
        .action(clap::ArgAction::Help)
        .help("Print this help (-h is the host)")
}

/// The words behind `name`, read by `tree`.
fn read<A: FromArgMatches>(
    tree: clap::Command,
    name: &str,
    words: &[OsString],
) -> Result<A, clap::Error> {
    let whole = std::iter::once(name.into()).chain(words.iter().cloned());
    let matches = tree.try_get_matches_from(whole)?;
    A::from_arg_matches(&matches)
}

/// Runs the command with the words behind its name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    if let Some((first, rest)) = words.split_first() {
        match first.to_str() {
            Some("compare") => return compare_files(rest),
            Some("report") => return redraw(rest),
            Some("agent") => return be_agent(rest),
            Some("schema") => return print_schema(rest),
            _ => {}
        }
    }
    let args: Bench = match read(load_tree(), "bench", &words) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let shown = bench(&args, &words).and_then(|(report, baseline)| {
        show(&args, &report, baseline.as_ref())?;
        Ok(report.exit_status())
    });
    match shown {
        Ok(status) => ExitCode::from(status),
        Err(trouble) => {
            tell(&trouble);
            ExitCode::from(trouble.status)
        }
    }
}

fn compare_tree() -> clap::Command {
    let command = clap::Command::new("compare")
        .after_help(COMPARE_EXAMPLES)
        .bin_name("mqttx bench compare");
    Compare::augment_args(command).about("Compare reports written by --json")
}

fn compare_files(words: &[OsString]) -> ExitCode {
    let args: Compare = match read(compare_tree(), "compare", words) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let reports: Result<Vec<_>, Trouble> = args
        .files
        .iter()
        .map(|path| Ok((path.display().to_string(), read_report(path)?)))
        .collect();
    let compared = reports.and_then(|reports| {
        let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
        let table = compare::render(&reports, args.markdown).ok_or_else(|| {
            let names = names.join(", ");
            plain(format!(
                "nothing in {names} can be compared: other kinds, QoS, clients, payloads or rates"
            ))
        })?;
        terminal::put_out(table.as_bytes()).map_err(plain)
    });
    match compared {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            tell(&trouble);
            ExitCode::from(trouble.status)
        }
    }
}

fn agent_tree() -> clap::Command {
    let command = clap::Command::new("agent")
        .after_help(AGENT_EXAMPLES)
        .bin_name("mqttx bench agent")
        .disable_help_flag(true)
        .arg(help());
    Agent::augment_args(command)
        .about("Wait for benches with --agents, and make a share of their load")
}

fn be_agent(words: &[OsString]) -> ExitCode {
    let args: Agent = match read(agent_tree(), "agent", words) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let name = args.name.clone().map_or_else(health::host_name, Ok);
    let served = name
        .map_err(plain)
        .and_then(|name| Ok(agents::serve(&name, setup::agent(&args)?)));
    let trouble = served.unwrap_or_else(|trouble| trouble);
    tell(&trouble);
    ExitCode::from(trouble.status)
}

fn print_schema(words: &[OsString]) -> ExitCode {
    let tree = clap::Command::new("schema").about(SCHEMA_ABOUT);
    let whole = std::iter::once("schema".into()).chain(words.iter().cloned());
    match tree
        .bin_name("mqttx bench schema")
        .try_get_matches_from(whole)
    {
        Ok(_) => terminal::print_out(json::JSON_SCHEMA),
        Err(error) => terminal::clap(&error),
    }
}

fn redraw_tree() -> clap::Command {
    let command = clap::Command::new("report")
        .after_help(REDRAW_EXAMPLES)
        .bin_name("mqttx bench report");
    Redraw::augment_args(command).about("Draw a report written by --json")
}

fn redraw(words: &[OsString]) -> ExitCode {
    let args: Redraw = match read(redraw_tree(), "report", words) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let drawn = read_report(&args.file).and_then(|report| {
        draw(&report, args.html.as_deref(), args.svg.as_deref())?;
        Ok(report)
    });
    match drawn {
        Ok(report) if args.html.is_none() && args.svg.is_none() => {
            terminal::print_out(&show::page(&report))
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(trouble) => {
            tell(&trouble);
            ExitCode::from(trouble.status)
        }
    }
}

/// The page and the chart, where they are asked for.
fn draw(report: &Value, html: Option<&Path>, svg: Option<&Path>) -> Result<(), Trouble> {
    if let Some(path) = html {
        write(path, &show::page(report))?;
    }
    if let Some(path) = svg {
        let chart =
            show::svg(report).ok_or_else(|| plain("nothing was measured that could be drawn"))?;
        write(path, &chart)?;
    }
    Ok(())
}

fn read_report(path: &Path) -> Result<Value, Trouble> {
    let name = path.display().to_string();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(REPORT_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| plain(format!("cannot read {name}: {error}")))?;
    compare::read(&name, &text).map_err(plain)
}

/// Everything is read and checked before the first byte is sent.
fn bench(args: &Bench, words: &[OsString]) -> Result<(Report, Option<Value>), Trouble> {
    let machine = Machine::look();
    let payload = setup::payload(args)?;
    let plan = Plan::new(args, &payload, machine.cores).map_err(plain)?;
    if args.agents.is_empty() {
        setup::check_payloads(&payload, &plan, plan.shape.pubs)?;
    }
    let baseline = args
        .report
        .baseline
        .as_deref()
        .map(read_report)
        .transpose()?;
    let thresholds = conditions(args.report.threshold.iter().map(String::as_str))?;
    let asked = args.load.find_max.as_deref().into_iter();
    let wanted = conditions(asked.flat_map(|text| text.split(',')))?;
    let mut searched = wanted.iter();
    searched
        .try_for_each(Threshold::check_wanted)
        .map_err(plain)?;
    for threshold in thresholds.iter().chain(&wanted) {
        threshold.check(&plan, baseline.is_some()).map_err(plain)?;
    }
    try_files(&args.report)?;
    setup::room_for(plan.shape.pubs + plan.shape.subs)?;
    let (setting, target) = setup::setting(args, &plan, payload, Stop::on_signals())?;
    let exporter = args.report.prometheus.as_deref();
    let exporter = exporter.map(exporter_at).transpose()?;
    let mut command = vec!["mqttx".to_owned(), "bench".to_owned()];
    command.extend(words.iter().map(|word| word.to_string_lossy().into_owned()));
    let lead = lead(args, words, &plan, &setting)?;
    let mut report = bencher::blank(&plan, machine, target, without_secrets(command));
    let mut bencher = Bencher {
        plan: &plan,
        setting: &setting,
        progress: Progress::new(
            args.report.progress,
            args.report.quiet,
            exporter,
            plan.threads * args.agents.len().max(1),
        ),
        run: setting.nonce as u16,
        lead,
        wanted,
    };
    if let Some(lead) = &bencher.lead {
        report.crosses = lead.crosses;
    }
    bencher.all(&mut report);
    if let Some(lead) = &bencher.lead {
        // How well clocks were known turns out in the runs, and who took how many threads.
        report.threads = report.rows.iter().map(Row::threads).max().unwrap_or(0);
        report.agents.clone_from(&lead.members);
    }
    report.is_strict = args.report.strict;
    report.verdicts = thresholds
        .iter()
        .flat_map(|threshold| threshold.judge(&report, baseline.as_ref()))
        .collect();
    Ok((report, baseline))
}

/// Whoever else makes the load; refused where it cannot be shared out.
fn lead(
    args: &Bench,
    words: &[OsString],
    plan: &Plan,
    setting: &Setting,
) -> Result<Option<Lead>, Trouble> {
    let count = args.agents.len() as u32;
    if count == 0 {
        return Ok(None);
    }
    if args
        .load
        .topic
        .as_ref()
        .is_some_and(|topic| topic.contains('%') && plan.shape.kind != Kind::Sub)
    {
        return Err(plain("-t: a pattern and --agents do not go together"));
    }
    if args.target.clients_csv.is_some() {
        return Err(plain(
            "--clients-csv: its lines would be used by every one of --agents",
        ));
    }
    let Some(crosses) = agents::crosses(&plan.shape, count) else {
        return Err(plain(format!(
            "--agents: this load cannot be shared out among {count}: each needs a client of its own"
        )));
    };
    if crosses && args.load.window.is_some() {
        return Err(plain(
            "--window: messages pass between agents, and nobody sees in time what has arrived; \
             --inflight bounds it",
        ));
    }
    let words = words.iter().map(|word| word.to_string_lossy().into_owned());
    let options = setup::control(args)?;
    Lead::gather(&args.agents, options, words.collect(), setting, crosses).map(Some)
}

fn exporter_at(asked: &str) -> Result<Exporter, Trouble> {
    let exporter =
        Exporter::start(asked).map_err(|error| plain(format!("--prometheus {asked}: {error}")))?;
    if asked.ends_with(":0") {
        terminal::print_err(&format!(
            "prometheus: http://{}/metrics\n",
            exporter.address
        ));
    }
    Ok(exporter)
}

fn conditions<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Threshold>, Trouble> {
    texts
        .map(|text| Threshold::parse(text).map_err(plain))
        .collect()
}

/// Where reports go that are one file each; `-` is standard output.
fn files(asked: &Asked) -> impl Iterator<Item = (&'static str, &Path)> {
    let all = [
        ("--json", &asked.json),
        ("--csv", &asked.csv),
        ("--markdown", &asked.markdown),
        ("--junit", &asked.junit),
        ("--html", &asked.html),
        ("--svg", &asked.svg),
    ];
    let named = all.into_iter();
    named.filter_map(|(option, path)| Some((option, path.as_deref()?)))
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Every file that will be written can be, and holds one report: better known before a long load
/// than after it.
fn try_files(asked: &Asked) -> Result<(), Trouble> {
    let named: Vec<_> = files(asked).collect();
    for (at, (option, path)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..at].iter().find(|(_, earlier)| earlier == path) {
            return Err(plain(match is_stdout(path) {
                true => format!("{option} -: standard output is taken by {other}"),
                false => format!("{option} {}: named twice, also for {other}", path.display()),
            }));
        }
    }
    let hdr = asked
        .hdr
        .as_ref()
        .map(|prefix| PathBuf::from(format!("{prefix}-0-q0.hgrm")));
    let named = named.iter().map(|(_, path)| *path);
    for path in named.filter(|path| !is_stdout(path)).chain(hdr.as_deref()) {
        let is_there = path.exists();
        if is_there && !path.is_file() {
            // A pipe: whoever reads it would take this for the end.
            continue;
        }
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| unwritable(path, &error))?;
        if !is_there {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

/// Files first, then the table, then what went wrong. A file that cannot be written keeps nothing
/// else from being shown.
fn show(args: &Bench, report: &Report, baseline: Option<&Value>) -> Result<(), Trouble> {
    let asked = &args.report;
    let to_stdout = files(asked).any(|(_, path)| is_stdout(path));
    let whole = json::render(report);
    let written = write_all(asked, report, &whole);
    let has_something = report.rows.iter().any(|row| row.all.connects > 0);
    let mut shown = Ok(());
    if !asked.quiet && !to_stdout && has_something {
        let mut table = text::render(report);
        if let Some(baseline) = baseline {
            let pair = [
                ("baseline".to_owned(), baseline.clone()),
                ("now".to_owned(), whole),
            ];
            let compared = compare::render(&pair, false);
            table += &compared.map_or_else(
                || "\n  ! the baseline has nothing this can be compared with\n".to_owned(),
                |compared| format!("\n{compared}"),
            );
        }
        shown = terminal::put_out(table.as_bytes()).map_err(plain);
    }
    if let Some(trouble) = &report.trouble {
        tell(trouble);
    }
    written.and(shown)
}

fn write_all(asked: &Asked, report: &Report, whole: &Value) -> Result<(), Trouble> {
    if let Some(path) = &asked.json {
        write(path, &format!("{whole}\n"))?;
    }
    type Render = fn(&Report) -> String;
    let formats: [(&Option<PathBuf>, Render); 3] = [
        (&asked.csv, formats::csv),
        (&asked.markdown, formats::markdown),
        (&asked.junit, formats::junit),
    ];
    for (path, render) in formats {
        if let Some(path) = path {
            write(path, &render(report))?;
        }
    }
    let drawn = draw(whole, asked.html.as_deref(), asked.svg.as_deref());
    if report.trouble.is_none() {
        // Where nothing could be measured, that is what is told.
        drawn?;
    }
    if let Some(prefix) = &asked.hdr {
        for (number, row) in report.rows.iter().enumerate() {
            if row.all.e2e.len() > 0 {
                let name = format!("{prefix}-{number}-q{}.hgrm", row.stage.qos.bits());
                write(Path::new(&name), &formats::hgrm(&row.all.e2e))?;
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    if is_stdout(path) {
        return terminal::put_out(text.as_bytes()).map_err(plain);
    }
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Trouble {
    plain(format!("cannot write {}: {error}", path.display()))
}

/// Passwords and keys do not belong into a report.
fn without_secrets(mut command: Vec<String>) -> Vec<String> {
    const SECRET: [&str; 3] = ["-P", "--pw", "--psk"];
    for at in 1..command.len() {
        if let Some((scheme, rest)) = command[at].split_once("://")
            && let Some((user, place)) = rest.rsplit_once('@')
        {
            // A proxy's address may say who asks.
            let user = user.split(':').next().unwrap_or_default();
            command[at] = format!("{scheme}://{user}:***@{place}");
        }
        if command[at].starts_with("-P") && !command[at].starts_with("-P=") && command[at].len() > 2
        {
            command[at] = "-P***".to_owned();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound_and_every_branch_has_a_page() {
        tree().debug_assert();
        let tree = tree();
        let below = tree.get_subcommands();
        let pages: Vec<String> = below
            .map(|below| format!("bench-{}", below.get_name()))
            .collect();
        assert_eq!(pages, PAGES);
    }

    #[test]
    fn secrets_are_not_repeated() {
        let words = ["mqttx", "bench", "-P", "secret", "--pw=secret", "-q", "1"];
        let shown = without_secrets(words.map(str::to_owned).to_vec()).join(" ");
        assert_eq!(shown, "mqttx bench -P *** --pw=*** -q 1");
        let words = [
            "mqttx",
            "bench",
            "-Psecret",
            "-P=secret",
            "-P",
            "-Psecret",
            "-q",
        ];
        let shown = without_secrets(words.map(str::to_owned).to_vec()).join(" ");
        assert_eq!(shown, "mqttx bench -P*** -P=*** -P *** -q");
        let words = [
            "mqttx",
            "--proxy=socks5h://me:secr@t@host:1",
            "--pw",
            "http://a:b@c",
        ];
        let shown = without_secrets(words.map(str::to_owned).to_vec()).join(" ");
        assert_eq!(shown, "mqttx --proxy=socks5h://me:***@host:1 --pw ***");
    }
}
