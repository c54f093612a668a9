//! `--select .a.b[0]`: a part of a JSON value, by its path.

use serde_json::Value;

/// The way to a part: members by name, items by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

impl Path {
    /// `.a.b`, `.a[0]`, `."a name".b`; a lone `.` is the whole.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no path; such are .a.b, .list[0].c, .\"a name\"");
        let mut steps = Vec::new();
        let mut rest = text;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (number, after) = after.split_once(']').ok_or_else(wrong)?;
                steps.push(Step::Item(number.parse().map_err(|_| wrong())?));
                rest = after;
                continue;
            }
            let after = rest.strip_prefix('.').ok_or_else(wrong)?;
            if let Some(quoted) = after.strip_prefix('"') {
                let (name, after) = quoted.split_once('"').ok_or_else(wrong)?;
                steps.push(Step::Member(name.to_owned()));
                rest = after;
                continue;
            }
            let end = after.find(['.', '[']).unwrap_or(after.len());
            match &after[..end] {
                "" if text == "." => {}
                "" if after.starts_with('[') && steps.is_empty() => {}
                "" => return Err(wrong()),
                name if name.contains([']', '"']) => return Err(wrong()),
                name => steps.push(Step::Member(name.to_owned())),
            }
            rest = &after[end..];
        }
        Ok(Self(steps))
    }

    /// The part there, if there is one.
    pub fn find<'a>(&self, whole: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(whole, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Item(number) => value.get(number),
        })
    }
}

/// A text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let whole: Value =
            serde_json::from_str(r#"{"a":{"b":[1,{"c":"x"}],"d e":null},"":2}"#).unwrap();
        for (path, part) in [
            (".a.b[0]", Some("1")),
            (".a.b[1].c", Some("x")),
            (".a.\"d e\"", Some("null")),
            (".a.b", Some("[1,{\"c\":\"x\"}]")),
            (".a.x", None),
            (".a.b[2]", None),
            (".a.b.c", None),
        ] {
            let found = Path::parse(path).unwrap().find(&whole).map(plain);
            assert_eq!(found.as_deref(), part, "{path}");
        }
        let list: Value = serde_json::from_str("[7]").unwrap();
        assert_eq!(
            Path::parse(".[0]").unwrap().find(&list),
            Some(&Value::from(7))
        );
        assert_eq!(Path::parse(".").unwrap().find(&list), Some(&list));
        for wrong in [
            "", "a", ".a.", "..", ".a[", ".a[x]", ".a]", ".\"a", ".a[-1]",
        ] {
            assert!(Path::parse(wrong).is_err(), "{wrong}");
        }
    }
}
