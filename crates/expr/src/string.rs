//! Escapes of string literals, and floats written in hexadecimal.
//!
//! Not here: finding a string's end (`lex`), the escapes of a `like` pattern (`like`), those of JSON (`json`).

/// The text that the body of a string literal stands for. Escapes that the language doesn't have are kept with their backslash, so that
/// `"50\%"` reaches `like` as it is written.
///
/// # Errors
/// Says so where the bytes that `\x` and octal escapes give aren't UTF-8, or a `\u` names no character.
pub(crate) fn unescape(body: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        rest = &rest[escape(rest, &mut bytes).ok_or_else(|| format!("the string {body} has an escape that names no character"))?..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).map_err(|_| format!("the string {body} isn't valid UTF-8"))
}

/// Appends what the escape `rest` (after its backslash) stands for; its length. `None` if it names no character.
fn escape(rest: &str, out: &mut Vec<u8>) -> Option<usize> {
    let digits = |from: usize, radix: u32, most: usize| {
        let digits = rest.as_bytes()[from..].iter().take(most);
        digits.take_while(|&&byte| (byte as char).is_digit(radix)).count()
    };
    let Some(first) = rest.chars().next() else {
        out.push(b'\\');
        return Some(0);
    };
    let simple = match first {
        '"' | '\'' | '?' | '\\' => first as u8,
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        // A line that goes on below.
        '\n' => return Some(1),
        '0'..='7' => {
            let length = digits(0, 8, 3);
            // Three octal digits may exceed a byte: then the last one is text.
            let length = if u8::from_str_radix(&rest[..length], 8).is_ok() { length } else { length - 1 };
            out.push(u8::from_str_radix(&rest[..length], 8).ok()?);
            return Some(length);
        }
        'x' if digits(1, 16, 2) > 0 => {
            let length = digits(1, 16, 2);
            out.push(u8::from_str_radix(&rest[1..1 + length], 16).ok()?);
            return Some(1 + length);
        }
        'u' if digits(1, 16, 4) == 4 => return push_char(&rest[1..5], out).map(|length| 1 + length),
        'U' if digits(1, 16, 8) == 8 => return push_char(&rest[1..9], out).map(|length| 1 + length),
        _ => {
            out.push(b'\\');
            out.extend_from_slice(first.to_string().as_bytes());
            return Some(first.len_utf8());
        }
    };
    out.push(simple);
    Some(1)
}

fn push_char(digits: &str, out: &mut Vec<u8>) -> Option<usize> {
    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(digits.len())
}

/// The float that `text` (after `0x`) begins with, as `1.8p3`, and its length. The exponent is what makes it a float.
pub(crate) fn hex_float(text: &str) -> Option<(usize, f64)> {
    let bytes = text.as_bytes();
    let (mut mantissa, mut scale, mut at, mut digits, mut fraction) = (0f64, 0i32, 0, 0, false);
    while let Some(&byte) = bytes.get(at) {
        match (byte as char).to_digit(16) {
            Some(digit) => {
                // Beyond a double's precision digits only scale: the result may be off by one unit in the last place there.
                mantissa = mantissa * 16.0 + f64::from(digit);
                scale -= if fraction { 4 } else { 0 };
                digits += 1;
            }
            None if byte == b'.' && !fraction => fraction = true,
            None => break,
        }
        at += 1;
    }
    if digits == 0 || digits > HEX_DIGITS_MAX || !matches!(bytes.get(at), Some(b'p' | b'P')) {
        return None;
    }
    at += 1;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
    let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let exponent: i32 = text[at..at + length].parse().ok()?;
    let exponent = if negative { exponent.checked_neg()? } else { exponent };
    Some((at + length, scaled(mantissa, exponent.saturating_add(scale))))
}

/// Digits of a hexadecimal mantissa, at most.
const HEX_DIGITS_MAX: usize = 200;

/// `mantissa` × 2^`exponent`, in steps that don't overflow before the result does.
fn scaled(mut mantissa: f64, mut exponent: i32) -> f64 {
    const STEP: i32 = 512;
    while exponent > STEP && mantissa.is_finite() && mantissa != 0.0 {
        mantissa *= 2f64.powi(STEP);
        exponent -= STEP;
    }
    while exponent < -STEP && mantissa != 0.0 {
        mantissa *= 2f64.powi(-STEP);
        exponent += STEP;
    }
    if mantissa == 0.0 { mantissa } else { mantissa * 2f64.powi(exponent.clamp(-STEP, STEP)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |body: &str, text: Option<&str>| assert_eq!(unescape(body).ok().as_deref(), text, "{body}");
        check(r"a\\b", Some("a\\b"));
        check(r"\a\b\f\v\?", Some("\u{7}\u{8}\u{c}\u{b}?"));
        check(r"\7\07\101\400", Some("\u{7}\u{7}A 0"));
        check(r"\x4\x41B\xE4\xB8\xAD", Some("\u{4}AB中"));
        check(r"\u4e2d\U0001F600\u12", Some("中😀\\u12"));
        check(r"\ud800", None);
        check(r"\%\_\d\中", Some(r"\%\_\d\中"));
        check(r"\xff", None);
        check("a\\\nb", Some("ab"));
    }

    #[test]
    fn hex_floats() {
        let check = |text: &str, expected: Option<(usize, f64)>| assert_eq!(hex_float(text), expected, "{text}");
        check("1.8p3", Some((5, 12.0)));
        check("Ap-1)", Some((4, 5.0)));
        check(".8p0", Some((4, 0.5)));
        check("1p-1074", Some((7, 5e-324)));
        check("1p1024", Some((6, f64::INFINITY)));
        check("0p999999999", Some((11, 0.0)));
        check("1.8", None);
        check("p1", None);
        check("1p", None);
    }
}
