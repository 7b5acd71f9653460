//! A token that is good only together with a proof of possession, made anew for each request (RFC 9449).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};

use crate::secret::Secret;
use crate::time::Timestamp;

/// Where the proof stands.
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// Where a server hands out the nonce of the next proof (RFC 9449 §8.1).
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A key that proves, request by request, that it is held. Signing needs no I/O; the time is handed in.
pub trait Prover: Send + Sync {
    /// A proof for one request (RFC 9449 §4.2). `token_hash` is the `ath` of the token that the request presents. None
    /// only when the library fails.
    fn prove(
        &self,
        method: &Method,
        url: &Uri,
        token_hash: Option<&str>,
        now: Timestamp,
    ) -> Option<HeaderValue>;

    /// The nonce that the server at this URL wants in the next proof (§8).
    fn note(&self, url: &Uri, nonce: &str);
}

/// See the module.
pub struct BoundToken {
    token: Secret,
    token_hash: Box<str>,
    prover: Arc<dyn Prover>,
}

impl BoundToken {
    /// A token of `token_type` `DPoP`, with the key that it was asked for with.
    pub fn new(token: Secret, prover: Arc<dyn Prover>) -> Self {
        let token_hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose())).into();
        Self { token, token_hash, prover }
    }

    /// The token itself: of use to an authorization server as a subject, and to a resource only with a proof.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Puts `authorization`, which is made of the token, on the request, with a proof for just this one. Without a
    /// proof the token does not leave.
    pub(crate) fn apply(
        &self,
        authorization: &HeaderValue,
        request: &mut http::Request<bytes::Bytes>,
        now: Timestamp,
    ) {
        let proof = self.prover.prove(request.method(), request.uri(), Some(&self.token_hash), now);
        if let Some(proof) = proof {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
            request.headers_mut().insert(DPOP, proof);
        }
    }

    /// Takes the nonce of an answer over. True when the server wants the request again with it (§9).
    pub(crate) fn is_challenged(&self, url: &Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        let Some(nonce) = nonce(headers) else { return false };
        self.prover.note(url, nonce);
        status == StatusCode::UNAUTHORIZED
            && headers.get_all(header::WWW_AUTHENTICATE).iter().any(|challenge| {
                let challenge = challenge.to_str().unwrap_or_default();
                let scheme = challenge.get(..4).unwrap_or_default();
                scheme.eq_ignore_ascii_case("dpop") && challenge.contains("use_dpop_nonce")
            })
    }
}

/// The nonce of an answer, where it is one: visible characters, and no more than a header should hold.
pub fn nonce(headers: &HeaderMap) -> Option<&str> {
    let nonce = headers.get(NONCE)?.to_str().ok()?;
    let fit = (1..=1024).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic());
    fit.then_some(nonce)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Signs nothing, but says what it would sign.
    #[derive(Default)]
    struct Saying {
        nonces: Mutex<Vec<String>>,
        broken: bool,
    }

    impl Prover for Saying {
        fn prove(
            &self,
            method: &Method,
            url: &Uri,
            hash: Option<&str>,
            now: Timestamp,
        ) -> Option<HeaderValue> {
            let said = format!("{method} {url} {} {}", hash.unwrap_or("-"), now.secs());
            (!self.broken).then(|| HeaderValue::try_from(said).unwrap())
        }

        fn note(&self, url: &Uri, nonce: &str) {
            self.nonces.lock().unwrap().push(format!("{url} {nonce}"));
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const URL: &str = "https://api.example/mcp";

    fn sent(broken: bool) -> HeaderMap {
        let bound = BoundToken::new(
            Secret::new(b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU".to_vec()),
            Arc::new(Saying { broken, ..Saying::default() }),
        );
        let mut request = http::Request::new(bytes::Bytes::new());
        *request.uri_mut() = Uri::from_static(URL);
        bound.apply(&HeaderValue::from_static("DPoP token"), &mut request, NOW);
        request.into_parts().0.headers
    }

    #[test]
    fn a_proof_goes_with_the_token_and_names_it_and_without_one_the_token_stays() {
        let headers = sent(false);
        assert_eq!(headers[header::AUTHORIZATION], "DPoP token");
        // The token and its hash are those of the example in RFC 9449 §7.1.
        assert_eq!(
            headers[DPOP],
            "GET https://api.example/mcp fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo 1800000000"
        );
        assert!(sent(true).is_empty());
    }

    #[test]
    fn only_a_challenge_with_a_nonce_asks_for_the_request_again() {
        let saying = Arc::new(Saying::default());
        let bound = BoundToken::new(Secret::new(b"t".to_vec()), saying.clone());
        let headers = |challenge: &'static str, nonce: &'static str| {
            HeaderMap::from_iter([
                (header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)),
                (NONCE, HeaderValue::from_static(nonce)),
            ])
        };
        let url = Uri::from_static(URL);
        let challenged = |headers: &HeaderMap| bound.is_challenged(&url, StatusCode::UNAUTHORIZED, headers);
        assert!(challenged(&headers(r#"DPoP error="use_dpop_nonce""#, "n1")));
        assert!(!challenged(&headers(r#"DPoP error="invalid_token""#, "n2")));
        assert!(!challenged(&headers(r#"Bearer error="use_dpop_nonce""#, "n3")));
        assert!(!challenged(&headers(r#"DPoP error="use_dpop_nonce""#, "not one")));
        assert!(!bound.is_challenged(&url, StatusCode::OK, &headers("DPoP", "n4")));
        let noted = ["n1", "n2", "n3", "n4"].map(|nonce| format!("{URL} {nonce}"));
        assert_eq!(*saying.nonces.lock().unwrap(), noted);
    }
}
