//! APIs behind the MCP server. They check their tokens for real and remember whom they served.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::google::{Google, Lookup};
use crate::verify::{Trust, Verifier, words};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// One thing that an API does.
#[derive(Clone, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// Path.
    pub path: &'static str,
    /// Scope that it takes.
    pub scope: &'static str,
    /// What it answers (beside `as`, the subject that it was asked by).
    pub answer: Value,
}

impl Route {
    /// What a warehouse does, by the scopes to read it and to drop it.
    pub fn stock(read: &'static str, admin: &'static str) -> Vec<Self> {
        let rows = json!([{"sku": "bolt-m6", "stock": 1200}, {"sku": "nut-m6", "stock": 900}]);
        vec![
            Self { method: Method::GET, path: "/stock", scope: read, answer: json!({"rows": rows}) },
            Self { method: Method::DELETE, path: "/stock", scope: admin, answer: json!({"dropped": true}) },
        ]
    }
}

/// One request that reached an API: what came of checking its token.
#[derive(Clone, Debug)]
pub struct Visit {
    /// HTTP method and path.
    pub asked: String,
    /// The verified claims, or why the visitor was turned away.
    pub verdict: Result<Value, String>,
}

/// How an API knows its callers.
enum Known {
    /// By the signature of their tokens.
    Signed(Verifier),
    /// Their tokens are opaque: Google knows whose they are.
    Google(Lookup),
}

impl Known {
    async fn verify(&self, token: &str) -> Result<Value, String> {
        match self {
            Self::Signed(verifier) => verifier.verify(token).await,
            Self::Google(lookup) => lookup.seen_as(token),
        }
    }
}

/// A running API.
pub struct Api {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    known: Known,
    routes: Vec<Route>,
    visits: Mutex<Vec<Visit>>,
}

impl Api {
    /// Starts an API that believes in one issuer and is one audience.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn start(trust: Trust, routes: Vec<Route>, clock: Clock) -> io::Result<Self> {
        Self::start_with(Known::Signed(Verifier::new(trust, clock)), routes).await
    }

    async fn start_with(known: Known, routes: Vec<Route>) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State { known, routes, visits: Mutex::default() });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// The orders API of domain A: `backend-server`, scope `backend-api:read` to see and to refund.
    ///
    /// # Errors
    /// As [`Api::start`].
    pub async fn orders(issuer: &str, clock: Clock) -> io::Result<Self> {
        let trust = Trust { issuer: issuer.into(), audiences: vec!["backend-server".into()] };
        let orders = json!([{"order": "A-1001", "total": 120}, {"order": "A-1002", "total": 80}]);
        let routes = vec![
            Route {
                method: Method::GET,
                path: "/orders",
                scope: "backend-api:read",
                answer: json!({"orders": orders}),
            },
            Route {
                method: Method::POST,
                path: "/refunds",
                scope: "backend-api:read",
                answer: json!({"refunded": true}),
            },
        ];
        Self::start(trust, routes, clock).await
    }

    /// The warehouse API of domain B: `warehouse.b.example`, scopes `warehouse:read` and `warehouse:admin`.
    ///
    /// # Errors
    /// As [`Api::start`].
    pub async fn warehouse(issuer: &str, clock: Clock) -> io::Result<Self> {
        let trust = Trust { issuer: issuer.into(), audiences: vec!["warehouse.b.example".into()] };
        Self::start(trust, Route::stock("warehouse:read", "warehouse:admin"), clock).await
    }

    /// A warehouse that is an API of Google, with the scopes of its tables.
    ///
    /// # Errors
    /// As [`Api::start`].
    pub async fn warehouse_of(google: &Google) -> io::Result<Self> {
        let routes = Route::stock(
            "https://www.googleapis.com/auth/bigquery.readonly",
            "https://www.googleapis.com/auth/bigquery",
        );
        Self::start_with(Known::Google(google.lookup()), routes).await
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.edge.url()
    }

    /// Everyone who came, in order.
    pub fn visits(&self) -> Vec<Visit> {
        self.state.visits.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        let verdict = match seen.bearer() {
            Some(token) => self.known.verify(token).await,
            None => Err("no token".into()),
        };
        let visit = Visit { asked: format!("{} {}", seen.method, seen.path()), verdict: verdict.clone() };
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).push(visit);
        let claims = match verdict {
            Ok(claims) => claims,
            Err(why) => {
                return Reply::json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_token", "why": why}))
                    .header("www-authenticate", "Bearer error=\"invalid_token\"");
            }
        };
        let Some(route) =
            self.routes.iter().find(|route| route.method == seen.method && route.path == seen.path())
        else {
            return Reply::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"}));
        };
        if !words(&claims["scope"]).iter().chain(&words(&claims["scp"])).any(|scope| scope == route.scope) {
            return Reply::json(
                StatusCode::FORBIDDEN,
                &json!({"error": "insufficient_scope", "why": format!("{} is needed", route.scope)}),
            );
        }
        let mut answer = route.answer.clone();
        answer["as"] = claims["sub"].clone();
        Reply::json(StatusCode::OK, &answer)
    }
}
