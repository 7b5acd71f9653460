//! A modern client's `subscriptions/listen` on a process that knows no such request: the bridge hears for it.

use std::sync::Arc;

use bytes::Bytes;
use safeconduct_core::mcp::json::edited;

use super::message::{Parts, SUBSCRIPTION_KEY, with_meta};
use super::stream::Stream;

/// What one client wants to hear of, and where.
pub(super) struct Listener {
    /// JSON text of the id of its request.
    id: Box<str>,
    kinds: Vec<&'static str>,
    uris: Vec<Box<str>>,
    stream: Arc<Stream>,
}

/// Names in the filter, and the notifications that they ask for.
const KINDS: [(&str, &str, &str); 3] = [
    ("toolsListChanged", "tools", "notifications/tools/list_changed"),
    ("promptsListChanged", "prompts", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "resources", "notifications/resources/list_changed"),
];

impl Listener {
    /// The part of a request that a server with these capabilities (the answer to its handshake) can keep.
    pub(super) fn new(request: &Parts<'_>, handshake: &Parts<'_>, stream: Arc<Stream>) -> Arc<Self> {
        let wanted = request.param("notifications");
        let able = handshake.result.and_then(|result| result.member("capabilities"));
        let offers = |capability: &str, ability: &str| {
            able.and_then(|able| able.member(capability)?.member(ability)?.boolean()) == Some(true)
        };
        let wants = |name: &str| wanted.and_then(|wanted| wanted.member(name)?.boolean()) == Some(true);
        let kinds =
            KINDS.iter().filter(|(name, capability, _)| wants(name) && offers(capability, "listChanged"));
        let kinds = kinds.map(|(_, _, method)| *method).collect();
        let uris = wanted.and_then(|wanted| wanted.member("resourceSubscriptions"));
        let uris =
            uris.filter(|_| offers("resources", "subscribe")).into_iter().flat_map(|uris| uris.elements());
        let uris = uris.filter_map(|uri| uri.string().map(Into::into)).collect();
        Arc::new(Self { id: request.id.map_or("null", |id| id.raw()).into(), kinds, uris, stream })
    }

    /// JSON text of the id of its request.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The resources that it wants to hear of.
    pub(super) fn uris(&self) -> &[Box<str>] {
        &self.uris
    }

    /// The first message of its stream.
    pub(super) fn acknowledgement(&self) -> Bytes {
        let mut honoured = serde_json::Map::new();
        for (name, _, method) in KINDS {
            if self.kinds.contains(&method) {
                honoured.insert(name.into(), true.into());
            }
        }
        if !self.uris.is_empty() {
            honoured.insert("resourceSubscriptions".into(), self.uris.iter().map(|uri| &**uri).collect());
        }
        let honoured = serde_json::Value::Object(honoured);
        let id = &self.id;
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_KEY}":{id}}},"notifications":{honoured}}}}}"#
        )
        .into()
    }

    /// The last one.
    pub(super) fn completion(&self) -> String {
        format!(r#"{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_KEY}":{}}}}}"#, self.id)
    }

    /// Passes on what it asked for.
    pub(super) fn hear(&self, line: &Bytes, parts: &Parts<'_>) {
        let method = parts.method();
        let wanted = match &*method {
            "notifications/resources/updated" => {
                let uri = parts.param("uri").and_then(|uri| uri.string()).unwrap_or_default();
                self.uris.iter().any(|subscribed| **subscribed == *uri)
            }
            method => self.kinds.contains(&method),
        };
        if wanted {
            let edit = with_meta(parts, &format!(r#""{SUBSCRIPTION_KEY}":{}"#, self.id));
            self.stream.offer(edited(line, vec![edit]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listener;
    use crate::stdio::message::Parts;
    use crate::stdio::stream::Stream;

    /// Row: D6
    #[tokio::test]
    async fn what_the_server_cannot_announce_is_not_promised_and_only_what_was_asked_for_is_heard() {
        let request = br#"{"id":"L","method":"subscriptions/listen","params":{"notifications":
            {"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["a://1"]}}}"#;
        let handshake = br#"{"id":1,"result":{"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true}}}}"#;
        let stream = Stream::new(1, false);
        let (request, handshake) = (Parts::read(request).unwrap(), Parts::read(handshake).unwrap());
        let listener = Listener::new(&request, &handshake, stream.clone());
        let acknowledged: serde_json::Value = serde_json::from_slice(&listener.acknowledgement()).unwrap();
        assert_eq!(
            acknowledged["params"]["notifications"],
            serde_json::json!({ "resourceSubscriptions": ["a://1"], "toolsListChanged": true })
        );
        for heard in [
            r#"{"method":"notifications/tools/list_changed"}"#,
            r#"{"method":"notifications/prompts/list_changed"}"#,
            r#"{"method":"notifications/resources/updated","params":{"uri":"a://2"}}"#,
            r#"{"method":"notifications/resources/updated","params":{"uri":"a://1"}}"#,
        ] {
            listener.hear(&heard.into(), &Parts::read(heard.as_bytes()).unwrap());
        }
        stream.end();
        let (mut reader, mut texts) = (stream.reader(), Vec::new());
        while let Some((_, item)) = reader.next().await {
            texts.push(String::from_utf8(item.text.to_vec()).unwrap());
        }
        let meta = r#""_meta":{"io.modelcontextprotocol/subscriptionId":"L"}"#;
        assert_eq!(
            texts,
            [
                format!(r#"{{"params":{{{meta}}},"method":"notifications/tools/list_changed"}}"#),
                format!(
                    r#"{{"method":"notifications/resources/updated","params":{{{meta},"uri":"a://1"}}}}"#
                ),
            ]
        );
    }
}
