//! JSON written by hand into a reused buffer: text, numbers, times.

use safeconduct_core::time::Timestamp;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Longest text of one field, in bytes; names come from the caller and may be as long as a body.
const LONGEST: usize = 2048;

/// A JSON string. Control characters and DEL are escaped, so that no line can be broken or a terminal driven;
/// what is over 2 KiB is cut, and says so.
pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    if value.len() <= LONGEST {
        escaped(out, value);
    } else {
        let end = (0..=LONGEST).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
        escaped(out, value.get(..end).unwrap_or_default());
        out.extend_from_slice("… (".as_bytes());
        number(out, value.len() as u64);
        out.extend_from_slice(b" bytes)");
    }
    out.push(b'"');
}

/// A JSON string, or null.
pub(super) fn text_or_null(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// A list of JSON strings.
pub(super) fn texts<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a str>) {
    list(out, values, text);
}

/// A JSON list.
pub(super) fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, each: fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// A whole number.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend(
            [byte >> 4, byte & 15].map(|nibble| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')),
        );
    }
}

/// `"2026-11-22T10:00:00.123Z"`, as [`Timestamp::rfc3339`] writes it but without a string of its own.
pub(super) fn time(out: &mut Vec<u8>, moment: Timestamp) {
    let (days, second) = (moment.secs() / 86_400, moment.secs() % 86_400);
    let (year, month, day) = civil(days);
    out.push(b'"');
    digits(out, year, 1000);
    for (sign, value) in
        [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(sign);
        digits(out, value, 10);
    }
    out.push(b'.');
    digits(out, moment.micros() / 1000 % 1000, 100);
    out.extend_from_slice(b"Z\"");
}

fn digits(out: &mut Vec<u8>, value: u64, mut place: u64) {
    while place > 0 {
        out.push(b'0' + (value / place % 10) as u8);
        place /= 10;
    }
}

/// Year, month and day of a day since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn escaped(out: &mut Vec<u8>, value: &str) {
    let bytes = value.as_bytes();
    let mut clean = 0;
    for (place, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f {
            continue;
        }
        out.extend_from_slice(bytes.get(clean..place).unwrap_or_default());
        clean = place + 1;
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                hex(out, &[byte]);
            }
        }
    }
    out.extend_from_slice(bytes.get(clean..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, text, time};
    use proptest::prelude::{any, proptest};

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn any_text_reads_back_and_stays_on_its_line(value in any::<String>()) {
            let json = written(|out| text(out, &value));
            assert!(!json.contains(['\n', '\r', '\u{7f}', '\u{1b}']));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        }

        #[test]
        fn a_time_is_written_as_the_core_writes_it(micros in 0u64..253_402_300_800_000_000) {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(written(|out| time(out, moment)), format!("\"{}\"", moment.rfc3339()));
        }
    }

    #[test]
    fn a_text_over_two_kibibytes_is_cut_between_characters_and_says_its_length() {
        let whole = "é".repeat(1024);
        assert_eq!(written(|out| text(out, &whole)), format!("\"{whole}\""));
        let long = format!("x{whole}");
        let cut: String = serde_json::from_str(&written(|out| text(out, &long))).unwrap();
        assert_eq!(cut, format!("x{}… (2049 bytes)", "é".repeat(1023)));
    }
}
