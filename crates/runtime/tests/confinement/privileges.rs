//! Who an instance is, and what it may ask of the kernel.

use serde_json::json;

use crate::world::{World, image, secret, told};

/// `clone` and `unshare`: a user namespace of one's own, where one would be root.
const NEW_USER: u64 = 0x1000_0000;

/// Row: P13
#[tokio::test]
async fn there_are_no_capabilities_and_no_way_to_any() {
    let world = World::new().await;
    let mut probe = world.probe(&world.launch("caps")).await;
    let status = probe.ask(json!({"do": "status"})).await["got"].clone();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], json!(["0000000000000000"]), "{set}");
    }
    assert_eq!(status["NoNewPrivs"], json!(["1"]));
    assert_eq!(status["Seccomp"], json!(["2"]), "no filter of system calls");
    assert_eq!(status["Uid"], json!(["1000", "1000", "1000", "1000"]));
    // An ordinary program runs, and one that would make its user root runs as its user.
    assert!(
        probe.can(json!({"do": "run", "program": ["/bin/id"]})).await["text"]
            .as_str()
            .unwrap()
            .contains("uid=1000")
    );
    let rootme = probe.can(json!({"do": "run", "file": "/bin/rootme", "program": ["id"]})).await;
    assert!(rootme["text"].as_str().unwrap().contains("uid=1000"), "{rootme}");
    assert!(!rootme["text"].as_str().unwrap().contains("euid=0"), "{rootme}");
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn system_calls_that_lead_out_are_refused() {
    let world = World::new().await;
    let mut probe = world.probe(&world.launch("calls")).await;
    assert_eq!(
        probe.ask(json!({"do": "syscall", "numbers": [39]})).await["ok"],
        true,
        "getpid is an ordinary call"
    );
    for (what, numbers) in [
        ("unshare", json!([272, NEW_USER])),
        ("mount", json!([165, 0, 0, 0, 0, 0])),
        ("pivot_root", json!([155, 0, 0])),
        ("setns", json!([308, 0, 0])),
        ("init_module", json!([175, 0, 0, 0])),
        ("kexec_load", json!([246, 0, 0, 0, 0])),
        ("reboot", json!([169, 0, 0, 0])),
        ("bpf", json!([321, 0, 0, 0])),
        ("perf_event_open", json!([298, 0, 0, 0, 0, 0])),
        ("setuid", json!([105, 0])),
    ] {
        let why = probe.cannot(json!({"do": "syscall", "numbers": numbers})).await;
        assert_eq!(why, "EPERM", "{what}");
    }
    assert_eq!(probe.cannot(json!({"do": "raw"})).await, "EPERM", "raw packets");
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn root_is_refused_under_every_name_unless_it_was_asked_for() {
    let world = World::new().await;
    let mut launch = world.launch("user");
    launch.permissions.user = Some("app".into());
    let mut probe = world.probe(&launch).await;
    assert_eq!(probe.ask(json!({"do": "status"})).await["got"]["Uid"][0], "1000");
    probe.stop().await;

    for user in ["0", "root", "0:1000", "sneaky", "nobody-knows"] {
        launch.permissions.user = Some(user.into());
        let refused = world.try_start(&launch).await.err().unwrap().to_string();
        let says = if user == "nobody-knows" { "nobody-knows" } else { "`user: 1000`" };
        assert!(refused.contains(says), "{user}: {refused}");
    }
    launch.permissions.user = None;
    launch.program = image(told("ROOT_IMAGE"), &[]);
    let refused = world.try_start(&launch).await.err().unwrap().to_string();
    assert!(refused.contains("which is root"), "{refused}");

    // Where it was asked for, it is root in name only.
    launch.permissions.root = true;
    let mut probe = world.probe(&launch).await;
    let status = probe.ask(json!({"do": "status"})).await["got"].clone();
    assert_eq!((&status["Uid"][0], &status["CapEff"][0]), (&json!("0"), &json!("0000000000000000")));
    assert_eq!(probe.cannot(json!({"do": "write", "path": "/etc/shadow"})).await, "EROFS");
    probe.stop().await;
    world.finish().await;
}

#[tokio::test]
async fn nothing_of_the_gateways_environment_is_inherited() {
    let world = World::new().await;
    let mut launch = world.launch("env");
    launch.environment = vec![("GIVEN".into(), secret("a value = \"with\" signs"))];
    let mut probe = world.probe(&launch).await;
    let environment = probe.ask(json!({"do": "environment"})).await["got"].as_object().unwrap().clone();
    assert_eq!(environment["GIVEN"], "a value = \"with\" signs");
    // The engine sets these; LC_CTYPE is Python's own.
    let usual = ["PATH", "HOME", "HOSTNAME", "TERM", "container", "LC_CTYPE", "GIVEN"];
    for (name, value) in environment {
        assert!(usual.contains(&name.as_str()) || value == "", "{name}={value}");
    }
    probe.stop().await;
    world.finish().await;
}
