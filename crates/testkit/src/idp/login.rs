//! Logging in: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), resource indicators (RFC 8707), clients that
//! register themselves (RFC 7591), refresh tokens that are used once (OAuth 2.1 §4.3.1). For a laptop: whoever sits
//! in front of it says who they are.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Mint, State, page};
use crate::canary;
use crate::oauth::{Client, Problem};
use crate::verify::words;
use crate::wire::{Form, Reply, Seen, encode_form};

/// Life of a code.
const CODE: u64 = 60;
/// Life of an access token.
const ACCESS: Duration = Duration::from_secs(3600);
/// Life of a refresh token.
const REFRESH: u64 = 30 * 24 * 3600;
/// Clients that may register themselves.
const CLIENTS: usize = 1000;

/// What is remembered of logins.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Where the browser may be sent, by client.
    redirects: BTreeMap<String, Vec<String>>,
    codes: BTreeMap<String, Code>,
    refresh: BTreeMap<String, Login>,
}

/// Somebody, logged in with a client.
#[derive(Clone, Debug)]
struct Login {
    user: String,
    client: String,
    scope: String,
    resources: Vec<String>,
    nonce: Option<String>,
    ends: u64,
}

#[derive(Clone, Debug)]
struct Code {
    login: Login,
    redirect: String,
    challenge: String,
}

/// An authorization request that may be answered to its client.
struct Wish {
    client: String,
    redirect: String,
    state: Option<String>,
    challenge: String,
    scope: String,
    resources: Vec<String>,
    nonce: Option<String>,
}

impl State {
    /// Who is it? The page, or what is wrong.
    pub(super) fn ask_who(&self, seen: &Seen) -> Reply {
        let query = Form::parse(seen.uri.query().unwrap_or_default().as_bytes());
        match self.wish(&query) {
            Ok(wish) => {
                let users: Vec<String> = self.users().keys().cloned().collect();
                page::who(&users, &wish.client, &wish.scope, seen.uri.query().unwrap_or_default())
            }
            Err(reply) => *reply,
        }
    }

    /// It is this one: back to the client, with a code.
    pub(super) fn let_in(&self, seen: &Seen) -> Reply {
        // The page is this provider's own: nobody else's may post here (login forgery).
        let own = seen.header("origin").is_none_or(|origin| origin == self.base);
        let query = Form::parse(seen.uri.query().unwrap_or_default().as_bytes());
        let wish = match self.wish(&query) {
            Ok(wish) if own => wish,
            Ok(_) => return page::wrong("this form was sent from another page"),
            Err(reply) => return *reply,
        };
        let form = seen.form();
        let Some(user) = form.one("user").filter(|user| self.users().contains_key(*user)) else {
            return back(&wish.redirect, &[("error", "access_denied")], wish.state.as_deref(), &self.issuer);
        };
        let code = canary::secret("code");
        let login = Login {
            user: user.to_owned(),
            client: wish.client,
            scope: wish.scope,
            resources: wish.resources,
            nonce: wish.nonce,
            ends: self.clock.secs() + CODE,
        };
        let kept = Code { login, redirect: wish.redirect.clone(), challenge: wish.challenge };
        let now = self.clock.secs();
        let mut logins = self.logins();
        logins.codes.retain(|_, code| code.login.ends > now);
        logins.codes.insert(code.clone(), kept);
        drop(logins);
        back(&wish.redirect, &[("code", &code)], wish.state.as_deref(), &self.issuer)
    }

    /// `grant_type=authorization_code`
    pub(super) fn by_code(&self, seen: &Seen) -> Result<Value, Problem> {
        let client = self.client_of(seen)?;
        let form = seen.form();
        let given = form.one("code").unwrap_or_default();
        // Used once, whatever comes of it (RFC 6749 §4.1.2).
        let code = self.logins().codes.remove(given).ok_or_else(|| bad_grant("unknown or used code"))?;
        let verifier = form.one("code_verifier").unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        if code.login.ends <= self.clock.secs() {
            return Err(bad_grant("the code has expired"));
        }
        if code.login.client != client.id || form.one("redirect_uri") != Some(&code.redirect) {
            return Err(bad_grant("the code is of another client or redirect_uri"));
        }
        if verifier.len() < 43 || challenge != code.challenge {
            return Err(bad_grant("code_verifier does not fit"));
        }
        self.logged_in(code.login, &form)
    }

