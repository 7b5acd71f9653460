use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::time::Timestamp;
use safeconduct_identity::provider::Provider;
use safeconduct_identity::provider::aws::{AssumeRole, AssumeRoleConfig, BadStep, Tag, caller_identity};
use safeconduct_identity::template::Template;

use crate::support::aws::{
    self, ROLE, assume_role, in_an_hour, issued, refusal, sigv4, sts, template, web_identity, xml,
};
use crate::support::{Asked, Bench, Caller, Edge, NOW, Reply, TokenEndpoint};

const ACTION: &str = "AssumeRole";

fn first() -> Arc<dyn Provider> {
    Arc::new(aws::Keys("ASIAFIRST"))
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.into(), value: template(value), transitive: false, optional: false }
}

fn generous(asked: &Asked) -> Reply {
    issued(ACTION, "ASIASECOND", asked.one("RoleSessionName"), &in_an_hour())
}

/// All requests for one call of this caller, and what came of it.
async fn all_asked(
    caller: &Caller,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    change: impl FnOnce(&mut AssumeRoleConfig),
) -> (Vec<Asked>, Result<String, &'static str>) {
    let endpoint = TokenEndpoint::start(script).await;
    let bench = Bench::delivering(sigv4(), vec![first(), assume_role(&endpoint.url, change)]);
    let outcome = bench.token(caller).await;
    (endpoint.asked(), outcome)
}

#[tokio::test]
async fn the_second_role_is_asked_for_with_the_keys_of_the_first() {
    let alice =
        Caller::named("auth0|alice").with("project", "gr\u{fc}n 1").with("email", "alice@example.com");
    let (asked, outcome) = all_asked(&alice, generous, |config| {
        config.external_id = Some("ext:1/2".into());
        config.source_identity = Some(template("{email}"));
        config.tags = vec![
            Tag { transitive: true, ..tag("Project", "{claim:project}") },
            tag("Fixed", "value"),
            Tag { transitive: true, ..tag("User", "{email}") },
        ];
    })
    .await;
    assert_eq!(outcome, Ok("ASIASECOND".into()));
    let session = asked[0].one("RoleSessionName").to_owned();
    assert!(session.starts_with("auth0-alice-"));
    let fields: Vec<(&str, &str)> = asked[0].form.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        fields,
        [
            ("Action", ACTION),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE),
            ("RoleSessionName", &session),
            ("DurationSeconds", "3600"),
            ("ExternalId", "ext:1/2"),
            ("SourceIdentity", "alice@example.com"),
            ("Tags.member.1.Key", "Project"),
            ("Tags.member.1.Value", "gr\u{fc}n 1"),
            ("TransitiveTagKeys.member.1", "Project"),
            ("Tags.member.2.Key", "Fixed"),
            ("Tags.member.2.Value", "value"),
            ("Tags.member.3.Key", "User"),
            ("Tags.member.3.Value", "alice@example.com"),
            ("TransitiveTagKeys.member.2", "User"),
        ]
    );
    let authorization = asked[0].headers["authorization"].to_str().unwrap();
    assert!(
        authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=ASIAFIRST/20270115/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature="
        ),
        "{authorization}"
    );
    assert_eq!(asked[0].headers["x-amz-security-token"], aws::token_of("ASIAFIRST").as_str());
    assert_eq!(asked[0].headers["x-amz-date"], "20270115T080000Z");
    assert!(
        !asked[0].form.iter().any(|(_, value)| value.contains(&alice.token())),
        "the caller's token stays"
    );
}

