//! Keeps secrets out of what is printed of a configuration file.
//!
//! A person who types a password into the file gets an error that shows the line, in a terminal or in the log of
//! a build. So the text is masked before anything is shown: exact places where a secret was read, and, for what
//! could not be read at all, the value after every name that looks like a secret's.

use std::ops::Range;

const TELLING: [&str; 8] =
    ["secr", "passw", "passphrase", "token", "private_key", "api_key", "apikey", "inline"];

/// True for the name of something whose value is likely a secret.
pub(crate) fn is_telling(name: &str) -> bool {
    let name = name.to_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// The text with the same length in bytes and the same lines, secrets replaced by `*`.
pub(crate) fn mask(text: &str, secret_spans: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in secret_spans.iter().cloned().chain(telling_values(text)) {
        for byte in bytes.get_mut(span).into_iter().flatten() {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    // Only whole values are replaced, so this is text; should a span cut a character, nothing is shown at all.
    String::from_utf8(bytes)
        .unwrap_or_else(|_| text.chars().map(|c| if c == '\n' { c } else { '*' }).collect())
}

// Values that stand after a telling name on one line: `client_secret: hunter2`, `{ token: x, ... }`, `inline:x`.
fn telling_values(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').flat_map(move |line| {
        let offset = start;
        start += line.len();
        line.match_indices(':')
            .filter_map(move |(colon, _)| value_after(line, colon))
            .map(move |value| offset + value.start..offset + value.end)
            .collect::<Vec<_>>()
    })
}

fn value_after(line: &str, colon: usize) -> Option<Range<usize>> {
    let name: String = line
        .get(..colon)?
        .trim_end_matches(['"', '\''])
        .chars()
        .rev()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    let name: String = name.chars().rev().collect::<String>().to_lowercase();
    if !is_telling(&name) {
        return None;
    }
    let rest = line.get(colon + 1..)?;
    let begin = colon + 1 + (rest.len() - rest.trim_start().len());
    let value = line.get(begin..)?.trim_end();
    let bare = value.trim_start_matches(['"', '\'']);
    let harmless = ["env:", "file:", "http:", "https:", "urn:", "inline:", "{", "[", "#"];
    // Words that are settings and not secrets (`issued_token_type: strict`), and references.
    if value.is_empty() || name.ends_with("_type") || harmless.iter().any(|start| bare.starts_with(start)) {
        return None;
    }
    let end = value.find(" #").unwrap_or(value.len());
    Some(begin..begin + end)
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn references_stay_readable_and_values_do_not() {
        let text =
            "client_secret: env:NAME\nclient_secret: hunter2 # x\npassword: \"a: b\"\n{ token: abc }\n";
        let masked = mask(text, &[]);
        assert!(masked.contains("env:NAME"), "{masked}");
        for secret in ["hunter2", "a: b", "abc"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), text.lines().count());
    }

    #[test]
    fn an_inline_secret_and_a_misspelt_name_are_masked() {
        let masked = mask("a: inline:hunter2\nclient_secrt: env:X\nclientsecret: 'hunter3'\n", &[]);
        assert!(!masked.contains("hunter"), "{masked}");
        assert!(masked.contains("inline:"), "{masked}");
    }

    #[test]
    fn exact_places_are_masked_across_lines() {
        let text = "k: |\n  line one\n  line two\n";
        let block = 5..text.len();
        assert_eq!(mask(text, std::slice::from_ref(&block)), "k: |\n**********\n**********\n");
    }
}
