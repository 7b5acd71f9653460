//! Strings of a step that depend on the caller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends where it fails"
)]

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::support::{Caller, Edge};
    use safeconduct_identity::template::{GroupMap, MissingClaim, Template, TemplateError};
    use serde_json::json;

    fn maps() -> Vec<Arc<GroupMap>> {
        let rows = vec![("admins".into(), "role-admin".into()), ("support".into(), "role-support".into())];
        vec![Arc::new(GroupMap { name: "roles".into(), rows })]
    }

    fn filled(text: &str, caller: &Caller) -> Result<String, MissingClaim> {
        Template::parse(text, &maps()).unwrap().fill(&Edge::principal(caller)).map(|text| text.into_owned())
    }

    #[test]
    fn placeholders_are_filled_from_the_callers_claims() {
        let caller = Caller::named("alice")
            .with("email", "alice@example.com")
            .with("tenant", "t1")
            .with("level", 7)
            .with("groups", json!(["support", "admins"]));
        assert_eq!(filled("plain", &caller).unwrap(), "plain");
        assert_eq!(filled("u-{subject}", &caller).unwrap(), "u-alice");
        assert_eq!(filled("{email}", &caller).unwrap(), "alice@example.com");
        assert_eq!(filled("{claim:tenant}/{claim:level}", &caller).unwrap(), "t1/7");
        assert_eq!(filled("{group:roles}", &caller).unwrap(), "role-admin", "the map's order decides");
        assert_eq!(filled("{{{subject}}}", &caller).unwrap(), "{alice}");
    }

    #[test]
    fn what_the_token_does_not_say_refuses_the_call() {
        let caller =
            Caller::named("alice").with("many", json!(["a", "b"])).with("empty", "").with("evil", "a\r\nb");
        for text in
            ["{email}", "{claim:none}", "{claim:many}", "{claim:empty}", "{claim:evil}", "{group:roles}"]
        {
            assert!(filled(text, &caller).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused_when_the_configuration_is_read() {
        let parse = |text: &str| Template::parse(text, &maps()).map(drop);
        assert_eq!(parse("{subject}"), Ok(()));
        assert_eq!(parse("{subject"), Err(TemplateError::Brace("{subject".into())));
        assert_eq!(parse("subject}"), Err(TemplateError::Brace("subject}".into())));
        assert_eq!(parse("{user}"), Err(TemplateError::Unknown("user".into())));
        assert_eq!(parse("{claim:}"), Err(TemplateError::Unknown("claim:".into())));
        assert_eq!(parse("{group:none}"), Err(TemplateError::NoSuchMap("none".into())));
    }
}
