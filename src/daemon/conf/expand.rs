//! `${NAME}` and `${file:PATH}` in values: secrets stay out of the file that everybody reads.
//!
//! `${NAME:-TEXT}` is TEXT where the environment has no NAME. `$${` is `${`.

use std::path::Path;

use crate::net::system_words;

/// A value with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// Something in it came from a file.
    pub(crate) secret: bool,
}

/// Bytes of a file that a value may be read from.
const FILE_MAX: u64 = 65_536;

/// Replaces the variables of a value.
pub(crate) fn expand(text: &str) -> Result<Expanded, String> {
    let mut out = String::new();
    let mut secret = false;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let end = from.find('}').ok_or("Error: '${' without '}'.")?;
        let inside = &from[2..end];
        match inside.strip_prefix("file:") {
            Some(path) => {
                out.push_str(&read(path)?);
                secret = true;
            }
            None => out.push_str(&variable(inside)?),
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(Expanded { text: out, secret })
}

fn variable(inside: &str) -> Result<String, String> {
    let (name, otherwise) = match inside.split_once(":-") {
        Some((name, otherwise)) => (name, Some(otherwise)),
        None => (inside, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!(
            "Error: '${{{name}}}' is not the name of a variable."
        ));
    }
    match (std::env::var(name), otherwise) {
        (Ok(value), _) => Ok(value),
        (Err(std::env::VarError::NotPresent), Some(otherwise)) => Ok(otherwise.to_owned()),
        (Err(std::env::VarError::NotPresent), None) => {
            Err(format!("Error: The environment has no variable '{name}'."))
        }
        (Err(_), _) => Err(format!("Error: The variable '{name}' is not UTF-8.")),
    }
}

/// The text of a file, without the line's end that editors leave.
fn read(path: &str) -> Result<String, String> {
    let failed = |error| {
        let words = system_words(&error);
        format!("Error: Unable to read file '{path}': {words}.")
    };
    let size = std::fs::metadata(Path::new(path)).map_err(failed)?.len();
    if size > FILE_MAX {
        return Err(format!(
            "Error: File '{path}' is larger than {FILE_MAX} bytes."
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    match text.contains(['\n', '\r', '\0']) {
        true => Err(format!("Error: File '{path}' has more than one line.")),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_files_and_dollars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "tiger\r\n").unwrap();
        let name = path.display();
        let check = |text: &str, expected: &str| {
            assert_eq!(expand(text).unwrap().text, expected, "{text}");
        };
        check("$SYS/# is no variable", "$SYS/# is no variable");
        check("a $${HOME} b", "a ${HOME} b");
        check("${MQTTX_IS_NOT_THERE:-x/y}z", "x/yz");
        check(&format!("<${{file:{name}}}>"), "<tiger>");
        assert!(expand(&format!("${{file:{name}}}")).unwrap().secret);
        assert!(!expand("plain").unwrap().secret);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let check = |text: &str, expected: &str| {
            let error = expand(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        };
        check(
            "${MQTTX_IS_NOT_THERE}",
            "Error: The environment has no variable",
        );
        check("${A", "Error: '${' without '}'.");
        check("${}", "Error: '${}' is not the name");
        check("${a b}", "Error: '${a b}' is not the name");
        check(
            "${file:/is/not/there}",
            "Error: Unable to read file '/is/not/there'",
        );
    }
}
