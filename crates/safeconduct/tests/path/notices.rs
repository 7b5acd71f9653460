//! When policies change, so do lists: whoever listens is told, if the server announces changes at all.

use serde_json::json;

use crate::world::{POLICIES, World};

fn change_policies(world: &World) {
    let more = format!("{POLICIES}\nforbid (principal, action, resource == Tool::\"orders/echo\");\n");
    std::fs::write(world.dir.join("policies/orders.cedar"), more).unwrap();
    world.gateway.as_ref().unwrap().hang_up(&world.config());
}

/// Row: P12
#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_listener_is_told_that_policies_changed_its_lists() {
    let world = World::start().await;
    let client = world.legacy("alice").await;
    assert!(client.list("tools").await.unwrap().names().contains(&"echo".into()));
    let mut stream = client.listen(None).await.unwrap();
    change_policies(&world);
    let told = stream.next_message().await.unwrap().unwrap();
    assert_eq!(told, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert!(!client.list("tools").await.unwrap().names().contains(&"echo".into()));
}

/// Row: P12
#[tokio::test(flavor = "multi_thread")]
async fn a_modern_listener_is_told_of_the_lists_that_it_asked_about() {
    let world = World::start().await;
    let client = world.modern("alice");
    let wanted = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": false}});
    let mut stream = client.open("subscriptions/listen", wanted).await.unwrap();
    let acknowledged = stream.next_message().await.unwrap().unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    change_policies(&world);
    let told = stream.next_message().await.unwrap().unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let meta = "io.modelcontextprotocol/subscriptionId";
    assert_eq!(told["params"]["_meta"][meta], acknowledged["params"]["_meta"][meta]);
    assert!(!told["params"]["_meta"][meta].is_null());
}
