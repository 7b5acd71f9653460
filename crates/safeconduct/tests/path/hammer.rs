//! Two users at once, for some seconds, while credentials end and are refreshed, servers refuse them, logins are ended and
//! begun anew, and the plan is replaced. No credential and no answer is ever somebody else's, and nothing from before a
//! revocation is used after it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use safeconduct_testkit::client::Client;
use safeconduct_testkit::idp::Logout;
use safeconduct_testkit::keys::claims_of;
use safeconduct_testkit::wire::{Reply, Seen};
use serde_json::{Value, json};

use crate::patience::within;
use crate::revoke;
use crate::world::{Plan, World};

const USERS: [&str; 2] = ["alice", "carol"];
const LASTING: Duration = Duration::from_secs(8);
/// What was written to the server's socket in the moment of a revocation may be read by the server a little later.
const ON_THE_WAY: Duration = Duration::from_millis(300);

/// What was seen where, and when.
#[derive(Default)]
struct Watch {
    /// When a token was issued, by its `jti`.
    issued: Mutex<HashMap<String, Instant>>,
    /// Who called in the server's sight, with which token, and when.
    seen: Mutex<Vec<(String, String, Instant)>>,
    /// Whose credential came with whose call.
    mixed: Mutex<Vec<String>>,
    /// Whose revocation began and was done when.
    revoked: Mutex<Vec<(String, Instant, Instant)>>,
    answered: AtomicUsize,
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Watch {
    /// The server: it says whose call it was, and refuses one in fifty.
    fn answer(&self, seen: &Seen) -> Reply {
        let message = seen.json();
        let arguments = &message["params"]["arguments"];
        let whose = arguments["who"].as_str().unwrap_or_default().to_owned();
        let claims = claims_of(seen.bearer().unwrap());
        let (subject, id) =
            (claims["sub"].as_str().unwrap().to_owned(), claims["jti"].as_str().unwrap().to_owned());
        if message["method"] == "tools/call" {
            if subject != whose {
                self.mixed.lock().unwrap().push(format!("{whose}'s call with {subject}'s credential"));
            }
            let mut all = self.seen.lock().unwrap();
            all.push((subject, id, Instant::now()));
            if all.len().is_multiple_of(50) {
                return Reply::json(StatusCode::UNAUTHORIZED, &json!({"error": "expired"}));
            }
        }
        let text = format!("{whose} {}", arguments["number"]);
        let result = match message["method"].as_str() {
            Some("initialize") => {
                json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}})
            }
            _ => json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}),
        };
        let reply =
            Reply::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
        match message["method"].as_str() {
            Some("initialize") => reply.header(
                "mcp-session-id",
                format!("session-of-{subject_of}", subject_of = claims["sub"].as_str().unwrap()),
            ),
            _ => reply,
        }
    }

    /// One client of one user: calls, and logs in anew whenever it is told to.
    async fn calls(&self, world: &World, user: &str, legacy: bool) {
        let url = world.url();
        let login = || {
            let token = world.token(user);
            if legacy { Client::legacy(&url).bearer(&token) } else { Client::modern(&url).bearer(&token) }
        };
        let mut client = login();
        if legacy {
            let _ = client.connect().await;
        }
        for number in 0_u64.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let Ok(answer) = client.call("echo", json!({"who": user, "number": number})).await else {
                continue;
            };
            match (answer.status.as_u16(), answer.error_code()) {
                (200, None) => {
                    assert_eq!(answer.text(), format!("{user} {number}"));
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                // The server refused the credential twice, or a moment ago.
                (200, Some(-32603)) => {}
                // A session from before a revocation.
                (404, _) if legacy => {
                    let _ = client.connect().await;
                }
                (401, _) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    client = login();
                    if legacy {
                        let _ = client.connect().await;
                    }
                }
                other => panic!("{other:?}: {}", String::from_utf8_lossy(&answer.body)),
            }
        }
    }

    /// Ends one user's logins now and then, each time by the other way.
    async fn revokes(&self, world: &World) {
        for number in 0.. {
            tokio::time::sleep(Duration::from_millis(900)).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            let user = USERS[number % 2];
            let began = Instant::now();
            let done = match number / 2 % 2 {
                0 => world.order(&json!({"subject": user})).await,
                _ => world.log_out(&world.idp.logout_token(&Logout::of("safeconduct").subject(user))).await,
            };
            assert_eq!(done.status, 200);
            self.revoked.lock().unwrap().push((user.to_owned(), began, Instant::now()));
        }
    }

    /// Puts another plan to work, whose credentials are others, and back.
    async fn reloads(&self, world: &World) {
        let text = std::fs::read_to_string(world.config()).unwrap();
        let other = text.replace("audience: backend-server,", "audience: backend-server, max_lifetime: 40s,");
        assert_ne!(text, other);
        for number in 0.. {
            tokio::time::sleep(Duration::from_millis(700)).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            std::fs::write(world.config(), if number % 2 == 0 { &other } else { &text }).unwrap();
            let gateway = world.gateway.as_ref().unwrap();
            tokio::task::block_in_place(|| gateway.hang_up(&world.config()));
        }
    }

    fn judge(&self) {
        assert_eq!(*self.mixed.lock().unwrap(), [""; 0]);
        let (issued, seen) = (self.issued.lock().unwrap(), self.seen.lock().unwrap());
        let mut held = 0;
        for (user, began, done) in self.revoked.lock().unwrap().iter() {
            for (subject, id, at) in seen.iter().filter(|(subject, ..)| subject == user) {
                if *at > *done + ON_THE_WAY {
                    held += 1;
                    assert!(issued[id] >= *began, "{subject} used what was issued before the revocation");
                }
            }
        }
        let (answered, refused) =
            (self.answered.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        assert!(answered > 200 && refused > 10 && held > 200, "{answered} {refused} {held}");
        assert!(issued.len() > 20, "{} credentials were bought", issued.len());
    }
}

