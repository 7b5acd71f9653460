use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use safeconduct_core::audit::{Record, Sink};
use safeconduct_core::pins::{Ledger as _, Note};
use safeconduct_core::time::Timestamp;
use safeconduct_runtime::engine::docker::Images as _;

use super::address::address;
use super::inbox::Desk;
use super::{Keeper, as_written};
use crate::config::plan::{Plan, ServerPlan};
use crate::config::{self, Surroundings};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Method, target and detail of each record.
#[derive(Default)]
struct Records(Mutex<Vec<[String; 3]>>);

impl Sink for Records {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn write(&self, record: &Record) {
        let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
        assert_eq!(record.code, Some("SC-P08"));
        self.0.lock().unwrap().push([text(&record.method), text(&record.target), text(&record.detail)]);
    }
}

/// A directory that is gone at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("safeconduct-keeper-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn lock(&self) -> PathBuf {
        self.0.join("safeconduct.lock")
    }

    fn plan(&self, server: &str) -> Plan {
        let text = format!(
            "issuers: {{ corp: {{ issuer: 'https://idp.example.com' }} }}\n\
             servers: {{ weather: {{ credential: none, {server} }} }}\n"
        );
        let surroundings =
            Surroundings { variable: Box::new(|_| None), directory: self.0.clone(), lock: self.lock() };
        let loaded = config::read("safeconduct.yaml", &text, &surroundings);
        loaded.plan.unwrap_or_else(|| panic!("{}", loaded.report.text(false)))
    }

    fn server(&self, server: &str) -> ServerPlan {
        self.plan(server).servers.remove(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server of the path that has these pins.
fn served(plan: &ServerPlan, keeper: &Keeper) -> Arc<safeconduct_core::server::Server> {
    let chain = safeconduct_identity::acquire::CredentialPlan::None;
    let mut server = crate::app::assemble::server_of(plan, &chain, None).unwrap();
    server.pins = keeper.pins(plan);
    Arc::new(server)
}

const TAGGED: &str = "image: 'ghcr.io/acme/weather:1', allow_tags: true";

#[test]
fn a_tag_that_moved_is_not_run_until_it_is_approved_in_the_file() {
    let (place, records) = (Place::new("tag"), Arc::new(Records::default()));
    let keeper = Keeper::open(&place.lock(), records.clone()).unwrap();
    keeper.known([&served(&place.server(TAGGED), &keeper)]);
    let admit = |reference: &str, id: &str| keeper.admit("weather", reference, !reference.contains('@'), id);
    admit("ghcr.io/acme/weather:1", "sha256:1").unwrap();
    keeper.turn();
    let refused = admit("ghcr.io/acme/weather:1", "sha256:2").unwrap_err();
    assert!(refused.contains("safeconduct lock approve --server weather"), "{refused}");
    assert!(admit("ghcr.io/acme/weather:1", "sha256:2").is_err());
    keeper.turn();
    let called_out = records.0.lock().unwrap().clone();
    let [[method, target, detail]] = &called_out[..] else { panic!("{called_out:?}") };
    assert_eq!((method.as_str(), target.as_str()), ("lock/quarantine", "ghcr.io/acme/weather:1"));
    assert!(detail.ends_with("sha256:2"), "{detail}");
    assert_eq!(keeper.status()["servers"][0]["image_quarantined"], "sha256:2");

    let approved = keeper.store.change(|lock| lock.servers.get_mut("weather").unwrap().approve(None));
    assert_eq!(approved.unwrap().1, 1);
    keeper.turn();
    admit("ghcr.io/acme/weather:1", "sha256:2").unwrap();
    assert!(admit("ghcr.io/acme/weather:1", "sha256:1").is_err());
    // Another reference was written by somebody who may.
    admit("ghcr.io/acme/weather:2", "sha256:3").unwrap();
    // Of a server that is not pinned nothing is kept.
    keeper.admit("other", "x:1", true, "sha256:1").unwrap();
    keeper.admit("other", "x:1", true, "sha256:2").unwrap();
}

#[test]
fn a_plan_that_did_not_come_to_work_takes_nothing_from_the_one_that_is() {
    let place = Place::new("plans");
    let keeper = Keeper::open(&place.lock(), Arc::new(Records::default())).unwrap();
    let plan = place.server("url: 'http://127.0.0.1:1/mcp', first_use: 0s");
    let at_work = served(&plan, &keeper);
    keeper.known([&at_work]);
    let same = served(&plan, &keeper);
    assert!(Arc::ptr_eq(at_work.pins.as_ref().unwrap(), same.pins.as_ref().unwrap()));
    // Made, and thrown away.
    let other = place.server("url: 'http://127.0.0.1:2/mcp'");
    drop(served(&other, &keeper));

    let desk = |plan: &ServerPlan| Desk {
        inbox: keeper.inbox.clone(),
        address: address(plan),
        first_use: plan.pin.unwrap(),
    };
    desk(&plan).note("weather", NOW, Note::Complete);
    // What is seen of a server that is none is not written over the one that is.
    desk(&other).note("weather", NOW, Note::Complete);
    keeper.turn();
    let lock = keeper.store.read().unwrap();
    assert!(lock.entry("weather", "http://127.0.0.1:1/mcp").is_some_and(|entry| entry.complete));
    // What the file says is at work.
    assert!(at_work.pins.as_ref().unwrap().objection("never", NOW).is_some());
    assert!(as_written(&place.lock(), &plan).unwrap().unwrap().objection("never", NOW).is_some());
    assert!(as_written(&place.lock(), &other).unwrap().unwrap().objection("never", NOW).is_none());
}

#[test]
fn what_cannot_be_written_is_kept_in_memory_and_said() {
    let place = Place::new("unwritable");
    let nowhere = place.0.join("not-there/safeconduct.lock");
    let keeper = Keeper::open(&nowhere, Arc::new(Records::default())).unwrap();
    keeper.known([&served(&place.server(TAGGED), &keeper)]);
    keeper.admit("weather", "ghcr.io/acme/weather:1", true, "sha256:1").unwrap();
    keeper.turn();
    assert!(keeper.status()["error"].as_str().unwrap().contains("cannot be written"));
    assert!(keeper.admit("weather", "ghcr.io/acme/weather:1", true, "sha256:2").is_err());
}

#[test]
fn a_server_is_known_by_what_it_is_and_not_by_its_version_or_its_secrets() {
    let place = Place::new("address");
    let of = |server: &str| address(&place.server(server));
    let digest = "a".repeat(64);
    for image in ["r.example:5000/a/b:1", "r.example:5000/a/b"] {
        assert_eq!(of(&format!("image: '{image}', allow_tags: true")), "r.example:5000/a/b");
    }
    assert_eq!(of(&format!("image: 'r.example:5000/a/b:1@sha256:{digest}'")), "r.example:5000/a/b");
    assert_eq!(of("url: 'https://mcp.example.com/a?key=secret'"), "https://mcp.example.com/a");
    let command = |arguments: &str| of(&format!("command: [{arguments}], engine: process"));
    let (one, other) = (command("npx, -y, a, --key=secret"), command("npx, -y, b, --key=secret"));
    assert!(one.starts_with("npx ") && !one.contains("secret") && one != other, "{one} {other}");
}
