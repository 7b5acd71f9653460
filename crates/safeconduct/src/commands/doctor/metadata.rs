//! The gateway as its clients see it: at `public_url`, through whatever stands before it.

use http::{HeaderValue, Method};
use safeconduct_identity::wire::{Request, Wire, WireError};
use serde_json::Value;

use super::ask;
use super::check::{Finding, Group};
use crate::config::plan::{Plan, ServerPlan};

/// A ping, which no caller without a token is answered.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// All of them.
pub(super) async fn checks(plan: &Plan, servers: &[&ServerPlan], wire: &Wire) -> Group {
    let mut group = Group::about(format!("gateway at {}", plan.public_url));
    for server in servers {
        // One answer is enough to know that it does not run.
        if let Some(Err(WireError::Connect { .. })) = fetched(&server.metadata_url, wire).await {
            let words =
                "it does not answer: what its clients see is checked when it runs (`safeconduct serve`)";
            group.check("running", async { Finding::note(words) }).await;
            return group;
        }
        group.check(&format!("metadata of {}", server.name), metadata(plan, server, wire)).await;
        group.check(&format!("challenge of {}", server.name), challenge(server, wire)).await;
    }
    group
}

async fn fetched(url: &str, wire: &Wire) -> Option<Result<(), WireError>> {
    let endpoint = ask::endpoint(url, true).ok()?;
    Some(wire.send(Request::read(endpoint)).await.map(|_| ()))
}

/// RFC 9728: the document, and whose it says it is.
async fn metadata(plan: &Plan, server: &ServerPlan, wire: &Wire) -> Finding {
    let url = &server.metadata_url;
    let answer = match ask::read(wire, url, true).await {
        Ok(answer) => answer,
        Err(finding) => return finding,
    };
    let Some(document) = ask::json(&answer) else {
        let found = format!("{url}: HTTP {}, not a metadata document", answer.status.as_u16());
        if answer.status.as_u16() == 403 {
            return Finding::fail(
                found,
                "the gateway does not go by this name: set `public_url` to the URL that clients use, or add the name to `allowed_hosts`",
            );
        }
        return Finding::fail(
            found,
            "whatever stands before the gateway must hand /.well-known/oauth-protected-resource/ on to it, path and all",
        );
    };
    let resource = document.get("resource").and_then(Value::as_str).unwrap_or_default();
    if resource != server.resource {
        let resource: String = resource.chars().filter(|c| !c.is_control()).take(300).collect();
        let found = format!("{url} is of {resource:?}, not of {:?}", server.resource);
        return Finding::fail(
            found,
            "clients refuse a document of another resource: set `public_url` to the URL that they use; does another gateway answer there?",
        );
    }
    let named: Vec<&str> = document
        .get("authorization_servers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let missing = server
        .issuers
        .iter()
        .filter_map(|name| plan.issuer(name))
        .find(|issuer| !named.contains(&issuer.issuer.as_str()));
    match missing {
        Some(issuer) => Finding::fail(
            format!("{url} does not name the issuer {}", issuer.issuer),
            "the gateway that answers works by another configuration: reload it (SIGHUP)",
        ),
        None => Finding::ok(format!("{url} names {}", named.join(", "))),
    }
}

/// A caller without a token is told where to log in.
async fn challenge(server: &ServerPlan, wire: &Wire) -> Finding {
    let endpoint = match ask::endpoint(&server.resource, true) {
        Ok(endpoint) => endpoint,
        Err(finding) => return finding,
    };
    let mut request = Request::read(endpoint);
    request.method = Method::POST;
    request.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
        .headers
        .insert(http::header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    request.body = bytes::Bytes::from_static(PING);
    let answer = match wire.send(request).await {
        Ok(answer) => answer,
        Err(error) => return ask::unanswered(&server.resource, &error),
    };
    let told = ask::header(&answer.headers, "www-authenticate").unwrap_or_default();
    let pointer = format!("resource_metadata=\"{}\"", server.metadata_url);
    match answer.status.as_u16() {
        401 if told.contains(&pointer) => Finding::ok("401, and where the metadata is"),
        401 => Finding::fail(
            "401 without the place of the metadata",
            "whatever stands before the gateway must not take `WWW-Authenticate` away, and must not ask for a login of its own",
        ),
        status => Finding::fail(
            format!("HTTP {status} instead of 401"),
            "whatever stands before the gateway must hand the path on to it unchanged, with the `Host` of `public_url`",
        ),
    }
}
