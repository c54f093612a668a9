//! `mqttx broker`: the words become a [`Conf`], and the daemon runs until it is told to stop.

mod http;
mod listening;
pub(super) mod mosquitto;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args as _;
use clap::FromArgMatches as _;

use crate::broker::access::rules::{Rules, SubscribeCheck};
use crate::broker::limits::{Limits, ROWS};
use crate::broker::profile::Profile;
use crate::cli::args::broker::{BrokerArgs, EXAMPLES, LogFormat, RefuseSubscribe, SyncWhen};
use crate::commands::terminal;
use crate::daemon;
use crate::daemon::Ended;
use crate::daemon::auth::Realm;
use crate::daemon::auth::acl_file;
use crate::daemon::auth::dynsec::Files;
use crate::daemon::auth::jwt::Jwt;
use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::conf::logging;
use crate::daemon::conf::{Conf, Durability, Endpoint, Persistence, Plugin};
use crate::daemon::control;
use crate::daemon::log::{Form, LogConf};
use crate::daemon::process::go_to_background;
use crate::net::system_words;

/// One line for the list of commands.
pub const ABOUT: &str = "Run a broker for MQTT 3.1, 3.1.1 and 5.0";

/// The clap tree, for help, manual and completions.
pub fn tree() -> clap::Command {
    BrokerArgs::augment_args(clap::Command::new("broker"))
        .about(ABOUT)
        .after_help(EXAMPLES)
        .bin_name("mqttx broker")
}

/// Runs the command with the words behind its name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("broker")).chain(words);
    let matches = match tree().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => return terminal::clap(&error),
    };
    let result = BrokerArgs::from_arg_matches(&matches)
        .map_err(anyhow::Error::from)
        .and_then(|args| start(&args));
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A sentence, and below it what helps.
pub(crate) fn with_remedy(told: impl fmt::Display, remedy: &str) -> anyhow::Error {
    anyhow!("{told}\n  try: {remedy}")
}

fn start(args: &BrokerArgs) -> anyhow::Result<ExitCode> {
    if args.limits {
        return list_limits();
    }
    if let Some(file) = &args.config_file {
        return mosquitto::start_from(file, args);
    }
    let conf = conf(args)?;
    if args.daemon {
        // Whatever fails later fails where nobody looks.
        daemon::try_places(&conf).map_err(told)?;
        go_to_background()
            .map_err(|error| anyhow!("cannot go to the background: {}", system_words(&error)))?;
    }
    match daemon::run(&conf, None) {
        Ok(Ended::Signal) => Ok(ExitCode::SUCCESS),
        Ok(Ended::Command(status)) => Ok(status_of(status)),
        Err(error) => Err(told(error)),
    }
}

fn told(error: daemon::Error) -> anyhow::Error {
    match error.remedy() {
        Some(remedy) => with_remedy(error, remedy),
        None => anyhow!(error.to_string()),
    }
}

/// Words that say nothing without another: whoever types them means more than they would get.
fn check_meant(args: &BrokerArgs, listeners: &[Endpoint]) -> anyhow::Result<()> {
    let encrypted = listeners.iter().any(|one| one.tls.is_some())
        || args.http.iter().any(|place| place.starts_with("https:"));
    let websocket = listeners.iter().any(|one| one.websocket.is_some());
    let rules = args.acl_file.is_some() || args.dynsec.is_some();
    let tls = "--listen mqtts://127.0.0.1:8883 with --cert FILE --key FILE";
    for (is_there, means, name, without, remedy) in [
        (args.cert.is_some(), encrypted, "--cert", "TLS", tls),
        (
            args.tls_keylog.is_some(),
            encrypted,
            "--tls-keylog",
            "TLS",
            tls,
        ),
        (
            !args.origin.is_empty(),
            websocket || !args.http.is_empty(),
            "--origin",
            "WebSockets",
            "--listen ws://127.0.0.1:8080",
        ),
        (
            args.check_retain_source,
            rules,
            "--check-retain-source",
            "rules",
            "--acl-file FILE or --dynsec FILE",
        ),
    ] {
        if is_there && !means {
            let told = format!("{name} says nothing without {without}");
            return Err(with_remedy(told, remedy));
        }
    }
    Ok(())
}

/// Loopback and anonymous together, or neither.
fn check_open(args: &BrokerArgs, listeners: &[Endpoint]) -> anyhow::Result<()> {
    let anybody = |endpoint: &Endpoint| {
        let said = endpoint.rules.anonymous.is_some() || endpoint.rules.user_name_proven;
        endpoint.is_open() && !said
    };
    let open = listeners.iter().any(anybody);
    if open
        && !args.allow_anonymous
        && args.password_file.is_none()
        && args.dynsec.is_none()
        && args.jwt_key.is_none()
    {
        return Err(with_remedy(
            "clients from other machines could connect, and nobody said who may",
            "--allow-anonymous, --password-file FILE or --dynsec FILE",
        ));
    }
    Ok(())
}

