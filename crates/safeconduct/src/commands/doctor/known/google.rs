//! Google's Security Token Service and IAM Credentials API
//! (<https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.",
        words: &["target service indicated by the \"audience\" parameters is invalid"],
        means: "There is no such pool or provider, or it is disabled, or was deleted.",
        fix: "Compare the step's `audience`: it holds the project's NUMBER, not its id (gcloud projects describe PROJECT --format='value(projectNumber)'). `safeconduct setup google` prints the commands that make pool and provider. A new one takes some minutes.",
    },
    Known {
        said: "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        words: &["invalid value for \"audience\"", "full resource name"],
        means: "The step's `audience` is not the name of a provider.",
        fix: "Write //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, without https:.",
    },
    Known {
        said: "ID Token issued at 1749625771 is stale to sign-in.",
        words: &["is stale to sign-in"],
        means: "The caller's token has expired, or was issued too long ago for Google.",
        fix: "Get a new token. Google wants `exp` less than 48 hours after `iat`; does the issuer's clock go right?",
    },
    Known {
        said: "The audience in ID Token [mcp-server] does not match the expected audience https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x.",
        words: &["audience in id token", "does not match the expected audience"],
        means: "The provider does not accept the `aud` of the caller's token.",
        fix: "Add it: gcloud iam workload-identity-pools providers update-oidc PROVIDER --workload-identity-pool=POOL --location=global --allowed-audiences=AUD; `safeconduct setup google` prints it with the audiences of this configuration.",
    },
    Known {
        said: "Error connecting to the given credential's issuer.",
        words: &["error connecting to the given credential's issuer"],
        means: "Google could not fetch the issuer's discovery document or keys. It does so from the internet.",
        fix: "Try again; if it stays so, the issuer must be reachable from the internet, or its keys be uploaded: gcloud iam workload-identity-pools providers update-oidc ... --jwk-json-path=FILE.",
    },
    Known {
        said: "The given credential is rejected by the attribute condition.",
        words: &["rejected by the attribute condition"],
        means: "The provider's attribute condition does not let this caller in.",
        fix: "Look at it with gcloud iam workload-identity-pools providers describe PROVIDER ... --format='value(attributeCondition)', and compare with the token's claims above.",
    },
    Known {
        said: "The issuer in ID Token https://idp.example.com/ does not match the expected ones: https://idp.example.com.",
        words: &["issuer in id token", "does not match the expected"],
        means: "The provider was made for another issuer: the two are compared letter by letter.",
        fix: "Set the provider's issuer to the token's `iss`, with or without the slash at its end: gcloud ... providers update-oidc --issuer-uri=ISS.",
    },
    Known {
        said: "Unable to parse the ID Token.",
        words: &["unable to parse the id token"],
        means: "The caller's token is no JWT; Google takes no opaque tokens.",
        fix: "Have the issuer issue JWT access tokens, or put an `exchange` before this step that gives one.",
    },
    Known {
        said: "The size of mapped attribute google.subject exceeds the 127 bytes limit.",
        words: &["google.subject", "127 bytes"],
        means: "The claim that is mapped to google.subject is too long.",
        fix: "Map a shorter claim (assertion.oid, assertion.email), or hash it in the provider's attribute mapping.",
    },
    Known {
        said: "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
        words: &["denied on resource", "or it may not exist"],
        means: "The federated caller may not act as this service account, or there is none of this name.",
        fix: "Grant roles/iam.workloadIdentityUser on the account to the principal or group of the pool: `safeconduct setup google` prints the binding. It takes some minutes.",
    },
    Known {
        said: "IAM Service Account Credentials API has not been used in project 123 before or it is disabled.",
        words: &["service account credentials api has not been used"],
        means: "The API that impersonates service accounts is off in the account's project.",
        fix: "Turn it on: gcloud services enable iamcredentials.googleapis.com --project=PROJECT.",
    },
    Known {
        said: "Request had insufficient authentication scopes.",
        words: &["insufficient authentication scopes"],
        means: "The federated token lacks the scope to impersonate.",
        fix: "Give the `google_sts` step the scope https://www.googleapis.com/auth/iam or https://www.googleapis.com/auth/cloud-platform.",
    },
    Known {
        said: "INVALID_ARGUMENT: The caller does not have permission to set lifetime over 3600 seconds; constraints/iam.allowServiceAccountCredentialLifetimeExtension is not set",
        words: &["lifetime", "over 3600 seconds"],
        means: "A token of a service account lives an hour at most unless the organisation allows more.",
        fix: "Set the step's `lifetime` to 1h or less, or add the account to the organisation policy iam.allowServiceAccountCredentialLifetimeExtension.",
    },
];
