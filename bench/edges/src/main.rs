//! The edges of the measurements: an issuer, a token endpoint that takes 10 ms, a backend that answers at once
//! and one whose streams are silent; and the loads that `wrk` cannot make.
//!
//! `bench-edges serve DIR`               the edges; writes their addresses and a token to DIR
//! `bench-edges streams URL TOKEN N S`   N idle streams for S seconds
//! `bench-edges callers URL DIR N`       one call for each of N callers
//! `bench-edges herd URL TOKEN N`        N calls at once with one token that nobody used before
//! `bench-edges latency URL TOKEN N`     N calls one after the other: p50 and p99 in microseconds
//! `bench-edges cold URL DIR N`          the same, each for a caller that nobody knows yet
//! `bench-edges ports N`                 N ports of 127.0.0.1 that are free

mod edge;
mod load;

use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", dir] => edge::serve(dir).await,
        ["streams", url, token, count, seconds] => {
            load::streams(url, token, number(count), number(seconds)).await
        }
        ["callers", url, dir, count] => load::callers(url, dir, number(count)).await,
        ["herd", url, token, count] => load::herd(url, token, number(count)).await,
        ["latency", url, token, count] => load::latency(url, token, number(count)).await,
        ["cold", url, dir, count] => load::cold(url, dir, number(count)).await,
        ["ports", count] => ports(number(count)),
        _ => Err("see the top of main.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-edges: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All are held until all are known, so that they differ.
fn ports(count: usize) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let held =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let ports = held.iter().map(|socket| Ok(socket.local_addr()?.port().to_string()));
    println!("{}", ports.collect::<std::io::Result<Vec<_>>>()?.join(" "));
    Ok(())
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