    /// `grant_type=refresh_token`
    pub(super) fn by_refresh(&self, seen: &Seen) -> Result<Value, Problem> {
        let client = self.client_of(seen)?;
        let form = seen.form();
        let given = form.one("refresh_token").unwrap_or_default();
        let known = self.logins().refresh.get(given).cloned();
        let login = known.ok_or_else(|| bad_grant("unknown or used refresh token"))?;
        if login.client != client.id || login.ends <= self.clock.secs() {
            return Err(bad_grant("the refresh token is of another client, or has expired"));
        }
        self.logins().refresh.remove(given);
        self.logged_in(login, &form)
    }

    /// A client introduces itself (RFC 7591).
    pub(super) fn register(&self, seen: &Seen) -> Reply {
        let wanted = seen.json();
        let redirects = words(&wanted["redirect_uris"]);
        if redirects.is_empty() || !redirects.iter().all(|uri| is_redirect(uri)) {
            return Problem::new(
                "invalid_redirect_uri",
                "redirect_uris must be loopback, https or an app's own scheme",
            )
            .reply();
        }
        let id = format!("client-{}", canary::random_hex());
        let mut logins = self.logins();
        if logins.redirects.len() >= CLIENTS {
            return Problem::new("invalid_client_metadata", "too many clients").reply();
        }
        logins.redirects.insert(id.clone(), redirects.clone());
        drop(logins);
        let (client, method, secret) = match wanted["token_endpoint_auth_method"].as_str() {
            Some(method @ "client_secret_post") => {
                let (client, secret) = Client::post(&id);
                (client, method, Some(secret))
            }
            Some(method @ "client_secret_basic") => {
                let (client, secret) = Client::basic(&id);
                (client, method, Some(secret))
            }
            _ => (Client::public(&id), "none", None),
        };
        self.clients.add(client);
        let mut answer = json!({
            "client_id": id,
            "client_id_issued_at": self.clock.secs(),
            "redirect_uris": redirects,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
        });
        if !wanted["client_name"].is_null() {
            answer["client_name"] = wanted["client_name"].clone();
        }
        if let Some(secret) = secret {
            answer["client_secret"] = json!(secret);
            answer["client_secret_expires_at"] = json!(0);
        }
        Reply::json(StatusCode::CREATED, &answer).header("cache-control", "no-store")
    }

    pub(super) fn client_of(&self, seen: &Seen) -> Result<Client, Problem> {
        let endpoints = [self.at("/token"), self.issuer.clone()];
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        self.clients.authenticate(seen, &endpoints, self.clock.secs())
    }

    fn logged_in(&self, login: Login, form: &Form) -> Result<Value, Problem> {
        // A token request may ask for fewer resources than were agreed to (RFC 8707 §2.2).
        let asked: Vec<String> = form.all("resource").into_iter().map(str::to_owned).collect();
        if !asked.iter().all(|resource| login.resources.contains(resource)) {
            return Err(Problem::new("invalid_target", "this resource was not agreed to"));
        }
        let audiences = if asked.is_empty() { login.resources.clone() } else { asked };
        let mut mint = Mint::user(&login.user).scopes(&login.scope).client(&login.client).lifetime(ACCESS);
        for audience in &audiences {
            mint = mint.audience(audience);
        }
        let mut answer = json!({
            "access_token": self.keys.sign(mint.algorithm, &mint.typ, &self.claims(&mint)),
            "token_type": "Bearer",
            "expires_in": ACCESS.as_secs(),
            "scope": login.scope,
        });
        if login.scope.split_ascii_whitespace().any(|scope| scope == "openid") {
            let mut id = Mint::user(&login.user)
                .audience(&login.client)
                .client(&login.client)
                .lifetime(ACCESS)
                .typ("JWT");
            if let Some(nonce) = &login.nonce {
                id = id.claim("nonce", nonce.as_str());
            }
            answer["id_token"] = json!(self.keys.sign(id.algorithm, &id.typ, &self.claims(&id)));
        }
        let refresh = canary::secret("refresh");
        answer["refresh_token"] = json!(refresh);
        let now = self.clock.secs();
        let mut logins = self.logins();
        logins.refresh.retain(|_, login| login.ends > now);
        logins.refresh.insert(refresh, Login { ends: now + REFRESH, ..login });
        Ok(answer)
    }

