use crate::support::aws::{in_an_hour, issued, refusal, sigv4, web_identity, xml};
use crate::support::{Bench, Caller, Reply, TokenEndpoint};

/// What a call comes to, and how often AWS was asked.
async fn outcome(
    script: impl Fn(usize) -> Reply + Send + Sync + 'static,
) -> (Result<String, &'static str>, usize) {
    let endpoint = TokenEndpoint::start(move |asked| script(asked.number)).await;
    let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
    (bench.token(&Caller::named("alice")).await, endpoint.count())
}

fn granted() -> Reply {
    issued("AssumeRoleWithWebIdentity", "ASIAISSUED", "alice", &in_an_hour())
}

/// Edge: 55, 56, 60, 96
#[tokio::test]
async fn every_code_of_aws_has_its_class() {
    for (status, code, message, expected) in [
        (
            400,
            "ExpiredTokenException",
            "Token expired: current date/time 1 must be before the expiration date/time 0",
            "SC-C01",
        ),
        (400, "ExpiredToken", "The web identity token is expired.", "SC-C01"),
        (403, "IDPRejectedClaim", "The identity provider rejected the claim", "SC-C01"),
        (400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT.", "SC-C01"),
        (400, "InvalidIdentityToken", "Incorrect token audience", "SC-C09"),
        (
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://idp.example.com",
            "SC-C09",
        ),
        (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "SC-C02"),
        (400, "MalformedPolicyDocument", "Syntax errors in policy", "SC-C09"),
        (400, "PackedPolicyTooLarge", "Packed policy consumes 101% of allotted space", "SC-C09"),
        (
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "SC-C09",
        ),
        (403, "RegionDisabledException", "STS is not activated in this region for account", "SC-C09"),
        (403, "SomethingNew", "", "SC-C02"),
        (400, "SomethingNew", "", "SC-C06"),
        (403, "", "", "SC-C02"),
        (404, "", "", "SC-C06"),
    ] {
        let (outcome, asked) = outcome(move |_| refusal(status, code, message)).await;
        assert_eq!((outcome, asked), (Err(expected), 1), "{status} {code} {message}");
    }
}

/// Edge: 96
#[tokio::test]
async fn what_passes_by_itself_is_tried_again() {
    for (status, code, message) in [
        (
            400,
            "InvalidIdentityToken",
            "Couldn&apos;t retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        ),
        (400, "IDPCommunicationError", "An error occurred in communicating with the identity provider"),
        (400, "Throttling", "Rate exceeded"),
        (400, "ThrottlingException", "Rate exceeded"),
        (503, "RequestLimitExceeded", "Request limit exceeded"),
        (429, "", ""),
        (500, "InternalFailure", ""),
    ] {
        let then_granted = move |number| if number == 1 { refusal(status, code, message) } else { granted() };
        assert_eq!(outcome(then_granted).await, (Ok("ASIAISSUED".into()), 2), "{code}");
        assert_eq!(outcome(move |_| refusal(status, code, message)).await, (Err("SC-C07"), 3), "{code}");
    }
}

/// Edge: 47
#[tokio::test]
async fn a_refusal_is_remembered() {
    let endpoint =
        TokenEndpoint::start(|_| refusal(400, "InvalidIdentityToken", "Incorrect token audience")).await;
    let bench = Bench::delivering(sigv4(), vec![web_identity(&endpoint.url, |_| {})]);
    for _ in 0..20 {
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C09"));
    }
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn an_answer_to_something_else_and_one_without_keys_are_not_used() {
    for body in [
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>",
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>",
        "<AssumeRoleWithWebIdentityResponse/>",
    ] {
        assert_eq!(outcome(move |_| xml(200, body)).await, (Err("SC-C06"), 1), "{body}");
    }
}
