//! A client's request on its way into a process: numbered, so that no two requests of different clients are mixed up.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use safeconduct_core::mcp::json::{self, Edit, edited};

use super::message::{self, LOG_LEVEL_KEY, Parts};
use super::process::{Over, Process};
use super::session::Session;
use super::stream::Stream;
use super::table::{Asked, Owed};

/// One request to be sent.
pub(super) struct Ask<'a> {
    /// The request and its parts.
    pub(super) text: &'a Bytes,
    pub(super) parts: &'a Parts<'a>,
    /// Changes besides those of id and progress token.
    pub(super) edits: Vec<Edit>,
    /// Where the answer goes.
    pub(super) stream: Arc<Stream>,
    /// Whose it is, if a legacy client's.
    pub(super) session: Option<Arc<Session>>,
    /// A process is idle in spite of it.
    pub(super) idle: bool,
    /// It asks for log lines (2026-07-28).
    pub(super) logs: bool,
}

impl<'a> Ask<'a> {
    /// A request that leaves as it is, but for what is exchanged in all of them.
    pub(super) fn new(text: &'a Bytes, parts: &'a Parts<'a>, stream: Arc<Stream>) -> Self {
        let logs = parts.in_meta(LOG_LEVEL_KEY).is_some();
        Self { text, parts, edits: Vec::new(), stream, session: None, idle: false, logs }
    }
}

/// A request that was sent.
pub(super) struct Ticket {
    process: Arc<Process>,
    pub(super) number: u64,
    /// Dropped before its answer, it is cancelled.
    cancels: bool,
    sent: bool,
}

impl Process {
    /// Sends a request. `cancels`: who drops the ticket before the answer has cancelled it (2026-07-28).
    ///
    /// # Errors
    /// The process is over.
    pub(super) async fn ask(self: &Arc<Self>, ask: Ask<'_>, cancels: bool) -> Result<Ticket, Over> {
        let Ask { text, parts, mut edits, stream, session, idle, logs } = ask;
        let number = self.common.number();
        let method = parts.method();
        let token =
            parts.in_meta("progressToken").filter(|token| token.string().is_some() || token.is_integer());
        let asked = Asked {
            reply_id: parts.id.map_or("null", |id| id.raw()).into(),
            token: token.map(|token| token.raw().into()),
            stream,
            session,
            talks: talks(&method),
            logs,
            listens: method == "subscriptions/listen",
            idle,
        };
        if !self.table().ask(number, asked) {
            return Err(self.ended().unwrap_or_else(|| Over("The server has ended.".into())));
        }
        let mut ticket = Ticket { process: self.clone(), number, cancels, sent: false };
        let wire = number.to_string();
        edits.extend(parts.with_id(&wire));
        edits.extend(token.map(|token| Edit::new(token.range(), wire.as_str())));
        self.write(&edited(text, edits)).await?;
        ticket.sent = true;
        Ok(ticket)
    }

    /// Sends a request of the bridge's own (its method and JSON text of its params) and waits for the answer.
    ///
    /// # Errors
    /// The process is over, or did not answer in time.
    pub(super) async fn call(self: &Arc<Self>, request: &Bytes, patience: Duration) -> Result<Bytes, Over> {
        let stream = Stream::new(self.common.number(), false);
        let mut reader = stream.reader();
        let unreadable = |_| Over("A request of the bridge's own cannot be read.".into());
        let parts = Parts::read(request).map_err(unreadable)?;
        let ask = Ask::new(request, &parts, stream);
        let answer = async {
            let _ticket = self.ask(ask, false).await?;
            loop {
                match reader.next().await {
                    Some((_, item)) if item.last => return Ok(item.text),
                    Some(_) => {}
                    None => return Err(self.ended().unwrap_or_else(|| Over("No answer came.".into()))),
                }
            }
        };
        let late = |_| Over(format!("The server did not answer within {} s.", patience.as_secs()).into());
        let answer = tokio::time::timeout(patience, answer).await.map_err(late)??;
        // One that was made here because the process is over is no answer of the server.
        self.ended().map_or(Ok(answer), Err)
    }

