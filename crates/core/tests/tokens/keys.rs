//! Algorithms and keys: R1, R2, R10, R12.

use aws_lc_rs::rsa::KeySize;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm as Alg, EncodingKey};
use safeconduct_core::caller::{Algorithm, BadKeySet, KeySet, TokenProblem};
use serde_json::{Value, json};

use crate::mint::*;

/// Row: R1
#[test]
fn a_token_of_each_supported_algorithm_is_believed() {
    for signer in signers() {
        let token = sign_raw(
            signer,
            signer.alg,
            header(signer).to_string().as_bytes(),
            claims().to_string().as_bytes(),
        );
        assert!(verify(&token).is_ok(), "{}", signer.kid);
    }
    let mut rules = rules();
    rules.algorithms = Algorithm::ALL.to_vec();
    for (name, alg) in [
        ("RS384", Alg::RS384),
        ("RS512", Alg::RS512),
        ("PS256", Alg::PS256),
        ("PS384", Alg::PS384),
        ("PS512", Alg::PS512),
    ] {
        let header = header_with("alg", name.into()).to_string();
        let token = sign_raw(rsa_signer(), alg, header.as_bytes(), claims().to_string().as_bytes());
        assert!(verify_under(&rules, &key_set(), &token).is_ok(), "{name}");
    }
}

/// Row: R2
#[test]
fn both_names_of_ed25519_are_understood() {
    let ed = &signers()[3];
    for alg in ["EdDSA", "Ed25519"] {
        let header = json!({ "alg": alg, "kid": "ed" }).to_string();
        assert!(
            verify(&sign_raw(ed, Alg::EdDSA, header.as_bytes(), claims().to_string().as_bytes())).is_ok()
        );
        let mut jwk = ed.jwk.clone();
        jwk["alg"] = alg.into();
        assert_eq!(KeySet::from_jwks(&jwks(&[jwk])).unwrap().len(), 1);
    }
}

/// Row: R1, A2
/// Edge: 77
#[test]
fn none_in_any_case_symmetric_and_unknown_algorithms_are_refused() {
    for alg in ["none", "None", "nOnE", "NONE", "HS256", "HS384", "rs256", "RS1", "ES256K", "dir", ""] {
        let header = header_with("alg", alg.into());
        assert_eq!(problem(&mint_with(&header, &claims())), Some(TokenProblem::Algorithm), "{alg}");
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        );
        assert_eq!(problem(&unsigned), Some(TokenProblem::Algorithm), "{alg}");
    }
}

/// Row: R1
/// Edge: 77
#[test]
fn a_token_made_with_the_public_key_as_a_shared_secret_is_refused() {
    let public = rsa_signer().jwk["n"].as_str().unwrap();
    let forger = Signer {
        kid: "rsa",
        alg: Alg::HS256,
        key: EncodingKey::from_secret(&URL_SAFE_NO_PAD.decode(public).unwrap()),
        jwk: Value::Null,
    };
    for alg in ["HS256", "RS256"] {
        let header = header_with("alg", alg.into()).to_string();
        assert!(
            problem(&sign_raw(&forger, Alg::HS256, header.as_bytes(), claims().to_string().as_bytes()))
                .is_some()
        );
    }
}

/// Row: R1
/// Edge: 77
#[test]
fn an_algorithm_that_the_issuer_does_not_use_is_refused() {
    let mut rules = rules();
    assert!(verify_under(&rules, &key_set(), &mint(&claims())).is_ok());
    rules.algorithms = vec![Algorithm::ES256];
    assert_eq!(verify_under(&rules, &key_set(), &mint(&claims())).err(), Some(TokenProblem::Algorithm));
}

/// Row: R1
/// Edge: 77
#[test]
fn a_key_is_used_with_its_own_type_and_algorithm_only() {
    let crossed = header_with("alg", "ES256".into());
    assert_eq!(problem(&mint_with(&crossed, &claims())), Some(TokenProblem::KeyMismatch));
    let mut jwk = rsa_signer().jwk.clone();
    jwk["alg"] = "PS256".into();
    let keys = KeySet::from_jwks(&jwks(&[jwk])).unwrap();
    assert_eq!(verify_under(&rules(), &keys, &mint(&claims())).err(), Some(TokenProblem::KeyMismatch));
}

