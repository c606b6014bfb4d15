//! Quantities and durations, compared with arithmetic on decimal digits, which is slow and has no largest number.

use super::input::text;
use crate::config::kubelet::duration::{parse_duration, render_duration};
use crate::core::model::Amount;

/// A natural number as decimal digits, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digits(Vec<u32>);

impl Digits {
    fn parse(text: &str) -> Self {
        Self(text.bytes().rev().map(|byte| u32::from(byte - b'0')).collect())
    }

    fn times(mut self, factor: u32) -> Self {
        let mut carry = 0;
        for digit in &mut self.0 {
            let product = *digit * factor + carry;
            (*digit, carry) = (product % 10, product / 10);
        }
        while carry > 0 {
            self.0.push(carry % 10);
            carry /= 10;
        }
        self
    }

    /// Multiplies by this power of ten; lost fractional digits round up.
    fn shifted(mut self, power: i64) -> Self {
        if power >= 0 {
            self.0.splice(0..0, std::iter::repeat_n(0, usize::try_from(power).expect("small")));
            return self;
        }
        let cut = usize::try_from(-power).expect("small").min(self.0.len());
        let lost = self.0.drain(..cut).any(|digit| digit > 0);
        if lost { self.plus_one() } else { self }
    }

    fn plus_one(mut self) -> Self {
        for digit in &mut self.0 {
            if *digit < 9 {
                *digit += 1;
                return self;
            }
            *digit = 0;
        }
        self.0.push(1);
        self
    }

    fn saturated(&self) -> i64 {
        let text: String = self.0.iter().rev().map(|digit| char::from_digit(*digit, 10).expect("a digit")).collect();
        let text = text.trim_start_matches('0');
        if text.is_empty() { 0 } else { text.parse().unwrap_or(i64::MAX) }
    }
}

/// A quantity in units of ten to `scale`, rounded away from zero; `None` if it is not a quantity.
fn slow_quantity(text: &str, scale: i64) -> Option<(bool, Digits)> {
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || number.chars().all(|c| c == '.') {
        return None;
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix);
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].iter().position(|known| *known == suffix);
    let power: i64 = match (binary, decimal) {
        (Some(_), _) => 0,
        (None, Some(at)) => 3 * i64::try_from(at).expect("small") - 9,
        (None, None) => i64::from(suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?),
    };
    if power.abs() > 100 {
        return None;
    }
    let mut digits = Digits::parse(&format!("{whole}{fraction}"));
    for _ in 0..binary.map_or(0, |at| at + 1) {
        digits = digits.times(1024);
    }
    let fraction = i64::try_from(fraction.len()).expect("small");
    // Nothing is smaller than a nano: round to it first, as upstream does.
    let nanos = digits.shifted(power - fraction + 9);
    Some((negative, nanos.shifted(-9 - scale)))
}

/// One quantity per line: equal to the result by digits, in whole units and in thousandths; sums and quotients never
/// wrap around.
pub(super) fn quantity(input: &[u8]) {
    let Some(input) = text(input) else { return };
    let mut all = Vec::new();
    for line in input.lines().take(16) {
        let slow = (line.len() <= 100).then(|| (slow_quantity(line, 0), slow_quantity(line, -3)));
        let amount = Amount::parse(line);
        if let Some((Some((negative, units)), Some((_, milli)))) = &slow {
            // Texts of thirty or more digits are rejected, and so are powers that no resource has.
            if let Some(amount) = amount {
                let signed = |n: &Digits| if *negative { 0i64.saturating_sub(n.saturated()) } else { n.saturated() };
                let most = |n: i64| if n <= -i64::MAX { i64::MIN } else { n };
                assert_eq!(most(amount.units()), most(signed(units)), "{line:?} in units");
                assert_eq!(most(amount.milli()), most(signed(milli)), "{line:?} in thousandths");
            } else {
                let usual = line.len() <= 18 && !line.contains(['e', 'E']) && units.saturated() < i64::MAX;
                assert!(!usual, "{line:?} is a quantity");
            }
        } else if slow.is_some() && !line.contains(['e', 'E']) {
            assert_eq!(amount, None, "{line:?} is no quantity");
        }
        let amount = amount.unwrap_or_default();
        all.push(amount);
        let sum = all.iter().copied().fold(Amount::ZERO, Amount::saturating_add);
        let _ = (sum.units(), sum.milli(), sum.div_ceil(amount), amount.div_ceil(sum));
    }
}

/// Nanoseconds of a Go duration (`time.ParseDuration`); `None` if it is invalid, negative, or too long for an int64.
fn slow_duration(text: &str) -> Option<u128> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0u128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let nanos: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(nanos)?)?;
        // Eighteen fractional digits are exact here; the rest is less than a nanosecond of an hour.
        let digits = &fraction[..fraction.len().min(18)];
        if !digits.is_empty() {
            let scale = 10u128.pow(u32::try_from(digits.len()).ok()?);
            total += digits.parse::<u128>().ok()? * nanos / scale;
        }
        rest = tail;
    }
    (total <= i64::MAX as u128).then_some(total)
}

/// A duration equals Go's result, and parses to itself when it is formatted.
pub(super) fn duration(input: &[u8]) {
    let Some(text) = text(input).filter(|text| text.len() <= 200) else { return };
    let (parsed, slow) = (parse_duration(text).ok().map(|d| d.as_nanos()), slow_duration(text));
    assert_eq!(parsed, slow, "{text:?}");
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&render_duration(duration)), Ok(duration), "{text:?}");
    }
}
