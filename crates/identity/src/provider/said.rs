//! What a provider says of a refusal, in its own words, for whoever asks by hand (`doctor`, `token exchange`).
//!
//! A refused call keeps only the provider's error code: it goes to audit lines and to other people. Words are
//! noted where they are read, and heard only by a `listening` that is under way; elsewhere they are dropped.

use std::cell::RefCell;
use std::future::Future;

/// Longest account that is kept, in characters.
const LONGEST: usize = 600;

tokio::task_local! {
    static SAID: RefCell<Option<String>>;
}

/// Awaits, and hears what was noted meanwhile: the last words.
pub(crate) async fn listening<T>(asking: impl Future<Output = T>) -> (T, Option<String>) {
    let heard = async {
        let outcome = asking.await;
        (outcome, SAID.with(RefCell::take))
    };
    SAID.scope(RefCell::default(), heard).await
}

/// Notes a provider's words. They may repeat a token: [`masked`] is applied to all of them.
pub(crate) fn note(words: &str) {
    let masked = masked(words, LONGEST);
    if !masked.is_empty() {
        let _ = SAID.try_with(|said| said.replace(Some(masked)));
    }
}

/// Words of a provider on one line, without what may be a token that it repeats: a long word is left out.
/// `longest` is in characters.
pub fn masked(text: &str, longest: usize) -> String {
    const LONG: usize = 24;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let shown: Vec<&str> = words.map(|word| if word.len() > LONG { "[...]" } else { word }).collect();
    shown.join(" ").chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::{listening, note};

    #[tokio::test]
    async fn words_are_heard_by_who_listens_and_by_nobody_else() {
        let elsewhere = listening(async { 1 });
        let here = listening(async {
            note("first");
            tokio::task::yield_now().await;
            note("the audience  is\nwrong");
            2
        });
        let (elsewhere, here) = tokio::join!(elsewhere, here);
        assert_eq!(elsewhere, (1, None));
        assert_eq!(here, (2, Some("the audience is wrong".into())));
        note("to nobody");
    }

    /// Edge: 46
    #[tokio::test]
    async fn a_token_among_the_words_is_not_heard() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        let ((), said) = listening(async { note(&format!("the token {token} has expired")) }).await;
        assert_eq!(said.as_deref(), Some("the token [...] has expired"));
    }
}
