//! Lists of a server whose tools are pinned.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{EVENTS, JSON, Stage, legacy, list, result};
use crate::mcp::Verb;
use crate::mcp::fixture::server;
use crate::pins::{Ledger, Note, Pinned, Pins};
use crate::server::Server;
use crate::time::Timestamp;

/// When the fixture's replies come.
const NOW: Timestamp = Timestamp::from_secs(590);
const ADD: &str = r#"{"name":"add", "n":1e3,"annotations":{"readOnlyHint":true}}"#;
const ADD_CHANGED: &str = r#"{"name":"add", "n":1e3,"annotations":{"readOnlyHint":false},"Description":"x"}"#;
const SUM: &str = r#"{"x":{} ,"name":"sum"}"#;
const SECRET: &str = r#"{"name":"secret"}"#;

struct Deaf;

impl Ledger for Deaf {
    fn note(&self, _: &str, _: Timestamp, _: Note) {}
}

/// Settled with the first whole list.
fn pinned() -> Server {
    let pins = Pins::new("orders", Duration::ZERO, Pinned::default(), Arc::new(Deaf));
    Server { pins: Some(Arc::new(pins)), ..server("orders") }
}

fn tools(items: &[&str]) -> String {
    result(&format!("{{ \"tools\" : [ {} ] }}", items.join(" ,\n")))
}

fn listed(stage: &Stage, items: &[&str]) -> String {
    stage.ask(&legacy(Verb::Post), &list("tools/list"), JSON, &[&tools(items)]).text
}

#[test]
fn a_changed_tool_is_cut_out_of_answers_and_of_resumed_streams() {
    let stage = Stage::new(pinned());
    let pins = stage.server.pins.clone().unwrap();
    assert_eq!(listed(&stage, &[ADD, SECRET, SUM]), tools(&[ADD, SUM]), "the policy hides one");
    assert_eq!(listed(&stage, &[ADD_CHANGED, SECRET, SUM]), tools(&[SUM]));
    assert!(pins.objection("add", NOW).is_some() && pins.objection("sum", NOW).is_none());
    assert_eq!(listed(&stage, &[ADD, SUM]), tools(&[ADD, SUM]));

    let event = |items: &[&str]| {
        // The data of an event is one line.
        format!("id: 7\ndata: {}\n\n", tools(items).replace('\n', " "))
    };
    let posted = stage.ask(&legacy(Verb::Post), &list("tools/list"), EVENTS, &[&event(&[ADD_CHANGED, SUM])]);
    assert_eq!(posted.text, event(&[SUM]));
    assert_eq!(listed(&stage, &[ADD, SUM]), tools(&[ADD, SUM]));
    let resumed = stage.ask(&legacy(Verb::Get), "", EVENTS, &[&event(&[ADD, SUM])]);
    assert_eq!(resumed.text, event(&[ADD, SUM]));
    let resumed = stage.ask(&legacy(Verb::Get), "", EVENTS, &[&event(&[ADD_CHANGED, SUM])]);
    assert_eq!(resumed.text, event(&[SUM]));
    assert!(pins.objection("add", NOW).is_some());
}

#[test]
fn what_this_caller_may_not_see_is_pinned_too() {
    let stage = Stage::new(pinned());
    listed(&stage, &[ADD, SECRET]);
    let pins = stage.server.pins.clone().unwrap();
    assert_eq!(pins.objection("secret", NOW), None);
    assert!(pins.objection("never", NOW).is_some());
}

#[test]
fn what_is_quarantined_teaches_nothing() {
    let stage = Stage::new(pinned());
    listed(&stage, &[ADD]);
    let read_only = || stage.server.catalogue.tool("add").unwrap().hints.read_only;
    assert!(read_only());
    listed(&stage, &[ADD_CHANGED]);
    assert!(read_only(), "as it was approved");
    stage.server.catalogue.forget(&["add".into()]);
    assert!(stage.server.catalogue.tool("add").is_none());
}

#[test]
fn a_list_is_whole_when_all_its_pages_were_read() {
    let stage = Stage::new(pinned());
    let page = |params: &str, inner: &str| {
        let asked = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{params}}}}}"#);
        stage.ask(&legacy(Verb::Post), &asked, JSON, &[&result(inner)]).text
    };
    let (first, last) =
        (format!(r#"{{"tools":[{ADD}],"nextCursor":"p\u0032"}}"#), format!(r#"{{"tools":[{SUM}]}}"#));
    assert_eq!(page("", &first), result(&first));
    let pins = stage.server.pins.clone().unwrap();
    assert_eq!(pins.objection("never", NOW), None);
    assert_eq!(page(r#""cursor":"p2""#, &last), result(&last));
    assert!(pins.objection("never", NOW).is_some());
}

proptest! {
    #[test]
    fn what_did_not_change_is_cut_as_it_would_be_without_pins(
        spaces in proptest::collection::vec("[ \t]{0,3}", 6),
        extra in proptest::collection::vec(r#""[a-z]{1,4}\\\\u00e9":(1\.50|1E5|\[1, 2\]|"\\\\/")"#, 3),
        changed in 0..4_usize,
    ) {
        let item = |at: usize, name: &str| {
            format!("{{{}\"name\" :\"{name}\",{}{}}}", spaces[at], spaces[at + 3], extra[at])
        };
        let names = ["add", "sum", "add"];
        // The third has a name that stands there already, and is defined otherwise.
        let first = [item(0, "add"), item(1, "sum")];
        let stage = Stage::new(pinned());
        let all: Vec<&str> = first.iter().map(String::as_str).collect();
        prop_assert_eq!(listed(&stage, &all), tools(&all));
        let mut second: Vec<String> = first.to_vec();
        let mut plain = second.clone();
        if changed < 2 {
            second[changed] = second[changed].replace("\"name\"", "\"icons\":[],\"name\"");
            plain[changed] = item(changed, "secret");
        } else if changed == 2 {
            second.push(item(2, names[2]).replace("\"name\"", "\"icons\":[],\"name\""));
            plain.push(item(2, "secret"));
        }
        let (second, plain): (Vec<&str>, Vec<&str>) =
            (second.iter().map(String::as_str).collect(), plain.iter().map(String::as_str).collect());
        prop_assert_eq!(listed(&stage, &second), listed(&Stage::new(server("orders")), &plain));
    }
}
