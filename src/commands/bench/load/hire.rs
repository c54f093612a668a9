//! The clients of one thread: each kind of load has its own cast, and every client is a task.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_local};

use crate::cli::args::bench::Kind;
use crate::client::{End, Handler, Message, Prepared, Session};
use crate::commands::bench::load::board::{Phase, What};
use crate::commands::bench::load::churner::Churner;
use crate::commands::bench::load::crew::Worker;
use crate::commands::bench::load::desk::Desk;
use crate::commands::bench::load::publisher::Publisher;
use crate::commands::bench::load::requester::{REPLY, Requester, Responder};
use crate::commands::bench::load::subscriber::Subscriber;
use crate::commands::bench::load::track::Tracker;

/// Connections a thread opens at the same time.
const OPENING_MAX: usize = 64;

/// After an attempt that failed, while others succeed.
const CHURN_PAUSE: Duration = Duration::from_millis(10);

type Trackers = Rc<RefCell<Vec<Tracker>>>;

impl Worker {
    /// Starts a task for each client of this thread, a few connections at a time.
    pub(super) async fn hire(&self, desk: &Rc<Desk>) -> Result<Vec<JoinHandle<()>>, String> {
        let opening = Arc::new(Semaphore::new(OPENING_MAX));
        let shape = &self.board.stage.shape;
        let mut tasks = Vec::new();
        let mut shared = None;
        for number in (0..shape.subs).filter(|&number| self.is_ours(number)) {
            desk.turn(self.manner.gap).await;
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let desk = Rc::clone(desk);
            tasks.push(match shape.kind {
                Kind::Rr => self.responder(desk, number, permit)?,
                _ => self.subscriber(desk, number, &mut shared, permit)?,
            });
        }
        for number in (0..shape.pubs).filter(|&number| self.is_ours(number)) {
            desk.turn(self.manner.gap).await;
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let desk = Rc::clone(desk);
            tasks.push(match shape.kind {
                Kind::Churn => self.churner(desk, number),
                _ => self.publisher(desk, number, permit)?,
            });
        }
        Ok(tasks)
    }

    fn subscriber(
        &self,
        desk: Rc<Desk>,
        number: u32,
        shared: &mut Option<Trackers>,
        permit: OwnedSemaphorePermit,
    ) -> Result<JoinHandle<()>, String> {
        let wanted = self.board.stage.shape.wanted_by(number);
        let fresh = || self.trackers(wanted);
        let trackers = if self.is_shared() {
            Rc::clone(shared.get_or_insert_with(fresh))
        } else {
            fresh()
        };
        let name = format!("{}-s{number}", self.name);
        let filter = self.filter(wanted);
        let handler = Subscriber::new(
            Rc::clone(&desk),
            name.clone(),
            filter,
            wanted,
            trackers,
            permit,
        );
        self.start(desk, self.after_pubs(number), name, handler)
    }

    fn publisher(
        &self,
        desk: Rc<Desk>,
        number: u32,
        permit: OwnedSemaphorePermit,
    ) -> Result<JoinHandle<()>, String> {
        let name = format!("{}-p{number}", self.name);
        let prepared = self.prepared(number)?;
        if self.board.stage.shape.kind != Kind::Rr {
            let handler = Publisher::new(
                Rc::clone(&desk),
                name.clone(),
                number,
                prepared,
                Some(permit),
            );
            return self.start(desk, number as usize, name, handler);
        }
        let replies = Subscriber::new(
            Rc::clone(&desk),
            name.clone(),
            format!("{}{REPLY}", self.filter(Some(number))),
            Some(number),
            self.trackers(Some(number)),
            permit,
        )
        .on_topics_with(REPLY);
        let requests = Publisher::new(Rc::clone(&desk), name.clone(), number, prepared, None);
        self.start(
            desk,
            number as usize,
            name,
            Requester::new(requests, replies),
        )
    }

    fn responder(
        &self,
        desk: Rc<Desk>,
        number: u32,
        permit: OwnedSemaphorePermit,
    ) -> Result<JoinHandle<()>, String> {
        let name = format!("{}-s{number}", self.name);
        let filter = self.filter(Some(number));
        let handler = Responder::new(Rc::clone(&desk), name.clone(), filter, permit);
        self.start(desk, self.after_pubs(number), name, handler)
    }

