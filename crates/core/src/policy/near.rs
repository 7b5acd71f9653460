//! Did you mean: the known name that is nearest to an unknown one.

/// The candidate that a slip of the hand would make this name of; at most a third of its letters away.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.chars().enumerate() {
        let mut next = vec![number + 1];
        for ((above_left, above), candidate) in row.iter().zip(row.iter().skip(1)).zip(&other) {
            let left = next.last().copied().unwrap_or_default();
            next.push((above_left + usize::from(*candidate != letter)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let known = ["tools/call", "tools/list", "ping"];
        assert_eq!(nearest("tool/call", known.into_iter()), Some("tools/call"));
        assert_eq!(nearest("Tools/Call", known.into_iter()), Some("tools/call"));
        assert_eq!(nearest("pin", known.into_iter()), Some("ping"));
        assert_eq!(nearest("acme/foo", known.into_iter()), None);
    }
}
