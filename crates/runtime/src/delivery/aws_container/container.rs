//! Container credentials: one `GET` with the instance's secret in `Authorization`, as it stands.

use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use super::{Keys, take};
use crate::delivery::bearer::Bearer;
use crate::delivery::endpoint::{Answering, Protocol};
use crate::delivery::reply::{Reply, json, soon};
use crate::delivery::slot::{Slot, Unavailable};
use crate::delivery::{Environment, plain, variable};

const PATH: &str = "/v1/credentials";

pub(super) struct Container {
    pub(super) bearer: Bearer,
    pub(super) account: Option<Box<str>>,
}

/// How the SDKs for Go and JavaScript read an error.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    code: &'static str,
    message: &'static str,
}

impl Container {
    /// The secret stands in the environment and not in a file: it opens this endpoint and nothing else, to this
    /// instance and nobody else, for as long as the instance runs.
    pub(super) fn environment(address: SocketAddr, bearer: &Bearer) -> Environment {
        vec![
            variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", plain(&format!("http://{address}{PATH}"))),
            variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", bearer.to_secret()),
        ]
    }

    async fn reply(&self, asked: &Parts, slot: &Slot) -> Reply {
        let shown = asked.headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        if !self.bearer.is(shown) {
            return problem(
                StatusCode::UNAUTHORIZED,
                "AccessDenied",
                "The authorization token is missing or wrong.",
            );
        }
        if asked.method != Method::GET {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "GET only.");
        }
        if asked.uri.path() != PATH {
            return problem(StatusCode::NOT_FOUND, "NotFound", "There is nothing here.");
        }
        let present = match take(slot).await {
            Ok(present) => present,
            Err(Unavailable::Nothing) => {
                return problem(
                    StatusCode::NOT_FOUND,
                    "NoCredentials",
                    "The caller has no credential at present.",
                );
            }
            Err(Unavailable::Soon) => {
                let message = "The caller's credential is being renewed.";
                return soon(problem(StatusCode::SERVICE_UNAVAILABLE, "Renewing", message));
            }
        };
        match Keys::of(&present, self.account.as_deref()) {
            Some(keys) => json(StatusCode::OK, &keys),
            None => {
                problem(StatusCode::NOT_FOUND, "NoCredentials", "The caller's credential is no set of keys.")
            }
        }
    }
}

impl Protocol for Container {
    fn answer<'a>(&'a self, asked: &'a Parts, slot: &'a Slot) -> Answering<'a> {
        Box::pin(self.reply(asked, slot))
    }
}

fn problem(status: StatusCode, code: &'static str, message: &'static str) -> Reply {
    json(status, &Problem { code, message })
}
