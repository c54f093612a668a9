//! A configuration that was read again takes the place of the one in force, without anybody being
//! disconnected who may stay. Each area has its part in [`Daemon::reload`].

use std::io;

use crate::daemon::Daemon;
use crate::daemon::conf::Conf;
use crate::daemon::workers::Workers;
use crate::net::system_words;

impl Daemon {
    /// See the module. What belongs to the process (user, pid file, threads) stays as it is. Only
    /// listeners can fail, so they come first: then nothing has changed.
    pub fn reload(&mut self, conf: &Conf) {
        let opened = match self.relisten(conf) {
            Ok(opened) => opened,
            Err(error) => {
                self.log.line(&format!(
                    "Error: nothing is reloaded, the listeners stay as they were: {error}"
                ));
                return;
            }
        };
        if let Err(error) = self.log.renew(&conf.log, &Workers::new(&self.mailboxes)) {
            let words = system_words(&error);
            self.log
                .line(&format!("Error: the log stays as it was: {words}"));
        }
        // Ahead of the rules: those are for clients who may be here at all.
        let (standing, workers) = (opened.1.clone(), Workers::new(&self.mailboxes));
        workers.ask_all(move |worker| worker.review_names(&standing));
        self.reload_limits(conf);
        if let Err(error) = self.reload_sys(conf) {
            let words = system_words(&error);
            self.log
                .line(&format!("Error: $SYS stays as it was: {words}"));
        }
        self.reload_bridges(conf);
        if let Err(error) = self.reload_access(conf) {
            let words = system_words(&error);
            self.log
                .line(&format!("Error: the rules stay as they were: {words}"));
        }
        self.reload_http(conf, opened);
    }

    fn reload_bridges(&mut self, conf: &Conf) {
        if let Some(bridges) = &self.bridges {
            return bridges.reload(&conf.bridges);
        }
        if let Err(error) = self.start_bridges(conf) {
            self.log.line(&format!("Error: {error}"));
        }
    }

    fn reload_limits(&self, conf: &Conf) {
        let workers = Workers::new(&self.mailboxes);
        // Not that of `conf`, where the log stayed as it was.
        let log = self.log.conf();
        for number in 0..workers.len() {
            let (limits, profile) = (conf.limits.clone(), conf.profile);
            let (subscriptions, packets) = (log.wants_subscriptions(), log.wants_packets());
            workers.tell(number, move |worker| {
                worker.broker.set_limits(limits, profile);
                worker.broker.set_trace(subscriptions, packets);
            });
        }
    }

    fn reload_sys(&mut self, conf: &Conf) -> io::Result<()> {
        let (workers, every) = (Workers::new(&self.mailboxes), conf.sys_interval);
        if self.observing.set_interval(every, &workers)? {
            for number in 0..workers.len() {
                workers.tell(number, move |worker| worker.sample_every(every));
            }
        }
        Ok(())
    }

    /// Passwords, rules, and who may come without a name.
    fn reload_access(&self, conf: &Conf) -> io::Result<()> {
        self.controller.renew(conf);
        self.authenticator.renew(conf)
    }

    /// Whether every worker comes to the end of its turn.
    pub(crate) fn is_alive(&self) -> bool {
        let workers = Workers::new(&self.mailboxes);
        workers.ask_all(|_| ()).len() == workers.len()
    }

    /// Every Subscription and whose it is, on standard output.
    pub(crate) fn print_subscriptions(&self) {
        use std::io::Write as _;
        let workers = Workers::new(&self.mailboxes);
        let parts = workers.ask_all(|worker| worker.broker.all_filters());
        let mut lines: Vec<(String, String)> = parts.into_iter().flatten().collect();
        lines.sort();
        let lines = lines
            .iter()
            .map(|(filter, client)| format!("{filter} {client}\n"));
        // Nobody is left to tell when standard output is closed.
        let _ = io::stdout()
            .lock()
            .write_all(lines.collect::<String>().as_bytes());
    }
}
