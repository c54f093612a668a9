//! Rows about reaching a broker that mosquitto's clients never had: long names only, understood
//! under the name `mqttx`. Most of them are what MQTTX CLI's words stand for (`aliases.rs`).

use crate::cli::judge;
use crate::cli::lexer::Clean;
use crate::cli::words::{EVERY, PSR, Row, S, Take, Verdict, flag, row};

pub(crate) static ROWS: &[Row] = &[
    flag("", "--ask-password", EVERY).own(),
    row("", "--password-file", EVERY, Take::Bytes)
        .noun("file")
        .own(),
    row("", "--password-env", EVERY, Take::Checked(variable))
        .noun("variable")
        .own(),
    row(
        "",
        "--print-config",
        EVERY,
        Take::Means(|clean| clean.is_config_asked = true),
    )
    .own(),
    row("", "--profile", EVERY, Take::Judge(profile))
        .noun("name")
        .own(),
    row("", "--save-profile", EVERY, Take::Judge(save_profile))
        .noun("name")
        .own(),
    flag("", "--scram", EVERY).own(),
    flag("-S", "--srv", EVERY).own(),
    row("", "--no-local", S, Take::Means(judge::no_local)).own(),
    row("", "--protocol", EVERY, Take::Judge(judge::protocol))
        .noun("protocol")
        .own(),
    row(
        "",
        "--reconnect-period",
        PSR,
        Take::Whole(0, 86_400_000, reconnect_period),
    )
    .noun("time")
    .own(),
    row("", "--ws-path", EVERY, Take::Checked(path))
        .noun("path")
        .own(),
    row("", "--ws-header", EVERY, Take::Checked(header))
        .noun("header")
        .own(),
];

fn variable(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('=') {
        true => Err(format!("no variable can have the name '{text}'")),
        false => Ok(()),
    }
}

fn profile(clean: &mut Clean, name: &str) -> Result<(), Verdict> {
    clean.profile = Some(named(name)?);
    Ok(())
}

fn save_profile(clean: &mut Clean, name: &str) -> Result<(), Verdict> {
    clean.save = Some(named(name)?);
    Ok(())
}

fn named(name: &str) -> Result<String, Verdict> {
    match name.is_empty() || name.contains(char::is_control) {
        true => Err(Verdict::spaced("A profile needs a name.")),
        false => Ok(name.to_owned()),
    }
}

fn reconnect_period(given: i64) -> Verdict {
    Verdict::tight(format!(
        "Invalid reconnect period {given}: 0 to 86400000 milliseconds."
    ))
}

fn path(text: &str) -> Result<(), String> {
    let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    match fits {
        true => Ok(()),
        false => Err(format!("a path starts with / and has no blanks: '{text}'")),
    }
}

fn header(text: &str) -> Result<(), String> {
    match split_header(text) {
        Some(_) => Ok(()),
        // It is not repeated: most of them are there for a secret.
        None => Err("a header line reads 'Name: value'".to_owned()),
    }
}

/// The name of a header whose value nobody else is to read.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "key", "secret", "token"]
        .iter()
        .any(|part| name.contains(part))
}

/// The name, which is a token (RFC 9110, §5.6.2), and the value, which holds no control characters.
pub(crate) fn split_header(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let fits = !name.is_empty() && name.bytes().all(is_token) && !value.contains(char::is_control);
    fits.then_some((name, value))
}
