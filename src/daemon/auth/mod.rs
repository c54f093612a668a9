//! Answers for the broker's questions, from a thread of their own: a password hash is made to be
//! slow, and no worker waits for it.

pub mod acl_file;
pub mod hash;
pub mod password_file;

use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use crate::broker::ConnectionId;
use crate::broker::access::{Asked, Question, Verdict};
use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::mail::{Mail, Mailbox};
use crate::mqtt::Reason;

/// Questions that wait for the thread; clients beyond it are told that the broker is busy.
const QUESTIONS_MAX: usize = 4_096;

/// Where to ask.
#[derive(Clone)]
pub(crate) struct Authenticator {
    questions: mpsc::SyncSender<(usize, Question)>,
}

impl Authenticator {
    pub(crate) fn start(file: Arc<PasswordFile>, mailboxes: Vec<Arc<Mailbox>>) -> io::Result<Self> {
        let (questions, inbox) = mpsc::sync_channel::<(usize, Question)>(QUESTIONS_MAX);
        std::thread::Builder::new()
            .name("passwords".to_owned())
            .spawn(move || {
                for (worker, question) in inbox {
                    let verdict = answer(&file, &question.asked);
                    mailboxes[worker].post(Mail::Verdict(question.connection, verdict));
                }
            })?;
        Ok(Self { questions })
    }

    /// Asks; an answer that is there at once is returned.
    pub(crate) fn ask(&self, worker: usize, question: Question) -> Option<(ConnectionId, Verdict)> {
        let connection = question.connection;
        self.questions.try_send((worker, question)).err()?;
        let reason = Reason::SERVER_BUSY;
        Some((
            connection,
            Verdict::Refuse {
                reason,
                server_reference: None,
            },
        ))
    }
}

fn answer(file: &PasswordFile, asked: &Asked) -> Verdict {
    let refused = |reason| Verdict::Refuse {
        reason,
        server_reference: None,
    };
    match asked {
        Asked::Password {
            user_name,
            password,
        } if file.verify(user_name, password) => Verdict::Accept(Box::default()),
        Asked::Password { .. } => refused(Reason::BAD_USER_NAME_OR_PASSWORD),
        Asked::Exchange { .. } => refused(Reason::BAD_AUTHENTICATION_METHOD),
    }
}