fn conf(args: &BrokerArgs) -> anyhow::Result<Conf> {
    let listeners = listening::listeners(args)?;
    check_meant(args, &listeners)?;
    check_open(args, &listeners)?;
    let http = http::listeners(args)?;
    http::check_open(args, &http)?;
    let password_file = args
        .password_file
        .as_deref()
        .map(read_passwords)
        .transpose()?;
    let rules = args.acl_file.as_deref().map(|path| {
        let mut rules = read_rules(path)?;
        rules.subscribe_check = match args.refuse_subscribe {
            RefuseSubscribe::Never => SubscribeCheck::Never,
            RefuseSubscribe::Nothing => SubscribeCheck::Nothing,
            RefuseSubscribe::Partly => SubscribeCheck::Partly,
        };
        Ok::<_, anyhow::Error>(Arc::new(rules))
    });
    let mut limits = Limits::default();
    set_limits(&mut limits, &args.limit)?;
    Ok(Conf {
        listeners,
        http,
        http_token: args.http_token.as_deref().map(http::token).transpose()?,
        anonymous: args.allow_anonymous
            || (password_file.is_none() && args.dynsec.is_none() && args.jwt_key.is_none()),
        realm: Realm {
            passwords: password_file.map(Arc::new),
            rules: rules.transpose()?,
            jwt: args.jwt_key.as_deref().map(token_key).transpose()?,
            dynsec: args.dynsec.is_some(),
            ..Realm::default()
        },
        dynsec: args.dynsec.clone().map(|config| Files {
            config,
            password_init: None,
        }),
        controls: match args.no_control {
            true => Vec::new(),
            false => vec![control::TOPIC.into()],
        },
        retain_source_checked: args.check_retain_source,
        plugins: args.dynsec.iter().map(|_| Plugin::dynsec()).collect(),
        workers: args.workers.map(usize::from),
        limits,
        profile: Profile::STANDARD,
        persistence: args.persistence.as_ref().map(|folder| Persistence {
            folder: folder.clone(),
            sqlite: None,
            import: Some(folder.join("mosquitto.db")),
            sync: match args.sync {
                SyncWhen::Always => Durability::Always,
                SyncWhen::Interval => Durability::Interval,
                SyncWhen::Off => Durability::Off,
            },
        }),
        log: log(args)?,
        secrets: secrets(args),
        sys_interval: Duration::from_secs(u64::from(args.sys_interval)),
        ready_file: args.ready_file.clone(),
        command: (!args.command.is_empty()).then(|| args.command.clone()),
        ..Conf::default()
    })
}

/// Files that nobody else should be able to read.
fn secrets(args: &BrokerArgs) -> Vec<PathBuf> {
    let token_key = args.jwt_key.as_ref();
    let token_key = token_key.filter(|file| Jwt::is_secret(file));
    [
        args.password_file.as_ref(),
        args.dynsec.as_ref(),
        args.key.as_ref(),
        args.http_token.as_ref(),
        token_key,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect()
}

/// What tells the names of limits and how far each goes.
pub(crate) const LISTS_LIMITS: &str = "mqttx broker --limits";

/// `--limit NAME=VALUE`, each of them.
pub(crate) fn set_limits(limits: &mut Limits, settings: &[String]) -> anyhow::Result<()> {
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            with_remedy(
                format!("--limit {setting}: NAME=VALUE is wanted"),
                LISTS_LIMITS,
            )
        })?;
        limits
            .set(name, value)
            .map_err(|what| with_remedy(format!("--limit {setting}: {what}"), LISTS_LIMITS))?;
    }
    Ok(())
}

pub(crate) fn log_form(format: LogFormat) -> Form {
    match format {
        LogFormat::Text => Form::Own,
        LogFormat::Json => Form::Json,
        LogFormat::Mosquitto => Form::Mosquitto,
    }
}

fn log(args: &BrokerArgs) -> anyhow::Result<LogConf> {
    let mut log = LogConf {
        form: args.log_format.map_or(Form::Own, log_form),
        timestamp: args.log_format == Some(LogFormat::Mosquitto),
        ..LogConf::default()
    };
    if !args.log_dest.is_empty() {
        log.dests = logging::dests(&args.log_dest).map_err(|what| anyhow!("--log-dest {what}"))?;
    }
    if !args.log_type.is_empty() {
        log.types = logging::types(&args.log_type).map_err(|what| anyhow!("--log-type {what}"))?;
    }
    if args.verbose {
        log.verbose();
    }
    if args.quiet {
        log.quiet();
    }
    Ok(log)
}

/// What a file of this kind has in it.
pub(crate) fn read(kind: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = |error| {
        let words = system_words(&error);
        anyhow!("cannot read {kind} {}: {words}", path.display())
    };
    std::fs::read(path).map_err(told)
}

fn token_key(path: &Path) -> anyhow::Result<Arc<Jwt>> {
    let file = read("key file", path)?;
    let key = Jwt::of_key_file(&file).map_err(|what| anyhow!("{}: {what}", path.display()))?;
    Ok(Arc::new(key))
}

fn read_passwords(path: &Path) -> anyhow::Result<PasswordFile> {
    let file = match read("password file", path) {
        Err(error) if !path.exists() => {
            let remedy = format!("mqttx passwd -c {} NAME, which makes one", path.display());
            return Err(with_remedy(error, &remedy));
        }
        other => other?,
    };
    let shown = path.display();
    let text = String::from_utf8(file).map_err(|_| anyhow!("{shown}: not UTF-8"))?;
    PasswordFile::parse(&text).map_err(|bad| anyhow!("{shown}: {bad}"))
}

fn read_rules(path: &Path) -> anyhow::Result<Rules> {
    let text = read("ACL file", path)?;
    acl_file::parse(&text).map_err(|bad| anyhow!("{}: {bad}", path.display()))
}

fn list_limits() -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    for row in ROWS {
        let (name, why) = (row.name, row.why.trim());
        out += &format!(
            "{name}={} ({} to {})\n    {why}\n",
            row.default, row.least, row.most
        );
    }
    Ok(terminal::print_out(&out))
}

/// The status of the command; killed by a signal it is what a shell would say.
pub(crate) fn status_of(status: std::process::ExitStatus) -> ExitCode {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return ExitCode::from((128 + signal) as u8);
    }
    ExitCode::from(status.code().unwrap_or(1) as u8)
}
