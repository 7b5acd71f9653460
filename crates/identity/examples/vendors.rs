//! What the vendors' own libraries judge in `interop/vendors.sh`: the testkit's Entra and Google, and an identity provider
//! that both know. `vendors DIRECTORY ENTRA` writes what clients prove themselves with into the directory, and papers for
//! whoever ends TLS for Entra at `https://ENTRA`; it speaks HTTP at the address that it prints as `told`:
//!
//! - `/entra`, `/google`, `/workforce`: what they were asked, as JSON.
//! - `/login?user=U[&acrs=C]`: alice's or bob's token for the application. `/token?user=U`: the identity provider's.
//! - `/protect?acrs=C`: Graph is for logins with this authentication context; without `acrs`, for all.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "equipment: it speaks on stdout, and indexes JSON"
)]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use safeconduct_testkit::canary;
use safeconduct_testkit::clock::Clock;
use safeconduct_testkit::entra::{Application, Entra, GRAPH, Proof, TENANT};
use safeconduct_testkit::google::{Account, Google, Pool};
use safeconduct_testkit::idp::{Idp, Mint, User};
use safeconduct_testkit::keys::{Algorithm, SigningKey};
use safeconduct_testkit::verify::Trust;
use safeconduct_testkit::wire::{Edge, Form, Log, Reply, Seen, Serve};
use serde_json::{Value, json};

/// The application that callers' tokens are for. The others act for it in the same way, each with another proof.
const APPLICATIONS: [&str; 3] = [
    "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c001",
    "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c002",
    "2f1e7d7a-0f5c-4c5e-9a53-d2b6d7a3c003",
];
const POOL: &str =
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/corp/providers/idp";
const WORKFORCE: &str = "//iam.googleapis.com/locations/global/workforcePools/corp/providers/idp";
const ACCOUNT: &str = "analyst@p.iam.gserviceaccount.com";
const HOUR: Duration = Duration::from_secs(3600);

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let (Some(directory), Some(public)) = (std::env::args().nth(1), std::env::args().nth(2)) else {
        return Err("vendors DIRECTORY ENTRA".into());
    };
    let (directory, idp) = (Path::new(&directory), Idp::start().await?);
    let entra = Entra::start_behind(Some(&format!("https://{public}")), Clock::system()).await?;
    register(&entra, &idp, directory)?;
    papers(directory)?;
    for (user, group) in [("alice", "warehouse"), ("bob", "guests"), ("carol", "warehouse")] {
        idp.add_user(User::new(user, &[group]));
        entra.add_user(User::new(user, &[group]));
    }
    let pool = |provider: &str, audience: &str| Pool {
        provider: provider.into(),
        trust: Trust { issuer: idp.issuer().into(), audiences: vec![audience.into()] },
        groups: vec!["warehouse".into()],
    };
    let account = Account { email: ACCOUNT.into(), users: vec!["alice".into()] };
    let google = Google::start(pool(POOL, "mcp-gateway"), vec![account], Clock::system()).await?;
    let workforce = Google::start(pool(WORKFORCE, "mcp-gateway"), Vec::new(), Clock::system()).await?;
    let (listener, address) = Edge::bind().await?;
    for (word, value) in [
        ("idp", idp.issuer()),
        ("authority", entra.authority()),
        ("entra", entra.url().trim_start_matches("http://")),
        ("tenant", TENANT),
        ("google", google.url()),
        ("workforce", workforce.url()),
        ("told", &format!("http://{address}")),
    ] {
        println!("{word} {value}");
    }
    let told = Edge::start(listener, address, Arc::new(Told { idp, entra, google, workforce }));
    // Until it is ended.
    std::future::pending::<()>().await;
    drop(told);
    Ok(())
}

/// Three applications, proven by a secret, a certificate and a token of the identity provider.
fn register(entra: &Entra, idp: &Idp, directory: &Path) -> Outcome {
    let key = SigningKey::generate(Algorithm::Rs256)?;
    let pem = key.private_pem()?;
    let certificate =
        CertificateParams::new(vec!["gateway".into()])?.self_signed(&KeyPair::from_pem(&pem)?)?;
    let secret = format!("{}+/&=", canary::secret("entra"));
    let federated = Mint::user("system:serviceaccount:mcp:gateway").audience("api://AzureADTokenExchange");
    for (name, text) in [
        ("secret", secret.clone()),
        ("key.pem", pem),
        ("certificate.pem", certificate.pem()),
        ("assertion", idp.issue(&federated.typ("JWT").lifetime(HOUR))),
    ] {
        std::fs::write(directory.join(name), text)?;
    }
    let proofs = [
        Proof::Secret(secret),
        Proof::certificate(key.jwk(), certificate.der()),
        Proof::Federated {
            issuer: idp.issuer().into(),
            subject: "system:serviceaccount:mcp:gateway".into(),
            audience: "api://AzureADTokenExchange".into(),
        },
    ];
    for (id, proof) in APPLICATIONS.into_iter().zip(proofs) {
        let consented = vec![format!("{GRAPH}/User.Read")];
        entra.add_application(Application { id: id.into(), proof, consented });
    }
    Ok(())
}

/// A certificate for 127.0.0.1, and the authority that it is of.
fn papers(directory: &Path) -> Outcome {
    let (authority, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut of_authority = CertificateParams::new(Vec::new())?;
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    of_authority.distinguished_name.push(DnType::CommonName, "interop authority");
    // Python's OpenSSL wants an authority to say what its key is for.
    of_authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = CertifiedIssuer::self_signed(of_authority, authority)?;
    let mut own = CertificateParams::new(vec!["127.0.0.1".into()])?;
    own.use_authority_key_identifier_extension = true;
    let certificate = own.signed_by(&key, &issuer)?;
    std::fs::write(directory.join("authority.pem"), issuer.pem())?;
    std::fs::write(directory.join("tls.pem"), certificate.pem())?;
    std::fs::write(directory.join("tls-key.pem"), key.serialize_pem())?;
    Ok(())
}

struct Told {
    idp: Idp,
    entra: Entra,
    google: Google,
    workforce: Google,
}

impl Serve for Told {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let query = Form::parse(seen.uri.query().unwrap_or_default().as_bytes());
        let (user, acrs) = (query.one("user").unwrap_or_default(), query.one("acrs"));
        let told = match seen.path() {
            "/entra" => requests(self.entra.log()),
            "/google" => requests(self.google.log()),
            "/workforce" => requests(self.workforce.log()),
            "/login" => {
                let application = query.one("application").unwrap_or_default();
                json!(self.entra.mint_with(user, application, "Mcp.Call", HOUR, &json!({ "acrs": acrs })))
            }
            "/token" => json!(self.idp.mint(user, "mcp-gateway", "mcp", HOUR)),
            "/protect" => {
                self.entra.protect(GRAPH, acrs);
                Value::Null
            }
            _ => return Reply::empty(StatusCode::NOT_FOUND),
        };
        Reply::json(StatusCode::OK, &told)
    }
}

fn requests(log: &Log) -> Value {
    let request = |seen: &Seen| {
        let value = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Vec<Value> =
            seen.headers.iter().map(|(name, text)| json!([name.as_str(), value(text)])).collect();
        json!({
            "method": seen.method.as_str(),
            "target": seen.uri.to_string(),
            "headers": headers,
            "body": STANDARD.encode(&seen.body),
        })
    };
    log.all().iter().map(request).collect()
}
