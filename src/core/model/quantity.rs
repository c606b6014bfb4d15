//! Arithmetic on resource quantities (`100m`, `1Gi`), which the API type only carries as text.
//!
//! Rules of apimachinery `pkg/api/resource`: nano is the smallest unit, and converting to a coarser scale rounds away
//! from zero.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const NANO: i128 = 1_000_000_000;

/// A quantity as a number of nano units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    /// The amount of nothing: zero.
    pub const ZERO: Self = Self(0);

    /// A whole number of units.
    pub fn from_units(units: i64) -> Self {
        Self(i128::from(units).saturating_mul(NANO))
    }

    /// A number of thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self(i128::from(milli).saturating_mul(NANO / 1000))
    }

    /// Parses a quantity; `None` if the text is not one. Amounts below one nano unit become one, as in `ParseQuantity`;
    /// amounts above `i64::MAX` units, which the API accepts in decimal notation, become that.
    pub fn parse(text: &str) -> Option<Self> {
        let digits_end = text
            .char_indices()
            .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
            .map_or(text.len(), |(i, _)| i);
        let (number, suffix) = text.split_at_checked(digits_end)?;
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (factor, power) = scale(suffix)?;
        let power = power.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let nanos = nanos(&format!("{whole}{fraction}"), factor, power);
        Some(Self(if negative { nanos.saturating_neg() } else { nanos }))
    }

    /// Parses an API quantity; invalid text counts as zero, since the API server rejects it anyway.
    pub fn of(quantity: &Quantity) -> Self {
        Self::parse(&quantity.0).unwrap_or_default()
    }

    /// Whole units, rounded away from zero (bytes, cores).
    pub fn units(self) -> i64 {
        self.rounded(NANO)
    }

    /// Thousandths, rounded away from zero (millicores).
    pub fn milli(self) -> i64 {
        self.rounded(NANO / 1000)
    }

    /// How many times `divisor` is needed to reach this amount, rounded up; a divisor of zero counts as one unit.
    pub fn div_ceil(self, divisor: Self) -> i64 {
        self.rounded(if divisor.0 == 0 { NANO } else { divisor.0 })
    }

    /// The sum, limited to the largest amount.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, which may be negative.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// True for the quantity zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn rounded(self, unit: i128) -> i64 {
        let (whole, rest) = (self.0.checked_div(unit).unwrap_or(i128::MAX), self.0.checked_rem(unit).unwrap_or(0));
        let away = if rest == 0 { 0 } else { self.0.signum().saturating_mul(unit.signum()) };
        let rounded = whole.saturating_add(away);
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Nano units of these digits, times `factor` and ten to the power of `power`, rounded up; at most `i64::MAX` units.
fn nanos(digits: &str, factor: i128, power: i64) -> i128 {
    const MOST: i128 = i64::MAX as i128 * NANO;
    let digits = digits.trim_start_matches('0');
    // As many digits as fit with any factor; the others only move the point and round up.
    let (digits, beyond) = digits.split_at_checked(if factor == 1 { 36 } else { 20 }).unwrap_or((digits, ""));
    let Ok(mantissa) = digits.parse::<i128>() else { return 0 };
    let mantissa = mantissa.saturating_add(i128::from(beyond.bytes().any(|digit| digit != b'0')));
    let power = i64::try_from(beyond.len()).unwrap_or(i64::MAX).saturating_add(power).saturating_add(9);
    let ten = 10i128.checked_pow(u32::try_from(power.unsigned_abs()).unwrap_or(u32::MAX));
    let scaled = mantissa.saturating_mul(factor);
    let nanos = match ten {
        Some(ten) if power >= 0 => scaled.saturating_mul(ten),
        Some(ten) => scaled.div_euclid(ten).saturating_add(i128::from(scaled.rem_euclid(ten) != 0)),
        None if power >= 0 => MOST,
        None => 1,
    };
    nanos.min(MOST)
}

/// Factor and power of ten for a suffix.
fn scale(suffix: &str) -> Option<(i128, i64)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => (1, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_the_most_and_keeps_its_sign() {
        // From kubernetes/kubernetes#141181: none of them may become zero or change its sign.
        for text in [
            "100E",
            "1000E",
            "99999999999999999999999999999999",
            "1e30",
            "1e99",
            "1e308",
            "1e999999999999",
            "9223372036854775808",
            "8Ei",
            "99999999999999999999999999999999999999999999Ei",
        ] {
            assert_eq!(Amount::parse(text).map(Amount::units), Some(i64::MAX), "{text}");
            let negative = Amount::parse(&format!("-{text}"));
            assert!(negative.is_some_and(|amount| amount < Amount::ZERO && amount.units() <= -i64::MAX), "-{text}");
        }
        for (text, units) in [
            ("9223372036854775807", i64::MAX),
            ("-9.5Gi", -10_200_547_328),
            ("1.23456789012345678901234567Ei", 1_423_359_869_420_436_338),
            ("0.000000000000000000000000000000000000000000001E", 1),
            ("-1e-308", -1),
            ("0e308", 0),
            ("000000000000000000000000000000000000000000000007", 7),
        ] {
            assert_eq!(Amount::parse(text).map(Amount::units), Some(units), "{text}");
        }
        for text in ["1e", "e3", "1EE", "1e99999999999999999999", "١"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_every_suffix_and_rounds_up() {
        for (text, milli) in [
            ("100m", 100),
            ("1", 1000),
            ("0.5", 500),
            (".5", 500),
            ("1.", 1000),
            ("1k", 1_000_000),
            ("1Ki", 1_024_000),
            ("1e3", 1_000_000),
            ("1E-1", 100),
            ("1u", 1),
            ("1001u", 2),
            ("-1500m", -1500),
            ("1Gi", 1_073_741_824_000),
        ] {
            assert_eq!(Amount::parse(text).map(Amount::milli), Some(milli), "{text}");
        }
        assert_eq!(Amount::parse("1500m").map(Amount::units), Some(2));
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in ["", "m", "1x", "1.2.3", "--1", "1 Gi", "é"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn divides_by_a_divisor_rounding_up() {
        let mi = Amount::parse("1Mi").unwrap_or_default();
        assert_eq!(Amount::parse("1537Ki").unwrap_or_default().div_ceil(mi), 2);
        assert_eq!(Amount::parse("1250m").unwrap_or_default().div_ceil(Amount::from_milli(1)), 1250);
        assert_eq!(Amount::parse("1250m").unwrap_or_default().div_ceil(Amount::ZERO), 2);
    }
}
