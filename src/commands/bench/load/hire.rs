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
use crate::commands::bench::load::comeback;
use crate::commands::bench::load::crew::Worker;
use crate::commands::bench::load::cycle::Cycle;
use crate::commands::bench::load::desk::{Desk, Opening, has_stood};
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
        // What has its time waits for nobody.
        let most = self
            .manner
            .gap
            .map_or(OPENING_MAX, |_| Semaphore::MAX_PERMITS);
        let opening = Arc::new(Semaphore::new(most));
        let shape = &self.board.stage.shape;
        let mut tasks = Vec::new();
        let mut shared = None;
        for number in (0..shape.subs).filter(|&number| self.is_our_sub(number)) {
            let turn = desk.turn(self.manner.gap).await;
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let first = desk.opening(turn, permit);
            let desk = Rc::clone(desk);
            tasks.push(match shape.kind {
                Kind::Rr => self.responder(desk, number, first)?,
                _ => self.subscriber(desk, number, &mut shared, first)?,
            });
        }
        for number in (0..shape.pubs).filter(|&number| self.is_our_pub(number)) {
            if shape.kind == Kind::Churn {
                tasks.push(self.churner(Rc::clone(desk), number));
                continue;
            }
            let turn = desk.turn(self.manner.gap).await;
            let Some(permit) = self.permit(&opening).await else {
                return Ok(tasks);
            };
            let first = desk.opening(turn, permit);
            tasks.push(self.publisher(Rc::clone(desk), number, first)?);
        }
        Ok(tasks)
    }

    fn subscriber(
        &self,
        desk: Rc<Desk>,
        number: u32,
        shared: &mut Option<Trackers>,
        opening: Opening,
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
        let due = opening.due;
        let handler = Subscriber::new(
            Rc::clone(&desk),
            name.clone(),
            filter,
            wanted,
            trackers,
            opening,
        );
        self.start(desk, self.after_pubs(number), name, due, handler)
    }

    fn publisher(
        &self,
        desk: Rc<Desk>,
        number: u32,
        opening: Opening,
    ) -> Result<JoinHandle<()>, String> {
        let name = format!("{}-p{number}", self.name);
        let prepared = self.prepared(number)?;
        if self.board.stage.shape.kind != Kind::Rr {
            let handler = Publisher::new(
                Rc::clone(&desk),
                name.clone(),
                number,
                prepared,
                Some(opening),
            );
            return self.start(desk, number as usize, name, None, handler);
        }
        let replies = Subscriber::new(
            Rc::clone(&desk),
            name.clone(),
            format!("{}{REPLY}", self.filter(Some(number))),
            Some(number),
            self.trackers(Some(number)),
            opening,
        )
        .on_topics_with(REPLY);
        let requests = Publisher::new(Rc::clone(&desk), name.clone(), number, prepared, None);
        self.start(
            desk,
            number as usize,
            name,
            None,
            Requester::new(requests, replies),
        )
    }

    fn responder(
        &self,
        desk: Rc<Desk>,
        number: u32,
        opening: Opening,
    ) -> Result<JoinHandle<()>, String> {
        let name = format!("{}-s{number}", self.name);
        let filter = self.filter(Some(number));
        let handler = Responder::new(Rc::clone(&desk), name.clone(), filter, opening);
        self.start(desk, self.after_pubs(number), name, None, handler)
    }

    /// Comes and goes until the run is over.
    fn churner(&self, desk: Rc<Desk>, number: u32) -> JoinHandle<()> {
        let name = format!("{}-p{number}", self.name);
        let options = self.manner.who.options(number as usize, &name);
        let gap = self.manner.gap;
        spawn_local(async move {
            // The first time is told in full, should it fail.
            let turn = desk.turn(gap).await;
            let mut session = match Session::new(options.clone()) {
                Ok(session) => session,
                Err(what) => return desk.board.fail(&name, What::Unsendable(what.to_owned())),
            };
            match session.run(&mut Churner::new(Rc::clone(&desk), turn)).await {
                End::Finished => {}
                end => return desk.board.fail(&name, What::Ended(end)),
            }
            let cycle = Cycle::new(&options);
            while desk.board.phase() < Phase::Leave {
                let turn = desk.turn(gap).await;
                let churner = Churner::new(Rc::clone(&desk), turn);
                // Until it is answered, which the end of the run may come before.
                desk.tally.borrow_mut().connect_errors += 1;
                match cycle.run(|| churner.welcomed()).await {
                    Ok(()) => desk.tally.borrow_mut().connect_errors -= 1,
                    Err(_) => tokio::time::sleep(CHURN_PAUSE).await,
                }
            }
        })
    }

    fn start<H: Handler + 'static>(
        &self,
        desk: Rc<Desk>,
        number: usize,
        name: String,
        due: Option<u64>,
        mut handler: H,
    ) -> Result<JoinHandle<()>, String> {
        let mut options = self.manner.who.options(number, &name);
        if self.manner.reconnects {
            comeback::keep(&mut options);
        }
        let kept = (!options.clean_start).then(|| Box::new(options.clone()));
        let mut session = Session::new(options).map_err(str::to_owned)?;
        Ok(spawn_local(async move {
            due.into_iter().for_each(|due| desk.begins(due));
            let end = session.run(&mut handler).await;
            ended(&desk, &name, end);
            drop(handler);
            if let Some(options) = kept {
                // Boxed: a task is as large as the largest thing it ever waits for.
                Box::pin(comeback::forget(*options)).await;
            }
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

    fn is_our_pub(&self, number: u32) -> bool {
        self.board.stage.part.owns_pub(number) && self.is_on_thread(number)
    }

    fn is_our_sub(&self, number: u32) -> bool {
        let stage = &self.board.stage;
        stage.part.owns_sub(stage.shape.kind, number) && self.is_on_thread(number)
    }

    /// A pair lives on one thread; so does a group that shares its trackers.
    fn is_on_thread(&self, number: u32) -> bool {
        if self.is_shared() {
            return self.thread == 0;
        }
        self.board.stage.part.place(number) as usize % self.threads == self.thread
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
    match has_stood(&end) {
        true => tally.disconnects += 1,
        false => tally.connect_errors += 1,
    }
    drop(tally);
    desk.board.fail(name, What::Ended(end));
}
