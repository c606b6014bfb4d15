//! One question to a DNS server and its answer (RFC 1035), for `bootstrap status`: the resolver of the system does not
//! ask the cluster's servers.

use std::net::IpAddr;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// Most records that are read of an answer.
const MOST_RECORDS: u16 = 64;

/// Why an answer has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsFault {
    /// It is too short, or belongs to another question.
    #[error("the answer is not a DNS message for the question")]
    Malformed,
    /// The server answers with an error.
    #[error("the server answers {0}")]
    Code(String),
    /// The name has no address.
    #[error("the name has no address")]
    Empty,
}

/// A question for the addresses of a name; `None` if it is not a domain name.
pub fn render(id: u16, name: &str, ipv6: bool) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(64);
    // Recursion desired, one question, nothing else.
    for word in [id, 0x0100, 1, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    for word in [if ipv6 { TYPE_AAAA } else { TYPE_A }, CLASS_IN] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    Some(message)
}

/// The addresses in an answer to the question with this id.
///
/// # Errors
/// The message is not an answer, reports an error, or has no address.
pub fn parse(id: u16, message: &[u8]) -> Result<Vec<IpAddr>, DnsFault> {
    let mut reader = Reader { message, at: 0 };
    read(&mut reader, id).ok_or(DnsFault::Malformed)?
}

fn read(reader: &mut Reader<'_>, id: u16) -> Option<Result<Vec<IpAddr>, DnsFault>> {
    let (told, flags, questions, answers) = (reader.word()?, reader.word()?, reader.word()?, reader.word()?);
    reader.skip(4)?;
    if told != id || flags & 0x8000 == 0 {
        return None;
    }
    match flags & 0x000f {
        0 => {}
        2 => return Some(Err(DnsFault::Code("SERVFAIL".to_owned()))),
        3 => return Some(Err(DnsFault::Code("NXDOMAIN".to_owned()))),
        5 => return Some(Err(DnsFault::Code("REFUSED".to_owned()))),
        code => return Some(Err(DnsFault::Code(format!("error {code}")))),
    }
    for _ in 0..questions.min(MOST_RECORDS) {
        reader.name()?;
        reader.skip(4)?;
    }
    let mut addresses = Vec::new();
    for _ in 0..answers.min(MOST_RECORDS) {
        reader.name()?;
        let (kind, class) = (reader.word()?, reader.word()?);
        reader.skip(4)?;
        let length = reader.word()?;
        let data = reader.bytes(length.into())?;
        if class == CLASS_IN && kind == TYPE_A {
            addresses.push(IpAddr::from(<[u8; 4]>::try_from(data).ok()?));
        } else if class == CLASS_IN && kind == TYPE_AAAA {
            addresses.push(IpAddr::from(<[u8; 16]>::try_from(data).ok()?));
        }
    }
    Some(if addresses.is_empty() { Err(DnsFault::Empty) } else { Ok(addresses) })
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let found = self.message.get(self.at..end)?;
        self.at = end;
        Some(found)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.bytes(count).map(drop)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    /// Skips a name; a pointer to an earlier one ends it.
    fn name(&mut self) -> Option<()> {
        loop {
            match *self.bytes(1)?.first()? {
                0 => return Some(()),
                length if length & 0xc0 == 0xc0 => return self.skip(1),
                length if length & 0xc0 == 0 => self.skip(length.into())?,
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to a question: the question with other flags and counts, then records of this type and data.
    fn answer(question: &[u8], flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        for (kind, data) in records {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
            message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn a_question_gets_the_addresses_of_its_answer() {
        let question = render(7, "kubernetes.default.svc.cluster.local.", false).unwrap();
        assert_eq!(&question[12..23], b"\x0akubernetes");
        let alias: &[u8] = &[0xc0, 12];
        let told = parse(7, &answer(&question, 0x8580, &[(5, alias), (TYPE_A, &[10, 96, 0, 1])]));
        assert_eq!(told, Ok(vec!["10.96.0.1".parse().unwrap()]));
        let six = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(parse(7, &answer(&question, 0x8580, &[(TYPE_AAAA, &six)])), Ok(vec!["fd00::1".parse().unwrap()]));
    }

    #[test]
    fn an_error_or_another_message_is_no_answer() {
        let question = render(7, "a.b", true).unwrap();
        assert_eq!(parse(7, &answer(&question, 0x8583, &[])), Err(DnsFault::Code("NXDOMAIN".into())));
        assert_eq!(parse(7, &answer(&question, 0x8582, &[])), Err(DnsFault::Code("SERVFAIL".into())));
        assert_eq!(parse(7, &answer(&question, 0x8580, &[])), Err(DnsFault::Empty));
        assert_eq!(parse(8, &answer(&question, 0x8580, &[(TYPE_A, &[1, 2, 3, 4])])), Err(DnsFault::Malformed));
        assert_eq!(parse(7, &question), Err(DnsFault::Malformed), "a question");
        let whole = answer(&question, 0x8580, &[(TYPE_A, &[1, 2, 3, 4])]);
        for length in 0..whole.len() {
            assert_eq!(parse(7, &whole[..length]), Err(DnsFault::Malformed), "{length}");
        }
        for name in ["", "a..b", &"x".repeat(64)] {
            assert_eq!(render(7, name, false), None, "{name}");
        }
    }
}
