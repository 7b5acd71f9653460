//! The type of `context.args`, policy by policy: nobody declares the arguments of a tool to us, so a policy is
//! checked against what it takes them for itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, Template, UnaryOp, Var};

use super::reads::context_path;

/// What a policy takes `context.args` for.
#[derive(Debug, Default)]
pub(super) struct Shape {
    kind: Option<Kind>,
    fields: BTreeMap<Box<str>, Shape>,
    /// True when the policy asks with `has` whether it is there.
    tested: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Bool,
    Long,
    String,
    Set(Option<Box<Kind>>),
    Record(BTreeMap<Box<str>, Kind>),
}

/// Whether what a policy asks for with `has` is taken for optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tested {
    Optional,
    Required,
}

impl Shape {
    /// Reads a policy.
    pub(super) fn of(template: &Template) -> Self {
        let mut shape = Self::default();
        // Twice, so that what is found at the end of a policy is known at its beginning.
        for _ in 0..2 {
            for clause in template.clauses() {
                let (Clause::When(expr) | Clause::Unless(expr)) = clause;
                shape.visit(expr, Some(&Kind::Bool));
            }
        }
        shape
    }

    /// Whether anything is asked for with `has`.
    pub(super) fn is_tested(&self) -> bool {
        self.tested || self.fields.values().any(Self::is_tested)
    }

    /// The type in Cedar's schema language.
    pub(super) fn schema(&self, tested: Tested) -> String {
        let mut text = String::new();
        if self.fields.is_empty() && !matches!(self.kind, Some(Kind::Record(_))) {
            // `context.args` itself is a record whatever a policy thinks.
            text.push_str("{}");
        } else {
            self.write(tested, &mut text);
        }
        text
    }

    fn write(&self, tested: Tested, text: &mut String) {
        if self.fields.is_empty() {
            return write_kind(self.kind.as_ref(), text);
        }
        text.push('{');
        for (name, field) in &self.fields {
            let optional = if field.tested && tested == Tested::Optional { "?" } else { "" };
            let _ = write!(text, "{}{optional}: ", quoted(name));
            field.write(tested, text);
            text.push_str(", ");
        }
        text.push('}');
    }

    fn visit(&mut self, expr: &Expr, expected: Option<&Kind>) {
        if let Some(node) = self.node(expr) {
            if node.kind.is_none() {
                node.kind = expected.cloned();
            }
            return;
        }
        match expr {
            Expr::UnaryOp { op, expr } => self.visit(expr, operand(*op).as_ref()),
            Expr::BinaryOp { op, left, right } => self.visit_pair(*op, left, right),
            Expr::GetAttr { expr, .. } => self.visit(expr, None),
            Expr::HasAttr { expr, attrs } => match self.node(expr) {
                Some(mut node) => {
                    for attr in attrs.iter() {
                        node = node.fields.entry(attr.as_str().into()).or_default();
                        node.tested = true;
                    }
                }
                None => self.visit(expr, None),
            },
            Expr::Like { expr, .. } => self.visit(expr, Some(&Kind::String)),
            Expr::Is { expr, in_expr, .. } => {
                self.visit(expr, None);
                in_expr.iter().for_each(|expr| self.visit(expr, None));
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.visit(cond, Some(&Kind::Bool));
                let known =
                    expected.cloned().or_else(|| self.kind(then_expr)).or_else(|| self.kind(else_expr));
                self.visit(then_expr, known.as_ref());
                self.visit(else_expr, known.as_ref());
            }
            Expr::Set(elements) => {
                let known = match expected {
                    Some(Kind::Set(Some(element))) => Some(Kind::clone(element)),
                    _ => elements.iter().find_map(|element| self.kind(element)),
                };
                elements.iter().for_each(|element| self.visit(element, known.as_ref()));
            }
            Expr::Record(fields) => {
                for (name, field) in fields {
                    let known = match expected {
                        Some(Kind::Record(kinds)) => kinds.get(name.as_str()),
                        _ => None,
                    };
                    self.visit(field, known);
                }
            }
            _ => {}
        }
    }

