//! `aws_assume_role`: keys of a second role, for those of the first (`AssumeRole`, role chaining: an hour at most). What
//! the caller is called and tagged with there comes from the caller's claims.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::credential::Warrant;
use safeconduct_core::sigv4::SigningKeys;
use safeconduct_core::time::Timestamp;

use super::answer::granted;
use super::config::{Asked, BadStep, RoleConfig, Session};
use super::limits;
use super::sts::{Asker, Failed, Sts};
use crate::cache::Fields;
use crate::provider::{Counterpart, Description, ExchangeError, Exchanging, Preview, Provider, Subject};
use crate::template::{MissingClaim, Template};

const ACTION: &str = "AssumeRole";

/// The step `aws_assume_role`.
pub struct AssumeRoleConfig {
    /// The role and its session.
    pub role: RoleConfig,
    /// `ExternalId`
    pub external_id: Option<Box<str>>,
    /// `SourceIdentity`: stays through all further roles, and cannot be changed there.
    pub source_identity: Option<Template>,
    /// `Tags` and `TransitiveTagKeys`
    pub tags: Vec<Tag>,
}

/// A session tag.
pub struct Tag {
    /// Its key.
    pub key: Box<str>,
    /// Its value for a caller.
    pub value: Template,
    /// It goes on to further roles.
    pub transitive: bool,
    /// It is left out when the caller has no such claim, and when the session would be too large with it.
    pub optional: bool,
}

/// See the module.
pub struct AssumeRole {
    config: Arc<AssumeRoleConfig>,
    sts: Arc<Sts>,
}

impl AssumeRole {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`BadStep`]
    pub fn new(config: AssumeRoleConfig, sts: Sts) -> Result<Self, BadStep> {
        config.check()?;
        Ok(Self { config: Arc::new(config), sts: Arc::new(sts) })
    }
}

impl AssumeRoleConfig {
    fn check(&self) -> Result<(), BadStep> {
        self.role.check(true)?;
        let wrong = |what: &'static str| move |wrong: limits::Wrong| BadStep::Value { what, wrong };
        self.external_id.as_deref().map_or(Ok(()), limits::external_id).map_err(wrong("external_id"))?;
        let identity = self.source_identity.as_ref().and_then(Template::as_fixed);
        identity.map_or(Ok(()), limits::name).map_err(wrong("source_identity"))?;
        if self.tags.len() > 50 {
            return Err(BadStep::Value { what: "tags", wrong: "at most fifty" });
        }
        for (at, tag) in self.tags.iter().enumerate() {
            limits::tag_key(&tag.key).map_err(wrong("tags"))?;
            tag.value.as_fixed().map_or(Ok(()), limits::tag_value).map_err(wrong("tags"))?;
            let alike = |other: &Tag| other.key.to_lowercase() == tag.key.to_lowercase();
            if self.tags.iter().take(at).any(alike) {
                return Err(BadStep::Value {
                    what: "tags",
                    wrong: "a key stands twice (case does not count)",
                });
            }
        }
        Ok(())
    }

    fn asked(&self, caller: &Principal, session: &Session, all: bool) -> Result<Asked, MissingClaim> {
        let mut asked = self.role.asked(ACTION, session);
        let mut put = |name: &str, value: &str| asked.push((name.into(), value.into()));
        if let Some(id) = &self.external_id {
            put("ExternalId", id);
        }
        if let Some(identity) = &self.source_identity {
            put("SourceIdentity", &self.role.name(identity, caller)?);
        }
        let mut transitive = 0;
        for (at, (tag, value)) in self.tagged(caller, all)?.iter().enumerate() {
            put(&format!("Tags.member.{}.Key", at + 1), &tag.key);
            put(&format!("Tags.member.{}.Value", at + 1), value);
            if tag.transitive {
                transitive += 1;
                put(&format!("TransitiveTagKeys.member.{transitive}"), &tag.key);
            }
        }
        Ok(asked)
    }

