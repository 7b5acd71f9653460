//! Where issuers say that a login has ended: the receiver of OpenID Connect Back-Channel Logout 1.0 (§2.5 to §2.8).
//!
//! Anybody can post here. What comes is paced before it is read, bounded while it is read, and believed only when one of
//! the issuer's own keys signed it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use safeconduct_core::audit::Trail;
use safeconduct_core::refusal::Reason;
use safeconduct_core::revocation::Revocation;
use safeconduct_identity::verifier::Verifier;

use crate::body::{self, ResponseBody};
use crate::limits::Rate;
use crate::pace::Pace;
use crate::revoked::{By, Revoke};

/// Where an issuer's logouts are received: this, and the issuer's name in the configuration.
pub const PATH: &str = "/backchannel-logout/";
/// Longest body, in bytes: a logout token, and what else an issuer may send with it.
const BODY: u64 = 32 * 1024;
/// Longest wait for it.
const PATIENCE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// The receiver. It outlives a reload.
pub struct Logouts {
    pace: Pace,
    revoke: Arc<dyn Revoke>,
}

impl Logouts {
    /// What is believed is put into effect by `revoke`.
    pub fn new(revoke: Arc<dyn Revoke>) -> Self {
        // An issuer that ends many logins at once comes from few addresses.
        let pace = Pace::new(Rate { calls: 200, window: SECOND }, Rate { calls: 1000, window: SECOND });
        Self { pace, revoke }
    }

    /// Answers one request to an issuer's path.
    pub async fn answer<B>(
        &self,
        verifier: &Verifier,
        issuer: &str,
        source: IpAddr,
        request: Request<B>,
        mut trail: Trail,
    ) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        trail.note(|record| {
            record.method = Some("logout".into());
            record.source_ip = Some(source);
        });
        let now = trail.now();
        let received = async {
            self.pace.admit(source, now).map_err(Reason::RateLimited)?;
            let token = token(request).await?;
            verifier.logout(issuer, &token, now).await
        };
        match received.await {
            Ok(revocation) => {
                note(&mut trail, issuer, &revocation, By::Issuer);
                self.revoke.revoke(revocation, By::Issuer).await;
                trail.answered(0);
                response(StatusCode::OK, Bytes::new())
            }
            Err(reason) => refused(&reason, trail),
        }
    }
}

/// Notes on a record whose logins were ended, and by whom.
pub fn note(trail: &mut Trail, issuer: &str, revocation: &Revocation, by: By) {
    use safeconduct_core::revocation::Whose;
    let (subject, session) = match &revocation.whose {
        Whose::Subject(subject) => (&**subject, None),
        Whose::Session { sid, subject } => (subject.as_deref().unwrap_or_default(), Some(sid)),
    };
    let of_session = session.map_or_else(String::new, |sid| format!(", session {sid}"));
    trail.note(|record| {
        record.target = Some(format!("{issuer}/{subject}").into());
        record.detail = Some(format!("revoked by {}{of_session}", by.word()).into());
    });
}

/// The token of the form. Other fields are ignored, as §2.5 demands; a second token is not.
async fn token<B>(request: Request<B>) -> Result<Vec<u8>, Reason>
where
    B: Body<Data = Bytes> + Unpin,
{
    let bad = |why: &'static str| Reason::BadLogout(why.into());
    if request.method() != Method::POST {
        return Err(Reason::MethodNotAllowed);
    }
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
        return Err(bad("Content-Type must be application/x-www-form-urlencoded"));
    }
    let body = body::read(request.into_body(), BODY, PATIENCE).await?;
    let fields = body.split(|byte| *byte == b'&').filter_map(|field| field.strip_prefix(b"logout_token="));
    match fields.collect::<Vec<_>>().as_slice() {
        // No character of a signed token needs to be encoded in a form.
        [token] => Ok(token.to_vec()),
        [] => Err(bad("no logout_token")),
        _ => Err(bad("more than one logout_token")),
    }
}

fn refused(reason: &Reason, trail: Trail) -> Response<ResponseBody> {
    let status = match reason {
        Reason::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Reason::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
        // §2.8: also for what is not the request's fault.
        _ => StatusCode::BAD_REQUEST,
    };
    let id = trail.id();
    let body = serde_json::json!({
        "error": "invalid_request",
        "error_description": said(reason),
        "code": reason.code(),
        "request_id": String::from_utf8_lossy(&id),
    });
    let body = Bytes::from(body.to_string());
    trail.refused(reason, crate::answer::detail(reason), body.len() as u64);
    let mut response = response(status, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Reason::RateLimited(wait) = reason {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    if *reason == Reason::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// What the sender reads. What is wrong with a token is for the operator, who finds it by the request id.
fn said(reason: &Reason) -> &'static str {
    match reason {
        Reason::MethodNotAllowed => "a logout is posted",
        Reason::RateLimited(_) => "too many logouts at once",
        Reason::IssuerUnavailable(_) => "the issuer's keys cannot be had",
        Reason::BodyTooLarge(_) | Reason::BodyTooSlow | Reason::BadHead(_) => "the body cannot be read",
        _ => "the logout token is not valid",
    }
}

fn response(status: StatusCode, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
