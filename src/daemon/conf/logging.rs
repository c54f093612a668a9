//! From what the settings say of the log, of `$SYS` and `$CONTROL` to [`Conf`], and what the words
//! of the command line do.

use std::time::Duration;

use crate::daemon::conf::Conf;
use crate::daemon::conf::log_words::{LogDest, LogDests, LogType, LogTypes};
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::value::{Kind, Trouble};
use crate::daemon::control;
use crate::daemon::log::{Form, LogConf};

/// There is no library of it here.
const NO_DLT: &str = "automotive logging (dlt) is not available: use syslog or a file";

/// Puts it into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    conf.log = log(settings)?;
    let seconds = u64::try_from(*settings.globals.sys_interval).unwrap_or_default();
    conf.sys_interval = Duration::from_secs(seconds);
    if *settings.globals.enable_control_api {
        conf.controls.push(control::TOPIC.into());
    }
    Ok(())
}

/// The log of a mosquitto.conf.
pub fn log(settings: &Settings) -> Result<LogConf, Fault> {
    let globals = &settings.globals;
    if globals.log_dest.contains(&LogDest::Dlt) {
        let mut fault = Fault::new(format!("Error: 'log_dest dlt': {NO_DLT}."));
        fault.found_at.extend(globals.log_dest.at.clone());
        return Err(fault);
    }
    Ok(LogConf {
        dests: globals.log_dest.to_vec(),
        types: globals.log_type.to_vec(),
        form: Form::Mosquitto,
        timestamp: *globals.log_timestamp,
        timestamp_format: globals.log_timestamp_format.as_ref().cloned(),
        facility: globals
            .log_facility
            .and_then(|number| u8::try_from(number).ok()),
        connection_messages: *globals.connection_messages,
    })
}

/// Destinations as `log_dest` has them, a word each.
pub fn dests(words: &[String]) -> Result<Vec<LogDest>, String> {
    let mut list = Vec::new();
    for word in words {
        LogDests::add(&mut list, word).map_err(|trouble| said(word, trouble, LogDests::FORM))?;
    }
    match list.contains(&LogDest::Dlt) {
        true => Err(NO_DLT.to_owned()),
        false => Ok(list),
    }
}

/// Types as `log_type` has them, a word each.
pub fn types(words: &[String]) -> Result<Vec<LogType>, String> {
    let mut list = Vec::new();
    for word in words {
        LogTypes::add(&mut list, word).map_err(|trouble| said(word, trouble, LogTypes::FORM))?;
    }
    Ok(list)
}

fn said(word: &str, trouble: Trouble, form: &str) -> String {
    match trouble {
        Trouble::Said(sentence) => {
            format!("{word}: {}", sentence.trim_start_matches("Error: "))
        }
        _ => format!("{word}: one of {form} is wanted"),
    }
}
