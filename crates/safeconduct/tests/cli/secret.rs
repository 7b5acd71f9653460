//! `secret`: what is put into the encrypted file reaches the server that it is for, and nobody else sees it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use safeconduct_testkit::client::Client;
use safeconduct_testkit::idp::{Idp, User};
use safeconduct_testkit::server::{McpServer, Options};
use serde_json::json;

use crate::program::{Ran, directory, safeconduct};
use crate::serve::Served;

const IDENTITY: &str =
    "# a key for tests\nAGE-SECRET-KEY-15FJ95VEHCVR6TNYTC60SXRXULLH95CESQFX07PH2NHVR97UAC0HQADWD03\n";
const FILE: &str = "issuers: { corp: { issuer: 'https://idp.example.com' } }\n\
    servers: { orders: { url: 'http://127.0.0.1:9/mcp', credential: [ { static: { secret: encrypted:orders } } ] } }\n\
    secrets: { file: secrets.age, identity: file:key.txt }\npolicy: all.cedar\n";

/// Runs it with something on its standard input.
fn with_input(here: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_safeconduct"))
        .args(arguments)
        .current_dir(here)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses does not wait to hear it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { data: text(output.stdout), people: text(output.stderr), code: output.status.code().unwrap() }
}

fn laid_out(name: &str) -> std::path::PathBuf {
    let here = directory(name);
    std::fs::write(here.join("key.txt"), IDENTITY).unwrap();
    std::fs::write(here.join("safeconduct.yaml"), FILE).unwrap();
    std::fs::write(here.join("all.cedar"), "permit (principal, action, resource in Server::\"orders\");")
        .unwrap();
    here
}

#[test]
fn a_secret_is_put_into_the_encrypted_file_listed_by_its_name_and_removed() {
    let here = laid_out("secret");
    let missing = safeconduct(&here, &[], &["check"]);
    assert!(
        missing.code == 2 && missing.people.contains("safeconduct secret set NAME makes it"),
        "{}",
        missing.people
    );
    let set = with_input(&here, &["secret", "set", "orders"], "CANARY-one\n");
    assert_eq!((set.code, set.data.as_str()), (0, ""), "{}", set.people);
    assert_eq!(with_input(&here, &["secret", "set", "encrypted:other"], "CANARY-two").code, 0);
    let listed = safeconduct(&here, &[], &["secret", "list"]);
    assert_eq!(listed.data, "encrypted:orders\nencrypted:other\n");
    assert_eq!(
        safeconduct(&here, &[], &["secret", "list", "-o", "json"]).data,
        "[\n  \"encrypted:orders\",\n  \"encrypted:other\"\n]\n"
    );
    let checked = safeconduct(&here, &[], &["check"]);
    assert_eq!(checked.code, 0, "{}", checked.people);
    for said in [&set.people, &listed.data, &checked.data, &checked.people] {
        assert!(!said.contains("CANARY"), "{said}");
    }
    assert!(!std::fs::read_to_string(here.join("secrets.age")).unwrap().contains("CANARY"));
    assert_eq!(safeconduct(&here, &[], &["secret", "rm", "orders"]).code, 0);
    assert_eq!(safeconduct(&here, &[], &["secret", "rm", "orders"]).code, 1, "it is gone");
    let missing = safeconduct(&here, &[], &["check"]);
    assert!(missing.people.contains("there is no encrypted secret `orders`"), "{}", missing.people);
}

