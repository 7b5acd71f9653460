//! One policy, with all that is known of it before anybody asks.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::pst::{self, BinaryOp, Clause, Expr, Template, UnaryOp};
use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use super::entities::Caller;
use super::reads::Reads;

/// One policy.
pub(super) struct Rule {
    /// `file:line`, also its id in Cedar.
    pub(super) name: Box<str>,
    /// `@id`, if it has one.
    pub(super) title: Option<Box<str>>,
    /// Index of its file; None for what is built in.
    pub(super) source: Option<usize>,
    /// Where it stands in its file.
    pub(super) span: Range<usize>,
    /// `@remedy`.
    pub(super) remedy: Option<Box<str>>,
    /// What it looks at.
    pub(super) reads: Reads,
    /// The policy itself.
    pub(super) policy: Policy,
    /// The same with what looks at arguments moved to the end; only for a permit that looks at them. It tells
    /// whether the rest alone already says no.
    pub(super) outlook: Option<PolicySet>,
    principal: PrincipalConstraint,
    action: ActionConstraint,
    resource: ResourceConstraint,
}

impl Rule {
    /// Takes a policy apart.
    pub(super) fn new(
        name: Box<str>,
        source: Option<usize>,
        span: Range<usize>,
        policy: Policy,
        template: &Template,
    ) -> Self {
        let reads = Reads::of(template);
        let outlook = (policy.effect() == Effect::Permit && !reads.arguments.is_empty())
            .then(|| arguments_last(template))
            .flatten();
        let annotation = |key| policy.annotation(key).filter(|text| !text.is_empty()).map(Box::from);
        Self {
            name,
            title: annotation("id"),
            source,
            span,
            remedy: annotation("remedy"),
            reads,
            outlook,
            principal: policy.principal_constraint(),
            action: policy.action_constraint(),
            resource: policy.resource_constraint(),
            policy,
        }
    }

    /// True for a permit.
    pub(super) fn permits(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    /// The entity that the resource must be or be in, if the scope names one.
    pub(super) fn place(&self) -> Option<&EntityUid> {
        match &self.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
            ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
                Some(uid)
            }
        }
    }

    /// Whether the scope lets this action through; `lineage` is the action and its groups.
    pub(super) fn fits_action(&self, lineage: &[EntityUid]) -> bool {
        match &self.action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => lineage.first() == Some(uid),
            ActionConstraint::In(uids) => uids.iter().any(|uid| lineage.contains(uid)),
        }
    }

    /// Whether the scope lets this resource of this server through.
    pub(super) fn fits_resource(&self, target: &EntityUid, server: &EntityUid) -> bool {
        let within = |uid: &EntityUid| uid == target || uid == server;
        match &self.resource {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(uid) => uid == target,
            ResourceConstraint::In(uid) => within(uid),
            ResourceConstraint::Is(kind) => kind == target.type_name(),
            ResourceConstraint::IsIn(kind, uid) => kind == target.type_name() && within(uid),
        }
    }

    /// Whether the scope lets this caller through.
    pub(super) fn fits_principal(&self, caller: &Caller) -> bool {
        let within = |uid: &EntityUid| *uid == caller.uid || caller.groups.contains(uid);
        match &self.principal {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Eq(uid) => *uid == caller.uid,
            PrincipalConstraint::In(uid) => within(uid),
            PrincipalConstraint::Is(kind) => kind == caller.uid.type_name(),
            PrincipalConstraint::IsIn(kind, uid) => kind == caller.uid.type_name() && within(uid),
        }
    }
}

/// Entities that a policy names anywhere.
pub(super) fn named(policy: &Policy) -> BTreeSet<EntityUid> {
    let mut uids: BTreeSet<_> = policy.entity_literals().into_iter().collect();
    match policy.action_constraint() {
        ActionConstraint::Any => {}
        ActionConstraint::Eq(uid) => drop(uids.insert(uid)),
        ActionConstraint::In(list) => uids.extend(list),
    }
    if let PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) =
        policy.principal_constraint()
    {
        uids.insert(uid);
    }
    if let ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) =
        policy.resource_constraint()
    {
        uids.insert(uid);
    }
    uids
}

/// A permit is satisfied when all its parts are true, in whatever order they are asked.
fn arguments_last(template: &Template) -> Option<PolicySet> {
    let mut parts = Vec::new();
    for clause in template.clauses() {
        match clause {
            Clause::When(expr) => conjuncts(expr, &mut parts),
            Clause::Unless(expr) => denied_disjuncts(expr, &mut parts),
        }
    }
    let (last, first): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| Reads::looks_at_arguments(part));
    let clauses: Vec<_> = first.into_iter().chain(last).map(Clause::When).collect();
    let Template { id, effect, principal, action, resource, .. } = template.clone();
    let reordered = Template::new(id, effect, principal, action, resource).try_with_clauses(clauses).ok()?;
    let policy = Policy::from_pst(pst::Policy::Static(pst::StaticPolicy::try_from(reordered).ok()?)).ok()?;
    PolicySet::from_policies([policy]).ok()
}

fn conjuncts(expr: &Arc<Expr>, parts: &mut Vec<Arc<Expr>>) {
    match &**expr {
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        _ => parts.push(expr.clone()),
    }
}

fn denied_disjuncts(expr: &Arc<Expr>, parts: &mut Vec<Arc<Expr>>) {
    match &**expr {
        Expr::BinaryOp { op: BinaryOp::Or, left, right } => {
            denied_disjuncts(left, parts);
            denied_disjuncts(right, parts);
        }
        _ => parts.push(Arc::new(Expr::UnaryOp { op: UnaryOp::Not, expr: expr.clone() })),
    }
}
