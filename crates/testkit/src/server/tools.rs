//! What the tools do. The first four ask an API with the very credential that the server was asked with.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::methods::Request;
use super::{Outcome, State, locked, rpc_error};
use crate::canary;
use crate::wire::fetch;

impl State {
    pub(super) async fn call(&self, request: &Request) -> Outcome {
        let params = request.params();
        let arguments = &params["arguments"];
        match params["name"].as_str().unwrap_or_default() {
            "list_orders" => Ok(self.ask_api(request, Method::GET, &self.options.orders, "/orders").await),
            "refund" => Ok(self.ask_api(request, Method::POST, &self.options.orders, "/refunds").await),
            "read_warehouse" if self.options.signed.is_some() => {
                Ok(self.in_aws(request, "warehouse:ReadStock"))
            }
            "drop_table" if self.options.signed.is_some() => Ok(self.in_aws(request, "warehouse:DropTable")),
            "read_warehouse" => {
                Ok(self.ask_api(request, Method::GET, &self.options.warehouse, "/stock").await)
            }
            "drop_table" => {
                Ok(self.ask_api(request, Method::DELETE, &self.options.warehouse, "/stock").await)
            }
            "echo" => Ok(said(arguments["text"].as_str().unwrap_or_default(), false)),
            "region_report" => Ok(said(&format!("report of {}", arguments["region"]), false)),
            "show_headers" => Ok(show_headers(request)),
            "progress" => Ok(count(request)),
            "hold" => {
                let mut released = self.gate.subscribe();
                let _ = released.wait_for(|released| *released).await;
                Ok(said("released", false))
            }
            "ask" => self.ask_user(request).await,
            "fail" => Ok(said("this tool never works", true)),
            other => Err(rpc_error(-32602, &format!("Unknown tool: {other}"))),
        }
    }

    async fn ask_api(&self, request: &Request, method: Method, api: &str, path: &str) -> Value {
        let mut question = http::Request::builder().method(method).uri(format!("{api}{path}"));
        if let Some(credential) = request.seen.headers.get("authorization") {
            question = question.header("authorization", credential);
        }
        let body = Bytes::from(request.params()["arguments"].to_string());
        let Ok(question) = question.body(body) else { return said("the API has no address", true) };
        match fetch::fetch(question).await {
            Ok(answer) => {
                let mut result = said(&String::from_utf8_lossy(&answer.body), !answer.status.is_success());
                result["structuredContent"] =
                    json!({"status": answer.status.as_u16(), "answer": answer.json()});
                result
            }
            Err(error) => said(&format!("the API cannot be reached: {error}"), true),
        }
    }

    /// As a service of AWS does it: by the rights of the role that the request was signed for.
    fn in_aws(&self, request: &Request, action: &str) -> Value {
        let Some(signed) = &self.options.signed else { return said("not in AWS", true) };
        let Ok(session) = signed.by(&request.seen) else { return said("not signed", true) };
        if let Err(why) = signed.account.authorize(&session, action) {
            return said(&why, true);
        }
        let answer = json!({"rows": [{"sku": "bolt-m6", "stock": 1200}], "as": session.arn()});
        let mut result = said(&answer.to_string(), false);
        result["structuredContent"] = json!({"status": 200, "answer": answer});
        result
    }

    /// Legacy: a request of the server on the stream. Modern: a result that wants input, and a second round.
    async fn ask_user(&self, request: &Request) -> Outcome {
        let wanted =
            json!({"message": "Your name?", "requestedSchema": {"type": "object", "properties": {}}});
        if request.modern {
            let params = request.params();
            return match params["inputResponses"]["name"].as_object() {
                Some(given) => {
                    let state = params["requestState"].as_str().unwrap_or("no state");
                    Ok(said(&format!("{} with {state}", Value::Object(given.clone())), false))
                }
                None => Ok(json!({
                    "resultType": "input_required",
                    "inputRequests": {"name": {"method": "elicitation/create", "params": wanted}},
                    "requestState": format!("state-{}", canary::random_hex()),
                })),
            };
        }
        let (Some(session), Some(lane)) = (&request.session, &request.lane) else {
            return Err(rpc_error(-32603, "there is no stream to ask on"));
        };
        let id = format!("server-{}", self.next_request.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        locked(&session.waiting).insert(id.clone(), answer);
        lane.send(&json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": wanted}));
        match answered.await {
            Ok(given) => Ok(said(&given.to_string(), false)),
            Err(_) => Err(rpc_error(-32603, "the session ended")),
        }
    }
}

fn said(text: &str, wrong: bool) -> Value {
    let mut result = json!({"content": [{"type": "text", "text": text}]});
    if wrong {
        result["isError"] = json!(true);
    }
    result
}

fn show_headers(request: &Request) -> Value {
    let seen = &request.seen;
    let headers: Map<String, Value> =
        seen.headers.keys().map(|name| (name.to_string(), json!(seen.header(name.as_str())))).collect();
    said(&Value::Object(headers).to_string(), false)
}

fn count(request: &Request) -> Value {
    let steps = request.params()["arguments"]["steps"].as_u64().unwrap_or(3);
    let token = &request.params()["_meta"]["progressToken"];
    for step in 1..=steps {
        if !token.is_null() {
            let progress = json!({"progressToken": token, "progress": step, "total": steps});
            request.notify("notifications/progress", &progress);
        }
    }
    said(&format!("counted to {steps}"), false)
}
