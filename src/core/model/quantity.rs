//! Arithmetic on resource quantities (`100m`, `1Gi`); the API type only carries their text.
//!
//! Source of the rules: apimachinery `pkg/api/resource`: nano is the smallest unit, and reading at a coarser
//! scale rounds away from zero.

use std::ops::{Add, Sub};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const NANO: i128 = 1_000_000_000;

/// A quantity as a number of nano units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// A whole number of units.
    pub fn from_units(units: i64) -> Self {
        Self(i128::from(units) * NANO)
    }

    /// A number of thousandths.
    pub fn from_milli(milli: i64) -> Self {
        Self(i128::from(milli) * (NANO / 1000))
    }

    /// Reads a quantity's text; none when it is no quantity.
    pub fn parse(text: &str) -> Option<Self> {
        let digits_end = text
            .char_indices()
            .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
            .map_or(text.len(), |(i, _)| i);
        let (number, suffix) = text.split_at(digits_end);
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() + fraction.len() > 30 {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let (multiplier, divisor) = scale(suffix)?;
        let divisor = divisor.checked_mul(10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
        let scaled = mantissa.checked_mul(multiplier)?.checked_mul(NANO).unwrap_or(i128::MAX);
        let nanos = scaled.div_euclid(divisor) + i128::from(scaled.rem_euclid(divisor) != 0);
        Some(Self(if negative { -nanos } else { nanos }))
    }

    /// Reads an API quantity; text that is no quantity counts as zero, as the API server refuses it anyway.
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

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn rounded(self, unit: i128) -> i64 {
        let floor = self.0.abs() / unit;
        let up = floor + i128::from(self.0.abs() % unit != 0);
        i64::try_from(up * self.0.signum()).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| Some((1024i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => Some((1_000, 1)),
        "M" => Some((1_000_000, 1)),
        "G" => Some((1_000_000_000, 1)),
        "T" => Some((1_000_000_000_000, 1)),
        "P" => Some((1_000_000_000_000_000, 1)),
        "E" => Some((1_000_000_000_000_000_000, 1)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10i128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for text in ["", "m", "1x", "1.2.3", "--1", "1 Gi", "99999999999999999999999999999999", "1e99", "é"] {
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
