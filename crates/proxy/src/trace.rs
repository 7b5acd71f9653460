//! Traces: each call is a span, and asking the MCP server one below it, made of the finished record and sent by
//! OTLP over HTTP in batches, off the path. The caller's own trace goes on (`_meta.traceparent` outranks the header),
//! and the MCP server's spans hang below ours.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Response};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use safeconduct_core::audit::{Outcome, Record, Sink};
use safeconduct_core::time::Timestamp;
use safeconduct_identity::wire::{Endpoint, Request, Via, Wire};

use crate::sink::Clock;

/// A sink of records that makes spans of them.
pub struct Traces {
    clock: Arc<dyn Clock>,
    processor: BatchSpanProcessor,
    /// Share of the calls without a trace of their own, of 2^32.
    share: u64,
    scope: InstrumentationScope,
}

impl Traces {
    /// Sends to the collector at `endpoint` (its base, `http://127.0.0.1:4318`) over `wire`; `share` of the calls whose
    /// caller names no trace are traced, and those that are sampled by their caller.
    ///
    /// # Errors
    /// When the endpoint is none.
    pub fn new(endpoint: &str, share: f64, wire: Wire, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let place = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let collector = Endpoint::parse(&place, true).map_err(|error| error.to_string())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { wire, endpoint: collector })
            .with_endpoint(place)
            .build()
            .map_err(|error| error.to_string())?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        processor.set_resource(
            &Resource::builder().with_service_name("safeconduct").with_attribute(version).build(),
        );
        Ok(Self {
            clock,
            processor,
            share: (share.clamp(0.0, 1.0) * 2f64.powi(32)) as u64,
            scope: InstrumentationScope::builder("safeconduct").build(),
        })
    }

    /// Sends what there is.
    pub fn close(&self, within: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(within) {
            tracing::warn!(%error, "traces were not all sent");
        }
    }

    fn span(&self, record: &Record, ids: (u128, u64, u64), backend: bool) -> SpanData {
        let (trace, call, below) = ids;
        let (id, parent) = match (backend, record.parent) {
            (true, _) => (below, SpanId::from(call)),
            (false, Some(parent)) => (call, SpanId::from(parent.id)),
            (false, None) => (call, SpanId::INVALID),
        };
        let context = SpanContext::new(
            TraceId::from(trace),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let method = record.method.as_deref().unwrap_or("request").to_owned();
        let name =
            match record.target.as_deref().filter(|_| method == "tools/call" || method == "prompts/get") {
                Some(target) => format!("{method} {target}"),
                None => method,
            };
        SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: !backend && record.parent.is_some(),
            span_kind: if backend { SpanKind::Client } else { SpanKind::Server },
            name: name.into(),
            start_time: UNIX_EPOCH,
            end_time: UNIX_EPOCH,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl Sink for Traces {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn traces(&self, record: &Record) -> bool {
        match record.parent {
            Some(parent) => parent.sampled,
            None => (record.span_ids().1 >> 32) < self.share,
        }
    }

    fn write(&self, record: &Record) {
        if !self.traces(record) {
            return;
        }
        let ids = record.span_ids();
        if let (Some(started), Some(micros)) = (record.backend_started, record.backend_micros) {
            let mut asked = self.span(record, ids, true);
            asked.start_time = moment(started);
            asked.end_time = moment(started.plus(Duration::from_micros(micros)));
            asked.attributes = backend_attributes(record);
            self.processor.on_end(asked);
        }
        let mut call = self.span(record, ids, false);
        call.start_time = moment(record.opened);
        call.end_time = moment(self.now());
        call.attributes = attributes(record);
        if matches!(record.outcome, Outcome::Failed) {
            call.status = Status::error(record.code.unwrap_or_default());
        }
        self.processor.on_end(call);
    }
}

fn moment(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(time.micros())
}

/// Names of OpenTelemetry's semantic conventions where there are any.
fn attributes(record: &Record) -> Vec<KeyValue> {
    let text =
        |name: &'static str, value: Option<&str>| value.map(|value| KeyValue::new(name, value.to_owned()));
    let principal = record.principal.as_deref();
    let id = std::str::from_utf8(&record.id).ok();
    let named = [
        text("mcp.method.name", record.method.as_deref()),
        text("mcp.target", record.target.as_deref()),
        text("safeconduct.server", record.server.as_ref().map(|server| &*server.name)),
        text("safeconduct.request_id", id),
        text("safeconduct.outcome", Some(record.outcome.word())),
        text("safeconduct.fault", record.fault.map(|fault| fault.word())),
        text("safeconduct.code", record.code),
        text("enduser.id", principal.map(|principal| &*principal.subject)),
        text("safeconduct.issuer", principal.map(|principal| &*principal.issuer)),
        text("safeconduct.credential.source", record.credential.as_ref().map(|credential| credential.source)),
    ];
    named.into_iter().flatten().collect()
}

fn backend_attributes(record: &Record) -> Vec<KeyValue> {
    let host = record.server.as_ref().and_then(|server| server.url.host().map(str::to_owned));
    let status =
        record.backend_status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
    host.map(|host| KeyValue::new("server.address", host)).into_iter().chain(status).collect()
}

/// OTLP over the one client that speaks to the outside.
struct Collector {
    wire: Wire,
    endpoint: Endpoint,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.endpoint)
    }
}

impl HttpClient for Collector {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let (parts, body) = request.into_parts();
        let mut headers = HeaderMap::new();
        headers.extend(parts.headers);
        let sent = Request {
            method: parts.method,
            endpoint: self.endpoint.clone(),
            headers,
            body,
            timeout: Duration::from_secs(5),
            via: Via::Network,
        };
        Box::pin(async move {
            let answer = self.wire.send(sent).await?;
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}
