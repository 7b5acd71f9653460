//! XML as AWS answers it: elements and text. What could be read in two ways (a document type, an entity of its own,
//! an element twice where one is meant) is not read at all.

use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;
use zeroize::Zeroizing;

/// Elements within elements, at most.
const DEEPEST: usize = 16;
/// Elements in all, at most.
const MOST: usize = 1024;

/// An element: its name without a namespace, its text, what is in it. The text may be a secret.
#[derive(Default)]
pub(super) struct Element {
    name: String,
    text: Zeroizing<String>,
    children: Vec<Self>,
}

impl Element {
    /// The root of a document; None for what is none.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        // The elements that are open, the first of them what holds the root.
        let (mut open, mut count) = (vec![Self::default()], 0);
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    count += 1;
                    if open.len() > DEEPEST || count > MOST {
                        return None;
                    }
                    open.push(Self::named(start.local_name().as_ref()));
                }
                Event::Empty(empty) => {
                    count += 1;
                    let element = Self::named(empty.local_name().as_ref());
                    open.last_mut().filter(|_| count <= MOST)?.children.push(element);
                }
                Event::End(_) => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
                Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => open.last_mut()?.text.push(character(&reference)?),
                Event::Decl(_) | Event::Comment(_) => {}
                Event::PI(_) | Event::DocType(_) => return None,
                Event::Eof => break,
            }
        }
        let [outside] = <[Self; 1]>::try_from(open).ok()?;
        let [root] = <[Self; 1]>::try_from(outside.children).ok()?;
        outside.text.trim().is_empty().then_some(root)
    }

    /// The root's name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The element at the end of this path; None when it is not there, or one on the way is there twice.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| {
            let mut named = element.children.iter().filter(|child| child.is(name));
            named.next().filter(|_| named.next().is_none())
        })
    }

    /// The text of the element at the end of this path, without the space around it; None when there is none.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path).filter(|element| element.children.is_empty()).map(|element| element.text.trim())
    }

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// A character reference, or one of the five entities that XML itself has.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    if reference.is_char_ref() {
        return reference.resolve_char_ref().ok().flatten();
    }
    match reference.xml10_content().as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn elements_are_found_by_their_path_whatever_their_namespace() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- from an emulator -->
            <R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Result><a>1 &amp; &lt;2&#x3e;</a><b/></Result>
            <x:Meta xmlns:x="y"><Id><![CDATA[ z&z ]]></Id></x:Meta></R>"#;
        let root = Element::read(text.as_bytes()).unwrap();
        assert!(root.is("R"));
        assert_eq!(root.text(&["Result", "a"]), Some("1 & <2>"));
        assert_eq!(root.text(&["Result", "b"]), Some(""));
        assert_eq!(root.text(&["Meta", "Id"]), Some("z&z"));
        assert_eq!(root.text(&["Result"]), None, "it holds elements, not text");
        assert_eq!(root.text(&["Result", "c"]), None);
    }

    /// Edge: 15
    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let twice = Element::read(b"<R><a>1</a><a>2</a></R>").unwrap();
        assert!(twice.text(&["a"]).is_none());
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        let wide = format!("<a>{}</a>", "<b/>".repeat(2000));
        for text in [
            "",
            "text",
            "{}",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>text",
            "<a>&x;</a>",
            "<a>&#0;</a>",
            "<a>& </a>",
            "<html><br></html>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<?php x ?><a/>",
            "\u{feff}\u{feff}<a/>",
            &deep,
            &wide,
        ] {
            assert!(Element::read(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Element::read(b"<a>\xff</a>").is_none());
    }
}
