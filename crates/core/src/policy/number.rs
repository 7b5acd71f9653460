//! JSON numbers as Cedar can hold them: whole, and within 64 bits.

/// A JSON number (RFC 8259 §6), as far as Cedar is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// Exactly this; `3.0` and `5e2` are whole numbers too.
    Exact(i64),
    /// A fraction, or beyond 64 bits.
    Inexact,
}

/// Reads a JSON number; None when it is not one.
pub(super) fn number(text: &str) -> Option<Number> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, power(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, digits(fraction)?),
        None => (mantissa, ""),
    };
    digits(whole)?;
    if whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    Some(exact(negative, whole, fraction, exponent).map_or(Number::Inexact, Number::Exact))
}

fn exact(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Option<i64> {
    let all = [whole, fraction].concat();
    let leading = all.trim_start_matches('0');
    let significant = leading.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = i64::try_from(leading.len() - significant.len()).ok()?;
    let scale = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    let scale = u32::try_from(scale).ok()?;
    if significant.len() > 19 || scale > 18 {
        return None;
    }
    let magnitude = significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(scale)?)?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Exponents beyond any length of mantissa that a message can have are all the same to us.
fn power(text: &str) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let trimmed = digits(unsigned)?.trim_start_matches('0');
    let size = match trimmed.len() {
        0 => 0,
        1..=12 => trimmed.parse().ok()?,
        _ => 1_000_000_000_000,
    };
    Some(if negative { -size } else { size })
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::Number::{Exact, Inexact};
    use super::number;

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0.000", 0),
            ("0e999999999999999999", 0),
            ("3.0", 3),
            ("5e2", 500),
            ("1.5E+1", 15),
            ("1200e-2", 12),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("1e18", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(number(text), Some(Exact(value)), "{text}");
        }
    }

    #[test]
    fn fractions_and_giants_are_inexact() {
        for text in [
            "2.5",
            "1e-1",
            "9223372036854775808",
            "-9223372036854775809",
            "1e19",
            "1e999999999999999999999",
            "1e-999999999999999999999",
            "500.00000000000000000000000000001",
        ] {
            assert_eq!(number(text), Some(Inexact), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_json_number_is_none() {
        for text in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x10", "1_000", "NaN", "--1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
