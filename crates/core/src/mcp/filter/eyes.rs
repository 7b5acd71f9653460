//! Looks at messages of a reply: filters, seals, and learns.

use bytes::Bytes;
use http::HeaderValue;

use super::sse::{self, Look};
use super::{Sight, items};
use crate::mcp::door::canonical_id;
use crate::mcp::json::{self, Edit, Kind as Json, Value};
use crate::mcp::methods::{Class, List};
use crate::mcp::{Call, Era, Kind};
use crate::pins::{Definition, Page};
use crate::server::Announced;

/// Names of a message that mean something.
const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// What is to be done with the messages of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing.
    Pass,
    /// The answer to a list method is filtered.
    List(List),
    /// A stream that answers anything (GET, perhaps resumed): lists are known by their shape.
    Shape,
    /// The answer to `initialize` says what the server announces.
    Capabilities,
    /// A resource was read by leave of a policy: what it says may not be shared with others by a cache.
    Read,
    /// State is sealed and tasks are noted, because the server cannot tell callers apart.
    State,
}

impl Work {
    pub(super) fn of(call: &Call, sight: &Sight) -> Self {
        match (&call.kind, call.method.class()) {
            (Kind::OpenStream, _) => Self::Shape,
            (Kind::Request(_), Class::List(list)) => Self::List(list),
            (Kind::Request(_), Class::Life) if call.method.name() == "initialize" => Self::Capabilities,
            (Kind::Request(_), _) if call.era == Era::Modern && call.method.name() == "resources/read" => {
                Self::Read
            }
            (Kind::Request(_), Class::Use) if sight.server.shared_credential => Self::State,
            _ => Self::Pass,
        }
    }
}

/// The eyes of a reply.
pub(super) struct Eyes {
    pub(super) sight: Sight,
    pub(super) call: Call,
    pub(super) work: Work,
    /// The server's own session id: as its reply gave it, or as the call had it.
    pub(super) session: Option<HeaderValue>,
    /// The event that answers the call is to be told from the others.
    pub(super) awaits: bool,
    /// The event looked at last may be that one.
    pub(super) answers: bool,
}

impl Look for Eyes {
    fn event(&mut self, event: &Bytes) -> Result<Option<Bytes>, &'static str> {
        self.answers = false;
        let Some(data) = sse::data(event) else { return Ok(None) };
        self.answers = self.awaits && self.may_answer(&data);
        let changed = match self.message(&data) {
            Ok(edits) if edits.is_empty() => return Ok(None),
            Ok(edits) => json::edited(&Bytes::copy_from_slice(&data), edits),
            Err(wrong) => return Err(wrong),
        };
        Ok(Some(sse::with_data(event, &changed)))
    }

    fn answers(&self) -> bool {
        self.answers
    }
}

impl Eyes {
    /// Whether there is anything to learn from a stream: the requests of a legacy server.
    pub(super) fn learns(&self) -> bool {
        self.sight.era == Era::Legacy
    }

    /// Whether a message may be the response to the call: what some client could take for it is.
    fn may_answer(&self, text: &[u8]) -> bool {
        let Some(asked) =
            self.call.id().and_then(|id| json::checked(id.as_bytes()).ok()).and_then(canonical_id)
        else {
            return true;
        };
        let Ok(message) = json::checked(text) else { return true };
        if message.kind() != Json::Object || json::clear_names(message, &ENVELOPE).is_err() {
            return true;
        }
        let responds = message.member("result").is_some() || message.member("error").is_some();
        // Some clients take "1" for 1: the kind of the id does not count.
        let same = |id| canonical_id(id).is_none_or(|id| id.get(1..) == asked.get(1..));
        responds && message.member("id").is_none_or(same)
    }

