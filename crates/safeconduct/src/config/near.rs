//! "Did you mean": the known name that is nearest to a mistyped one.

/// A help text that names the nearest of `known`, or lists them all when none is near.
pub(crate) fn suggest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(written, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

/// The nearest name, if it is near enough to be what was meant: a third of its letters may differ.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count one each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let substituted = at(&row, j) + usize::from(from != *to);
            let mut least = substituted.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = j > 0 && last == Some(*to) && b.get(j - 1) == Some(&from);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        last = Some(from);
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{nearest, suggest};

    #[test]
    fn a_swap_and_a_missing_letter_are_near() {
        assert_eq!(nearest("isuers", ["servers", "issuers"]), Some("issuers"));
        assert_eq!(nearest("lsiten", ["listen", "limits"]), Some("listen"));
    }

    #[test]
    fn what_is_far_from_everything_is_answered_with_the_whole_list() {
        assert_eq!(suggest("zzz", ["a_name", "b_name"]).unwrap(), "known here: a_name, b_name");
    }
}
