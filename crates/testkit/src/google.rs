//! Google's security token service and IAM Credentials API on loopback: subject tokens are verified with their issuer's
//! keys, pools and service accounts let in whom they were told to, tokens are opaque, and refusals are in Google's words.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::canary;
use crate::clock::Clock;
use crate::keyring::Keyring;
use crate::keys::Algorithm;
use crate::oauth::{self, Problem};
use crate::verify::{Trust, Verifier, words};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// `iss` of what is told of a federated token.
pub const ISSUER: &str = "https://sts.googleapis.com";

/// A workload identity pool, with its one provider.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Full resource name of the provider: the `audience` of an exchange.
    pub provider: String,
    /// Whose tokens are taken, and which of their audiences.
    pub trust: Trust,
    /// Only members of these groups are let in (an attribute condition); empty for everyone.
    pub groups: Vec<String>,
}

/// A service account.
#[derive(Clone, Debug)]
pub struct Account {
    /// `analyst@p.iam.gserviceaccount.com`
    pub email: String,
    /// Subjects of the pool that may impersonate it (`roles/iam.workloadIdentityUser`).
    pub users: Vec<String>,
}

/// What Google's APIs ask of a token.
#[derive(Clone)]
pub struct Lookup(Arc<State>);

impl Lookup {
    /// As [`Google::seen_as`].
    ///
    /// # Errors
    /// Says why it is not good.
    pub fn seen_as(&self, token: &str) -> Result<Value, String> {
        self.0.seen_as(token)
    }
}

/// A running Google.
pub struct Google {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    base: String,
    pool: Pool,
    accounts: Vec<Account>,
    foreign: Verifier,
    keys: Keyring,
    clock: Clock,
    tokens: Mutex<BTreeMap<String, Value>>,
}

impl Google {
    /// Starts one with this pool and these accounts.
    ///
    /// # Errors
    /// When loopback cannot be bound or a key cannot be made.
    pub async fn start(pool: Pool, accounts: Vec<Account>, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State {
            base: format!("http://{address}"),
            foreign: Verifier::new(pool.trust.clone(), clock.clone()),
            pool,
            accounts,
            keys: Keyring::new()?,
            clock,
            tokens: Mutex::default(),
        });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// Where tokens are exchanged.
    pub fn token_endpoint(&self) -> String {
        format!("{}/v1/token", self.state.base)
    }

    /// Base of the IAM Credentials API.
    pub fn url(&self) -> &str {
        &self.state.base
    }

    /// What a token stands for, as Google's APIs see it: `iss`, `sub` (the principal or the service account), `scope`,
    /// `exp`; of an impersonated one `act`, who is behind it.
    ///
    /// # Errors
    /// Says why it is not good.
    pub fn seen_as(&self, token: &str) -> Result<Value, String> {
        self.state.seen_as(token)
    }

    /// For APIs that take its tokens.
    pub fn lookup(&self) -> Lookup {
        Lookup(self.state.clone())
    }

