//! Google Cloud: `google_sts`, `google_impersonate`, `google_id_token`.

use crate::config::decode::section;
use crate::config::values::{Many, Period};

section! {
    /// The caller's token becomes one of Google's by identity federation. It speaks for the caller itself:
    /// `principal://iam.googleapis.com/.../subject/SUBJECT`.
    GoogleSts {
        /// Full resource name of the provider, with the project's number:
        /// `//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`, or of a
        /// workforce pool: `//iam.googleapis.com/locations/global/workforcePools/POOL/providers/PROVIDER`.
        audience: String;
        /// An `external_account` file, as Google's tools write it, instead of the settings that it holds. Its
        /// `credential_source` is not read: the subject is the caller.
        adc: String;
        /// Scopes asked for. Default: `https://www.googleapis.com/auth/cloud-platform`.
        scopes: Many<String>;
        /// What the subject token is said to be: `jwt`, `id_token`, `access_token` or a URI. Default: `jwt`, and `id_token` for
        /// workforce pools.
        subject_token_type: String;
        /// The token endpoint. Default: `https://sts.googleapis.com/v1/token`.
        token_endpoint: String;
        /// The name under `clients` of a workforce OAuth client. Default: none, which is right for all others.
        client: String;
        /// The project that quota goes to: for workforce pools without a `client`.
        user_project: String;
        /// Narrows the token to objects of Cloud Storage. The subject must be a token of Google then.
        access_boundary: Many<Boundary>;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

section! {
    /// What a narrowed token may reach.
    Boundary {
        /// `//storage.googleapis.com/projects/_/buckets/NAME`
        resource, required: String;
        /// `inRole:roles/storage.objectViewer`
        permissions, required: Many<String>;
        /// A condition (CEL). Default: none.
        condition: String;
    }
}

section! {
    /// A service account's access token, for the federated token of the step before.
    GoogleImpersonate {
        /// The account's address. May use `{subject}`, `{email}`, `{claim:NAME}` and `{group:MAP}`.
        service_account: String;
        /// An `external_account` file that names the account, instead of `service_account`.
        adc: String;
        /// Scopes of the token. Default: `https://www.googleapis.com/auth/cloud-platform`.
        scopes: Many<String>;
        /// Its life; more than `1h` only where the organization's policy allows it. Default: `1h`.
        lifetime: Period;
        /// Accounts on the way there, each of which may impersonate the next. Default: none.
        delegates: Many<String>;
        /// The IAM Credentials API. Default: `https://iamcredentials.googleapis.com`.
        endpoint: String;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

section! {
    /// A service account's ID token for one audience (Cloud Run, IAP), for the federated token of the step before.
    GoogleIdToken {
        /// The account's address. May use `{subject}`, `{email}`, `{claim:NAME}` and `{group:MAP}`.
        service_account, required: String;
        /// Whom the token is for: `https://service.run.app`.
        audience, required: String;
        /// Whether the account's address stands in the token. Default: `true`.
        include_email: bool;
        /// Accounts on the way there, each of which may impersonate the next. Default: none.
        delegates: Many<String>;
        /// The IAM Credentials API. Default: `https://iamcredentials.googleapis.com`.
        endpoint: String;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}