#[tokio::test]
async fn optional_tags_are_left_out_once_when_the_session_is_too_large() {
    let too_large = |asked: &Asked| match asked.number {
        1 => refusal(400, "PackedPolicyTooLarge", "Packed policy consumes 120% of allotted space"),
        _ => generous(asked),
    };
    let tags = |config: &mut AssumeRoleConfig| {
        config.tags = vec![
            Tag { optional: true, transitive: true, ..tag("Note", "x") },
            Tag { transitive: true, ..tag("Project", "p") },
        ];
    };
    let (asked, outcome) = all_asked(&Caller::named("alice"), too_large, tags).await;
    assert_eq!(outcome, Ok("ASIASECOND".into()));
    assert_eq!(asked[0].one("Tags.member.1.Key"), "Note");
    assert_eq!(asked[0].one("TransitiveTagKeys.member.2"), "Project");
    assert_eq!(
        (asked[1].one("Tags.member.1.Key"), asked[1].one("TransitiveTagKeys.member.1")),
        ("Project", "Project")
    );
    assert!(asked[1].all("Tags.member.2.Key").is_empty());

    let always =
        |_: &Asked| refusal(400, "PackedPolicyTooLarge", "Packed policy consumes 120% of allotted space");
    let (asked, outcome) = all_asked(&Caller::named("alice"), always, tags).await;
    assert_eq!((asked.len(), outcome), (2, Err("SC-C09")));
    let (asked, outcome) =
        all_asked(&Caller::named("alice"), always, |config| config.tags = vec![tag("Project", "p")]).await;
    assert_eq!((asked.len(), outcome), (1, Err("SC-C09")), "none of them may go");
}

#[tokio::test]
async fn a_tag_that_the_claims_do_not_give_refuses_the_call_unless_it_is_optional() {
    let with = |optional| {
        move |config: &mut AssumeRoleConfig| {
            config.tags = vec![Tag { optional, ..tag("Project", "{claim:project}") }, tag("A", "b")]
        }
    };
    let (asked, outcome) = all_asked(&Caller::named("alice"), generous, with(true)).await;
    assert_eq!(outcome, Ok("ASIASECOND".into()));
    assert_eq!(asked[0].one("Tags.member.1.Key"), "A");
    for caller in [
        Caller::named("alice"),
        Caller::named("alice").with("project", "a|b"),
        Caller::named("alice").with("project", "x".repeat(257)),
    ] {
        let (asked, outcome) = all_asked(&caller, generous, with(false)).await;
        assert_eq!((asked.len(), outcome), (0, Err("SC-C08")));
    }
}

#[tokio::test]
async fn another_tag_is_another_entry_in_the_cache() {
    let endpoint = TokenEndpoint::start(generous).await;
    let step = assume_role(&endpoint.url, |config| {
        config.tags = vec![Tag { optional: true, ..tag("Project", "{claim:project}") }];
    });
    let bench = Bench::delivering(sigv4(), vec![first(), step]);
    let callers = [
        Caller::named("alice"),
        Caller::named("alice").with("project", "a"),
        Caller::named("alice").with("project", "b"),
    ];
    for caller in callers.iter().chain(&callers) {
        bench.token(caller).await.unwrap();
    }
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test]
async fn keys_of_the_first_role_that_have_ended_are_acquired_anew_once() {
    let idp = TokenEndpoint::start(|asked| {
        issued("AssumeRoleWithWebIdentity", &format!("ASIAFIRST{}", asked.number), "alice", &in_an_hour())
    })
    .await;
    let second = TokenEndpoint::start(|asked| {
        let old = asked.headers["authorization"].to_str().unwrap().contains("ASIAFIRST1/");
        if old && asked.number > 1 {
            return refusal(403, "ExpiredToken", "The security token included in the request is expired");
        }
        issued(ACTION, &format!("ASIASECOND{}", asked.number), "alice", &in_an_hour())
    })
    .await;
    let steps = vec![web_identity(&idp.url, |_| {}), assume_role(&second.url, |_| {})];
    let bench = Bench::delivering(sigv4(), steps);
    let alice = Caller::named("alice");
    let outbound = bench.acquire(&alice).await.unwrap();
    // The server no longer takes what the second step gave; what the first gave has ended meanwhile, too.
    let outbound = bench.renew(outbound).await.unwrap();
    assert_eq!(crate::support::sent(&outbound), "ASIASECOND3");
    assert_eq!((idp.count(), second.count()), (2, 3));
}

