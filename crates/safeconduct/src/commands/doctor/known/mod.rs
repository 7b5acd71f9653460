//! What providers say when they refuse, and what they mean by it. One table a provider: data, not code.
//!
//! A row is found by words that all stand in what was said; the first row wins, so a special case stands before the
//! general one. Long words are masked before they come here (they may be tokens): no row may need one.

mod auth0;
mod aws;
mod dpop;
mod entra;
mod google;
mod keycloak;
mod okta;
mod vault;

/// One thing that a provider says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// As the provider sends it (an example of it).
    pub(crate) said: &'static str,
    /// The words that it is known by, in lower case.
    pub(crate) words: &'static [&'static str],
    /// What it means.
    pub(crate) means: &'static str,
    /// What to do.
    pub(crate) fix: &'static str,
}

const TABLES: [&[Known]; 8] = [
    entra::KNOWN,
    google::KNOWN,
    aws::KNOWN,
    keycloak::KNOWN,
    okta::KNOWN,
    auth0::KNOWN,
    vault::KNOWN,
    dpop::KNOWN,
];

/// What it is, if it is known. `said` is the provider's error code and description.
pub(crate) fn find(said: &str) -> Option<&'static Known> {
    let said = said.to_lowercase();
    TABLES.into_iter().flatten().find(|known| known.words.iter().all(|word| holds(&said, word)))
}

/// A number is found whole only: AADSTS50013 is not AADSTS500131.
fn holds(said: &str, word: &str) -> bool {
    let number = word.ends_with(|c: char| c.is_ascii_digit());
    said.match_indices(word).any(|(at, _)| {
        let after = said.get(at + word.len()..).unwrap_or_default();
        !number || !after.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use safeconduct_identity::provider::said::masked;

    use super::{TABLES, find};

    #[test]
    fn each_sentence_as_its_provider_sends_it_finds_its_own_explanation() {
        for known in TABLES.into_iter().flatten() {
            let found = find(&masked(known.said, 600));
            assert_eq!(found.map(|found| found.said), Some(known.said));
        }
    }

    #[test]
    fn each_explanation_says_what_it_means_and_what_to_do_and_is_told_by_lower_case_words() {
        for known in TABLES.into_iter().flatten() {
            assert!(known.means.len() > 20 && known.fix.len() > 20, "{}", known.said);
            assert!(!known.words.is_empty(), "{}", known.said);
            for word in known.words {
                assert_eq!(*word, word.to_lowercase(), "{}", known.said);
            }
        }
    }

    #[test]
    fn what_nobody_knows_is_not_explained() {
        for said in ["", "invalid_grant", "the subject token has expired", "AADSTS5001399: new", "status 500"]
        {
            assert_eq!(find(said), None, "{said}");
        }
    }
}
