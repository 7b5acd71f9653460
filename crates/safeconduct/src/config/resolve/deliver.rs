//! Where credentials go.

use std::ops::Range;
use std::path::PathBuf;

use safeconduct_core::sigv4::Signer;
use safeconduct_runtime::delivery::Delivery;
use safeconduct_runtime::delivery::aws_container::AwsContainer;
use safeconduct_runtime::delivery::azure_identity::AzureIdentity;
use safeconduct_runtime::delivery::env::Env;
use safeconduct_runtime::delivery::file::{File, Format};
use safeconduct_runtime::delivery::gcp_metadata::GcpMetadata;
use safeconduct_runtime::launch::FILES;

use super::Resolver;
use crate::config::decode::Field;
use crate::config::plan::{DeliverPlan, Gives, StepPlan};
use crate::config::raw::{
    AwsDelivery, AzureDelivery, Deliver, Detailed, EnvDelivery, FileDelivery, GcpDelivery, Server,
};

/// Headers that belong to the connection or to MCP itself.
const RESERVED: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "accept",
    "cookie",
    "expect",
    "proxy-authorization",
    "last-event-id",
    "origin",
];

impl Resolver<'_> {
    /// `runs`: the server is started here.
    pub(super) fn deliver(&mut self, server: &Server, runs: bool) -> Option<DeliverPlan> {
        let deliver = match &server.deliver {
            Field::Given(deliver) => deliver,
            Field::Absent => return Some(standard("Bearer ".to_owned())),
            Field::Broken => return None,
        };
        let given = ways(&deliver.value);
        match given.as_slice() {
            [] | [("header", _)] => self.header(&deliver.value),
            [("sigv4", _)] => self.sigv4(&deliver.value),
            [(way, place)] if !runs => {
                self.problems
                    .error(
                        place.clone(),
                        format!("`{way}` brings the credential to a server that is started here"),
                    )
                    .label("this server has a `url`")
                    .help("give its `image` (or `command`) instead of `url`, or deliver in a header");
                None
            }
            [_] => self.instance(&deliver.value).map(DeliverPlan::Instance),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                self.problems
                    .error(
                        deliver.site.clone(),
                        format!("a credential goes one way, and here are {}", names.join(", ")),
                    )
                    .label("keep one");
                None
            }
        }
    }

    fn sigv4(&mut self, deliver: &Deliver) -> Option<DeliverPlan> {
        let written = &deliver.sigv4.given()?.value;
        for named in [&written.region, &written.service] {
            let Some(at) = named.given() else { continue };
            if Signer::new(&at.value, &at.value).is_err() {
                self.problems
                    .error(at.span.clone(), format!("no signature can name `{}`", at.value))
                    .label("not small letters, digits and dashes");
            }
        }
        Some(DeliverPlan::SigV4 {
            region: written.region.value()?.clone(),
            service: written.service.value()?.clone(),
        })
    }

    /// A delivery takes what the last step gives.
    pub(super) fn takes_what_is_given(&mut self, server: &Server, chain: &[StepPlan], deliver: &DeliverPlan) {
        let given = chain.last().map(StepPlan::gives);
        let takes = deliver.takes();
        // `credential: none` and nothing said of delivery is as it is meant; a chain that ends in a grant was told.
        if given == Some(takes) || given == Some(Gives::Grant) || (given.is_none() && takes == Gives::Token) {
            return;
        }
        let said = server.deliver.given().map(|at| at.site.clone());
        let Some(site) = said.or_else(|| place(&server.credential)) else { return };
        let (ends, takes) = (given.map_or("nothing", Gives::words), takes.words());
        let help = if given == Some(Gives::AwsKeys) {
            "AWS keys sign requests (`deliver: { sigv4: { region: ..., service: ... } }`), or go to a server that is \
             started here (`aws_container`, `env: true`, `file: true`)"
        } else {
            "let the chain end in `aws_web_identity` or `aws_assume_role`; a token goes into a header, or to a server \
             that is started here"
        };
        self.problems
            .error(site, format!("the chain ends in {ends}, and the delivery takes {takes}"))
            .label(format!("takes {takes}"))
            .help(help);
    }

    /// A space and a plus are told apart by all only where they are encoded.
    pub(super) fn signable(&mut self, server: &Server, deliver: Option<&DeliverPlan>) {
        let (Some(url), Some(DeliverPlan::SigV4 { .. })) = (server.url.given(), deliver) else { return };
        if url.value.split_once('?').is_some_and(|(_, query)| query.contains('+')) {
            self.problems
                .error(
                    url.span.clone(),
                    "a `+` in a query is signed by some as itself and by others as a space",
                )
                .label("has a `+`")
                .help("write `%2B` or `%20`");
        }
    }

    fn instance(&mut self, deliver: &Deliver) -> Option<Delivery> {
        if let Some(env) = deliver.env.given() {
            return self.env(&env.value, env.site.clone()).map(Delivery::Env);
        }
        if let Some(file) = deliver.file.given() {
            return self.file_delivery(&file.value, file.site.clone()).map(Delivery::File);
        }
        if let Some(gcp) = deliver.gcp_metadata.given() {
            return self.detailed(&gcp.value, gcp.site.clone(), gcp_metadata).map(Delivery::GcpMetadata);
        }
        if let Some(aws) = deliver.aws_container.given() {
            return self.detailed(&aws.value, aws.site.clone(), aws_container).map(Delivery::AwsContainer);
        }
        let azure = deliver.azure_identity.given()?;
        self.detailed(&azure.value, azure.site.clone(), azure_identity).map(Delivery::AzureIdentity)
    }

    fn env(&mut self, written: &Detailed<EnvDelivery>, site: Range<usize>) -> Option<Env> {
        let section = match written {
            Detailed::Plain => return Some(Env::Aws { region: None }),
            Detailed::Word(name) => {
                return self
                    .variable(name, &site)
                    .then(|| Env::Token { variable: name.as_str().into(), prefix: "".into() });
            }
            Detailed::Section(section) => section,
        };
        let Some(variable) = section.variable.given() else {
            return Some(Env::Aws { region: word(&section.region) });
        };
        let prefix = section.prefix.value().map_or_else(String::new, |prefix| prefix.0.clone());
        self.variable(&variable.value, &variable.span)
            .then(|| Env::Token { variable: variable.value.as_str().into(), prefix: prefix.into() })
    }

    fn file_delivery(&mut self, written: &Detailed<FileDelivery>, site: Range<usize>) -> Option<File> {
        let (path, variable) = match written {
            Detailed::Plain => (None, None),
            Detailed::Word(path) => (Some((path.clone(), site.clone())), None),
            Detailed::Section(section) => {
                if let Some(name) = section.variable.given()
                    && !self.variable(&name.value, &name.span)
                {
                    return None;
                }
                let path = section.path.given().map(|path| (path.value.clone(), path.span.clone()));
                (path, word(&section.variable))
            }
        };
        let Some((path, span)) = path else {
            return Some(File {
                path: PathBuf::from(FILES).join("aws"),
                variable,
                format: Format::AwsProfile,
            });
        };
        let name = path.strip_prefix(FILES).map_or(path.as_str(), |name| name.trim_start_matches('/'));
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            self.problems
                .error(span, format!("`{path}` is not a file of `{FILES}`"))
                .label("not there")
                .help(format!("in-memory files stand in `{FILES}`: write `{FILES}/token` or `token`"));
            return None;
        }
        Some(File { path: PathBuf::from(FILES).join(name), variable, format: Format::Token })
    }

    fn detailed<T, D: Default>(
        &mut self,
        written: &Detailed<T>,
        site: Range<usize>,
        filled: impl Fn(&T) -> D,
    ) -> Option<D> {
        match written {
            Detailed::Plain => Some(D::default()),
            Detailed::Section(section) => Some(filled(section)),
            Detailed::Word(word) => {
                self.problems
                    .error(site, format!("expected `true` or a section, found `{word}`"))
                    .label("cannot be read as that");
                None
            }
        }
    }

    /// A name that a variable can have.
    pub(super) fn variable(&mut self, name: &str, site: &Range<usize>) -> bool {
        let mut bytes = name.bytes();
        let good = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !good {
            self.problems
                .error(site.clone(), format!("`{name}` is not a name of a variable"))
                .label("letters, digits and `_`");
        }
        good
    }

    fn header(&mut self, deliver: &Deliver) -> Option<DeliverPlan> {
        if matches!(deliver.header, Field::Broken) || matches!(deliver.prefix, Field::Broken) {
            return None;
        }
        let Some(written) = deliver.header.given() else {
            let prefix =
                deliver.prefix.value().map_or_else(|| "Bearer ".to_owned(), |prefix| prefix.0.clone());
            return Some(standard(prefix));
        };
        let Ok(header) = http::HeaderName::from_bytes(written.value.as_bytes()) else {
            self.problems
                .error(written.span.clone(), format!("`{}` is not a header name", written.value))
                .label("cannot be a header's name");
            return None;
        };
        if RESERVED.contains(&header.as_str()) || header.as_str().starts_with("mcp-") {
            self.problems
                .error(written.span.clone(), format!("the header `{header}` has another meaning"))
                .label("cannot carry a credential")
                .help("`Authorization`, or a name that the server reads, such as `X-Api-Key`");
            return None;
        }
        let usual = if header == http::header::AUTHORIZATION { "Bearer " } else { "" };
        let prefix = deliver.prefix.value().map_or_else(|| usual.to_owned(), |prefix| prefix.0.clone());
        if let (Some(at), false) = (deliver.prefix.given(), prefix.bytes().all(|b| (0x20..0x7f).contains(&b)))
        {
            self.problems
                .error(at.span.clone(), "this prefix cannot stand in a header")
                .label("not printable ASCII");
        }
        Some(DeliverPlan::Header { name: header, prefix })
    }
}