/// Row: A2
#[test]
fn a_changed_claim_and_another_signature_are_refused() {
    let good = mint(&claims());
    let [header, _, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let forged = URL_SAFE_NO_PAD.encode(with("sub", "root".into()).to_string());
    assert_eq!(problem(&format!("{header}.{forged}.{signature}")), Some(TokenProblem::Signature));
    let other = rsa("rsa", KeySize::Rsa2048);
    let token = sign_raw(&other, Alg::RS256, header_with("x", Value::Null).to_string().as_bytes(), b"{}");
    assert_eq!(problem(&token), Some(TokenProblem::Signature));
}

/// Row: R2
/// Edge: 78
#[test]
fn weak_keys_and_points_off_the_curve_are_not_used() {
    let weak = json!({ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode([0xc1; 128]) });
    let mut off = signers()[1].jwk.clone();
    off["y"] = off["x"].clone();
    let mut even = rsa_signer().jwk.clone();
    even["e"] = "AQAA".into();
    let keys = KeySet::from_jwks(&jwks(&[weak, off, even])).unwrap();
    assert_eq!((keys.len(), keys.skipped().len()), (0, 3));
}

/// Row: R12
/// Edge: 84
#[test]
fn keys_that_cannot_be_used_are_skipped_and_the_others_stay() {
    let altered = |name: &str, value: Value| {
        let mut jwk = rsa_signer().jwk.clone();
        jwk["kid"] = name.into();
        jwk[name] = value;
        jwk
    };
    let odd = [
        altered("use", "enc".into()),
        altered("key_ops", json!(["sign"])),
        altered("alg", "RSA-OAEP".into()),
        altered("alg", "ES256".into()),
        altered("d", "AQAB".into()),
        altered("kid", 7.into()),
        altered("kid", "k".repeat(257).into()),
        altered("n", "!!".into()),
        json!({ "kty": "oct", "k": "AQAB" }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": "AQAB", "y": "AQAB" }),
        json!("not a key"),
    ];
    let mut all =
        vec![rsa_signer().jwk.clone(), rsa_signer().jwk.clone(), altered("key_ops", json!(["verify"]))];
    all.extend(odd.clone());
    let keys = KeySet::from_jwks(&jwks(&all)).unwrap();
    assert_eq!((keys.len(), keys.skipped().len()), (2, odd.len() + 1));
    assert!(verify_under(&rules(), &keys, &mint(&claims())).is_ok());
}

/// Row: R12
/// Edge: 84
#[test]
fn a_key_set_that_is_too_long_too_full_or_ambiguous_is_refused_whole() {
    let filler = vec![json!({ "kty": "oct" }); 100];
    assert!(KeySet::from_jwks(&jwks(&filler)).unwrap().is_empty());
    assert_eq!(
        KeySet::from_jwks(&jwks(&[&filler[..], &filler[..1]].concat())).err(),
        Some(BadKeySet::TooMany)
    );
    let long = [br#"{"keys":[]"#, &vec![b' '; 1024 * 1024][..], b"}"].concat();
    assert_eq!(KeySet::from_jwks(&long).err(), Some(BadKeySet::TooLong));
    assert!(matches!(KeySet::from_jwks(br#"{"keys":[],"keys":[]}"#), Err(BadKeySet::NotJson(_))));
    assert!(matches!(KeySet::from_jwks(b"<html>"), Err(BadKeySet::NotJson(_))));
    assert_eq!(KeySet::from_jwks(b"{}").err(), Some(BadKeySet::NoKeys));
}

/// Row: R10, R11
/// Edge: 81
#[test]
fn a_kid_is_data_and_may_be_missing_only_where_one_key_fits() {
    for kid in ["../../etc/passwd", "' OR 1=1", "unknown"] {
        assert_eq!(
            problem(&mint_with(&header_with("kid", kid.into()), &claims())),
            Some(TokenProblem::UnknownKey)
        );
    }
    let none = mint_with(&header_with("kid", Value::Null), &claims());
    assert!(verify(&none).is_ok(), "one RSA key among others fits");
    let mut second = rsa_signer().jwk.clone();
    second["kid"] = "rsa-2".into();
    let two = KeySet::from_jwks(&jwks(&[rsa_signer().jwk.clone(), second])).unwrap();
    assert_eq!(verify_under(&rules(), &two, &none).err(), Some(TokenProblem::AmbiguousKey));
    for kid in [json!(""), json!(5), json!("k".repeat(257))] {
        let refused = problem(&mint_with(&header_with("kid", kid), &claims()));
        assert!(matches!(refused, Some(TokenProblem::Header(_))));
    }
}

/// Row: R12
#[test]
fn the_same_keys_in_another_document_are_the_same_keys() {
    let all: Vec<Value> = signers().iter().map(|signer| signer.jwk.clone()).collect();
    let identity = |keys: &[Value]| KeySet::from_jwks(&jwks(keys)).unwrap().identity();
    let mut turned = all.clone();
    turned.reverse();
    turned.insert(1, json!({ "kty": "oct", "k": "AAAA" }));
    turned[0]["x5t"] = "another".into();
    assert_eq!(identity(&turned), identity(&all));
    assert_ne!(identity(&all[..3]), identity(&all), "one less");
    for (name, value) in [
        ("kid", json!("other")),
        ("alg", json!("PS256")),
        ("n", all[0]["n"].as_str().unwrap().replacen('A', "B", 1).into()),
    ] {
        let mut changed = all.clone();
        changed[0][name] = value;
        assert_ne!(identity(&changed), identity(&all), "{name}");
    }
}