#[test]
fn what_cannot_be_a_secret_is_refused_and_what_is_in_the_file_stays() {
    let here = laid_out("secret-refused");
    assert_eq!(with_input(&here, &["secret", "set", "orders"], "CANARY-one").code, 0);
    let before = std::fs::read(here.join("secrets.age")).unwrap();
    for (arguments, input, words) in [
        (vec!["secret", "set", "orders"], "\n", "the value is empty"),
        (vec!["secret", "set", "two words"], "x", "a name has letters"),
        (vec!["secret", "set", "keyring:github"], "x", "expected `keyring:SERVICE/NAME`"),
        (vec!["secret", "set", "orders", "CANARY-as-argument"], "x", "unexpected argument"),
        (vec!["secret", "set", "orders", "--config", "none.yaml"], "x", "cannot read the configuration"),
    ] {
        let ran = with_input(&here, &arguments, input);
        assert!(ran.code == 2 && ran.people.contains(words), "{arguments:?}: {}", ran.people);
    }
    // Somebody else's key neither reads nor writes it.
    let other = IDENTITY.replace("# a key", "#");
    std::fs::write(here.join("key.txt"), other.lines().next().unwrap()).unwrap();
    let ran = with_input(&here, &["secret", "set", "orders"], "x");
    assert!(ran.code == 1 && ran.people.contains("`age-keygen`"), "{}", ran.people);
    assert_eq!(std::fs::read(here.join("secrets.age")).unwrap(), before);
    std::fs::write(here.join("safeconduct.yaml"), FILE.replace("secrets:", "# secrets:")).unwrap();
    let ran = with_input(&here, &["secret", "set", "orders"], "x");
    assert!(ran.code == 2 && ran.people.contains("there is no section `secrets`"), "{}", ran.people);
}

#[test]
fn where_no_keyring_answers_that_is_said_and_nothing_is_served() {
    let here = laid_out("secret-keyring");
    std::fs::write(
        here.join("safeconduct.yaml"),
        FILE.replace("encrypted:orders", "keyring:safeconduct/orders"),
    )
    .unwrap();
    let nowhere = format!("unix:path={}", here.join("no-bus").display());
    let environment = [("DBUS_SESSION_BUS_ADDRESS", nowhere.as_str())];
    for command in ["check", "serve"] {
        let ran = safeconduct(&here, &environment, &[command]);
        assert!(
            ran.code == 2 && ran.people.contains("the keyring does not answer"),
            "{command}: {}",
            ran.people
        );
        assert!(ran.people.contains("on a server take"), "{}", ran.people);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gateway_takes_the_new_value_and_the_server_sees_it() {
    let server = McpServer::start(Options::default()).await.unwrap();
    let idp = Idp::start().await.unwrap();
    idp.add_user(User::new("alice@example.com", &[]));
    let here = laid_out("secret-served");
    let file = FILE
        .replace("http://127.0.0.1:9/mcp", &server.url())
        .replace("https://idp.example.com", idp.issuer());
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    std::fs::write(
        here.join("safeconduct.yaml"),
        format!("listen: {listen}\naudit: {{ file: audit.jsonl }}\n{file}"),
    )
    .unwrap();
    assert_eq!(with_input(&here, &["secret", "set", "orders"], "CANARY-first").code, 0);
    let mut served = Served::spawn(here.clone(), &["serve"]);
    served.says("listening on ");
    let url = format!("http://{listen}/orders/mcp");
    let token = idp.mint("alice@example.com", &url, "", Duration::from_secs(3600));
    let call = async || {
        let answer = Client::modern(&url).bearer(&token).call("echo", json!({"text": "x"})).await.unwrap();
        assert_eq!(answer.status, 200, "{:?}", answer.message());
        server.log().all().last().unwrap().bearer().unwrap().to_owned()
    };
    assert_eq!(call().await, "CANARY-first");
    assert_eq!(with_input(&here, &["secret", "set", "orders"], "CANARY-second").code, 0);
    served.says("reloaded");
    let until = Instant::now() + Duration::from_secs(20);
    while call().await != "CANARY-second" {
        assert!(Instant::now() < until, "the old value is still in use");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    served.signal("-TERM");
    assert!(served.ends().success());
    assert!(!std::fs::read_to_string(here.join("audit.jsonl")).unwrap().contains("CANARY-second"));
}
