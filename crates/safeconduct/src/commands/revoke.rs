//! `safeconduct revoke`: ends a user's logins at a running gateway, over its admin listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use safeconduct_identity::wire::{Endpoint, Request, Wire, WireConfig};
use safeconduct_proxy::admin::{ORDER_HEADER, Order};
use serde_json::Value;
use tokio::runtime::Builder;

use crate::cli::Output;
use crate::config;
use crate::exit::Exit;
use crate::present::{Said, plain};

/// Whose logins, and where.
#[derive(Debug, Args)]
pub struct Question {
    /// The user: `sub` of their tokens.
    #[arg(short, long, value_name = "SUBJECT", required_unless_present = "session")]
    user: Option<String>,
    /// Only this login session: `sid` of its tokens.
    #[arg(short, long, value_name = "SID")]
    session: Option<String>,
    /// The issuer, by its name in the configuration or its identifier. May be left out where there is one only.
    #[arg(short, long, value_name = "NAME")]
    issuer: Option<String>,
    /// Where the gateway's admin listener is: `http://127.0.0.1:9090`. Otherwise the configuration says it.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    admin: Option<String>,
    /// The configuration file of the gateway on this machine.
    #[arg(short, long, value_name = "FILE", default_value = "safeconduct.yaml")]
    config: PathBuf,
    /// How the answer is written on standard output.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Asks, and says what came of it.
pub fn run(question: &Question) -> Said {
    let endpoint = match question.endpoint() {
        Ok(endpoint) => endpoint,
        Err(why) => return Said::failure(Exit::Usage, why),
    };
    let place = endpoint.to_string();
    match question.send(endpoint) {
        Ok((StatusCode::OK, answer)) if question.output == Output::Json => Said::json(&answer, Exit::Fine),
        Ok((StatusCode::OK, answer)) => Said::data(words(&answer)),
        Ok((status, answer)) => refused(&place, status, &answer),
        Err(why) => Said::failure(Exit::Failed, format!("{place}: {why}")),
    }
}

impl Question {
    fn endpoint(&self) -> Result<Endpoint, String> {
        let base = match &self.admin {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => self.configured()?,
        };
        // Whoever types the address knows what lies between.
        Endpoint::parse(&format!("{base}/revoke"), true).map_err(|error| format!("--admin {base}: {error}"))
    }

    fn configured(&self) -> Result<String, String> {
        let file = self.config.display();
        let admin = config::admin(&self.config)
            .map_err(|why| format!("{file} {why}; name another with --config, or say --admin URL"))?;
        let admin = admin.ok_or_else(|| {
            format!("{file} has no `admin`, so its gateway takes no orders; set it: admin: 127.0.0.1:9090")
        })?;
        Ok(format!("http://{}", reachable(admin)))
    }

    fn send(&self, endpoint: Endpoint) -> Result<(StatusCode, Value), String> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let wire =
            Wire::new(&WireConfig::default(), runtime.handle().clone()).map_err(|error| error.to_string())?;
        let order =
            Order { issuer: self.issuer.clone(), subject: self.user.clone(), sid: self.session.clone() };
        let mut request = Request::read(endpoint);
        request.method = Method::POST;
        request.timeout = Duration::from_secs(10);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers.insert(HeaderName::from_static(ORDER_HEADER), HeaderValue::from_static("revoke"));
        request.body = serde_json::to_vec(&order).map_err(|error| error.to_string())?.into();
        let answer = runtime.block_on(wire.send(request)).map_err(|error| error.to_string())?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}

/// Where this machine reaches a listener on all of its addresses.
pub(super) fn reachable(listener: SocketAddr) -> SocketAddr {
    match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listener.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listener.port()).into(),
        _ => listener,
    }
}

fn words(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(plain);
    let whose = match (text("subject"), text("sid")) {
        (Some(subject), Some(sid)) => format!("session {sid} of {subject}"),
        (Some(subject), None) => subject,
        (None, sid) => format!("session {}", sid.unwrap_or_default()),
    };
    let counted = |name: &str, one: &str| {
        let count = answer[name].as_u64().unwrap_or_default();
        format!("{count} {one}{}", if count == 1 { "" } else { "s" })
    };
    format!(
        "{whose} ({}): tokens from before {} are not accepted any more; {} and {} forgotten\n",
        text("issuer").unwrap_or_default(),
        text("not_after").unwrap_or_default(),
        counted("credentials", "credential"),
        counted("tokens", "verified token"),
    )
}

fn refused(place: &str, status: StatusCode, answer: &Value) -> Said {
    let error = answer["error"].as_str().map_or_else(|| format!("HTTP {}", status.as_u16()), plain);
    let names: Vec<String> =
        answer["issuers"].as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect();
    let names = if names.is_empty() { String::new() } else { format!(" (--issuer {})", names.join(" | ")) };
    // What was asked for cannot be; anything else is the gateway's state, or not a gateway.
    let exit = match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND if answer["error"].is_string() => Exit::Usage,
        _ => Exit::Failed,
    };
    Said::failure(exit, format!("{place}: {error}{names}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{reachable, words};

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        for (listener, reached) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:9090", "[::1]:9090"), ("10.0.0.7:1", "10.0.0.7:1")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn what_was_done_is_said_in_words() {
        let answer = json!({
            "issuer": "corp", "subject": "alice", "sid": "s1", "not_after": "2026-11-22T10:00:00.000Z",
            "credentials": 1, "tokens": 2,
        });
        assert_eq!(
            words(&answer),
            "session s1 of alice (corp): tokens from before 2026-11-22T10:00:00.000Z are not accepted any more; \
             1 credential and 2 verified tokens forgotten\n"
        );
    }
}
