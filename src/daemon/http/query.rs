//! What stands behind the `?` of a request: each name once where one is wanted, nothing unknown,
//! values within their bounds.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::daemon::http::answer::Fault;

/// Parameters of a request at most.
const PARAMETERS_MAX: usize = 128;

/// The parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart; only `known` names may be in it.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Fault> {
        let parts = query.unwrap_or_default().split('&');
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        if parts.len() > PARAMETERS_MAX {
            let what = format!("{PARAMETERS_MAX} parameters are allowed at most");
            return Err(Fault::bad(what));
        }
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let known = match known {
                    [] => "none is known here".to_owned(),
                    known => format!("known are {}", known.join(", ")),
                };
                return Err(Fault::bad(format!("{name:?} is no parameter: {known}")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// All values of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The value of a name that may be there once.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, Fault> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Fault::bad(format!("{name} may be given once"))),
        }
    }

    /// A number, or what it is when nobody says.
    pub(super) fn number<N>(
        &self,
        name: &str,
        bounds: RangeInclusive<N>,
        default: N,
    ) -> Result<N, Fault>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.one(name)? else {
            return Ok(default);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<N> = text.parse().ok().filter(|_| digits);
        number
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| {
                let (least, most) = bounds.into_inner();
                Fault::bad(format!("{name}: a number from {least} to {most} is wanted"))
            })
    }

    /// One of some words; the first when nobody says.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, Fault> {
        let text = self.one(name)?.unwrap_or(words[0].0);
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|&(_, value)| value).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Fault::bad(format!("{name}: one of {} is wanted", words.join(", ")))
        })
    }
}

/// Yes or no.
pub(super) const YES_OR_NO: [(&str, bool); 2] = [("false", false), ("true", true)];

/// A part of a query as it is meant: `+` is a space there.
fn decoded(text: &str) -> Result<String, Fault> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    let decoded = decoded.map_err(|_| Fault::bad("the query is no UTF-8"))?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["a", "filter"];

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::read(Some("filter=a/%23&a=1&filter=b+c"), KNOWN).unwrap();
        assert_eq!(query.all("filter").collect::<Vec<_>>(), ["a/#", "b c"]);
        assert_eq!(query.number("a", 0..=5, 3).unwrap(), 1);
        assert!(query.one("filter").is_err());
        assert_eq!(
            Query::read(None, KNOWN)
                .unwrap()
                .number("a", 0..=5, 3)
                .unwrap(),
            3
        );
    }

    #[test]
    fn what_is_not_as_wanted_is_refused() {
        let check = |text: &str| Query::read(Some(text), KNOWN).is_err();
        assert!(check("b=1") && check("a=%ff"));
        for text in [
            "a=-1",
            "a=6",
            "a=x",
            "a=",
            "a=+1",
            "a=1&a=1",
            "a=99999999999999999999",
        ] {
            let query = Query::read(Some(text), KNOWN).unwrap();
            assert!(query.number("a", 0..=5, 3).is_err(), "{text}");
        }
        let many = "a&".repeat(PARAMETERS_MAX + 1);
        assert!(check(&many));
    }
}
