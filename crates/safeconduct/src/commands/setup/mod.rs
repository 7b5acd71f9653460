//! `safeconduct setup`: what an administrator of a provider has to do there, for this very configuration. Prints it, and does
//! nothing.

mod aws;
mod entra;
mod facts;
mod google;
mod keycloak;
mod okta;
mod write;

use clap::{Args, ValueEnum};

use super::pick;
use crate::cli::File;
use crate::config;
use crate::exit::Exit;
use crate::present::{Paint, Said};
use facts::Facts;

/// What is typed.
#[derive(Debug, Args)]
pub struct Question {
    /// Where it is to be set up.
    provider: Provider,
    #[command(flatten)]
    file: File,
    /// Only for this server.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only these callers, by the `sub` of their tokens; may be repeated. Default: whoever the issuer vouches for.
    #[arg(long, value_name = "SUB")]
    subject: Vec<String>,
    /// Terraform instead of commands.
    #[arg(long)]
    terraform: bool,
}

/// A provider that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// AWS: identity provider of IAM, roles and their trust policies.
    Aws,
    /// Microsoft Entra ID: application, scopes, permissions, federated credential.
    Entra,
    /// Google Cloud: pool, provider, service accounts.
    Google,
    /// Okta: service app, scopes, access policy.
    Okta,
    /// Keycloak: client, client scopes, audiences.
    Keycloak,
}

impl Provider {
    const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Entra => "entra",
            Self::Google => "google",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
        }
    }

    /// What makes a configuration one of this provider's.
    const fn sign(self) -> &'static str {
        match self {
            Self::Aws => "an `aws_web_identity` step",
            Self::Entra => "an `entra_obo` step",
            Self::Google => "a `google_sts` step",
            Self::Okta => "a step with a client at https://ORG/oauth2/ID/v1/token",
            Self::Keycloak => {
                "an issuer with `preset: keycloak`, or a step with a client at .../realms/NAME/..."
            }
        }
    }

    fn written(self, facts: &Facts<'_>, terraform: bool) -> Result<Option<String>, String> {
        match (self, terraform) {
            (Self::Aws, false) => aws::commands(facts),
            (Self::Aws, true) => aws::terraform(facts),
            (Self::Entra, false) => entra::commands(facts),
            (Self::Entra, true) => entra::terraform(facts),
            (Self::Google, false) => google::commands(facts),
            (Self::Google, true) => google::terraform(facts),
            (Self::Okta, false) => okta::commands(facts),
            (Self::Okta, true) => okta::terraform(facts),
            (Self::Keycloak, false) => keycloak::commands(facts),
            (Self::Keycloak, true) => keycloak::terraform(facts),
        }
    }
}

/// Prints what is to be done. `people` is for the problems of the file.
pub fn run(question: &Question, people: Paint) -> Said {
    let loaded = config::load(&question.file.config);
    let Some(plan) = &loaded.plan else {
        return Said { data: String::new(), people: loaded.report.text(people.is_on()), exit: Exit::Usage };
    };
    let servers = match question.server.as_deref() {
        None => plan.servers.iter().collect(),
        Some(name) => match pick::server(Some(name), plan) {
            Ok(server) => vec![server],
            Err(why) => return Said::failure(Exit::Usage, why),
        },
    };
    let facts = Facts { plan, servers, subjects: &question.subject };
    let (provider, file) = (question.provider, question.file.config.display());
    match provider.written(&facts, question.terraform) {
        Ok(Some(text)) => {
            let mut whole = write::Text::default();
            whole.remark(&format!(
                "What {file} needs of {}. Read it before you run it; then: safeconduct doctor",
                provider.name()
            ));
            if !question.terraform {
                whole.line("set -eu");
            }
            Said::data(format!("{}\n{text}", whole.whole()))
        }
        Ok(None) => Said::failure(
            Exit::Failed,
            format!("nothing in {file} is of {}: it would be {}", provider.name(), provider.sign()),
        ),
        Err(why) => Said::failure(Exit::Failed, why),
    }
}
