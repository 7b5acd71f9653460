//! AWS: a token service that makes keys of a role out of domain A's token, and an MCP server that takes signatures.

use bytes::Bytes;
use safeconduct_core::time::Timestamp;
use safeconduct_testkit::aws::{ACCOUNT, Aws, REGION, Role, Session, Signed};
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::idp::Idp;
use safeconduct_testkit::server::{McpServer, Options};
use safeconduct_testkit::verify::Trust;
use safeconduct_testkit::wire::{Seen, fetch};
use serde_json::{Value, json};

use super::super::Scene;
use super::super::play::{ALICE, Played};
use super::calls_a_tool;

pub(super) const ABOUT: [&str; 2] = [
    "Scenario B: the API lives in AWS",
    "AWS's token service takes domain A's token and issues keys of a role; every request is signed with them.",
];

const ROLE: &str = "Warehouse";
const SERVICE_REGION: &str = "us-east-1";
const SERVICE: &str = "aws-mcp";

pub(in super::super) struct InAws {
    pub(super) aws: Aws,
    pub(super) server: McpServer,
}

impl InAws {
    pub(super) async fn start(idp: &Idp) -> std::io::Result<Self> {
        // The client id, because AWS compares `azp` where a token has it.
        let trust = Trust { issuer: idp.issuer().to_owned(), audiences: vec!["mcp-client".into()] };
        let role = Role::for_callers(ROLE, &["warehouse:ReadStock"]).only(&[ALICE]);
        let aws = Aws::start(trust, vec![role], Clock::system()).await?;
        let signed = Signed { account: aws.account().clone(), region: SERVICE_REGION, service: SERVICE };
        let server = McpServer::start(Options { signed: Some(signed), ..Options::default() }).await?;
        Ok(Self { aws, server })
    }

    pub(super) fn server_lines(&self) -> String {
        format!(
            r#"  warehouse:                             # it lives in AWS, and takes signed requests only
    url: {url}
    scopes: {{ tools/call: ["backend-mcp:tools:call"] }}
    credential:
      - aws_web_identity: {{ region: {REGION}, endpoint: "{sts}", role: "arn:aws:iam::{ACCOUNT}:role/{ROLE}" }}
    deliver: {{ sigv4: {{ region: {SERVICE_REGION}, service: {SERVICE} }} }}
"#,
            url = self.server.url(),
            sts = self.aws.url(),
        )
    }

    pub(super) fn served(&self, scene: &mut Scene, user: &str) -> Value {
        let session = self.calls().last().and_then(|seen| self.session_of(seen));
        scene.check(
            "AWS verified signature, issuer, client and subject of domain A's token for real, and the request's signature",
            session.is_some(),
            "",
        );
        let Some(session) = session else { return Value::Null };
        let named = session.arn() == format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{user}");
        scene.check("the person became a session of a role, under their own name", named, session.arn());
        let now = Clock::system().secs();
        let soon = session.expires > now && session.expires <= now + 3600;
        let end = Timestamp::from_secs(session.expires).rfc3339();
        scene.check("its keys end within the hour", soon, end.as_str());
        json!({
            "Arn": session.arn(),
            "Account": ACCOUNT,
            "UserId": session.user_id(),
            "AccessKeyId": session.id,
            "Expiration": end,
        })
    }

    /// What its MCP server received: signatures, each by the keys of a caller.
    pub(super) fn border(&self, scene: &mut Scene) {
        let seen = self.server.log().all();
        let signed = seen.iter().all(|seen| self.session_of(seen).is_some() && seen.bearer().is_none());
        scene.check(
            "each request into AWS was signed with keys that its caller was given, and carried no token",
            !seen.is_empty() && signed,
            format!("{} requests", seen.len()),
        );
        let sessions = self.aws.account().issued();
        let crossed = |session: &Session| seen.iter().any(|seen| seen.mentions(&session.secret));
        scene.check(
            "the secret of the keys never left the gateway",
            !sessions.iter().any(crossed),
            format!("{} keys", sessions.len()),
        );
    }

    pub(super) async fn ask(&self, token: &str) -> Played<(u16, String)> {
        let request = http::Request::post(self.server.url())
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))?;
        let answer = fetch::fetch(request).await?;
        let why = answer.json().get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((answer.status.as_u16(), why))
    }

    pub(super) fn calls(&self) -> Vec<Seen> {
        self.server.log().all().into_iter().filter(calls_a_tool).collect()
    }

    /// The session whose keys a request was signed with.
    fn session_of(&self, seen: &Seen) -> Option<Session> {
        let claimed = seen.header("authorization")?.split_once("Credential=")?.1.split('/').next()?;
        self.aws.account().issued().into_iter().find(|session| session.id == claimed)
    }
}
