//! What a process says, and to whom it goes. An answer goes to who asked, progress to whose token it is, a subscription's
//! message to who subscribed. What nothing ties to anybody goes to the one caller whose process it is; on a process
//! that callers share it goes to nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use safeconduct_core::mcp::json::{Edit, Value, edited};

use super::Sharing;
use super::message::{self, Parts, SUBSCRIPTION_KEY, Shape, TASK_KEY};
use super::process::Process;
use super::session::Session;
use super::stream::Stream;
use super::table::{Owed, Target};
use crate::logs::Source;

/// How long a process waits for a client that does not read what is said to it: a caller's own, and one that others use.
const OWN_PATIENCE: Duration = Duration::from_secs(10);
const SHARED_PATIENCE: Duration = Duration::from_millis(250);

impl Process {
    /// Takes one line without a break.
    pub(super) async fn take(self: &Arc<Self>, line: Bytes) {
        let parts = match Parts::read(&line) {
            Ok(parts) => parts,
            Err(unreadable) => {
                self.log.line(Source::Stdout, &line);
                return self.unreadable(&line, unreadable.what);
            }
        };
        match parts.shape() {
            Shape::Response => self.answered(&line, &parts),
            Shape::Request => self.asks(&line, &parts).await,
            Shape::Notification => self.says(&line, &parts).await,
        }
    }

    /// An answer that two readers could read differently is none; who waits for it is told.
    fn unreadable(&self, line: &Bytes, what: &str) {
        #[derive(serde::Deserialize)]
        struct Answer {
            id: u64,
            #[serde(default)]
            method: Option<String>,
        }
        let Ok(Answer { id, method: None }) = serde_json::from_slice(line) else { return };
        let Some(asked) = self.table().asked.remove(&id) else { return };
        let said = format!("The server's answer cannot be read: {what}.");
        asked.stream.answer(message::error(&asked.reply_id, message::INTERNAL, &said));
    }

