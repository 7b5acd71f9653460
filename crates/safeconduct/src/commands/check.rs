//! `safeconduct check`: everything that can be known of a configuration without the network.

use std::path::Path;

use serde::Serialize;

use crate::app;
use crate::cli::Output;
use crate::config::{self, Plan, Report, Row};
use crate::exit::Exit;
use crate::present::{Paint, Said};

/// Checks a file and its policies. `color` is for the problems, on standard error.
pub fn run(file: &Path, output: Output, color: Paint) -> Said {
    let mut loaded = config::load(file);
    if let Some(plan) = &loaded.plan {
        // The policies themselves are not needed; their problems are in the report.
        let _ = config::compile(plan, &mut loaded.report);
        for failed in app::rehearse(plan) {
            loaded
                .report
                .add(failed.to_string(), "serve would stop here: the file is there, and cannot be used");
        }
    }
    let plan = loaded.plan.as_ref().filter(|_| !loaded.report.has_errors());
    said(file, plan, &loaded.report, output, color)
}

fn said(file: &Path, plan: Option<&Plan>, report: &Report, output: Output, color: Paint) -> Said {
    let exit = if report.has_errors() { Exit::Usage } else { Exit::Fine };
    let summary = plan.map(Summary::of);
    match output {
        Output::Json => {
            let checked = Checked {
                file: file.display().to_string(),
                ok: exit == Exit::Fine,
                problems: report.rows(),
                summary,
            };
            Said::json(&checked, exit)
        }
        Output::Text => {
            let counted =
                if report.problems.is_empty() { String::from("no problems") } else { report.tally() };
            let holds = summary.map(|summary| format!(" ({})", summary.words())).unwrap_or_default();
            Said {
                data: format!("{}: {counted}{holds}\n", file.display()),
                people: report.text(color.is_on()),
                exit,
            }
        }
    }
}

/// What `--output json` prints.
#[derive(Serialize)]
struct Checked<'r> {
    file: String,
    ok: bool,
    problems: Vec<Row<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

/// What the file holds.
#[derive(Serialize)]
struct Summary {
    issuers: usize,
    clients: usize,
    servers: usize,
    policy_files: usize,
}

impl Summary {
    fn of(plan: &Plan) -> Self {
        Self {
            issuers: plan.issuers.len(),
            clients: plan.clients.len(),
            servers: plan.servers.len(),
            policy_files: plan.policies.len(),
        }
    }

    fn words(&self) -> String {
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        [
            counted(self.issuers, "issuer"),
            counted(self.clients, "client"),
            counted(self.servers, "server"),
            counted(self.policy_files, "policy file"),
        ]
        .join(", ")
    }
}
