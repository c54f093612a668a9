//! `mqttx broker`: the words become a [`Conf`], and the daemon runs until it is told to stop.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use anyhow::anyhow;
use anyhow::bail;
use clap::Args as _;
use clap::FromArgMatches as _;

use crate::broker::access::rules::{Rules, SubscribeCheck};
use crate::broker::limits::{Limits, ROWS};
use crate::broker::profile::Profile;
use crate::cli::args::broker::{BrokerArgs, EXAMPLES, LogFormat, RefuseSubscribe, SyncWhen};
use crate::commands::http;
use crate::commands::listening;
use crate::commands::mosquitto;
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
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let result = BrokerArgs::from_arg_matches(&matches)
        .map_err(anyhow::Error::from)
        .and_then(|args| start(&args));
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
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
        go_to_background().context("cannot go to the background")?;
    }
    match daemon::run(&conf, None) {
        Ok(Ended::Signal) => Ok(ExitCode::SUCCESS),
        Ok(Ended::Command(status)) => Ok(status_of(status)),
        Err(error) => Err(anyhow!(error.to_string())),
    }
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
        bail!(
            "clients from other machines could connect, and nobody said who may: \
             add --allow-anonymous, --password-file FILE or --dynsec FILE"
        );
    }
    Ok(())
}

fn conf(args: &BrokerArgs) -> anyhow::Result<Conf> {
    let listeners = listening::listeners(args)?;
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
        sys_interval: Duration::from_secs(u64::from(args.sys_interval)),
        ready_file: args.ready_file.clone(),
        command: (!args.command.is_empty()).then(|| args.command.clone()),
        ..Conf::default()
    })
}

/// `--limit NAME=VALUE`, each of them.
pub(crate) fn set_limits(limits: &mut Limits, settings: &[String]) -> anyhow::Result<()> {
    for setting in settings {
        let (name, value) = setting
            .split_once('=')
            .with_context(|| format!("--limit {setting}: NAME=VALUE is wanted"))?;
        limits
            .set(name, value)
            .map_err(|what| anyhow!("--limit {setting}: {what}"))?;
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

fn token_key(path: &Path) -> anyhow::Result<Arc<Jwt>> {
    let file =
        std::fs::read(path).with_context(|| format!("cannot read key file {}", path.display()))?;
    let key = Jwt::of_key_file(&file).map_err(|what| anyhow!("{}: {what}", path.display()))?;
    Ok(Arc::new(key))
}

fn read_passwords(path: &Path) -> anyhow::Result<PasswordFile> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read password file {}", path.display()))?;
    PasswordFile::parse(&text).map_err(|bad| anyhow!("{}: {bad}", path.display()))
}

fn read_rules(path: &Path) -> anyhow::Result<Rules> {
    let text =
        std::fs::read(path).with_context(|| format!("cannot read ACL file {}", path.display()))?;
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
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The status of the command; killed by a signal it is what a shell would say.
pub(crate) fn status_of(status: std::process::ExitStatus) -> ExitCode {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return ExitCode::from((128 + signal) as u8);
    }
    ExitCode::from(status.code().unwrap_or(1) as u8)
}
