//! The two pages that a person sees.

use http::StatusCode;

use crate::wire::Reply;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:12vh auto;padding:0 1rem;color:#1c2430;\
    background:#fafbfc}h1{font-size:1.3rem}button{display:block;width:100%;margin:.5rem 0;padding:.7rem 1rem;font:inherit;\
    text-align:left;border:1px solid #c9d1da;border-radius:.5rem;background:#fff;cursor:pointer}\
    button:hover,button:focus{border-color:#3b6ea5}small,p{color:#5a6675}code{background:#eef1f4;padding:0 .2rem}\
    @media(prefers-color-scheme:dark){body{background:#14181d;color:#e6eaee}button{background:#1d232a;color:inherit;\
    border-color:#3a444f}small,p{color:#9aa6b2}code{background:#232a32}}";

/// Who is it? One button a person.
pub(super) fn who(users: &[String], client: &str, scope: &str, query: &str) -> Reply {
    let buttons: String = users
        .iter()
        .map(|user| format!("<button name=\"user\" value=\"{0}\">{0}</button>", escaped(user)))
        .collect();
    let wants = if scope.is_empty() {
        String::new()
    } else {
        format!(" It asks for <code>{}</code>.", escaped(scope))
    };
    let body = format!(
        "<h1>Who are you?</h1><p>The client <code>{}</code> wants to log you in.{wants}</p>\
         <form method=\"post\" action=\"?{}\">{buttons}<button name=\"user\" value=\"\">No, go back</button></form>\
         <small>An identity provider for this machine only. There are no passwords: do not use it for anything real.</small>",
        escaped(client),
        escaped(query),
    );
    page(StatusCode::OK, &body)
}

/// What cannot be told to the client, because there is none that could be trusted.
pub(super) fn wrong(why: &str) -> Reply {
    page(StatusCode::BAD_REQUEST, &format!("<h1>This cannot work</h1><p>{}</p>", escaped(why)))
}

fn page(status: StatusCode, body: &str) -> Reply {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Log in</title><style>{STYLE}</style><main>{body}</main></html>"
    );
    Reply::of(status, "text/html; charset=utf-8", html)
        .header("cache-control", "no-store")
        .header("x-frame-options", "DENY")
        .header("x-content-type-options", "nosniff")
        // Not `no-referrer`: with it a browser posts this page's own form with `Origin: null` (Fetch §3.2).
        .header("referrer-policy", "same-origin")
        .header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