    /// The changes to one message.
    ///
    /// # Errors
    /// The message cannot be read without doubt and may hold what must not pass.
    pub(super) fn message(&self, text: &[u8]) -> Result<Vec<Edit>, &'static str> {
        match self.work {
            Work::State if !self.learns() && !may_hold_state(text) => Ok(Vec::new()),
            // Nothing in it has to be kept from the caller. State that was not sealed and a task that was not
            // noted are refused when they come back.
            Work::Pass | Work::State | Work::Capabilities => Ok(self.read(text).unwrap_or_default()),
            Work::List(_) | Work::Shape | Work::Read => self.read(text),
        }
    }

    fn read(&self, text: &[u8]) -> Result<Vec<Edit>, &'static str> {
        let message = json::checked(text).map_err(|wrong| wrong.what)?;
        if message.kind() != Json::Object {
            return Err("a message that is not an object");
        }
        json::clear_names(message, &ENVELOPE).map_err(|_| "a name that differs only by case")?;
        match (message.member("method"), message.member("result")) {
            (Some(_), Some(_)) => Err("a message that is a request and a response"),
            (Some(_), None) => {
                self.learn_request(message);
                Ok(Vec::new())
            }
            (None, Some(result)) if result.is_object() => self.result(result),
            _ => Ok(Vec::new()),
        }
    }

    fn learn_request(&self, message: Value<'_>) {
        let Sight { door, principal, server, now, .. } = &self.sight;
        if let Some(id) = message.member("id").and_then(canonical_id).filter(|_| self.learns()) {
            door.note_request(&id, self.session.as_ref(), principal, server, *now);
        }
    }

    fn result(&self, result: Value<'_>) -> Result<Vec<Edit>, &'static str> {
        match self.work {
            Work::Pass => Ok(Vec::new()),
            Work::Capabilities => {
                self.note_announced(result);
                Ok(Vec::new())
            }
            Work::List(list) => self.lists(result, &[list]),
            Work::Shape => {
                if self.sight.server.shared_credential {
                    self.note_tasks(result);
                }
                self.lists(result, &List::ALL)
            }
            Work::Read => {
                json::clear_names(result, &["cacheScope"]).map_err(|_| "a name that differs only by case")?;
                let mut edits = items::unshared(result);
                if self.sight.server.shared_credential {
                    self.note_tasks(result);
                    edits.extend(self.state(result)?);
                }
                Ok(edits)
            }
            Work::State => {
                self.note_tasks(result);
                self.state(result)
            }
        }
    }

    fn note_announced(&self, result: Value<'_>) {
        let said = |name: &str| result.member("capabilities")?.member(name)?.member("listChanged");
        for (name, list) in Announced::ALL {
            if said(name).and_then(|announced| announced.boolean()) == Some(true) {
                self.sight.server.catalogue.note_announced(list);
            }
        }
    }

    fn lists(&self, result: Value<'_>, lists: &[List]) -> Result<Vec<Edit>, &'static str> {
        let mut known: Vec<&str> = lists.iter().map(|list| list.member()).collect();
        known.extend(["cacheScope", "ttlMs", "nextCursor"]);
        json::clear_names(result, &known).map_err(|_| "a name that differs only by case")?;
        let mut edits = Vec::new();
        let mut found = false;
        for list in lists {
            let Some(items) = result.member(list.member()) else { continue };
            if items.kind() != Json::Array {
                // Not a list, whatever it is; only the answer to a list method must be one.
                if self.work == Work::Shape {
                    continue;
                }
                return Err("a list that is not an array");
            }
            found = true;
            let fit = if *list == List::Tools { self.fit(result, items) } else { None };
            let fit = fit.as_deref();
            if *list == List::Tools {
                self.sight.server.catalogue.learn(items::taught(items, fit));
            }
            edits.extend(items::hidden(&self.sight, *list, items, fit));
        }
        if found && self.sight.era == Era::Modern && self.work != Work::Shape {
            edits.extend(items::private(&self.sight, result));
        }
        Ok(edits)
    }

    /// Which tools of a list are what they are pinned to; None where that is not asked.
    fn fit(&self, result: Value<'_>, items: Value<'_>) -> Option<Vec<bool>> {
        let pins = self.sight.server.pins.as_ref()?;
        let tools: Vec<_> = items.elements().map(Definition::of).collect();
        let cursor = asked_cursor(&self.call.body);
        let next = result.member("nextCursor").and_then(|next| next.string());
        let (caller, now) = (self.sight.principal.fingerprint, self.sight.now);
        let page = Page { caller, cursor: cursor.as_deref(), next: next.as_deref() };
        // On a stream that answers anything, nobody knows which page was asked for.
        let page = (self.work == Work::List(List::Tools)).then_some(page);
        Some(pins.look(&tools, page, now))
    }

    /// Notes the task that an answer speaks of as this caller's: `result.task.taskId` (2025-11-25) or
    /// `result.taskId` (SEP-2663). Answers to task methods are not asked: they were checked on the way in.
    fn note_tasks(&self, result: Value<'_>) {
        let Sight { door, principal, server, now, .. } = &self.sight;
        if self.call.method.name().starts_with("tasks/") {
            return;
        }
        let nested = result.member("task").and_then(|task| task.member("taskId"));
        for task in [nested, result.member("taskId")].into_iter().flatten() {
            if let Some(task) = task.string() {
                door.note_task(&task, principal, server, *now);
            }
        }
    }

    fn state(&self, result: Value<'_>) -> Result<Vec<Edit>, &'static str> {
        if self.sight.era == Era::Legacy {
            return Ok(Vec::new());
        }
        let Some(state) = result.member("requestState") else { return Ok(Vec::new()) };
        let raw = state.raw_string().ok_or("a requestState that is not a string")?;
        let Sight { door, principal, server, now, .. } = &self.sight;
        let sealed = door
            .sealed_state(&self.call, raw, principal, server, *now)
            .ok_or("a requestState that cannot be sealed")?;
        Ok(vec![Edit::new(state.range(), format!("\"{sealed}\""))])
    }
}

/// The cursor that a list was asked for with.
fn asked_cursor(asked: &[u8]) -> Option<String> {
    let cursor = json::checked(asked).ok()?.member("params")?.member("cursor")?;
    Some(cursor.string().map_or_else(|| cursor.raw().into(), Into::into))
}

/// Whether a text could hold state or a task. One that hides the words behind escapes counts as unread.
fn may_hold_state(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"requestState").is_some() || memchr::memmem::find(text, b"taskId").is_some()
}
