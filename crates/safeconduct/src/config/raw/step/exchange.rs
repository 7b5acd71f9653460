//! `exchange`: token exchange (RFC 8693).

use crate::config::decode::{Named, section};
use crate::config::presets::PresetName;
use crate::config::values::{Many, Period, SecretText, choice};

section! {
    /// Token exchange (RFC 8693). Values may use `{subject}`, `{email}`, `{claim:NAME}` and `{group:MAP}`; a caller
    /// without the claim is refused.
    Exchange {
        /// A token service whose quirks are known: what is said here counts, and the preset where nothing is
        /// (see the presets of token services below).
        preset: PresetName;
        /// The authorization server's issuer identifier: a `preset` knows the token endpoint from it.
        issuer: String;
        /// The token endpoint. Required, unless `preset` and `issuer` say where it is.
        token_endpoint: String;
        /// The name under `clients` that asks. Default: no client authentication (some token services want none).
        client: String;
        /// Logical names of the target, one `audience` parameter each (§2.1).
        audience: Many<String>;
        /// URLs of the target, one `resource` parameter each (§2.1).
        resource: Many<String>;
        /// Scopes asked for at the target.
        scopes: Many<String>;
        /// What the subject token is said to be: a URI, or the short name of one of RFC 8693 §3 (`access_token`, `jwt`,
        /// `id_token`). Default: `access_token`.
        subject_token_type: String;
        /// What is asked for: a URI, a short name, or `omit`: the parameter is not sent and the server chooses. Some
        /// servers refuse it, some require it. Default: `omit`.
        requested_token_type: String;
        /// A token for the acting party, by reference. Sent with `actor_token_type`.
        actor_token: SecretText;
        /// What the actor token is. Default: `access_token`.
        actor_token_type: String;
        /// `step`: the step before (`client_credentials`) gives the actor token; the subject is the caller's own token
        /// then, not what that step gave. Its type is `actor_token_type`.
        actor: ActorWord;
        /// `strict`: the answer must say the `issued_token_type` that was asked for; `lenient`: it may say nothing, as
        /// some servers do. Default: `strict`.
        issued_token_type: IssuedType;
        /// What the `aud` of an issued JWT must be: `exact`, nothing but what was asked for; `contains`, something of it;
        /// `any`, not looked at. Default: `exact`.
        issued_audience: IssuedAudience;
        /// The `aud` that the issued token has, where it is not the word that is asked for. Default: what is asked for.
        expected_audience: Many<String>;
        /// What happens to a token with more scopes than were asked for: `refuse`, or `accept` for servers that add
        /// scopes of their own (Keycloak). Default: `refuse`.
        broader_scope: BroaderScope;
        /// The answer holds an object in place of a token (Okta: `vaulted-secret`, `service-account`): which member of it is
        /// the credential. Needs a `requested_token_type`.
        field: String;
        /// The same: its members `username` and `password` together are the credential, as HTTP Basic wants them; deliver
        /// it with `prefix: "Basic "`. Default: `false`.
        basic: bool;
        /// More parameters of the request, as the provider wants them.
        parameters: Named<String>;
        /// Uses an issued token no longer than this. Default: no limit besides the answer's and the caller's token's.
        max_lifetime: Period;
        /// After a caller's token was refused, asks for this caller again no sooner than after this time: some services
        /// lock out whoever presents bad tokens often, and all callers with it. Default: `1s`.
        pause_after_refusal: Period;
        /// Waits this long for one attempt. Default: `5s`.
        attempt_timeout: Period;
        /// Waits this long in all, retries included. Default: `timeouts.token_endpoint`.
        timeout: Period;
        /// Accepts plain http for an endpoint that is not on this machine. Default: `false`.
        allow_http: bool;
    }
}

choice! {
    /// Where the actor token comes from.
    pub(crate) ActorWord {
        /// From the step before.
        "step" => Step,
    }
}

choice! {
    /// Whether an answer may leave out `issued_token_type`.
    pub IssuedType {
        /// It must be there and as asked for.
        "strict" => Strict,
        /// It may be missing.
        "lenient" => Lenient,
    }
}

choice! {
    /// What the audience of an issued JWT must be.
    pub IssuedAudience {
        /// Nothing but what was asked for.
        "exact" => Exact,
        /// Something of what was asked for.
        "contains" => Contains,
        /// Not looked at.
        "any" => Any,
    }
}

choice! {
    /// What happens to a token with more scopes than were asked for.
    pub BroaderScope {
        /// It is refused.
        "refuse" => Refuse,
        /// It is used, and its scopes are recorded.
        "accept" => Accept,
    }
}
