//! The table of mosquitto.conf's directives: one row each, from which the reader of the file, its
//! errors, the manual and `--print-config` are derived.
//!
//! A row makes a field of its block, too: `globals.autosave_interval` is that directive's value.
//! Adding one is a row in `global.rs`, `listener.rs` or `bridge.rs` and its use in `daemon/conf`.

pub mod bridge;
pub mod global;
pub mod listener;

use crate::daemon::conf::directives::bridge::BRIDGE;
use crate::daemon::conf::directives::global::{GLOBALS, SECURITY};
use crate::daemon::conf::directives::listener::LISTENER;

/// Where a directive belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole broker.
    Global,
    /// Who may do what: the whole broker, or with `per_listener_settings` the listener above it.
    Security,
    /// The listener above it.
    Listener,
    /// The bridge above it.
    Bridge,
    /// The plugin above it.
    Plugin,
    /// It opens a block, or changes how the lines below it are read.
    Opener,
}

/// What else there is to know of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// To be replaced: by what.
    Deprecated(&'static str),
    /// `--print-config` does not show it.
    Secret,
    /// A listener must be there: it does not make the default one.
    NeedsListener,
    /// The default listener will not do either.
    NeedsNamedListener,
    /// The sentence about a value out of bounds; `{}` is that value.
    Wrong(&'static str),
    /// What an error calls it where it is empty or there for the second time.
    Noun(&'static str),
    /// Told whenever it is there.
    Note(&'static str),
    /// Accepted for the sake of old files, with this warning.
    Gone(&'static str),
    /// Nothing here can do this: the way out.
    Never(&'static str),
}

/// A row of the table.
#[derive(Debug)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// Where it belongs.
    pub scope: Scope,
    /// The form of its value.
    pub form: &'static str,
    /// What holds without it.
    default: fn() -> String,
    /// What else there is to know.
    pub marks: &'static [Mark],
    help: &'static str,
}

impl Directive {
    /// What it does.
    pub fn help(&self) -> String {
        let words: Vec<&str> = self.help.split_whitespace().collect();
        words.join(" ")
    }

    /// What holds without it; empty where that is nothing.
    pub fn default(&self) -> String {
        (self.default)()
    }

    pub(crate) fn noun<'a>(&self, name: &'a str) -> &'a str {
        let noun = self.marks.iter().find_map(|mark| match mark {
            Mark::Noun(noun) => Some(*noun),
            _ => None,
        });
        noun.unwrap_or(name)
    }

    pub(crate) fn wrong(&self) -> Option<&'static str> {
        self.marks.iter().find_map(|mark| match mark {
            Mark::Wrong(sentence) => Some(*sentence),
            _ => None,
        })
    }
}

/// A directive's name: the field's, unless it has others.
macro_rules! name_of {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}
pub(crate) use name_of;

/// A block of settings and its rows: see the module.
macro_rules! block {
    ($(#[$doc:meta])* $block:ident, $rows:ident, $scope:ident;
     $($(#[doc = $help:literal])+ $field:ident $(($name:literal $(, $alias:literal)*))?:
       $kind:ty = $default:expr $(, $mark:ident $(($text:literal))?)*;)+) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $block { $($(#[doc = $help])+ pub $field: Given<<$kind as Kind>::Value>,)+ }

        impl Default for $block {
            fn default() -> Self {
                Self { $($field: Given::unsaid($default),)+ }
            }
        }

        impl $block {
            /// Takes a line about one of its directives.
            pub(crate) fn set(
                &mut self,
                name: &str,
                text: &str,
                at: &Origin,
            ) -> Result<(), Trouble> {
                match name {
                    $(name_of!($field $($name)?) => self.$field.take::<$kind>(text, at),)+
                    _ => unreachable!("the row was found in this table"),
                }
            }

            /// Which of its directives were given.
            pub fn given(&self) -> Vec<&'static str> {
                let all = [$((name_of!($field $($name)?), self.$field.is_given()),)+];
                let given = all.iter().filter(|(_, given)| *given);
                given.map(|(name, _)| *name).collect()
            }
        }

        /// The rows, in the order of the source.
        pub const $rows: &[Directive] = &[$(Directive {
            name: name_of!($field $($name)?),
            aliases: &[$($($alias),*)?],
            scope: Scope::$scope,
            form: <$kind as Kind>::FORM,
            default: || <$kind as Kind>::show(&$default),
            marks: &[$(Mark::$mark $(($text))?),*],
            help: concat!($($help),+),
        },)+];
    };
}
pub(crate) use block;

const fn opener(
    name: &'static str,
    aliases: &'static [&'static str],
    form: &'static str,
    marks: &'static [Mark],
    help: &'static str,
) -> Directive {
    Directive {
        name,
        aliases,
        scope: Scope::Opener,
        form,
        default: String::new,
        marks,
        help,
    }
}

/// What opens a block, or changes how the lines below it are read.
pub const OPENERS: &[Directive] = &[
    opener(
        "include_dir",
        &[],
        "PATH",
        &[],
        "Read every file *.conf of this folder, sorted by name; in the main file only.",
    ),
    opener(
        "per_listener_settings",
        &[],
        "true | false",
        &[Mark::Deprecated(
            "Please see the documentation for how to achieve the same effect.",
        )],
        "Security directives are about the listener above them; before all of those.",
    ),
    opener(
        "listener",
        &[],
        "PORT | any [ADDRESS | PATH]",
        &[Mark::Noun("listener port")],
        "Listen here; port 0 and a path make a Unix socket. What follows is about it. With any the \
         system chooses a free port.",
    ),
    opener(
        "connection",
        &[],
        "NAME",
        &[],
        "A bridge to another broker. What follows is about it.",
    ),
    opener(
        "plugin",
        &["auth_plugin"],
        "PATH",
        &[],
        "Use a plugin; those in mosquitto's box are known by their file names.",
    ),
    opener(
        "global_plugin",
        &[],
        "PATH",
        &[],
        "Use a plugin for all listeners, also with per_listener_settings.",
    ),
    opener(
        "plugin_load",
        &[],
        "NAME PATH",
        &[],
        "Make a plugin known by a name, for plugin_use.",
    ),
    opener(
        "plugin_use",
        &[],
        "NAME",
        &[Mark::NeedsNamedListener],
        "Use a plugin that plugin_load named, for the listener above.",
    ),
];

/// What belongs to the plugin above it.
pub const PLUGIN: &[Directive] = &[
    Directive {
        name: "plugin_opt_NAME",
        aliases: &["auth_opt_NAME"],
        scope: Scope::Plugin,
        form: "TEXT",
        default: String::new,
        marks: &[],
        help: "An option of the plugin above.",
    },
    Directive {
        name: "auth_plugin_deny_special_chars",
        aliases: &[],
        scope: Scope::Plugin,
        form: "true | false",
        default: || "true".to_owned(),
        marks: &[],
        help: "The plugin is not asked about names that contain + or #: those are denied.",
    },
];

/// Every table, in the order of the manual.
pub const TABLES: &[(&str, &[Directive])] = &[
    ("Blocks", OPENERS),
    ("The whole broker", GLOBALS),
    ("Who may do what", SECURITY),
    ("Listeners", LISTENER),
    ("Plugins", PLUGIN),
    ("Bridges", BRIDGE),
];

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Directive> {
    TABLES.iter().flat_map(|(_, rows)| rows.iter())
}

/// The row of a name, or of another name of it.
pub(crate) fn find(name: &str) -> Option<&'static Directive> {
    all().find(|row| row.name == name || row.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_explained() {
        let mut names = BTreeSet::new();
        for row in all() {
            for name in std::iter::once(&row.name).chain(row.aliases) {
                assert!(names.insert(*name), "{name}");
            }
            let help = row.help();
            assert!(
                help.len() > 15 && help.ends_with('.'),
                "{}: {help}",
                row.name
            );
        }
        assert!(names.len() > 140, "{}", names.len());
    }
}
