//! What a control requires of the value of a flag or a field.

/// A condition on the value of one flag or field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// It has a value.
    Set,
    /// It has no value.
    Unset,
    /// It has this value.
    Is(&'static str),
    /// It has this value, or none.
    IsOrUnset(&'static str),
    /// It is a time or a number that is not zero, or has no value.
    NotZero,
    /// It is a number that is not negative, or has no value.
    NotNegative,
    /// Its comma-separated list contains this.
    Has(&'static str),
    /// Its comma-separated list does not contain this.
    HasNot(&'static str),
    /// It is a number of at least this.
    AtLeast(i64),
    /// It has a list, and every item is one of these.
    Among(&'static [&'static str]),
}

impl Test {
    /// The observed value as text: `Ok` if it passes, `Err` if not.
    pub fn judge(self, name: &str, value: Option<&str>) -> Result<String, String> {
        let seen = value.map_or_else(|| format!("{name} is not set"), |value| format!("{name}={value}"));
        if self.holds(value) { Ok(seen) } else { Err(seen) }
    }

    fn holds(self, value: Option<&str>) -> bool {
        let list = || value.unwrap_or_default().split(',').map(str::trim);
        match self {
            Self::Set => value.is_some_and(|value| !value.is_empty()),
            Self::Unset => value.is_none(),
            Self::Is(wanted) => value == Some(wanted),
            Self::IsOrUnset(wanted) => value.is_none_or(|value| value == wanted),
            Self::NotZero => value.is_none_or(|value| value.contains(|c: char| matches!(c, '1'..='9'))),
            Self::NotNegative => value.is_none_or(|value| !value.starts_with('-')),
            Self::Has(wanted) => list().any(|item| item == wanted),
            Self::HasNot(odd) => list().all(|item| item != odd),
            Self::AtLeast(least) => value.and_then(|value| value.parse().ok()).is_some_and(|value: i64| value >= least),
            Self::Among(allowed) => value.is_some() && list().all(|item| allowed.contains(&item)),
        }
    }

    /// A value that does not pass; `None` for no value at all.
    #[cfg(test)]
    pub(super) fn counterexample(self) -> Option<String> {
        match self {
            Self::Set => None,
            Self::Unset | Self::Is(_) | Self::IsOrUnset(_) | Self::Has(_) | Self::Among(_) => Some("odd".to_owned()),
            Self::NotZero => Some("0h0m0s".to_owned()),
            Self::NotNegative => Some("-1".to_owned()),
            Self::HasNot(odd) => Some(odd.to_owned()),
            Self::AtLeast(least) => Some((least - 1).to_string()),
        }
    }
}