    /// Everything it received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }
}

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let path = seen.path().to_owned();
        match (seen.method.clone(), path.as_str()) {
            (Method::POST, "/v1/token") => match self.exchange(&seen).await {
                Ok(answer) => Reply::json(StatusCode::OK, &answer),
                Err(problem) => problem.reply(),
            },
            (Method::GET, "/certs") => Reply::json(StatusCode::OK, &self.keys.jwks()),
            (Method::GET | Method::POST, "/tokeninfo") => self.token_info(&seen),
            (Method::POST, "/v1/introspect") => self.introspect(&seen),
            (Method::POST, path) if path.starts_with("/v1/projects/-/serviceAccounts/") => {
                self.credentials(&seen, path).unwrap_or_else(|reply| *reply)
            }
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

impl State {
    async fn exchange(&self, seen: &Seen) -> Result<Value, Problem> {
        let form = seen.form();
        if seen.header("authorization").is_some() {
            return Err(Problem::new("invalid_client", "The OAuth client was not found."));
        }
        if form.one("grant_type") != Some(oauth::TOKEN_EXCHANGE)
            || form.one("requested_token_type") != Some(oauth::ACCESS_TOKEN)
        {
            return Err(Problem::new(
                "invalid_request",
                "Invalid value for \"grant_type\" or \"requested_token_type\".",
            ));
        }
        if form.all("audience") != [self.pool.provider.as_str()] {
            let why = "The target service indicated by the \"audience\" parameters is invalid. This might either be \
                       because the pool or provider is disabled or deleted or because it doesn't exist.";
            return Err(Problem::new("invalid_target", why));
        }
        if !matches!(form.one("subject_token_type"), Some(oauth::JWT | oauth::ID_TOKEN)) {
            return Err(Problem::new("invalid_request", "Invalid value for \"subject_token_type\"."));
        }
        let subject = form.one("subject_token").unwrap_or_default();
        let claims =
            self.foreign.verify(subject).await.map_err(|why| stale_or_wrong(&why, &self.pool.trust))?;
        let groups = words(&claims["groups"]);
        if !self.pool.groups.is_empty() && !self.pool.groups.iter().any(|group| groups.contains(group)) {
            let why = "The given credential is rejected by the attribute condition.";
            return Err(Problem::new("unauthorized_client", why));
        }
        let scopes = form.words("scope");
        if scopes.is_empty() {
            return Err(Problem::new("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
        }
        let principal = format!(
            "{}/subject/{}",
            principal(&self.pool.provider),
            claims["sub"].as_str().unwrap_or_default()
        );
        let ends = self.clock.secs() + 3599;
        let token = self.remember(
            "ya29.d",
            json!({"iss": ISSUER, "sub": principal, "scope": scopes.join(" "), "exp": ends}),
        );
        Ok(json!({
            "access_token": token,
            "issued_token_type": oauth::ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 3599,
        }))
    }

    /// `generateAccessToken` and `generateIdToken`.
    fn credentials(&self, seen: &Seen, path: &str) -> Result<Reply, Box<Reply>> {
        let name = path.trim_start_matches("/v1/projects/-/serviceAccounts/");
        let (email, method) = name.split_once(':').unwrap_or((name, ""));
        let behind = seen.bearer().and_then(|token| self.seen_as(token).ok()).ok_or_else(|| {
            refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        })?;
        let subject = behind["sub"].as_str().unwrap_or_default();
        let account = self.accounts.iter().find(|account| account.email == email);
        let may = account.is_some_and(|account| {
            account
                .users
                .iter()
                .any(|user| subject.rsplit_once("/subject/").is_some_and(|(_, own)| own == user))
        });
        if !may {
            let permission = if method == "generateIdToken" { "getOpenIdToken" } else { "getAccessToken" };
            let why = format!(
                "Permission 'iam.serviceAccounts.{permission}' denied on resource (or it may not exist)."
            );
            return Err(refusal(403, "PERMISSION_DENIED", &why));
        }
        let asked = seen.json();
        match method {
            "generateAccessToken" => Ok(self.access_token(email, &behind, &asked)?),
            "generateIdToken" => Ok(self.id_token(email, &asked)),
            _ => Err(refusal(404, "NOT_FOUND", "Method not found.")),
        }
    }

    fn access_token(&self, email: &str, behind: &Value, asked: &Value) -> Result<Reply, Box<Reply>> {
        let lifetime = asked["lifetime"].as_str().and_then(|text| text.strip_suffix('s')?.parse().ok());
        let lifetime: u64 = lifetime.unwrap_or(3600);
        let scopes = words(&asked["scope"]);
        if scopes.is_empty() || !(1..=3600).contains(&lifetime) {
            return Err(refusal(400, "INVALID_ARGUMENT", "Request contains an invalid argument."));
        }
        let ends = self.clock.secs() + lifetime;
        let token = self.remember(
            "ya29.c",
            json!({"iss": ISSUER, "sub": email, "act": {"sub": behind["sub"]}, "scope": scopes.join(" "), "exp": ends}),
        );
        let at = time::OffsetDateTime::from_unix_timestamp(ends as i64)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        Ok(Reply::json(StatusCode::OK, &json!({"accessToken": token, "expireTime": at})))
    }

    fn id_token(&self, email: &str, asked: &Value) -> Reply {
        let now = self.clock.secs();
        let mut claims = json!({
            "iss": "https://accounts.google.com",
            "aud": asked["audience"],
            "azp": email,
            "sub": email,
            "iat": now,
            "exp": now + 3600,
            "canary": canary::MARK,
        });
        if asked["includeEmail"] == true {
            claims["email"] = json!(email);
            claims["email_verified"] = json!(true);
        }
        Reply::json(StatusCode::OK, &json!({"token": self.keys.sign(Algorithm::Es256, "JWT", &claims)}))
    }

    /// <https://oauth2.googleapis.com/tokeninfo>
    fn token_info(&self, seen: &Seen) -> Reply {
        let query = crate::wire::Form::parse(seen.uri.query().unwrap_or_default().as_bytes());
        let form = seen.form();
        let named = query.one("access_token").or_else(|| form.one("access_token"));
        let token = named.or_else(|| seen.bearer()).unwrap_or_default();
        match self.seen_as(token) {
            Ok(claims) => {
                let left = claims["exp"].as_u64().unwrap_or_default().saturating_sub(self.clock.secs());
                let told = json!({"sub": claims["sub"], "scope": claims["scope"], "exp": claims["exp"].to_string(), "expires_in": left.to_string()});
                Reply::json(StatusCode::OK, &told)
            }
            Err(_) => Reply::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": "invalid_token", "error_description": "Invalid Value"}),
            ),
        }
    }

    /// <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/introspect>
    fn introspect(&self, seen: &Seen) -> Reply {
        let told = match self.seen_as(seen.form().one("token").unwrap_or_default()) {
            Ok(claims) => json!({
                "active": true, "iss": ISSUER, "sub": claims["sub"], "username": claims["sub"],
                "scope": claims["scope"], "exp": claims["exp"],
            }),
            Err(_) => json!({ "active": false }),
        };
        Reply::json(StatusCode::OK, &told)
    }

    fn seen_as(&self, token: &str) -> Result<Value, String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let claims = tokens.get(token).cloned().ok_or("not a token of Google")?;
        if claims["exp"].as_u64().is_none_or(|end| end <= self.clock.secs()) {
            return Err("expired".into());
        }
        Ok(claims)
    }

    fn remember(&self, kind: &str, stands_for: Value) -> String {
        let token = format!("{kind}.{}", canary::secret("google"));
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), stands_for);
        token
    }
}

/// `principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool`
fn principal(provider: &str) -> String {
    let pool = provider.split("/providers/").next().unwrap_or_default();
    format!("principal:{pool}")
}

fn stale_or_wrong(why: &str, trust: &Trust) -> Problem {
    if why.contains("expired") {
        return Problem::new("invalid_grant", "ID Token issued at 1749625771 is stale to sign-in.");
    }
    if why.contains("audience") || why.contains("for somebody") {
        let expected = trust.audiences.first().map_or("", String::as_str);
        let why = format!("The audience in ID Token [x] does not match the expected audience {expected}.");
        return Problem::new("invalid_grant", why);
    }
    Problem::new("invalid_grant", format!("The ID Token cannot be verified: {why}."))
}

fn refusal(status: u16, word: &str, message: &str) -> Box<Reply> {
    let body = json!({"error": {"code": status, "message": message, "status": word}});
    Box::new(Reply::json(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), &body))
}
