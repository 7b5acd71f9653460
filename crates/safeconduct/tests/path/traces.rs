//! Traces arrive at a collector: a span per call, one below it for the backend, within the caller's own trace.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use safeconduct_testkit::backend::Backend;
use safeconduct_testkit::canary;
use serde_json::json;

use crate::world::{Plan, World};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn spans(collector: &Backend) -> Vec<Span> {
    let mut all = Vec::new();
    for seen in collector.log().to("/v1/traces") {
        canary::assert_clean("traces", &seen.body);
        let request = ExportTraceServiceRequest::decode(seen.body).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        all.extend(scopes.flat_map(|scope| scope.spans));
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Row: M21
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_callers_trace_with_the_backend_below_it() {
    let collector = Backend::start().await.unwrap();
    let base = collector.url();
    let base = base.trim_end_matches("/mcp");
    let plan = Plan { top: format!("telemetry: {{ otlp: \"{base}\" }}"), ..Plan::default() };
    let mut world = World::with(plan).await;
    let client = world.modern("alice");
    let meta = json!({"traceparent": format!("00-{TRACE}-b7ad6b7169203331-01")});
    let answer = client
        .request("tools/call", json!({"name": "echo", "arguments": {"text": "hi"}, "_meta": meta}))
        .await;
    assert_eq!(answer.unwrap().text(), "hi");
    let seen = world.server().log().last().unwrap();
    let passed_on = seen.header("traceparent").unwrap().to_owned();
    world.audit().await;

    let spans = spans(&collector);
    let call = spans.iter().find(|span| span.name == "tools/call echo" && span.kind == 2).unwrap();
    let backend = spans.iter().find(|span| span.name == "tools/call echo" && span.kind == 3).unwrap();
    assert_eq!(hex(&call.trace_id), TRACE);
    assert_eq!(hex(&call.parent_span_id), "b7ad6b7169203331");
    assert_eq!((&backend.trace_id, &backend.parent_span_id), (&call.trace_id, &call.span_id));
    assert_eq!(passed_on, format!("00-{TRACE}-{}-01", hex(&backend.span_id)));
    assert!(call.start_time_unix_nano <= backend.start_time_unix_nano);
    assert!(backend.end_time_unix_nano <= call.end_time_unix_nano);
    let attribute =
        |name: &str| call.attributes.iter().find(|it| it.key == name).map(|it| format!("{:?}", it.value));
    assert!(attribute("enduser.id").unwrap().contains("alice"));
    assert!(attribute("safeconduct.outcome").unwrap().contains("answered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_caller_does_not_sample_is_not_traced() {
    let collector = Backend::start().await.unwrap();
    let base = collector.url();
    let base = base.trim_end_matches("/mcp");
    let plan = Plan { top: format!("telemetry: {{ otlp: \"{base}\" }}"), ..Plan::default() };
    let mut world = World::with(plan).await;
    let client = world.modern("alice");
    let with = |flag: &str| json!({"traceparent": format!("00-{TRACE}-b7ad6b7169203331-{flag}")});
    for flag in ["01", "00"] {
        let params = json!({"name": "echo", "arguments": {"text": flag}, "_meta": with(flag)});
        client.request("tools/call", params).await.unwrap();
    }
    world.audit().await;
    assert_eq!(spans(&collector).len(), 2);
}
