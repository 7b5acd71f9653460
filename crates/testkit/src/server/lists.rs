//! What the server has: tools with their annotations, prompts, resources. Some items carry fields that no
//! specification knows, so that a proxy which loses them is seen.

use serde_json::{Value, json};

pub(super) fn tools() -> Value {
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let text = json!({"type": "string"});
    json!([
        {
            "name": "list_orders",
            "title": "List orders",
            "description": "All orders of the shop",
            "inputSchema": object(json!({})),
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        },
        {
            "name": "refund",
            "description": "Pays an order back",
            "inputSchema": object(json!({"order": text, "amount": {"type": "number"}})),
            "annotations": {"readOnlyHint": false, "destructiveHint": true, "idempotentHint": false},
            "x-vendor": {"kept": [1, 2.50, "\u{e9}"]},
        },
        {
            "name": "read_warehouse",
            "description": "Stock of the warehouse, in the other domain",
            "inputSchema": object(json!({})),
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "drop_table",
            "description": "Drops the stock table",
            "inputSchema": object(json!({"table": text})),
            "annotations": {"readOnlyHint": false, "destructiveHint": true},
        },
        {
            "name": "echo",
            "description": "Says it again",
            "inputSchema": object(json!({"text": text})),
            "annotations": {"readOnlyHint": true, "idempotentHint": true},
        },
        {"name": "show_headers", "description": "The headers of this request", "inputSchema": object(json!({}))},
        {
            "name": "region_report",
            "description": "A report, with its region mirrored in a header",
            "inputSchema": object(json!({"region": {"type": "string", "x-mcp-header": "Region"}})),
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "progress",
            "description": "Counts, and tells of it",
            "inputSchema": object(json!({"steps": {"type": "integer"}})),
        },
        {"name": "hold", "description": "Answers when it is released", "inputSchema": object(json!({}))},
        {"name": "ask", "description": "Asks the user for a name", "inputSchema": object(json!({}))},
        {"name": "fail", "description": "Never works", "inputSchema": object(json!({}))},
    ])
}

pub(super) fn prompts() -> Value {
    json!([
        {"name": "greeting", "description": "Greets somebody", "arguments": [{"name": "who", "required": true}]},
        {"name": "audit_report", "description": "For the auditors"},
    ])
}

pub(super) fn resources() -> Value {
    json!([
        {"name": "price-list", "uri": "shop://prices", "mimeType": "text/plain"},
        {"name": "salaries", "uri": "shop://salaries", "mimeType": "text/plain"},
    ])
}

pub(super) fn templates() -> Value {
    json!([{"name": "order", "uriTemplate": "shop://orders/{id}", "mimeType": "application/json"}])
}
