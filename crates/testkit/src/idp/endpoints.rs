//! The provider's paths.

use std::sync::{Arc, PoisonError};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::State;
use crate::oauth::{self, Problem};
use crate::wire::{Reply, Seen, Serve};

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let path = seen.path().to_owned();
        let own = self.issuer.strip_prefix(&self.base).unwrap_or_default();
        // OIDC Discovery §4 appends to the issuer; RFC 8414 §3.1 inserts before its path.
        let oidc = format!("{own}/.well-known/openid-configuration");
        let rfc8414 = format!("/.well-known/oauth-authorization-server{own}");
        let local = path.strip_prefix(own).unwrap_or(&path);
        match (seen.method.clone(), local) {
            (Method::GET, _) if path == oidc || path == rfc8414 => {
                Reply::json(StatusCode::OK, &self.discovery())
            }
            (Method::GET, "/jwks") => {
                Reply::json(StatusCode::OK, &self.keys.jwks()).header("cache-control", "public, max-age=300")
            }
            (Method::POST, "/token") => self.token(&seen),
            (Method::POST, "/introspect") => self.introspect(&seen),
            (Method::GET, "/authorize") => return self.ask_who(&seen),
            (Method::POST, "/authorize") => return self.let_in(&seen),
            (Method::POST, "/register") => self.register(&seen),
            // MCP clients that run in a browser ask from their own page.
            (Method::OPTIONS, _) => Reply::empty(StatusCode::NO_CONTENT)
                .header("access-control-allow-methods", "GET, POST")
                .header("access-control-allow-headers", "authorization, content-type, mcp-protocol-version")
                .header("access-control-max-age", "600"),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
        .header("access-control-allow-origin", "*")
    }
}

impl State {
    fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "token_endpoint": self.at("/token"),
            "jwks_uri": self.at("/jwks"),
            "introspection_endpoint": self.at("/introspect"),
            "authorization_endpoint": self.at("/authorize"),
            "registration_endpoint": self.at("/register"),
            "grant_types_supported": ["authorization_code", "refresh_token", oauth::TOKEN_EXCHANGE],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "EdDSA", "RS256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
        })
    }

    fn token(&self, seen: &Seen) -> Reply {
        let answer = match seen.form().one("grant_type") {
            Some("authorization_code") => self.by_code(seen),
            Some("refresh_token") => self.by_refresh(seen),
            Some(oauth::CLIENT_CREDENTIALS) => self.for_itself(seen),
            _ => self.exchange(seen),
        };
        match answer {
            Ok(mut answer) => {
                let twist = self.twist.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(twist) = twist {
                    twist(&mut answer);
                }
                Reply::json(StatusCode::OK, &answer).header("cache-control", "no-store")
            }
            Err(problem) => problem.reply(),
        }
    }

    fn introspect(&self, seen: &Seen) -> Reply {
        let endpoints = [self.at("/introspect"), self.at("/token"), self.issuer.clone()];
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        if let Err(problem) = self.clients.authenticate(seen, &endpoints, self.clock.secs()) {
            return problem.reply();
        }
        let form = seen.form();
        let Some(token) = form.one("token") else {
            return Problem::new("invalid_request", "no token").reply();
        };
        let known = self.opaque().get(token).cloned().or_else(|| self.own_claims(token).ok());
        let active = known.filter(|claims| claims["exp"].as_u64().is_some_and(|end| end > self.clock.secs()));
        // RFC 7662 §2.2: nothing is said of a token that is not active.
        let answer = match active {
            Some(mut claims) => {
                claims["active"] = json!(true);
                claims["token_type"] = json!("Bearer");
                claims
            }
            None => json!({"active": false}),
        };
        Reply::json(StatusCode::OK, &answer)
    }
}
