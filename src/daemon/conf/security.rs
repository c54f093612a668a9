//! From the rules of the settings, who may do what, to those of [`Conf`]: directives, and the
//! plugins of mosquitto's box, which are known by the names of their files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::access::rules::Rules;
use crate::daemon::auth::Realm;
use crate::daemon::auth::acl_file;
use crate::daemon::auth::dynsec::{Dynsec, Files};
use crate::daemon::auth::jwt::Jwt;
use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::conf::directives::global::Security;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Listener, Plugin, Settings, UsedBy};
use crate::daemon::conf::{Conf, Plugin as Built};
use crate::net::system_words;

/// What one realm is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sources {
    passwords: Option<PathBuf>,
    rules: Option<PathBuf>,
    dynsec: Option<Files>,
    jwt: Option<PathBuf>,
}

/// Puts the rules into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    // Each listener has its own answer in its rules; this one is for those without.
    let local_only = settings.is_local_only();
    conf.anonymous = settings.security.allow_anonymous.unwrap_or(local_only);
    let prefix = settings.globals.clientid_prefixes.iter();
    conf.client_id_prefixes = prefix.map(|prefix| prefix.as_str().into()).collect();
    let plugins = settings.plugins.iter();
    let is_sparkplug = |plugin: &Plugin| stem(plugin).as_deref() == Some(SPARKPLUG);
    conf.sparkplug = plugins.clone().any(is_sparkplug);
    conf.plugins = listed(settings);
    conf.retain_source_checked = *settings.globals.check_retain_source;
    let shared = plugins
        .clone()
        .filter(|plugin| plugin.used_by == UsedBy::All);
    let whole = sources(&settings.security, shared)?;
    conf.realm = realm(settings, &whole)?;
    conf.dynsec = whole.dynsec;
    if !differs(settings) {
        return Ok(());
    }
    for (place, listener) in settings.listeners.iter().enumerate() {
        let used = plugins.clone().filter(|plugin| match &plugin.used_by {
            UsedBy::All => true,
            UsedBy::Listeners(list) => list.contains(&place),
        });
        let own = sources(settings.security_of(listener), used)?;
        conf.realms.push(realm(settings, &own)?);
        if let Some(files) = own.dynsec
            && *conf.dynsec.get_or_insert_with(|| files.clone()) != files
        {
            return Err(Fault::new(
                "Error: Dynamic security plugin can currently only be loaded once.",
            ));
        }
    }
    Ok(())
}

/// What stands in for plugins: each once, in the order of the file.
fn listed(settings: &Settings) -> Vec<Built> {
    let mut all: Vec<Built> = Vec::new();
    let names = settings.plugins.iter().filter_map(|plugin| {
        let plugin = match stem(plugin)?.as_str() {
            ACL_FILE => Built::new("acl-file"),
            PASSWORD_FILE => Built::new("password-file"),
            DYNSEC => Built::dynsec(),
            SPARKPLUG => Built::new("sparkplug-aware"),
            SQLITE => Built::new("persist-sqlite"),
            _ => return None,
        };
        Some(plugin)
    });
    let dynsec = settings.security.dynsec_file.is_given();
    for plugin in names.chain(dynsec.then(Built::dynsec)) {
        if !all.contains(&plugin) {
            all.push(plugin);
        }
    }
    all
}

/// The number of a listener's rules, for
/// [`ListenerRules::realm`](crate::broker::listener::ListenerRules::realm).
pub(crate) fn realm_of(settings: &Settings, listener: &Listener) -> u16 {
    let same = |other: &Listener| std::ptr::eq(other, listener);
    let place = settings.listeners.iter().position(same);
    let place = place.filter(|_| differs(settings));
    place.map_or(0, |place| u16::try_from(place + 1).unwrap_or(0))
}

/// Whether listeners have rules of their own.
fn differs(settings: &Settings) -> bool {
    let some = |plugin: &Plugin| plugin.used_by != UsedBy::All;
    settings.per_listener || settings.plugins.iter().any(some)
}

fn realm(settings: &Settings, sources: &Sources) -> Result<Realm, Fault> {
    let rules = sources.rules.as_deref().map(|path| {
        let mut rules = rules(path)?;
        rules.subscribe_check = settings.globals.acl_refuse_subscribe.value();
        Ok::<_, Fault>(Arc::new(rules))
    });
    let passwords = sources.passwords.as_deref().map(passwords);
    if let Some(files) = &sources.dynsec {
        Dynsec::check(files).map_err(|what| Fault::new(format!("Error: {what}.")))?;
    }
    Ok(Realm {
        passwords: passwords.transpose()?.map(Arc::new),
        rules: rules.transpose()?,
        jwt: sources.jwt.as_deref().map(token_key).transpose()?,
        dynsec: sources.dynsec.is_some(),
        ..Realm::default()
    })
}

