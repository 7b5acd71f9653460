//! Loads that `wrk` cannot make.

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Done = Result<(), Box<dyn Error + Send + Sync>>;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"order":"4711","amount":120}}}"#;

async fn connect(url: &http::Uri) -> Result<SendRequest<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let authority = url.authority().ok_or("the url has no authority")?;
    let stream = TcpStream::connect(authority.as_str()).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(url: &http::Uri, token: &str, method: http::Method) -> Request<Full<Bytes>> {
    let body = if method == http::Method::POST { CALL } else { "" };
    Request::builder()
        .method(method)
        .uri(url.path())
        .header("host", url.authority().map_or("", |authority| authority.as_str()))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .expect("a request")
}

fn expect_ok<B>(response: &Response<B>) -> Done {
    if response.status() != 200 {
        return Err(format!("the answer is {}", response.status()).into());
    }
    Ok(())
}

/// Opens idle streams and holds them.
pub async fn streams(url: &str, token: &str, count: usize, seconds: usize) -> Done {
    let url: http::Uri = url.parse()?;
    let mut open = Vec::new();
    for _ in 0..count {
        let mut sender = connect(&url).await?;
        let mut response = sender.send_request(request(&url, token, http::Method::GET)).await?;
        expect_ok(&response)?;
        // The first comment proves that the stream is there from end to end.
        response.frame().await.ok_or("the stream ended")??;
        open.push((sender, response));
    }
    println!("open {count}");
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    Ok(())
}

/// One call for each of many callers.
pub async fn callers(url: &str, dir: &str, count: usize) -> Done {
    let url: http::Uri = url.parse()?;
    let tokens = std::fs::read_to_string(format!("{dir}/tokens"))?;
    let tokens: Vec<String> = tokens.lines().take(count).map(str::to_owned).collect();
    let mut lanes = Vec::new();
    for lane in tokens.chunks(count.div_ceil(64)) {
        let (lane, url) = (lane.to_vec(), url.clone());
        lanes.push(tokio::spawn(async move {
            let mut sender = connect(&url).await?;
            for token in lane {
                sender.ready().await?;
                let response = sender.send_request(request(&url, &token, http::Method::POST)).await?;
                expect_ok(&response)?;
                let body = response.into_body().collect().await?.to_bytes();
                if !body.windows(8).any(|part| part == b"\"result\"") {
                    return Err(format!("no result: {}", String::from_utf8_lossy(&body)).into());
                }
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        }));
    }
    for lane in lanes {
        lane.await??;
    }
    println!("called {count}");
    Ok(())
}

/// Many calls at once with one token.
pub async fn herd(url: &str, token: &str, count: usize) -> Done {
    let url: http::Uri = url.parse()?;
    let mut senders = Vec::new();
    for _ in 0..count {
        senders.push(connect(&url).await?);
    }
    let started = Instant::now();
    let calls = senders.into_iter().map(|mut sender| {
        let (url, token) = (url.clone(), token.to_owned());
        tokio::spawn(async move {
            let response = sender.send_request(request(&url, &token, http::Method::POST)).await?;
            expect_ok(&response)?;
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, Box<dyn Error + Send + Sync>>(body.windows(8).any(|part| part == b"\"result\""))
        })
    });
    let mut good = 0;
    for call in calls.collect::<Vec<_>>() {
        good += usize::from(call.await??);
    }
    println!("answered {good} of {count} in {} ms", started.elapsed().as_millis());
    if good == count { Ok(()) } else { Err("not all were answered".into()) }
}

/// One call after the other on one connection.
pub async fn latency(url: &str, token: &str, count: usize) -> Done {
    let warm_up = count / 10;
    one_by_one(url, (0..count + warm_up).map(|_| token), warm_up).await
}

/// One call after the other, each with a token that was not seen before.
pub async fn cold(url: &str, dir: &str, count: usize) -> Done {
    let tokens = std::fs::read_to_string(format!("{dir}/tokens"))?;
    // From the end: `callers` takes them from the start.
    one_by_one(url, tokens.lines().rev().take(count), 0).await
}

async fn one_by_one<'a>(url: &str, tokens: impl Iterator<Item = &'a str>, warm_up: usize) -> Done {
    let url: http::Uri = url.parse()?;
    let mut sender = connect(&url).await?;
    let mut times = Vec::new();
    for (round, token) in tokens.enumerate() {
        sender.ready().await?;
        let request = request(&url, token, http::Method::POST);
        let started = Instant::now();
        let response = sender.send_request(request).await?;
        expect_ok(&response)?;
        response.into_body().collect().await?;
        if round >= warm_up {
            times.push(started.elapsed().as_micros());
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).ok_or("no calls");
    println!("{} {}", at(50)?, at(99)?);
    Ok(())
}
