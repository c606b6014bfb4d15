//! Bootstrap tokens, `id.secret`, by which a new node and the cluster authenticate each other.

use std::fmt;
use std::str::FromStr;

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A token; `Debug` prints only its id.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: String,
    secret: String,
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid bootstrap token: write six characters, a dot and sixteen characters of a-z and 0-9, e.g. abcdef.0123456789abcdef"
)]
pub struct InvalidToken;

impl Token {
    /// Number of random bytes that [`Token::from_random`] needs.
    pub const RANDOM_BYTES: usize = 4 * (ID_LENGTH + SECRET_LENGTH);

    /// Creates a token from random bytes; `None` if there are too few.
    pub fn from_random(random: &[u8]) -> Option<Self> {
        // Bytes past the last multiple of 36 are skipped, so that every character is equally likely.
        let fair = u8::MAX - u8::MAX % 36;
        let fair = random.iter().filter(|byte| **byte < fair);
        let mut characters = fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 36))).map(|byte| char::from(*byte));
        let id: String = characters.by_ref().take(ID_LENGTH).collect();
        let secret: String = characters.take(SECRET_LENGTH).collect();
        (secret.len() == SECRET_LENGTH).then_some(Self { id, secret })
    }

    /// The public half: six characters before the dot.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret half: sixteen characters after the dot.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The whole token, as users pass it on and API requests carry it.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once('.').ok_or(InvalidToken)?;
        let fits = |part: &str, length| part.len() == length && part.bytes().all(|byte| ALPHABET.contains(&byte));
        if fits(id, ID_LENGTH) && fits(secret, SECRET_LENGTH) {
            Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
        } else {
            Err(InvalidToken)
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.…", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_documented_form_is_a_token() {
        assert!("abcdef.0123456789abcdef".parse::<Token>().is_ok());
        for wrong in [
            "",
            "abcdef",
            "Abcdef.0123456789abcdef",
            "abcdef.0123456789abcde",
            "abcdef.0123456789abcdef0",
            "abcde.0123456789abcdef",
        ] {
            assert_eq!(wrong.parse::<Token>(), Err(InvalidToken), "{wrong}");
        }
    }

    #[test]
    fn random_bytes_make_a_valid_token_and_too_few_make_none() {
        let random: Vec<u8> = (0..=255).collect();
        let token = Token::from_random(&random).unwrap();
        assert_eq!(token.reveal().parse::<Token>().unwrap(), token);
        assert_eq!(Token::from_random(&random[..21]), None);
        assert_eq!(Token::from_random(&[255; 100]), None);
    }

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let token: Token = "abcdef.0123456789abcdef".parse().unwrap();
        assert!(!format!("{token:?}").contains("0123"));
    }
}
