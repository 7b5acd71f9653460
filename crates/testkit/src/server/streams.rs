//! A stream that outlives its connections: events are kept, and any number of readers may come and go.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;

use super::locked;
use crate::events::Event;

/// One stream of messages. Legacy ones give their events ids, `LANE-INDEX`, by which a reader comes back.
pub(super) struct Lane {
    number: Option<usize>,
    events: Mutex<Vec<Event>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    length: usize,
    finished: bool,
    abandoned: bool,
}

impl Lane {
    /// A legacy stream.
    pub(super) fn numbered(number: usize, priming: bool) -> Self {
        let lane =
            Self { number: Some(number), events: Mutex::default(), progress: watch::Sender::default() };
        if priming {
            lane.push(Event { retry: Some(50), data: Some(String::new()), ..Event::default() });
        }
        lane
    }

    /// A modern stream: no ids, nothing to come back to.
    pub(super) fn unnumbered() -> Self {
        Self { number: None, events: Mutex::default(), progress: watch::Sender::default() }
    }

    pub(super) fn send(&self, message: &Value) {
        self.push(Event::message(message));
    }

    fn push(&self, mut event: Event) {
        let mut events = locked(&self.events);
        event.id = self.number.map(|number| format!("{number}-{}", events.len()));
        events.push(event);
        self.progress.send_modify(|progress| progress.length = events.len());
    }

    /// Nothing more will be sent.
    pub(super) fn finish(&self) {
        self.progress.send_modify(|progress| progress.finished = true);
    }

    /// The reader went away before the end.
    pub(super) async fn abandoned(&self) {
        let _ = self.progress.subscribe().wait_for(|progress| progress.abandoned).await;
    }

    /// Whether it is still of use to send.
    pub(super) fn is_open(&self) -> bool {
        let progress = *self.progress.borrow();
        !progress.finished && !progress.abandoned
    }

    /// The events from an index on, until the end.
    pub(super) fn read(self: Arc<Self>, from: usize) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
        let reading = Reading { progress: self.progress.subscribe(), lane: self, next: from, ended: false };
        stream::unfold(reading, |mut reading| async move {
            let event = reading.next_event().await?;
            Some((Ok(Bytes::from(event.to_text())), reading))
        })
    }
}

struct Reading {
    lane: Arc<Lane>,
    progress: watch::Receiver<Progress>,
    next: usize,
    ended: bool,
}

impl Reading {
    async fn next_event(&mut self) -> Option<Event> {
        let next = self.next;
        let _ = self.progress.wait_for(|progress| progress.length > next || progress.finished).await;
        let event = locked(&self.lane.events).get(next).cloned();
        self.next += 1;
        self.ended = event.is_none();
        event
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            self.lane.progress.send_modify(|progress| progress.abandoned = true);
        }
    }
}
