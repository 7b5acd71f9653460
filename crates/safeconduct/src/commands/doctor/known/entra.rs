//! Microsoft Entra ID (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "AADSTS500131: Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '00000003-0000-0000-c000-000000000000' and the expected audience is 'api://gateway'.",
        words: &["aadsts500131"],
        means: "The caller's token was issued for another application than the one that presents it.",
        fix: "On-behalf-of takes only a token whose `aud` is this gateway's own application: let MCP clients ask for a scope of that application (api://CLIENT_ID/...), not for Microsoft Graph, and give the step the same client.",
    },
    Known {
        said: "AADSTS50013: Assertion failed signature validation. [Reason - The key was not found.]",
        words: &["aadsts50013"],
        means: "Entra does not accept the caller's token as an assertion: it is of another tenant or audience, has expired, or is signed by keys that Entra does not use for it.",
        fix: "Is the step's `tenant` the one that issued the token? Is the token for this application (`aud`) and not for Microsoft Graph? An application with custom signing keys cannot be the middle tier.",
    },
    Known {
        said: "AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
        words: &["aadsts50076"],
        means: "Conditional access wants a second factor for the target, and the caller logged in without one.",
        fix: "The caller logs in again; the gateway hands the claims challenge on to MCP clients. For a token from a file: get one with MFA.",
    },
    Known {
        said: "AADSTS50079: Due to a configuration change made by your administrator, or because you moved to a new location, you must enroll in multi-factor authentication to access the resource.",
        words: &["aadsts50079"],
        means: "The caller has no second factor registered, and conditional access wants one.",
        fix: "The caller registers one at https://aka.ms/mfasetup and logs in again.",
    },
    Known {
        said: "AADSTS53003: Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        words: &["aadsts53003"],
        means: "A conditional access policy does not allow this token.",
        fix: "In the sign-in log of the tenant the entry names the policy; exempt the gateway's application from it, or meet its conditions.",
    },
    Known {
        said: "AADSTS65001: The user or administrator has not consented to use the application with ID '11f0' named 'gateway'. Send an interactive authorization request for this user and resource.",
        words: &["aadsts65001"],
        means: "Nobody has consented that the gateway's application may use the target in this user's name.",
        fix: "Grant admin consent: az ad app permission admin-consent --id CLIENT_ID (first add the delegated permission that the step's `scopes` name).",
    },
    Known {
        said: "AADSTS70011: The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid.",
        words: &["aadsts70011"],
        means: "The step's `scopes` are not scopes of one resource, or not as that resource defines them.",
        fix: "Use the full form, https://graph.microsoft.com/User.Read or api://APP/.default, and scopes of one resource in one step.",
    },
    Known {
        said: "AADSTS70021: No matching federated identity record found for presented assertion. Assertion Issuer: 'https://oidc.example'. Assertion Subject: 'system:serviceaccount:x'.",
        words: &["aadsts70021"],
        means: "No federated credential of the application fits the issuer, subject and audience of the gateway's assertion.",
        fix: "Issuer and subject are compared letter by letter (a trailing slash counts), the audience must be api://AzureADTokenExchange: `safeconduct setup entra` prints the credential. A new one takes some minutes.",
    },
    Known {
        said: "AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:a:b'. Please note that the matching is done using a case-sensitive comparison.",
        words: &["aadsts700213"],
        means: "The federated credential of the application names another subject than the gateway's assertion has.",
        fix: "Set `subject` of the federated credential to the assertion's `sub`, letter by letter: `safeconduct setup entra` prints it.",
    },
    Known {
        said: "AADSTS700211: No matching federated identity record found for presented assertion issuer 'https://oidc.example/'.",
        words: &["aadsts700211"],
        means: "The federated credential of the application names another issuer than the gateway's assertion has.",
        fix: "Set `issuer` of the federated credential to the assertion's `iss`, letter by letter, with or without the slash at its end.",
    },
    Known {
        said: "AADSTS700212: No matching federated identity record found for presented assertion audience 'api://other'.",
        words: &["aadsts700212"],
        means: "The gateway's assertion is for another audience than the federated credential names.",
        fix: "Project the platform's token for the audience api://AzureADTokenExchange (other clouds: api://AzureADTokenExchangeUSGov, ...China).",
    },
    Known {
        said: "AADSTS700016: Application with identifier '11f0' was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant.",
        words: &["aadsts700016"],
        means: "There is no application with the client's `client_id` in this tenant.",
        fix: "Compare `client_id` and `tenant`: az ad app show --id CLIENT_ID. An application of another tenant needs a service principal here: az ad sp create --id CLIENT_ID.",
    },
    Known {
        said: "AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-01T00:00:00.0Z, assertion valid from 2025-12-31T00:00:00.0Z, expiry time of assertion 2025-12-31T01:00:00.0Z.",
        words: &["aadsts700024"],
        means: "The gateway's assertion has expired, or the clocks differ.",
        fix: "Is the token file renewed by the platform (the gateway reads it anew each time)? Does this machine keep time (chronyc tracking)?",
    },
    Known {
        said: "AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]",
        words: &["aadsts700027"],
        means: "Entra does not know the certificate that the gateway signs with.",
        fix: "Upload it: az ad app credential reset --id CLIENT_ID --cert @gateway.crt --append; and name the same certificate in the client's `certificate`.",
    },
    Known {
        said: "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '11f0'.",
        words: &["aadsts7000215"],
        means: "The client secret is wrong: often the secret's ID was taken for its value.",
        fix: "Make a new one and take its value: az ad app credential reset --id CLIENT_ID --append. Better: no secret at all (`safeconduct setup entra`).",
    },
    Known {
        said: "AADSTS7000222: The provided client secret keys for app '11f0' are expired. Visit the Azure portal to create new keys for your app.",
        words: &["aadsts7000222"],
        means: "The client secret has expired.",
        fix: "Make a new one: az ad app credential reset --id CLIENT_ID --append. Better: no secret at all (`safeconduct setup entra`).",
    },
    Known {
        said: "AADSTS7000218: The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        words: &["aadsts7000218"],
        means: "Entra wants the client to prove itself, and nothing was sent.",
        fix: "Give the client an `auth` with a key, an assertion file or a secret.",
    },
    Known {
        said: "AADSTS90002: Tenant 'contoso.example' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
        words: &["aadsts90002"],
        means: "There is no such tenant in this cloud.",
        fix: "Compare the step's `tenant`; for a sovereign cloud set its `authority` (https://login.microsoftonline.us, https://login.partner.microsoftonline.cn).",
    },
    Known {
        said: "AADSTS90014: The required field 'scope' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
        words: &["aadsts90014"],
        means: "The request lacks a parameter that Entra wants; most often the step has no `scopes`.",
        fix: "Name the scopes, such as [https://graph.microsoft.com/.default]. Entra knows no `audience` and no `resource` here.",
    },
    Known {
        said: "AADSTS9002313: Invalid request. Request is malformed or invalid.",
        words: &["aadsts9002313"],
        means: "Entra could not read the request: most often the assertion is no JWT, or the endpoint is another product's.",
        fix: "Use `entra_obo` (Entra knows no RFC 8693 token exchange), and a token that is a JWT.",
    },
    Known {
        said: "AADSTS9010010: The resource parameter provided in the request doesn't match with the requested scopes.",
        words: &["aadsts9010010"],
        means: "A `resource` was sent beside scopes that are not its own; Entra v2 derives the resource from the scopes.",
        fix: "Take `resource` out of the step, and write scopes as api://APP/SCOPE. If an MCP client sends it at login: register the gateway's resource identifier as an Application ID URI.",
    },
    Known {
        said: "AADSTS500011: The resource principal named https://mcp.example.com was not found in the tenant named Contoso.",
        words: &["aadsts500011"],
        means: "The resource that is asked for is no application of this tenant.",
        fix: "Register it as an Application ID URI (az ad app update --id CLIENT_ID --identifier-uris URI), or correct the step's `scopes`.",
    },
    Known {
        said: "AADSTS650053: The application asked for scope 'mcp' that doesn't exist on the resource '00000003-0000-0000-c000-000000000000'.",
        words: &["aadsts650053"],
        means: "A scope without a resource before it is looked for at Microsoft Graph, which does not have it.",
        fix: "Write the scope with its application: api://CLIENT_ID/SCOPE; it must be under `Expose an API` there.",
    },
    Known {
        said: "AADSTS50027: JWT token is invalid or malformed.",
        words: &["aadsts50027"],
        means: "What was presented as an assertion is no JWT that Entra can read.",
        fix: "On-behalf-of takes an access token of Entra for this application, of version 2.0 (requestedAccessTokenVersion: 2).",
    },
    Known {
        said: "AADSTS700082: The refresh token has expired due to inactivity.",
        words: &["aadsts700082"],
        means: "The caller's login at Entra is too old.",
        fix: "The caller logs in again; the gateway itself holds no refresh token.",
    },
];
