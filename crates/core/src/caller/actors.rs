//! The `act` chain: who acts for the subject (RFC 8693 §4.1).

use serde_json::Value;

use super::principal::Actor;
use super::problem::TokenProblem;

const MAX_DEPTH: usize = 10;
const MAX_BYTES: usize = 8 * 1024;

/// Reads the chain, outermost (the current actor) first. Times and audiences inside mean nothing (R21).
pub(super) fn actors(act: Option<&Value>) -> Result<Vec<Actor>, TokenProblem> {
    let bad = TokenProblem::BadClaim("act");
    let Some(outermost) = act else { return Ok(Vec::new()) };
    if outermost.to_string().len() > MAX_BYTES {
        return Err(bad);
    }
    let mut chain = Vec::new();
    let mut next = Some(outermost);
    while let Some(act) = next {
        let act = act.as_object().ok_or(bad)?;
        let subject = act.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty()).ok_or(bad)?;
        let issuer = match act.get("iss") {
            Some(issuer) => Some(issuer.as_str().ok_or(bad)?.to_owned()),
            None => None,
        };
        if chain.len() == MAX_DEPTH {
            return Err(bad);
        }
        chain.push(Actor { issuer, subject: subject.to_owned() });
        next = act.get("act");
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::actors;

    fn chain(depth: usize) -> Value {
        (1..depth).fold(
            json!({ "sub": "agent-0" }),
            |inner, n| json!({ "sub": format!("agent-{n}"), "act": inner }),
        )
    }

    /// Edge: 93
    #[test]
    fn the_chain_is_read_outermost_first_up_to_ten_actors() {
        let read = actors(Some(&chain(10))).unwrap();
        assert_eq!((read.len(), &*read[0].subject, &*read[9].subject), (10, "agent-9", "agent-0"));
        assert!(actors(Some(&chain(11))).is_err());
    }

    /// Edge: 93
    #[test]
    fn an_actor_without_a_subject_or_of_another_shape_refuses_the_token() {
        assert!(actors(None).unwrap().is_empty());
        let long = "x".repeat(9 * 1024);
        for act in [
            json!("agent"),
            json!({}),
            json!({ "sub": 1 }),
            json!({ "sub": "a", "act": [] }),
            json!({ "sub": long }),
        ] {
            assert!(actors(Some(&act)).is_err());
        }
    }
}
