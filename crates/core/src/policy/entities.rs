//! Who and what, as Cedar entities.

use std::collections::HashSet;

use aws_lc_rs::digest::{Context, SHA256};
use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression,
};

use super::schema::groups;
use crate::caller::{Kind, Principal};
use crate::mcp::Target;
use crate::server::ToolHints;

/// A caller, ready to be asked about.
pub(super) struct Caller {
    pub(super) uid: EntityUid,
    pub(super) groups: HashSet<EntityUid>,
    pub(super) entities: Entities,
}

/// The names of the entity types.
pub(super) struct Types {
    user: EntityTypeName,
    workload: EntityTypeName,
    group: EntityTypeName,
    server: EntityTypeName,
    tool: EntityTypeName,
    prompt: EntityTypeName,
    resource: EntityTypeName,
    task: EntityTypeName,
    action: EntityTypeName,
}

impl Types {
    pub(super) fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            user: named("User")?,
            workload: named("Workload")?,
            group: named("Group")?,
            server: named("Server")?,
            tool: named("Tool")?,
            prompt: named("Prompt")?,
            resource: named("Resource")?,
            task: named("Task")?,
            action: named("Action")?,
        })
    }

    pub(super) fn server(&self, name: &str) -> EntityUid {
        uid(&self.server, name)
    }

    pub(super) fn action(&self, name: &str) -> EntityUid {
        uid(&self.action, name)
    }

    /// `Tool::"orders/refund"`: what the call is about.
    pub(super) fn target(&self, server: &str, target: &Target) -> EntityUid {
        let (kind, name) = match target {
            Target::Server => return self.server(server),
            Target::Tool(name) => (&self.tool, name),
            Target::Prompt(name) => (&self.prompt, name),
            Target::Resource(uri) => (&self.resource, uri),
            Target::Task(id) => (&self.task, id),
        };
        uid(kind, &format!("{server}/{name}"))
    }

    /// The action with the groups it is in.
    pub(super) fn action_entity(&self, name: &str) -> Entity {
        let parents = groups(name).into_iter().map(|group| self.action(group)).collect();
        Entity::new_no_attrs(self.action(name), parents)
    }

    /// What the call is about, in its server; with the hints of a tool that its server's list has named. Without
    /// them the attributes are absent, and a policy that reads them is in error: nothing is known of the tool.
    pub(super) fn target_entity(
        &self,
        target: &EntityUid,
        server: &EntityUid,
        hints: Option<ToolHints>,
    ) -> Result<Entity, String> {
        let parents = (target != server).then(|| server.clone());
        let attributes = hints.into_iter().flat_map(|hints| {
            [
                ("readOnly", hints.read_only),
                ("destructive", hints.destructive),
                ("idempotent", hints.idempotent),
                ("openWorld", hints.open_world),
            ]
        });
        let attributes =
            attributes.map(|(name, value)| (name.to_owned(), RestrictedExpression::new_bool(value)));
        Entity::new_with_tags(target.clone(), attributes, parents, []).map_err(|error| error.to_string())
    }

    /// The caller.
    pub(super) fn caller(&self, principal: &Principal) -> Result<Caller, String> {
        let issuer = &principal.issuer;
        let kind = match principal.kind {
            Kind::User => &self.user,
            Kind::Workload => &self.workload,
        };
        let id = uid(kind, &format!("{issuer}/{}", principal.subject));
        let groups: HashSet<_> =
            principal.groups.iter().map(|group| uid(&self.group, &format!("{issuer}/{group}"))).collect();
        let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let set = |values: &[Box<str>]| RestrictedExpression::new_set(values.iter().map(|value| text(value)));
        let expires = i64::try_from(principal.expires.secs()).unwrap_or(i64::MAX);
        let mut attributes = vec![
            ("issuer".to_owned(), text(issuer)),
            ("subject".to_owned(), text(&principal.subject)),
            ("scopes".to_owned(), set(&principal.scopes)),
            ("groups".to_owned(), set(&principal.groups)),
            ("expires".to_owned(), RestrictedExpression::new_long(expires)),
        ];
        attributes.extend(principal.client.iter().map(|client| ("client".to_owned(), text(client))));
        attributes.extend(principal.email.iter().map(|email| ("email".to_owned(), text(email))));
        let tags = principal.claims.iter().map(|(name, values)| (name.to_string(), set(values)));
        let entity = Entity::new_with_tags(id.clone(), attributes, groups.iter().cloned(), tags)
            .map_err(|error| error.to_string())?;
        let entities = Entities::from_entities([entity], None).map_err(|error| error.to_string())?;
        Ok(Caller { uid: id, groups, entities })
    }
}

fn named(name: &str) -> Result<EntityTypeName, Box<ParseErrors>> {
    name.parse().map_err(Box::new)
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

/// Hash of all that a policy can see of the caller but `expires`. The fingerprint would not do: it leaves out
/// claims that say nothing about the caller, but that a policy may read as tags all the same.
pub(super) fn identity(principal: &Principal) -> &[u8; 32] {
    principal.identity.get_or_init(|| identify(principal))
}

/// Destructured without `..`, so that a new field cannot be forgotten here.
fn identify(principal: &Principal) -> [u8; 32] {
    let Principal {
        kind,
        issuer,
        issuer_url,
        subject,
        client,
        email,
        groups,
        scopes,
        claims,
        actors,
        acr,
        amr,
        auth_time,
        session: _,
        issued: _,
        expires: _,
        fingerprint,
        identity: _,
    } = principal;
    let mut hash = Fields(Context::new(&SHA256));
    hash.number(match kind {
        Kind::User => 0,
        Kind::Workload => 1,
    });
    hash.bytes(&fingerprint.0);
    [issuer, issuer_url, subject].into_iter().for_each(|text| hash.text(text));
    [client, email, acr].into_iter().for_each(|text| hash.list(text.as_slice()));
    [groups, scopes, amr].into_iter().for_each(|list| hash.list(list));
    hash.number(auth_time.map_or(0, |time| time.saturating_add(1)));
    hash.number(claims.len() as u64);
    for (name, values) in claims {
        hash.text(name);
        hash.list(values);
    }
    hash.number(actors.len() as u64);
    for actor in actors {
        hash.text(actor.issuer.as_deref().unwrap_or_default());
        hash.text(&actor.subject);
    }
    let mut identity = [0; 32];
    for (byte, hashed) in identity.iter_mut().zip(hash.0.finish().as_ref()) {
        *byte = *hashed;
    }
    identity
}

/// Length-prefixed fields of a hash.
struct Fields(Context);

impl Fields {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn list(&mut self, list: &[Box<str>]) {
        self.number(list.len() as u64);
        list.iter().for_each(|text| self.text(text));
    }
}