/// Edge: 99
#[tokio::test]
async fn the_clock_of_aws_is_learned_from_its_refusal_and_the_request_signed_anew_once() {
    let (now, date) =
        (httpdate(NOW.plus(Duration::from_secs(400))), httpdate(NOW.plus(Duration::from_secs(400))));
    let script = move |asked: &Asked| match asked.headers["x-amz-date"].to_str().unwrap() {
        "20270115T080640Z" => generous(asked),
        _ => refusal(
            403,
            "SignatureDoesNotMatch",
            "Signature expired: 20270115T080000Z is now earlier than 20270115T080140Z",
        )
        .header("date", &now),
    };
    let (asked, outcome) = all_asked(&Caller::named("alice"), script, |_| {}).await;
    assert_eq!((asked.len(), outcome), (2, Ok("ASIASECOND".into())));
    let always =
        move |_: &Asked| refusal(403, "SignatureDoesNotMatch", "Signature expired: x").header("date", &date);
    let (asked, outcome) = all_asked(&Caller::named("alice"), always, |_| {}).await;
    assert_eq!((asked.len(), outcome), (2, Err("SC-C09")));
}

fn httpdate(at: Timestamp) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(at.secs()))
}

#[tokio::test]
async fn a_token_instead_of_keys_signs_nothing() {
    let endpoint = TokenEndpoint::start(generous).await;
    let bench = Bench::delivering(sigv4(), vec![assume_role(&endpoint.url, |_| {})]);
    assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C06"));
    assert_eq!(endpoint.count(), 0);
}

#[tokio::test]
async fn what_aws_would_refuse_for_everybody_is_refused_when_the_step_is_made() {
    let made = |change: fn(&mut AssumeRoleConfig)| {
        let mut config = AssumeRoleConfig {
            role: aws::role_config(),
            external_id: None,
            source_identity: None,
            tags: Vec::new(),
        };
        change(&mut config);
        AssumeRole::new(config, sts("http://127.0.0.1:1/")).map(drop)
    };
    assert_eq!(made(|config| config.tags = vec![tag("A", "{claim:a}"), tag("\u{c4} b", "")]), Ok(()));
    assert_eq!(
        made(|config| config.role.duration = Duration::from_secs(3601)),
        Err(BadStep::Duration { longest: 3600 })
    );
    for change in [
        (|config| config.tags = vec![tag("a", "1"), tag("A", "2")]) as fn(&mut AssumeRoleConfig),
        |config| config.tags = vec![tag("aws:x", "1")],
        |config| config.tags = vec![tag("", "1")],
        |config| config.tags = vec![tag("a", "b|c")],
        |config| config.tags = (0..51).map(|at| tag(&format!("t{at}"), "1")).collect(),
        |config| config.external_id = Some("x".into()),
        |config| config.external_id = Some("a b".into()),
        |config| config.source_identity = Some(Template::fixed("a b")),
    ] {
        assert!(matches!(made(change), Err(BadStep::Value { .. })));
    }
}

#[tokio::test]
async fn the_preview_shows_what_would_be_sent() {
    let step = assume_role("http://127.0.0.1:1/", |config| config.tags = vec![tag("User", "{subject}")]);
    let preview = step.preview(&Edge::principal(&Caller::named("alice")), "<the keys of step 1>").unwrap();
    let value = |name: &str| preview.iter().find(|(field, _)| **field == *name).map(|(_, value)| &**value);
    assert_eq!(value("Tags.member.1.Value"), Some("alice"));
    assert_eq!(value("Authorization"), Some("signed with <the keys of step 1>"));
}

#[tokio::test]
async fn aws_is_asked_whom_keys_belong_to() {
    let endpoint = TokenEndpoint::start(|asked| {
        assert_eq!(asked.one("Action"), "GetCallerIdentity");
        let signed = asked.headers["authorization"].to_str().unwrap().contains("Credential=ASIAISSUED/");
        match signed {
            true => xml(200, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/Mcp/alice</Arn><UserId>AROA:alice</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"),
            false => refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid."),
        }
    })
    .await;
    let sts = sts(&endpoint.url);
    let who = caller_identity(&sts, &Arc::new(aws::keys("ASIAISSUED")), NOW).await.unwrap();
    assert_eq!(
        (&*who.account, &*who.arn),
        ("123456789012", "arn:aws:sts::123456789012:assumed-role/Mcp/alice")
    );
    let error = caller_identity(&sts, &Arc::new(aws::keys("ASIAOTHER")), NOW).await.unwrap_err();
    assert_eq!(error.class(), "subject_refused");
}
