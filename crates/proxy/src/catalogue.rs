//! Before a policy that reads a tool's hints decides about a tool that no list has named, the server's list is
//! asked for: in the caller's name, along the same path, with a record of its own. What it teaches is read
//! from what is released to this caller, so nothing is learned that a list would not have taught.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use safeconduct_core::mcp::{Era, Target};
use safeconduct_core::path::Admitted;
use safeconduct_core::time::Timestamp;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::gateway::Gateway;
use crate::upstream::Upstream;

/// Between two lists asked for at one server, so that calls of tools that do not exist cost nothing.
const PAUSE: Duration = Duration::from_secs(5);
/// Pages of a list that are followed.
const PAGES: usize = 50;

/// When each server was last asked.
#[derive(Default)]
pub struct Asked(HashMap<Box<str>, Mutex<Timestamp>>);

impl Asked {
    /// For these servers.
    pub fn new<'a>(servers: impl Iterator<Item = &'a str>) -> Self {
        Self(servers.map(|name| (name.into(), Mutex::default())).collect())
    }
}

impl Gateway {
    /// Lets the server name its tools, if the decision about this call needs to know one that is not known.
    pub(crate) async fn inform(&self, admitted: &Admitted, upstream: &Upstream) {
        let Target::Tool(tool) = admitted.call().target() else { return };
        let known = || admitted.server().catalogue.tool(tool).is_some();
        if known() || !self.policy.reads_hints(admitted) {
            return;
        }
        let Some(last) = self.asked.0.get(&admitted.server().name) else { return };
        let mut last = last.lock().await;
        let now = admitted.now();
        if known() || now.since(*last) < PAUSE {
            return;
        }
        let mut cursor = None;
        let until = tokio::time::Instant::now() + self.lifetimes.answer;
        for _ in 0..PAGES {
            // Boxed, so that calls which need none of this do not carry the room for it.
            let page = Box::pin(self.page(admitted, upstream, cursor.as_deref()));
            // Only a list that was read counts as asked for: what one caller is refused is not the others' loss.
            let Ok(Some(next)) = tokio::time::timeout_at(until, page).await else { return };
            cursor = next;
            if cursor.is_none() || known() {
                break;
            }
        }
        *last = admitted.now();
    }

    /// Asks for one page; the next page's cursor, if there is one. None when the list could not be read: what went
    /// wrong is in the question's own record.
    async fn page(
        &self,
        admitted: &Admitted,
        upstream: &Upstream,
        cursor: Option<&str>,
    ) -> Option<Option<String>> {
        let id = crate::request_id::next(admitted.now());
        let body = question(admitted.call().era(), cursor);
        let now = admitted.now();
        let listing = admitted.aside("tools/list", body, &self.release.door, id);
        let answer = async {
            let authorized = self.policy.authorize(listing?, now)?;
            let outbound = self.credentials.acquire(authorized, now).await?;
            let reply = upstream
                .send(outbound, &self.credentials, &*self.berths, &self.revoked, self.lifetimes.answer)
                .await?;
            Ok(self.release.release(reply, now))
        };
        let released = match answer.await {
            Ok(released) => released,
            Err(refusal) => {
                let refusal: Box<safeconduct_core::refusal::Refusal> = refusal;
                drop(crate::answer::respond(refusal, None));
                return None;
            }
        };
        let read = released.into_response().into_body().collect();
        let bytes = tokio::time::timeout(self.lifetimes.answer, read).await.ok()?.ok()?.to_bytes();
        Some(next_cursor(&bytes))
    }
}

fn question(era: Era, cursor: Option<&str>) -> Bytes {
    let mut params = serde_json::Map::new();
    if let Some(cursor) = cursor {
        params.insert("cursor".into(), cursor.into());
    }
    if era == Era::Modern {
        let meta = serde_json::json!({
            "io.modelcontextprotocol/protocolVersion": safeconduct_core::mcp::door::MODERN_VERSIONS.first(),
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        params.insert("_meta".into(), meta);
    }
    let question =
        serde_json::json!({"jsonrpc": "2.0", "id": "catalogue", "method": "tools/list", "params": params});
    serde_json::to_vec(&question).unwrap_or_default().into()
}

/// From a JSON answer, or from the event of a stream that holds one.
fn next_cursor(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: Page,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        next_cursor: Option<String>,
    }
    let events = bytes.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    std::iter::once(bytes)
        .chain(events)
        .find_map(|text| serde_json::from_slice::<Answer>(text).ok())
        .and_then(|answer| answer.result.next_cursor)
}

#[cfg(test)]
mod tests {
    use super::next_cursor;

    #[test]
    fn the_next_page_is_found_in_json_and_in_events() {
        let page = br#"{"jsonrpc":"2.0","id":"catalogue","result":{"tools":[],"nextCursor":"p2"}}"#;
        assert_eq!(next_cursor(page).as_deref(), Some("p2"));
        let events = [b"event: message\ndata: ".as_slice(), page, b"\n\n"].concat();
        assert_eq!(next_cursor(&events).as_deref(), Some("p2"));
        assert_eq!(next_cursor(br#"{"result":{"tools":[]}}"#), None);
    }
}
