use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::{Edit, Kind, MAX_DEPTH, Value, checked, cuts, edited};

fn is_read(text: &str) -> bool {
    checked(text.as_bytes()).is_ok()
}

#[test]
fn sound_texts_are_read() {
    for text in [
        "0",
        "-0",
        "-12.5e-3",
        "1E+2",
        "true",
        "null",
        "\"\"",
        " [ ] ",
        "{}",
        "\t{\"a\":\r\n[1,{}]}",
        r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#,
        "12345678901234567890123",
        "1e308",
        "\"\u{7f}\u{10ffff}\"",
        r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#,
    ] {
        assert!(is_read(text), "{text}");
    }
}

/// Row: P4
#[test]
fn what_is_not_one_sound_text_is_not_read() {
    for text in [
        "",
        " ",
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "[1 2]",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "truely",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"",
        "\"\\\"",
        "[",
        "{",
        "{\"a\"",
        "{\"a\":",
        "]",
        "// x\n1",
        "/**/1",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "1e309",
        "-1e400",
        "\u{b}1",
        "\u{a0}1",
    ] {
        assert!(!is_read(text), "{text}");
    }
    assert!(checked(b"\"\xff\"").is_err());
    assert!(checked(b"\"\xed\xa0\x80\"").is_err());
    assert!(!is_read(&format!("1{}", "0".repeat(400))));
}

/// Row: P4
#[test]
fn a_name_stands_once_in_its_object_at_any_depth_and_in_any_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"y":[{"a":1,"b":2,"a":3}]}}]"#,
        "{\"\u{1f600}\":1,\"\\ud83d\\ude00\":1}",
    ] {
        assert!(!is_read(text), "{text}");
    }
    for count in [15, 16, 17, 300] {
        let names: Vec<_> = (0..count).map(|n| format!("\"n{n}\":{{\"n{n}\":0}}")).collect();
        assert!(is_read(&format!("{{{}}}", names.join(","))), "{count}");
        assert!(!is_read(&format!("{{{},\"n1\":0}}", names.join(","))), "{count}");
        assert!(!is_read(&format!("{{{},\"z\":0,\"z\":0}}", names.join(","))), "{count}");
    }
}

#[test]
fn nesting_is_read_to_its_limit_and_not_beyond() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(is_read(&nested(MAX_DEPTH)));
    assert!(!is_read(&nested(MAX_DEPTH + 1)));
    assert!(!is_read(&"[{\"a\":".repeat(1_000_000)));
}

#[test]
fn the_error_says_where_and_what_without_the_text() {
    let error = checked(br#"{"secret":1,"secret":2}"#).unwrap_err();
    assert_eq!(error.to_string(), "a name that stands twice in its object at byte 12");
}

#[test]
fn members_and_elements_are_seen_in_order_with_their_places() {
    let text = r#" {"a" : [1, "x\u0041", {"b":{}} ] , "\u0063":null} "#;
    let value = checked(text.as_bytes()).unwrap();
    let names: Vec<_> = value.members().map(|member| member.name().into_owned()).collect();
    assert_eq!(names, ["a", "c"]);
    let elements: Vec<_> = value.member("a").unwrap().elements().map(|element| element.raw()).collect();
    assert_eq!(elements, ["1", r#""x\u0041""#, r#"{"b":{}}"#]);
    assert_eq!(value.member("a").unwrap().elements().nth(1).unwrap().string().unwrap(), "xA");
    let place = value.members().nth(1).unwrap().range();
    assert_eq!(&text[place], r#""\u0063":null"#);
    assert!(value.member("b").is_none() && value.elements().next().is_none());
}

#[test]
fn cuts_leave_the_right_commas() {
    let text = bytes::Bytes::from_static(b"[1 , 2, 3 ,4]");
    for (kept, leaves) in [
        ([true; 4], "[1 , 2, 3 ,4]"),
        ([false; 4], "[]"),
        ([false, true, true, false], "[2, 3]"),
        ([true, false, false, true], "[1 ,4]"),
        ([false, false, true, false], "[3]"),
        ([true, false, true, false], "[1, 3]"),
    ] {
        let value = checked(&text).unwrap();
        let parts: Vec<_> =
            value.elements().zip(kept).map(|(element, kept)| (element.range(), kept)).collect();
        assert_eq!(edited(&text, cuts(&parts)), leaves);
    }
    let edits = vec![Edit::new(1..2, *b"one"), Edit::new(0..0, *b"x")];
    assert_eq!(edited(&text, edits), "x[one , 2, 3 ,4]");
}

/// Whether our view and serde_json's tree are the same value.
fn same(ours: Value<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Tree;
    match (ours.kind(), theirs) {
        (Kind::Null, Tree::Null) => true,
        (Kind::Bool, Tree::Bool(theirs)) => ours.boolean() == Some(*theirs),
        (Kind::String, Tree::String(theirs)) => ours.string().is_some_and(|ours| ours == **theirs),
        (Kind::Number, Tree::Number(theirs)) => {
            let number: f64 = ours.raw().parse().unwrap();
            theirs.as_f64().is_some_and(|theirs| (number - theirs).abs() <= number.abs() * 1e-15)
        }
        (Kind::Array, Tree::Array(theirs)) => {
            ours.elements().count() == theirs.len()
                && ours.elements().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Kind::Object, Tree::Object(theirs)) => {
            ours.members().count() == theirs.len()
                && ours.members().all(|member| {
                    theirs.get(&*member.name()).is_some_and(|theirs| same(member.value, theirs))
                })
        }
        _ => false,
    }
}

/// Fragments that make texts near the border of JSON.
fn texts() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        8 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"A\"", "\"\\u0061\"", "1", "-", "0", "1e5", "e", ".",
            "true", "null", " ", "\n", "\u{feff}", "\"a\":1", "{\"a\":1}", "[1]", "\\ud83d\\ude00", "\"\\ud800\"",
            "\"\u{17f}\"", "1e999", "{\"b\":[", "]}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(fragment, 0..24).prop_map(|fragments| fragments.concat())
}

/// Sound trees, written by serde_json with random white space.
fn trees() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|number| serde_json::Value::from(if number.abs() > 1e300 {
            0.5
        } else {
            number
        })),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..24)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Row: P4
    #[test]
    fn what_is_read_is_read_the_same_by_serde_json(text in texts()) {
        if let Ok(ours) = checked(text.as_bytes()) {
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(same(ours, &theirs), "{text}");
        }
    }

    #[test]
    fn what_serde_json_writes_is_read_as_it_was_meant(tree in trees(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let ours = checked(text.as_bytes()).unwrap();
        assert!(same(ours, &tree), "{text}");
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = checked(&bytes);
    }
}
