//! What a policy looks at, found by reading it: decides what is built for it, what may be remembered, and which
//! arguments must be beyond doubt.

use std::collections::BTreeSet;

use cedar_policy::pst::{Clause, Expr, Template, Var};

use super::arguments::Path;

/// Attributes of a tool that its server's list teaches.
pub(super) const HINTS: [&str; 4] = ["readOnly", "destructive", "idempotent", "openWorld"];

/// What a policy, or several, look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    /// Paths below `context.args`; the empty one is all of it.
    pub(super) arguments: BTreeSet<Path>,
    /// Every name by which arguments are spoken of.
    pub(super) names: BTreeSet<Box<str>>,
    context: BTreeSet<Box<str>>,
    whole_context: bool,
    /// `principal.expires`: differs between two tokens of the same login.
    pub(super) expires: bool,
    /// The hints of a tool.
    pub(super) hints: bool,
}

impl Reads {
    /// Reads a policy.
    pub(super) fn of(template: &Template) -> Self {
        let mut reads = Self::default();
        let mut literals = BTreeSet::new();
        for clause in template.clauses() {
            let (Clause::When(expr) | Clause::Unless(expr)) = clause;
            reads.walk(expr, &mut literals);
        }
        if !reads.arguments.is_empty() {
            reads.names.append(&mut literals);
        }
        reads
    }

    /// Whether an expression looks at the arguments.
    pub(super) fn looks_at_arguments(expr: &Expr) -> bool {
        let mut reads = Self::default();
        reads.walk(expr, &mut BTreeSet::new());
        !reads.arguments.is_empty()
    }

    /// Whether `context.NAME` is read.
    pub(super) fn context(&self, name: &str) -> bool {
        self.whole_context || self.context.contains(name)
    }

    /// Whether the answer depends on the moment, so that it cannot be remembered.
    pub(super) fn moment(&self) -> bool {
        self.expires || self.context("now") || self.context("time")
    }

    /// Whether a value at this path of the arguments is read, as a part or as a whole.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.arguments.iter().any(|read| read.starts_with(path) || path.starts_with(read))
    }

    /// Joins what two policies look at.
    pub(super) fn join(&mut self, other: &Self) {
        self.arguments.extend(other.arguments.iter().cloned());
        self.names.extend(other.names.iter().cloned());
        self.context.extend(other.context.iter().cloned());
        self.whole_context |= other.whole_context;
        self.expires |= other.expires;
        self.hints |= other.hints;
    }

    fn walk(&mut self, expr: &Expr, literals: &mut BTreeSet<Box<str>>) {
        if let Some(path) = context_path(expr) {
            return self.note(&path);
        }
        match expr {
            Expr::Literal(_) | Expr::Var(_) => {}
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.walk(expr, literals),
            Expr::BinaryOp { left, right, .. } => {
                self.walk(left, literals);
                self.walk(right, literals);
            }
            Expr::GetAttr { expr, attr } => {
                self.attribute(attr);
                self.walk(expr, literals);
            }
            Expr::HasAttr { expr, attrs } => match context_path(expr) {
                Some(mut path) => {
                    path.extend(attrs.iter().map(|attr| attr.as_str()));
                    self.note(&path);
                }
                None => {
                    attrs.iter().for_each(|attr| self.attribute(attr));
                    self.walk(expr, literals);
                }
            },
            Expr::Is { expr, in_expr, .. } => {
                self.walk(expr, literals);
                in_expr.iter().for_each(|expr| self.walk(expr, literals));
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                [cond, then_expr, else_expr].into_iter().for_each(|expr| self.walk(expr, literals));
            }
            Expr::Set(elements) => elements.iter().for_each(|expr| self.walk(expr, literals)),
            Expr::Record(fields) => fields.iter().for_each(|(name, expr)| {
                literals.insert(name.as_str().into());
                self.walk(expr, literals);
            }),
            // A kind of expression that this program does not know may read anything.
            _ => {
                self.note(&[]);
                self.expires = true;
                self.hints = true;
            }
        }
    }

    fn note(&mut self, path: &[&str]) {
        match path {
            [] => {
                self.whole_context = true;
                self.arguments.insert(Path::new());
            }
            ["args", below @ ..] => {
                self.names.extend(below.iter().map(|name| Box::from(*name)));
                self.arguments.insert(below.iter().map(|name| Box::from(*name)).collect());
            }
            [name, ..] => drop(self.context.insert((*name).into())),
        }
    }

    fn attribute(&mut self, name: &str) {
        self.expires |= name == "expires";
        self.hints |= HINTS.contains(&name);
    }
}

/// `context.a.b` as its names; None for everything that is not a plain path from the context.
pub(super) fn context_path(expr: &Expr) -> Option<Vec<&str>> {
    match expr {
        Expr::Var(Var::Context) => Some(Vec::new()),
        Expr::GetAttr { expr, attr } => {
            let mut path = context_path(expr)?;
            path.push(attr);
            Some(path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Reads;

    fn reads(condition: &str) -> Reads {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy: cedar_policy::Policy = text.parse().unwrap();
        Reads::of(policy.to_pst().unwrap().body())
    }

    fn paths(condition: &str) -> Vec<String> {
        reads(condition).arguments.iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn paths_are_read_as_far_as_they_are_written() {
        assert_eq!(paths("context.args.amount <= 500"), ["amount"]);
        assert_eq!(paths("context.args has a.b && context.args.a.b == 1"), ["a.b"]);
        assert_eq!(paths("context.args[\"odd name\"].x like \"*\""), ["odd name.x"]);
        assert_eq!(paths("context.args == {a: 1}"), [""]);
        assert_eq!(paths("(if true then context else context).args.a == 1"), [""]);
        assert_eq!(paths("principal.expires > context.now"), [""; 0]);
    }

    #[test]
    fn names_of_literal_records_count_where_arguments_are_read() {
        let names: Vec<_> = reads("context.args.filter == {kind: \"x\"}").names.into_iter().collect();
        assert_eq!(names, ["filter".into(), "kind".into()]);
    }

    #[test]
    fn the_moment_is_noticed() {
        assert!(!reads("context.acr == \"x\"").moment());
        assert!(reads("context.now > 5").moment());
        assert!(reads("principal.expires > 5").moment());
        assert!(reads("(if true then principal else principal).expires > 5").moment());
        assert!(reads("context == {}").moment());
    }

    #[test]
    fn a_path_touches_its_parts_and_its_wholes() {
        let reads = reads("context.args.a.b == 1");
        let path = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        assert!(reads.touches(&path(&["a", "b"])));
        assert!(reads.touches(&path(&["a"])));
        assert!(reads.touches(&path(&["a", "b", "c"])));
        assert!(!reads.touches(&path(&["a", "c"])));
        assert!(!reads.touches(&path(&["b"])));
    }
}
