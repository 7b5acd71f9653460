use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use super::{Definition, Ledger, Note, Page, Pin, Pinned, Pins, Seen};
use crate::caller::Fingerprint;
use crate::mcp::json;
use crate::time::Timestamp;

const ALICE: Fingerprint = Fingerprint([1; 32]);
const BOB: Fingerprint = Fingerprint([2; 32]);
const NOW: Timestamp = Timestamp::from_secs(1000);

#[derive(Default)]
struct Heard(Mutex<Vec<Note>>);

impl Ledger for Heard {
    fn note(&self, server: &str, _: Timestamp, note: Note) {
        assert_eq!(server, "orders");
        self.0.lock().unwrap().push(note);
    }
}

impl Heard {
    /// What was heard since the last time, in short.
    fn take(&self) -> Vec<String> {
        let short = |note: Note| match note {
            Note::Tool(tool, seen) => format!("{} {seen:?}", tool.name),
            Note::Complete => "complete".into(),
            Note::Unlisted(name) => format!("{name} unlisted"),
        };
        self.0.lock().unwrap().drain(..).map(short).collect()
    }
}

fn tool(text: &str) -> Option<Definition> {
    Definition::of(json::checked(text.as_bytes()).unwrap())
}

fn named(name: &str, about: &str) -> Option<Definition> {
    tool(&format!(r#"{{"name":"{name}","description":"{about}"}}"#))
}

fn pins(first_use: u64) -> (Arc<Heard>, Pins) {
    let heard = Arc::new(Heard::default());
    let pins = Pins::new("orders", Duration::from_secs(first_use), Pinned::default(), heard.clone());
    (heard, pins)
}

fn whole(caller: Fingerprint) -> Option<Page<'static>> {
    Some(Page { caller, cursor: None, next: None })
}

#[test]
fn a_definition_is_the_same_however_it_is_spelled() {
    let one = tool(r#"{"name":"send","description":"Ä","inputSchema":{"a":[1,2],"b":null}}"#).unwrap();
    let other = tool(
        "{ \"inputSchema\" : {\"b\":null, \"a\":[ 1,2 ]},\"description\":\"\\u00c4\", \"name\":\"send\"}",
    )
    .unwrap();
    assert_eq!(one, other);
    assert_eq!(&*one.text, r#"{"description":"Ä","inputSchema":{"a":[1,2],"b":null},"name":"send"}"#);
    assert_eq!(super::Digest::parse(&one.digest.to_string()), Some(one.digest));
    // Whatever some client may read counts, under whatever name.
    for changed in [
        r#"{"name":"send","description":"Ä","inputSchema":{"a":[2,1],"b":null}}"#,
        r#"{"name":"send","description":"Ä","inputSchema":{"a":[1,2],"b":null},"Description":"x"}"#,
        r#"{"name":"send","description":"Ä","inputSchema":{"a":[1,2],"b":null},"_meta":{}}"#,
        r#"{"name":"send","description":"Ä ","inputSchema":{"a":[1,2],"b":null}}"#,
    ] {
        assert_ne!(tool(changed).unwrap().digest, one.digest, "{changed}");
    }
}

#[test]
fn what_is_seen_first_is_pinned_and_what_it_becomes_is_quarantined_until_it_is_that_again() {
    let (heard, pins) = pins(600);
    assert_eq!(pins.look(&[named("send", "a"), named("read", "b")], whole(ALICE), NOW), [true, true]);
    assert_eq!(heard.take(), ["send First", "read First", "complete"]);
    assert_eq!(pins.look(&[named("send", "a"), named("read", "b")], whole(BOB), NOW), [true, true]);
    assert_eq!((heard.take(), pins.objection("send", NOW)), (vec![], None));
    // Also while first use lasts.
    for _ in 0..2 {
        assert_eq!(pins.look(&[named("send", "evil"), named("read", "b")], whole(BOB), NOW), [false, true]);
    }
    assert_eq!(heard.take(), ["send Changed"], "told once");
    assert!(pins.objection("send", NOW).is_some() && pins.objection("read", NOW).is_none());
    assert_eq!(pins.look(&[named("send", "a"), named("read", "b")], whole(BOB), NOW), [true, true]);
    assert_eq!((heard.take(), pins.objection("send", NOW)), (vec!["send Back".to_owned()], None));
}

#[test]
fn new_tools_are_taken_until_first_use_is_over_and_a_whole_list_was_seen() {
    let (heard, pins) = pins(600);
    let later = NOW.plus(Duration::from_secs(601));
    let first = Page { caller: ALICE, cursor: None, next: Some("2") };
    let last = Page { caller: ALICE, cursor: Some("2"), next: None };
    pins.look(&[named("a", "")], Some(first), NOW);
    // The end of somebody else's list is not the end of a list.
    assert_eq!(pins.look(&[named("b", "")], Some(Page { caller: BOB, ..last }), later), [true]);
    assert_eq!((heard.take(), pins.objection("c", later)), (vec!["a First".into(), "b First".into()], None));
    assert_eq!(pins.look(&[named("b", "")], Some(last), later), [true]);
    assert_eq!(heard.take(), ["complete"]);
    assert_eq!(pins.look(&[named("b", ""), named("c", "")], whole(BOB), later), [true, false]);
    assert_eq!(heard.take()[0], "c New");
    assert!(pins.objection("c", later).is_some(), "seen and not approved");
    assert!(pins.objection("d", later).is_some(), "never seen");
    assert!(pins.objection("a", later).is_none());
}

#[test]
fn a_list_that_never_ends_is_not_first_use_for_ever() {
    let (_, pins) = pins(600);
    let page = |at| Some(Page { caller: ALICE, cursor: at, next: Some("more") });
    let (soon, day) = (NOW.plus(Duration::from_secs(3600)), NOW.plus(Duration::from_secs(24 * 3600)));
    assert_eq!(pins.look(&[named("a", "")], page(None), NOW), [true]);
    assert_eq!(pins.look(&[named("b", "")], page(Some("more")), soon), [true]);
    assert_eq!(pins.look(&[named("c", "")], page(Some("more")), day), [false]);
    assert!(pins.objection("c", day).is_some() && pins.objection("b", day).is_none());
}

#[test]
fn a_new_tool_in_the_time_of_first_use_is_pinned_as_it_is() {
    let (heard, pins) = pins(600);
    let within = NOW.plus(Duration::from_secs(599));
    pins.look(&[named("a", "")], whole(ALICE), NOW);
    assert_eq!(pins.objection("b", within), None, "the server will say what it is");
    assert_eq!(pins.look(&[named("a", ""), named("b", "")], whole(BOB), within), [true, true]);
    assert_eq!(heard.take(), ["a First", "complete", "b First"]);
}

#[test]
fn a_name_that_stands_twice_in_a_list_is_shown_as_it_was_first() {
    let (_, pins) = pins(0);
    assert_eq!(pins.look(&[named("a", "good"), named("a", "evil")], whole(ALICE), NOW), [true, false]);
    assert!(pins.objection("a", NOW).is_some());
    assert_eq!(pins.look(&[None], whole(ALICE), NOW), [false], "what cannot be named cannot be pinned");
}

#[test]
fn a_tool_that_is_gone_is_told_once_and_does_no_harm() {
    let (heard, pins) = pins(0);
    pins.look(&[named("a", ""), named("b", "")], whole(ALICE), NOW);
    heard.take();
    for _ in 0..2 {
        assert_eq!(pins.look(&[named("a", "")], whole(BOB), NOW), [true]);
    }
    assert_eq!((heard.take(), pins.objection("b", NOW)), (vec!["b unlisted".to_owned()], None));
    // It is there for one and not for another: that is not told again and again.
    for _ in 0..2 {
        assert_eq!(pins.look(&[named("a", ""), named("b", "")], whole(ALICE), NOW), [true, true]);
        assert_eq!(pins.look(&[named("a", "")], whole(BOB), NOW), [true]);
    }
    assert_eq!(heard.take(), ["b Back"]);
}

#[test]
fn what_was_approved_is_put_to_work_and_named() {
    let (heard, pins) = pins(0);
    pins.look(&[named("a", ""), named("b", "")], whole(ALICE), NOW);
    assert_eq!(pins.look(&[named("a", "2"), named("b", "")], whole(ALICE), NOW), [false, true]);
    let digest = |about| named("a", about).unwrap().digest;
    let mut approved = Pinned { since: Some(NOW), complete: true, ..Pinned::default() };
    approved.tools.insert("a".into(), Pin { pinned: Some(digest("2")), ..Pin::default() });
    let b = named("b", "").unwrap().digest;
    approved.tools.insert("b".into(), Pin { pinned: Some(b), ..Pin::default() });
    assert_eq!(pins.replace(approved), ["a".into()]);
    heard.take();
    assert_eq!(pins.look(&[named("a", "2"), named("b", "")], whole(ALICE), NOW), [true, true]);
    assert_eq!(pins.objection("a", NOW), None);
    assert_eq!(pins.look(&[named("a", ""), named("b", "")], whole(ALICE), NOW), [false, true]);
}

proptest! {
    #[test]
    fn a_tool_is_seen_only_as_what_it_is_pinned_to(seen in proptest::collection::vec((0..4_u8, any::<bool>()), 1..30)) {
        let digests: Vec<_> = (0..4).map(|at| named("a", &at.to_string()).unwrap().digest).collect();
        let mut pin = Pin::default();
        for (at, settled) in seen {
            let before = pin.pinned;
            let digest = digests[usize::from(at)];
            let came = pin.see(digest, settled);
            prop_assert_eq!(came.fits(), pin.pinned == Some(digest));
            prop_assert_eq!(pin.offered.is_none(), came.fits(), "offered is what was seen last");
            // Nothing but the first sight pins.
            prop_assert!(before == pin.pinned || (before.is_none() && came == Seen::First && !settled));
        }
    }
}
