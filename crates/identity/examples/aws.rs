//! What Amazon's own library judges in `interop/aws.sh`:
//!
//! - `aws account ISSUER CLIENT`: the testkit's AWS account, and an MCP server that takes its signatures; what they were
//!   asked, and which keys were issued, is told as JSON at a third address; `/end` there ends all keys.
//! - `aws sign`: signs requests, one JSON object a line.
//! - `aws limits`: whether a value is valid, for each line `["LIMIT", "VALUE"]`.
//! - `aws endpoints`: the token service's URL for each line `REGION true|false` (FIPS).
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "equipment: it speaks on stdout, and indexes JSON"
)]

use std::error::Error;
use std::io::BufRead as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use safeconduct_core::material::{AwsKeys, Material};
use safeconduct_core::secret::Secret;
use safeconduct_core::sigv4::{Signer, SigningKeys};
use safeconduct_core::time::Timestamp;
use safeconduct_identity::provider::aws::{limits, partition};
use safeconduct_testkit::aws::{Aws, Role, Signed, Trusts};
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::server::{McpServer, Options};
use safeconduct_testkit::verify::Trust;
use safeconduct_testkit::wire::{Edge, Log, Reply, Seen, Serve};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["account", issuer, client] => account(issuer, client).await,
        ["sign"] => lines(sign),
        ["limits"] => lines(valid),
        ["endpoints"] => lines(|line| {
            let (region, fips) = line.split_once(' ').ok_or("REGION true|false")?;
            Ok(partition::endpoint(region, fips == "true"))
        }),
        _ => Err("account ISSUER CLIENT, sign, limits, or endpoints".into()),
    }
}

fn lines(mut answer: impl FnMut(&str) -> Result<String, Box<dyn Error>>) -> Outcome {
    for line in std::io::stdin().lock().lines() {
        println!("{}", answer(&line?)?);
    }
    Ok(())
}

async fn account(issuer: &str, client: &str) -> Outcome {
    let trust = Trust { issuer: issuer.into(), audiences: vec![client.into()] };
    let reports = Role {
        trusts: Trusts::Role {
            name: "Mcp".into(),
            external_id: Some("corp-1".into()),
            tags: vec!["Team".into()],
        },
        ..Role::behind("Mcp", "Reports", &["warehouse:ReadStock"])
    };
    let roles = vec![Role::for_callers("Mcp", &["warehouse:ReadStock"]), reports];
    let aws = Aws::start(trust, roles, Clock::system()).await?;
    let signed = Signed { account: aws.account().clone(), region: "us-east-1", service: "aws-mcp" };
    let server = McpServer::start(Options { signed: Some(signed), ..Options::default() }).await?;
    let (listener, address) = Edge::bind().await?;
    println!("sts {}", aws.url());
    println!("mcp {}", server.url());
    println!("told http://{address}");
    let told = Edge::start(listener, address, Arc::new(Told { aws, server }));
    // Until it is ended.
    std::future::pending::<()>().await;
    drop(told);
    Ok(())
}

/// Tells what was asked and issued.
struct Told {
    aws: Aws,
    server: McpServer,
}

impl Serve for Told {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let told = match seen.path() {
            "/sts" => requests(self.aws.log()),
            "/mcp" => requests(self.server.log()),
            "/end" => {
                self.aws.account().end_all();
                json!([])
            }
            "/issued" => self
                .aws
                .account()
                .issued()
                .iter()
                .map(|session| {
                    json!({
                        "id": session.id,
                        "secret": session.secret,
                        "token": session.token,
                        "arn": session.arn(),
                        "tags": session.tags,
                        "source_identity": session.source_identity,
                    })
                })
                .collect(),
            _ => return Reply::empty(StatusCode::NOT_FOUND),
        };
        Reply::json(StatusCode::OK, &told)
    }
}

fn requests(log: &Log) -> Value {
    let request = |seen: &Seen| {
        let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<Value> =
            seen.headers.iter().map(|(name, text)| json!([name.as_str(), value(text)])).collect();
        json!({
            "method": seen.method.as_str(),
            "target": seen.uri.to_string(),
            "headers": headers,
            "body": STANDARD.encode(&seen.body),
        })
    };
    log.all().iter().map(request).collect()
}

fn valid(line: &str) -> Result<String, Box<dyn Error>> {
    let (limit, value): (String, String) = serde_json::from_str(line)?;
    let judged = match limit.as_str() {
        "name" | "identity" => limits::name(&value),
        "external_id" => limits::external_id(&value),
        "tag_key" => limits::tag_key(&value),
        "tag_value" => limits::tag_value(&value),
        _ => return Err("no such limit".into()),
    };
    Ok(judged.is_ok().to_string())
}

/// `{"method", "url", "headers": [[name, value]], "body": base64, "region", "service", "id", "secret", "token", "now"}`
fn sign(line: &str) -> Result<String, Box<dyn Error>> {
    let asked: Value = serde_json::from_str(line)?;
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let secret = |name: &str| Secret::new(text(name).as_bytes().to_vec());
    let mut request = Request::new(Bytes::from(STANDARD.decode(text("body"))?));
    *request.method_mut() = text("method").parse()?;
    *request.uri_mut() = text("url").parse()?;
    for pair in asked["headers"].as_array().into_iter().flatten() {
        let (name, value) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
        request.headers_mut().append(name.parse::<HeaderName>()?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    let keys = Material::Aws(AwsKeys {
        access_key_id: text("id").into(),
        secret_access_key: secret("secret"),
        session_token: secret("token"),
    });
    let now = Timestamp::parse_rfc3339(text("now")).ok_or("no time")?;
    Signer::new(text("region"), text("service"))?.sign(
        &SigningKeys::new(&Arc::new(keys))?,
        &mut request,
        now,
    );
    Ok(request.headers()["authorization"].to_str()?.to_owned())
}
