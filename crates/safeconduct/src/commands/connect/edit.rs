//! Changes one member of a JSON file and leaves the order of its members, and the text of all values, as they are.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in their order, with their values as they are written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

/// The file with this entry, in place of one of the same name.
///
/// # Errors
/// Why the file cannot be changed, and what to do instead.
pub(super) fn with(text: &str, section: &str, name: &str, entry: &str) -> Result<String, String> {
    let by_hand = || format!("add this by hand, under `{section}`: \"{name}\": {entry}");
    let mut file = read(text).map_err(|why| format!("{why}; {}", by_hand()))?;
    let mut servers = section_of(&file, section)?;
    let entry = raw(entry)?;
    match servers.0.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = entry,
        None => servers.0.push((name.to_owned(), entry)),
    }
    put(&mut file, section, &servers)?;
    Ok(written(&file, 0) + "\n")
}

/// The file without this entry.
///
/// # Errors
/// Why the file cannot be changed.
pub(super) fn without(text: &str, section: &str, name: &str) -> Result<String, String> {
    let mut file = read(text)?;
    let mut servers = section_of(&file, section)?;
    let count = servers.0.len();
    servers.0.retain(|(known, _)| known != name);
    if servers.0.len() == count {
        return Ok(text.to_owned());
    }
    put(&mut file, section, &servers)?;
    Ok(written(&file, 0) + "\n")
}

/// What is different, line by line: one place, since one member is changed.
pub(super) fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same_from = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let left = old.len().min(new.len()) - same_from;
    let same_to =
        old.iter().rev().zip(new.iter().rev()).take(left).take_while(|(one, other)| one == other).count();
    let part = |lines: &[&str], mark: char| -> String {
        let middle = lines.get(same_from..lines.len() - same_to).unwrap_or_default();
        middle.iter().map(|line| format!("{mark} {line}\n")).collect()
    };
    part(&old, '-') + &part(&new, '+')
}

fn read(text: &str) -> Result<Members, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| format!("this is no plain JSON ({error})"))
}

fn section_of(file: &Members, section: &str) -> Result<Members, String> {
    match file.0.iter().find(|(name, _)| name == section) {
        None => Ok(Members(Vec::new())),
        Some((_, value)) => {
            serde_json::from_str(value.get()).map_err(|_| format!("`{section}` is no object"))
        }
    }
}

fn put(file: &mut Members, section: &str, servers: &Members) -> Result<(), String> {
    let value = raw(&written(servers, 1))?;
    match file.0.iter_mut().find(|(name, _)| name == section) {
        Some((_, known)) => *known = value,
        None => file.0.push((section.to_owned(), value)),
    }
    Ok(())
}

fn raw(text: &str) -> Result<Box<RawValue>, String> {
    RawValue::from_string(text.to_owned()).map_err(|error| error.to_string())
}

fn written(members: &Members, depth: usize) -> String {
    if members.0.is_empty() {
        return "{}".to_owned();
    }
    let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    let lines: Vec<String> = members
        .0
        .iter()
        .map(|(name, value)| format!("{inner}{}: {}", serde_json::Value::from(name.as_str()), value.get()))
        .collect();
    format!("{{\n{}\n{outer}}}", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::{difference, with, without};

    const FILE: &str = "{\n  \"theme\": \"dark\",\n  \"mcpServers\": {\n    \"own\": { \"url\": \"https://a\" , \"n\": 1.0 }\n  },\n  \"a\": [1,  2]\n}\n";

    #[test]
    fn a_server_is_added_and_everything_else_keeps_its_order_and_its_text() {
        let after = with(FILE, "mcpServers", "orders", "{ \"url\": \"http://x/orders/mcp\" }").unwrap();
        assert!(after.contains("\"own\": { \"url\": \"https://a\" , \"n\": 1.0 },\n    \"orders\": { \"url\": \"http://x/orders/mcp\" }"), "{after}");
        assert!(after.find("theme") < after.find("mcpServers") && after.contains("\"a\": [1,  2]"));
        assert_eq!(without(&after, "mcpServers", "orders").unwrap(), FILE, "and taken out again");
        assert!(difference(FILE, &after).contains("+     \"orders\""));
        assert!(!difference(FILE, &after).contains("theme"));
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_made_and_one_with_comments_is_left_alone() {
        let made = with("", "servers", "orders", "{ \"type\": \"http\" }").unwrap();
        assert_eq!(made, "{\n  \"servers\": {\n    \"orders\": { \"type\": \"http\" }\n  }\n}\n");
        let why = with("{ // mine\n}", "servers", "orders", "{}").unwrap_err();
        assert!(why.contains("no plain JSON") && why.contains("by hand"), "{why}");
        assert!(with("{\"servers\": []}", "servers", "orders", "{}").is_err());
        assert_eq!(without(FILE, "mcpServers", "unknown").unwrap(), FILE);
    }
}
