use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use safeconduct_testkit::canary;

use super::domain_b::{Cloud, DomainB};
use super::stage::Stage;
use super::{Report, play, show};
use crate::present::Paint;

async fn played(stage: &mut Stage) -> Report {
    play(stage, Instant::now()).await.unwrap()
}

fn failed(report: &Report) -> Vec<String> {
    let checks = report.scenes.iter().flat_map(|scene| &scene.checks);
    checks.filter(|check| !check.held).map(|check| check.what.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_demo_claims_holds_within_ten_seconds_and_no_secret_is_printed() {
    for cloud in [None].into_iter().chain(Cloud::value_variants().iter().copied().map(Some)) {
        everything_holds(cloud).await;
    }
}

async fn everything_holds(cloud: Option<Cloud>) {
    let began = Instant::now();
    let mut stage = Stage::build(cloud).await.unwrap();
    let report = played(&mut stage).await;
    assert_eq!(failed(&report), Vec::<String>::new(), "{cloud:?}");
    assert!(report.held);
    assert!(began.elapsed() < Duration::from_secs(10));

    let text = show::report(&report, Paint::NEVER);
    canary::assert_clean("the report for people", text.as_bytes());
    canary::assert_clean("the report as JSON", &serde_json::to_vec(&report).unwrap());
    assert!(!text.contains('\u{1b}'), "it reads without colour");
    assert!(text.contains("All of it held."));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_are_numbered_through_all_scenes() {
    let mut stage = Stage::build(None).await.unwrap();
    let report = played(&mut stage).await;
    let numbers: Vec<usize> =
        report.scenes.iter().flat_map(|scene| &scene.checks).map(|check| check.number).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_exchanges_nothing_fails_the_demo() {
    let mut stage = Stage::build(None).await.unwrap();
    stage.idp.allow_nothing();
    let report = played(&mut stage).await;
    assert!(!report.held);
    let failed = failed(&report);
    assert!(
        failed.iter().any(|what| what.contains("audience mcp-server became backend-server")),
        "{failed:?}"
    );
    assert!(show::report(&report, Paint::NEVER).contains("FAILED"));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_trusts_somebody_else_fails_the_demo() {
    let mut stage = Stage::build(None).await.unwrap();
    let DomainB::Plain(b) = &stage.b else { panic!() };
    // New keys that nobody can see: what the issuer signs from now on, the API cannot verify.
    b.sts.keys().rotate_hidden(safeconduct_testkit::keys::Algorithm::EdDsa).unwrap();
    let report = played(&mut stage).await;
    let failed = failed(&report);
    assert!(failed.iter().any(|what| what.contains("verified domain B's token")), "{failed:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_whether_it_is_closed_or_dropped() {
    let stage = Stage::build(None).await.unwrap();
    let directory = stage.directory().to_owned();
    assert!(directory.join("safeconduct.yaml").exists());
    stage.close().await;
    assert!(!directory.exists());

    let stage = Stage::build(None).await.unwrap();
    let directory = stage.directory().to_owned();
    drop(stage);
    assert!(!directory.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_google_each_caller_is_a_principal_of_its_own_and_who_is_refused_is_refused_in_googles_word() {
    let mut stage = Stage::build(Some(Cloud::Google)).await.unwrap();
    let report = played(&mut stage).await;
    assert_eq!(failed(&report), Vec::<String>::new());
    let scene = report.scenes.iter().find(|scene| scene.title.contains("Google")).unwrap();
    let subjects: Vec<&str> =
        scene.crossings.iter().map(|crossing| crossing.after["sub"].as_str().unwrap()).collect();
    let pool =
        "principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/subject";
    assert_eq!(subjects, [format!("{pool}/alice@example.com"), format!("{pool}/carol@example.com")]);
    let text = show::report(&report, Paint::NEVER);
    assert!(text.contains("https://sts.googleapis.com") && text.contains("unauthorized_client"), "{text}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_aws_the_caller_becomes_a_session_of_a_role_and_its_requests_are_signed() {
    let mut stage = Stage::build(Some(Cloud::Aws)).await.unwrap();
    let report = played(&mut stage).await;
    let scene = report.scenes.iter().find(|scene| scene.title.contains("AWS")).unwrap();
    let after = &scene.crossings[0].after;
    assert_eq!(after["Arn"], "arn:aws:sts::123456789012:assumed-role/Warehouse/alice@example.com");
    assert!(show::report(&report, Paint::NEVER).contains("AccessKeyId"));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_entra_the_same_person_has_a_token_for_the_api_and_who_is_not_assigned_is_refused_by_number() {
    let mut stage = Stage::build(Some(Cloud::Entra)).await.unwrap();
    let report = played(&mut stage).await;
    assert_eq!(failed(&report), Vec::<String>::new());
    let scene = report.scenes.iter().find(|scene| scene.title.contains("Entra")).unwrap();
    let of = |name: &str| -> Vec<[String; 2]> {
        let text = |claims: &serde_json::Value| claims[name].as_str().unwrap().to_owned();
        scene.crossings.iter().map(|crossing| [text(&crossing.before), text(&crossing.after)]).collect()
    };
    let same = |value: &str| [value.to_owned(), value.to_owned()];
    assert_eq!(of("oid"), [same("oid-of-alice@example.com"), same("oid-of-carol@example.com")]);
    assert!(of("aud").iter().all(|[before, after]| before != after && after == "api://warehouse"));
    assert!(of("iss").iter().all(|[before, after]| before == after));
    assert!(show::report(&report, Paint::NEVER).contains("invalid_grant AADSTS50105"));
    stage.close().await;
}
