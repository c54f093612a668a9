//! The broker's process among others: which user it is, in the background or not, where its
//! number is written. All of it happens before there is a second thread.

use std::io;
use std::path::{Path, PathBuf};

/// A file with the process's number, there as long as this value.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it.
    pub fn write(path: &Path) -> io::Result<Self> {
        std::fs::write(path, std::process::id().to_string())?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why the user cannot be changed, in mosquitto's words.
pub type Refused = String;

/// Started as root, becomes `user`; `mosquitto` where there is none becomes `nobody`. The answer
/// is what is to be told of it, and who we are then.
///
/// `PUID` and `PGID` in the environment go before `user`, as containers want it.
#[cfg(unix)]
pub fn leave_root(user: &str) -> Result<Vec<String>, Refused> {
    use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};
    if !Uid::effective().is_root() {
        return Ok(running_as());
    }
    let failed = |what: &'static str| {
        move |error: nix::Error| {
            format!(
                "Error setting {what} whilst dropping privileges: {}.",
                error.desc()
            )
        }
    };
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if let (Some(uid), gid) = (number("PUID"), number("PGID")) {
        let gid = Gid::from_raw(gid.unwrap_or(uid));
        setgroups(&[gid]).map_err(failed("groups"))?;
        setgid(gid).map_err(failed("gid"))?;
        setuid(Uid::from_raw(uid)).map_err(failed("uid"))?;
        return Ok(running_as());
    }
    let warning = "Warning: Mosquitto should not be run as root/administrator.";
    if user == "root" {
        let mut told = running_as();
        told.push(warning.to_owned());
        return Ok(told);
    }
    let find = |name: &str| User::from_name(name).ok().flatten();
    let (found, told) = match find(user) {
        Some(found) => (found, None),
        None if user != "mosquitto" => {
            return Err(format!(
                "Error: Unable to drop privileges to '{user}' because this user does not exist."
            ));
        }
        None => {
            let nobody = find("nobody")
                .ok_or_else(|| "Error: Unable to drop privileges to 'nobody'.".to_owned())?;
            let told = format!(
                "Warning: Unable to drop privileges to '{user}' because this user does not \
                 exist. Trying 'nobody' instead."
            );
            (nobody, Some(told))
        }
    };
    become_user(&found).map_err(|(what, error)| failed(what)(error))?;
    Ok(told.into_iter().chain(running_as()).collect())
}

#[cfg(unix)]
fn running_as() -> Vec<String> {
    let line = |name: String| format!("Info: running mosquitto as user: {name}.");
    user_name().map(line).into_iter().collect()
}

/// All groups of the user, then its own group, and itself last: that cannot be taken back.
#[cfg(unix)]
fn become_user(user: &nix::unistd::User) -> Result<(), (&'static str, nix::Error)> {
    use nix::unistd::{setgid, setuid};
    #[cfg(not(target_vendor = "apple"))]
    {
        let name = std::ffi::CString::new(user.name.as_str()).unwrap_or_default();
        nix::unistd::initgroups(&name, user.gid).map_err(|error| ("groups", error))?;
    }
    setgid(user.gid).map_err(|error| ("gid", error))?;
    setuid(user.uid).map_err(|error| ("uid", error))
}

/// Whom the system asks about before this process may do anything.
pub fn user_name() -> Option<String> {
    #[cfg(unix)]
    return nix::unistd::User::from_uid(nix::unistd::Uid::effective())
        .ok()?
        .map(|user| user.name);
    #[cfg(not(unix))]
    None
}

/// Elsewhere nobody is root.
#[cfg(not(unix))]
pub fn leave_root(_: &str) -> Result<Vec<String>, Refused> {
    Ok(Vec::new())
}

/// Goes on in the background, without a terminal, its streams leading nowhere. The folder stays,
/// so that relative names lead to the same files.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub fn go_to_background() -> io::Result<()> {
    nix::unistd::daemon(true, false).map_err(io::Error::from)
}

/// Elsewhere there is no background.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
pub fn go_to_background() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Files are made with the rights that `UMASK_SET` leaves, in octal, where the environment has it.
pub fn take_umask() {
    #[cfg(unix)]
    if let Ok(text) = std::env::var("UMASK_SET")
        && let Ok(bits) = u32::from_str_radix(&text, 8)
        && bits <= 0o777
    {
        let bits = rustix::fs::Mode::from_raw_mode(bits);
        rustix::process::umask(bits);
    }
}
