//! As whom and from where clients connect: the hosts and source addresses they take turns in, and
//! the identifiers, passwords and certificates a file gives each of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::client::Options;
use crate::mqtt::limits::STRING_MAX;

/// What a client of each number asks for.
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Who {
    /// One for each host and source address.
    pub(in crate::commands::bench) routes: Vec<Options>,
    /// One a client; none when all are alike.
    pub(in crate::commands::bench) people: Vec<Person>,
}

/// One line of --clients-csv.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::commands::bench) struct Person {
    pub(in crate::commands::bench) id: Option<String>,
    pub(in crate::commands::bench) user: Option<String>,
    pub(in crate::commands::bench) password: Option<String>,
    pub(in crate::commands::bench) cert: Option<PathBuf>,
    pub(in crate::commands::bench) key: Option<PathBuf>,
}

impl Who {
    /// `number` counts over publishers and subscribers.
    pub(in crate::commands::bench) fn options(&self, number: usize, name: &str) -> Options {
        let mut options = self.routes[number % self.routes.len()].clone();
        name.clone_into(&mut options.client_id);
        if let Some(person) = self.people.get(number) {
            if let Some(id) = &person.id {
                options.client_id.clone_from(id);
            }
            if person.user.is_some() {
                options.user_name.clone_from(&person.user);
            }
            if let Some(password) = &person.password {
                options.password = Some(password.clone().into_bytes().into());
            }
        }
        options
    }
}

/// What a file of clients may say of each.
const COLUMNS: [&str; 5] = ["id", "user", "password", "cert", "key"];

/// Reads the lines of a file: a head that names the columns, then a line a client.
pub(in crate::commands::bench) fn people(name: &Path, text: &str) -> Result<Vec<Person>, String> {
    let name = name.display();
    // Spreadsheets begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty());
    let (_, head) = lines.next().ok_or_else(|| {
        format!("{name}: the first line names the columns, such as id,user,password")
    })?;
    let columns = fields(head).ok_or_else(|| format!("{name}: line 1: a quote has no end"))?;
    if let Some(column) = columns
        .iter()
        .find(|name| !COLUMNS.contains(&name.as_str()))
    {
        return Err(format!(
            "{name}: no column '{column}'; there are {}",
            COLUMNS.join(", ")
        ));
    }
    if let Some(at) = (1..columns.len()).find(|&at| columns[..at].contains(&columns[at])) {
        return Err(format!("{name}: column '{}' stands twice", columns[at]));
    }
    let mut people: Vec<Person> = Vec::new();
    let mut ids = HashMap::new();
    for (number, line) in lines {
        let line_number = number + 1;
        let cells = fields(line)
            .ok_or_else(|| format!("{name}: line {line_number}: a quote has no end"))?;
        if cells.len() != columns.len() {
            return Err(format!(
                "{name}: line {line_number} has {} columns, the first line {}",
                cells.len(),
                columns.len()
            ));
        }
        let is_no_text = |cell: &String| cell.len() > STRING_MAX || cell.contains('\0');
        if cells.iter().any(is_no_text) {
            return Err(format!(
                "{name}: line {line_number}: no text of MQTT has a NUL or more than {STRING_MAX} bytes"
            ));
        }
        let mut person = Person::default();
        for (column, cell) in columns.iter().zip(cells) {
            let cell = Some(cell).filter(|cell| !cell.is_empty());
            match column.as_str() {
                "id" => person.id = cell,
                "user" => person.user = cell,
                "password" => person.password = cell,
                "cert" => person.cert = cell.map(PathBuf::from),
                "key" => person.key = cell.map(PathBuf::from),
                _ => unreachable!("the columns are known"),
            }
        }
        if let Some(id) = &person.id
            && let Some(earlier) = ids.insert(id.clone(), line_number)
        {
            return Err(format!(
                "{name}: lines {earlier} and {line_number} have the same id '{id}': one client would \
                 push out the other"
            ));
        }
        people.push(person);
    }
    Ok(people)
}

/// Cells between commas; in quotes a comma is a letter and two quotes are one. None for a quote
/// without its end.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.trim_end_matches('\r').chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut()?;
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            _ => field.push(letter),
        }
    }
    (!is_quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Dial;
    use crate::net::address::Address;

    fn read(text: &str) -> Result<Vec<Person>, String> {
        people(Path::new("f"), text)
    }

    #[test]
    fn a_line_is_a_client() {
        assert_eq!(read("\u{feff}id\r\na\r\n").unwrap().len(), 1);
        let all = read("user,id,password\nu1,c1,\"a,\"\"b\"\nu2,,\r\n\n").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].password.as_deref(), Some("a,\"b"));
        assert_eq!((all[1].user.as_deref(), &all[1].id), (Some("u2"), &None));
    }

    #[test]
    fn what_is_no_such_file_is_told_with_its_line() {
        for (text, told) in [
            ("", "names the columns"),
            ("id,colour\n", "no column 'colour'"),
            ("id,user\nx\n", "line 2 has 1 columns"),
            ("id\n\"x\n", "line 2: a quote has no end"),
            ("id,user,id\na,b,c\n", "column 'id' stands twice"),
            ("id\na\n\nb\na\n", "lines 2 and 5 have the same id 'a'"),
            ("id\na\0b\n", "line 2: no text"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn clients_take_turns_and_keep_their_own() {
        let route = |host: &str| Options::new(Dial::new(Address::tcp(host, 1)));
        let who = Who {
            routes: vec![route("a"), route("b")],
            people: read("id,user\nx,\n,y\n").unwrap(),
        };
        let of = |number| {
            let options = who.options(number, "n");
            (
                options.dial.address.host,
                options.client_id,
                options.user_name,
            )
        };
        assert_eq!(of(0), ("a".to_owned(), "x".to_owned(), None));
        assert_eq!(
            of(1),
            ("b".to_owned(), "n".to_owned(), Some("y".to_owned()))
        );
        assert_eq!(of(2).0, "a");
    }
}