    /// The tags for this caller; without the optional ones unless `all`.
    fn tagged(&self, caller: &Principal, all: bool) -> Result<Vec<(&Tag, String)>, MissingClaim> {
        let mut tagged = Vec::new();
        for tag in self.tags.iter().filter(|tag| all || !tag.optional) {
            match tag.fill(caller) {
                Ok(value) => tagged.push((tag, value)),
                Err(_) if tag.optional => {}
                Err(missing) => return Err(missing),
            }
        }
        Ok(tagged)
    }
}

impl Tag {
    /// A value that AWS would not take refuses the call: changed, it could be another's.
    fn fill(&self, caller: &Principal) -> Result<String, MissingClaim> {
        let value = self.value.fill(caller)?;
        match limits::tag_value(&value) {
            Ok(()) => Ok(value.into_owned()),
            Err(wrong) => Err(MissingClaim(format!("a value for the tag {} ({wrong})", self.key))),
        }
    }
}

impl Provider for AssumeRole {
    fn name(&self) -> &'static str {
        "aws_assume_role"
    }

    fn description(&self) -> Description {
        self.config.role.description(self.name(), self.sts.url())
    }

    fn identify(&self, fields: &mut Fields) {
        let config = &self.config;
        fields.text(self.name()).text(self.sts.url());
        config.role.identify(fields);
        fields.option(config.external_id.as_deref());
        fields.number(u64::from(config.source_identity.is_some()));
        if let Some(identity) = &config.source_identity {
            identity.identify(fields);
        }
        fields.number(config.tags.len() as u64);
        for tag in &config.tags {
            fields.text(&tag.key).number(u64::from(tag.transitive)).number(u64::from(tag.optional));
            tag.value.identify(fields);
        }
    }

    fn inputs(&self, caller: &Principal, fields: &mut Fields) -> Result<(), MissingClaim> {
        self.config.role.inputs(caller, fields)?;
        if let Some(identity) = &self.config.source_identity {
            identity.input(caller, fields)?;
        }
        for (tag, value) in self.config.tagged(caller, true)? {
            fields.text(&tag.key).text(&value);
        }
        Ok(())
    }

    fn preview(&self, caller: &Principal, subject: &str) -> Result<Preview, MissingClaim> {
        let session = self.config.role.session(caller)?;
        let mut asked = self.config.asked(caller, &session, true)?;
        asked.push(("Authorization".into(), format!("signed with {subject}").into()));
        Ok(asked)
    }

    fn counterpart(&self) -> Option<Counterpart<'_>> {
        Some(Counterpart { endpoint: self.sts.url(), client: "" })
    }

    fn max_lifetime(&self) -> Duration {
        self.config.role.max_lifetime
    }

    fn exchange(&self, warrant: &Warrant, subject: Subject, now: Timestamp) -> Exchanging {
        let (config, sts, warrant) = (self.config.clone(), self.sts.clone(), warrant.clone());
        Box::pin(async move {
            let caller = warrant.principal();
            let keys = signing(&subject)?;
            let session = config.role.session(caller)?;
            let asked = config.asked(caller, &session, true)?;
            let mut answer = sts.ask(&asked, Asker::Keys(&keys), now).await;
            if let Err(Failed::Refused(said)) = &answer
                && said.code() == "PackedPolicyTooLarge"
                && config.tags.iter().any(|tag| tag.optional)
            {
                tracing::warn!(
                    role = session.role,
                    "the session is too large for AWS: without its optional tags"
                );
                let asked = config.asked(caller, &session, false)?;
                answer = sts.ask(&asked, Asker::Keys(&keys), now).await;
            }
            granted(&answer?, ACTION, &session, &config.role.policy_arns)
        })
    }
}

fn signing(subject: &Subject) -> Result<SigningKeys, ExchangeError> {
    let unusable = |problem: String| ExchangeError::BadAnswer { problem };
    let Subject::Step(material) = subject else {
        return Err(unusable("a caller's token, where the AWS keys of an earlier step are needed".into()));
    };
    SigningKeys::new(material).map_err(|error| unusable(error.to_string()))
}
