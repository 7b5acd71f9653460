//! Changing a text without touching what is not changed.

use std::ops::Range;

use bytes::Bytes;

/// One change: these bytes, replaced by those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Which bytes.
    pub range: Range<usize>,
    /// What stands there then.
    pub with: Vec<u8>,
}

impl Edit {
    /// These bytes become those.
    pub fn new(range: Range<usize>, with: impl Into<Vec<u8>>) -> Self {
        Self { range, with: with.into() }
    }
}

/// Applies changes that do not overlap. Without any, the same bytes come back, not copied.
pub fn edited(text: &Bytes, mut edits: Vec<Edit>) -> Bytes {
    if edits.is_empty() {
        return text.clone();
    }
    edits.sort_by_key(|edit| edit.range.start);
    let mut out = Vec::with_capacity(text.len() + edits.iter().map(|edit| edit.with.len()).sum::<usize>());
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(text.get(at..edit.range.start).unwrap_or_default());
        out.extend_from_slice(&edit.with);
        at = edit.range.end;
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out.into()
}

/// The cuts that take members or elements (spans in order, and whether each is kept) out of their container
/// together with the right commas.
pub fn cuts(parts: &[(Range<usize>, bool)]) -> Vec<Edit> {
    let mut cuts = Vec::new();
    let mut kept_before: Option<usize> = None;
    let mut parts = parts.iter().peekable();
    while let Some((part, kept)) = parts.next() {
        if *kept {
            kept_before = Some(part.end);
            continue;
        }
        let mut end = part.end;
        while let Some((next, _)) = parts.next_if(|(_, kept)| !kept) {
            end = next.end;
        }
        let cut = match (kept_before, parts.peek()) {
            (Some(before), _) => before..end,
            (None, Some((next, _))) => part.start..next.start,
            (None, None) => part.start..end,
        };
        cuts.push(Edit::new(cut, []));
    }
    cuts
}
