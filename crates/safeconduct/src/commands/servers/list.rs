//! `safeconduct list`.

use serde::Serialize;
use serde_json::Value;

use super::admin::Admin;
use super::{ListArgs, engine};
use crate::cli::Output;
use crate::exit::Exit;
use crate::present::{Said, plain};

/// One instance.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    instance: String,
    engine: String,
    state: String,
    /// The caller whose it is; none for one that all callers share, and where no gateway says.
    caller: Option<String>,
    image: Option<String>,
    since: String,
}

/// Lists them.
pub fn run(args: &ListArgs) -> Said {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Said::failure(Exit::Failed, "no threads");
    };
    let (rows, note) = runtime.block_on(rows(args));
    if args.output == Output::Json {
        return Said::json(&rows, Exit::Fine);
    }
    let mut said = Said::data(table(&rows));
    if let Some(note) = note {
        said.people = format!("note: {note}\n");
    }
    said
}

async fn rows(args: &ListArgs) -> (Vec<Row>, Option<String>) {
    let mut rows = Vec::new();
    let mut note = None;
    match engine::tenants(&args.place, args.all).await {
        Ok((docker, tenants)) => rows.extend(tenants.into_iter().map(|tenant| Row {
            server: tenant.server,
            instance: tenant.instance,
            engine: engine_name(&docker),
            state: tenant.state,
            caller: None,
            image: Some(tenant.image),
            since: tenant.status,
        })),
        Err(error) => note = Some(error.to_string()),
    }
    let status = match Admin::at(&args.place) {
        Some(admin) => admin.status().await,
        None => None,
    };
    for berth in status.iter().flat_map(|status| status["started"].as_array().into_iter().flatten()) {
        merge(&mut rows, berth);
    }
    (rows, note)
}

fn engine_name(docker: &safeconduct_runtime::engine::docker::Docker) -> String {
    use safeconduct_runtime::engine::Engine as _;
    docker.name().to_owned()
}

/// What the gateway knows besides: whose an instance is, and what runs without a container.
fn merge(rows: &mut Vec<Row>, berth: &Value) {
    let text = |value: &Value| value.as_str().map(plain).unwrap_or_default();
    let caller = berth.pointer("/caller/subject").and_then(Value::as_str).map(plain);
    for instance in berth["instances"].as_array().into_iter().flatten() {
        let name = text(&instance["name"]);
        match rows.iter_mut().find(|row| row.instance == name) {
            Some(row) => row.caller.clone_from(&caller),
            None => rows.push(Row {
                server: text(&berth["server"]),
                instance: name,
                engine: text(&berth["engine"]),
                state: text(&berth["state"]),
                caller: caller.clone(),
                image: None,
                since: format!("{} s", instance["running_seconds"].as_u64().unwrap_or_default()),
            }),
        }
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "nothing runs\n".to_owned();
    }
    let head = ["SERVER", "INSTANCE", "ENGINE", "STATE", "CALLER", "SINCE"].map(str::to_owned);
    let cells: Vec<[String; 6]> = std::iter::once(head)
        .chain(rows.iter().map(|row| {
            let caller = row.caller.clone().unwrap_or_else(|| "-".to_owned());
            [
                row.server.clone(),
                row.instance.clone(),
                row.engine.clone(),
                row.state.clone(),
                caller,
                row.since.clone(),
            ]
        }))
        .collect();
    let mut widths = [0; 6];
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &cells {
        let line: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
