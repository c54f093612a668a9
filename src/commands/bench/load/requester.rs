//! Requests and replies: a requester is a publisher and a subscriber on one connection, and a
//! responder sends back what it gets. Latency is from when the request was due to its reply.

use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use crate::client::{End, Engine, Event, Feed, Handler, Message};
use crate::commands::bench::load::board::{Phase, What};
use crate::commands::bench::load::desk::{Desk, Ear, Opening};
use crate::commands::bench::load::publisher::Publisher;
use crate::commands::bench::load::subscriber::Subscriber;
use crate::mqtt::Reason;
use crate::mqtt::subscribe::SubscribeOptions;

/// What a reply's topic has behind its request's.
pub(super) const REPLY: &str = "/reply";

pub(super) struct Requester {
    requests: Publisher,
    replies: Subscriber,
}

impl Requester {
    pub(super) fn new(requests: Publisher, replies: Subscriber) -> Self {
        Self { requests, replies }
    }
}

impl Handler for Requester {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Acked(_) => self.requests.handle(event, client),
            // Ready is who has subscribed; connecting is told by the same half.
            _ => self.replies.handle(event, client),
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.replies.feed(client, cx);
        self.requests.feed(client, cx)
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        self.replies.wake(client, cx);
        self.requests.wake(client, cx);
    }

    fn retry(&mut self, end: &End, pause: Duration) {
        self.replies.retry(end, pause);
        self.requests.interrupt();
    }
}

pub(super) struct Responder {
    desk: Rc<Desk>,
    name: String,
    filter: String,
    reply_topic: String,
    opening: Option<Opening>,
    is_subscribed: bool,
    ear: Ear,
}

impl Responder {
    pub(super) fn new(desk: Rc<Desk>, name: String, filter: String, opening: Opening) -> Self {
        Self {
            name,
            reply_topic: format!("{filter}{REPLY}"),
            filter,
            opening: Some(opening),
            is_subscribed: false,
            ear: Ear::default(),
            desk,
        }
    }

    fn subscribe(&mut self, client: &mut Engine) {
        let board = &self.desk.board;
        if !self.desk.connected(&mut self.opening) {
            return;
        }
        let how = SubscribeOptions::with_qos(board.stage.qos);
        let properties = self.desk.subscribe_properties.properties();
        if let Err(refused) = client.subscribe(&[(&self.filter, how)], properties) {
            board.fail(&self.name, What::Unsendable(refused.to_string()));
        }
    }
}

impl Handler for Responder {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        let board = &self.desk.board;
        match event {
            Event::Message(request) => {
                let reply = Message::new(&self.reply_topic, request.payload).qos(board.stage.qos);
                if let Err(refused) = client.publish(&reply) {
                    board.fail(&self.name, What::Unsendable(refused.to_string()));
                }
            }
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.subscribe(client),
            Event::Suback(suback) => {
                match suback.reasons.iter().find(|&&code| Reason(code).is_error()) {
                    Some(code) => board.fail(&self.name, What::Unsubscribed(*code)),
                    None if self.is_subscribed => {}
                    None => {
                        self.is_subscribed = true;
                        self.desk.granted(suback.reasons);
                    }
                }
            }
            _ => {}
        }
    }

    fn retry(&mut self, end: &End, _: Duration) {
        self.desk.lost(end);
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        self.ear.listen(&self.desk, cx);
        if self.desk.board.phase() == Phase::Leave {
            self.desk.leave(client);
        }
    }
}
