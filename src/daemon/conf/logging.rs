//! From what the settings say of the log, of `$SYS` and `$CONTROL` to [`Conf`].

use crate::daemon::conf::Conf;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::waiting::{Waiting, waiting};

/// What the log cannot do yet.
const WAITING: &[Waiting] = &[
    waiting("connection_messages", &["true", "1"]),
    waiting("enable_control_api", &["false", "0"]),
    waiting("log_dest", &["stderr"]),
    waiting("log_facility", &[]),
    waiting("log_timestamp", &["false", "0"]),
    waiting("log_timestamp_format", &[]),
    waiting("sys_interval", &["0"]),
];

/// Puts it into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    Waiting::check(WAITING, settings)?;
    let types = &settings.globals.log_type;
    conf.verbose |= types.contains(&LogType::Debug);
    conf.quiet |= types.is_empty();
    Ok(())
}
