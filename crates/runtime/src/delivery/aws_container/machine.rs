//! Instance metadata, version 2: a session token by `PUT`, and everything else with that token.
//!
//! Session tokens are not stored: one is its own end and a tag over it, under a key that this endpoint alone has.

use std::net::SocketAddr;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::json as object;

use super::{AwsContainer, Keys, take};
use crate::delivery::bearer::NoRandomness;
use crate::delivery::endpoint::{Answering, Protocol};
use crate::delivery::reply::{Reply, json, secret, soon, text};
use crate::delivery::slot::{Slot, Unavailable, wall};
use crate::delivery::{Environment, plain, variable};

const SESSION: &str = "x-aws-ec2-metadata-token";
const SESSION_SECONDS: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Longest life of a session token, in seconds.
const LONGEST: u64 = 21_600;

pub(super) struct Machine {
    key: hmac::Key,
    about: AwsContainer,
    started: String,
}

/// The keys as a machine's role gives them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleKeys<'a> {
    code: &'static str,
    last_updated: String,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(flatten)]
    keys: Keys<'a>,
}

impl Machine {
    pub(super) fn new(about: &AwsContainer) -> Result<Self, NoRandomness> {
        let key =
            hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).map_err(|_| NoRandomness)?;
        Ok(Self { key, about: about.clone(), started: wall().rfc3339() })
    }

    /// Version 1 is switched off on both sides. Boto would give up after one second and one attempt.
    pub(super) fn environment(address: SocketAddr) -> Environment {
        vec![
            variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", plain(&format!("http://{address}"))),
            variable("AWS_EC2_METADATA_V1_DISABLED", plain("true")),
            variable("AWS_METADATA_SERVICE_TIMEOUT", plain("5")),
            variable("AWS_METADATA_SERVICE_NUM_ATTEMPTS", plain("3")),
        ]
    }

    async fn reply(&self, asked: &Parts, slot: &Slot) -> Reply {
        match (&asked.method, asked.uri.path()) {
            (&Method::PUT, "/latest/api/token") => return self.session(asked),
            (&Method::GET, _) => {}
            _ => return text(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed\n"),
        }
        if !asked.headers.get(SESSION).is_some_and(|shown| self.is_live(shown.as_bytes(), wall().secs())) {
            return text(StatusCode::UNAUTHORIZED, "401 - Unauthorized\n");
        }
        let Some(path) = asked.uri.path().strip_prefix("/latest/") else { return absent() };
        let role = self.about.role.as_deref().unwrap_or("safeconduct");
        match path {
            "meta-data/iam/security-credentials" | "meta-data/iam/security-credentials/" => match slot
                .present()
            {
                Some(_) => text(StatusCode::OK, role.to_owned()),
                None => self.keys(slot).await.map_or_else(refused, |_| text(StatusCode::OK, role.to_owned())),
            },
            "meta-data/iam/info" => self.info(role),
            "meta-data/placement/region" => self.region(""),
            "meta-data/placement/availability-zone" | "meta-data/placement/availability-zone/" => {
                self.region("a")
            }
            "dynamic/instance-identity/document" => self.document(),
            _ if path.strip_prefix("meta-data/iam/security-credentials/") == Some(role) => {
                self.keys(slot).await.unwrap_or_else(refused)
            }
            _ => absent(),
        }
    }

    async fn keys(&self, slot: &Slot) -> Result<Reply, Unavailable> {
        let present = take(slot).await?;
        let keys = Keys::of(&present, self.about.account.as_deref()).ok_or(Unavailable::Nothing)?;
        let last_updated = wall().rfc3339();
        Ok(json(StatusCode::OK, &RoleKeys { code: "Success", last_updated, kind: "AWS-HMAC", keys }))
    }

    fn session(&self, asked: &Parts) -> Reply {
        let seconds =
            asked.headers.get(SESSION_SECONDS).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let Some(seconds) = seconds.filter(|seconds| (1..=LONGEST).contains(seconds)) else {
            return text(StatusCode::BAD_REQUEST, "400 - Bad Request\n");
        };
        let mut reply = secret(StatusCode::OK, "text/plain", self.sealed(wall().secs() + seconds).as_bytes());
        reply.headers_mut().insert(SESSION_SECONDS, HeaderValue::from(seconds));
        reply
    }

    fn sealed(&self, end: u64) -> String {
        let end = end.to_be_bytes();
        URL_SAFE_NO_PAD.encode([&end[..], hmac::sign(&self.key, &end).as_ref()].concat())
    }

    fn is_live(&self, shown: &[u8], now: u64) -> bool {
        let Ok(shown) = URL_SAFE_NO_PAD.decode(shown) else { return false };
        let Some((end, tag)) = shown.split_first_chunk::<8>() else { return false };
        hmac::verify(&self.key, end, tag).is_ok() && now < u64::from_be_bytes(*end)
    }

    fn info(&self, role: &str) -> Reply {
        let account = self.about.account.as_deref().unwrap_or("000000000000");
        json(
            StatusCode::OK,
            &object!({
                "Code": "Success",
                "LastUpdated": self.started,
                "InstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/{role}"),
                "InstanceProfileId": "AIPASAFECONDUCT",
            }),
        )
    }

    fn region(&self, zone: &str) -> Reply {
        let region = self.about.region.as_deref();
        region.map_or_else(absent, |region| text(StatusCode::OK, format!("{region}{zone}")))
    }

    fn document(&self) -> Reply {
        let Some(region) = &self.about.region else { return absent() };
        json(
            StatusCode::OK,
            &object!({"region": region, "accountId": self.about.account, "version": "2017-09-30"}),
        )
    }
}

impl Protocol for Machine {
    fn answer<'a>(&'a self, asked: &'a Parts, slot: &'a Slot) -> Answering<'a> {
        Box::pin(self.reply(asked, slot))
    }
}

fn refused(unavailable: Unavailable) -> Reply {
    match unavailable {
        Unavailable::Nothing => absent(),
        Unavailable::Soon => soon(text(StatusCode::SERVICE_UNAVAILABLE, "503 - Service Unavailable\n")),
    }
}

fn absent() -> Reply {
    text(StatusCode::NOT_FOUND, "404 - Not Found\n")
}

#[cfg(test)]
mod tests {
    use super::{AwsContainer, Machine};

    #[test]
    fn a_session_token_holds_until_its_end_at_the_endpoint_that_gave_it() {
        let (one, other) = (Machine::new(&AwsContainer::default()), Machine::new(&AwsContainer::default()));
        let (one, other) = (one.unwrap(), other.unwrap());
        let session = one.sealed(1000);
        assert!(one.is_live(session.as_bytes(), 999));
        assert!(!one.is_live(session.as_bytes(), 1000));
        assert!(!other.is_live(session.as_bytes(), 999));
        assert!(!one.is_live(b"", 0));
        assert!(!one.is_live(&one.sealed(1000).as_bytes()[..20], 999));
    }
}