/// Names of mosquitto's own plugins, without folder and ending.
pub(crate) const ACL_FILE: &str = "mosquitto_acl_file";
pub(crate) const PASSWORD_FILE: &str = "mosquitto_password_file";
pub(crate) const DYNSEC: &str = "mosquitto_dynamic_security";
pub(crate) const SPARKPLUG: &str = "mosquitto_sparkplug_aware";
/// Persistence, which is read in `persistence.rs`.
pub(crate) const SQLITE: &str = "mosquitto_persist_sqlite";

pub(crate) fn stem(plugin: &Plugin) -> Option<String> {
    let stem = plugin.path.file_stem()?.to_str()?;
    Some(stem.replace('-', "_"))
}

fn sources<'a>(
    security: &Security,
    plugins: impl Iterator<Item = &'a Plugin>,
) -> Result<Sources, Fault> {
    let mut sources = Sources {
        passwords: (*security.password_file).clone(),
        rules: (*security.acl_file).clone(),
        jwt: (*security.jwt_key_file).clone(),
        dynsec: (*security.dynsec_file).clone().map(|config| Files {
            config,
            password_init: None,
        }),
    };
    for plugin in plugins {
        let wanted = |name: &str| {
            let missing = || fault(plugin, &format!("plugin_opt_{name} is missing"));
            option(plugin, name).ok_or_else(missing)
        };
        match stem(plugin).as_deref() {
            Some(ACL_FILE) => sources.rules = Some(wanted("acl_file")?),
            Some(PASSWORD_FILE) => sources.passwords = Some(wanted("password_file")?),
            Some(DYNSEC) => {
                sources.dynsec = Some(Files {
                    config: wanted("config_file")?,
                    password_init: option(plugin, "password_init_file"),
                });
            }
            Some(SPARKPLUG | SQLITE) => {}
            _ => {
                return Err(fault(
                    plugin,
                    "mqttx has no C interface for plugins. Built in, by the names of mosquitto's \
                     files, are acl_file, password_file, dynamic_security, sparkplug_aware and \
                     persist_sqlite; keys, tokens and limits have directives of their own",
                ));
            }
        }
    }
    Ok(sources)
}

pub(crate) fn option(plugin: &Plugin, name: &str) -> Option<PathBuf> {
    let mut options = plugin.options.iter();
    let found = options.find(|(held, _)| held.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.into())
}

pub(crate) fn fault(plugin: &Plugin, what: &str) -> Fault {
    let path = plugin.path.display();
    Fault {
        sentence: format!("Error: Unable to load plugin \"{path}\": {what}."),
        found_at: vec![plugin.at.clone()],
        remarks: Vec::new(),
    }
}

fn token_key(path: &Path) -> Result<Arc<Jwt>, Fault> {
    let shown = path.display();
    let bad =
        |what: String| Fault::new(format!("Error: Unusable jwt_key_file \"{shown}\": {what}."));
    let file = std::fs::read(path).map_err(|error| bad(system_words(&error)))?;
    let key = Jwt::of_key_file(&file).map_err(|what| bad(what.to_owned()))?;
    Ok(Arc::new(key))
}

fn passwords(path: &Path) -> Result<PasswordFile, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let start = "password-file: Error: Unable to open pwfile";
        Fault::new(format!("{start} \"{shown}\": {}.", system_words(&error)))
    })?;
    PasswordFile::parse(&text).map_err(|bad| {
        let (sentence, line) = (bad.sentence(&shown.to_string()), bad.line);
        Fault::new(format!("{sentence}\nError found at {shown}:{line}."))
    })
}

fn rules(path: &Path) -> Result<Rules, Fault> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| {
        let words = system_words(&error);
        Fault::new(format!(
            "Error: Unable to open acl_file \"{shown}\": {words}."
        ))
    })?;
    acl_file::parse(&text).map_err(|bad| {
        let (sentence, line) = (bad.sentence(&shown.to_string()), bad.line);
        Fault::new(format!("Error: {sentence}\nError found at {shown}:{line}."))
    })
}
