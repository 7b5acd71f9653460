//! A programmable HTTP backend: it echoes what it received, or answers what a test has scripted, event by event.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::events::Event;
use crate::wire::{Edge, Faults, Log, Reply, ReplyBody, Seen, Serve};

/// One step of a scripted stream.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes, at once.
    Send(Bytes),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing until [`Backend::go_on`] was called once more.
    Hold,
    /// The connection is cut.
    Cut,
}

impl Step {
    /// An event.
    pub fn event(event: &Event) -> Self {
        Self::Send(event.to_text().into())
    }

    /// An event that carries a message.
    pub fn message(value: &Value) -> Self {
        Self::event(&Event::message(value))
    }
}

type Answer = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// A running backend.
pub struct Backend {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    always: Mutex<Option<Answer>>,
    next: Mutex<VecDeque<Reply>>,
    gate: Gate,
}

/// Counts shared by the scripts in flight.
#[derive(Clone)]
struct Gate {
    opened: Arc<watch::Sender<usize>>,
    given_up: Arc<watch::Sender<usize>>,
}

impl Backend {
    /// Starts one that echoes: method, path, headers and body as JSON.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn start() -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let gate =
            Gate { opened: Arc::new(watch::Sender::new(0)), given_up: Arc::new(watch::Sender::new(0)) };
        let state = Arc::new(State { always: Mutex::default(), next: Mutex::default(), gate });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.edge.url()
    }

    /// From now on it answers so, when nothing is scripted.
    pub fn answers(&self, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) {
        *self.state.always.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(answer));
    }

    /// Answers every JSON-RPC request with this result.
    pub fn results(&self, result: Value) {
        self.answers(move |seen| {
            let id = seen.json()["id"].clone();
            Reply::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "result": result}))
        });
    }

    /// The next request is answered so; several are answered in this order.
    pub fn script(&self, reply: Reply) {
        self.state.next.lock().unwrap_or_else(PoisonError::into_inner).push_back(reply);
    }

    /// The next request is answered by an event stream.
    pub fn script_events(&self, steps: impl IntoIterator<Item = Step>) {
        self.script(Reply::events(self.state.gate.play(steps.into_iter().collect())));
    }

    /// Lets one more [`Step::Hold`] of each stream pass.
    pub fn go_on(&self) {
        self.state.gate.opened.send_modify(|opened| *opened += 1);
    }

    /// Waits until the readers of so many scripted streams went away before the end, at most ten seconds.
    pub async fn given_up(&self, count: usize) -> bool {
        let mut given_up = self.state.gate.given_up.subscribe();
        let reached = given_up.wait_for(|seen| *seen >= count);
        tokio::time::timeout(Duration::from_secs(10), reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Everything it received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }
}

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        if let Some(reply) = self.next.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return reply;
        }
        match self.always.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(answer) => answer(&seen),
            None => echo(&seen),
        }
    }
}

impl Gate {
    fn play(
        &self,
        steps: VecDeque<Step>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + use<> {
        let reading =
            Reading { steps, opened: self.opened.subscribe(), held: 0, given_up: self.given_up.clone() };
        stream::unfold(reading, |mut reading| async move { Some((reading.next_piece().await?, reading)) })
    }
}

struct Reading {
    steps: VecDeque<Step>,
    opened: watch::Receiver<usize>,
    held: usize,
    given_up: Arc<watch::Sender<usize>>,
}

impl Reading {
    async fn next_piece(&mut self) -> Option<Result<Bytes, io::Error>> {
        // A step is taken away only when it is done: a reader that leaves during it has given up.
        loop {
            match self.steps.front()?.clone() {
                Step::Send(bytes) => {
                    self.steps.pop_front();
                    return Some(Ok(bytes));
                }
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::Hold => {
                    self.held += 1;
                    let held = self.held;
                    let _ = self.opened.wait_for(|opened| *opened >= held).await;
                }
                Step::Cut => {
                    self.steps.clear();
                    return Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted)));
                }
            }
            self.steps.pop_front();
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.steps.is_empty() {
            self.given_up.send_modify(|count| *count += 1);
        }
    }
}

fn echo(seen: &Seen) -> Reply {
    let headers: Map<String, Value> =
        seen.headers.keys().map(|name| (name.to_string(), json!(seen.header(name.as_str())))).collect();
    let echoed = json!({
        "method": seen.method.as_str(),
        "path": seen.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&seen.body),
    });
    Reply { body: ReplyBody::Whole(echoed.to_string().into()), ..Reply::json(StatusCode::OK, &Value::Null) }
}

#[cfg(test)]
mod tests {
    use super::{Backend, Step};
    use crate::wire::{Fault, fetch};
    use bytes::Bytes;
    use http::{Request, StatusCode};
    use serde_json::json;
    use std::time::Duration;

    #[tokio::test]
    async fn it_echoes_then_answers_what_was_scripted_then_echoes_again() {
        let backend = Backend::start().await.unwrap();
        assert_eq!(fetch::get(&format!("{}/x?y=1", backend.url())).await.unwrap().json()["path"], "/x?y=1");
        backend.script_events([Step::message(&json!({"id": 1})), Step::message(&json!({"id": 2}))]);
        let events = fetch::get(&backend.url()).await.unwrap();
        assert_eq!(events.header("content-type"), Some("text/event-stream"));
        assert_eq!(events.body.iter().filter(|byte| **byte == b'{').count(), 2);
        assert_eq!(fetch::get(&backend.url()).await.unwrap().json()["method"], "GET");
        assert_eq!(backend.log().count(), 3);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_in_the_middle_is_noticed() {
        let backend = Backend::start().await.unwrap();
        backend.script_events([Step::message(&json!(1)), Step::Hold, Step::message(&json!(2))]);
        let open = fetch::open(Request::get(backend.url()).body(Bytes::new()).unwrap()).await.unwrap();
        drop(open);
        assert!(backend.given_up(1).await);
    }

    #[tokio::test]
    async fn every_fault_is_what_it_says() {
        let backend = Backend::start().await.unwrap();
        let url = backend.url();
        backend.faults().once(Fault::Status(StatusCode::BAD_GATEWAY, "{}".into()));
        assert_eq!(fetch::get(&url).await.unwrap().status, StatusCode::BAD_GATEWAY);
        backend.faults().once(Fault::RetryAfter(StatusCode::TOO_MANY_REQUESTS, 7));
        assert_eq!(fetch::get(&url).await.unwrap().header("retry-after"), Some("7"));
        backend.faults().once(Fault::Garbage);
        assert!(fetch::get(&url).await.unwrap().json().is_null());
        backend.faults().once(Fault::Huge(1_000_000));
        assert_eq!(fetch::get(&url).await.unwrap().body.len(), 1_000_000);
        backend.faults().once(Fault::Redirect("http://127.0.0.1:9/".into()));
        assert_eq!(fetch::get(&url).await.unwrap().status, StatusCode::TEMPORARY_REDIRECT);
        backend.faults().once(Fault::Truncate(3));
        assert!(fetch::get(&url).await.is_err());
        backend.faults().once(Fault::Close);
        assert!(fetch::get(&url).await.is_err());
        backend.faults().once(Fault::NotHttp);
        assert!(fetch::get(&url).await.is_err());
        backend.faults().once(Fault::Drip(Duration::from_micros(10)));
        assert_eq!(fetch::get(&url).await.unwrap().json()["method"], "GET");
        backend.faults().at("/elsewhere", 1, Fault::Close);
        assert_eq!(fetch::get(&url).await.unwrap().status, StatusCode::OK);
    }
}