    fn visit_pair(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        let (of_left, of_right) = (self.kind(left), self.kind(right));
        let set_of = |kind: Option<Kind>| Some(Kind::Set(kind.map(Box::new)));
        let (for_left, for_right) = match op {
            BinaryOp::And | BinaryOp::Or => (Some(Kind::Bool), Some(Kind::Bool)),
            BinaryOp::Eq | BinaryOp::NotEq => (of_right, of_left),
            BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Greater | BinaryOp::GreaterEq => {
                (Some(Kind::Long), Some(Kind::Long))
            }
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => (Some(Kind::Long), Some(Kind::Long)),
            BinaryOp::Contains => {
                let element = match of_left {
                    Some(Kind::Set(element)) => element.map(|element| *element),
                    _ => None,
                };
                (set_of(of_right), element)
            }
            BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
                (of_right.or(set_of(None)), of_left.or(set_of(None)))
            }
            BinaryOp::GetTag | BinaryOp::HasTag => (None, Some(Kind::String)),
            _ => (None, None),
        };
        self.visit(left, for_left.as_ref());
        self.visit(right, for_right.as_ref());
    }

    /// The place of `context.args.a.b` in this shape.
    fn node(&mut self, expr: &Expr) -> Option<&mut Self> {
        let path = context_path(expr)?;
        let ["args", below @ ..] = path.as_slice() else { return None };
        Some(below.iter().fold(self, |node, name| node.fields.entry((*name).into()).or_default()))
    }

    /// What an expression is, as far as that can be told from itself.
    fn kind(&self, expr: &Expr) -> Option<Kind> {
        if let Some(path) = context_path(expr) {
            return match path.as_slice() {
                ["args", below @ ..] => {
                    let node = below.iter().try_fold(self, |node, name| node.fields.get(*name))?;
                    node.kind.clone()
                }
                ["actor" | "acr" | "era"] => Some(Kind::String),
                ["amr"] => strings(),
                ["now" | "auth_time"] => Some(Kind::Long),
                _ => None,
            };
        }
        match expr {
            Expr::Literal(Literal::Bool(_)) => Some(Kind::Bool),
            Expr::Literal(Literal::Long(_)) => Some(Kind::Long),
            Expr::Literal(Literal::String(_)) => Some(Kind::String),
            Expr::GetAttr { expr, attr } if matches!(&**expr, Expr::Var(Var::Principal | Var::Resource)) => {
                match attr.as_str() {
                    "issuer" | "subject" | "client" | "email" => Some(Kind::String),
                    "scopes" | "groups" => strings(),
                    "expires" => Some(Kind::Long),
                    "readOnly" | "destructive" | "idempotent" | "openWorld" => Some(Kind::Bool),
                    _ => None,
                }
            }
            Expr::HasAttr { .. } | Expr::Like { .. } | Expr::Is { .. } => Some(Kind::Bool),
            Expr::UnaryOp { op: UnaryOp::Neg, .. } => Some(Kind::Long),
            Expr::UnaryOp { op: UnaryOp::Not | UnaryOp::IsEmpty, .. } => Some(Kind::Bool),
            Expr::BinaryOp { op, .. } => match op {
                BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => Some(Kind::Long),
                BinaryOp::GetTag => strings(),
                BinaryOp::Offset | BinaryOp::DurationSince => None,
                _ => Some(Kind::Bool),
            },
            Expr::IfThenElse { then_expr, else_expr, .. } => {
                self.kind(then_expr).or_else(|| self.kind(else_expr))
            }
            Expr::Set(elements) => {
                Some(Kind::Set(elements.iter().find_map(|element| self.kind(element)).map(Box::new)))
            }
            Expr::Record(fields) => Some(Kind::Record(
                fields
                    .iter()
                    .map(|(name, field)| (name.as_str().into(), self.kind(field).unwrap_or(Kind::String)))
                    .collect(),
            )),
            _ => None,
        }
    }
}

fn operand(op: UnaryOp) -> Option<Kind> {
    match op {
        UnaryOp::Not => Some(Kind::Bool),
        UnaryOp::Neg => Some(Kind::Long),
        UnaryOp::IsEmpty => Some(Kind::Set(None)),
        _ => None,
    }
}

fn strings() -> Option<Kind> {
    Some(Kind::Set(Some(Box::new(Kind::String))))
}

/// What nothing is known of is taken for a string.
fn write_kind(kind: Option<&Kind>, text: &mut String) {
    match kind {
        Some(Kind::Bool) => text.push_str("Bool"),
        Some(Kind::Long) => text.push_str("Long"),
        Some(Kind::String) | None => text.push_str("String"),
        Some(Kind::Set(element)) => {
            text.push_str("Set<");
            write_kind(element.as_deref(), text);
            text.push('>');
        }
        Some(Kind::Record(fields)) => {
            text.push('{');
            for (name, field) in fields {
                let _ = write!(text, "{}: ", quoted(name));
                write_kind(Some(field), text);
                text.push_str(", ");
            }
            text.push('}');
        }
    }
}

/// A name as Cedar's schema language writes it: with Cedar's escapes, which are Rust's.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::{Shape, Tested};

    fn shape(condition: &str) -> String {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let policy: cedar_policy::Policy = text.parse().unwrap();
        Shape::of(policy.to_pst().unwrap().body()).schema(Tested::Optional)
    }

    #[test]
    fn a_type_is_what_the_policy_uses_it_as() {
        for (condition, expected) in [
            ("context.args.amount <= 500", r#"{"amount": Long, }"#),
            ("context.args.a + 1 == context.args.b", r#"{"a": Long, "b": Long, }"#),
            ("context.args.name == \"x\"", r#"{"name": String, }"#),
            ("context.args.path like \"/tmp/*\"", r#"{"path": String, }"#),
            ("context.args.flag && !context.args.other", r#"{"flag": Bool, "other": Bool, }"#),
            ("context.args.tags.contains(3)", r#"{"tags": Set<Long>, }"#),
            ("context.args.tags.containsAny([\"a\"])", r#"{"tags": Set<String>, }"#),
            ("[\"a\", \"b\"].contains(context.args.kind)", r#"{"kind": String, }"#),
            ("principal.groups.contains(context.args.team)", r#"{"team": String, }"#),
            ("context.args.owner == principal.subject", r#"{"owner": String, }"#),
            ("context.args.a == context.args.b && context.args.b > 1", r#"{"a": Long, "b": Long, }"#),
            (
                "context.args.to.city == \"Rome\" && context.args.to.zip > 5",
                r#"{"to": {"city": String, "zip": Long, }, }"#,
            ),
            ("context.args has note && context.args.note == 1", r#"{"note"?: Long, }"#),
            ("context.args has a.b", r#"{"a"?: {"b"?: String, }, }"#),
            ("context.args == {kind: \"x\", n: 1}", r#"{"kind": String, "n": Long, }"#),
            ("if context.args.a then context.args.b else 3 > 2", r#"{"a": Bool, "b": Bool, }"#),
            ("principal has email", "{}"),
            ("context.args[\"a \\\"b\"] == 1", r#"{"a \"b": Long, }"#),
        ] {
            assert_eq!(shape(condition), expected, "{condition}");
        }
    }
}