    /// What the client wants. An unknown client or redirect is told to the person, never sent anywhere (RFC 6749
    /// §4.1.2.1).
    fn wish(&self, query: &Form) -> Result<Wish, Box<Reply>> {
        let client = query.one("client_id").unwrap_or_default().to_owned();
        let known = self.logins().redirects.get(&client).cloned();
        let Some(known) = known else {
            return Err(Box::new(page::wrong("this client is not registered here")));
        };
        let redirect = query.one("redirect_uri").unwrap_or_default().to_owned();
        if !known.iter().any(|uri| same_redirect(uri, &redirect)) {
            return Err(Box::new(page::wrong("this redirect_uri is not the client's")));
        }
        let state = query.one("state").map(str::to_owned);
        let refused =
            |error: &str| Box::new(back(&redirect, &[("error", error)], state.as_deref(), &self.issuer));
        if query.one("response_type") != Some("code") {
            return Err(refused("unsupported_response_type"));
        }
        let challenge = query.one("code_challenge").unwrap_or_default().to_owned();
        if query.one("code_challenge_method") != Some("S256") || challenge.is_empty() {
            return Err(refused("invalid_request"));
        }
        let resources = query.all("resource").into_iter().map(str::to_owned).collect();
        let scope = query.one("scope").unwrap_or_default().to_owned();
        let nonce = query.one("nonce").map(str::to_owned);
        Ok(Wish { client, redirect, state, challenge, scope, resources, nonce })
    }

    fn logins(&self) -> std::sync::MutexGuard<'_, Logins> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client that was registered by hand log people in.
    pub(super) fn redirect(&self, client: &str, uri: &str) {
        self.logins().redirects.entry(client.to_owned()).or_default().push(uri.to_owned());
    }
}

fn bad_grant(why: &str) -> Problem {
    Problem::new("invalid_grant", why)
}

/// Sends the browser back, with the issuer's name (RFC 9207).
fn back(redirect: &str, answer: &[(&str, &str)], state: Option<&str>, issuer: &str) -> Reply {
    let pairs = answer.iter().copied().chain(state.map(|state| ("state", state))).chain([("iss", issuer)]);
    let join = if redirect.contains('?') { '&' } else { '?' };
    Reply::empty(StatusCode::FOUND)
        .header("location", format!("{redirect}{join}{}", encode_form(pairs)))
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
}

/// Where a browser may be sent: this machine, https, or an app's own scheme.
fn is_redirect(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    match scheme {
        "https" => rest.starts_with("//"),
        "http" => loopback(uri).is_some(),
        "javascript" | "data" | "file" | "vbscript" | "blob" | "about" => false,
        _ => !rest.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)),
    }
}

/// The same, but for the port of a loopback address, which an app cannot know beforehand (RFC 8252 §7.3).
fn same_redirect(known: &str, given: &str) -> bool {
    known == given || loopback(known).zip(loopback(given)).is_some_and(|(known, given)| known == given)
}

/// Host and path of a loopback URL.
fn loopback(uri: &str) -> Option<(String, String)> {
    let uri: http::Uri = uri.parse().ok()?;
    let host = uri.host()?.to_owned();
    let own =
        uri.scheme_str() == Some("http") && matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    own.then(|| (host, uri.path_and_query().map_or_else(String::new, ToString::to_string)))
}
