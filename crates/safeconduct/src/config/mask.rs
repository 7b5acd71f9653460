//! Keeps secrets out of what is printed of a configuration file.
//!
//! A person who types a password into the file gets an error that shows the line, in a terminal or in the log of
//! a build. So the text is masked before anything is shown: exact places where a secret was read, and, for what
//! could not be read at all, what stands after every name that looks like a secret's, PEM blocks, and what stands
//! before the `@` of a URL.

use std::ops::Range;

use safeconduct_identity::secret_source::is_telling;

/// The text with the same length in bytes and the same lines, secrets replaced by `*`.
pub(crate) fn mask(text: &str, secret_spans: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let guessed = telling_values(text).into_iter().chain(pem_blocks(text)).chain(url_users(text));
    for span in secret_spans.iter().cloned().chain(guessed) {
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

// What stands after a telling name: `client_secret: hunter2`, `{ token: x, ... }`, `inline:x`, and the lines below
// `client_secret: |` or below a name with nothing beside it.
fn telling_values(text: &str) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    // Indentation of a telling name whose value goes on below.
    let mut open: Option<usize> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let offset = start;
        start += line.len();
        let bare = line.trim();
        let indent = line.len() - line.trim_start().len();
        if let Some(name_indent) = open
            && (bare.is_empty() || indent > name_indent || (indent == name_indent && bare.starts_with("- ")))
        {
            if !is_reference(bare) {
                values.push(offset + indent..offset + indent + bare.len());
            }
            continue;
        }
        open = None;
        for (colon, _) in line.match_indices(':') {
            match value_after(line, colon) {
                Some(value) if value.is_empty() => open = Some(indent),
                Some(value) => {
                    if matches!(line.as_bytes().get(value.start), Some(b'|' | b'>' | b'&' | b'!')) {
                        open = Some(indent);
                    }
                    values.push(offset + value.start..offset + value.end);
                }
                None => {}
            }
        }
    }
    values
}

// The place of the value after a telling name; empty when there is nothing beside the name; None when the name says
// nothing or the value is harmless.
fn value_after(line: &str, colon: usize) -> Option<Range<usize>> {
    let name: String = line
        .get(..colon)?
        .trim_end()
        .trim_end_matches(['"', '\''])
        .chars()
        .rev()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        .collect();
    let name: String = name.chars().rev().collect::<String>().to_lowercase();
    // Settings about secrets that are none (`issued_token_type: strict`, `token_endpoint: https://...`).
    if !is_telling(&name) || name.ends_with("_type") || name.ends_with("_endpoint") {
        return None;
    }
    let rest = line.get(colon + 1..)?;
    let begin = colon + 1 + (rest.len() - rest.trim_start().len());
    let value = line.get(begin..)?.trim_end();
    if value.starts_with('#') {
        return Some(begin..begin);
    }
    if is_reference(value) {
        return None;
    }
    let end = value.find(" #").unwrap_or(value.len());
    Some(begin..begin + end)
}

// True for what says where a secret is, and for URLs and URNs, which are looked at by `url_users`.
fn is_reference(value: &str) -> bool {
    let bare = value.trim_start_matches(['"', '\'']);
    ["env:", "file:", "keyring:", "encrypted:", "http:", "https:", "urn:", "inline:"]
        .iter()
        .any(|start| bare.starts_with(start))
}

// From `-----BEGIN` to the end of its `-----END` line, or of the text.
fn pem_blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(begin) = text.get(from..).and_then(|rest| rest.find("-----BEGIN")).map(|at| from + at) {
        let rest = text.get(begin..).unwrap_or_default();
        let end = rest.find("-----END").and_then(|at| rest.get(at..)?.find('\n').map(|line| at + line));
        let end = begin + end.unwrap_or(rest.len());
        blocks.push(begin..end);
        from = end;
    }
    blocks
}

// `user:password` of `https://user:password@host/`.
fn url_users(text: &str) -> Vec<Range<usize>> {
    let user = |(at, mark): (usize, &str)| {
        let begin = at + mark.len();
        let rest = text.get(begin..)?;
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(rest.len());
        rest.get(..end)?.rfind('@').map(|len| begin..begin + len)
    };
    text.match_indices("://").filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    fn assert_hidden(text: &str) {
        let masked = mask(text, &[]);
        assert!(!masked.contains("hunter"), "{masked}");
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), text.lines().count());
    }

    #[test]
    fn references_and_settings_stay_readable_and_values_do_not() {
        let text =
            "client_secret: env:NAME\nissued_token_type: strict\ntoken_endpoint: https://idp.example.com/t\n";
        assert_eq!(mask(text, &[]), text);
        assert_hidden("client_secret: hunter2 # x\npassword: \"hunter: 2\"\n{ token: hunter }\n");
    }

    #[test]
    fn an_inline_secret_and_a_misspelt_name_are_masked() {
        let masked = mask("a: inline:hunter2\nclient_secrt: env:X\nclientsecret: 'hunter3'\n", &[]);
        assert!(!masked.contains("hunter"), "{masked}");
        assert!(masked.contains("inline:"), "{masked}");
        assert_hidden("pwd: hunter2\n\"client-secret\" : hunter2\nAuthorization: Bearer hunter2\n");
    }

    #[test]
    fn lists_and_mappings_of_secrets_are_masked() {
        assert_hidden("client_secret: [hunter2, hunter3\nclient_secret: { x: hunter4 }\n");
    }

    #[test]
    fn secrets_below_their_name_are_masked_and_what_follows_is_not() {
        let text = "a:\n  client_secret: |\n    hunter2\n\n    hunter3\n  next: seen\n";
        assert_hidden(text);
        assert!(mask(text, &[]).contains("next: seen"));
        assert_hidden("  client_secret: # below\n    hunter2\n");
        assert_hidden("secrets:\n- hunter2\n- hunter3\n");
        let reference = "client_secret:\n  env:NAME\n";
        assert_eq!(mask(reference, &[]), reference);
    }

    #[test]
    fn a_key_in_the_file_is_masked_even_when_it_does_not_end() {
        assert_hidden("x: |\n  -----BEGIN PRIVATE KEY-----\n  hunter2\n bad\n");
        let text = "x: |\n  -----BEGIN KEY-----\n  hunter2\n  -----END KEY-----\ny: seen\n";
        assert_hidden(text);
        assert!(mask(text, &[]).contains("y: seen"));
    }

    #[test]
    fn the_user_of_a_url_is_masked_and_the_host_is_not() {
        let masked = mask("url: https://u:hunter2@host.example/a@b\n", &[]);
        assert_eq!(masked, "url: https://*********@host.example/a@b\n");
    }

    #[test]
    fn exact_places_are_masked_across_lines() {
        let text = "k: |\n  line one\n  line two\n";
        let block = 5..text.len();
        assert_eq!(mask(text, std::slice::from_ref(&block)), "k: |\n**********\n**********\n");
    }
}