    /// Cancels a request of this session by the id that its client gave it: nobody else's (checklist S4). True if there
    /// was one.
    pub(super) fn cancel_of(self: &Arc<Self>, session: &Arc<Session>, id: &str, notice: &Bytes) -> bool {
        let found = {
            let mut table = self.table();
            let own = |asked: &Asked| {
                asked.session.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, session))
                    && message::same_id(&asked.reply_id, id)
            };
            let number = table.asked.iter().find(|(_, asked)| own(asked)).map(|(number, _)| *number);
            number.and_then(|number| Some((number, table.asked.remove(&number)?)))
        };
        let Some((number, asked)) = found else { return false };
        if let Ok(parts) = Parts::read(notice)
            && let Some(id) = parts.param("requestId")
        {
            self.write_soon(edited(notice, vec![Edit::new(id.range(), number.to_string())]));
        }
        asked.stream.answer(message::error(
            &asked.reply_id,
            message::CANCELLED,
            "The request was cancelled.",
        ));
        true
    }

    /// A session has ended: what it asked is cancelled, what it was asked is refused. True if no session is left.
    pub(super) fn leave(self: &Arc<Self>, session: &Arc<Session>) -> bool {
        let own = |other: &Arc<Session>| Arc::ptr_eq(other, session);
        let (asked, owed, left) = {
            let mut table = self.table();
            table.sessions.retain(|other| other.upgrade().is_some_and(|other| !own(&other)));
            let of = |asked: &Asked| asked.session.as_ref().is_some_and(own);
            let asked: Vec<_> =
                table.asked.iter().filter(|(_, asked)| of(asked)).map(|(number, _)| *number).collect();
            let asked: Vec<_> =
                asked.iter().filter_map(|number| Some((*number, table.asked.remove(number)?))).collect();
            let of =
                |owed: &Owed| owed.session.as_ref().and_then(Weak::upgrade).is_some_and(|other| own(&other));
            let owed: Vec<_> =
                table.owed.iter().filter(|(_, owed)| of(owed)).map(|(number, _)| *number).collect();
            let owed: Vec<_> = owed.iter().filter_map(|number| table.owed.remove(number)).collect();
            (asked, owed, table.sessions.is_empty())
        };
        for (number, asked) in asked {
            self.write_soon(message::cancelled(&number.to_string(), "The session has ended."));
            asked.stream.answer(message::error(
                &asked.reply_id,
                message::CANCELLED,
                "The session has ended.",
            ));
        }
        for owed in owed {
            self.write_soon(message::error(&owed.id, message::INTERNAL, "The client has gone."));
        }
        left
    }

    /// Passes on a client's answer to a request of the server. False if this session was not asked that.
    ///
    /// # Errors
    /// The process is over.
    pub(super) async fn reply_of(
        &self,
        session: &Arc<Session>,
        text: &Bytes,
        parts: &Parts<'_>,
    ) -> Result<bool, Over> {
        let owed = {
            let mut table = self.table();
            let number = Parts::number(parts.id);
            let asked = number.and_then(|number| table.owed.get(&number)?.session.as_ref()?.upgrade());
            let own = asked.is_some_and(|asked| Arc::ptr_eq(&asked, session));
            number.filter(|_| own).and_then(|number| table.owed.remove(&number))
        };
        let Some(owed) = owed else { return Ok(false) };
        self.write(&edited(text, parts.with_id(&owed.id).into_iter().collect())).await?;
        Ok(true)
    }
}

/// Whether a server may ask the client something, or say something to it, while it works on this.
fn talks(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "completion/complete" | "tasks/result")
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.sent && !self.cancels {
            return;
        }
        let gone = self.process.table().asked.remove(&self.number);
        if gone.is_some() && self.sent {
            let notice = message::cancelled(&self.number.to_string(), "The client closed the stream.");
            self.process.write_soon(notice);
        }
    }
}

/// The change of a value of `params`, by name.
pub(super) fn with_param(parts: &Parts<'_>, name: &str, value: &str) -> Option<Edit> {
    parts.param(name).map(|old: json::Value<'_>| Edit::new(old.range(), value))
}
