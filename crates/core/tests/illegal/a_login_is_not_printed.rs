//! A login holds the caller's token: it has no Debug and no Display, and its bytes come out once.
use safeconduct_core::credential::Login;

fn print(login: &Login) -> String {
    format!("{login:?} {login}")
}

fn twice(login: Login) {
    let _ = (login.into_body(), login.into_body());
}

fn main() {}
