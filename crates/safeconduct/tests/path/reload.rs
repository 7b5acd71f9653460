//! Another plan is put to work: what goes on, what changes, and what a bad plan changes: nothing.

use safeconduct_testkit::client::Client;
use serde_json::json;

use crate::patience::{until, within};
use crate::world::{POLICIES, Plan, World};

const NO_ECHO: &str = r#"
@remedy("Echoes are off.")
forbid (principal, action == Action::"tools/call", resource == Tool::"orders/echo");
"#;

impl World {
    /// Writes the policies and does what SIGHUP does.
    fn govern(&self, policies: &str) {
        std::fs::write(self.dir.join("policies/orders.cedar"), policies).unwrap();
        self.hang_up();
    }

    fn hang_up(&self) {
        let gateway = self.gateway.as_ref().unwrap();
        tokio::task::block_in_place(|| gateway.hang_up(&self.config()));
    }

    fn edit_config(&self, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(text)).unwrap();
    }
}

async fn echoes(client: &Client) -> bool {
    client.call("echo", json!({"text": "x"})).await.unwrap().text() == "x"
}

#[tokio::test(flavor = "multi_thread")]
async fn another_policy_holds_at_once_and_open_streams_and_sessions_go_on() {
    let world = World::start().await;
    let (modern, legacy) = (world.modern("alice"), world.legacy("alice").await);
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let mut stream = within(modern.open("subscriptions/listen", wanted)).await.unwrap();
    assert!(within(stream.next_message()).await.unwrap().is_some());
    let mut standing = within(legacy.listen(None)).await.unwrap();
    let asking = json!({"name": "ask", "arguments": {}});
    let mut call = within(legacy.open("tools/call", asking)).await.unwrap();
    let question = within(call.next_message()).await.unwrap().unwrap();
    assert!(echoes(&modern).await && echoes(&legacy).await);

    world.govern(&format!("{POLICIES}{NO_ECHO}"));
    assert!(!echoes(&modern).await && !echoes(&legacy).await);
    assert!(!modern.list("tools").await.unwrap().names().contains(&"echo".to_owned()));
    world.server().announce("notifications/tools/list_changed", &json!({"from": "server"}));
    for stream in [&mut stream, &mut standing] {
        // The gateway may tell of the change itself before.
        within(async {
            while stream.next_message().await.unwrap().unwrap()["params"]["from"] != "server" {}
        })
        .await;
    }
    let accepted = legacy.respond(&question["id"], json!({"action": "decline"})).await.unwrap();
    assert_eq!(accepted.status, 202, "the question is not forgotten");
    assert!(within(call.next_message()).await.unwrap().unwrap()["result"].is_object());

    world.govern(POLICIES);
    assert!(echoes(&modern).await && echoes(&legacy).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_plan_leaves_the_old_one_at_work() {
    let world = World::start().await;
    let client = world.modern("alice");
    world.govern(&format!("{POLICIES}{NO_ECHO}"));
    assert!(!echoes(&client).await);
    for bad in [
        "permit (principal",
        "permit (principal, action, resource == Tool::\"orders/echo\") when { 1 };",
        "@@",
    ] {
        world.govern(bad);
        assert!(!echoes(&client).await, "{bad}");
        assert_eq!(client.list("prompts").await.unwrap().names(), ["greeting", "audit_report"]);
    }
    world.govern(POLICIES);
    assert!(echoes(&client).await);

    let good = std::fs::read_to_string(world.config()).unwrap();
    let spoilt: [&dyn Fn(String) -> String; 4] = [
        &|text| text.replace("servers:", "serves:"),
        &|text| format!("{text}\nunheard: of\n"),
        &|text| text.replace("client: gateway", "client: nobody"),
        &|_| "{{{".to_owned(),
    ];
    for change in spoilt {
        world.edit_config(change);
        world.hang_up();
        assert!(echoes(&client).await);
        world.edit_config(|_| good.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_noticed_without_a_signal() {
    let world = World::start().await;
    let client = world.modern("alice");
    world.gateway.as_ref().unwrap().watch(world.config());
    assert!(echoes(&client).await);
    std::fs::write(world.dir.join("policies/more.cedar"), NO_ECHO).unwrap();
    until(|| async { !echoes(&client).await }).await;
    std::fs::remove_file(world.dir.join("policies/more.cedar")).unwrap();
    until(|| echoes(&client)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_taken_out_of_the_file_is_gone_and_another_comes() {
    let world = World::start().await;
    let client =
        |name: &str| Client::modern(&format!("{}/{name}/mcp", world.base)).bearer(&world.token("alice"));
    assert_eq!(client("other").connect().await.unwrap().status, 200);
    assert_eq!(client("third").connect().await.unwrap().status, 404);
    world.edit_config(|text| text.replace("  other:\n", "  third:\n"));
    world.hang_up();
    assert_eq!(client("other").connect().await.unwrap().status, 404);
    assert_eq!(client("third").connect().await.unwrap().status, 200);
}

/// Row: P15
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_gives_nobody_new_calls() {
    let world = World::with(Plan { top: "limits: { per_caller: 2/h }".into(), ..Plan::default() }).await;
    let client = world.modern("alice");
    assert!(echoes(&client).await && echoes(&client).await);
    world.govern(&format!("{POLICIES}\n"));
    assert_eq!(client.call("echo", json!({})).await.unwrap().status, 429);
}
