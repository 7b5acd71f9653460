//! Whom we believe about callers.

use std::time::Duration;

use safeconduct_core::caller::ClaimPath;

use super::{Resolver, plain_name};
use crate::config::decode::{At, Field};
use crate::config::plan::{
    Algorithm, ClaimsPlan, IntrospectionPlan, IssuerPlan, KeysPlan, LogoutPlan, LogoutTokenType, Preset,
    TokenType,
};
use crate::config::raw::{Introspection, Issuer, Logout};

const LONGEST_LEEWAY: Duration = Duration::from_secs(60);
const LONGEST_INTROSPECTION: Duration = Duration::from_secs(60);
const DEFAULT_ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

impl Resolver<'_> {
    pub(super) fn issuers(&mut self) -> Vec<IssuerPlan> {
        let Some(issuers) = self.file.issuers.value() else { return Vec::new() };
        if issuers.entries.is_empty() {
            let place = self.file.issuers.given().map_or(0..0, |at| at.site.clone());
            self.problems
                .error(place, "there is no issuer, so no caller could be believed")
                .label("empty")
                .help("issuers: { corp: { issuer: https://idp.example.com } }");
        }
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for (name, issuer) in issuers.iter() {
            let Some(url) = issuer.value.issuer.given() else { continue };
            if let Some((first, _)) = seen.iter().find(|(_, other)| *other == url.value) {
                self.problems
                    .error(url.span.clone(), format!("the same issuer as `{first}`"))
                    .label("a second time")
                    .help("one caller would have two names in policies: keep one of them");
            }
            seen.push((&name.value, &url.value));
        }
        issuers.iter().filter_map(|(name, issuer)| self.issuer(name, issuer)).collect()
    }

    /// Names of all issuers, broken ones too.
    pub(super) fn issuer_names(&self) -> Vec<String> {
        self.file
            .issuers
            .value()
            .map(|issuers| issuers.names().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn issuer(&mut self, name: &At<String>, written: &At<Issuer>) -> Option<IssuerPlan> {
        let issuer = &written.value;
        self.name("an issuer", name);
        let url = issuer.issuer.given();
        let usable = url.and_then(|url| self.url("the issuer's keys", url, &issuer.allow_http));
        self.identifier(issuer);
        self.claim_paths(issuer);
        let keys = self.keys(issuer);
        let leeway = self.at_most(&issuer.leeway, Duration::from_secs(30), LONGEST_LEEWAY);
        let introspection = issuer.introspection.value().and_then(|asked| self.introspection(asked, issuer));
        let algorithms: Vec<Algorithm> = issuer
            .algorithms
            .value()
            .map_or_else(|| DEFAULT_ALGORITHMS.to_vec(), |many| many.values().copied().collect());
        if let (true, Some(at)) = (algorithms.is_empty(), issuer.algorithms.given()) {
            self.problems
                .error(at.site.clone(), "no algorithm is accepted, so no token could be")
                .label("empty");
        }
        if let (Some(at), true) =
            (issuer.audience.given(), issuer.audience.value().is_some_and(|many| many.0.is_empty()))
        {
            self.problems
                .error(at.site.clone(), "this list of audiences is empty")
                .label("empty")
                .help("remove the line if tokens are issued for the server's own resource identifier");
        }
        usable?;
        Some(IssuerPlan {
            name: name.value.clone(),
            issuer: url?.value.clone(),
            preset: issuer.preset.or(Preset::Oidc),
            audiences: issuer
                .audience
                .value()
                .map(|many| many.values().cloned().collect())
                .unwrap_or_default(),
            algorithms,
            claims: claims(issuer),
            introspection,
            keys: keys?,
            logout: issuer.backchannel_logout.value().and_then(|logout| self.logout(logout)),
            token_type: issuer.token_type.or(TokenType::Any),
            single_audience: issuer.single_audience.or(false),
            leeway,
            max_age: issuer.max_age.value().map(|period| period.0),
            allow_http: issuer.allow_http.or(false),
        })
    }

    // RFC 8414 §2: an issuer identifier has no query and no fragment, so no token could ever name one that has.
    fn identifier(&mut self, issuer: &Issuer) {
        if let Some(url) = issuer.issuer.given().filter(|url| url.value.contains(['?', '#'])) {
            self.problems
                .error(url.span.clone(), "an issuer identifier has no query and no fragment")
                .label("not an issuer (RFC 8414 §2)")
                .help("write it exactly as it stands in the tokens' `iss`");
        }
    }

    fn claim_paths(&mut self, issuer: &Issuer) {
        let Some(claims) = issuer.claims.value() else { return };
        for path in [&claims.scopes, &claims.groups, &claims.client, &claims.email]
            .into_iter()
            .filter_map(Field::given)
        {
            if ClaimPath::parse(&path.value).is_none() {
                self.problems
                    .error(path.span.clone(), format!("`{}` is not the way to a claim", path.value))
                    .label("has an empty part")
                    .help("a name (`groups`), a URI, or names with dots between them (`realm_access.roles`)");
            }
        }
    }

    fn keys(&mut self, issuer: &Issuer) -> Option<KeysPlan> {
        match (&issuer.jwks_uri, &issuer.jwks_file) {
            (Field::Given(uri), Field::Given(_)) => {
                self.problems
                    .error(uri.site.clone(), "`jwks_uri` and `jwks_file` both say where the keys are")
                    .label("one too many")
                    .help("keep one of them, or none for discovery");
                None
            }
            (Field::Given(uri), _) => {
                self.url("the issuer's keys", uri, &issuer.allow_http)?;
                Some(KeysPlan::JwksUri(uri.value.clone()))
            }
            (_, Field::Given(file)) => Some(KeysPlan::JwksFile(self.readable(file))),
            (Field::Broken, _) | (_, Field::Broken) => None,
            (Field::Absent, Field::Absent) => Some(KeysPlan::Discovery),
        }
    }

    fn introspection(&mut self, asked: &Introspection, issuer: &Issuer) -> Option<IntrospectionPlan> {
        let known = self.client_names();
        let client = asked.client.given().filter(|client| self.known("client", "clients", client, &known));
        let endpoint = asked.endpoint.given();
        let usable = endpoint.and_then(|endpoint| self.url("callers' tokens", endpoint, &issuer.allow_http));
        let cache = self.at_most(&asked.cache, Duration::from_secs(30), LONGEST_INTROSPECTION);
        usable?;
        Some(IntrospectionPlan { endpoint: endpoint?.value.clone(), client: client?.value.clone(), cache })
    }

    fn logout(&mut self, logout: &Logout) -> Option<LogoutPlan> {
        let audiences: Vec<String> = logout.audience.value()?.values().cloned().collect();
        if let (true, Some(at)) = (audiences.is_empty(), logout.audience.given()) {
            self.problems
                .error(at.site.clone(), "this list of audiences is empty, so no logout could be for us")
                .label("empty")
                .help("the client id that `/backchannel-logout/` is registered for at the issuer");
        }
        Some(LogoutPlan { audiences, token_type: logout.token_type.or(LogoutTokenType::Logout) })
    }

    fn at_most(
        &mut self,
        written: &Field<crate::config::values::Period>,
        default: Duration,
        most: Duration,
    ) -> Duration {
        let period = written.value().map_or(default, |period| period.0);
        if let Some(at) = written.given()
            && period > most
        {
            self.problems
                .error(at.span.clone(), format!("at most {}s", most.as_secs()))
                .label("too long")
                .help(format!("the default is {}s", default.as_secs()));
        }
        period
    }

    /// Notes a name that could not stand in a path or a policy.
    pub(super) fn name(&mut self, what: &str, name: &At<String>) {
        if !plain_name(&name.value) {
            self.problems
                .error(name.span.clone(), format!("`{}` cannot be the name of {what}", name.value))
                .label("letters, digits, `-`, `_` and `.`; at most 64")
                .help("names stand in paths and in policies: `User::\"corp/alice\"`, `/orders/mcp`");
        }
    }
}

fn claims(issuer: &Issuer) -> ClaimsPlan {
    let Some(claims) = issuer.claims.value() else { return ClaimsPlan::default() };
    ClaimsPlan {
        scopes: claims.scopes.value().cloned(),
        groups: claims.groups.value().cloned(),
        client: claims.client.value().cloned(),
        email: claims.email.value().cloned(),
    }
}