    /// Comes and goes until the run is over.
    fn churner(&self, desk: Rc<Desk>, number: u32) -> JoinHandle<()> {
        let name = format!("{}-p{number}", self.name);
        let options = self.manner.who.options(number as usize, &name);
        let gap = self.manner.gap;
        spawn_local(async move {
            let mut has_connected = false;
            while desk.board.phase() < Phase::Leave {
                if has_connected {
                    desk.turn(gap).await;
                }
                let mut session = match Session::new(options.clone()) {
                    Ok(session) => session,
                    Err(what) => {
                        return desk.board.fail(&name, What::Unsendable(what.to_owned()));
                    }
                };
                let mut handler = Churner::new(Rc::clone(&desk), !has_connected);
                match session.run(&mut handler).await {
                    End::Finished => has_connected = true,
                    // One that never got in says why; later ones are counted.
                    end if !has_connected => return desk.board.fail(&name, What::Ended(end)),
                    _ => {
                        desk.tally.borrow_mut().connect_errors += 1;
                        tokio::time::sleep(CHURN_PAUSE).await;
                    }
                }
            }
        })
    }

    fn start<H: Handler + 'static>(
        &self,
        desk: Rc<Desk>,
        number: usize,
        name: String,
        mut handler: H,
    ) -> Result<JoinHandle<()>, String> {
        let options = self.manner.who.options(number, &name);
        let mut session = Session::new(options).map_err(str::to_owned)?;
        Ok(spawn_local(async move {
            let end = session.run(&mut handler).await;
            ended(&desk, &name, end);
        }))
    }

    fn trackers(&self, wanted: Option<u32>) -> Trackers {
        let heard = self.board.stage.shape.heard(wanted) as usize;
        Rc::new(RefCell::new(vec![Tracker::default(); heard]))
    }

    /// None when the run is over before everybody was connected.
    async fn permit(&self, opening: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut bell = self.bell.clone();
        loop {
            if self.board.phase() == Phase::Leave {
                return None;
            }
            tokio::select! {
                permit = Arc::clone(opening).acquire_owned() => return permit.ok(),
                _ = bell.changed() => {}
            }
        }
    }

    /// A pair lives on one thread; so does a group that shares its trackers.
    fn is_ours(&self, number: u32) -> bool {
        if self.is_shared() {
            return self.thread == 0;
        }
        number as usize % self.threads == self.thread
    }

    fn is_shared(&self) -> bool {
        self.board.stage.shape.kind == Kind::Shared
    }

    fn filter(&self, wanted: Option<u32>) -> String {
        match wanted {
            Some(topic) => self.board.topics[topic as usize].clone(),
            None if self.is_shared() => format!("$share/bench/{}", self.manner.filter),
            None => self.manner.filter.clone(),
        }
    }

    /// Subscribers are counted behind the publishers.
    fn after_pubs(&self, number: u32) -> usize {
        (self.board.stage.shape.pubs + number) as usize
    }

    /// One PUBLISH a variant of the payload.
    fn prepared(&self, publisher: u32) -> Result<Vec<Prepared>, String> {
        let stage = &self.board.stage;
        let topic = &self.board.topics[stage.shape.topic_of(publisher) as usize];
        let version = self.manner.who.routes.first().map(|route| route.version);
        let version = version.ok_or("no way to the broker")?;
        let bodies = self.board.bodies.of_publisher(publisher).iter();
        bodies
            .map(|body| {
                let mut message = Message::new(topic, body).qos(stage.qos);
                message.retain = self.manner.retain;
                message.properties = self.manner.publish_properties.properties();
                Prepared::new(&message, version).map_err(|refused| refused.to_string())
            })
            .collect()
    }
}

/// A client that ends before it is told to has failed.
fn ended(desk: &Desk, name: &str, end: End) {
    if desk.board.phase() == Phase::Leave {
        return;
    }
    let mut tally = desk.tally.borrow_mut();
    match &end {
        End::Unreachable(_) | End::Refused { .. } | End::ConnackTimeout => {
            tally.connect_errors += 1;
        }
        _ => tally.disconnects += 1,
    }
    drop(tally);
    desk.board.fail(name, What::Ended(end));
}
