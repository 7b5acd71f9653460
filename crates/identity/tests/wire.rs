//! The client to issuers and token endpoints against a loopback server that misbehaves.

// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

mod loopback;

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use loopback::{Loopback, reply};
use safeconduct_core::credential::Form;
use safeconduct_identity::wire::{
    ANSWER_CAP, Addresses, Endpoint, Request, Retry, Wire, WireConfig, WireError,
};

fn wire() -> Wire {
    let config = WireConfig { system_roots: false, ..WireConfig::default() };
    Wire::new(&config, tokio::runtime::Handle::current()).unwrap()
}

fn endpoint(server: &Loopback, path: &str) -> Endpoint {
    Endpoint::parse(&server.url(path), false).unwrap()
}

#[tokio::test]
async fn a_form_arrives_and_its_answer_comes_back_whole() {
    let server = Loopback::start(|request| {
        let echoed = String::from_utf8_lossy(&request.body).into_owned();
        reply(
            StatusCode::OK,
            "application/json; charset=utf-8",
            format!("{} {echoed}", request.content_type()),
        )
    })
    .await;
    let mut form = Form::new();
    form.field("grant_type", "x y");
    let answer = wire().send(Request::form(endpoint(&server, "/token"), form)).await.unwrap();
    assert!(answer.is_json());
    assert_eq!(&answer.body[..], b"application/x-www-form-urlencoded grant_type=x+y");
}

/// Row: R13
/// Edge: 87
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Loopback::start(|request| {
        let mut answer = reply(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
        assert_eq!(request.path, "/token");
        answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/elsewhere"));
        answer
    })
    .await;
    let refused = wire().send(Request::read(endpoint(&server, "/token"))).await.err();
    assert_eq!(refused, Some(WireError::Redirected { host: "127.0.0.1".into(), status: 307 }));
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn an_answer_as_long_as_the_cap_is_read_and_a_longer_one_is_not() {
    let server = Loopback::start(|request| {
        let length = if request.path == "/long" { ANSWER_CAP + 1 } else { ANSWER_CAP };
        reply(StatusCode::OK, "application/json", vec![b' '; length])
    })
    .await;
    let answer = wire().send(Request::read(endpoint(&server, "/exact"))).await.unwrap();
    assert_eq!(answer.body.len(), ANSWER_CAP);
    let refused = wire().send(Request::read(endpoint(&server, "/long"))).await.err();
    assert_eq!(refused, Some(WireError::TooLarge { host: "127.0.0.1".into(), cap: ANSWER_CAP }));
}

#[tokio::test]
async fn a_compressed_answer_is_refused() {
    let server = Loopback::start(|_| {
        let mut answer = reply(StatusCode::OK, "application/json", "bomb");
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answer
    })
    .await;
    let refused = wire().send(Request::read(endpoint(&server, "/"))).await.err();
    assert_eq!(refused, Some(WireError::Encoded { host: "127.0.0.1".into() }));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut request = Request::read(Endpoint::parse(&url, false).unwrap());
    request.timeout = Duration::from_millis(50);
    let refused = wire().send(request).await.err();
    assert_eq!(refused, Some(WireError::Timeout { host: "127.0.0.1".into() }));
}

/// Row: R13
/// Edge: 87
#[tokio::test]
async fn an_address_that_may_not_be_spoken_to_is_refused_in_the_url_and_behind_a_name() {
    let server = Loopback::start(|_| reply(StatusCode::OK, "application/json", "{}")).await;
    let config =
        WireConfig { system_roots: false, addresses: Addresses::PublicOnly, ..WireConfig::default() };
    let strict = Wire::new(&config, tokio::runtime::Handle::current()).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let url = server.url("/").replace("127.0.0.1", host);
        let refused = strict.send(Request::read(Endpoint::parse(&url, false).unwrap())).await.err();
        assert!(matches!(refused, Some(WireError::AddressRefused { .. })), "{host}: {refused:?}");
    }
    assert_eq!(server.seen(), 0);
}

#[tokio::test]
async fn a_failing_endpoint_is_asked_three_times_and_one_that_recovers_is_believed() {
    let failing = Loopback::start(|_| reply(StatusCode::BAD_GATEWAY, "text/plain", "")).await;
    let retry = Retry { base: Duration::from_millis(1), ..Retry::default() };
    let url = endpoint(&failing, "/");
    let answer = wire().send_retrying::<WireError>(retry, || Ok(Request::read(url.clone()))).await.unwrap();
    assert_eq!((answer.status, failing.seen()), (StatusCode::BAD_GATEWAY, 3));

    let recovering = Loopback::start(|request| match request.number {
        1 => reply(StatusCode::SERVICE_UNAVAILABLE, "text/plain", ""),
        _ => reply(StatusCode::OK, "application/json", "{}"),
    })
    .await;
    let url = endpoint(&recovering, "/");
    let answer = wire().send_retrying::<WireError>(retry, || Ok(Request::read(url.clone()))).await.unwrap();
    assert_eq!((answer.status, recovering.seen()), (StatusCode::OK, 2));
}

#[test]
fn a_caller_on_a_runtime_without_input_and_output_is_served_by_the_wires_own() {
    let background =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = background.block_on(Loopback::start(|_| reply(StatusCode::OK, "application/json", "{}")));
    let config = WireConfig { system_roots: false, ..WireConfig::default() };
    let wire = Wire::new(&config, background.handle().clone()).unwrap();
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let url = endpoint(&server, "/");
    let answer = bare.block_on(wire.send(Request::read(url))).unwrap();
    assert_eq!(answer.status, StatusCode::OK);
}
