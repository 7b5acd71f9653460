//! The edges: issuer, token endpoint, backend, silent streams.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tokio::net::TcpListener;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

struct Edge {
    url: String,
    key: EncodingKey,
    jwk: serde_json::Value,
    exchanges: AtomicUsize,
}

/// Serves until Ctrl-C.
pub async fn serve(dir: &str) -> Done {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (key, jwk) = key();
    let edge = Arc::new(Edge { url: url.clone(), key, jwk, exchanges: AtomicUsize::new(0) });
    std::fs::write(format!("{dir}/token"), edge.token("caller-0", 0))?;
    let many: String = (0..10_500).map(|n| edge.token(&format!("caller-{n}"), n) + "\n").collect();
    std::fs::write(format!("{dir}/tokens"), many)?;
    std::fs::write(format!("{dir}/fresh"), edge.token("herd", 1))?;
    std::fs::write(format!("{dir}/url"), &url)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let edge = edge.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let edge = edge.clone();
                async move { Ok::<_, Infallible>(edge.answer(request).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl Edge {
    /// A token of about the size that real providers issue.
    fn token(&self, subject: &str, number: usize) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": self.url, "sub": subject, "aud": "mcp-server", "iat": now, "exp": now + 7200,
            "jti": format!("{number}"), "client_id": "bench", "azp": "bench", "scope": "mcp:tools:call openid profile",
            "groups": ["support", "engineering", "everyone", "oncall"], "email": format!("{subject}@example.com"),
            "name": "A Person With A Name", "acr": "urn:mace:incommon:iap:silver", "amr": ["pwd", "mfa"],
            "sid": "0f3b3c0e-6b0f-4a43-9b7e-2a1f0c9e6f51", "department": "Customer Operations",
        });
        self.sign(&claims)
    }

    fn sign(&self, claims: &serde_json::Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("bench".into());
        header.typ = Some("at+jwt".into());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a key that signs")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/.well-known/openid-configuration" => json_answer(&json!({
                "issuer": self.url, "jwks_uri": format!("{}/jwks", self.url),
                "token_endpoint": format!("{}/token", self.url),
            })),
            "/jwks" => json_answer(&json!({ "keys": [self.jwk] })),
            "/token" => self.exchange(request).await,
            "/exchanges" => json_answer(&json!(self.exchanges.load(Ordering::SeqCst))),
            "/mcp" if request.method() == http::Method::GET => silent(),
            "/mcp" => {
                let _ = request.into_body().collect().await;
                json_answer(
                    &json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "ok"}]}}),
                )
            }
            _ => {
                let mut response = json_answer(&json!({}));
                *response.status_mut() = http::StatusCode::NOT_FOUND;
                response
            }
        }
    }

    /// RFC 8693 after 10 ms; the answer is a token of about 1 KB.
    async fn exchange(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let form = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let form = String::from_utf8_lossy(&form).into_owned();
        let subject =
            form.split('&').find_map(|pair| pair.strip_prefix("subject_token=")).unwrap_or_default();
        let payload = subject.split('.').nth(1).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let token = self.sign(&json!({
            "iss": self.url, "sub": claims["sub"], "aud": "backend-server", "iat": now, "exp": now + 3600,
            "scope": "backend-api:read", "azp": "gateway", "padding": "x".repeat(480),
        }));
        json_answer(&json!({
            "access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer", "expires_in": 3600, "scope": "backend-api:read",
        }))
    }
}

fn json_answer(value: &serde_json::Value) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed());
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// A stream that says one thing and then nothing.
fn silent() -> Response<BoxBody<Bytes, Infallible>> {
    let first = futures_util::stream::once(async { Ok(Frame::data(Bytes::from_static(b": hello\n\n"))) });
    let body = StreamBody::new(futures_util::StreamExt::chain(first, futures_util::stream::pending()));
    let mut response = Response::new(BodyExt::boxed(body));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
    response
}

fn key() -> (EncodingKey, serde_json::Value) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new())
            .expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("a key");
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "bench", "alg": "ES256", "use": "sig",
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
    });
    (EncodingKey::from_ec_der(pkcs8.as_ref()), jwk)
}