fn standard(prefix: String) -> DeliverPlan {
    DeliverPlan::Header { name: http::header::AUTHORIZATION, prefix }
}

/// The ways that are given, and where.
fn ways(deliver: &Deliver) -> Vec<(&'static str, Range<usize>)> {
    [
        ("header", place(&deliver.header)),
        ("sigv4", place(&deliver.sigv4)),
        ("env", place(&deliver.env)),
        ("file", place(&deliver.file)),
        ("gcp_metadata", place(&deliver.gcp_metadata)),
        ("aws_container", place(&deliver.aws_container)),
        ("azure_identity", place(&deliver.azure_identity)),
    ]
    .into_iter()
    .filter_map(|(name, place)| Some((name, place?)))
    .collect()
}

fn gcp_metadata(written: &GcpDelivery) -> GcpMetadata {
    GcpMetadata {
        project: word(&written.project),
        project_number: written.project_number.value().map(|number| number.0),
        email: word(&written.email),
        universe_domain: word(&written.universe_domain),
        zone: word(&written.zone),
    }
}

fn aws_container(written: &AwsDelivery) -> AwsContainer {
    AwsContainer {
        region: word(&written.region),
        account: word(&written.account),
        role: word(&written.role),
        ..AwsContainer::default()
    }
}

fn azure_identity(written: &AzureDelivery) -> AzureIdentity {
    let resources =
        written.resources.value().map(|many| many.values().map(|one| one.as_str().into()).collect());
    AzureIdentity {
        resources: resources.unwrap_or_default(),
        client_id: word(&written.client_id),
        tenant: word(&written.tenant),
    }
}

fn word(field: &Field<String>) -> Option<Box<str>> {
    field.value().map(|word| word.as_str().into())
}

fn place<T>(field: &Field<T>) -> Option<Range<usize>> {
    field.given().map(|at| at.site.clone())
}
