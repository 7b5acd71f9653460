use std::time::{Duration, Instant};

use safeconduct_testkit::canary;

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
    let began = Instant::now();
    let mut stage = Stage::build().await.unwrap();
    let report = played(&mut stage).await;
    assert_eq!(failed(&report), Vec::<String>::new());
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
    let mut stage = Stage::build().await.unwrap();
    let report = played(&mut stage).await;
    let numbers: Vec<usize> =
        report.scenes.iter().flat_map(|scene| &scene.checks).map(|check| check.number).collect();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_exchanges_nothing_fails_the_demo() {
    let mut stage = Stage::build().await.unwrap();
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
    let mut stage = Stage::build().await.unwrap();
    // New keys that nobody can see: what the issuer signs from now on, the API cannot verify.
    stage.sts.keys().rotate_hidden(safeconduct_testkit::keys::Algorithm::EdDsa).unwrap();
    let report = played(&mut stage).await;
    let failed = failed(&report);
    assert!(failed.iter().any(|what| what.contains("verified domain B's token")), "{failed:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_whether_it_is_closed_or_dropped() {
    let stage = Stage::build().await.unwrap();
    let directory = stage.directory().to_owned();
    assert!(directory.join("safeconduct.yaml").exists());
    stage.close().await;
    assert!(!directory.exists());

    let stage = Stage::build().await.unwrap();
    let directory = stage.directory().to_owned();
    drop(stage);
    assert!(!directory.exists());
}
