//! AWS Security Token Service (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>).

use super::Known;

pub(super) const KNOWN: &[Known] = &[
    Known {
        said: "InvalidIdentityToken Incorrect token audience",
        words: &["incorrect token audience"],
        means: "The audience of the caller's token is none of the client ids of the identity provider in IAM.",
        fix: "Add it: aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn ARN --client-id AUD. With `azp` in the token AWS compares that instead of `aud`. `safeconduct setup aws` prints it for this configuration.",
    },
    Known {
        said: "InvalidIdentityToken No OpenIDConnect provider found in your account for https://idp.example.com",
        words: &["no openidconnect provider found"],
        means: "The role's account has no identity provider for the token's issuer.",
        fix: "Make one: aws iam create-open-id-connect-provider --url ISSUER --client-id-list AUD. The URL is the `iss` letter by letter; `safeconduct setup aws` prints the command.",
    },
    Known {
        said: "InvalidIdentityToken Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements",
        words: &["retrieve verification key from your identity provider"],
        means: "AWS could not fetch the issuer's keys; it does so from the internet, and sometimes fails for a moment.",
        fix: "Try again; if it stays so, the issuer's discovery document and keys must be reachable from the internet over https with a public certificate.",
    },
    Known {
        said: "IDPCommunicationError The identity provider could not be reached",
        words: &["idpcommunicationerror"],
        means: "AWS could not reach the issuer.",
        fix: "Try again; if it stays so, the issuer must be reachable from the internet.",
    },
    Known {
        said: "IDPRejectedClaim The identity provider reported that authentication failed",
        words: &["idprejectedclaim"],
        means: "The issuer has revoked the caller's token, or it has expired.",
        fix: "Get a new token; is the caller still active at the issuer?",
    },
    Known {
        said: "AccessDenied User: arn:aws:sts::1:assumed-role/A/b is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/B",
        words: &["not authorized to perform: sts:assumerole"],
        means: "The first role may not assume the second: both must agree.",
        fix: "The first role needs a policy that allows sts:AssumeRole on the second (and sts:TagSession, sts:SetSourceIdentity where used), and the second's trust policy must name the first: `safeconduct setup aws` prints both.",
    },
    Known {
        said: "AccessDenied Not authorized to perform sts:AssumeRoleWithWebIdentity",
        words: &["accessdenied", "not authorized to perform"],
        means: "The role's trust policy does not let this caller in, or there is no such role.",
        fix: "Compare the role's ARN and its trust policy (provider ARN, `aud`, `sub`) with the token's claims: `safeconduct setup aws` prints the policy. A new role takes some seconds. `sts:TagSession` is needed when the token carries session tags.",
    },
    Known {
        said: "ExpiredTokenException Token expired: current date/time 1 must be before the expiration date/time 0",
        words: &["expiredtoken"],
        means: "The token or the keys that were presented have expired.",
        fix: "Get a new token; if it is new, does this machine's clock go right?",
    },
    Known {
        said: "ValidationError The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        words: &["durationseconds exceeds"],
        means: "The step's `duration` is longer than the role allows; a chained role has an hour at most.",
        fix: "Lower `duration`, or raise the role's: aws iam update-role --role-name NAME --max-session-duration SECONDS.",
    },
    Known {
        said: "PackedPolicyTooLarge Packed policy consumes 105% of allotted space, please use smaller policy.",
        words: &["packedpolicytoolarge"],
        means: "Session policy and tags together are too large.",
        fix: "Shorten `policy`, use `policy_arns` instead, or pass fewer tags.",
    },
    Known {
        said: "MalformedPolicyDocument The policy is not in the valid JSON format.",
        words: &["malformedpolicydocument"],
        means: "The step's session policy is not a policy.",
        fix: "Check it: aws accessanalyzer validate-policy --policy-type IDENTITY_POLICY --policy-document file://policy.json.",
    },
    Known {
        said: "RegionDisabledException STS is not activated in this region for account:1. Your account administrator can activate STS in this region using the IAM Console.",
        words: &["regiondisabledexception"],
        means: "The token service of this region is off for the account.",
        fix: "Turn it on in IAM, Account settings, or use another `region`.",
    },
    Known {
        said: "SignatureDoesNotMatch Signature expired: 20260101T000000Z is now earlier than 20260101T001500Z (20260101T002000Z - 5 min.)",
        words: &["signature expired"],
        means: "This machine's clock is more than five minutes off.",
        fix: "Set it right (chronyc tracking, timedatectl).",
    },
    Known {
        said: "InvalidClientTokenId The security token included in the request is invalid",
        words: &["invalidclienttokenid"],
        means: "AWS does not know these keys: they are of another partition, or their region is not enabled.",
        fix: "Is the endpoint of the same partition as the role (aws, aws-cn, aws-us-gov)? For an opt-in region use the regional token service (`region`).",
    },
];
