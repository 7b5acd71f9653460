use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::time::Timestamp;
use safeconduct_identity::provider::aws::{BadStep, RoleConfig, WebIdentity};
use safeconduct_identity::template::{GroupMap, Template};
use serde_json::json;

use crate::support::aws::{self, ROLE, in_an_hour, issued, sigv4, sts, template, web_identity};
use crate::support::{Asked, Bench, Caller, Edge, NOW, TokenEndpoint};

const ACTION: &str = "AssumeRoleWithWebIdentity";

/// A token service that gives whoever asks a session of the role under the name that is asked for.
async fn generous() -> TokenEndpoint {
    TokenEndpoint::start(|asked| issued(ACTION, "ASIAISSUED", asked.one("RoleSessionName"), &in_an_hour()))
        .await
}

/// What was asked, once.
async fn asked(caller: &Caller, change: impl FnOnce(&mut RoleConfig)) -> Result<Asked, &'static str> {
    let endpoint = generous().await;
    let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, change)]);
    bench.token(caller).await?;
    Ok(endpoint.asked().pop().unwrap())
}

#[tokio::test]
async fn the_callers_token_is_posted_unsigned_as_amazons_own_libraries_post_it() {
    let alice = Caller::named("alice@example.com");
    let asked = asked(&alice, |config| {
        config.duration = Duration::from_secs(900);
        config.policy = Some(r#"{"Statement":[]}"#.into());
        config.policy_arns =
            vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into(), "arn:aws:iam::aws:policy/x".into()];
    })
    .await
    .unwrap();
    let fields: Vec<(&str, &str)> = asked.form.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        fields,
        [
            ("Action", ACTION),
            ("Version", "2011-06-15"),
            ("RoleArn", ROLE),
            ("RoleSessionName", "alice@example.com"),
            ("DurationSeconds", "900"),
            ("Policy", r#"{"Statement":[]}"#),
            ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
            ("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/x"),
            ("WebIdentityToken", &alice.token()),
        ]
    );
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded; charset=utf-8");
    for absent in ["authorization", "x-amz-date", "accept"] {
        assert!(!asked.headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn the_keys_sign_the_call_and_the_record_names_the_role() {
    let endpoint = generous().await;
    let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
    let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
    let request = outbound.request();
    assert_eq!(request.headers()["x-amz-security-token"], aws::token_of("ASIAISSUED").as_str());
    let authorization = request.headers()["authorization"].to_str().unwrap();
    assert!(
        authorization.contains("/us-east-1/aws-mcp/aws4_request, SignedHeaders=content-type;host;mcp-"),
        "{authorization}"
    );
    let record = outbound.credential().record();
    assert_eq!(&*record.audience, &[ROLE.into()]);
    assert_eq!(record.expires, Some(NOW.plus(Duration::from_secs(3600))));
    drop(outbound);
    assert_eq!(bench.token(&Caller::named("alice")).await, Ok("ASIAISSUED".into()));
    assert_eq!(endpoint.count(), 1, "they are kept");
}

/// Edge: 95
#[tokio::test]
async fn any_subject_has_a_session_name_that_aws_takes() {
    for (subject, start) in
        [("auth0|x y", "auth0-x-y-"), ("a", "a-"), (&*"z".repeat(80), "zzz"), ("zo\u{eb}", "zo-")]
    {
        let asked = asked(&Caller::named(subject), |_| {}).await.unwrap();
        let name = asked.one("RoleSessionName");
        assert!(name.starts_with(start) && name.len() <= 64, "{name}");
    }
    let caller = Caller::named("auth0|x y");
    let fixed = asked(&caller, |config| config.session_name = Template::fixed("gateway"));
    assert_eq!(fixed.await.unwrap().one("RoleSessionName"), "gateway");
}

/// Edge: 94
#[tokio::test]
async fn the_same_subject_of_two_issuers_has_two_sessions() {
    let endpoint = generous().await;
    let bench =
        Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |config| config.several_issuers = true)]);
    for issuer in ["https://idp.example.com", "https://other.example.com"] {
        bench.token(&Caller::of(issuer, "alice")).await.unwrap();
    }
    let names: Vec<String> =
        endpoint.asked().iter().map(|asked| asked.one("RoleSessionName").to_owned()).collect();
    assert_eq!(names.len(), 2);
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn the_role_is_chosen_by_claim_or_by_group() {
    let role = |text: &str| {
        let rows = vec![
            ("admins".into(), "arn:aws:iam::123456789012:role/Admins".into()),
            ("support".into(), ROLE.into()),
        ];
        let maps = [Arc::new(GroupMap { name: "roles".into(), rows })];
        let role = Template::parse(text, &maps).unwrap();
        move |config: &mut RoleConfig| config.role = role
    };
    let support =
        Caller::named("alice").with("groups", json!(["support"])).with("team", "Mcp").with("arn", ROLE);
    for text in ["{group:roles}", "arn:aws:iam::123456789012:role/team/{claim:team}", "{claim:arn}"] {
        assert_eq!(asked(&support, role(text)).await.unwrap().one("RoleArn"), ROLE, "{text}");
    }
    let nobody = Caller::named("bob").with("groups", json!(["guests"]));
    assert_eq!(asked(&nobody, role("{group:roles}")).await.unwrap_err(), "SC-C08");
}

#[tokio::test]
async fn a_claim_does_not_leave_its_place_in_a_role() {
    for claim in ["../Admin", "x/Admin", "x:y", "Mcp Admin", "", "x\u{e9}"] {
        let caller = Caller::named("alice").with("team", claim);
        let refused = asked(&caller, |config| {
            config.role = template("arn:aws:iam::123456789012:role/team/{claim:team}")
        });
        assert_eq!(refused.await.unwrap_err(), "SC-C08", "{claim}");
    }
    let whole = Caller::named("alice").with("arn", "arn:aws:iam::123456789012:user/alice");
    assert_eq!(asked(&whole, |config| config.role = template("{claim:arn}")).await.unwrap_err(), "SC-C08");
}

#[tokio::test]
async fn two_roles_of_one_caller_are_two_entries_and_so_are_two_callers() {
    let endpoint = generous().await;
    let step = web_identity(&endpoint.url, |config| {
        config.role = template("arn:aws:iam::123456789012:role/{claim:team}");
        config.session_name = Template::fixed("gateway");
    });
    let bench = Bench::delivering(sigv4(), vec![step]);
    let _ = bench.token(&Caller::named("alice").with("team", "Mcp")).await;
    let _ = bench.token(&Caller::named("alice").with("team", "Mcp")).await;
    assert_eq!(endpoint.count(), 1);
    let _ = bench.token(&Caller::named("alice").with("team", "Other")).await;
    let _ = bench.token(&Caller::named("bob").with("team", "Mcp")).await;
    assert_eq!(endpoint.count(), 3);
}

/// Edge: 97
#[tokio::test]
async fn the_end_of_the_keys_is_read_in_every_form() {
    for (written, end) in [
        ("2027-01-15T09:00:00Z", 0),
        ("2027-01-15T09:00:00.123456Z", 123_456),
        ("2027-01-15T09:00:00+00:00", 0),
        ("2027-01-15T10:00:00.000+01:00", 0),
    ] {
        let endpoint = TokenEndpoint::start(move |_| issued(ACTION, "ASIAISSUED", "alice", written)).await;
        let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
        let outbound = bench.acquire(&Caller::named("alice")).await.unwrap();
        let expected =
            Timestamp::parse_rfc3339("2027-01-15T09:00:00Z").unwrap().plus(Duration::from_micros(end));
        assert_eq!(outbound.credential().expires(), Some(expected), "{written}");
    }
    for wrong in ["", "soon", "1800003600"] {
        let endpoint = TokenEndpoint::start(move |_| issued(ACTION, "ASIAISSUED", "alice", wrong)).await;
        let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C06"), "{wrong}");
    }
}

/// Edge: 28, 29
#[tokio::test]
async fn keys_that_no_header_may_hold_are_not_used() {
    let answer = |change: fn(String) -> String| async move {
        let endpoint = TokenEndpoint::start(move |_| {
            let mut reply = issued(ACTION, "ASIAISSUED", "alice", &in_an_hour());
            reply.body = change(String::from_utf8(reply.body.to_vec()).unwrap()).into();
            reply
        })
        .await;
        let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
        bench.token(&Caller::named("alice")).await
    };
    assert_eq!(answer(|body| body).await, Ok("ASIAISSUED".into()));
    assert_eq!(answer(|body| body.replace("token//of", &"t".repeat(20_000))).await, Ok("ASIAISSUED".into()));
    assert_eq!(answer(|body| body.replace("token//of", "a&#10;b")).await, Err("SC-C06"));
    assert_eq!(answer(|body| body.replace("token//of", "a&#233;b")).await, Err("SC-C06"));
    assert_eq!(answer(|body| body.replace(">ASIAISSUED<", ">ASIA/../x<")).await, Err("SC-C06"));
    assert_eq!(
        answer(|body| body
            .replace("<SessionToken>", "<SessionToken/><X>")
            .replace("</SessionToken>", "</X>"))
        .await,
        Err("SC-C06")
    );
    assert_eq!(
        answer(|body| body.replace("<Credentials>", "<Credentials/><Credentials>")).await,
        Err("SC-C06")
    );
    assert_eq!(
        answer(|body| body.replace("AssumedRoleUser", "Somebody")).await,
        Ok("ASIAISSUED".into()),
        "some say nothing"
    );
}

#[tokio::test]
async fn aws_keys_go_into_no_header_and_are_no_subject_of_a_web_identity() {
    let endpoint = generous().await;
    let bench = Bench::new(vec![web_identity(&endpoint.url, |_| {})]);
    assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C06"));
    let steps = vec![Arc::new(aws::Keys("ASIAFIRST")) as Arc<_>, web_identity(&endpoint.url, |_| {})];
    assert_eq!(Bench::delivering(sigv4(), steps).token(&Caller::named("alice")).await, Err("SC-C06"));
}

#[tokio::test]
async fn the_preview_is_what_is_sent_without_the_token() {
    let step = web_identity("http://127.0.0.1:1/", |_| {});
    let preview = step.preview(&Edge::principal(&Caller::named("alice")), "<the caller's token>").unwrap();
    let value = |name: &str| preview.iter().find(|(field, _)| **field == *name).map(|(_, value)| &**value);
    assert_eq!(value("Action"), Some(ACTION));
    assert_eq!(value("RoleSessionName"), Some("alice"));
    assert_eq!(value("WebIdentityToken"), Some("<the caller's token>"));
}

#[tokio::test]
async fn what_aws_would_refuse_for_everybody_is_refused_when_the_step_is_made() {
    let made = |change: fn(&mut RoleConfig)| {
        let mut config = aws::role_config();
        change(&mut config);
        WebIdentity::new(config, sts("http://127.0.0.1:1/")).map(drop)
    };
    assert_eq!(made(|_| {}), Ok(()));
    assert_eq!(made(|config| config.duration = Duration::from_secs(43_200)), Ok(()));
    for seconds in [0u64, 899, 43_201] {
        let mut config = aws::role_config();
        config.duration = Duration::from_secs(seconds);
        let made = WebIdentity::new(config, sts("http://127.0.0.1:1/")).map(drop);
        assert_eq!(made, Err(BadStep::Duration { longest: 43_200 }), "{seconds}");
    }
    for change in [
        (|config| config.role = Template::fixed("arn:aws:iam::1:role/x")) as fn(&mut RoleConfig),
        |config| config.session_name = Template::fixed("a b"),
        |config| config.session_name = Template::fixed("a"),
        |config| config.policy = Some("{}".into()),
        |config| config.policy = Some("Allow".into()),
        |config| config.policy = Some(format!(r#"{{"Statement":"{}"}}"#, "x".repeat(2048)).into()),
        |config| config.policy_arns = vec!["ReadOnlyAccess".into()],
        |config| config.policy_arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into(); 11],
    ] {
        assert!(matches!(made(change), Err(BadStep::Value { .. })));
    }
}