/// Edge: 35, 39, 43, 63, 76
/// Row: A18
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_credential_and_no_answer_is_ever_somebody_elses() {
    let world = World::with(Plan { behind: crate::world::Behind::Scripted, ..revoke::plan() }).await;
    let watch = Arc::new(Watch::default());
    let server = watch.clone();
    world.backend().answers(move |seen| server.answer(seen));
    let issuer = watch.clone();
    world.idp.twist(move |answer: &mut Value| {
        let claims = claims_of(answer["access_token"].as_str().unwrap());
        issuer.issued.lock().unwrap().insert(claims["jti"].as_str().unwrap().to_owned(), Instant::now());
        // Kept for three seconds, and fetched anew ahead of their end.
        answer["expires_in"] = json!(13);
    });
    let ends = async {
        tokio::time::sleep(LASTING).await;
        watch.over.store(true, Ordering::Relaxed);
    };
    let clients =
        USERS.iter().flat_map(|user| [(*user, false), (*user, false), (*user, false), (*user, true)]);
    let calls = clients.map(|(user, legacy)| watch.calls(&world, user, legacy));
    within_the_hammer(async {
        tokio::join!(
            futures_util::future::join_all(calls),
            watch.revokes(&world),
            watch.reloads(&world),
            ends,
        );
    })
    .await;
    watch.judge();

    // When it is over, nobody's login is left: nothing of theirs is kept, and nothing is let in.
    let before: Vec<_> = USERS.iter().map(|user| world.modern(user)).collect();
    for user in USERS {
        assert_eq!(world.order(&json!({"subject": user})).await.status, 200);
    }
    let admin = world.gateway.as_ref().unwrap().admin.unwrap();
    let status =
        safeconduct_testkit::wire::fetch::get(&format!("http://{admin}/status")).await.unwrap().json();
    assert_eq!(status["credentials"]["entries"], 0, "{}", status["credentials"]);
    let asked = world.backend().log().count();
    for client in &before {
        assert_eq!(within(client.call("echo", json!({}))).await.unwrap().status, 401);
    }
    assert_eq!(world.backend().log().count(), asked);
}

async fn within_the_hammer(all: impl Future<Output = ()>) {
    tokio::time::timeout(LASTING + Duration::from_secs(30), all).await.expect("it does not end");
}
