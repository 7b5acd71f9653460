//! Answers to questions for names (RFC 1035), for allowed names only: no question leaves this machine, so none carries
//! anything out. Addresses of IPv4 alone; other types of an allowed name are answered with nothing, so that nobody
//! finds a key for hiding its greeting (RFC 9460, RFC 9849).

use std::net::Ipv4Addr;

/// Length of a message's head.
const HEAD: usize = 12;
/// Seconds for which an answer may be kept.
const TTL: u32 = 30;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

/// A question for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    id: [u8; 2],
    /// Whether recursion is desired; it is said back.
    recursion: bool,
    /// The name, as it stands in the message: labels with their lengths, a zero at the end.
    wire: Vec<u8>,
    kind: u16,
    /// The name as text.
    pub(crate) name: String,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its address.
    At(Ipv4Addr),
    /// There is no such name.
    Nowhere,
    /// The question cannot be answered now.
    Failed,
}

impl Question {
    /// Reads a question; None for everything else, which is not answered.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let [a, b, flags, _, 0, 1, ..] = message.get(..HEAD)? else { return None };
        // A question (QR = 0) of the ordinary kind (OPCODE = 0).
        if flags & 0xf8 != 0 {
            return None;
        }
        let mut rest = message.get(HEAD..)?;
        let begin = rest;
        let mut name = String::new();
        loop {
            let (&length, after) = rest.split_first()?;
            // Longer labels are pointers (§4.1.4): in a question there is nothing to point to.
            if length > 63 {
                return None;
            }
            let label = after.get(..usize::from(length))?;
            rest = after.get(usize::from(length)..)?;
            if label.is_empty() {
                break;
            }
            if !name.is_empty() {
                name.push('.');
            }
            name.extend(
                label.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }),
            );
            if name.len() > 255 {
                return None;
            }
        }
        let wire = begin.get(..begin.len() - rest.len())?.to_vec();
        let [kind_high, kind_low, class_high, class_low, ..] = *rest else { return None };
        let class = u16::from_be_bytes([class_high, class_low]);
        (class == CLASS_IN).then_some(Self {
            id: [*a, *b],
            recursion: flags & 1 == 1,
            wire,
            kind: u16::from_be_bytes([kind_high, kind_low]),
            name,
        })
    }

    /// The answer's bytes.
    pub(crate) fn answer(&self, known: Known) -> Vec<u8> {
        let address = match known {
            Known::At(address) if self.kind == TYPE_A => Some(address),
            _ => None,
        };
        let code = match known {
            Known::At(_) => 0,
            Known::Failed => 2,
            Known::Nowhere => 3,
        };
        let mut bytes = Vec::with_capacity(HEAD + self.wire.len() + 4 + 16);
        bytes.extend_from_slice(&self.id);
        // An authoritative answer (AA); recursion is available (RA), or some resolvers ask elsewhere.
        bytes.extend_from_slice(&[0x84 | u8::from(self.recursion), 0x80 | code]);
        bytes.extend_from_slice(&[0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
        bytes.extend_from_slice(&self.wire);
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        if let Some(address) = address {
            // The name is the one that stands in the question.
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
            bytes.extend_from_slice(&TTL.to_be_bytes());
            bytes.extend_from_slice(&[0, 4]);
            bytes.extend_from_slice(&address.octets());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::{Known, Question, TYPE_A};

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    #[test]
    fn a_known_name_has_its_address() {
        let asked = question("api.Example.com", TYPE_A);
        let read = Question::read(&asked).unwrap();
        assert_eq!(read.name, "api.Example.com");
        let answer = read.answer(Known::At(Ipv4Addr::new(127, 64, 0, 1)));
        assert_eq!(answer[..4], [0xab, 0xcd, 0x85, 0x80]);
        assert_eq!(answer[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(answer[12..asked.len()], asked[12..]);
        assert_eq!(answer[asked.len()..], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 127, 64, 0, 1]);
    }

    #[test]
    fn a_known_name_has_nothing_else_and_an_unknown_one_does_not_exist() {
        let aaaa = Question::read(&question("api.example.com", 28)).unwrap();
        let answer = aaaa.answer(Known::At(Ipv4Addr::LOCALHOST));
        assert_eq!((answer[3] & 15, answer[7]), (0, 0));
        let unknown = Question::read(&question("evil.test", TYPE_A)).unwrap().answer(Known::Nowhere);
        assert_eq!((unknown[3] & 15, unknown[7]), (3, 0));
    }

    #[test]
    fn an_answer_or_a_pointer_is_no_question() {
        let mut answer = question("api.example.com", TYPE_A);
        answer[2] |= 0x80;
        assert_eq!(Question::read(&answer), None);
        let mut pointer = question("api.example.com", TYPE_A);
        pointer[12] = 0xc0;
        assert_eq!(Question::read(&pointer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(question) = Question::read(&bytes) {
                question.answer(Known::Nowhere);
            }
        }

        #[test]
        fn what_was_cut_is_no_question(end in 0_usize..33) {
            prop_assert_eq!(Question::read(&question("api.example.com", TYPE_A)[..end]), None);
        }
    }
}
