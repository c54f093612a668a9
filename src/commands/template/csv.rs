//! Tables for templates: comma-separated values as in RFC 4180, the first line names the columns.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files read so far; a template asks for the same one again with each message.
#[derive(Default)]
pub(crate) struct Tables(HashMap<PathBuf, Table>);

struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Tables {
    /// The row of this number; after the last comes the first again.
    pub(crate) fn row(
        &mut self,
        path: &Path,
        number: u64,
    ) -> Result<Vec<(String, String)>, String> {
        if !self.0.contains_key(path) {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let table = parse(&text).map_err(|told| format!("{}: {told}", path.display()))?;
            self.0.insert(path.to_owned(), table);
        }
        let table = &self.0[path];
        let row = &table.rows[(number % table.rows.len() as u64) as usize];
        Ok(table
            .names
            .iter()
            .cloned()
            .zip(row.iter().cloned())
            .collect())
    }
}

fn parse(text: &str) -> Result<Table, String> {
    let mut rows = records(text)?.into_iter();
    let names = rows.next().ok_or("an empty table")?;
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return Err("a table without rows".to_owned());
    }
    match rows.iter().position(|row| row.len() != names.len()) {
        None => Ok(Table { names, rows }),
        Some(at) => Err(format!(
            "row {} has {} fields, not {}",
            at + 1,
            rows[at].len(),
            names.len()
        )),
    }
}

fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut records = Vec::new();
    let (mut record, mut field) = (Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    let (mut is_quoted, mut is_begun) = (false, false);
    while let Some(c) = letters.next() {
        match c {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            _ if is_quoted => field.push(c),
            ',' => record.push(std::mem::take(&mut field)),
            '\r' if letters.peek() == Some(&'\n') => continue,
            '\n' if !is_begun => continue,
            '\n' => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
                is_begun = false;
                continue;
            }
            _ => field.push(c),
        }
        is_begun = true;
    }
    if is_quoted {
        return Err("a quote is never closed".to_owned());
    }
    if is_begun {
        record.push(field);
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let all = records("a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n,\n2,3").unwrap();
        assert_eq!(
            all,
            [
                vec!["a", "b"],
                vec!["1", "x, \"y\"\nz"],
                vec!["", ""],
                vec!["2", "3"]
            ]
        );
        assert!(records("\"a").is_err());
    }

    #[test]
    fn tables() {
        assert!(parse("a,b\n1,2\n").is_ok());
        for wrong in ["", "a,b\n", "a,b\n1\n"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
