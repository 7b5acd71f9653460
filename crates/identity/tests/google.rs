//! What is sent to Google, and what is made of its answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it fails"
)]

#[cfg(test)]
mod support;

#[cfg(test)]
mod tests {
    use safeconduct_identity::provider::{AccessBoundary, AccessRule, GoogleStsOptions};
    use serde_json::{Value, json};

    use super::support::{Bench, Caller, Reply, TokenEndpoint, google};

    /// Edge: 101
    #[tokio::test]
    async fn the_token_service_is_asked_as_googles_own_library_asks_it_and_without_authorization() {
        let endpoint = TokenEndpoint::start(|_| Reply::granted("ya29.federated", 3599)).await;
        let alice = Caller::named("alice");
        let bench = Bench::new(vec![google::sts(&endpoint.url, GoogleStsOptions::default())]);
        assert_eq!(bench.token(&alice).await.unwrap(), "ya29.federated");
        let asked = endpoint.asked().remove(0);
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", google::POOL),
            ("scope", "https://www.googleapis.com/auth/bigquery"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", &alice.token()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        for (name, value) in expected {
            assert_eq!(asked.one(name), value, "{name}");
        }
        assert!(asked.headers.get("authorization").is_none(), "Google refuses one");
        assert!(asked.all("options").is_empty());
    }

    /// Edge: 101
    #[tokio::test]
    async fn a_workforce_project_and_an_access_boundary_stand_in_the_options_encoded_once() {
        let endpoint = TokenEndpoint::start(|_| Reply::granted("ya29.federated", 3599)).await;
        let rule = AccessRule {
            available_resource: "//storage.googleapis.com/projects/_/buckets/b".into(),
            available_permissions: vec!["inRole:roles/storage.objectViewer".into()],
            availability_condition: None,
        };
        let options = GoogleStsOptions {
            user_project: Some("987654".into()),
            access_boundary: Some(AccessBoundary { access_boundary_rules: vec![rule] }),
        };
        Bench::new(vec![google::sts(&endpoint.url, options)]).token(&Caller::named("alice")).await.unwrap();
        let options: Value = serde_json::from_str(endpoint.asked().remove(0).one("options")).unwrap();
        assert_eq!(
            options,
            json!({
                "userProject": "987654",
                "accessBoundary": { "accessBoundaryRules": [{
                    "availableResource": "//storage.googleapis.com/projects/_/buckets/b",
                    "availablePermissions": ["inRole:roles/storage.objectViewer"],
                }] },
            })
        );
    }

    #[tokio::test]
    async fn keys_that_google_could_not_fetch_are_no_fault_of_the_token_and_it_is_asked_once_more() {
        let issuer = r#"{"error":"invalid_grant","error_description":"Error connecting to the given credential's issuer."}"#;
        let script = move |number| match number {
            1 => Reply::json(400, issuer),
            _ => Reply::granted("ya29.federated", 3599),
        };
        let endpoint = TokenEndpoint::start(move |asked| script(asked.number)).await;
        let bench = Bench::new(vec![google::sts(&endpoint.url, GoogleStsOptions::default())]);
        assert_eq!(bench.token(&Caller::named("alice")).await.unwrap(), "ya29.federated");
        assert_eq!(endpoint.count(), 2);
        let down = TokenEndpoint::start(move |_| Reply::json(400, issuer)).await;
        let bench = Bench::new(vec![google::sts(&down.url, GoogleStsOptions::default())]);
        assert_eq!(bench.token(&Caller::named("alice")).await, Err("SC-C07"));
        assert_eq!(down.count(), 2);
    }

    #[tokio::test]
    async fn a_service_account_is_impersonated_with_the_federated_token_and_never_with_the_callers() {
        let endpoint = TokenEndpoint::start(|_| google::impersonated("ya29.account")).await;
        let alice = Caller::named("alice");
        let bench = Bench::new(vec![google::federated(), google::impersonate(&endpoint.url)]);
        assert_eq!(bench.token(&alice).await.unwrap(), "ya29.account");
        let asked = endpoint.asked().remove(0);
        assert!(
            asked.path.ends_with(
                "/v1/projects/-/serviceAccounts/analyst@p.iam.gserviceaccount.com:generateAccessToken"
            ),
            "{}",
            asked.path
        );
        assert_eq!(asked.headers["authorization"], "Bearer federated");
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(
            body,
            json!({"delegates": [], "scope": ["https://www.googleapis.com/auth/bigquery"], "lifetime": "900s"})
        );
        // Alone, it would have nothing but the caller's own token: nobody is asked.
        let alone = Bench::new(vec![google::impersonate(&endpoint.url)]);
        assert_eq!(alone.token(&alice).await, Err("SC-C06"));
        assert_eq!(endpoint.count(), 1);
    }
}