    fn answered(&self, line: &Bytes, parts: &Parts<'_>) {
        let mut table = self.table();
        // An error without an id: of a request that it could not read. With one alone, it is known which.
        let only =
            table.asked.keys().next().copied().filter(|_| parts.id.is_none() && table.asked.len() == 1);
        let number = Parts::number(parts.id).or(only);
        let Some(asked) = number.and_then(|number| table.asked.remove(&number)) else {
            // To a cancelled request, most likely.
            tracing::debug!(instance = self.name(), "an answer that nobody waits for");
            return;
        };
        let task = parts.result.and_then(|result| result.member("task")?.member("taskId")?.string());
        if let (Some(task), Some(session)) = (task, &asked.session) {
            table.tasks.keep(&task, Arc::downgrade(session));
            if let (Some(token), Some(number)) = (&asked.token, number) {
                table.tokens.keep(&number.to_string(), (token.clone(), Arc::downgrade(session)));
            }
        }
        drop(table);
        let mut edits = match (parts.with_id(&asked.reply_id), parts.error) {
            (Some(edit), _) => vec![edit],
            (None, Some(error)) => {
                let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, asked.reply_id, error.raw());
                return asked.stream.answer(text.into());
            }
            (None, None) => Vec::new(),
        };
        let subscription = parts.result.and_then(|result| result.member("_meta")?.member(SUBSCRIPTION_KEY));
        edits.extend(number.and_then(|number| renumbered(subscription, number, &asked.reply_id)));
        asked.stream.answer(edited(line, edits));
    }

    async fn says(self: &Arc<Self>, line: &Bytes, parts: &Parts<'_>) {
        match &*parts.method() {
            "notifications/progress" => self.progress(line, parts).await,
            "notifications/cancelled" => self.calls_off(line, parts).await,
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => self.tell(line, parts, |_| true),
            "notifications/resources/updated" => {
                let uri = parts.param("uri").and_then(|uri| uri.string()).unwrap_or_default();
                let own = self.common.sharing == Sharing::OneCaller && self.table().sessions().len() == 1;
                self.tell(line, parts, |session| own || session.hears_of(&uri));
            }
            "notifications/message" if self.has_handshake() => self.say_to_whom_it_means(line).await,
            "notifications/message" => self.log_line(line).await,
            "notifications/elicitation/complete" => {
                let id = parts.param("elicitationId").and_then(|id| id.string()).unwrap_or_default();
                let session = self.table().elicitations.find(&id);
                self.offer(session.and_then(|session| session.upgrade()), line);
            }
            "notifications/tasks/status" => {
                let id = parts.param("taskId").and_then(|id| id.string()).unwrap_or_default();
                let session = self.table().tasks.find(&id);
                self.offer(session.and_then(|session| session.upgrade()), line);
            }
            _ if parts.in_meta(SUBSCRIPTION_KEY).is_some() => self.subscribed(line, parts).await,
            _ => self.say_to_whom_it_means(line).await,
        }
    }

    /// A change: to the subscription that it names, else to the legacy sessions that may hear of it.
    fn tell(&self, line: &Bytes, parts: &Parts<'_>, hears: impl Fn(&Session) -> bool) {
        if parts.in_meta(SUBSCRIPTION_KEY).is_some() {
            let Some((stream, text)) = self.for_subscription(line, parts) else { return };
            // A reader that does not keep up can list again; nobody waits for it.
            stream.offer(text);
            return;
        }
        let mut table = self.table();
        let sessions = table.sessions();
        table.listeners.retain(|listener| listener.strong_count() > 0);
        let listeners: Vec<_> = table.listeners.iter().filter_map(|listener| listener.upgrade()).collect();
        drop(table);
        for session in sessions.iter().filter(|session| hears(session)) {
            session.common.offer(line.clone());
        }
        listeners.iter().for_each(|listener| listener.hear(line, parts));
    }

    async fn subscribed(&self, line: &Bytes, parts: &Parts<'_>) {
        if let Some((stream, text)) = self.for_subscription(line, parts) {
            stream.push(text, self.patience()).await;
        }
    }

    fn for_subscription(&self, line: &Bytes, parts: &Parts<'_>) -> Option<(Arc<Stream>, Bytes)> {
        let subscription = parts.in_meta(SUBSCRIPTION_KEY);
        let number = Parts::number(subscription)?;
        let table = self.table();
        let asked = table.asked.get(&number).filter(|asked| asked.listens)?;
        let edit = renumbered(subscription, number, &asked.reply_id);
        Some((asked.stream.clone(), edited(line, edit.into_iter().collect())))
    }

    async fn progress(&self, line: &Bytes, parts: &Parts<'_>) {
        let token = parts.param("progressToken");
        let Some((number, token)) = Parts::number(token).zip(token) else { return };
        let found = {
            let table = self.table();
            let running = table.asked.get(&number);
            let running = running.and_then(|asked| Some((asked.stream.clone(), asked.token.clone()?)));
            running.or_else(|| {
                let (token, session) = table.tokens.find(&number.to_string())?;
                Some((session.upgrade()?.common.clone(), token))
            })
        };
        if let Some((stream, own)) = found {
            stream.push(edited(line, vec![Edit::new(token.range(), &*own)]), self.patience()).await;
        }
    }

    /// The server gives up a request of its own, or (2026-07-28) ends a subscription.
    async fn calls_off(&self, line: &Bytes, parts: &Parts<'_>) {
        let Some(id) = parts.param("requestId") else { return };
        let found = {
            let mut table = self.table();
            let number = Parts::number(Some(id)).filter(|number| {
                !self.has_handshake() && table.asked.get(number).is_some_and(|asked| asked.listens)
            });
            if let Some(asked) = number.and_then(|number| table.asked.remove(&number)) {
                let end = format!(
                    r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_KEY}":{}}}}}"#,
                    asked.reply_id
                );
                asked.stream.answer(message::result(&asked.reply_id, &end));
                return;
            }
            let own = table.owed.iter().find(|(_, owed)| message::same_id(&owed.id, id.raw()));
            let own = own.map(|(number, _)| *number);
            own.and_then(|number| Some((number, table.owed.remove(&number)?.stream.upgrade()?)))
        };
        if let Some((number, stream)) = found {
            let text = edited(line, vec![Edit::new(id.range(), number.to_string())]);
            stream.push(text, self.patience()).await;
        }
    }

    /// 2026-07-28: only who asked for log lines gets them, and nothing in them says who that is.
    async fn log_line(&self, line: &Bytes) {
        let stream = {
            let table = self.table();
            let asked = table.asked.values().rev().find(|asked| asked.logs);
            asked.filter(|_| self.common.sharing == Sharing::OneCaller).map(|asked| asked.stream.clone())
        };
        if let Some(stream) = stream {
            stream.push(line.clone(), self.patience()).await;
        }
    }

    async fn say_to_whom_it_means(&self, line: &Bytes) {
        match self.meant() {
            Some(target) => {
                target.stream.push(line.clone(), self.patience()).await;
            }
            None => tracing::debug!(instance = self.name(), "a notification for nobody in particular"),
        }
    }

    fn offer(&self, session: Option<Arc<Session>>, line: &Bytes) {
        let target = session.map(Target::of).or_else(|| self.meant());
        if let Some(target) = target {
            target.stream.offer(line.clone());
        }
    }

    /// A request of the server, as revisions before 2026-07-28 have them.
    async fn asks(self: &Arc<Self>, line: &Bytes, parts: &Parts<'_>) {
        let id = parts.id.map_or("null", |id| id.raw());
        let method = parts.method();
        if method == "ping" {
            return self.write_soon(message::result(id, "{}"));
        }
        let task = parts.in_meta(TASK_KEY).and_then(|task| task.member("taskId")?.string());
        let session = task.and_then(|task| self.table().tasks.find(&task)?.upgrade());
        let Some(target) = session.map(Target::of).or_else(|| self.meant()) else {
            let said = "Nobody can be asked: no client, or several that share this process.";
            return self.write_soon(message::error(id, message::NO_METHOD, said));
        };
        let number = self.common.number();
        {
            let mut table = self.table();
            if let (Some(elicitation), Some(session)) =
                (parts.param("elicitationId").and_then(|id| id.string()), &target.session)
            {
                table.elicitations.keep(&elicitation, Arc::downgrade(session));
            }
            let owed = Owed {
                id: id.into(),
                session: target.session.as_ref().map(Arc::downgrade),
                stream: Arc::downgrade(&target.stream),
            };
            table.owe(number, owed);
        }
        let text = edited(line, parts.with_id(&number.to_string()).into_iter().collect());
        if !target.stream.push(text, self.patience()).await {
            self.table().owed.remove(&number);
            self.write_soon(message::error(id, message::INTERNAL, "The client does not read."));
        }
    }

    fn meant(&self) -> Option<Target> {
        (self.common.sharing == Sharing::OneCaller).then(|| self.table().meant()).flatten()
    }

    fn patience(&self) -> Duration {
        match self.common.sharing {
            Sharing::OneCaller => OWN_PATIENCE,
            Sharing::AllCallers => SHARED_PATIENCE,
        }
    }
}

/// The change that puts the client's id where the bridge's number stands.
fn renumbered(value: Option<Value<'_>>, number: u64, own: &str) -> Option<Edit> {
    let value = value.filter(|value| Parts::number(Some(*value)) == Some(number))?;
    Some(Edit::new(value.range(), own))
}
